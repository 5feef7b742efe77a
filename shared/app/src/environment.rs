//! Reads environment variables.

use std::env;

use aws::Connection;

/// An environment variable that a function needs is not set.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the environment variable {0} is not set or not valid; set it (in a deployment, template.yaml sets it for the functions that need it)"
)]
pub struct MissingVariable(pub(crate) &'static str);

/// The region and credentials of a function, from `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
/// `AWS_SESSION_TOKEN`. If the variable named `endpoint` holds a URL, requests go there instead of to the region's own
/// endpoint.
///
/// # Errors
/// [`MissingVariable`] when one of the first three is missing.
pub fn connection(endpoint: &str) -> Result<Connection, MissingVariable> {
    Ok(Connection {
        region: variable("AWS_REGION")?,
        access_key: variable("AWS_ACCESS_KEY_ID")?,
        secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: env::var("AWS_SESSION_TOKEN").ok(),
        endpoint: optional(endpoint),
    })
}

/// A variable that must be set.
pub(crate) fn variable(name: &'static str) -> Result<String, MissingVariable> {
    env::var(name).map_err(|_| MissingVariable(name))
}

/// A variable that may be missing. An empty one counts as missing.
pub(crate) fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
