//! The domain: what changes an order can go through, and the HTTP bodies that carry a change.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The content of a change has at most so many bytes. This is one number for scenario files, order service
/// and whatever carries an event: with the rest of it, less than 1 KB, it stays below the 1,000,000 bytes
/// that clients and brokers of Kafka take unless told otherwise.
pub const CONTENT_BYTES_MAX: u32 = 900_000;

/// This is a kind of change. The state machine goes placed, paid, shipped, delivered; an order can be amended
/// at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeType {
    /// The order comes into being.
    Placed,
    /// The order goes from state `placed` to state `paid`.
    Paid,
    /// The order goes from state `paid` to state `shipped`.
    Shipped,
    /// The order goes from state `shipped` to state `delivered`.
    Delivered,
    /// The order goes from any state to itself.
    Amended,
}

impl ChangeType {
    /// These are all types, in the order of their codes.
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

    /// Returns the event's type as consumers see it, e.g. `OrderPlaced`.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Placed => "OrderPlaced",
            Self::Paid => "OrderPaid",
            Self::Shipped => "OrderShipped",
            Self::Delivered => "OrderDelivered",
            Self::Amended => "OrderAmended",
        }
    }

    /// Returns the type whose [`ChangeType::event_type`] this is; `None` if it is no type's.
    pub fn from_event_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.event_type() == name)
    }

    /// Returns the type's dense code for histories.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name as requests have it, e.g. `placed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Amended => "amended",
        }
    }

    /// The one state from which a transition may start; `None` for [`ChangeType::Amended`], which
    /// starts from any, and for [`ChangeType::Placed`], which is no transition.
    pub fn required_state(self) -> Option<OrderState> {
        match self {
            Self::Placed | Self::Amended => None,
            Self::Paid => Some(OrderState::Placed),
            Self::Shipped => Some(OrderState::Paid),
            Self::Delivered => Some(OrderState::Shipped),
        }
    }

    /// The state an order is in afterwards; `None` leaves it as it was.
    pub fn next_state(self) -> Option<OrderState> {
        match self {
            Self::Placed => Some(OrderState::Placed),
            Self::Paid => Some(OrderState::Paid),
            Self::Shipped => Some(OrderState::Shipped),
            Self::Delivered => Some(OrderState::Delivered),
            Self::Amended => None,
        }
    }

    /// Whether an order that is in `state` (`None`: does not exist) may go through this change.
    pub fn allowed_in(self, state: Option<OrderState>) -> bool {
        match (self, state) {
            (Self::Placed, state) => state.is_none(),
            (_, None) => false,
            (change, Some(state)) => change.required_state().is_none_or(|from| from == state),
        }
    }
}

/// What an order is at, as stored in `orders.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// The order exists and is not paid for yet.
    Placed,
    /// It is paid for.
    Paid,
    /// It is on its way.
    Shipped,
    /// The order has arrived, and no state comes after this one.
    Delivered,
}

impl OrderState {
    /// Every state, in the order in which a regular order goes through them.
    pub const ALL: [OrderState; 4] = [Self::Placed, Self::Paid, Self::Shipped, Self::Delivered];

    /// Returns the state as `orders.state` stores it, e.g. `placed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
        }
    }

    /// Returns the state whose [`OrderState::name`] this is; `None` if it is no state's.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// The change that takes an order on from here; `None` at the end of its life.
    pub fn regular_change(self) -> Option<ChangeType> {
        ChangeType::ALL
            .into_iter()
            .find(|change| change.required_state() == Some(self))
    }
}

/// What the workload asks the service's business logic to do with a change, beyond writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    /// The service writes the change and commits it at once.
    #[default]
    Commit,
    /// The service writes, keeps the transaction open for so many milliseconds, then commits: a slow transaction.
    HoldMs(u32),
    /// The service writes, then finds that a business rule forbids it, rolls back, and answers 422, `rejected`.
    Veto,
}

