//! Demos as tests need them, without a stack.

use super::hands::Hands;
use super::programme::Programme;
use crate::cli::live::board::Board;
use crate::nemesis::Turn;
use crate::run::Event;
use crate::run::keyboard::Keyboard;
use crate::run::lane_counts::LaneCounts;
use std::sync::Arc;
use std::time::Duration;

/// The load lasts so long, which is longer than any test.
const LOAD: Duration = Duration::from_secs(3600);

/// Orders come in, and nothing is broken.
pub fn under_load() -> Board {
    let board = Programme::by_hand().unwrap().board();
    for lane in 0..3 {
        let begins = Event::LoadStarted {
            begins_in: Duration::ZERO,
            duration: LOAD,
            planned: 1,
        };
        board.in_lane(lane, begins);
    }
    board
}

/// The broker is cut, in the middle of a load.
pub fn broken() -> Board {
    let board = under_load();
    breaks(&board);
    board
}

/// Cuts it on this board.
pub fn breaks(board: &Board) {
    for lane in 0..3 {
        let cut = Event::Fault {
            what: String::new(),
            turn: Some((0, Turn::Injected)),
        };
        board.in_lane(lane, cut);
        let counts = LaneCounts {
            committed: Some(2_357),
            events: Some(1_879),
            missing: Some(478),
            lost: Some(if lane == 0 { 401 } else { 0 }),
            propagation_p99: Some(Duration::from_micros(4_870)),
            ..LaneCounts::ZERO
        };
        board.counts(lane, counts);
        board.counts(lane, counts);
    }
}

/// Returns keys that reach nothing but a keyboard.
pub fn hands(board: Board) -> Hands {
    let keyboard = Keyboard::of(&Programme::by_hand().unwrap().scenario);
    keyboard.open(LOAD);
    Hands {
        board: Arc::new(board),
        keyboard: Arc::new(keyboard),
    }
}
