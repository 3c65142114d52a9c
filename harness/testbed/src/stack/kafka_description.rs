//! Kafka in the file that describes a stack.

use super::StackInfo;
use crate::scenario::Server;
use serde::{Deserialize, Serialize};

/// This is the section `[kafka]` of a stack file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DescribedBroker {
    pub(super) bootstrap: String,
    /// This is Kafka's version, for the record: Kafka's protocol does not say it.
    #[serde(default = "unknown")]
    pub(super) version: String,
}

impl DescribedBroker {
    /// A stack file leads to this broker, and to no other.
    pub(super) const SERVER: Server = Server::KAFKA;

    /// The section that would lead to the one of this stack.
    pub(super) fn of(info: &StackInfo) -> Self {
        let kafka = info.kafka();
        Self {
            bootstrap: kafka.map_or_else(String::new, |known| known.address.clone()),
            version: kafka.map_or_else(unknown, |known| known.version.clone()),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}
