//! What a keeper and whoever started it say to each other. The keeper says what came of the start; the other says
//! that it is to stay, or is gone, and then the keeper goes too: a start that nobody waits for leaves nothing.

use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use tokio::sync::watch;

/// The keeper says one of these, as a line of JSON on its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// Another keeper has the folder.
    Taken,
    /// The stack is up.
    Up,
    /// It is not, for this reason.
    Failed(String),
}

impl Answer {
    /// Says it. Nobody may be there any more to hear it.
    pub(super) fn say(&self) {
        let line = serde_json::to_string(self).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Hears it; `None` if the keeper ended without a word.
    pub(super) fn hear(mut from: impl BufRead) -> Option<Self> {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

/// This line on a keeper's standard input has it stay.
pub(super) const STAY: &[u8] = b"stay\n";

/// Whoever started a keeper, as the keeper knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starter {
    Waits,
    WasAnswered,
    IsGone,
}

/// Hears from whoever started this keeper.
#[derive(Debug, Clone)]
pub(super) struct Asking(watch::Receiver<Starter>);

impl Asking {
    /// Listens on standard input from now on.
    pub(super) fn listen() -> Self {
        let (tell, heard) = watch::channel(Starter::Waits);
        std::thread::spawn(move || {
            let mut line = Vec::new();
            let read = std::io::stdin().lock().read_until(b'\n', &mut line);
            tell.send_replace(match read {
                Ok(_) if line == STAY => Starter::WasAnswered,
                Ok(_) | Err(_) => Starter::IsGone,
            });
        });
        Self(heard)
    }

    /// Waits until it is gone without having heard that the stack is up.
    pub(super) async fn is_gone(&mut self) {
        if self.0.wait_for(|a| *a == Starter::IsGone).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until it has heard that the stack is up; false if it is gone instead.
    pub(super) async fn is_to_stay(&mut self) -> bool {
        let said = self.0.wait_for(|a| *a != Starter::Waits).await;
        said.is_ok_and(|a| *a == Starter::WasAnswered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_that_ends_without_a_word_has_said_nothing() {
        let hear = |text: &str| Answer::hear(text.as_bytes());
        assert_eq!(hear("\"up\"\n"), Some(Answer::Up));
        let failed = Answer::Failed("no java".to_owned());
        assert_eq!(hear("{\"failed\":\"no java\"}\n"), Some(failed));
        assert_eq!(hear(""), None);
        assert_eq!(hear("{\"fail"), None);
    }
}
