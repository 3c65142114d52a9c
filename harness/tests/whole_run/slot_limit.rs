//! A server that keeps only so much log for a slot, and a relay that is away for longer than that.

use super::{only_run, record, run};
use reports::record::Verdict;

const TOO_LONG_AWAY: &str = r#"
name = "slot-limit"
description = "The relay is away until its slot is lost."
seed = 7

[stack]
max_slot_wal_keep_size = "16MiB"

[workload]
rate = 200
duration = "8s"
payload_bytes = 50000
min_committed_per_phase = 0

[[fault]]
target = "relay"
kind = "pause"
at = "1s"
for = "6s"

[drain]
within = "5s"
settle = "200ms"

[strategy.cdc]
kind = "cdc"
"#;

#[test]
fn given_a_slot_that_was_lost_when_the_relay_is_back_then_it_says_so_and_ends_and_nothing_is_called_good()
 {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), TOO_LONG_AWAY, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    let record = record(&only_run(home.path()));
    let cdc = &record.strategies[0];
    assert_eq!(cdc.verdict, Verdict::Fail, "{said}");
    // Nothing comes from the log any more, and the table has it all.
    let counts = &cdc.counts;
    assert!(counts.undrained > Some(0), "{counts:?}");
    assert_eq!(counts.lost, Some(0));
    let reasons = cdc.reasons.join("\n");
    assert!(reasons.contains("it exited with code 4"), "{reasons}");
    assert!(reasons.contains("SQLSTATE 55000"), "{reasons}");
    let environment = &record.stack.environment;
    assert_eq!(environment["max_slot_wal_keep_bytes"], "16777216");
}
