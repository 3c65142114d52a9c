//! Processes that end in the middle of a run though nobody told them to. A server's end is the
//! stack's failure; the end of an order service or relay is the system's own, unless a signal from
//! outside ended it: then nothing is proved.

use super::turn::beside_another;
use super::{POLLING, Run, SHORT, command, nothing_left, process, record, run_folder};
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
    assert_eq!(ended.out, "");
    // What could not be run is in every file that a CI server reads, and red there
    let record = record(home.path());
    let names: Vec<&str> = record.not_run.iter().map(|s| &*s.strategy).collect();
    assert_eq!((record.verdict, names), (Verdict::Unknown, vec!["polling"]));
    assert!(record.not_run[0].why.contains(&failed), "{record:?}");
    let junit = std::fs::read_to_string(run_folder(home.path()).join("junit.xml")).unwrap();
    assert!(junit.contains("errors=\"1\""), "{junit}");
}

#[test]
fn given_a_standby_that_all_commits_wait_for_when_it_dies_then_the_stack_failed() {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let scenario = POLLING.to_owned() + "[stack]\nsynchronous_standby = true\n";
    let mut run = Run::start(command(home.path(), &scenario));
    run.until_said("load:");
    let standby = process(home.path(), "pg_receivewal");
    kill(Pid::from_raw(standby), Signal::SIGKILL).unwrap();
    let ended = run.end();
    let failed = "the stack failed: postgres-standby was to run until it is told to end: it was ended \
                  by signal 9";
    ended.with(4, &[failed]);
    nothing_left(home.path());
}

#[test]
fn given_a_second_strategy_when_kafka_dies_then_the_first_ones_judgement_stays() {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let scenario = SHORT.to_owned() + "[strategy.second]\nkind = \"cdc\"\n";
    let (json, junit) = (home.path().join("json"), home.path().join("junit"));
    let mut command = command(home.path(), &scenario);
    command.arg("--json").arg(&json).arg("--junit").arg(&junit);
    // Given a run whose first strategy is judged
    let mut run = Run::start(command);
    run.until_said("strategy second");
    // When a server dies
    let kafka = process(home.path(), "kafka.Kafka");
    kill(Pid::from_raw(kafka), Signal::SIGKILL).unwrap();
    let ended = run.end();
    // Then the stack failed, and what was judged is in every file, beside what was not run
    ended.with(4, &["the stack failed: kafka-server was to run"]);
    assert!(
        ended
            .out
            .contains("second could not be run: the stack failed"),
        "{}",
        ended.out
    );
    let written = reports::json::parse(&std::fs::read(json).unwrap()).unwrap();
    for record in [record(home.path()), written] {
        assert_eq!(record.strategies.len(), 1);
        assert!(record.strategies[0].counts.committed > Some(0));
        assert_eq!(record.not_run.len(), 1);
        assert_ne!(record.verdict, Verdict::Pass);
    }
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("<testcase name=\"lost\""), "{junit}");
    let not_run = junit.contains("<error message=\"the stack failed: kafka-server")
        && junit.contains("type=\"not run\">");
    assert!(not_run, "{junit}");
}

#[test]
fn given_two_files_when_interrupted_twice_in_the_second_then_the_first_ones_judgement_stays() {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let missed = SHORT.to_owned() + "end_to_end_p50 = \"<= 1us\"\n";
    let later = home.path().join("later.toml");
    std::fs::write(&later, POLLING.replace("polling]", "later]")).unwrap();
    let junit = home.path().join("junit");
    let mut command = command(home.path(), &missed);
    command.arg(later).arg("--junit").arg(&junit);
    // Given a first file that is judged, and a second one under way
    let mut run = Run::start(command);
    run.until_said("later: setting up");
    // When it is interrupted, and again
    let harness = Pid::from_raw(run.pid());
    kill(harness, Signal::SIGINT).unwrap();
    run.until_said("once more ends it at once");
    kill(harness, Signal::SIGINT).unwrap();
    let ended = run.end();
    // Then the miss is still one, and the second file is there as what was not run
    ended.with(1, &["polling: fail"]);
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(
        junit.contains("<failure message=\"expected end_to_end_p50 &lt;= 1us"),
        "{junit}"
    );
    assert!(
        junit.contains("<error message=\"interrupted twice"),
        "{junit}"
    );
    assert!(junit.contains(".later\""), "{junit}");
    nothing_left(home.path());
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
        reasons[0].contains(&format!("'s {word} died ")),
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
