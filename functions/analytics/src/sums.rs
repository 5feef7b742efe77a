//! Adds up usage from rollups.

use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, Granularity, Period, PriceList, Reference, UsageOwner, UsageQuery, UsageSum, days_of,
    without,
};
use scrip_http::{ApiError, App};
use store::{MonthRollups, NamedRollup, RollupKind, RollupsOf, Unsettled};

use super::request::UsageRequest;
use super::rows;

/// What was counted.
pub(crate) struct CountedUsage {
    /// The number of the last transaction that is counted.
    pub(crate) sequence: u64,
    /// Whether groups are missing because there are too many; their usage is in the group without a name.
    pub(crate) is_truncated: bool,
}

/// The usage that is asked for, in credits where its cost is asked.
pub(crate) async fn usage<'a>(
    app: &App,
    account: AccountId,
    asked: &UsageRequest,
    prices: &'a PriceList,
    now: DateTime<Utc>,
) -> Result<(UsageSum<'a>, CountedUsage), ApiError> {
    let known = app.ledger.account(account).await?.ok_or(Unsettled::NoAccount)?;
    let mut sum = UsageSum::new(UsageQuery {
        from: asked.from,
        to: asked.to,
        granularity: asked.granularity,
        groups: asked.groups.clone(),
        filter: asked.filter.clone(),
        measure: asked.measure,
        top: asked.top,
        prices,
    });
    if asked.needs_rows() {
        rows::add(app, account, asked, &mut sum, now).await?;
        return Ok((sum, CountedUsage { sequence: known.sequence, is_truncated: false }));
    }
    // Rollups of customers are written before the watermark and read before it, so they are ahead of the days only while
    // an account's events cannot be emitted.
    let named = named(app, &known, asked).await?;
    let watermark = app.ledger.projected_through(account).await?;
    let counted = CountedUsage {
        sequence: watermark.notified_through(),
        is_truncated: named.as_ref().is_some_and(|named| !named.rollups.is_complete),
    };
    for NamedRollup { name, month, rollup } in named.iter().flat_map(|named| &named.rollups.rollups) {
        let kind = named.as_ref().map(|named| named.kind);
        sum.add_month(*month, &owner(kind, name), rollup);
    }
    if named.as_ref().is_none_or(|named| named.is_all) {
        let pending = watermark.notified().pending.as_ref();
        let days = app.activity.day_rollups(account, days_of(asked.from, asked.to), pending).await?;
        match &named {
            None => days.iter().for_each(|(day, rollup)| sum.add_day(*day, &UsageOwner::default(), rollup)),
            Some(named) => {
                let named: Vec<_> =
                    named.rollups.rollups.iter().map(|one| (one.month, &one.rollup)).collect();
                for (month, rest) in without(&days, &named) {
                    sum.add_month(month, &UsageOwner::default(), &rest);
                }
            }
        }
    }
    Ok((sum, counted))
}

/// Rollups of customers or members.
struct NamedUsage {
    kind: RollupKind,
    rollups: MonthRollups,
    /// Whether they are those of all, and not of one.
    is_all: bool,
}

/// The rollups of customers or members, if that is asked.
async fn named(app: &App, account: &Account, asked: &UsageRequest) -> Result<Option<NamedUsage>, ApiError> {
    let (kind, one) = match (asked.has_customers(), asked.has_members()) {
        (true, _) => (RollupKind::Customer, &asked.customer),
        (false, true) => (RollupKind::Member, &asked.member),
        (false, false) => return Ok(None),
    };
    let months = Granularity::Monthly.points(asked.from, asked.to).into_iter().map(Period::of).collect();
    let of = RollupsOf { account: account.id, shards: account.row_shards, kind, months };
    let rollups = match one.as_ref().map(Reference::as_str) {
        Some(name) => {
            MonthRollups { rollups: app.activity.rollups_named(&of, name).await?, is_complete: true }
        }
        None => app.activity.month_rollups(&of).await?,
    };
    Ok(Some(NamedUsage { kind, rollups, is_all: one.is_none() }))
}

fn owner(kind: Option<RollupKind>, name: &str) -> UsageOwner {
    let name = Some(name.to_owned());
    match kind {
        Some(RollupKind::Customer) => UsageOwner { customer: name, member: None },
        Some(RollupKind::Member) => UsageOwner { customer: None, member: name },
        None => UsageOwner::default(),
    }
}
