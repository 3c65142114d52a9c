//! Two-phase commits at the end of a run: what is prepared keeps its locks until somebody ends it, and what is open in
//! Kafka hides what lies behind it. All of it must have ended before the truth is read.

use super::fence;
use crate::clock::RunClock;
use relays::config::PostgresTarget;
use relays::postgres::schema::{Layout, PreparedEnd, end_prepared, quote_identifier};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);
/// A server that is asked here gets this long to accept a session.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A sample is bounded by this.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What nobody had finished when the wait for it was over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// These were prepared, and decided: they were committed here.
    pub committed: u64,
    /// These were prepared, and not decided: they were rolled back here.
    pub rolled_back: u64,
    /// Of so many producers the log does not say that their last transaction of Kafka has ended.
    pub open: u64,
}

impl Unfinished {
    /// Says so, to be put behind other words; nothing where there is nothing to say.
    pub fn words(self) -> String {
        let said = [
            (
                self.committed,
                "prepared transactions that were decided, which nobody finished, were committed",
            ),
            (
                self.rolled_back,
                "prepared transactions that were not decided, which nobody finished, were rolled back",
            ),
            (
                self.open,
                "producers may have left a transaction open in Kafka, as nobody ended it",
            ),
        ];
        let said = said.into_iter().filter(|(n, _)| *n > 0);
        said.map(|(n, what)| format!("; {n} {what}")).collect()
    }

    /// Says why the truth is not the strategy's own: its recoverer `goes_on` and had its time, and what it was there to
    /// finish was ended here. Of one that is dead, its death is said.
    pub fn not_its_own(self, goes_on: bool) -> Option<String> {
        let ended = self.committed + self.rolled_back;
        (goes_on && ended > 0).then(|| {
            format!(
                "the recoverer lives, and {ended} prepared transactions were not finished by it in its time: what \
                 would have become of them is not known{}",
                self.words()
            )
        })
    }
}

/// Something that is prepared, and what the log says that is to become of it.
struct Prepared {
    gid: String,
    end: PreparedEnd,
}

/// Waits until a strategy has nothing in doubt any more, on either side. What is left prepared then, because nobody
/// goes on or the time is over, is ended as an operator would have to, as the decision log says: what was decided is
/// committed, for it is truth whatever has become of its event, and the rest is rolled back. Says how much this was.
///
/// Nobody may be able to decide any more when this is called.
pub async fn settle(
    connection: &mut PgConnection,
    layout: &Layout,
    deadline: Instant,
    goes_on: impl Fn() -> bool,
) -> Result<Unfinished, String> {
    let role = layout.service_role();
    loop {
        let left = prepared(connection, layout, &role).await?;
        let open = open(connection, layout.schema()).await?;
        if left.is_empty() && open == 0 {
            return Ok(Unfinished::default());
        }
        if Instant::now() < deadline && goes_on() {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let mut unfinished = Unfinished {
            open,
            ..Unfinished::default()
        };
        for one in left {
            let ended = end_prepared(connection, &one.gid, &role, one.end).await;
            match (ended.map_err(|e| e.to_string())?, one.end) {
                (true, PreparedEnd::Commit) => unfinished.committed += 1,
                (true, PreparedEnd::RollBack) => unfinished.rolled_back += 1,
                // That there is none is checked after this.
                (false, _) => {}
            }
        }
        return Ok(unfinished);
    }
}

async fn prepared(
    connection: &mut PgConnection,
    layout: &Layout,
    role: &str,
) -> Result<Vec<Prepared>, String> {
    let sql = format!(
        "select p.gid, exists (select from {}.decisions d where d.gid = p.gid
             and d.state in ('commit', 'committing', 'committed', 'heuristic'))
         from pg_prepared_xacts p where p.owner = $1 and p.database = current_database()",
        quote_identifier(layout.schema())
    );
    let asked = sqlx::query_as(AssertSqlSafe(sql)).bind(role);
    let asked: Result<Vec<(String, bool)>, _> = asked.fetch_all(connection).await;
    let asked = asked.map_err(|e| format!("looking for prepared transactions: {e}"))?;
    let prepared = asked.into_iter();
    let prepared = prepared.map(|(gid, is_decided)| {
        let end = match is_decided {
            true => PreparedEnd::Commit,
            false => PreparedEnd::RollBack,
        };
        Prepared { gid, end }
    });
    Ok(prepared.collect())
}

/// How many producers the log has that the recoverer has not ended; with the coordinator dead it ends all of them.
async fn open(connection: &mut PgConnection, schema: &str) -> Result<u64, String> {
    let sql = format!(
        "select count(*) from {}.decisions
         where state in ('open', 'commit', 'aborting', 'committing')",
        quote_identifier(schema)
    );
    let asked = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(connection);
    let open = asked.await;
    open.map(i64::cast_unsigned)
        .map_err(|e| format!("reading what has not ended: {e}"))
}

