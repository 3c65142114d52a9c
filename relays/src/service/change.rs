//! A change as the write paths take it: checked, and complete.

use crate::order::{ChangeRequest, ChangeType, Directive};
use std::time::Duration;
use uuid::Uuid;

/// Longest hold a client may ask for: it keeps a connection and a row lock.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(10);

/// This is one change of one order, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub order: Uuid,
    pub kind: ChangeType,
    pub change_id: Uuid,
    pub attempt: Uuid,
    pub content: String,
    pub directive: Directive,
}

impl Change {
    /// Makes the change from the body of `POST /orders`. The error says what is wrong with it and what is right.
    pub fn placing(request: ChangeRequest) -> Result<Self, String> {
        if let Some(to) = request.to
            && to != ChangeType::Placed
        {
            return Err(format!(
                "POST /orders places an order, it cannot make it `{}`: leave `to` out, or POST to \
                 /orders/ID/transitions",
                to.name()
            ));
        }
        let order = request.order_id.ok_or(
            "`order_id` is missing: the client chooses the id of a new order, a UUID".to_owned(),
        )?;
        Self::new(order, ChangeType::Placed, request)
    }

    /// Makes the change from the path and the body of `POST /orders/{id}/transitions`.
    /// The error says what is wrong with them and what is right.
    pub fn transition(order: &str, request: ChangeRequest) -> Result<Self, String> {
        let order = Uuid::try_parse(order)
            .map_err(|e| format!("`{order}` in the path is no order id, which is a UUID: {e}"))?;
        if request.order_id.is_some_and(|id| id != order) {
            return Err("`order_id` differs from the id in the path: leave it out".to_owned());
        }
        let kind = request.to.ok_or_else(|| {
            "`to` is missing: one of paid, shipped, delivered, amended".to_owned()
        })?;
        if kind == ChangeType::Placed {
            return Err("an order is placed with POST /orders, not by a transition".to_owned());
        }
        Self::new(order, kind, request)
    }

    fn new(order: Uuid, kind: ChangeType, request: ChangeRequest) -> Result<Self, String> {
        if let Directive::HoldMs(ms) = request.directive
            && Duration::from_millis(ms.into()) > HOLD_MAX
        {
            return Err(format!("`hold_ms` is {ms}: at most {HOLD_MAX:?}"));
        }
        Ok(Self {
            order,
            kind,
            change_id: request.change_id,
            attempt: request.attempt,
            content: request.content,
            directive: request.directive,
        })
    }
}

/// This says what became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is committed as this version.
    Committed { version: u32 },
    /// It is not committed, and this attempt never will be.
    Rejected { why: Rejection, reason: String },
    /// Something failed; it may be committed or not.
    Failed { error: String },
}

/// These are the kinds of rejection; HTTP gives each its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    /// There is no such order.
    UnknownOrder,
    /// The order's state, or its existence, forbids it.
    Conflict,
    /// A business rule forbids it.
    Forbidden,
    /// Something that it depends on does not work, so it was undone.
    Dependency,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request() -> ChangeRequest {
        ChangeRequest {
            order_id: None,
            to: None,
            change_id: Uuid::from_u128(1),
            attempt: Uuid::from_u128(2),
            content: "c".into(),
            directive: Directive::Commit,
        }
    }

    #[test]
    fn placing_takes_an_order_id_and_no_other_change() {
        let order_id = Some(Uuid::from_u128(7));
        let error = Change::placing(request()).unwrap_err();
        assert!(error.contains("order_id"), "{error}");
        let paid = ChangeRequest {
            order_id,
            to: Some(ChangeType::Paid),
            ..request()
        };
        assert!(Change::placing(paid).unwrap_err().contains("transitions"));
        for to in [None, Some(ChangeType::Placed)] {
            let good = ChangeRequest {
                order_id,
                to,
                ..request()
            };
            assert_eq!(Change::placing(good).unwrap().kind, ChangeType::Placed);
        }
    }

    #[test]
    fn a_transition_takes_its_order_from_the_path() {
        let id = Uuid::from_u128(7);
        let pay = ChangeRequest {
            to: Some(ChangeType::Paid),
            ..request()
        };
        let change = Change::transition(&id.to_string(), pay.clone()).unwrap();
        assert_eq!((change.order, change.kind), (id, ChangeType::Paid));
        let place = ChangeRequest {
            to: Some(ChangeType::Placed),
            ..request()
        };
        let error = Change::transition(&id.to_string(), place).unwrap_err();
        assert!(error.contains("POST /orders"), "{error}");
        assert!(Change::transition("7", pay.clone()).is_err());
        assert!(Change::transition(&id.to_string(), request()).is_err());
        let other = ChangeRequest {
            order_id: Some(Uuid::from_u128(8)),
            ..pay
        };
        assert!(Change::transition(&id.to_string(), other).is_err());
    }

    #[test]
    fn a_hold_is_bounded() {
        let held = |ms| ChangeRequest {
            order_id: Some(Uuid::from_u128(7)),
            directive: Directive::HoldMs(ms),
            ..request()
        };
        assert!(Change::placing(held(10_000)).is_ok());
        assert!(Change::placing(held(10_001)).is_err());
    }
}
