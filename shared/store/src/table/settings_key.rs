//! The keys of the items of the settings table.

use crate::table::key::Key;
use domain::{InvitationId, KeyId, MemberId, OrgId, Period, SignInOwner};

/// The key of an item of the settings table. API keys belong to an organisation, or without one to the operators.
pub(crate) enum SettingsKey<'a> {
    /// `ORG#<org>` / `ORG`: one organisation.
    Organisation(OrgId),
    /// `ORG#<org>` or `OPERATORS` / `KEY#<key id>`: where the secrets of an API key are, to find it by its id.
    Issued(Option<OrgId>, KeyId),
    /// `ORG#<org>` or `OPERATORS` / `KEYS`: how many keys there are.
    KeyCount(Option<OrgId>),
    /// `OPERATORS` / `OWNERS`: how often an owner among the operators' keys was changed to something else.
    Owners,
    /// `USED#<org>` or `USED#operators` / `<key id>`: the day on which a key was last used.
    LastUse(Option<OrgId>, KeyId),
    /// `CHANGES` / `C`: which settings have changed.
    ChangeLog,
    /// `APIKEY#<hash>` / `APIKEY`: a secret of an API key, with the key's terms.
    Secret(&'a str),
    /// `NAMES` / `<name>`, [`AFTER_NAME`], `<org>`: that an organisation has a name, to find it by the beginning of the name.
    Name(&'a str, OrgId),
    /// `RATE#<subject>` / `<seconds>`: how many requests of a limit with windows of this length were taken.
    Rate(&'a str, u32),
    /// `EXTERNAL#<id>` / `E`: the organisation that has an id of the operator's own.
    External(&'a str),
    /// `AUDIT#<month>` / `<request id>` or `<request id>#outcome`: what an operator has done.
    Audit(Period, String),
    /// `TEAM#<org>` / `SEATS`: how many seats are taken.
    Seats(OrgId),
    /// `TEAM#<org>` / `MEMBER#<member id>`: a member.
    Member(OrgId, MemberId),
    /// `TEAM#<org>` / `INVITED#<invitation id>`: an invitation.
    Invitation(OrgId, InvitationId),
    /// `TEAM#<org>` / `ADDRESS#<hash>`: which invitation or member has an email address.
    Address(OrgId, &'a str),
    /// `MAIL#<hash>` / `<org>`: that an email address is a member's of an organisation.
    Membership(&'a str, OrgId),
    /// `SIGNIN#<owner>` / `SIGNIN`: the sessions of a member or a key, and the links with which they begin.
    SignIns(SignInOwner),
    /// `CATALOGUE` / `PRICES`, `PLANS`, `PACKAGES` or `RATES`.
    Catalogue(&'static str),
}

impl SettingsKey<'_> {
    /// The partition key and the sort key.
    pub(crate) fn place(&self) -> (String, String) {
        match self {
            Self::Organisation(org) => (owner_partition(Some(*org)), "ORG".to_owned()),
            Self::Issued(owner, key) => (owner_partition(*owner), format!("{ISSUED_KEYS}{key}")),
            Self::KeyCount(owner) => (owner_partition(*owner), "KEYS".to_owned()),
            Self::Owners => (owner_partition(None), "OWNERS".to_owned()),
            Self::LastUse(owner, key) => (last_use_partition(*owner), key.to_string()),
            Self::ChangeLog => ("CHANGES".to_owned(), "C".to_owned()),
            Self::Secret(hash) => (format!("APIKEY#{hash}"), "APIKEY".to_owned()),
            Self::Name(name, org) => (NAMES.to_owned(), format!("{name}{AFTER_NAME}{org}")),
            Self::Rate(subject, seconds) => (format!("RATE#{subject}"), seconds.to_string()),
            Self::External(id) => (format!("EXTERNAL#{id}"), "E".to_owned()),
            Self::Audit(month, place) => (audit_partition(*month), place.clone()),
            Self::Seats(org) => (team_partition(*org), "SEATS".to_owned()),
            Self::Member(org, member) => (team_partition(*org), format!("{MEMBERS}{member}")),
            Self::Invitation(org, invitation) => (team_partition(*org), format!("{INVITATIONS}{invitation}")),
            Self::Address(org, hash) => (team_partition(*org), format!("ADDRESS#{hash}")),
            Self::Membership(hash, org) => (mail_partition(hash), org.to_string()),
            Self::SignIns(owner) => (format!("SIGNIN#{owner}"), "SIGNIN".to_owned()),
            Self::Catalogue(part) => ("CATALOGUE".to_owned(), (*part).to_owned()),
        }
    }
}

impl<'a> Key<'a> {
    /// The key of an organisation.
    pub(crate) fn organisation(org: OrgId) -> Self {
        Self::Settings(SettingsKey::Organisation(org))
    }

    /// The key of the item that lists the secrets of an API key.
    pub(crate) fn issued(owner: Option<OrgId>, key: KeyId) -> Self {
        Self::Settings(SettingsKey::Issued(owner, key))
    }

    /// The key of the number of an owner's API keys.
    pub(crate) fn key_count(owner: Option<OrgId>) -> Self {
        Self::Settings(SettingsKey::KeyCount(owner))
    }

    /// The key of the day on which an API key was last used.
    pub(crate) fn last_use(owner: Option<OrgId>, key: KeyId) -> Self {
        Self::Settings(SettingsKey::LastUse(owner, key))
    }

    /// The key of a secret of an API key, by its hash.
    pub(crate) fn secret(hash: &'a str) -> Self {
        Self::Settings(SettingsKey::Secret(hash))
    }
}

/// The partition of an organisation, or of the operators, with their API keys.
pub(crate) fn owner_partition(owner: Option<OrgId>) -> String {
    owner.map_or_else(|| "OPERATORS".to_owned(), |org| format!("ORG#{org}"))
}

/// The sort keys of issued keys begin with this. Nothing in the partition is below them.
pub(crate) const ISSUED_KEYS: &str = "KEY#";

/// The partition with the days on which an organisation's keys, or those of the operators, were last used.
pub(crate) fn last_use_partition(owner: Option<OrgId>) -> String {
    owner.map_or_else(|| "USED#operators".to_owned(), |org| format!("USED#{org}"))
}

/// The partition with the names of organisations.
pub(crate) const NAMES: &str = "NAMES";

/// What stands between a name and the organisation: lower than every character of a name, so that names are in their order.
pub(crate) const AFTER_NAME: char = '\u{1}';

/// The partition with what operators did in a month.
pub(crate) fn audit_partition(month: Period) -> String {
    format!("AUDIT#{month}")
}

/// The partition with the organisations of which an email address is a member.
pub(crate) fn mail_partition(hash: &str) -> String {
    format!("MAIL#{hash}")
}

/// The partition with the members of an organisation.
pub(crate) fn team_partition(org: OrgId) -> String {
    format!("TEAM#{org}")
}

/// The sort keys of members begin with this.
pub(crate) const MEMBERS: &str = "MEMBER#";

/// The sort keys of invitations begin with this.
pub(crate) const INVITATIONS: &str = "INVITED#";
