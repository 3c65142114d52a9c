//! The order service: HTTP in, one write path, an answer out.
//!
//! A rejection is only ever answered when the change is certainly not committed; whatever is in
//! doubt is a 503.

mod caching;
mod change;
mod connections;
mod database;
mod database_error;
mod dual_write;
mod event;
mod finishing;
mod http;
mod monitor;
mod outbox;
mod producer;
mod reading;
mod steps;
mod transaction;

pub use database::{PLACING, SESSION};

use crate::broker;
use crate::config::{ServiceConfig, WritePathConfig};
use crate::signal::{Signal, emit};
use crate::trace::Trace;
use axum::serve::ListenerExt;
use caching::{Invalidation, OrderCache};
use change::{Change, HOLD_MAX, Outcome};
use connections::{ANSWER_WITHIN, Connections};
use database::two_phase::{self, ParticipantSettings, Participants, TwoPhase};
use database::{Announcement, ForeignStatements, Login, Orders};
use database_error::DatabaseError;
use dual_write::DualWrite;
use monitor::{Monitor, ServiceReporter};
use outbox::Outbox;
use producer::EventProducer;
use reading::OrderReader;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Bound on the requests in flight after SIGTERM, on top of what the write path may wait for.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

/// A write path takes one order change and says whether it is committed, rejected, or not known.
trait WritePath: Send + Sync + 'static {
    /// Takes the change through.
    fn apply(&self, change: &Change) -> impl Future<Output = Outcome> + Send;
    /// Finishes what is still under way; no change comes after this.
    fn finish(&self) -> impl Future<Output = ()> + Send;
}

impl From<DatabaseError> for Outcome {
    fn from(error: DatabaseError) -> Self {
        Self::Failed {
            error: error.to_string(),
        }
    }
}

/// Serves until SIGTERM: then it stops accepting, finishes the requests in flight, flushes its
/// producer and returns.
pub async fn serve(config: ServiceConfig) -> Result<(), String> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|e| format!("listening for SIGTERM: {e}"))?;
    serve_until(config, async move {
        terminate.recv().await;
    })
    .await
}

/// Serves as [`serve`] does, until `stop` completes instead of SIGTERM.
pub async fn serve_until(
    config: ServiceConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    check(&config)?;
    let socket = bind(config.listen)?;
    let mut stop = Box::pin(stop);
    // The longest time that a write path waits for anything but the database.
    let wait = match &config.write_path {
        WritePathConfig::Outbox { .. }
        | WritePathConfig::Message
        | WritePathConfig::Events
        | WritePathConfig::Foreign { .. } => HOLD_MAX,
        WritePathConfig::DualWrite {
            publish_timeout_ms,
            policy,
            ..
        } => HOLD_MAX + policy.within(producer::delivery_within(*publish_timeout_ms)),
        // For the publish, and for the end of its transaction.
        WritePathConfig::TwoPhase {
            publish_timeout_ms, ..
        } => HOLD_MAX + 2 * producer::delivery_within(Some(*publish_timeout_ms)),
    };
    let login = Login::of(&config, wait + 2 * ANSWER_WITHIN);
    let connections = tokio::select! {
        connections = Connections::open(login.clone(), config.database_connections) => connections?,
        () = &mut stop => return Ok(()),
    };
    let monitor = Arc::new(Monitor::default());
    let trace = Trace::open(config.trace.as_ref());
    let run = config.run;
    let cache = match config.cache {
        Some(cache) => Some(OrderCache::open(cache, Arc::clone(&monitor), trace.clone()).await),
        None => None,
    };
    let reader = cache.clone();
    let reader = reader.map(|cache| OrderReader::new(cache, Arc::clone(&connections)));
    let serving = Serving {
        socket,
        monitor: Arc::clone(&monitor),
        trace: trace.clone(),
        reader,
        drain_within: wait + DRAIN_WITHIN,
    };
    let announcement = match config.write_path {
        WritePathConfig::Outbox { notify: true } => Announcement::OutboxAndNotify,
        WritePathConfig::Outbox { notify: false } => Announcement::Outbox,
        WritePathConfig::Message => Announcement::Message,
        WritePathConfig::Events => Announcement::Itself,
        WritePathConfig::Foreign { announce } => {
            Announcement::Foreign(ForeignStatements::new(announce))
        }
        WritePathConfig::DualWrite {
            order,
            publish_timeout_ms,
            policy,
            broker,
        } => {
            let orders = Orders::new(run, Announcement::None);
            let sender = broker::sender(&broker, publish_timeout_ms, &policy)?;
            let producer = EventProducer::new(
                sender,
                broker.topic().to_owned(),
                producer::delivery_within(publish_timeout_ms),
                policy,
                monitor,
                trace.clone(),
            );
            producer.warm_up().await;
            let lent = Arc::clone(&connections);
            let path = DualWrite::new(order, orders, lent, producer, trace)
                .invalidating(Invalidation::of(cache));
            accept(serving, path, stop).await?;
            connections.close().await;
            return Ok(());
        }
        WritePathConfig::TwoPhase {
            kafka,
            publish_timeout_ms,
            transaction_timeout_ms,
            producers,
        } => {
            let settings = ParticipantSettings {
                kafka,
                within: Duration::from_millis(publish_timeout_ms),
                transaction_timeout_ms,
            };
            let lent = Arc::clone(&connections);
            let noted = (monitor, trace.clone());
            let life = two_phase::life(&config.database, &login)?;
            let participants = Participants::open(producers, settings, life, lent, noted);
            let participants = tokio::select! {
                participants = participants => participants,
                () = &mut stop => return Ok(()),
            };
            let orders = Orders::new(run, Announcement::None);
            let lent = Arc::clone(&connections);
            let path = TwoPhase::new(orders, lent, participants, trace);
            accept(serving, path, stop).await?;
            connections.close().await;
            return Ok(());
        }
    };
    let orders = Orders::new(run, announcement);
    let path =
        Outbox::new(orders, Arc::clone(&connections), trace).invalidating(Invalidation::of(cache));
    accept(serving, path, stop).await?;
    connections.close().await;
    Ok(())
}

