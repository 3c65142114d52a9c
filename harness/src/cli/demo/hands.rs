//! What keys do, whoever presses them: the terminal's, the page's.

use super::board::Board;
use crate::cli::live::screen::Performance;
use crate::cli::live::shown::Shown;
use crate::run::keyboard::Keyboard;
use nix::sys::signal::{Signal, raise};
use std::sync::Arc;

/// They reach the keyboard, and say on the board what became of it.
#[derive(Clone)]
pub struct Hands {
    /// Where the answer is noted.
    pub board: Arc<Board>,
    /// Faults wait for the keys of this keyboard.
    pub keyboard: Arc<Keyboard>,
}

impl Performance for Hands {
    fn shown(&self) -> Shown {
        Shown::of(&self.board.now())
    }

    fn press(&self, key: char) {
        match key {
            'q' => self.quit(),
            'h' => {
                self.keyboard.heal();
                self.board.answer("h: all is healed".to_owned());
            }
            key => self.board.pressed(key, self.keyboard.press(key)),
        }
    }

    /// As Ctrl-C in a terminal that is not raw, so that there is one way out.
    fn quit(&self) {
        let answer = match self.board.now().ending {
            None => "ending in order: healed, torn down, told (once more ends it at once)",
            Some(_) => "ending",
        };
        self.board.answer(answer.to_owned());
        // A process can always signal itself.
        let _ = raise(Signal::SIGINT);
    }
}
