//! How a child reaches NATS, and which stream is its strategy's.

use serde::{Deserialize, Serialize};

/// This says how to reach NATS, and which topic belongs to this strategy: a stream with one subject a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsTarget {
    /// This is the `host:port` of the server, or the proxy's where the link is proxied.
    pub address: String,
    /// The events go to subjects below this one: to `TOPIC.KEY`.
    pub topic: String,
    /// Whether each event says its id (`Nats-Msg-Id`), by which the server knows one that it has seen within the
    /// stream's duplicate window.
    pub message_id: bool,
}

/// Returns the name of the stream that has this topic's events. A stream's name has no dots, a subject's has.
pub fn nats_stream(topic: &str) -> String {
    topic.replace('.', "_")
}

/// Returns the subjects that the stream of this topic takes.
pub fn nats_subjects(topic: &str) -> String {
    format!("{topic}.>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_topic_with_dots_when_its_stream_is_named_then_the_name_has_none_and_its_subjects_do()
    {
        assert_eq!(nats_stream("oh.0f.naive"), "oh_0f_naive");
        assert_eq!(nats_subjects("oh.0f.naive"), "oh.0f.naive.>");
    }
}
