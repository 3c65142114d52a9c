//! The order service: HTTP in, one write path, an answer out.

use crate::config::ServiceConfig;

/// Serves until SIGTERM: then it stops accepting, finishes the requests in flight, flushes its
/// producer and returns.
pub async fn serve(config: ServiceConfig) -> Result<(), String> {
    let _ = config;
    unimplemented!("H2")
}
