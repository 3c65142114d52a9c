use super::*;
use crate::checkers::fixture::{MS, S, add_fault, attempt, clean, naive, unpublish};
use crate::cli::live::screen::Performance;
use crate::cli::live::shown::Shown;
use crate::cli::live::view::View;
use crate::history::save;
use crate::scenario::{FaultKind, StrategyKind, Target};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// A run of a dual write that lost 30 events while Kafka was down, and of an outbox that lost none.
fn given() -> Arc<Replayed> {
    let folder = tempfile::tempdir().unwrap();
    let mut lost = clean(900, naive());
    let mut kept = clean(900, StrategyKind::Cdc {});
    for order in 300..330 {
        let gone = attempt(&lost, order, 2);
        unpublish(&mut lost, gone);
    }
    let mut strategies = lost.meta.scenario.strategies.clone();
    strategies[0].name = "naive".to_owned();
    strategies.append(&mut kept.meta.scenario.strategies);
    strategies[1].name = "cdc".to_owned();
    kept.meta.clock.origin_unix_ns += i128::from(60 * S);
    for (name, mut history) in [("naive", lost), ("cdc", kept)] {
        let down = (2_300 * MS, 2_800 * MS);
        add_fault(&mut history, Target::KAFKA, FaultKind::Down, down.0, down.1);
        history.meta.strategy = name.to_owned();
        history.meta.scenario.strategies = strategies.clone();
        history.meta.part_of.run = "outage-1".to_owned();
        history.meta.part_of.strategies = vec!["naive".to_owned(), "cdc".to_owned()];
        history.meta.started_at = "2026-11-29T09:02:55.123Z".to_owned();
        save(&history, &folder.path().join("history").join(name)).unwrap();
    }
    Arc::new(prepared(read(folder.path()).unwrap(), folder.path()))
}

fn drawn(shown: &Shown, (width, height): (u16, u16)) -> String {
    let view = View {
        shown,
        explains: false,
        colour: false,
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n");
    text.collect()
}

#[test]
fn given_a_run_when_it_is_in_the_middle_of_a_fault_then_the_view_shows_what_was_so_then() {
    let replayed = given();
    let shown = Shown::of(&replayed.now(2.5));
    for size in [(80, 24), (200, 50)] {
        let text = drawn(&shown, size);
        for (said, times) in [
            ("replay of outage-1 of 2026-11-29 09:02 UTC", 1),
            ("orders come in: 2 of 7 s", 1),
            (" naive ", 1),
            (" cdc ", 1),
            (" CUT ", 2),
            ("LOST", 1),
            ("in the outbox", 1),
            ("2.3 s down kafka", 1),
            ("space pause", 1),
            ("q end", 1),
        ] {
            assert!(text.matches(said).count() >= times, "{said} in:\n{text}");
        }
        assert!(!text.contains("over"), "{text}");
    }
    let healed = Shown::of(&replayed.now(2.9));
    assert!(healed.turns.ends_with("2.8 s over"), "{}", healed.turns);
    assert!(
        healed
            .lanes
            .iter()
            .flat_map(|lane| &lane.parts)
            .all(|part| !part.is_broken)
    );
}

#[test]
fn given_a_run_when_it_is_over_then_its_view_says_what_the_end_says() {
    let replayed = given();
    let now = replayed.now(replayed.lasts_s());
    let lost: Vec<Option<u64>> = now.lanes.iter().map(|lane| lane.counts.lost).collect();
    assert_eq!(lost, [Some(30), Some(0)]);
    for (lane, row) in now.lanes.iter().zip(&replayed.ending().rows) {
        assert_eq!(
            (lane.counts.committed, lane.counts.events),
            (row.committed, row.with_event)
        );
        assert!(lane.in_force.is_empty());
    }
    let shown = Shown::of(&now);
    assert_eq!(shown.when, "it is over");
    assert_eq!(shown.lanes[1].punchline.words, "none is missing");
    assert!(shown.said.starts_with("verdict: "), "{}", shown.said);
    assert_eq!(replayed.now(-1.0).lanes[0].counts.committed, Some(0));
}

#[test]
fn given_a_run_when_told_in_lines_then_they_are_the_same_each_time_and_each_thing_is_said_once() {
    let text = in_lines(&given());
    assert_eq!(text, in_lines(&given()));
    for said in [
        "replay of outage-1 of 2026-11-29 09:02 UTC\n",
        "[  0.0 s] the strategies ran one after the other",
        "[  0.0 s] orders come in, the same in both, for 7 s\n",
        "[  2.3 s] >>> down kafka\n",
        "[  2.8 s] <<< over: down kafka\n",
        "[  4.0 s] naive     1,500 committed  1,470 on the topic    30 missing, 30 LOST\n",
        "naive is judged: ",
        "cdc is judged: ",
    ] {
        assert_eq!(text.matches(said).count(), 1, "{said} in:\n{text}");
    }
}

#[test]
fn given_a_player_when_keys_are_pressed_then_it_stops_goes_on_is_moved_and_ends() {
    // So long that what passes while the test runs is nothing.
    let player = Player::new(given(), Duration::from_secs(1_000_000));
    player.press(RIGHT);
    player.press(RIGHT);
    let forth_s = player.shown().load_s.unwrap();
    assert!(forth_s > 1.0, "{forth_s}");
    player.press(LEFT);
    assert!(player.shown().load_s.unwrap() < forth_s);
    player.press(' ');
    let shown = player.shown();
    assert!(shown.said.starts_with("paused at "), "{}", shown.said);
    assert_eq!(shown.aside, "paused");
    player.press(' ');
    player.press('z');
    assert!(!player.shown().said.starts_with("paused") && !player.is_over());
    player.press('q');
    assert!(player.is_over());
}

#[test]
fn given_a_question_mark_then_what_is_seen_is_explained_whole_on_a_small_terminal() {
    let shown = Shown::of(&given().now(1.0));
    let view = View {
        shown: &shown,
        explains: true,
        colour: false,
    };
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let cells = terminal.backend().buffer().content();
    let text: String = cells.iter().map(|cell| cell.symbol()).collect();
    assert!(text.contains(EXPLANATION.lines().last().unwrap()), "{text}");
}

#[test]
fn given_a_time_of_a_record_then_it_is_told_to_the_minute_or_as_it_is() {
    assert_eq!(date("2026-11-29T09:02:55.123456Z"), "2026-11-29 09:02 UTC");
    for odd in ["", "yesterday", "2026-11-29T09:02:55+01:00"] {
        assert_eq!(date(odd), odd);
    }
}