/// Whether the server lets so many transactions be prepared at a time; an error says what to set.
pub async fn can_prepare(admin: &PostgresTarget, needed: u64) -> Result<(), String> {
    let mut connection = fence::connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let asked = sqlx::query_scalar::<_, String>("show max_prepared_transactions");
    let most = asked.fetch_one(&mut connection).await;
    let most = most.map_err(|e| format!("asking for max_prepared_transactions: {e}"))?;
    enough(&most, needed)
}

fn enough(most: &str, needed: u64) -> Result<(), String> {
    match most.parse::<u64>() {
        Ok(most) if most >= needed => Ok(()),
        _ => Err(format!(
            "max_prepared_transactions is {most}, and a two-phase commit needs {needed} (twice its `producers`: what \
             an order service left prepared when it died is still there when the next one works): set it in \
             postgresql.conf and restart the server, or take fewer `producers`"
        )),
    }
}

/// An attempt that was decided, and of whose end nobody has written down that it was the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// This is the attempt's id, as text.
    pub attempt: String,
    /// Whether Kafka had aborted its event by itself: nobody can finish it any more.
    pub is_heuristic: bool,
}

/// Returns what was decided, and is not finished or ended otherwise.
pub async fn decided(admin: &PostgresTarget, schema: &str) -> Result<Vec<Decided>, String> {
    let mut connection = fence::connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let sql = format!(
        "select attempt::text, state = 'heuristic' from {}.decisions
         where state in ('commit', 'committing', 'heuristic') and attempt is not null",
        quote_identifier(schema)
    );
    let asked = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection);
    let asked: Vec<(String, bool)> = asked
        .await
        .map_err(|e| format!("reading what was decided and is not finished: {e}"))?;
    let decided = asked.into_iter().map(|(attempt, is_heuristic)| Decided {
        attempt,
        is_heuristic,
    });
    Ok(decided.collect())
}

/// Returns for how many milliseconds the oldest transaction that this role has prepared has been so; 0 where there is
/// none. Both times are of the server's own clock, and the server keeps the first one through a crash.
pub async fn oldest_ms(connection: &mut PgConnection, role: &str) -> Result<f64, sqlx::Error> {
    let asked =
        "select coalesce(1e3 * extract(epoch from max(clock_timestamp() - prepared)), 0)::float8
         from pg_prepared_xacts where owner = $1";
    sqlx::query_scalar(asked)
        .bind(role)
        .fetch_one(connection)
        .await
}

/// Asks for how long the oldest transaction that a role has prepared has been so, by a session that is made anew when it
/// is lost.
pub(crate) struct OldestPrepared {
    admin: PostgresTarget,
    role: String,
    session: Option<PgConnection>,
}

impl OldestPrepared {
    /// Connects at the first question.
    pub(super) fn of(admin: PostgresTarget, role: String) -> Self {
        Self {
            admin,
            role,
            session: None,
        }
    }

    /// Returns when it asked, in run time, and the milliseconds, 0 where there is none; `None` where the server does not
    /// answer.
    pub(crate) async fn ask(&mut self, clock: &RunClock) -> Option<(i64, f64)> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => fence::connect(&self.admin, Instant::now()).await.ok()?,
        };
        let asked_ns = clock.now_ns();
        let asked = oldest_ms(&mut session, &self.role);
        let value = tokio::time::timeout(ANSWER_WITHIN, asked)
            .await
            .ok()?
            .ok()?;
        self.session = Some(session);
        Some((asked_ns, value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_something_that_nobody_finished_then_the_words_say_what_became_of_it() {
        assert_eq!(Unfinished::default().words(), "");
        let unfinished = Unfinished {
            committed: 1,
            rolled_back: 0,
            open: 2,
        };
        let words = "; 1 prepared transactions that were decided, which nobody finished, were committed\
                     ; 2 producers may have left a transaction open in Kafka, as nobody ended it";
        assert_eq!(unfinished.words(), words);
    }

    #[test]
    fn given_a_recoverer_that_lives_when_what_it_is_there_to_finish_was_ended_here_then_the_truth_is_not_its_own()
     {
        let unfinished = Unfinished {
            committed: 2,
            rolled_back: 1,
            open: 0,
        };
        let reason = unfinished.not_its_own(true).unwrap();
        assert!(
            reason.contains("3 prepared transactions were not finished"),
            "{reason}"
        );
        // Of a dead one its death is said, and what it leaves open in Kafka is seen there.
        assert_eq!(unfinished.not_its_own(false), None);
        let open = Unfinished {
            open: 2,
            ..Unfinished::default()
        };
        assert_eq!(open.not_its_own(true), None);
    }

    #[test]
    fn given_a_server_that_prepares_too_few_transactions_then_the_error_says_what_to_set() {
        assert_eq!(enough("16", 16), Ok(()));
        let error = enough("0", 16).unwrap_err();
        let words = "max_prepared_transactions is 0, and a two-phase commit needs 16";
        assert!(error.starts_with(words), "{error}");
        assert!(error.contains("postgresql.conf"), "{error}");
    }
}
