//! What a strategy owns on a server: its database with its tables, and its accounts. Made before it runs, dropped after it.
//!
//! The administrator needs CREATE, DROP, CREATE USER, CONNECTION ADMIN, PROCESS, and whatever is granted here with the
//! right to grant it.

use super::session::{bounded, close, connect, login, quote_identifier, quote_literal, words};
use crate::config::MariaDbTarget;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Connecting as the administrator takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// This bounds each statement, and is kept by the server, in seconds.
const SETTINGS: [(&str, u64); 2] = [("max_statement_time", 30), ("lock_wait_timeout", 15)];
/// Bound on the same, kept here, for a server that does not answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);
/// The sessions of all accounts must end within this time.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(15);
/// MariaDB keeps names of databases of so many characters at most; those of users may be longer.
const NAME_CHARACTERS_MAX: usize = 64;

/// What the outbox of a strategy needs beyond the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MariaDbOutbox {
    /// There is no outbox (dual write).
    None,
    /// Rows are deleted once published.
    Delete,
    /// Rows carry a status.
    Mark,
    /// Rows are read from the binlog, and deleted once published; the relay keeps its position in a table.
    Log,
}

/// Names of everything one strategy owns on the server.
#[derive(Debug, Clone)]
pub struct MariaDbLayout {
    /// The database that is its own has this name; it is also the prefix of the rest.
    pub name: String,
    /// This says what the strategy's outbox needs.
    pub outbox: MariaDbOutbox,
    /// This password is given to every account.
    pub password: String,
}

impl MariaDbLayout {
    /// What is left of a strategy of this name, of which nothing else is known: enough to drop it.
    pub fn left_behind(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            outbox: MariaDbOutbox::None,
            password: String::new(),
        }
    }

    /// Returns the user name of the order service, the only one that can write what is the truth.
    pub fn service_user(&self) -> String {
        format!("{}_svc", self.name)
    }

    /// Returns the user name of the relay.
    pub fn relay_user(&self) -> String {
        format!("{}_rly", self.name)
    }

    fn users(&self) -> [String; 2] {
        [self.service_user(), self.relay_user()]
    }

    fn check_name(&self) -> Result<(), String> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let wrong = if self.name.is_empty() || !self.name.bytes().all(plain) {
            "has characters other than a-z, 0-9 and _".to_owned()
        } else if self.name.len() > NAME_CHARACTERS_MAX {
            format!("is too long: it may have {NAME_CHARACTERS_MAX} characters")
        } else {
            return Ok(());
        };
        Err(format!(
            "naming the database `{}`: the name {wrong}; choose another strategy name",
            self.name
        ))
    }

    /// Returns what makes the tables: for each statement what it does, and its SQL. `seq` is drawn while the order's row is
    /// locked, so that per order it rises in commit order; across orders it does not.
    fn tables(&self) -> Vec<(&'static str, String)> {
        let database = quote_identifier(&self.name);
        let id = "char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL";
        let mut statements = vec![
            (
                "creating table orders",
                format!(
                    "CREATE TABLE {database}.orders (
                       id {id} PRIMARY KEY,
                       version int NOT NULL,
                       state varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                     ) ENGINE = InnoDB"
                ),
            ),
            (
                "creating table order_changes",
                format!(
                    "CREATE TABLE {database}.order_changes (
                       order_id {id},
                       version int NOT NULL,
                       attempt {id},
                       change_id {id},
                       PRIMARY KEY (order_id, version),
                       UNIQUE KEY one_version_a_change (order_id, change_id)
                     ) ENGINE = InnoDB"
                ),
            ),
        ];
        let status = match self.outbox {
            MariaDbOutbox::None => return statements,
            MariaDbOutbox::Delete | MariaDbOutbox::Log => "",
            MariaDbOutbox::Mark => {
                ", status varchar(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'pending',
                   KEY pending (status, seq)"
            }
        };
        statements.push((
            "creating table outbox",
            // In this order whoever reads the binlog finds the columns.
            format!(
                "CREATE TABLE {database}.outbox (
                   seq bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
                   id {id},
                   aggregatetype varchar(255) NOT NULL,
                   aggregateid varchar(255) NOT NULL,
                   type varchar(255) NOT NULL,
                   version int NOT NULL,
                   payload longtext NOT NULL
                   {status}
                 ) ENGINE = InnoDB"
            ),
        ));
        if self.outbox == MariaDbOutbox::Log {
            statements.push((
                "creating table relay_position",
                format!(
                    "CREATE TABLE {database}.relay_position (
                       gtid varchar(4000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                     ) ENGINE = InnoDB"
                ),
            ));
            statements.push((
                "noting where the binlog is (is it on?)",
                format!("INSERT INTO {database}.relay_position SELECT @@gtid_binlog_pos"),
            ));
        }
        statements
    }

    fn accounts(&self) -> Vec<(&'static str, String)> {
        let database = quote_identifier(&self.name);
        let [service, relay] = self.users().map(|user| account(&user));
        let password = quote_literal(&self.password);
        let made =
            |account: &str| format!("CREATE USER {account} IDENTIFIED BY {password} REQUIRE NONE");
        let granted = |rights: &str, table: &str, account: &str| {
            let doing = "granting what it needs to an account";
            (
                doing,
                format!("GRANT {rights} ON {database}.{table} TO {account}"),
            )
        };
        let mut statements = vec![
            ("creating the order service's account", made(&service)),
            ("creating the relay's account", made(&relay)),
            granted("SELECT, INSERT, UPDATE", "orders", &service),
            granted("SELECT, INSERT", "order_changes", &service),
        ];
        let rights = match self.outbox {
            MariaDbOutbox::None => {
                // The relay's account is there, and may see that its database is.
                statements.push(granted("SELECT", "orders", &relay));
                return statements;
            }
            MariaDbOutbox::Delete | MariaDbOutbox::Log => "SELECT, DELETE",
            MariaDbOutbox::Mark => "SELECT, UPDATE",
        };
        statements.push(granted("INSERT", "outbox", &service));
        statements.push(granted(rights, "outbox", &relay));
        if self.outbox == MariaDbOutbox::Log {
            statements.push(granted("SELECT, UPDATE", "relay_position", &relay));
            statements.push((
                "letting the relay read the binlog",
                format!("GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {relay}"),
            ));
        }
        statements
    }
}

