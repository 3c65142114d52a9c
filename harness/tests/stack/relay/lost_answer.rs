//! A link that carries a COMMIT to the database, and loses the answer.

use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use super::slow::WHOLE_MATRIX;
use relays::signal::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A proxy to PostgreSQL that loses the answers to so many COMMITs, each with its connection.
struct Lossy {
    port: u16,
    left: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Lossy {
    async fn start(upstream: (String, u16), answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicUsize::new(answers));
        let shared = Arc::clone(&left);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&upstream).await.unwrap();
                let left = Arc::clone(&shared);
                tokio::spawn(async move {
                    // An end of the connection is an end of both.
                    let _ = carry(client, server, &left).await;
                });
            }
        });
        Self { port, left, task }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    left: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            bytes = client.read(&mut asked) => {
                let asked = &asked[..bytes?];
                if asked.is_empty() {
                    return Ok(());
                }
                server.write_all(asked).await?;
                let commits = asked.windows(6).any(|w| w == b"COMMIT");
                let lose = |n: usize| n.checked_sub(1);
                if commits && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lose).is_ok() {
                    // The server answers, so it has committed.
                    let answer = server.read(&mut answered).await?;
                    assert!(answer > 0);
                    return Ok(());
                }
            }
            bytes = server.read(&mut answered) => {
                let answered = &answered[..bytes?];
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_commit_whose_answer_is_lost_when_the_relay_is_back_then_its_rows_are_not_published_again()
 {
    for kind in [Kind::Delete, Kind::Mark] {
        Fixture::run(kind, Wiring::Direct, async |mut fixture| {
            // Given a relay with a backlog of several transactions, on such a link
            let lossy = Lossy::start(fixture.postgres_address(), 2).await;
            fixture.insert(200, 1..=10).await;
            fixture.reach_postgres_by(lossy.port);
            // When the answers to two of its commits are lost
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(2_000).await;
            assert_eq!(lossy.left.load(Ordering::Relaxed), 0, "{kind:?}");
            assert!(relay.saw(|s| matches!(s, Signal::DatabaseLost { .. })));
            relay.terminate().await;
            // Then what they committed stays so
            let log = fixture.read_topic();
            log.assert_complete(200, 10);
            assert_eq!(log.duplicates(), 0, "{kind:?}");
        })
        .await;
    }
}

/// A relay waits for 30 s for what it claims, so this takes longer than a test may; as the matrix of slow links,
/// it is run by whoever asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn given_a_claim_whose_answer_comes_too_late_when_its_session_lives_then_what_it_has_is_not_lost()
 {
    if std::env::var_os(WHOLE_MATRIX).is_none() {
        eprintln!("left out: {WHOLE_MATRIX} is not set");
        return;
    }
    Fixture::run(
        Kind::Delete,
        Wiring::ProxiedPostgres,
        async |mut fixture| {
            // Given a relay that publishes what it claimed, and a claim behind it whose answer takes 33 s
            fixture.content_bytes = 300_000;
            let mut relay = RelayProcess::start(&fixture);
            relay.wait_for(|s| *s == Signal::Ready).await;
            fixture.limit_answers(Some(100)).await;
            fixture.insert(1, 1..=1).await;
            fixture.content_bytes = 660_000;
            fixture.insert(1, 2..=6).await;
            // When it gives up, and the answer comes after all
            relay
                .wait_for(|s| matches!(s, Signal::DatabaseLost { .. }))
                .await;
            fixture.limit_answers(None).await;
            // Then all of it is published
            fixture.wait_until_worked_off(6).await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(1, 6);
        },
    )
    .await;
}
