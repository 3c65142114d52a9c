//! The referee's side against a broker that says what a test tells it, without any server.

#![allow(clippy::unwrap_used)]

use super::at;
use crate::identity::RunKey;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bound on what comes at once, on a machine that is not too busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client says, by class and method.
type Said = (u8, u8);

const START: Said = (10, 11);
const TUNE: Said = (10, 31);
const OPEN: Said = (10, 40);
const CHANNEL: Said = (20, 10);
const EXCHANGE: Said = (40, 10);
const EXCHANGE_GONE: Said = (40, 20);
const QUEUE: Said = (50, 10);
const BIND: Said = (50, 20);
const CONFIRMS: Said = (85, 10);
const PUBLISH: Said = (60, 40);

/// A method that the broker says, as a frame on channel 1.
fn method(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let mut out = vec![1, 0, 1];
    out.extend((arguments.len() as u32 + 4).to_be_bytes());
    out.extend(class.to_be_bytes());
    out.extend(method.to_be_bytes());
    out.extend(arguments);
    out.push(0xCE);
    out
}

fn blocked(why: &str) -> Vec<u8> {
    method(10, 60, &[&[why.len() as u8], why.as_bytes()].concat())
}

/// The next method of a client; `None` where it has hung up. What else a message has is passed over.
fn hear(stream: &mut TcpStream) -> Option<Said> {
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut rest = vec![0; length + 1];
        stream.read_exact(&mut rest).ok()?;
        if let (1, [_, class, _, method]) = (head[0], rest.first_chunk::<4>()?) {
            return Some((*class, *method));
        }
    }
}

/// What a client says, and what it is answered.
type Script = Vec<(Said, Vec<u8>)>;

/// A broker that answers each method as the script of its connection has it, and nothing that is not in it, until the
/// client hangs up; gives, by connection, what was said beyond the script.
fn broker<const N: usize>(scripts: [Script; N]) -> (String, JoinHandle<[Vec<Said>; N]>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let served = scripts.map(|script| {
            let (stream, _) = listener.accept().unwrap();
            std::thread::spawn(move || serve(stream, script))
        });
        served.map(|one| one.join().unwrap())
    });
    (address, serving)
}

fn serve(mut stream: TcpStream, script: Script) -> Vec<Said> {
    stream.read_exact(&mut [0; 8]).unwrap();
    stream.write_all(&method(10, 10, &[])).unwrap();
    for (said, answer) in opening().into_iter().chain(script) {
        assert_eq!(hear(&mut stream), Some(said));
        stream.write_all(&answer).unwrap();
    }
    std::iter::from_fn(|| hear(&mut stream)).collect()
}

fn opening() -> Script {
    vec![
        (START, method(10, 30, &[0; 8])),
        (TUNE, Vec::new()),
        (OPEN, method(10, 41, &[0])),
        (CHANNEL, method(20, 11, &[0; 4])),
    ]
}

/// A confirmation of the first message.
fn confirmed() -> Vec<u8> {
    method(60, 80, &[0, 0, 0, 0, 0, 0, 0, 1, 0])
}

/// How a topic is made, up to its first record.
fn making() -> Script {
    vec![
        (EXCHANGE, method(40, 11, &[])),
        (QUEUE, method(50, 11, &[0; 9])),
        (BIND, method(50, 21, &[])),
        (CONFIRMS, method(85, 11, &[])),
        (PUBLISH, confirmed()),
    ]
}

#[tokio::test]
async fn given_a_server_that_falls_silent_between_the_steps_of_closing_then_all_of_it_has_one_bound()
 {
    let script = vec![(EXCHANGE_GONE, method(40, 21, &[]))];
    let (address, serving) = broker([script]);
    let topic = at(&address).topic("events", 1);
    let identity = RunKey::random().identity().unwrap();
    let began = Instant::now();
    let closed = topic.close(&identity, Duration::from_millis(300)).await;
    let took = began.elapsed();
    let reason = closed.unwrap_err();
    assert!(reason.contains("did not answer in time"), "{reason}");
    // A bound of an administrator's question would be 15 s
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(serving.join().unwrap(), [[CONFIRMS]]);
}

#[tokio::test]
async fn given_a_broker_that_takes_nothing_for_a_while_when_asked_at_the_end_then_it_is_known_why()
{
    let is_over = [blocked("low on disk"), method(10, 61, &[])].concat();
    // It tells who publishes while it is so, and nobody else
    let notices = vec![(PUBLISH, Vec::new()), (PUBLISH, is_over)];
    let (address, serving) = broker([making(), notices]);
    let topic = at(&address).topic("events", 1);
    topic.create().await.unwrap();
    let asked = async {
        loop {
            match topic.held_up().await {
                None => tokio::time::sleep(Duration::from_millis(1)).await,
                Some(told) => return told,
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, asked).await;
    assert_eq!(told.as_deref(), Ok("low on disk"));
    drop(topic);
    let beyond = serving.join().unwrap();
    assert_eq!(beyond[0], []);
}

#[tokio::test]
async fn given_a_broker_that_takes_nothing_when_a_topic_is_closed_then_the_error_says_so() {
    let script = vec![
        (EXCHANGE_GONE, method(40, 21, &[])),
        (CONFIRMS, method(85, 11, &[])),
        (PUBLISH, blocked("low on memory")),
    ];
    let (address, serving) = broker([script]);
    let topic = at(&address).topic("events", 1);
    let identity = RunKey::random().identity().unwrap();
    let closed = topic.close(&identity, Duration::from_secs(2)).await;
    let reason = closed.unwrap_err();
    assert!(
        reason.contains("did not confirm a record in time"),
        "{reason}"
    );
    assert!(reason.contains("(low on memory)"), "{reason}");
    assert_eq!(topic.held_up().await.as_deref(), Some("low on memory"));
    serving.join().unwrap();
}
