//! Ids of an organisation's ledger and of a purchase in it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BadId, EntryId, OrgId, Period};

/// The mode of a ledger: real credits, or the separate credits of an organisation's test keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Real credits.
    Live,
    /// Test credits.
    Test,
}

/// The ledger of an organisation in one mode. Written `org_…#live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId {
    /// The organisation.
    pub org: OrgId,
    /// Its mode.
    pub mode: Mode,
}

/// The id of a purchase: the account and the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PurchaseId {
    /// The account that receives the credits.
    pub account: AccountId,
    /// The purchase's transaction id, which callers use.
    pub transaction: EntryId,
}

/// The number of characters of an organisation's id that the number of a statement has.
const SHORT_CHARS: usize = 8;

impl AccountId {
    /// The month in which the organisation was opened.
    #[must_use]
    pub fn first_month(self) -> Period {
        Period::of(self.org.time())
    }

    /// The number of the monthly statement of a month.
    #[must_use]
    pub fn statement_number(self, month: Period) -> String {
        let id = self.org.bare();
        let short = id.get(id.len().saturating_sub(SHORT_CHARS)..).unwrap_or_default();
        format!("{month}-{short}-{}", self.mode.as_str().to_uppercase())
    }
}

impl Mode {
    /// `live` or `test`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for AccountId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}#{}", self.org, self.mode.as_str())
    }
}

impl FromStr for AccountId {
    type Err = BadId;

    /// Parses what [`Display`](fmt::Display) writes: `org_…#live`.
    fn from_str(text: &str) -> Result<Self, BadId> {
        let (org, mode) = text.split_once('#').ok_or(BadId::ACCOUNT)?;
        let mode = [Mode::Live, Mode::Test].into_iter().find(|known| known.as_str() == mode);
        Ok(Self { org: OrgId::try_from(org.to_owned())?, mode: mode.ok_or(BadId::ACCOUNT)? })
    }
}
