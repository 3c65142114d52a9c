//! The client against the real server, error paths included.
#![allow(clippy::unwrap_used)]

use crate::stack;
use harness::scenario::{Stream, Toxic};
use harness::toxiproxy::ToxiproxyClient;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn client() -> ToxiproxyClient {
    ToxiproxyClient::new(&stack().await.toxiproxy_url).unwrap()
}

/// A name nobody else uses, with the arrow that link names have.
fn unique(what: &str) -> String {
    format!("test.{}.relay->{what}", uuid::Uuid::new_v4().simple())
}

/// A server that sends everything back; returns its address.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn says_back(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"hello").await?;
    let mut back = [0u8; 5];
    stream.read_exact(&mut back).await?;
    Ok(&back == b"hello")
}

fn every_toxic() -> Vec<Toxic> {
    vec![
        Toxic::Latency {
            latency: 200,
            jitter: 20,
        },
        Toxic::Bandwidth { rate: 64 },
        Toxic::SlowClose { delay: 300 },
        Toxic::Timeout { timeout: 400 },
        Toxic::ResetPeer { timeout: 10 },
        Toxic::Slicer {
            average_size: 100,
            size_variation: 20,
            delay: 30,
        },
        Toxic::LimitData { bytes: 4096 },
    ]
}

#[tokio::test]
async fn a_proxy_lives_from_creation_to_deletion() {
    let toxiproxy = client().await;
    let name = unique("kafka");
    assert!(!toxiproxy.version().await.unwrap().is_empty());

    let listen = toxiproxy
        .create(&name, "127.0.0.1:0", &echo().await)
        .await
        .unwrap();
    assert!(says_back(&listen).await.unwrap());

    toxiproxy.set_enabled(&name, false).await.unwrap();
    let refused = says_back(&listen).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let unhealed = toxiproxy
        .assert_healed(std::slice::from_ref(&name))
        .await
        .unwrap_err();
    assert!(unhealed.reason.contains("is disabled"), "{unhealed}");

    toxiproxy.set_enabled(&name, true).await.unwrap();
    assert!(says_back(&listen).await.unwrap());
    toxiproxy
        .assert_healed(std::slice::from_ref(&name))
        .await
        .unwrap();

    toxiproxy.delete(&name).await.unwrap();
    toxiproxy.delete(&name).await.unwrap();
    assert_eq!(toxiproxy.inspect(&name).await.unwrap(), None);
    let gone = toxiproxy
        .assert_healed(std::slice::from_ref(&name))
        .await
        .unwrap_err();
    assert!(gone.reason.contains("is not there"), "{gone}");
}

#[tokio::test]
async fn every_toxic_is_read_back_in_both_directions_and_removed() {
    let toxiproxy = client().await;
    let name = unique("kafka");
    toxiproxy
        .create(&name, "127.0.0.1:0", "127.0.0.1:9")
        .await
        .unwrap();
    for (n, toxic) in every_toxic().into_iter().enumerate() {
        for stream in [Stream::Upstream, Stream::Downstream] {
            let toxic_name = format!("fault-{n}-{stream:?}");
            toxiproxy
                .add_toxic(&name, &toxic_name, toxic, stream, 0.3)
                .await
                .unwrap();
            let unhealed = toxiproxy
                .assert_healed(std::slice::from_ref(&name))
                .await
                .unwrap_err();
            assert!(unhealed.reason.contains(&toxic_name), "{unhealed}");
            toxiproxy.remove_toxic(&name, &toxic_name).await.unwrap();
            toxiproxy.remove_toxic(&name, &toxic_name).await.unwrap();
        }
    }
    toxiproxy
        .assert_healed(std::slice::from_ref(&name))
        .await
        .unwrap();
    toxiproxy.delete(&name).await.unwrap();
}

#[tokio::test]
async fn creating_again_replaces_the_proxy_and_its_toxics() {
    let toxiproxy = client().await;
    let name = unique("postgres");
    let first = toxiproxy
        .create(&name, "127.0.0.1:0", "127.0.0.1:9")
        .await
        .unwrap();
    let slow = Toxic::Latency {
        latency: 1,
        jitter: 0,
    };
    toxiproxy
        .add_toxic(&name, "slow", slow, Stream::Downstream, 1.0)
        .await
        .unwrap();

    let again = toxiproxy
        .create(&name, &first, &echo().await)
        .await
        .unwrap();

    assert_eq!(again, first);
    assert!(says_back(&again).await.unwrap());
    toxiproxy
        .assert_healed(std::slice::from_ref(&name))
        .await
        .unwrap();
    toxiproxy.delete(&name).await.unwrap();
}

