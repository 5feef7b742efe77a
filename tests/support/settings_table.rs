//! What tests do with the settings table beside its own requests.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{KeyId, OrgId};
use store::Settings;

use crate::{TestLedger, UnitMeter};

impl TestLedger {
    /// The settings table, as a newly started function sees it, and a meter of its requests.
    pub fn metered_settings(&self) -> (Settings, UnitMeter) {
        let (config, meter) = self.metered_config();
        (Settings::new(&config, format!("{}-settings", self.table)), meter)
    }

    /// Sets how many keys an organisation has by its counter.
    pub async fn set_key_count(&self, org: OrgId, count: u64) {
        let client = aws_sdk_dynamodb::Client::from_conf(self.config.clone());
        let item = [
            ("pk", AttributeValue::S(format!("ORG#{org}"))),
            ("sk", AttributeValue::S("KEYS".to_owned())),
            ("active", AttributeValue::N(count.to_string())),
        ];
        let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let put = client.put_item().table_name(format!("{}-settings", self.table));
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// Leaves of the item that lists a key's secrets only the hash, as older releases have written it.
    pub async fn keep_only_the_hash(&self, org: OrgId, key: KeyId) {
        let client = aws_sdk_dynamodb::Client::from_conf(self.config.clone());
        let update = client.update_item().table_name(format!("{}-settings", self.table));
        let update = update.key("pk", AttributeValue::S(format!("ORG#{org}")));
        let update = update.key("sk", AttributeValue::S(format!("KEY#{key}")));
        update.update_expression("REMOVE revision").send().await.unwrap();
    }
}
