//! A source of MariaDB, driven by hand.

use super::server::TestDatabase;
use relays::config::AfterPublish;
use relays::mariadb::MariaDbRow;
use relays::mariadb::orders::{NewChange, NewEvent, OrderStep, WriteUnit, write};
use relays::source::{Source, SourceError};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

use crate::patience::PATIENCE;
use relays::mariadb::binlog::BinlogSource;
use relays::mariadb::polling::MariaDbPolling;
use relays::mariadb::schema::MariaDbOutbox;

/// A poll that found nothing is followed by the next one so much later.
const INTERVAL: Duration = Duration::from_millis(5);

pub fn polling(database: &TestDatabase) -> MariaDbPolling {
    let after_publish = match database.layout.outbox {
        MariaDbOutbox::Mark => AfterPublish::Mark,
        MariaDbOutbox::None | MariaDbOutbox::Delete | MariaDbOutbox::Log => AfterPublish::Delete,
    };
    MariaDbPolling::new(database.relay(), after_publish, INTERVAL, 100)
}

pub fn binlog(database: &TestDatabase) -> BinlogSource {
    BinlogSource::new(database.relay())
}

/// What came of a source so far.
#[derive(Default)]
pub struct Taken {
    pub rows: Vec<MariaDbRow>,
    /// Events since the count began.
    count: u64,
}

impl Taken {
    /// Reads once, and confirms everything.
    pub async fn once<S: Source<Item = MariaDbRow>>(
        &mut self,
        source: &mut S,
    ) -> Result<(), SourceError> {
        let mut batch = VecDeque::new();
        source.next(&mut batch).await?;
        self.count += batch.len() as u64;
        self.rows.extend(batch);
        source.confirm(self.count);
        Ok(())
    }

    /// Reads until so many events came, and confirms them.
    pub async fn until<S: Source<Item = MariaDbRow>>(&mut self, source: &mut S, events: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.rows.len() < events {
            assert!(Instant::now() < deadline, "{} of {events}", self.rows.len());
            self.once(source).await.unwrap();
        }
        assert_eq!(self.rows.len(), events);
    }

    /// The count begins anew, as after a connect or a rewind.
    pub fn count_anew(&mut self) {
        self.count = 0;
    }

    /// The payloads, in the order in which they came.
    pub fn payloads(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row.payload.as_str()).collect()
    }

    /// Whether of each key the versions rise from 1 without a gap, but for what comes again.
    pub fn assert_in_order(&self) {
        let mut last = BTreeMap::new();
        for row in &self.rows {
            let version: u32 = row.version.parse().unwrap();
            let last = last.entry(&row.key).or_insert(0);
            assert!(
                version <= *last + 1,
                "{} of {} came behind {last}",
                version,
                row.key
            );
            *last = version.max(*last);
        }
    }
}

/// Inserts so many rows, each alone in its transaction, named by a prefix and a number.
pub async fn insert(database: &TestDatabase, name: &str, rows: std::ops::Range<u32>) {
    let sql: Vec<String> = rows.map(|n| insertion(&format!("{name}{n}"))).collect();
    database.run(&sql.join(";")).await;
}

/// The statement that inserts a row with this payload.
pub fn insertion(payload: &str) -> String {
    format!(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, version, payload) \
         VALUES (uuid(), 'Order', '{payload}', 'OrderPlaced', 1, '{payload}')"
    )
}

/// What has a meaning in SQL, and what takes four bytes.
pub const SUFFIX: &str = r#","content":"it's \"so\" \\ ü 🦀"}"#;

/// A change of an order that is announced, by nobody in particular.
pub fn change(order: Uuid, step: OrderStep) -> NewChange<'static> {
    NewChange {
        order,
        attempt: Uuid::new_v4(),
        change_id: Uuid::new_v4(),
        step,
        announced: Some(NewEvent {
            id: Uuid::now_v7(),
            event_type: "OrderChanged",
            prefix: r#"{"version":"#,
            suffix: SUFFIX,
        }),
    }
}

/// Changes so many orders so many times, from several sessions at once.
async fn change_orders(database: &TestDatabase, sessions: usize, orders: usize, changes: usize) {
    let orders: Vec<Uuid> = (0..orders).map(|_| Uuid::new_v4()).collect();
    let target = database.service();
    let work = (0..sessions).map(|_| async {
        let mut conn = database.session_of(&target).await;
        for turn in 0..changes {
            let order = orders[turn % orders.len()];
            let amended = OrderStep::Transition {
                from: None,
                to: None,
            };
            for step in [OrderStep::Place("placed"), amended] {
                let change = change(order, step);
                write(&mut conn, &change, WriteUnit::Alone).await.unwrap();
            }
        }
    });
    futures::future::join_all(work).await;
}

/// Reads with a source of this database while many change few orders: each order's events come in its order.
pub async fn read_while_many_change<S: Source<Item = MariaDbRow>>(
    database: &TestDatabase,
    source: &mut S,
) {
    let mut taken = Taken::default();
    source.connect().await.unwrap();
    let events = 5 + 6 * 60;
    tokio::join!(
        change_orders(database, 6, 5, 60),
        taken.until(source, events)
    );
    taken.assert_in_order();
}
