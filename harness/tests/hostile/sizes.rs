//! Scenarios of no length, of a day's length, of very many orders and of one very long one.

use super::turn::beside_another;
use super::{Run, all, command, nothing_left, record, run, run_folder, run_on_schedule, wrongs};
use harness::history;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reports::record::Verdict;

/// A polling outbox with this workload, and nothing to fear.
fn scenario(workload: &str) -> String {
    format!(
        "name = \"sizes\"\n\n[workload]\n{workload}\n\n[strategy.polling]\nkind = \"polling\"\n\n\
         [expect.polling]\nlost = 0\n"
    )
}

/// Refused as a mistake in the file, before anything starts.
#[track_caller]
fn refused(workload: &str, said: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let ended = run(command(home.path(), &scenario(workload)));
    ended.with(2, said);
    assert!(!home.path().join("runs").exists());
}

#[test]
fn given_nothing_to_do_when_run_then_it_is_refused_with_the_remedy() {
    refused(
        "rate = 100\nduration = \"0s\"",
        &[
            "scenario.toml:5:12: `duration` is \"0s\", out of bounds",
            "must be from \"1ms\" to \"24h\"",
        ],
    );
    refused(
        "rate = 0\nduration = \"5s\"",
        &["scenario.toml:4:8: `rate` is 0, out of bounds"],
    );
    refused(
        "rate = 10\nduration = \"50ms\"",
        &[
            "rate and duration make less than one change",
            "raise `rate` or `duration`",
        ],
    );
    refused(
        "rate = 100\nduration = \"5s\"\nchanges_per_order = 0",
        &["`changes_per_order` is 0, out of bounds"],
    );
}

#[test]
fn given_more_than_a_day_when_run_then_it_is_refused_with_the_remedy() {
    refused(
        "rate = 1\nduration = \"25h\"",
        &[
            "`duration` is \"25h\", out of bounds",
            "must be from \"1ms\" to \"24h\"",
        ],
    );
    refused(
        "rate = 5000\nduration = \"24h\"",
        &[
            "rate and duration make 432000000 changes",
            "lower `rate` or `duration`",
        ],
    );
}

#[test]
fn given_one_order_with_100_000_changes_when_run_then_it_is_refused_with_the_reason() {
    refused(
        "rate = 1000\nduration = \"100s\"\nconnections = 1\nchanges_per_order = 100000",
        &[
            "`changes_per_order` is 100000, more than an order can take",
            "write 10000 or less: an order's attempts are an array in its row",
        ],
    );
}

#[test]
fn given_a_day_when_interrupted_after_a_while_then_it_ends_in_order_and_took_little_memory() {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let day = scenario("rate = 100\nduration = \"24h\"\nmin_committed_per_phase = 1");
    let mut under_way = Run::start(command(home.path(), &day));
    under_way.until_said("load: 8640000 changes in 24h");
    // Until there is work behind it and nearly a day before it.
    super::process(home.path(), "relay --config");
    let pid = under_way.pid();
    let sampled = std::time::Instant::now();
    while sampled.elapsed() < std::time::Duration::from_secs(5) {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let peak_mib = peak_mib(pid);
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();

    let ended = under_way.end();

    ended.with(
        3,
        &[
            "interrupted: healing and tearing down",
            "interrupted; what was recorded is in",
        ],
    );
    assert!(peak_mib < 300, "{peak_mib} MiB");
    nothing_left(home.path());
    let saved = history::load(&run_folder(home.path()).join("history/polling")).unwrap();
    assert!(!saved.history.requests.is_empty());
    assert_eq!(
        saved.history.requests.len(),
        saved.history.truth.len() + vetoed(&saved.history)
    );
}

fn vetoed(history: &history::History) -> usize {
    let vetoed = |r: &history::Request| r.outcome == history::Outcome::Rejected;
    history.requests.iter().filter(vetoed).count()
}

/// Largest resident set so far.
fn peak_mib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    kib / 1024
}

#[test]
fn given_8_000_orders_of_one_change_when_run_then_all_are_accounted_for() {
    all_are_accounted_for(2);
}

#[test]
fn given_100_000_orders_of_one_change_when_run_then_all_are_accounted_for() {
    if all::is_asked_for() {
        all_are_accounted_for(25);
    }
}

/// As many orders as there can be within so many seconds.
#[track_caller]
fn all_are_accounted_for(seconds: u64) {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let orders = 4000 * seconds;
    // What is not sent in time on a slow machine is sent later, as long as requests may take, and
    // drained later.
    let load = format!(
        "rate = 4000\nduration = \"{seconds}s\"\nchanges_per_order = 1\npayload_bytes = 64\n\
         request_timeout = \"60s\"\nconnections = 64"
    );
    let many = scenario(&load) + "\n[drain]\nwithin = \"120s\"\n";

    let ended = run(command(home.path(), &many));

    // No order has two versions, so that none could have been swapped, and that is said; apart
    // from it, only this machine's speed may be.
    let said = format!("{}{}", ended.out, ended.err);
    assert_eq!(ended.code, Some(3), "{said}");
    let record = record(home.path());
    let polling = &record.strategies[0];
    let counts = &polling.counts;
    assert_eq!(counts.offered, orders, "{said}");
    assert_eq!(
        counts
            .committed
            .zip(polling.outcomes.neither)
            .map(|(c, n)| c + n),
        Some(orders),
        "{said}"
    );
    assert_eq!(counts.observed, counts.committed, "{said}");
    assert_eq!(wrongs(polling), Some(0), "{said}");
    let pairs = "reordered: no two versions of an order were ever in flight together";
    assert!(polling.reasons.iter().any(|r| r.contains(pairs)), "{said}");
    let speed = ["what was measured is the", "were held back"];
    let honest =
        |reason: &String| reason.contains(pairs) || speed.iter().any(|word| reason.contains(word));
    assert!(polling.reasons.iter().all(honest), "{said}");
    nothing_left(home.path());
}

#[test]
fn given_one_very_long_order_when_run_then_the_verdict_is_clear() {
    // One client, so that one order is under way at a time, of as many changes as one may have.
    let one = scenario(
        "load = \"closed\"\nclients = 1\nduration = \"10s\"\nchanges_per_order = 10000\n\
         hold_ratio = 0",
    );

    let (home, ended) = run_on_schedule(&one);

    let all = format!("{}{}", ended.out, ended.err);
    ended.with(0, &[]);
    let record = record(home.path());
    assert_eq!(record.verdict, Verdict::Pass, "{all}");
    let polling = &record.strategies[0];
    assert_eq!(wrongs(polling), Some(0), "{all}");
    let saved = history::load(&run_folder(home.path()).join("history/polling")).unwrap();
    let of_the_first = saved.history.truth.iter().filter(|row| row.order == 0);
    // Long enough that a mistake which grows with an order's length would show, on any machine.
    assert!(of_the_first.count() > 500, "{all}");
    nothing_left(home.path());
}
