//! A relay from the source that a configuration names: of each database, the ways to read its outbox.

use super::traced;
use crate::config::{
    AfterPublish, DatabaseTarget, Housekeeping, MariaDbTarget, PostgresTarget, RelayConfig,
    SourceConfig,
};
use crate::mariadb::binlog::BinlogSource;
use crate::mariadb::polling::MariaDbPolling;
use crate::postgres::cdc::CdcSource;
use crate::postgres::polling::PollingSource;
use crate::postgres::position::PositionSource;
use crate::publisher::Publisher;
use crate::source::SourceError;
use crate::trace::Trace;
use crate::{mariadb, postgres};
use std::future::Future;
use std::time::Duration;

/// Relays from the source that the configuration names to this publisher.
pub(super) fn run(
    config: RelayConfig,
    publisher: impl Publisher,
    trace: Trace,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    match config.database.clone() {
        DatabaseTarget::Postgres(target) => from_postgres(target, config, publisher, trace, stop),
        DatabaseTarget::MariaDb(target) => from_mariadb(target, config, publisher, trace, stop),
    }
}

/// Claims everything that is in an outbox by the statements of the relay that polls there, and publishes none of it; counts
/// the rows. For the referee's benchmarks.
pub async fn claim_all(
    target: DatabaseTarget,
    after_publish: AfterPublish,
    batch: u32,
) -> Result<u64, SourceError> {
    match target {
        DatabaseTarget::Postgres(target) => {
            postgres::polling::claim_all(target, after_publish, batch).await
        }
        DatabaseTarget::MariaDb(target) => {
            mariadb::polling::claim_all(target, after_publish, batch).await
        }
    }
}

fn from_postgres(
    target: PostgresTarget,
    config: RelayConfig,
    publisher: impl Publisher,
    trace: Trace,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    match config.source {
        SourceConfig::Binlog => {
            Err("the binlog is MariaDB's, and the database is PostgreSQL".into())
        }
        SourceConfig::Polling {
            after_publish,
            housekeeping,
            interval_ms,
            batch,
            notify,
        } => {
            let interval = Duration::from_millis(interval_ms);
            let source = PollingSource::new(target, after_publish, interval, batch, notify);
            let source = source
                .keeping_house(housekeeping)
                .committing(config.synchronous_commit)
                .of_several(config.one_of_several);
            traced(source, publisher, trace, stop)
        }
        SourceConfig::Position { interval_ms, batch } => {
            let interval = Duration::from_millis(interval_ms);
            let source =
                PositionSource::new(target, interval, batch).committing(config.synchronous_commit);
            traced(source, publisher, trace, stop)
        }
        SourceConfig::Cdc {
            slot,
            publication,
            logged,
        } => {
            let source = CdcSource::new(target, slot, publication)
                .of(logged)
                .committing(config.synchronous_commit)
                .of_several(config.one_of_several);
            traced(source, publisher, trace, stop)
        }
    }
}

fn from_mariadb(
    target: MariaDbTarget,
    config: RelayConfig,
    publisher: impl Publisher,
    trace: Trace,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    match config.source {
        SourceConfig::Polling {
            after_publish,
            housekeeping: Housekeeping::None,
            interval_ms,
            batch,
            notify: false,
        } => {
            let interval = Duration::from_millis(interval_ms);
            let source = MariaDbPolling::new(target, after_publish, interval, batch)
                .of_several(config.one_of_several);
            traced(source, publisher, trace, stop)
        }
        SourceConfig::Binlog => {
            let source = BinlogSource::new(target).of_several(config.one_of_several);
            traced(source, publisher, trace, stop)
        }
        SourceConfig::Polling { .. } => Err(
            "`notify` and `housekeeping` of a polling relay need PostgreSQL, and the database is MariaDB".into(),
        ),
        SourceConfig::Position { .. } | SourceConfig::Cdc { .. } => {
            Err("this source needs PostgreSQL, and the database is MariaDB".into())
        }
    }
}
