//! Asks a query that a fault waits for, again and again, as a role that may only read: around the proxies,
//! so that no fault answers for the database.

use crate::database::postgres::fence;
use crate::scenario::{Fault, Topology};
use relays::config::PostgresTarget;
use relays::postgres::schema;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, Row, SqlSafeStr, Statement, TypeInfo};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The poller pauses for so long between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(100);
/// This bounds the time of an answer, and is kept by the server.
const STATEMENT_TIMEOUT: &str = "1s";
/// The same, kept here, for a server that does not answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

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
    pub fn of(reader: &PostgresTarget, query: &str) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let (reader, query, tell) = (reader.clone(), query.to_owned(), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            let mut session = None;
            loop {
                let answer = answer(&reader, &mut session, &query).await;
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
    reader: &PostgresTarget,
) -> Result<(), BadQuery> {
    let concerned = faults.iter().filter(|fault| fault.concerns(strategy));
    let mut session = None;
    for (query, at) in concerned.filter_map(|fault| fault.trigger()?.query()) {
        let mut asked = answer(reader, &mut session, query).await;
        // The first answer can take long on a machine that is busy with starting everything.
        for _ in 1..TRIES {
            if !asked.as_ref().is_err_and(Refusal::is_slow) {
                break;
            }
            sleep(PAUSE).await;
            asked = answer(reader, &mut session, query).await;
        }
        asked.map_err(|refusal| BadQuery {
            at,
            line: refusal.line_of(query),
            words: refusal.words(),
        })?;
    }
    Ok(())
}

/// Why a question had no answer.
enum Refusal {
    /// There is no session, or no answer.
    Silence(String),
    /// The query failed with this error of the server's, or of the connection to it.
    Server(sqlx::Error),
    /// It gives something else than one boolean.
    Shape(String),
}

/// This is the SQLSTATE of `query_canceled`: the query took longer than its bound.
const CANCELED: &str = "57014";

impl Refusal {
    /// Returns whether the answer merely took too long.
    fn is_slow(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Shape(_) => false,
            Self::Server(error) => error
                .as_database_error()
                .is_some_and(|e| e.code().as_deref() == Some(CANCELED)),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Silence(words) | Self::Shape(words) => words.clone(),
            Self::Server(error) => schema::words(error),
        }
    }

    fn line_of(&self, query: &str) -> Option<usize> {
        match self {
            Self::Silence(_) | Self::Shape(_) => None,
            Self::Server(error) => schema::line_of(query, error),
        }
    }
}

/// Asks by this session, or by a new one where there is none; one that may be broken is given up.
async fn answer(
    reader: &PostgresTarget,
    session: &mut Option<PgConnection>,
    query: &str,
) -> Result<bool, Refusal> {
    let asked = async {
        let mut open = match session.take() {
            Some(open) => open,
            None => connect(reader).await?,
        };
        let answer = ask(&mut open, query).await;
        let lives = match &answer {
            Ok(_) | Err(Refusal::Shape(_)) => true,
            Err(Refusal::Server(error)) => error.as_database_error().is_some(),
            Err(Refusal::Silence(_)) => false,
        };
        *session = Some(open).filter(|_| lives);
        answer
    };
    let silent = |_| {
        Err(Refusal::Silence(format!(
            "PostgreSQL did not answer within {ANSWER_WITHIN:?}"
        )))
    };
    timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(silent)
}

async fn connect(reader: &PostgresTarget) -> Result<PgConnection, Refusal> {
    let mut session = fence::connect(reader, Instant::now())
        .await
        .map_err(Refusal::Silence)?;
    let bounds = format!(
        "SET default_transaction_read_only = on; SET statement_timeout = '{STATEMENT_TIMEOUT}'"
    );
    let bounded = session.execute(AssertSqlSafe(bounds)).await;
    bounded.map_err(Refusal::Server)?;
    Ok(session)
}

/// No row, and no value in it, is a no.
async fn ask(session: &mut PgConnection, query: &str) -> Result<bool, Refusal> {
    let sql = AssertSqlSafe(query.to_owned()).into_sql_str();
    let statement = session.prepare(sql).await.map_err(Refusal::Server)?;
    let types: Vec<&str> = statement
        .columns()
        .iter()
        .map(|column| column.type_info().name())
        .collect();
    if types != ["BOOL"] {
        return Err(Refusal::Shape(match types[..] {
            [] => "it gives nothing, and not one boolean".to_owned(),
            _ => format!("it gives {}, and not one boolean", types.join(", ")),
        }));
    }
    let rows = statement.query().fetch_all(session).await;
    match rows.map_err(Refusal::Server)?.as_slice() {
        [] => Ok(false),
        [one] => {
            let value = one.try_get::<Option<bool>, _>(0).map_err(Refusal::Server)?;
            Ok(value == Some(true))
        }
        several => Err(Refusal::Shape(format!(
            "it gives {} rows, and not one boolean",
            several.len()
        ))),
    }
}
