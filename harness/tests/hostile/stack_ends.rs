//! Processes that end in the middle of a run though nobody told them to. A server's end is the
//! stack's failure; the end of an order service or relay is the system's own, unless a signal from
//! outside ended it: then nothing is proved.

use super::turn::beside_another;
use super::{POLLING, Run, command, nothing_left, process, record, run_folder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reports::record::Verdict;

/// Kills the process with this word in its command line as soon as the run has said `moment`.
fn killed(word: &str, moment: &str) -> (tempfile::TempDir, super::Ended) {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let mut run = Run::start(command(home.path(), POLLING));
    run.until_said(moment);
    kill(Pid::from_raw(process(home.path(), word)), Signal::SIGKILL).unwrap();
    let ended = run.end();
    (home, ended)
}

#[track_caller]
fn the_stack_failed(word: &str, moment: &str, name: &str, log_says: &str) {
    let (home, ended) = killed(word, moment);

    let failed = format!(
        "the stack failed: {name} was to run until it is told to end: it was ended by signal 9"
    );
    ended.with(4, &[&failed, log_says]);
    nothing_left(home.path());
    assert!(!run_folder(home.path()).join("record.json").exists());
    assert_eq!(ended.out, "");
}

#[test]
fn given_a_load_when_postgres_dies_then_the_stack_failed_and_its_log_is_shown() {
    the_stack_failed(
        "/postgres -D",
        "load:",
        "postgres-server",
        "ready to accept connections",
    );
}

#[test]
fn given_a_load_when_kafka_dies_then_the_stack_failed() {
    the_stack_failed("kafka.Kafka", "load:", "kafka-server", "");
}

#[test]
fn given_a_load_when_toxiproxy_dies_then_the_stack_failed() {
    the_stack_failed("toxiproxy-server", "load:", "toxiproxy", "");
}

#[test]
fn given_the_fence_when_postgres_dies_then_the_stack_failed() {
    the_stack_failed(
        "/postgres -D",
        "fence 5",
        "postgres-server",
        "--- last lines of ",
    );
}

#[track_caller]
fn nothing_was_proved(word: &str) {
    let (home, ended) = killed(&format!(" {word} --config"), "load:");

    let died = format!("{word}: run until it is told to end: it was ended by signal 9");
    ended.with(3, &[&died, "out of memory (see dmesg)"]);
    nothing_left(home.path());
    let record = record(home.path());
    assert_eq!(record.verdict, Verdict::Unknown);
    let reasons = &record.strategies[0].reasons;
    assert!(
        reasons[0].contains(&format!("'s {word} died at ")),
        "{reasons:?}"
    );
    let why = ": it was ended by signal 9, which somebody sent it, or the kernel";
    assert!(reasons[0].contains(why), "{reasons:?}");
}

#[test]
fn given_a_load_when_somebody_kills_the_relay_then_nothing_is_proved() {
    nothing_was_proved("relay");
}

#[test]
fn given_a_load_when_somebody_kills_the_order_service_then_nothing_is_proved() {
    nothing_was_proved("order-service");
}
