use super::*;
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BOUND: Duration = Duration::from_secs(20);

/// A server that answers what a test wants, and nothing else.
struct FakeNats {
    listener: TcpListener,
    socket: Option<TcpStream>,
    heard: Vec<u8>,
    /// PublishReply subjects of events that came and are not answered, with the subjects that they were published to.
    events: VecDeque<(String, String)>,
}

impl FakeNats {
    async fn new() -> (Self, NatsPublisher) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = NatsTarget {
            address: listener.local_addr().unwrap().to_string(),
            topic: "oh.1.t".to_owned(),
            message_id: true,
        };
        let server = Self {
            listener,
            socket: None,
            heard: Vec::new(),
            events: VecDeque::new(),
        };
        (server, NatsPublisher::new(target).keeping_deliveries())
    }

    /// A server, and a publisher that is connected to it.
    async fn connected() -> (Self, NatsPublisher) {
        let (mut server, mut publisher) = Self::new().await;
        server.takes(&mut publisher).await;
        (server, publisher)
    }

    /// Takes a new connection of this publisher.
    async fn takes(&mut self, publisher: &mut NatsPublisher) {
        let greets = async {
            let (mut socket, _) = self.listener.accept().await.unwrap();
            let info = "INFO {\"headers\":true,\"jetstream\":true,\"max_payload\":1000000}\r\n";
            socket.write_all(info.as_bytes()).await.unwrap();
            self.socket = Some(socket);
            (self.heard, self.events) = (Vec::new(), VecDeque::new());
            // Whole, with the end of its empty payload
            self.until(|server| {
                let text = server.text();
                text.contains("STREAM.INFO.oh_1_t ") && text.ends_with("\r\n\r\n")
            })
            .await;
            let about = self.text();
            let about = about.split_once("STREAM.INFO.oh_1_t ").unwrap().1;
            let about = about.split_once(' ').unwrap().0.to_owned();
            self.heard.clear();
            self.says(&about, "{\"config\":{}}").await;
        };
        let (connected, ()) = tokio::join!(publisher.connect(), greets);
        connected.unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    async fn until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let socket = self.socket.as_mut().unwrap();
            let read = tokio::time::timeout(BOUND, socket.read_buf(&mut self.heard)).await;
            assert!(read.unwrap().unwrap() > 0, "the publisher hung up");
        }
    }

    /// Waits until so many events have come.
    async fn hears(&mut self, publisher: &NatsPublisher, events: usize) {
        while self.events.len() < events {
            publisher.turn();
            let socket = self.socket.as_mut().unwrap();
            tokio::select! {
                read = socket.read_buf(&mut self.heard) => assert!(read.unwrap() > 0),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        while let Some(end) = self.heard.windows(2).position(|w| w == b"\r\n") {
            let line = String::from_utf8(self.heard[..end].to_vec()).unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[0], "HPUB", "{line}");
            let total: usize = words[4].parse().unwrap();
            if self.heard.len() < end + 2 + total + 2 {
                return;
            }
            self.events
                .push_back((words[2].to_owned(), words[1].to_owned()));
            self.heard.drain(..end + 2 + total + 2);
        }
    }

    async fn says(&mut self, to: &str, json: &str) {
        let said = format!("MSG {to} 1 {}\r\n{json}\r\n", json.len());
        let socket = self.socket.as_mut().unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
    }

    /// Answers the event at this place among those that wait.
    async fn answers(&mut self, place: usize, json: &str) {
        let (reply, _) = self.events.remove(place).unwrap();
        self.says(&reply, json).await;
    }
}

const PAYLOAD: &str = "{}";

fn offer(publisher: &mut NatsPublisher, key: &str) -> Result<Offer, PublishError> {
    publisher.offer(&Event {
        key,
        id: "e-1",
        event_type: "OrderPlaced",
        version: "1",
        payload: PAYLOAD,
    })
}

fn stored(sequence: u64) -> String {
    format!("{{\"stream\":\"oh_1_t\",\"seq\":{sequence}}}")
}

