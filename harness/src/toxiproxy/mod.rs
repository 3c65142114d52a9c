//! A typed client of Toxiproxy's admin API: every status checked, every reply compared with the
//! request. (Why not a crate: see README, dependencies.)

use crate::scenario::{Stream, Toxic};
use thiserror::Error;

/// What went wrong, with what was asked and what came back.
#[derive(Debug, Error)]
#[error("toxiproxy {url}: {doing}: {reason}")]
pub struct ToxiproxyError {
    /// The server.
    pub url: String,
    /// What was being done.
    pub doing: String,
    /// Why it failed.
    pub reason: String,
}

/// The client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Toxiproxy {}

impl Toxiproxy {
    /// For the server at `http://host:port`.
    pub fn new(url: &str) -> Result<Self, ToxiproxyError> {
        let _ = url;
        unimplemented!("H4")
    }
    /// Its version (`GET /version`).
    pub async fn version(&self) -> Result<String, ToxiproxyError> {
        unimplemented!("H4")
    }
    /// Creates an enabled proxy without toxics, replacing one of that name; returns where it listens.
    pub async fn create(
        &self,
        name: &str,
        listen: &str,
        upstream: &str,
    ) -> Result<String, ToxiproxyError> {
        let _ = (name, listen, upstream);
        unimplemented!("H4")
    }
    /// Deletes a proxy; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<(), ToxiproxyError> {
        let _ = name;
        unimplemented!("H4")
    }
    /// Enables or disables, and reads it back.
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), ToxiproxyError> {
        let _ = (name, enabled);
        unimplemented!("H4")
    }
    /// Adds a toxic, and reads it back.
    pub async fn add_toxic(
        &self,
        proxy: &str,
        name: &str,
        toxic: Toxic,
        stream: Stream,
        toxicity: f32,
    ) -> Result<(), ToxiproxyError> {
        let _ = (proxy, name, toxic, stream, toxicity);
        unimplemented!("H4")
    }
    /// Removes a toxic; one that is not there is no error.
    pub async fn remove_toxic(&self, proxy: &str, name: &str) -> Result<(), ToxiproxyError> {
        let _ = (proxy, name);
        unimplemented!("H4")
    }
    /// Whether these proxies are all there, enabled, and without toxics; the error names what is not.
    pub async fn assert_healed(&self, proxies: &[String]) -> Result<(), ToxiproxyError> {
        let _ = proxies;
        unimplemented!("H4")
    }
}
