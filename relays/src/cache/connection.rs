//! One connection to the cache for the whole process, which is made anew when it breaks. Commands of many share it and
//! go out together; whoever finds none waits for nothing.

use super::CacheError;
use super::entry::{FILL_IF_NEWER, MARK_IF_OLDER};
use super::silence::Silence;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A connection is made within this time, or given up: it takes some round trips, also of a slow link.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// These are the pauses between attempts to connect: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A connection on which the scripts are known to the server.
pub(super) struct Live {
    pub connection: MultiplexedConnection,
    /// The connections of a process are numbered, so that whoever finds one broken takes away no other.
    pub number: u64,
    /// By these names the server knows the scripts.
    pub fill_if_newer: String,
    pub mark_if_older: String,
    /// How long it has owed an answer.
    pub silence: Silence,
}

/// Connects to `HOST:PORT` and makes the scripts known there. Bounded.
pub(super) async fn connect(address: &str, number: u64) -> Result<Live, CacheError> {
    let failed = |reason: String| CacheError {
        doing: format!("connecting to Redis at {address}"),
        reason,
    };
    let split = address.rsplit_once(':');
    let (host, port) = split
        .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
        .ok_or_else(|| failed("that is not host:port".to_owned()))?;
    let said = |error: RedisError| failed(error.to_string());
    let info = ConnectionAddr::Tcp(host, port)
        .into_connection_info()
        .map_err(said)?
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = Client::open(info).map_err(said)?;
    // Whoever asks has a bound of its own.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connecting = async {
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut load = redis::pipe();
        for script in [FILL_IF_NEWER, MARK_IF_OLDER] {
            load.cmd("SCRIPT").arg("LOAD").arg(script);
        }
        let (fill_if_newer, mark_if_older) = load.query_async(&mut connection).await?;
        Ok(Live {
            connection,
            number,
            fill_if_newer,
            mark_if_older,
            silence: Silence::default(),
        })
    };
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(connected) => connected.map_err(said),
        Err(_) => Err(failed(format!("no answer within {CONNECT_WITHIN:?}"))),
    }
}

/// Keeps a connection to `HOST:PORT` in `live`, for ever.
pub(super) async fn keep(address: String, live: Arc<watch::Sender<Option<Arc<Live>>>>) {
    let mut looks = live.subscribe();
    let mut number = 0;
    let mut pause = BACK_OFF.0;
    // Never an error: this task has the sender itself.
    while looks.wait_for(Option::is_none).await.is_ok() {
        number += 1;
        match connect(&address, number).await {
            Ok(connected) => {
                pause = BACK_OFF.0;
                live.send_replace(Some(Arc::new(connected)));
            }
            Err(error) => {
                tracing::debug!(%error, "still no connection to the cache");
                sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
    }
}
