//! What keys do, whoever presses them: the terminal's, the page's.

use super::programme::{Action, actions};
use crate::cli::live::board::Board;
use crate::cli::live::screen::Performance;
use crate::cli::live::shown::Shown;
use crate::run::keyboard::{Keyboard, Press};
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
            key => {
                if let Some(answer) = answer_to(key, self.keyboard.press(key)) {
                    self.board.answer(answer);
                }
            }
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

/// What is said of a key that was pressed; `None` of one that does nothing.
fn answer_to(key: char, press: Press) -> Option<String> {
    let Action { does, .. } = actions().into_iter().find(|a| a.key == key)?;
    Some(match press {
        Press::Begins => format!("{key}: {does}"),
        Press::Unknown => return None,
        Press::TooEarly => format!("{key}: orders do not come in yet"),
        Press::TooLate => {
            format!("{key}: too late, what is broken now would not be seen to recover")
        }
        Press::InForce => format!("{key}: that is so already"),
        Press::UsedUp => format!("{key}: not again in this demo"),
    })
}
