//! The rules, a file for each of what they are about, in the order in which they are tried.

mod connections;
mod directives;
mod orders;
mod refusals;
mod repeats;
mod writers;

use super::{Fault, Rule};
use futures::FutureExt;

/// These are all rules of the contract, in the order in which they are tried.
pub const RULES: &[Rule] = &[
    Rule {
        name: "health",
        what: "GET /health answers 2xx once the service works",
        remedy: "answer it as soon as orders can be placed, and not before; a run waits for it",
        check: |subject| connections::health(subject).boxed(),
    },
    Rule {
        name: "places",
        what: "POST /orders places an order: 2xx with {\"outcome\":\"committed\",\"version\":1}",
        remedy: "answer with this JSON, as the whole body, once the transaction is committed",
        check: |subject| orders::places(subject).boxed(),
    },
    Rule {
        name: "versions",
        what: "each change of an order gets its next version: 2, 3, 4 and so on",
        remedy: "count the committed changes of the order, in the transaction and under its lock; a sequence leaves gaps",
        check: |subject| orders::versions(subject).boxed(),
    },
    Rule {
        name: "repeats",
        what: "a change that is sent again is answered as before, and not made again",
        remedy: "keep `change_id` with the version that it made, in the same transaction, and look there first",
        check: |subject| repeats::one_after_the_other(subject).boxed(),
    },
    Rule {
        name: "repeats-at-once",
        what: "so is one that is sent again while the first is under way",
        remedy: "lock the order before you look for the change, or let a unique index on order and change decide",
        check: |subject| repeats::at_once(subject).boxed(),
    },
    Rule {
        name: "writers",
        what: "several writers of one order get a version each, none twice and none left out",
        remedy: "lock the order's row (select ... for update), or let a unique index on order and version decide and try again",
        check: |subject| writers::of_one_order(subject).boxed(),
    },
    Rule {
        name: "unknown-order",
        what: "a change of an order that is not there is refused with 4xx",
        remedy: "answer 404; an order begins with POST /orders",
        check: |subject| refusals::unknown_order(subject).boxed(),
    },
    Rule {
        name: "wrong-state",
        what: "a change that the order's state does not allow is refused with 4xx, and not made",
        remedy: "answer 409: placed, paid, shipped, delivered come one after the other; amended comes at any time",
        check: |subject| refusals::wrong_state(subject).boxed(),
    },
    Rule {
        name: "placed-twice",
        what: "an order that is there is not placed again by another change: 4xx",
        remedy: "answer 409, unless it is the same `change_id`",
        check: |subject| refusals::placed_twice(subject).boxed(),
    },
    Rule {
        name: "says-no",
        what: "a refusal says so: {\"outcome\":\"rejected\",\"reason\":...} with its 4xx",
        remedy: "answer with this JSON; a bare status could be anybody's, and counts as no answer",
        check: |subject| refusals::says_no(subject).boxed(),
    },
    Rule {
        name: "malformed",
        what: "what is no request of the contract is refused with 4xx, and nothing else suffers",
        remedy: "answer 400; a 5xx leaves open whether something was committed",
        check: |subject| refusals::malformed(subject).boxed(),
    },
    Rule {
        name: "veto",
        what: "with \"directive\": \"veto\" the change is written, rolled back, and refused with 4xx",
        remedy: "do all that a change does, its outbox too, then roll the transaction back and answer 422",
        check: |subject| directives::veto(subject).boxed(),
    },
    Rule {
        name: "hold",
        what: "with \"directive\": {\"hold_ms\": N} the transaction stays open so long before its commit",
        remedy: "wait between the last write and the commit",
        check: |subject| directives::hold(subject).boxed(),
    },
    Rule {
        name: "size",
        what: "a content of 900,000 bytes is taken",
        remedy: "raise the limit on bodies to 1,000,000 bytes; Kafka takes such a record as it is",
        check: |subject| orders::size(subject).boxed(),
    },
    Rule {
        name: "connections",
        what: "64 connections are served at once",
        remedy: "serve each in a thread or task of its own: the load sends what is due, however many are outstanding",
        check: |subject| connections::at_once(subject).boxed(),
    },
    Rule {
        name: "keep-alive",
        what: "a connection stays open after an answer",
        remedy: "speak HTTP/1.1 and leave it open; each change would open one of its own otherwise",
        check: |subject| connections::keep_alive(subject).boxed(),
    },
];

/// Broken, unless it is so.
fn or_broken(kept: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    match kept {
        true => Ok(()),
        false => Err(Fault::Broken(what())),
    }
}
