//! Relays that do their work and talk without end: what they do is judged, what they say is bounded.

use crate::bench::Ran;
use crate::case::telling;
use harness::history;
use reports::record::Verdict;

const SCENARIO: &str = r#"
name = "flood"

[workload]
rate = 200
duration = "4s"

[strategy.flood]
kind = "polling"

[expect.flood]
lost = 0
"#;

/// A log's bound, and what may stand behind it.
const LOG_BYTES_MAX: u64 = (8 << 20) + (16 << 10) + 200;
const HARNESS_BYTES_MAX: f64 = 300.0 * 1024.0 * 1024.0;
const MIB_AT_LEAST: u64 = 30;

/// It said much more than its log holds, and neither verdict nor memory suffered.
#[track_caller]
fn was_bounded(defect: &str) {
    let clear = |ran: &Ran| ran.tells(&[], 0) && ran.in_time(&[]);
    // It keeps a core busy.
    let ran = telling(true, clear, |turn| turn.run(defect, SCENARIO));
    ran.found(&[]);
    ran.judged(Verdict::Pass, &[], &[]);
    let said_mib = ran.admitted("block");
    assert!(said_mib > MIB_AT_LEAST, "only {said_mib} MiB");
    let log = ran.folder.join("logs/flood.relay.log");
    let length = std::fs::metadata(&log).unwrap().len();
    assert!(length <= LOG_BYTES_MAX, "{length}");
    let log = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    assert!(log.contains("--- this log is full: "));
    let saved = history::load(&ran.folder.join("history/flood")).unwrap();
    let sizes = saved.history.samples.iter();
    let sizes = sizes
        .filter(|s| s.series == "rss_bytes.harness")
        .map(|s| s.value);
    let peak = sizes.fold(0.0, f64::max);
    assert!(peak > 0.0 && peak < HARNESS_BYTES_MAX, "{peak}");
}

#[test]
fn given_a_relay_that_floods_its_logs_when_run_then_it_is_judged_by_its_work() {
    was_bounded("floods-its-logs");
}

#[test]
fn given_a_relay_whose_line_never_ends_when_run_then_it_is_judged_by_its_work() {
    was_bounded("never-ends-its-line");
}
