//! API keys, their scopes, and who calls with them.

mod actor;
mod allowed_ips;
mod api_key;
mod burn_rate;
mod denial;
mod invitation;
mod member;
mod member_role;
mod organisation_switches;
mod rate_limit;
mod role;
mod scope;
mod secret;
mod sign_in;
mod sign_in_token;

pub use actor::Actor;
pub use allowed_ips::{AllowedIps, BadAllowedIps};
pub use api_key::{ApiKey, ApiKeyChange, KeyPause, KeyStatus, Principal};
pub use burn_rate::{BurnRate, BurnRates, KeySpending, KeyTag, RunawayKey};
pub use denial::Denial;
pub use invitation::{Invitation, InvitationState, InvitationStatus, InvitationToken};
pub use member::{Member, MemberChange, MemberLimit, MemberStatus};
pub use member_role::MemberRole;
pub use organisation_switches::{OrganisationSwitches, RunawayAction, SwitchesChange};
pub use rate_limit::{BadRateLimit, RateLimit};
pub use role::{Duty, OperatorRole};
pub use scope::Scope;
pub use secret::ApiKeySecret;
pub use sign_in::{SignIn, SignInStage, SignIns};
pub use sign_in_token::{SignInKind, SignInOwner, SignInToken};
