//! Writes each change to MariaDB in an XA transaction: prepares it, asks the business, and then commits it or rolls it back. So
//! its rows are in the binlog before anybody has decided. There is nothing wrong with that; it is for relays of the binlog
//! to know.

use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use relays::config::{DatabaseTarget, MariaDbTarget, ServiceConfig};
use relays::mariadb::orders::{NewChange, NewEvent, OrderStep, WriteUnit, write};
use relays::mariadb::schema::connect_admin;
use relays::order::{Answer, ChangeType, OrderState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Serves until SIGTERM.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let sessions = Arc::new(Sessions::open(&config).await?);
        let service = XaService {
            run: config.run.clone(),
            sessions: Arc::clone(&sessions),
            confession: Confession::open(),
        };
        let served = http::serve(config.listen, service).await;
        sessions.settle().await;
        served
    })
}

struct XaService {
    run: String,
    sessions: Arc<Sessions>,
    confession: Confession,
}

impl Path for XaService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut session = self.sessions.lend().await;
        // An attempt is made once, so its id names its transaction.
        let name = format!("'{}'", change.request.attempt);
        let made = self.prepare(&mut session, &change, &name).await;
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                // Whatever it came to, the session is to be used again.
                let _ = say(&mut session, format!("XA END {name}")).await;
                let _ = say(&mut session, format!("XA ROLLBACK {name}")).await;
                return Err(error);
            }
        };
        let Some(version) = made else {
            say(&mut session, format!("XA ROLLBACK {name}")).await?;
            return Ok(rejected("the order does not allow it"));
        };
        if change.is_forbidden().await {
            let attempt = change.request.attempt.to_string();
            self.confession.admit("undone", &attempt);
            say(&mut session, format!("XA ROLLBACK {name}")).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        say(&mut session, format!("XA COMMIT {name}")).await?;
        Ok(Answer::Committed { version })
    }
}

impl XaService {
    /// Writes the change, and prepares it; its version, or nothing where the order does not allow it.
    async fn prepare(
        &self,
        session: &mut Conn,
        change: &Change,
        name: &str,
    ) -> Result<Option<u32>, String> {
        let [prefix, suffix] = change.event_around_version(&self.run);
        let step = match change.kind {
            ChangeType::Placed => OrderStep::Place(OrderState::Placed.name()),
            kind => OrderStep::Transition {
                from: kind.required_state().map(OrderState::name),
                to: kind.next_state().map(OrderState::name),
            },
        };
        let new = NewChange {
            order: change.order,
            attempt: change.request.attempt,
            change_id: change.request.change_id,
            step,
            announced: Some(NewEvent {
                id: Uuid::now_v7(),
                event_type: change.kind.event_type(),
                prefix: &prefix,
                suffix: &suffix,
            }),
        };
        say(session, format!("XA START {name}")).await?;
        let made = write(session, &new, WriteUnit::Within).await;
        let made = made.map_err(|e| format!("write an order: {e}"))?;
        say(session, format!("XA END {name}")).await?;
        say(session, format!("XA PREPARE {name}")).await?;
        Ok(made)
    }
}

async fn say(session: &mut Conn, statement: String) -> Result<(), String> {
    let done = session.query_drop(statement.as_str()).await;
    done.map_err(|e| format!("{statement}: {e}"))
}

/// So many sessions, each of which has one transaction at a time.
struct Sessions {
    sessions: Vec<Mutex<Conn>>,
    lent: AtomicUsize,
}

impl Sessions {
    /// Opens as many as are configured.
    async fn open(config: &ServiceConfig) -> Result<Self, String> {
        let DatabaseTarget::MariaDb(target) = &config.database else {
            return Err("this service needs MariaDB: set database = \"mariadb\"".to_owned());
        };
        let target: &MariaDbTarget = target;
        let mut sessions = Vec::new();
        for _ in 0..config.database_connections {
            let session = connect_admin(target, Some(&target.database)).await?;
            sessions.push(Mutex::new(session));
        }
        let lent = AtomicUsize::new(0);
        Ok(Self { sessions, lent })
    }

    /// Lends the next one, by turns, as soon as it is free.
    async fn lend(&self) -> MutexGuard<'_, Conn> {
        let turn = self.lent.fetch_add(1, Relaxed) % self.sessions.len();
        self.sessions[turn].lock().await
    }

    /// Waits until all that was begun is decided, also for clients that have hung up: what is left prepared nobody decides.
    async fn settle(&self) {
        for session in &self.sessions {
            // Whoever waited for it before comes first.
            drop(session.lock().await);
        }
    }
}
