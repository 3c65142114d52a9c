//! Asks a query that a fault waits for, again and again, as a role that may only read: around the proxies,
//! so that no fault answers for the database.

use crate::database::{DirectLogin, Refusal};
use crate::scenario::{Fault, Topology};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The poller pauses for so long between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(100);
/// So often a question is tried before the load, while it takes too long.
const TRIES: usize = 5;

/// Asks from now on, until the answer is yes or it is dropped.
pub(super) struct QueryPoller {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Default)]
struct Heard {
    is_true: bool,
    /// Why there was no answer to the last question.
    trouble: Option<String>,
}

impl QueryPoller {
    pub fn of(reader: &DirectLogin, query: &str) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let (query, tell) = (query.to_owned(), Arc::clone(&heard));
        let mut session = reader.query_session();
        let task = tokio::spawn(async move {
            loop {
                let answer = session.answer(&query).await;
                let heard = Heard {
                    is_true: answer.as_ref().is_ok_and(|is_true| *is_true),
                    trouble: answer.err().map(|e| e.words()),
                };
                let done = heard.is_true;
                *tell.lock().unwrap_or_else(PoisonError::into_inner) = heard;
                if done {
                    return;
                }
                sleep(PAUSE).await;
            }
        });
        Self { heard, task }
    }

    /// Whether the answer was yes.
    pub fn was_true(&self) -> bool {
        self.heard().is_true
    }

    /// Why the last question had no answer, if it had none.
    pub fn trouble(&self) -> Option<String> {
        self.heard().trouble
    }

    fn heard(&self) -> Heard {
        let heard = self.heard.lock();
        heard.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for QueryPoller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A query that cannot be what a fault waits for.
#[derive(Debug, PartialEq, Eq)]
pub struct BadQuery {
    /// Where the scenario's text has it.
    pub at: usize,
    /// The line of it that it is about, from 1, where the server says so.
    pub line: Option<usize>,
    /// What is wrong, in the server's words.
    pub words: String,
}

/// Asks once whatever faults that concern this strategy wait for, so that what cannot be asked is known
/// before there is any load.
pub async fn try_queries(
    faults: &[Fault],
    strategy: Topology,
    reader: &DirectLogin,
) -> Result<(), BadQuery> {
    let concerned = faults.iter().filter(|fault| fault.concerns(strategy));
    let mut session = reader.query_session();
    for (query, at) in concerned.filter_map(|fault| fault.trigger()?.query()) {
        let mut asked = session.answer(query).await;
        // The first answer can take long on a machine that is busy with starting everything.
        for _ in 1..TRIES {
            if !asked.as_ref().is_err_and(Refusal::is_slow) {
                break;
            }
            sleep(PAUSE).await;
            asked = session.answer(query).await;
        }
        asked.map_err(|refusal| BadQuery {
            at,
            line: refusal.line_of(query),
            words: refusal.words(),
        })?;
    }
    Ok(())
}
