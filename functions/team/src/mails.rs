//! Mails to invited people.

use std::error::Error;

use domain::{Invitation, InvitationToken};
use ports::Mail;
use scrip_http::{ApiError, App, invitation_link};

/// Sends an invitation to the invited address; false where no mail is sent, or it was not accepted. The link is shown then.
pub(super) async fn send_invitation(
    app: &App,
    invitation: &Invitation,
    token: &InvitationToken,
) -> Result<bool, ApiError> {
    let Some(mailer) = &app.mailer else { return Ok(false) };
    let organisation = app.settings.current_organisation(invitation.org).await?;
    let name = organisation.map(|organisation| one_line(&organisation.name)).unwrap_or_default();
    let text = format!(
        "You are invited to join {name} as {}.\n\nAccept the invitation within {} days:\n{}\n",
        invitation.role.as_str(),
        Invitation::DAYS,
        invitation_link(app, token)
    );
    let (to, subject) = (invitation.email.as_str().to_owned(), format!("Join {name}"));
    match mailer.send(&Mail { to, subject, text }).await {
        Ok(()) => Ok(true),
        Err(error) => {
            tracing::error!(error = &error as &dyn Error, "a mail for an invitation was not sent");
            Ok(false)
        }
    }
}

/// A name as part of a subject.
fn one_line(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