/// What only one database has is not begun with another.
fn check_database(config: &ServiceConfig) -> Result<(), String> {
    match &config.write_path {
        WritePathConfig::Outbox { notify: false } | WritePathConfig::DualWrite { .. } => Ok(()),
        WritePathConfig::Outbox { notify: true }
        | WritePathConfig::Message
        | WritePathConfig::Events
        | WritePathConfig::Foreign { .. }
        | WritePathConfig::TwoPhase { .. } => {
            let needed = database::has_every_write_path(&config.database);
            needed.map_err(|reason| format!("`write_path`: {reason}"))
        }
    }
}

fn check(config: &ServiceConfig) -> Result<(), String> {
    check_database(config)?;
    if let WritePathConfig::TwoPhase { producers: 0, .. } = config.write_path {
        return Err("`producers` is 0: an order takes one".into());
    }
    let reads_orders = match config.write_path {
        WritePathConfig::Outbox { .. }
        | WritePathConfig::Message
        | WritePathConfig::DualWrite { .. } => true,
        WritePathConfig::Events
        | WritePathConfig::Foreign { .. }
        | WritePathConfig::TwoPhase { .. } => false,
    };
    if config.cache.is_some() && !reads_orders {
        return Err("`cache` goes with a dual write or an outbox of this project alone".into());
    }
    if config.database_connections == 0 {
        return Err("`database_connections` is 0: the service needs at least 1".into());
    }
    if config.run.is_empty() || !config.run.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("`run` is `{}`: it takes hex digits", config.run));
    }
    if let WritePathConfig::DualWrite {
        publish_timeout_ms: Some(0),
        ..
    } = config.write_path
    {
        return Err(
            "`publish_timeout_ms` is 0, which Kafka takes for no limit: it takes at least 1".into(),
        );
    }
    Ok(())
}

/// Takes the address without listening yet: until the service can work, clients are refused
/// instead of kept waiting. Address reuse lets a successor bind at once while connections of a
/// killed predecessor linger.
fn bind(address: SocketAddr) -> Result<TcpSocket, String> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    socket
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        })
        .map_err(|e| format!("binding {address}: {e}; is the port taken by another process?"))
}

/// What serving takes, whatever the write path.
struct Serving {
    socket: TcpSocket,
    monitor: Arc<Monitor>,
    trace: Trace,
    /// Who reads orders for clients, where somebody does.
    reader: Option<OrderReader>,
    /// After `stop`, requests in flight may take so long.
    drain_within: Duration,
}

/// Accepts until `stop`, then finishes what is in flight.
async fn accept<P: WritePath>(
    serving: Serving,
    path: P,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let Serving {
        socket,
        monitor,
        trace,
        reader,
        drain_within,
    } = serving;
    let mut reporter = ServiceReporter::new(Arc::clone(&monitor));
    let service = http::Service::new(path, reader, monitor, trace);
    let listener = socket
        .listen(BACKLOG)
        .map_err(|e| format!("listening for HTTP: {e}"))?;
    let listener = listener.tap_io(|socket| {
        // Without it an answer can wait 40 ms for an acknowledgement; it fails on a dead socket.
        let _ = socket.set_nodelay(true);
    });
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, service.router()).with_graceful_shutdown(async move {
        stop.await;
        drop(stopping);
    });
    emit(Signal::Ready);
    let served = async {
        server.await.map_err(|e| format!("serving HTTP: {e}"))?;
        service.finish().await;
        Ok(())
    };
    let overdue = async {
        let _ = stopped.await;
        tokio::time::sleep(drain_within).await;
    };
    let result = tokio::select! {
        result = served => result,
        () = overdue => Err(format!(
            "stopping: requests were still in flight after {drain_within:?}; they are cut off"
        )),
        () = reporter.run() => Ok(()),
    };
    reporter.report();
    result
}
