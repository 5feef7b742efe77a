//! Tests of the rules: tables of examples, and laws that hold for generated histories.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

mod address_policy;
mod api_key;
mod auto_recharge;
mod auto_recharge_limits;
mod batch;
mod budget;
mod burn_rate;
mod burn_rate_back_test;
mod change_plan;
mod consume;
mod dispute;
mod drawdowns;
mod expiry_notices;
mod export;
mod forecast;
mod forecast_back_test;
mod generated_usage;
mod grant;
mod hold;
mod laws;
mod lot_change;
mod lot_price;
mod lot_record;
mod lot_state;
mod money;
mod monitor;
mod month_flow;
mod month_value;
mod month_value_laws;
mod operations;
mod place;
mod post_paid;
mod purchase;
mod receipt;
mod record_kind;
mod refund_orders;
mod remainder;
mod renewal;
mod restore;
mod reversal;
mod rivals;
mod rollup_record;
mod rollup_sums;
mod versions;
mod webhook_url;

use chrono::{DateTime, Utc};

use super::*;

/// The current time in most tables.
const NOW: &str = "2024-01-15T10:30:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

fn id(number: u64) -> EntryId {
    EntryId::new(
        at("2024-01-01T00:00:00Z") + chrono::Duration::milliseconds(i64::try_from(number).unwrap()),
        0,
    )
}

fn attempt(number: u64, now: DateTime<Utc>) -> Attempt {
    Attempt {
        id: id(number),
        now,
        claim: ClaimKey::Caller(IdempotencyKey::try_from(format!("k{number}")).unwrap()),
    }
}

/// An account of January 2024 from a line such as `sub 5, purchased 3, bonus 2 smartcheck until
/// 2024-01-20, limit 10, owed 4, frozen`. Lots are numbered from 1 in the order of the line, which is their age.
fn account(line: &str) -> Account {
    let org = OrgId::new(at("2024-01-01T00:00:00Z"), 1);
    let id_ = AccountId { org, mode: Mode::Live };
    let mut account = Account::open(
        id_,
        PlanId("basic".into()),
        Allowance::Monthly(credits(10)),
        at("2024-02-01T00:00:00Z"),
    );
    for (number, words) in (1..).zip(line.split(", ").filter(|words| !words.is_empty())) {
        let words: Vec<_> = words.split(' ').collect();
        let left = words.get(1).map_or(Credits::ZERO, |count| credits(count.parse().unwrap()));
        let source = match words[0] {
            "unlimited" => {
                account.allowance = Allowance::Unlimited;
                continue;
            }
            "frozen" => {
                account.frozen = true;
                continue;
            }
            "limit" => {
                account.post_paid.limit = left;
                continue;
            }
            "owed" => {
                account.post_paid.outstanding = left;
                continue;
            }
            "sub" => {
                account.subscription =
                    SubscriptionCredits { left, granted: left, ..SubscriptionCredits::default() };
                continue;
            }
            "purchased" => Source::Purchased,
            "bonus" => Source::Bonus,
            other => panic!("{other}"),
        };
        let service = words
            .iter()
            .find_map(|word| Service::ALL.into_iter().find(|service| service_name(*service) == *word));
        let end = words
            .iter()
            .position(|word| *word == "until")
            .map(|place| at(&format!("{}T00:00:00Z", words[place + 1])));
        account.lots.insert(id(number), Lot { source, left, service, expires_at: end });
    }
    account
}

fn service_name(service: Service) -> String {
    format!("{service:?}").to_lowercase()
}

/// The moves of a posting in the words of [`account`]: `sub 2, lot2 1`.
fn moves(posting: &Posting) -> String {
    let name = |lot: LotId| match lot {
        LotId::Subscription(_) => "sub".to_owned(),
        LotId::PostPaid => "owed".to_owned(),
        LotId::Unlimited(_) => "unlimited".to_owned(),
        LotId::Disputed(_) => "disputed".to_owned(),
        LotId::Granted(EntryId::FIRST) => "pool".to_owned(),
        LotId::Granted(entry) => {
            format!("lot{}", (entry.time() - at("2024-01-01T00:00:00Z")).num_milliseconds())
        }
    };
    let moves = posting.entry.moves.iter();
    moves.map(|part| format!("{} {}", name(part.lot), part.amount.get())).collect::<Vec<_>>().join(", ")
}
