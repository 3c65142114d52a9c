//! EventBridge as the broker of a run: what is said where its emulator is not installed.

use super::says_what_brings;

const RUN: &str = r#"
name = "eventbridge"
description = "A run on the emulator of EventBridge."
seed = 7

[workload]
rate = 30
duration = "4s"

[strategy.polling]
kind = "polling"
broker = "eventbridge"
"#;

#[test]
fn given_no_emulator_when_a_strategy_publishes_to_eventbridge_then_the_stack_says_what_brings_it() {
    says_what_brings("eventbridge", RUN);
}
