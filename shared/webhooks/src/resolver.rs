//! Name resolution.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// A resolver of host names.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// Every address of `host`, with `port`, in the order in which to try them.
    ///
    /// # Errors
    /// Any error of the resolver, including an unknown name.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // The last dot makes the name absolute, so that the search list of the network does not apply.
        let full = if host.contains('.') { format!("{host}.") } else { host.to_owned() };
        Ok(tokio::net::lookup_host((full, port)).await?.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_resolves_localhost() {
        let found = SystemResolver.resolve("localhost", 3000).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|place| place.ip().is_loopback() && place.port() == 3000), "{found:?}");
    }
}