fn account(user: &str) -> String {
    format!("{}@'%'", quote_literal(user))
}

/// Creates database, tables, and accounts with no more rights than they need. `admin` may create all of them; its
/// `database` field is ignored.
///
/// MariaDB commits each of these statements. After a failure, [`drop_all`] removes what is there.
pub async fn create(admin: &MariaDbTarget, layout: &MariaDbLayout) -> Result<(), String> {
    layout.check_name()?;
    let mut conn = connect_admin(admin, None).await?;
    let database = quote_identifier(&layout.name);
    let made = format!("CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    execute(&mut conn, "creating the database", &made).await?;
    for (doing, statement) in [layout.tables(), layout.accounts()].concat() {
        execute(&mut conn, doing, &statement).await?;
    }
    close(conn).await;
    Ok(())
}

/// Drops everything [`create`] made, and whatever of it is left after a crash, and ends the sessions of its accounts
/// first. Dropping what is not there is no error. A step that fails does not keep the later ones from being tried; the
/// first failure is returned.
pub async fn drop_all(admin: &MariaDbTarget, layout: &MariaDbLayout) -> Result<(), String> {
    layout.check_name()?;
    let mut conn = connect_admin(admin, None).await?;
    let mut outcome = close_accounts(&mut conn, &layout.users()).await;
    let database = quote_identifier(&layout.name);
    let dropped = format!("DROP DATABASE IF EXISTS {database}");
    outcome = outcome.and(execute(&mut conn, "dropping the database", &dropped).await);
    for user in layout.users() {
        let dropped = format!("DROP USER IF EXISTS {}", account(&user));
        outcome = outcome.and(execute(&mut conn, "dropping an account", &dropped).await);
    }
    close(conn).await;
    outcome
}

/// No session of these users begins any more, and those that are there are ended until none is left. What they had not
/// committed is rolled back then.
pub async fn close_accounts(conn: &mut Conn, users: &[String]) -> Result<(), String> {
    for user in users {
        let locked = format!("ALTER USER IF EXISTS {} ACCOUNT LOCK", account(user));
        execute(conn, "locking an account", &locked).await?;
    }
    let names: Vec<String> = users.iter().map(|user| quote_literal(user)).collect();
    let sql = format!(
        "SELECT id FROM information_schema.processlist WHERE user IN ({})",
        names.join(", ")
    );
    let deadline = Instant::now() + SESSIONS_END_WITHIN;
    loop {
        let doing = "looking for sessions of the accounts";
        let left: Vec<u64> = ask(doing, conn.query(sql.as_str())).await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "ending the sessions of the accounts: some are still there after \
                 {SESSIONS_END_WITHIN:?}: {left:?}"
            ));
        }
        for id in left {
            // One that has ended by itself meanwhile is no failure: what is left is looked for again.
            let killed = ask(
                "ending a session",
                conn.query_drop(format!("KILL CONNECTION {id}")),
            );
            if let Err(error) = killed.await {
                tracing::debug!("{error}");
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Connects as the administrator, in this database if one is named.
pub async fn connect_admin(admin: &MariaDbTarget, database: Option<&str>) -> Result<Conn, String> {
    let options = login(admin, database, &SETTINGS);
    let connected = connect(&options, CONNECT_WITHIN).await;
    connected.map_err(|error| {
        let (host, port, user) = (&admin.host, admin.port, &admin.user);
        format!(
            "connecting to MariaDB at {host}:{port} as {user}: {}",
            words(&error)
        )
    })
}

async fn execute(conn: &mut Conn, doing: &str, statement: &str) -> Result<(), String> {
    ask(doing, conn.query_drop(statement)).await
}

async fn ask<T>(doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    let answer = bounded(ANSWER_WITHIN, work).await;
    answer.map_err(|error| format!("{doing}: {}", words(&error)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_name_that_a_database_cannot_have_then_it_is_refused_with_the_remedy() {
        let fits = "a".repeat(NAME_CHARACTERS_MAX);
        MariaDbLayout::left_behind(&fits).check_name().unwrap();
        for name in ["", "Upper", "da-sh", "ba`ck", "ünder", &format!("{fits}a")] {
            let error = MariaDbLayout::left_behind(name).check_name().unwrap_err();
            assert!(error.contains("choose another strategy name"), "{error}");
        }
    }
}
