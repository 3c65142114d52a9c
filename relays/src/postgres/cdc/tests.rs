//! The change stream against a server that says what it is told to.
#![allow(clippy::unwrap_used)]

use super::*;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does once it is asked to start the stream.
#[derive(Clone, Copy)]
enum Then {
    /// It starts the stream and sends nothing in it.
    Silence,
    /// Says that it is there, ten times a second.
    KeepAlives,
    /// Sends changes as fast as they are read.
    Changes,
}

/// A walsender of a German server, of whose slot others let go after so many attempts.
struct FakeServer {
    port: u16,
    attempts: Arc<AtomicUsize>,
    /// Reports that it got.
    reports: Arc<AtomicUsize>,
}

impl FakeServer {
    async fn start(busy: usize, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            attempts: Arc::default(),
            reports: Arc::default(),
        };
        let (attempts, reports) = (server.attempts.clone(), server.reports.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (attempts, reports) = (attempts.clone(), reports.clone());
                tokio::spawn(async move {
                    // Whoever goes away in the middle is gone.
                    let _ = serve(stream, busy, then, &attempts, reports).await;
                });
            }
        });
        server
    }

    fn source(&self) -> CdcSource {
        let target = PostgresTarget {
            host: "127.0.0.1".into(),
            port: self.port,
            user: "relay".into(),
            password: String::new(),
            database: "postgres".into(),
            schema: "s".into(),
        };
        CdcSource::new(target, "slot".into(), "publication".into())
    }
}

async fn serve(
    mut stream: TcpStream,
    busy: usize,
    then: Then,
    attempts: &AtomicUsize,
    reports: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let length = stream.read_i32().await?;
    let mut startup = vec![0; length as usize - 4];
    stream.read_exact(&mut startup).await?;
    if !startup.windows(11).any(|w| w == b"replication") {
        // The sweeper's session.
        return Ok(());
    }
    stream
        .write_all(&message(b'R', &0_i32.to_be_bytes()))
        .await?;
    stream.write_all(&message(b'Z', b"I")).await?;
    skip_message(&mut stream).await?;
    if attempts.fetch_add(1, Ordering::Relaxed) < busy {
        let text = "SFEHLER\0C55006\0MReplikations-Slot »slot« wird gerade von PID 7 verwendet\0\0";
        return stream.write_all(&message(b'E', text.as_bytes())).await;
    }
    stream.write_all(&message(b'W', &[0, 0, 0])).await?;
    let (mut reading, mut writing) = stream.into_split();
    let listening = tokio::spawn(async move {
        while skip_message(&mut reading).await.is_ok() {
            reports.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut keep_alive = vec![b'k'];
    keep_alive.extend([0; 17]);
    let mut change = vec![b'w'];
    change.extend([0; 24]);
    // A row type, of which the relay takes no notice
    change.extend([b'Y'; 1_000]);
    loop {
        match then {
            Then::Silence => break,
            Then::KeepAlives => {
                writing.write_all(&message(b'd', &keep_alive)).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Then::Changes => writing.write_all(&message(b'd', &change)).await?,
        }
    }
    let _ = listening.await;
    Ok(())
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    message
}

async fn skip_message(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    stream.read_u8().await?;
    let length = stream.read_i32().await?;
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await?;
    Ok(())
}

#[tokio::test]
async fn given_a_slot_in_use_when_the_server_says_so_in_german_then_it_is_asked_again() {
    let server = FakeServer::start(3, Then::Silence).await;
    server.source().connect().await.unwrap();
    assert_eq!(server.attempts.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn given_a_slot_in_use_when_it_is_one_of_several_then_it_stands_by_at_once() {
    let server = FakeServer::start(1, Then::Silence).await;
    let mut source = server.source().of_several(true);
    assert_eq!(source.connect().await, Ok(Standing::StandsBy));
    assert_eq!(server.attempts.load(Ordering::Relaxed), 1);
}

#[test]
fn given_a_message_of_any_words_when_it_has_a_code_then_the_code_is_found() {
    assert_eq!(
        sqlstate("der Slot ist aktiv (SQLSTATE 55006)"),
        Some("55006")
    );
    assert_eq!(
        sqlstate("(SQLSTATE 42704) in a name (SQLSTATE 55006)"),
        Some("55006")
    );
    assert_eq!(sqlstate("slot \"s\" is active for PID 7"), None);
}

#[tokio::test]
async fn given_a_server_that_is_silent_when_it_is_for_too_long_then_the_link_is_dead() {
    let server = FakeServer::start(0, Then::Silence).await;
    let mut source = server.source();
    source.silence_max = Duration::from_millis(500);
    source.connect().await.unwrap();
    let began = Instant::now();
    let mut batch = VecDeque::new();
    let error = loop {
        if let Err(error) = source.next(&mut batch).await {
            break error;
        }
        assert!(began.elapsed() < 20 * source.silence_max, "it still waits");
    };
    assert!(began.elapsed() >= source.silence_max);
    assert!(
        error.to_string().contains("not a word for 500ms"),
        "{error}"
    );
}

#[tokio::test]
async fn given_a_server_that_has_nothing_to_send_when_it_says_so_then_the_link_is_alive() {
    let server = FakeServer::start(0, Then::KeepAlives).await;
    let mut source = server.source();
    source.silence_max = Duration::from_secs(2);
    source.connect().await.unwrap();
    let began = Instant::now();
    let mut batch = VecDeque::new();
    while began.elapsed() < 2 * source.silence_max {
        source.next(&mut batch).await.unwrap();
    }
}

#[tokio::test]
async fn given_a_sink_that_takes_nothing_when_the_server_has_more_than_is_read_ahead_then_it_is_answered()
 {
    let server = FakeServer::start(0, Then::Changes).await;
    let mut source = server.source();
    source.connect().await.unwrap();
    // Nobody asks for events: the read-ahead is full, and the server cannot send
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = server.reports.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reports = server.reports.load(Ordering::Relaxed) - before;
    assert!(
        reports >= 3,
        "{reports} reports in a second, one each {STATUS_INTERVAL:?}"
    );
}
