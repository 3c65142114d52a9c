//! Files for tests.
#![allow(clippy::unwrap_used)]

use super::RelayFile;
use crate::scenario::StrategyKind;
use std::path::Path;

/// A file that brings an order service, which says as little as such a file can.
pub const SERVICE: &str = r#"
name = "theirs"
version = "1"
[service]
command = ["./service", "--port", "${port}", "--run", "${run}"]
[truth]
query = "select order_id, version, attempt from order_changes"
"#;

/// Reads a text as if it were `relays/mine/relay.toml`; the error is what a person would be shown.
pub fn read(text: &str) -> Result<RelayFile, String> {
    super::parse(Path::new("relays/mine/relay.toml"), text).map_err(|e| e.to_string())
}

/// Somebody's order service with its outbox inside.
pub fn outbox_inside() -> StrategyKind {
    StrategyKind::External {
        relay: Box::new(read(SERVICE).unwrap()),
    }
}
