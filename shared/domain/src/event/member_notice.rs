//! Events about members and invitations.

use serde_json::{Value, json};

use crate::value::timestamp;
use crate::{Actor, EntryId, EventName, Invitation, Member};

/// Something that was done with an invitation or a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberNotice {
    /// An address was invited.
    Invited(Invitation),
    /// An invitation was accepted.
    Joined(Member),
    /// A member was changed by this request of this caller.
    Changed(Member, Actor, EntryId),
    /// A member was removed by this caller.
    Removed(Member, Actor),
}

impl MemberNotice {
    pub(super) fn name(&self) -> EventName {
        match self {
            Self::Invited(_) => EventName::MemberInvited,
            Self::Joined(_) => EventName::MemberJoined,
            Self::Changed(..) => EventName::MemberChanged,
            Self::Removed(..) => EventName::MemberRemoved,
        }
    }

    pub(super) fn source(&self) -> String {
        match self {
            Self::Invited(invitation) => format!("invited/{}", invitation.invitation_id),
            Self::Joined(member) => format!("member joined/{}", member.member_id),
            Self::Changed(member, _, request) => {
                format!("member changed/{}/{}", member.member_id, request.bare())
            }
            Self::Removed(member, _) => format!("member removed/{}", member.member_id),
        }
    }

    pub(super) fn data(&self) -> Value {
        match self {
            Self::Invited(invitation) => json!({
                "invitationId": invitation.invitation_id,
                "email": invitation.email,
                "role": invitation.role,
                "expiresAt": timestamp(invitation.expires_at()),
                "by": invitation.invited_by,
                "message": "A member was invited",
            }),
            Self::Joined(member) => about(member, "A member has accepted an invitation"),
            Self::Changed(member, by, _) => by_key(about(member, "A member was changed"), *by),
            Self::Removed(member, by) => by_key(about(member, "A member was removed"), *by),
        }
    }
}

fn about(member: &Member, message: &str) -> Value {
    json!({
        "memberId": member.member_id,
        "email": member.email,
        "name": member.name,
        "role": member.role,
        "message": message,
    })
}

fn by_key(mut data: Value, by: Actor) -> Value {
    if let Some(data) = data.as_object_mut() {
        data.insert("by".to_owned(), json!(by));
    }
    data
}
