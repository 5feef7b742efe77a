//! A slow request that is answered after a later one.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{ClaimKey, Fingerprint, IdempotencyKey};
use store::{ChangeAttempt, ChangeRequest, ChangeStart, ClaimsOf, Moment};
use tests::{TestLedger, backends, moment};

/// A slow request that is answered after a later one does not let a request that was interrupted between them undo
/// the later one.
#[tokio::test]
async fn a_slow_answer_does_not_forget_a_later_change() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let start: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
        let of = ClaimsOf::Account(fixture.open(10, start).await);
        let of = |name: &str| {
            let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
            ChangeRequest { of, key: Some(key), thing: Some("recharge".to_owned()) }
        };
        let asked = Fingerprint("asked".to_owned());
        let begin = async |changes: &ChangeRequest, seconds: i64| {
            let at = Moment { wall: start + TimeDelta::seconds(seconds), ..moment(start) };
            fixture.ledger.begin_change(changes, &asked, at).await.unwrap()
        };
        let carried_out = async |changes: &ChangeRequest, seconds: i64| -> ChangeAttempt {
            match begin(changes, seconds).await {
                ChangeStart::CarryOut(begun) => begun,
                other @ (ChangeStart::Answered(_) | ChangeStart::Overtaken) => panic!("{other:?}"),
            }
        };
        let (slow, broken, later) = (of("slow"), of("broken"), of("later"));
        let first = carried_out(&slow, 0).await;
        carried_out(&broken, 10).await;
        let last = carried_out(&later, 20).await;
        fixture.ledger.save_answer(&later, &last, "later").await.unwrap();
        fixture.ledger.save_answer(&slow, &first, "slow").await.unwrap();
        assert_eq!(begin(&broken, 60).await, ChangeStart::Overtaken);
    }
}
