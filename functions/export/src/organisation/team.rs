//! The organisation itself, its API keys, its members and its invitations.

use domain::OrgId;
use scrip_http::{ApiKeyView, InvitationView, MemberView, OrganisationView};
use store::Unsettled;

use super::{SectionPage, SectionReader, place};

/// How many keys, members or invitations a page has. A key costs three reads, the others one query for all.
const PAGE: u16 = 100;

impl SectionReader<'_> {
    fn org(&self) -> OrgId {
        self.export.key.account.org
    }

    /// One read.
    pub(super) async fn organisation(&self) -> Result<SectionPage, Unsettled> {
        let organisation = self.app.settings.current_organisation(self.org()).await?;
        let organisation = organisation.ok_or(Unsettled::NoAccount)?;
        Ok(SectionPage::of("organisation", None, [OrganisationView::from(organisation)], None)?)
    }

    /// A page of keys, the newest first; never their secrets or hashes.
    pub(super) async fn api_keys(&self, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let page = self.app.settings.issued_keys(Some(self.org()), place(cursor)?, PAGE).await?;
        let keys = page.keys.into_iter().map(|listed| ApiKeyView::of(listed, self.export.made_at));
        let next = page.next.map(|next| next.to_string());
        Ok(SectionPage::of("apiKey", None, keys, next)?)
    }

    /// A page of members, also removed ones: one query.
    pub(super) async fn members(&self, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let page = self.app.settings.members(self.org(), place(cursor)?, PAGE).await?;
        let members = page.members.into_iter().map(MemberView::from);
        let next = page.next.map(|next| next.to_string());
        Ok(SectionPage::of("member", None, members, next)?)
    }

    /// A page of invitations, also those that are over; never the hashes of their tokens: one query.
    pub(super) async fn invitations(&self, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let page = self.app.settings.invitations(self.org(), place(cursor)?, PAGE).await?;
        let invitations = page.invitations.into_iter();
        let views = invitations.map(|invitation| InvitationView::of(invitation, self.export.made_at));
        let next = page.next.map(|next| next.to_string());
        Ok(SectionPage::of("invitation", None, views, next)?)
    }
}
