//! What a request for records may ask.

use domain::{OrgId, RecordFilter};
use scrip_http::{PageLimit, Repeated};
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::IntoParams;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StatusFilter {
    Approved,
    Pending,
    Failed,
    PostPaid,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CategoryFilter {
    Purchase,
    Usage,
}

/// What a record names in place of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Populated {
    Client,
    SuperAdmin,
}

/// The number of a page, from 1.
pub(crate) struct PageNumber(u64);

/// A client whose records are wanted.
#[derive(Clone, Copy)]
pub(crate) struct ClientFilter(pub(crate) OrgId);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsParams {
    /// The page, from 1; 1 if left out. A page after the last one is empty.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 1)]
    pub(crate) page: PageNumber,
    /// Records on a page, 1 to 100; 20 if left out.
    #[serde(default, rename = "perPage")]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    pub(crate) per_page: PageLimit<20, 100>,
    /// Only records with this status: `approved`, `pending`, `failed` or `postPaid`.
    #[param(value_type = Option<String>)]
    where_status: Option<StatusFilter>,
    /// Only records of this category: `purchase` or `usage`.
    #[param(value_type = Option<String>)]
    where_category: Option<CategoryFilter>,
    /// Only records of this client, `org_…`: your own organisation. Of others there are none.
    #[param(value_type = Option<String>)]
    pub(crate) where_client: Option<ClientFilter>,
    /// `client` and `superAdmin` are objects with `id` and `name` in place of ids. Send it once for each.
    #[serde(default, rename = "populates[]")]
    #[param(value_type = Option<Vec<String>>)]
    pub(crate) populates: Repeated<Populated>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordParams {
    /// `client` and `superAdmin` are objects with `id` and `name` in place of ids. Send it once for each.
    #[serde(default, rename = "populates[]")]
    #[param(value_type = Option<Vec<String>>)]
    pub(crate) populates: Repeated<Populated>,
}

impl RecordsParams {
    /// Which records the list has.
    pub(crate) fn filter(&self) -> RecordFilter {
        let status = |wanted: StatusFilter| self.where_status.is_none_or(|status| status == wanted);
        let category = |wanted: CategoryFilter| self.where_category.is_none_or(|category| category == wanted);
        let (purchases, usage) = (category(CategoryFilter::Purchase), category(CategoryFilter::Usage));
        RecordFilter {
            purchases: purchases && status(StatusFilter::Approved),
            usage: usage && status(StatusFilter::Approved),
            post_paid: usage && status(StatusFilter::PostPaid),
            pending: purchases && status(StatusFilter::Pending),
            failed: purchases && status(StatusFilter::Failed),
        }
    }
}

impl PageNumber {
    pub(crate) fn get(&self) -> u64 {
        self.0
    }
}

impl Default for PageNumber {
    fn default() -> Self {
        Self(1)
    }
}

impl<'de> Deserialize<'de> for PageNumber {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let page = u64::deserialize(input)?;
        if page == 0 { Err(D::Error::custom("must be a whole number from 1")) } else { Ok(Self(page)) }
    }
}

impl<'de> Deserialize<'de> for ClientFilter {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        OrgId::deserialize(input).map(Self)
    }
}