/// This is the body of `POST /orders` (`to` absent or `placed`, `order_id` required) and of
/// `POST /orders/{id}/transitions` (`to` required, `order_id` absent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// This is the new order's id, chosen by the client; `None` where the path names the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// This is the change that the client wants; `None` is only allowed where an order is placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ChangeType>,
    /// This is the idempotency key: retries of one change share it.
    pub change_id: Uuid,
    /// This is the identity of this very request; it is stored with the version it makes.
    pub attempt: Uuid,
    /// This opaque text travels into the event.
    pub content: String,
    /// What the business logic does.
    #[serde(default)]
    pub directive: Directive,
}

/// This is the body of an answer that settles the change. Anything else (a bare 5xx) settles nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum Answer {
    /// The status is 201 or 200: the change is committed as this version. For a repeated change id, it is the
    /// version it got before.
    Committed {
        /// This is the version of the order that the change made; an order's first version is 1.
        version: u32,
    },
    /// The status is 4xx: the answer says in so many words that the change is not written.
    Rejected {
        /// This says in words why the change was not written.
        reason: String,
    },
}

/// This is the body of a 503: something failed, and whether the change is committed is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, where, and what to do.
    pub error: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn directive() -> impl Strategy<Value = Directive> {
        prop_oneof![
            Just(Directive::Commit),
            any::<u32>().prop_map(Directive::HoldMs),
            Just(Directive::Veto),
        ]
    }

    prop_compose! {
        fn request()(
            order in proptest::option::of(any::<u128>()),
            to in proptest::option::of(proptest::sample::select(&ChangeType::ALL[..])),
            change: u128, attempt: u128, content: String, directive in directive(),
        ) -> ChangeRequest {
            ChangeRequest {
                order_id: order.map(Uuid::from_u128),
                to,
                change_id: Uuid::from_u128(change),
                attempt: Uuid::from_u128(attempt),
                content,
                directive,
            }
        }
    }

    proptest! {
        #[test]
        fn a_request_survives_json(request in request()) {
            let text = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(serde_json::from_slice::<ChangeRequest>(&text).unwrap(), request);
        }

        #[test]
        fn a_state_is_only_left_for_the_next_one(
            changes in proptest::collection::vec(proptest::sample::select(&ChangeType::ALL[..]), 0..40)
        ) {
            let rank = |s: Option<OrderState>| s.map_or(0, |s| s as usize + 1);
            let mut state = None;
            for change in changes {
                if !change.allowed_in(state) {
                    continue;
                }
                let next = change.next_state().or(state);
                let steps = rank(next) - rank(state);
                prop_assert_eq!(steps, usize::from(change != ChangeType::Amended));
                state = next;
            }
        }
    }

    #[test]
    fn a_regular_life_is_allowed_and_an_order_is_placed_once() {
        let mut state = None;
        for version in 1..10 {
            let change = ChangeType::for_version(version);
            assert!(change.allowed_in(state), "{change:?} in {state:?}");
            state = change.next_state().or(state);
            assert!(!ChangeType::Placed.allowed_in(state));
        }
        assert_eq!(state, Some(OrderState::Delivered));
    }

    #[test]
    fn nothing_but_placing_starts_an_order() {
        for change in ChangeType::ALL {
            assert_eq!(change.allowed_in(None), change == ChangeType::Placed);
        }
    }

    #[test]
    fn names_are_what_json_has() {
        for change in ChangeType::ALL {
            let json = serde_json::to_string(&change).unwrap();
            assert_eq!(json, format!("\"{}\"", change.name()));
        }
        for state in OrderState::ALL {
            assert_eq!(OrderState::from_name(state.name()), Some(state));
            let next = state.regular_change();
            assert_eq!(next.is_none(), state == OrderState::Delivered);
        }
    }

    #[test]
    fn answers_are_as_agreed() {
        let committed = serde_json::to_string(&Answer::Committed { version: 1 }).unwrap();
        assert_eq!(committed, r#"{"outcome":"committed","version":1}"#);
        let rejected = Answer::Rejected {
            reason: "no".into(),
        };
        assert_eq!(
            serde_json::to_string(&rejected).unwrap(),
            r#"{"outcome":"rejected","reason":"no"}"#
        );
    }
}
