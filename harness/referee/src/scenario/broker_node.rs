//! One of a broker's several nodes, and what one can be to a topic. Kafka has them, and calls each a broker.

use serde::{Deserialize, Serialize};

/// This says which of several nodes is meant: the first of Kafka's is called `kafka-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerNode(u8);

impl BrokerNode {
    /// Most nodes that a broker has.
    pub const MOST: usize = 3;
    /// All that a broker can have.
    pub const ALL: [Self; Self::MOST] = [Self(0), Self(1), Self(2)];

    /// Returns its place among the nodes, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns its `node.id`, from 1.
    pub const fn id(self) -> i32 {
        self.0 as i32 + 1
    }

    /// Returns the node of this `node.id`; `None` where there is none.
    pub fn of_id(id: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|node| node.id() == id)
    }
}

/// What some of several nodes are to the topic of the events at a moment: to its first partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeRole {
    /// It is the leader: producers send to it, and readers read from it.
    Leader,
    /// They are the others, which copy from the leader.
    Followers,
}

impl NodeRole {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Leader, Self::Followers];

    /// Returns the name of what has it, in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "kafka-leader-server",
            Self::Followers => "kafka-followers-server",
        }
    }

    /// Says in a line what has it.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Leader => {
                "of three Kafka brokers the one that leads the topic's partition 0 when the fault begins (kill, restart, pause)"
            }
            Self::Followers => {
                "of three Kafka brokers the two that do not lead the topic's partition 0 when the fault begins (kill, restart, pause)"
            }
        }
    }
}
