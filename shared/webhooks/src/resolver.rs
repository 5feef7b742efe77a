use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Who knows the addresses of a name.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// Every address of `host`, in the order in which they are to be tried, with `port`.
    ///
    /// # Errors
    /// Any error of the resolver; that there is no such name is one.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's own resolver: DNS as this machine is set up for it.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // A name in full, as its last dot says: a network's search list is not to complete it.
        let full = if host.contains('.') { format!("{host}.") } else { host.to_owned() };
        Ok(tokio::net::lookup_host((full, port)).await?.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = SystemResolver.resolve("localhost", 3000).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|place| place.ip().is_loopback() && place.port() == 3000), "{found:?}");
    }
}
