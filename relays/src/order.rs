//! The domain: what changes an order can go through, and the HTTP bodies that carry a change.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A kind of change. The state machine: placed, paid, shipped, delivered; amended at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeType {
    /// The order comes into being.
    Placed,
    /// placed -> paid.
    Paid,
    /// paid -> shipped.
    Shipped,
    /// shipped -> delivered.
    Delivered,
    /// Any state to itself.
    Amended,
}

impl ChangeType {
    /// Every type, in the order of their codes.
    pub const ALL: [ChangeType; 5] = [
        Self::Placed,
        Self::Paid,
        Self::Shipped,
        Self::Delivered,
        Self::Amended,
    ];

    /// The change that makes version `version` (1-based) in a regular order's life.
    pub fn for_version(version: u32) -> Self {
        match version {
            0 | 1 => Self::Placed,
            2 => Self::Paid,
            3 => Self::Shipped,
            4 => Self::Delivered,
            _ => Self::Amended,
        }
    }

    /// The event's type as consumers see it, e.g. `OrderPlaced`.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Placed => "OrderPlaced",
            Self::Paid => "OrderPaid",
            Self::Shipped => "OrderShipped",
            Self::Delivered => "OrderDelivered",
            Self::Amended => "OrderAmended",
        }
    }

    /// The reverse of [`ChangeType::event_type`].
    pub fn from_event_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.event_type() == name)
    }

    /// Dense code for histories.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What the workload asks the service's business logic to do with a change, beyond writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    /// Write and commit.
    #[default]
    Commit,
    /// Write, keep the transaction open for so many milliseconds, then commit: a slow transaction.
    HoldMs(u32),
    /// Write, then find that a business rule forbids it, and roll back: answered 422, `rejected`.
    Veto,
}

/// Body of `POST /orders` (`to` absent or `placed`, `order_id` required) and of
/// `POST /orders/{id}/transitions` (`to` required, `order_id` absent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// The new order's id, chosen by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// The change wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ChangeType>,
    /// Idempotency key: retries of one change share it.
    pub change_id: Uuid,
    /// Identity of this very request; stored with the version it makes.
    pub attempt: Uuid,
    /// Opaque text that travels into the event.
    pub content: String,
    /// What the business logic does.
    #[serde(default)]
    pub directive: Directive,
}

/// Body of an answer that settles the change. Anything else (a bare 5xx) settles nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum Answer {
    /// 201 or 200: committed as this version. For a repeated change id, the version it got before.
    Committed {
        /// 1-based version.
        version: u32,
    },
    /// 4xx: not written, in so many words.
    Rejected {
        /// Why.
        reason: String,
    },
}