#[tokio::test]
async fn errors_say_what_was_asked_and_what_came_back() {
    let toxiproxy = client().await;
    let name = unique("kafka");
    let upstream = "127.0.0.1:9";
    let listen = toxiproxy
        .create(&name, "127.0.0.1:0", upstream)
        .await
        .unwrap();
    let slow = Toxic::Latency {
        latency: 1,
        jitter: 0,
    };

    let missing = unique("nobody");
    let e = toxiproxy.set_enabled(&missing, true).await.unwrap_err();
    assert_eq!(e.status, Some(404));
    assert!(e.to_string().contains("proxy not found"), "{e}");
    let e = toxiproxy
        .add_toxic(&missing, "slow", slow, Stream::Upstream, 1.0)
        .await
        .unwrap_err();
    assert_eq!(e.status, Some(404));

    toxiproxy
        .add_toxic(&name, "slow", slow, Stream::Upstream, 1.0)
        .await
        .unwrap();
    let e = toxiproxy
        .add_toxic(&name, "slow", slow, Stream::Upstream, 1.0)
        .await
        .unwrap_err();
    assert_eq!(e.status, Some(409));
    assert!(e.to_string().contains(&name), "{e}");

    let other = unique("taken");
    let e = toxiproxy
        .create(&other, &listen, upstream)
        .await
        .unwrap_err();
    assert_eq!(e.status, Some(500));
    assert!(e.to_string().contains("address already in use"), "{e}");
    assert_eq!(toxiproxy.inspect(&other).await.unwrap(), None);

    let too_large = Toxic::LimitData { bytes: u64::MAX };
    let e = toxiproxy
        .add_toxic(&name, "large", too_large, Stream::Upstream, 1.0)
        .await
        .unwrap_err();
    assert_eq!(e.status, Some(400));
    toxiproxy.delete(&name).await.unwrap();
}

#[tokio::test]
async fn what_would_crash_the_server_is_not_sent() {
    let toxiproxy = client().await;
    let name = unique("kafka");
    let slice = |average_size, size_variation| Toxic::Slicer {
        average_size,
        size_variation,
        delay: 0,
    };
    let latency = Toxic::Latency {
        latency: 1,
        jitter: 0,
    };
    for (toxic, toxicity, why) in [
        (slice(0, 0), 1.0, "crash"),
        (slice(10, 10), 1.0, "crash"),
        (latency, 1.5, "not in 0 to 1"),
        (latency, f32::NAN, "not in 0 to 1"),
    ] {
        let e = toxiproxy
            .add_toxic(&name, "bad", toxic, Stream::Upstream, toxicity)
            .await
            .unwrap_err();
        assert!(e.reason.contains(why), "{e}");
        assert_eq!(e.status, None);
    }
    let e = toxiproxy.delete("a/b").await.unwrap_err();
    assert!(e.reason.contains("slash"), "{e}");
    assert!(ToxiproxyClient::new("localhost:8474").is_err());
    assert!(ToxiproxyClient::new("https://localhost:8474").is_err());
}

#[tokio::test]
async fn a_server_that_is_silent_or_not_there_is_an_error_within_the_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = ToxiproxyClient::with_timeout(&url, Duration::from_millis(100)).unwrap();
    let e = silent.version().await.unwrap_err();
    assert_eq!(e.status, None);
    assert!(e.to_string().contains("wedged"), "{e}");

    drop(listener);
    let e = silent.version().await.unwrap_err();
    assert_eq!(e.status, None);
    assert!(e.to_string().contains("is it running?"), "{e}");
}

#[tokio::test]
async fn a_reply_that_is_not_what_was_asked_is_an_error() {
    // given a server that says yes to everything and does something else
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0u8; 4096];
            let _ = stream.read(&mut request).await;
            let body = r#"{"attributes":{"latency":200,"jitter":0},"name":"slow","type":"latency","stream":"downstream","toxicity":1}"#;
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    let toxiproxy = ToxiproxyClient::new(&url).unwrap();
    let slow = |latency| Toxic::Latency { latency, jitter: 0 };

    // when, then
    let add = |latency, stream, toxicity| {
        toxiproxy.add_toxic("p", "slow", slow(latency), stream, toxicity)
    };
    assert!(add(200, Stream::Downstream, 1.0).await.is_ok());
    for e in [
        add(200, Stream::Upstream, 1.0).await.unwrap_err(),
        add(201, Stream::Downstream, 1.0).await.unwrap_err(),
        add(200, Stream::Downstream, 0.5).await.unwrap_err(),
    ] {
        assert!(e.reason.contains("asked for"), "{e}");
    }
    assert!(toxiproxy.set_enabled("slow", true).await.is_err());
    assert!(toxiproxy.version().await.is_err());
}
