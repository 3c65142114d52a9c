//! Parts of the referee that do not do their work, and a system that never did: a run that proves
//! nothing passes nothing.

mod forwarder;
mod powerless;
mod short_sighted;
mod stalled;

use crate::case::{Case, Find, USUAL, cases};
use reports::record::Verdict;

/// A case without a verdict.
const UNKNOWN: Case = Case {
    defect: "honest",
    verdict: Verdict::Unknown,
    ..USUAL
};

cases! {
    given_a_nemesis_that_does_nothing_when_judged_then_no_fault_bit: Case {
        number: "27a",
        what: "a nemesis that does nothing: Toxiproxy takes every order and lets everything through",
        load: "rate = 300\nduration = \"3s\"",
        more: "[[fault]]\ntarget = \"relay->kafka\"\nkind = \"latency\"\nlatency = \"300ms\"\nat = \"1s\"\nfor = \"1s\"\n\n\
            [[fault]]\ntarget = \"orders->postgres\"\nkind = \"down\"\nat = \"1s\"\nfor = \"1s\"",
        run: powerless::run,
        bites: false,
        inconclusive: &[
            "fault `latency relay->kafka` did not bite",
            "fault `down orders->postgres` did not bite",
        ],
        ..UNKNOWN
    };

    given_an_observer_that_reads_half_when_judged_then_it_was_blind: Case {
        number: "27b",
        what: "an observer that reads half: its connection passes nothing from the middle of the run on",
        run: short_sighted::run,
        inconclusive: &["the live observer has not seen offset"],
        ..UNKNOWN
    };

    given_a_generator_that_stalls_when_judged_then_it_measured_itself: Case {
        number: "27c",
        what: "a generator that stalls: the harness is stopped for a second in the middle",
        load: "rate = 300\nduration = \"3s\"",
        run: stalled::run,
        inconclusive: &["what was measured is the generator"],
        ..UNKNOWN
    };

    given_a_relay_that_never_starts_when_judged_then_everything_is_undrained: Case {
        number: "27d",
        defect: "never-starts",
        what: "a relay that says that it is ready and never works",
        finds: &[Find {
            anomaly: "undrained",
            count: |ran| ran.admitted("left"),
            least: 400,
            words: "all that is committed",
        }],
        also: |ran| assert_eq!(ran.admitted("left"), ran.committed()),
        inconclusive: &["reordered: no two versions of an order were ever in flight together"],
        open: &["reordered"],
        ..USUAL
    };
}
