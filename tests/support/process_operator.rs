//! Requests of operators to test processes.

use std::collections::BTreeSet;

use domain::{ApiKey, ApiKeySecret, KeyId, Mode, Purchase};
use store::random;

use crate::TestProcess;

impl TestProcess {
    /// A new operator key.
    pub async fn operator(&self) -> String {
        let mut bytes = [0u8; 34];
        bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
        let secret = ApiKeySecret::for_operator(bytes);
        let key_id = KeyId::new(self.now(), random());
        let key = ApiKey::new(key_id, None, BTreeSet::new(), &secret, self.now());
        self.fixture.settings().add_key(&secret, &key).await.unwrap();
        secret.reveal().to_owned()
    }

    /// A process decides that a purchase has failed, and dies before the row says so.
    pub async fn decide_failed(&self, purchase: &Purchase) {
        let app = self.start();
        assert!(app.checkout(Mode::Live).decide_failed(purchase, app.clock.moment()).await.unwrap());
    }
}
