//! HTTP to the servers of a stack.

/// A client for the addresses that it is given: surroundings that lead to the rest of the world
/// through a proxy (HTTP_PROXY) do not lead to a server on this machine through it.
#[allow(clippy::disallowed_methods)] // Here alone.
pub fn direct() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}
