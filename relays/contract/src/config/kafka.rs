//! What a process is told of Kafka.

use serde::{Deserialize, Serialize};

/// This says how to reach Kafka, which topic belongs to this strategy, and how it publishes there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KafkaTarget {
    /// Clients bootstrap from this `host:port`, or from these, separated by commas; where the link is proxied, they are
    /// the proxied listeners'.
    pub bootstrap: String,
    /// The events go to this topic.
    pub topic: String,
    /// This is the producer's `linger.ms`, in milliseconds.
    pub linger_ms: f64,
    /// This is the producer's `acks`.
    #[serde(default)]
    pub acks: Acks,
}

/// When a broker acknowledges what a producer sent (`acks`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acks {
    /// Every replica that is in sync has it, and there are as many as `min.insync.replicas` asks for.
    #[default]
    All,
    /// The partition's leader alone has it.
    Leader,
}

impl Acks {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::All, Self::Leader];

    /// Returns the value of `acks`: `all` or `1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Leader => "1",
        }
    }

    /// Whether a producer can be idempotent, and so be sure that nothing is appended twice or out of its order: Kafka
    /// has that with `acks=all` alone.
    pub const fn allows_idempotence(self) -> bool {
        matches!(self, Self::All)
    }
}
