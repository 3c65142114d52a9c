//! The changes of one order that every write path is tried with.

use super::committed;
use super::given::{Given, event_text, placing, transition};
use relays::order::{ChangeRequest, ChangeType, Directive};
use reqwest::StatusCode;
use uuid::Uuid;

/// An order's first two versions.
pub struct TwoVersions {
    pub order: Uuid,
    pub place: ChangeRequest,
    pub pay: ChangeRequest,
}

impl TwoVersions {
    /// Sends both. Between them one is vetoed and another is against the order's state, and the last one is sent
    /// again by a client that did not hear of it: neither makes a version.
    pub async fn send(given: &Given) -> Self {
        let order = Uuid::new_v4();
        let (place, pay) = (placing(order), transition(ChangeType::Paid));
        let vetoed = ChangeRequest {
            directive: Directive::Veto,
            ..pay.clone()
        };
        let repeated = ChangeRequest {
            attempt: Uuid::new_v4(),
            ..pay.clone()
        };
        let (status, answer) = given.change(order, &place).await;
        assert_eq!((status, answer), (StatusCode::CREATED, committed(1)));
        let (status, _) = given.change(order, &vetoed).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let ship = transition(ChangeType::Shipped);
        assert_eq!(given.change(order, &ship).await.0, StatusCode::CONFLICT);
        for change in [&pay, &repeated] {
            assert_eq!(given.change(order, change).await.1, committed(2));
        }
        Self { order, place, pay }
    }

    /// The events that must come of them, in order.
    pub fn events(&self) -> [String; 2] {
        [
            event_text(self.order, 1, &self.place),
            event_text(self.order, 2, &self.pay),
        ]
    }
}
