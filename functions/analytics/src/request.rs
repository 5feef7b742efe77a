//! What a request asks of usage.

use chrono::{DateTime, Days, TimeDelta, Utc};
use domain::{
    Dimension, Granularity, KeyId, Measure, Operation, Reference, Service, Source, UsageCategory, UsageFilter,
};
use scrip_http::{ApiError, Instant, PageLimit, in_order};
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::IntoParams;

/// How many dimensions usage is grouped by at most.
const GROUPS_MAX: usize = 2;

/// How many days a range with customers or members may have.
const NAMED_DAYS_MAX: u64 = 400;

/// How many days a range has that begins at no given time, and how many with points of an hour.
const DAYS: u64 = 30;
const DAYS_HOURLY: u64 = 1;

/// The parameter `groupBy`: dimensions, separated by commas.
#[derive(Default)]
pub(crate) struct GroupBy(Vec<Dimension>);

impl<'de> Deserialize<'de> for GroupBy {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let named = |name: &str| serde_json::from_value(serde_json::Value::from(name.trim())).ok();
        let groups: Option<Vec<Dimension>> = text.split(',').map(named).collect();
        let is_valid =
            |groups: &Vec<Dimension>| groups.len() <= GROUPS_MAX && groups.first() != groups.get(1);
        groups.filter(is_valid).map(Self).ok_or_else(|| {
            D::Error::custom(
                "must be one or two of operation, category, customer, member, key, source and service, separated by a comma",
            )
        })
    }
}

/// The parameter `timeZone`: UTC is the only one.
#[derive(Clone, Copy, Deserialize)]
pub(crate) enum TimeZone {
    #[serde(rename = "UTC")]
    Utc,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// The first time; 30 days before `to` if left out, or one day for hourly points. The range has every hour (for hourly
    /// points) or day that it touches, and at most 31 days for hourly points, 400 for daily ones and 1,100 for others; 400
    /// with customers or members.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    /// The time after the last one; now if left out or later.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
    /// `hourly`, `daily`, `weekly` or `monthly`; `daily` if left out.
    #[param(value_type = Option<String>)]
    granularity: Option<Granularity>,
    /// One or two of `operation`, `category`, `customer`, `member`, `key`, `source` and `service`, separated by a comma.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    group_by: GroupBy,
    /// `credits`, `calls` or `cost`; `credits` if left out.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    measure: Measure,
    /// The number of series, 1 to 100; 10 if left out. The series with less usage are in `others` together.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 1, maximum = 100)]
    limit: PageLimit<10, 100>,
    /// Only this operation.
    #[param(value_type = Option<String>)]
    operation: Option<Operation>,
    /// Only this category: `verification`, `aml`, `deepfake`, `kyt`, `other` or `refund`.
    #[param(value_type = Option<String>)]
    category: Option<UsageCategory>,
    /// Only this customer.
    #[param(value_type = Option<String>)]
    customer_id: Option<Reference>,
    /// Only this member of staff.
    #[param(value_type = Option<String>)]
    member_id: Option<Reference>,
    /// Only requests with this API key, `key_…`.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only credits of this source: `subscription`, `purchased`, `bonus` or `postPaid`.
    #[param(value_type = Option<String>)]
    source: Option<Source>,
    /// Only this service.
    #[param(value_type = Option<String>)]
    service: Option<Service>,
    /// `UTC`, which is also used if it is left out. There are no other time zones.
    #[param(value_type = Option<String>)]
    #[expect(dead_code, reason = "its only value changes nothing")]
    time_zone: Option<TimeZone>,
}

/// What is asked, checked.
pub(crate) struct UsageRequest {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) granularity: Granularity,
    pub(crate) groups: Vec<Dimension>,
    pub(crate) measure: Measure,
    pub(crate) filter: UsageFilter,
    pub(crate) customer: Option<Reference>,
    pub(crate) member: Option<Reference>,
    pub(crate) top: usize,
}

impl UsageRequest {
    pub(crate) fn new(params: UsageParams, now: DateTime<Utc>) -> Result<Self, ApiError> {
        let granularity = params.granularity.unwrap_or(Granularity::Daily);
        let days = if granularity == Granularity::Hourly { DAYS_HOURLY } else { DAYS };
        let until_now = params.to.is_none_or(|Instant(to)| now < to);
        let to = params.to.map_or(now, |Instant(to)| to.min(now));
        let default = to.checked_sub_days(Days::new(days)).unwrap_or(to);
        let from = params.from.map_or(default, |Instant(from)| from);
        if now < from {
            return Err(ApiError::field("from", "must not be in the future"));
        }
        in_order(from, to)?;
        let GroupBy(groups) = params.group_by;
        let step = if granularity == Granularity::Hourly { Granularity::Hourly } else { Granularity::Daily };
        let asked = Self {
            from: step.start_of(from),
            // What happens now counts, also where a point begins now.
            to: if until_now { step.end_after(to) } else { step.end_of(to) },
            granularity,
            groups,
            measure: params.measure,
            filter: UsageFilter {
                operation: params.operation,
                category: params.category,
                key: params.key_id,
                source: params.source,
                service: params.service,
            },
            customer: params.customer_id,
            member: params.member_id,
            top: params.limit.get().into(),
        };
        asked.check_length(to.signed_duration_since(from))?;
        Ok(asked)
    }

    fn check_length(&self, length: TimeDelta) -> Result<(), ApiError> {
        let most = self.granularity.days_max();
        let most = if self.has_customers() || self.has_members() { most.min(NAMED_DAYS_MAX) } else { most };
        let longest = i64::try_from(most).ok().and_then(TimeDelta::try_days);
        if longest.is_some_and(|longest| longest < length) {
            let longer = match self.granularity {
                Granularity::Hourly | Granularity::Daily => ", or longer points by granularity",
                Granularity::Weekly | Granularity::Monthly => "",
            };
            let problem = format!("must be at most {most} days before to; send a later one{longer}");
            return Err(ApiError::field("from", problem));
        }
        Ok(())
    }

    /// Whether it asks about customers.
    pub(crate) fn has_customers(&self) -> bool {
        self.customer.is_some() || self.groups.contains(&Dimension::Customer)
    }

    /// Whether it asks about members.
    pub(crate) fn has_members(&self) -> bool {
        self.member.is_some() || self.groups.contains(&Dimension::Member)
    }

    /// Whether no rollup has what it asks: the transactions are read.
    pub(crate) fn needs_rows(&self) -> bool {
        let (customers, members) = (self.has_customers(), self.has_members());
        customers && members || (customers || members) && self.granularity == Granularity::Hourly
    }
}
