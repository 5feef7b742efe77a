//! The members that requests name, where the organisation requires known ones.

use std::collections::BTreeMap;

use super::{ApiError, App, Caller};
use domain::{MemberId, Reference};

/// What a `memberId` must be.
const UNKNOWN_MEMBER: &str = "must be the id (mem_…) of a present member, because your organisation requires known members; \
     GET /api/v3/members lists them, and `requireKnownMembers` of PATCH /api/v3/organization-settings switches this off";

impl<S> Caller<S> {
    /// Refuses a `memberId` that is not the id of a present member, if the organisation requires known members. Otherwise
    /// nothing is read. `named` has the path of each field that has a `memberId`.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] with each such field; when the settings table does not answer.
    pub async fn knows_members<'a>(
        &self,
        app: &App,
        named: impl IntoIterator<Item = (String, &'a Reference)>,
    ) -> Result<(), ApiError> {
        if !self.switches.require_known_members {
            return Ok(());
        }
        let id = |name: &Reference| MemberId::try_from(name.as_str().to_owned()).ok();
        let named: Vec<_> = named.into_iter().map(|(path, name)| (path, id(name))).collect();
        let ids = named.iter().filter_map(|(_, id)| *id).collect();
        let (org, wall) = (self.account.org, self.call.moment.wall);
        let present = app.settings.present_members(org, ids, wall).await?;
        let is_unknown = |id: &Option<MemberId>| id.is_none_or(|id| !present.contains(&id));
        let unknown = named.into_iter().filter(|(_, id)| is_unknown(id));
        let unknown: BTreeMap<_, _> = unknown.map(|(path, _)| (path, UNKNOWN_MEMBER.to_owned())).collect();
        if unknown.is_empty() { Ok(()) } else { Err(ApiError::Invalid(unknown)) }
    }
}
