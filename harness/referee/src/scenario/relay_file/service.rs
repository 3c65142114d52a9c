//! `[service]` and `[truth]` of a relay's file: an order service that takes the place of ours, and the
//! query that says what it committed.

use super::process::{self, ForeignProcess, Role};
use super::template::Template;
use super::{PLACEHOLDERS, template};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An order service that was not written here. It keeps the contract of docs/order-service.openapi.json,
/// and what it committed in whatever tables it likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignService {
    /// This says how the service's process is started, known to work, and stopped.
    pub process: ForeignProcess,
    /// This says how the referee reads what the service committed.
    pub truth: Truth,
}

/// What an order service committed, as a query tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Gives the order, the version and the attempt of every change that is committed, in this order.
    pub query: Template,
    /// Where it stands, `FILE:LINE`, for whoever has to mend it.
    pub place: String,
}

/// These are the keys that `[truth]` can have.
pub(super) const KEYS: [KeyInfo; 1] = [KeyInfo::required(
    "query",
    Shape::Text,
    "gives the order's id, the version and the attempt of every committed change",
)];

/// Reads both tables; `at` names the place of a byte of the file.
pub(super) fn read(
    service: Section<'_>,
    truth: Option<Section<'_>>,
    home: &Path,
    at: impl Fn(usize) -> String,
) -> Option<ForeignService> {
    if truth.is_none() {
        service.problem(
            service.span(),
            "there is a [service], and no [truth] that tells what it committed",
            format!("add [truth] and a line such as `{EXAMPLE}`"),
        );
    }
    let process = process::read(service, home, Role::Service);
    let truth = truth.and_then(|mut s| {
        let entry = s.required("query", EXAMPLE);
        let query = entry.and_then(|e| {
            let text = s.text(e)?;
            Some(Truth {
                query: template(&s, e, text, &PLACEHOLDERS)?,
                place: at(e.span().start),
            })
        });
        s.finish();
        query
    });
    Some(ForeignService {
        process: process?,
        truth: truth?,
    })
}

/// A line that would do.
const EXAMPLE: &str = "query = \"select order_id, version, attempt from order_changes\"";