/// Waits until so many answers are known.
async fn until_reported(publisher: &NatsPublisher, reports: u64) {
    let waited = tokio::time::timeout(BOUND, async {
        while publisher.reported() < reports {
            // Progress would wait for all that are on their way
            publisher.turn();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn given_answers_in_any_order_when_they_come_then_only_a_prefix_without_a_gap_is_durable() {
    let (mut server, mut publisher) = FakeNats::connected().await;
    for key in ["a", "b", "c"] {
        assert_eq!(offer(&mut publisher, key), Ok(Offer::Taken));
    }
    server.hears(&publisher, 3).await;
    assert_eq!(server.events[2].1, "oh.1.t.c");
    server.answers(2, &stored(3)).await;
    server.answers(1, &stored(2)).await;
    until_reported(&publisher, 2).await;
    assert_eq!(publisher.durable(), Ok(0));
    // One that the stream had before is as durable as any
    server
        .answers(0, "{\"stream\":\"oh_1_t\",\"seq\":1,\"duplicate\":true}")
        .await;
    until_reported(&publisher, 3).await;
    assert_eq!(publisher.durable(), Ok(3));
    let mut offsets = Vec::new();
    publisher.deliveries(|delivery| offsets.push((delivery.position, delivery.fate)));
    assert_eq!(offsets, [(2, Ok(2)), (1, Ok(1)), (0, Ok(0))]);
}

#[tokio::test]
async fn given_an_event_that_is_refused_when_later_ones_are_stored_then_none_behind_it_counts() {
    let (mut server, mut publisher) = FakeNats::connected().await;
    for key in ["a", "b", "c"] {
        assert_eq!(offer(&mut publisher, key), Ok(Offer::Taken));
    }
    server.hears(&publisher, 3).await;
    server.answers(0, &stored(1)).await;
    let refusal =
        "{\"error\":{\"code\":429,\"err_code\":10167,\"description\":\"too many requests\"}}";
    server.answers(0, refusal).await;
    server.answers(0, &stored(2)).await;
    until_reported(&publisher, 2).await;
    let error = publisher.durable().unwrap_err();
    assert!(error.reason.contains("too many requests"), "{error}");
    assert_eq!(error.failed, 1);
    assert_eq!(publisher.durable_despite_failure(), 1);
}

#[tokio::test]
async fn given_a_connection_that_is_lost_when_the_next_one_is_made_then_positions_begin_anew_and_nothing_of_the_old_one_is_sent()
 {
    let (mut server, mut publisher) = FakeNats::connected().await;
    for key in ["a", "b"] {
        assert_eq!(offer(&mut publisher, key), Ok(Offer::Taken));
    }
    server.hears(&publisher, 2).await;
    server.answers(0, &stored(1)).await;
    until_reported(&publisher, 1).await;
    server.socket = None;
    let lost = tokio::time::timeout(BOUND, async {
        loop {
            match publisher.durable() {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    });
    assert_eq!(lost.await.unwrap().failed, 1);
    assert_eq!(publisher.durable_despite_failure(), 1);
    publisher.abandon().await;
    server.takes(&mut publisher).await;
    assert_eq!((publisher.taken(), publisher.durable()), (0, Ok(0)));
    assert_eq!(offer(&mut publisher, "b"), Ok(Offer::Taken));
    server.hears(&publisher, 1).await;
    assert_eq!(server.events[0].1, "oh.1.t.b");
    server.answers(0, &stored(2)).await;
    until_reported(&publisher, 1).await;
    assert_eq!(publisher.durable(), Ok(1));
}

#[tokio::test]
async fn given_a_server_that_does_not_answer_when_events_are_offered_then_their_count_is_bounded() {
    let (_server, mut publisher) = FakeNats::connected().await;
    for _ in 0..IN_FLIGHT_MAX {
        assert_eq!(offer(&mut publisher, "a"), Ok(Offer::Taken));
    }
    assert_eq!(offer(&mut publisher, "a"), Ok(Offer::Full));
    assert_eq!(publisher.taken(), IN_FLIGHT_MAX as u64);
}

#[tokio::test]
async fn given_a_server_that_reads_nothing_when_large_events_are_offered_then_their_bytes_are_bounded()
 {
    let (_server, mut publisher) = FakeNats::connected().await;
    let payload = "x".repeat(900_000);
    let mut taken = 0;
    loop {
        let event = Event {
            key: "a",
            id: "e-1",
            event_type: "OrderPlaced",
            version: "1",
            payload: &payload,
        };
        match publisher.offer(&event).unwrap() {
            Offer::Taken => taken += 1,
            Offer::Full => break,
        }
        assert!(taken < 30, "nothing bounds them");
    }
    let unsent = publisher.of_link(|link| link.connection.unsent_bytes());
    assert!(
        unsent < UNSENT_BYTES_MAX + payload.len() + 1_000,
        "{unsent}"
    );
}

#[tokio::test]
async fn given_what_no_server_takes_when_it_is_offered_then_the_error_names_the_event_and_nothing_is_sent()
 {
    let (_server, mut publisher) = FakeNats::connected().await;
    let error = offer(&mut publisher, "a b").unwrap_err();
    assert!(error.reason.contains("event e-1 of a b"), "{error}");
    let payload = "x".repeat(1_000_000);
    let event = Event {
        key: "a",
        id: "e-1",
        event_type: "OrderPlaced",
        version: "1",
        payload: &payload,
    };
    let error = publisher.offer(&event).unwrap_err();
    assert!(error.reason.contains("max_payload"), "{error}");
    assert_eq!(publisher.taken(), 0);
}
