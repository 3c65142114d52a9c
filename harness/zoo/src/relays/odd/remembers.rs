//! A relay of MariaDB's binlog that keeps its place in a file of its own, and writes nothing to the database: no position, and
//! what it has published stays in the outbox. It begins to read anew every second, and holds the rows of an XA transaction
//! until that is decided. What comes again it knows by its id.

use super::super::kit::binlog::{Binlog, LogWord, first_place, target};
use super::super::kit::broker::Broker;
use super::super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_millis(100);
const READS_FOR: Duration = Duration::from_secs(1);

/// Relays until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let target = target(&config)?;
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let file = std::env::var_os(crate::CONFESSION).ok_or("no place for a place")?;
    let file = PathBuf::from(file).with_extension("place");
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    std::fs::write(&file, first_place(target).await?).map_err(failed)?;
    let mut published = HashSet::new();
    emit(Signal::Ready);
    while !stop.told() {
        let place = std::fs::read_to_string(&file).map_err(failed)?;
        let mut log = Binlog::open(target, &place).await?;
        confession.admit("read-from", &place);
        let (began, mut open) = (Instant::now(), Undecided::default());
        while began.elapsed() < READS_FOR && !stop.told() {
            let words = log.words(PATIENCE).await?;
            let mut decided: Vec<Entry> =
                words.into_iter().flat_map(|word| open.take(word)).collect();
            decided.retain(|row| published.insert(row.id.clone()));
            broker.publish(&decided)?;
            if let Some(place) = open.place() {
                std::fs::write(&file, place).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// What was read and is not decided.
#[derive(Default)]
struct Undecided {
    /// The group that is being read: its place, its rows, and the name of its XA transaction.
    place: String,
    rows: Vec<Entry>,
    name: Option<String>,
    prepared: HashMap<String, Vec<Entry>>,
    /// Behind this place nothing was undecided.
    settled: Option<String>,
}

impl Undecided {
    /// Where whoever reads anew may begin, if that has changed.
    fn place(&mut self) -> Option<String> {
        self.settled.take()
    }

    /// Takes note of a word; gives the rows that are committed with it.
    fn take(&mut self, word: LogWord) -> Vec<Entry> {
        match word {
            LogWord::Begun(place) => {
                self.place = place;
                self.rows.clear();
                self.name = None;
                Vec::new()
            }
            LogWord::Inserted(rows) => {
                self.rows.extend(rows);
                Vec::new()
            }
            LogWord::Committed => {
                let rows = std::mem::take(&mut self.rows);
                self.ended(rows)
            }
            LogWord::Prepared => {
                let rows = std::mem::take(&mut self.rows);
                if let Some(name) = self.name.take() {
                    self.prepared.insert(name, rows);
                }
                self.ended(Vec::new())
            }
            LogWord::Statement(text) => self.statement(&text),
        }
    }

    fn statement(&mut self, text: &str) -> Vec<Entry> {
        if let Some(name) = text.strip_prefix("XA END ") {
            self.name = Some(name.to_owned());
        } else if let Some(name) = text.strip_prefix("XA COMMIT ") {
            let rows = self.prepared.remove(name).unwrap_or_default();
            return self.ended(rows);
        } else if let Some(name) = text.strip_prefix("XA ROLLBACK ") {
            self.prepared.remove(name);
            return self.ended(Vec::new());
        } else if text == "COMMIT" {
            let rows = std::mem::take(&mut self.rows);
            return self.ended(rows);
        }
        Vec::new()
    }

    /// A group has ended, and with it these rows are committed.
    fn ended(&mut self, rows: Vec<Entry>) -> Vec<Entry> {
        if self.prepared.is_empty() {
            self.settled = Some(self.place.clone());
        }
        rows
    }
}
