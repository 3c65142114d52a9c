//! Sessions with MariaDB: how they connect, what bounds them, and what their failures mean.
//!
//! Nothing here waits for ever: the client library has no bounds of its own, so each use of it gets one.

use crate::config::MariaDbTarget;
use futures::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::timeout;

/// A packet has so many bytes at most: more than any event has, and any answer's row.
const PACKET_BYTES_MAX: usize = 64 << 20;
/// The client library wants to know after how many seconds the server ends a silent session; it is for its pool alone.
const WAIT_TIMEOUT_S: usize = 28_800;
/// A peer that vanished is noticed.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// These are said at the beginning of each session. Everything here counts on READ COMMITTED: each statement sees what
/// is committed when it begins, and no lock is of a gap between rows.
const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
     SET sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     innodb_lock_wait_timeout = 10";

// The server's error codes.
const SHUTDOWN: u16 = 1053;
const FORCED_CLOSE: u16 = 1080;
const ABORTING: u16 = 1152;
const ABORTING_NEW: u16 = 1184;
const NETWORK: std::ops::RangeInclusive<u16> = 1156..=1161;
const KILLED: u16 = 1927;
const DATABASE_DENIED: u16 = 1044;
const ACCESS_DENIED: u16 = 1045;
const NO_DATABASE: u16 = 1049;
const ACCESS_DENIED_WITHOUT_PASSWORD: u16 = 1698;
const ACCOUNT_LOCKED: u16 = 4151;
const NO_SUCH_XA: u16 = 1397;

/// Returns `host:port/database`, as errors name the database.
pub(crate) fn place(target: &MariaDbTarget) -> String {
    format!("{}:{}/{}", target.host, target.port, target.database)
}

/// Returns how to log in to a target, with further settings of the session: each a name and a number.
pub(crate) fn options(target: &MariaDbTarget, settings: &[(&str, u64)]) -> Opts {
    login(target, Some(&target.database), settings)
}

/// The same without a database, for who makes them.
pub(super) fn login(
    target: &MariaDbTarget,
    database: Option<&str>,
    settings: &[(&str, u64)],
) -> Opts {
    let further = settings
        .iter()
        .map(|(name, value)| format!(", {name} = {value}"));
    let init: String = std::iter::once(SESSION.to_owned()).chain(further).collect();
    OptsBuilder::default()
        .ip_or_hostname(target.host.as_str())
        .tcp_port(target.port)
        .user(Some(target.user.as_str()))
        .pass(Some(target.password.as_str()))
        .db_name(database)
        .prefer_socket(false)
        .max_allowed_packet(Some(PACKET_BYTES_MAX))
        .wait_timeout(Some(WAIT_TIMEOUT_S))
        .tcp_keepalive(Some(KEEPALIVE))
        .init(vec![init])
        .into()
}

/// Makes a session, bounded in time.
pub(crate) async fn connect(options: &Opts, within: Duration) -> Result<Conn, Error> {
    bounded(within, Conn::new(options.clone())).await
}

/// Awaits what the server answers, bounded in time. After a failure that [`is_loss`] the session is of no more use.
pub(crate) async fn bounded<T>(
    within: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(within, work).await.unwrap_or_else(|_| {
        let reason = format!("MariaDB did not answer within {within:?}");
        Err(std::io::Error::new(ErrorKind::TimedOut, reason).into())
    })
}

/// Says good-bye, and waits for a moment until it is said; nothing depends on whether it is heard.
pub(crate) async fn close(connection: Conn) {
    let _ = timeout(Duration::from_secs(1), connection.disconnect()).await;
}

/// Closes the socket at once. A session that is just dropped is tidied up in the background, which takes for ever where
/// the server does not answer; one that is dropped while it waits for an answer is not.
pub(crate) fn abort(mut connection: Conn) {
    let _ = connection.ping().now_or_never();
}

/// Whether an error ends the session: everything but the server's word on a statement.
pub(crate) fn is_loss(error: &Error) -> bool {
    match error {
        Error::Server(answer) => {
            matches!(
                answer.code,
                SHUTDOWN | FORCED_CLOSE | ABORTING | ABORTING_NEW | KILLED
            ) || NETWORK.contains(&answer.code)
        }
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => true,
    }
}

/// Whether retrying is pointless: wrong password, a locked account, no such database.
pub(crate) fn is_permanent(error: &Error) -> bool {
    matches!(
        code(error),
        Some(
            DATABASE_DENIED
                | ACCESS_DENIED
                | NO_DATABASE
                | ACCESS_DENIED_WITHOUT_PASSWORD
                | ACCOUNT_LOCKED
        )
    )
}

/// Whether the server says that there is nothing of the name that it was told: of an XA transaction.
pub(crate) fn is_absent(error: &Error) -> bool {
    code(error) == Some(NO_SUCH_XA)
}

/// Returns the server's error code; `None` where it is not the server that says so.
pub(crate) fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(answer) => Some(answer.code),
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => None,
    }
}

/// Returns what went wrong, in the server's own words and with its code.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::Server(answer) => format!("{} (error {})", answer.message, answer.code),
        Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => error.to_string(),
    }
}

/// Gives `name` as a quoted SQL identifier.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Gives `text` as a quoted SQL literal; a backslash has a meaning there.
pub(crate) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_async::ServerError;

    fn answer(code: u16) -> Error {
        Error::Server(ServerError {
            code,
            message: "said so".into(),
            state: "HY000".into(),
        })
    }

    #[test]
    fn given_errors_when_they_are_told_apart_then_only_the_servers_word_on_a_statement_leaves_the_session_alone()
     {
        let dead = Error::from(std::io::Error::from(ErrorKind::UnexpectedEof));
        assert!(is_loss(&dead) && !is_permanent(&dead));
        for code in [SHUTDOWN, KILLED, 1158] {
            assert!(is_loss(&answer(code)), "{code}");
        }
        // A duplicate, a deadlock, a lock that did not come, a statement that took too long
        for code in [1062, 1213, 1205, 1969] {
            assert!(
                !is_loss(&answer(code)) && !is_permanent(&answer(code)),
                "{code}"
            );
        }
        assert!(is_permanent(&answer(ACCESS_DENIED)) && is_permanent(&answer(ACCOUNT_LOCKED)));
        assert!(is_absent(&answer(NO_SUCH_XA)) && !is_absent(&answer(1062)));
        assert_eq!(words(&answer(1062)), "said so (error 1062)");
    }

    #[test]
    fn given_names_and_texts_when_they_are_quoted_then_what_would_end_them_is_doubled() {
        assert_eq!(quote_identifier("a`b"), "`a``b`");
        assert_eq!(quote_literal(r"it's \ fine"), r"'it''s \\ fine'");
    }
}
