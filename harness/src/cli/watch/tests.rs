use super::*;
use crate::cli::live::view::View;
use crate::history::FenceStep;
use crate::nemesis::Turn;
use crate::run::Event;
use crate::run::lane_counts::LaneCounts;
use crate::scenario::parse;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::time::Duration;

const OUTAGE: &str = r#"
name = "my-outage"
description = "Kafka is cut off, and the relay is killed."
seed = 1
[workload]
rate = 200
duration = "20s"
[[fault]]
target = "kafka"
kind = "down"
at = "2s"
for = "2s"
[[fault]]
target = "relay"
kind = "kill"
at = "8s"
for = "1s"
[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
[strategy.polling]
kind = "polling"
[strategy.cdc]
kind = "cdc"
[expect.naive]
lost = ">= 1"
"#;

fn given() -> Board {
    let scenario = parse("my-outage.toml", OUTAGE).unwrap();
    board(&scenario, None, (2, 5))
}

fn begins(board: &Board, lane: usize) {
    let strategy = board.now().lanes[lane].name.clone();
    let kind = String::new();
    board.in_lane(lane, Event::StrategyStarted { strategy, kind });
}

fn loads(board: &Board, lane: usize) {
    let load = Event::LoadStarted {
        begins_in: Duration::ZERO,
        duration: Duration::from_secs(3600),
        planned: 1,
    };
    board.in_lane(lane, load);
}

fn breaks(board: &Board, lane: usize, fault: u32, turn: Turn) {
    let turn = Some((fault, turn));
    let what = String::new();
    board.in_lane(lane, Event::Fault { what, turn });
}

/// The first strategy loses while Kafka is cut off.
fn breaking() -> Board {
    let board = given();
    begins(&board, 0);
    loads(&board, 0);
    breaks(&board, 0, 0, Turn::Injected);
    let counts = LaneCounts {
        committed: Some(2_357),
        events: Some(1_879),
        missing: Some(478),
        lost: Some(401),
        ..LaneCounts::ZERO
    };
    board.counts(0, counts);
    board
}

/// That one is judged, and the second one is under load.
fn in_turn() -> Board {
    let board = breaking();
    breaks(&board, 0, 0, Turn::Healed);
    let step = FenceStep::Outcomes;
    board.in_lane(0, Event::Fence { step });
    let expected = |metric: &str, expected: &str, met| reports::record::Expectation {
        metric: metric.to_owned(),
        expected: expected.to_owned(),
        observed: None,
        met: Some(met),
        implicit: false,
        reason: String::new(),
    };
    let judged = Event::StrategyJudged {
        strategy: "naive".to_owned(),
        verdict: "fail".to_owned(),
        counts: LaneCounts {
            committed: Some(5_875),
            events: Some(4_346),
            missing: Some(1_529),
            lost: Some(1_529),
            ..LaneCounts::ZERO
        },
        expectations: vec![
            expected("lost", ">= 1", true),
            expected("phantom", "0", false),
        ],
    };
    board.in_lane(0, judged);
    begins(&board, 1);
    loads(&board, 1);
    breaks(&board, 1, 1, Turn::Injected);
    board
}

fn drawn(board: &Board, (width, height): (u16, u16), explains: bool) -> String {
    let view = View {
        shown: &Shown::of(&board.now()),
        explains,
        colour: false,
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n");
    text.collect()
}

fn shows(board: &Board, all: &[(&str, usize)]) {
    for size in [(80, 24), (200, 50)] {
        let text = drawn(board, size, false);
        for (said, times) in all {
            assert_eq!(text.matches(said).count(), *times, "{said} in:\n{text}");
        }
    }
}

#[test]
fn given_a_run_that_begins_then_every_strategy_waits_with_what_is_expected_of_it() {
    shows(
        &given(),
        &[
            ("my-outage · starting", 1),
            ("run 2 of 5", 1),
            (" naive ", 1),
            (" polling ", 1),
            (" cdc ", 1),
            ("waits for its turn", 3),
            ("lost >= 1", 1),
            ("q interrupt", 1),
            ("? explain", 1),
            // Of what does not run there are no parts.
            (" up ", 0),
        ],
    );
}

#[test]
fn given_the_first_strategy_under_load_then_what_is_broken_and_lost_is_in_its_lane_alone() {
    shows(
        &breaking(),
        &[
            ("naive, 1 of 3: orders come in: 0 of 3600 s", 1),
            ("2,357", 1),
            (" CUT ", 1),
            ("waits for its turn", 2),
            ("0.0 s down kafka", 1),
            ("under load", 1),
        ],
    );
}

#[test]
fn given_a_strategy_that_is_judged_then_its_lane_keeps_its_verdict_and_the_timeline_is_the_next_ones()
 {
    shows(
        &in_turn(),
        &[
            ("polling, 2 of 3: orders come in", 1),
            ("─ judged: fail ", 1),
            ("5,875", 1),
            ("phantom = 0", 3),
            (" KILLED ", 1),
            ("waits for its turn", 1),
            ("0.0 s kill relay", 1),
            // What was broken in the first lane is not on the second one's timeline.
            ("down kafka", 0),
            ("CUT", 0),
            ("naive is judged: fail", 1),
        ],
    );
    let lanes = Shown::of(&in_turn().now()).lanes;
    let words: Vec<&str> = lanes[0].promises.iter().map(|p| p.words).collect();
    assert_eq!(words, ["met", "missed"]);
    assert_eq!(lanes[0].punchline.n, Some(1_529));
    assert_eq!(lanes[0].rates.last(), Some(&(0, 0)));
    assert_eq!(lanes[2].punchline.words, "its turn comes");
}

#[test]
fn given_a_fault_that_was_told_before_the_load_begins_then_its_time_counts_from_the_first_change() {
    let board = given();
    begins(&board, 0);
    let load = Event::LoadStarted {
        begins_in: Duration::from_secs(3600),
        duration: Duration::from_secs(1),
        planned: 1,
    };
    board.in_lane(0, load);
    breaks(&board, 0, 0, Turn::Injected);
    assert_eq!(board.now().marks[0].at_s, 0.0);
    assert_eq!(board.now().load_s, Some(0.0));
}

#[test]
fn given_one_strategy_of_a_scenario_then_there_is_one_lane_and_of_one_run_no_number() {
    let scenario = parse("my-outage.toml", OUTAGE).unwrap();
    let board = board(&scenario, Some("cdc"), (1, 1));
    begins(&board, 0);
    shows(
        &board,
        &[
            ("my-outage · cdc: starting", 1),
            (" naive ", 0),
            ("run 1 of 1", 0),
        ],
    );
}

#[test]
fn given_an_interruption_then_it_is_said_for_as_long_as_the_run_still_takes() {
    let board = breaking();
    let (interrupt, mut interrupted) = tokio::sync::watch::channel(false);
    interrupt.send_replace(true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let said = async {
        tokio::select! {
            never = says_when_interrupted(&board, &mut interrupted) => match never {},
            () = tokio::task::yield_now() => {}
        }
    };
    runtime.block_on(said);
    begins(&board, 1);
    shows(&board, &[("ending in order: healed, torn down", 1)]);
}

#[test]
fn given_a_question_mark_then_what_is_seen_is_explained_whole() {
    for size in [(80, 24), (200, 50)] {
        let text = drawn(&breaking(), size, true);
        for line in EXPLANATION.lines() {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
    }
}
