//! The page's server on a staged demo, and the page in a real browser.

mod asking;
mod browser;
#[path = "../../../../../tests/shared/not_done.rs"]
mod not_done;

use super::*;
use crate::cli::demo::staged;
use crate::cli::live::ending::Ending;
use crate::run::lane_counts::LaneCounts;
use asking::{Feed, PATIENCE, ask, ask_in_vain};
use connections::CONNECTIONS_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A page that is fed, of a demo in which nothing happens that a test does not do.
struct StagedPage {
    page: Arc<Page>,
    hands: Hands,
    feeding: JoinHandle<Infallible>,
}

impl StagedPage {
    async fn open() -> Self {
        Self::open_for(SILENT_MAX).await
    }

    async fn open_for(silent_max: Duration) -> Self {
        let hands = staged::hands(staged::under_load());
        let page = Page::open_for(hands.clone(), silent_max).await.unwrap();
        let page = Arc::new(page);
        let fed = Arc::clone(&page);
        Self {
            page,
            hands,
            feeding: tokio::spawn(async move { fed.feed().await }),
        }
    }

    /// What stands in a request's first line, and in its Host.
    fn place(&self) -> (&str, &str) {
        let rest = self.page.url().strip_prefix("http://").unwrap();
        let (host, _) = rest.split_once('/').unwrap();
        (&rest[host.len()..], host)
    }

    fn committed(&self, committed: u64) {
        let counts = LaneCounts {
            committed: Some(committed),
            ..LaneCounts::ZERO
        };
        self.hands.board.counts(0, counts);
    }
}

impl Drop for StagedPage {
    fn drop(&mut self) {
        self.feeding.abort();
    }
}

/// Of a POST that presses a key.
fn pressing(place: &str, host: &str, origin: &str, key: char) -> String {
    let body = format!(r#"{{"key":"{key}"}}"#);
    format!(
        "POST {place}press HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn getting(place: &str, host: &str) -> String {
    format!("GET {place} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn given_the_url_when_asked_for_then_it_is_one_page_that_loads_nothing_from_outside() {
    let staged = StagedPage::open().await;
    let (place, host) = staged.place();
    let answer = ask(host, &getting(place, host)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("default-src 'none'"), "{answer}");
    assert!(answer.contains("LOST           missing"), "{answer}");
    // The name of SVG's elements is no address that is asked.
    let outside = answer.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http://") && !outside.contains("https://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_wrong_token_host_or_origin_then_nothing_is_told_and_no_key_is_pressed() {
    let staged = StagedPage::open().await;
    let (place, host) = staged.place();
    let own = format!("http://{host}");
    for request in [
        getting("/", host),
        getting("/0123456789abcdef/", host),
        getting("/0123456789abcdef/feed", host),
        getting(place, "evil.example"),
        pressing("/0123456789abcdef/", host, &own, 'b'),
        pressing(place, host, "http://evil.example", 'b'),
        pressing(place, "evil.example", "http://evil.example", 'b'),
    ] {
        let answer = ask(host, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{request}\n{answer}");
        assert!(!answer.contains("naive"), "{answer}");
    }
    // What a form of another site could send, were it let in
    let form = pressing(place, host, &own, 'b').replace("application/json", "text/plain");
    let answer = ask(host, &form).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    assert_eq!(staged.hands.keyboard.presses('b'), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_post_of_the_page_itself_then_a_key_is_pressed_and_its_answer_is_fed() {
    let staged = StagedPage::open().await;
    let (place, host) = staged.place();
    let mut feed = Feed::open(host, place).await;
    feed.until(r#""name":"naive""#).await;
    let own = format!("http://{host}");
    let answer = ask(host, &pressing(place, host, &own, 'b')).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(staged.hands.keyboard.presses('b'), 1);
    feed.until("b: cut the broker").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_page_that_does_not_read_then_the_others_see_the_newest_state_all_the_same() {
    let staged = StagedPage::open().await;
    let (place, host) = staged.place();
    let _slow = Feed::open(host, place).await;
    let mut feed = Feed::open(host, place).await;
    // More than what fits into the buffers of a connection
    for n in 1..=300 {
        staged
            .hands
            .board
            .answer(format!("{n}: {}", "x".repeat(100_000)));
        staged.page.tell();
    }
    staged.committed(4_711);
    staged.hands.board.answer("the last".to_owned());
    feed.until("the last").await;
    feed.until("4711").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_more_pages_than_are_fed_then_one_more_is_told_so() {
    let staged = StagedPage::open().await;
    let (place, host) = staged.place();
    let mut feeds = Vec::new();
    for _ in 0..FEEDS_MAX {
        let mut feed = Feed::open(host, place).await;
        feed.until("naive").await;
        feeds.push(feed);
    }
    let more = getting(&format!("{place}feed"), host);
    let answer = ask(host, &more).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_more_silent_clients_than_are_taken_then_each_is_closed_and_the_page_is_served_all_the_same()
 {
    // So short that whoever asks may be cut off as well, on a machine that is busy, and asks again.
    let staged = StagedPage::open_for(Duration::from_secs(2)).await;
    let (place, host) = staged.place();
    let mut fed = Feed::open(host, place).await;
    fed.until("naive").await;
    let mut silent = Vec::new();
    for n in 0..CONNECTIONS_MAX + 8 {
        let mut stream = TcpStream::connect(host).await.unwrap();
        // Some say nothing at all, some begin and do not go on.
        if n % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        }
        silent.push(stream);
    }
    let request = getting(place, host);
    let closed = async {
        while !ask_in_vain(host, &request)
            .await
            .starts_with("HTTP/1.1 200")
        {}
        for mut stream in silent {
            // By an error, or in order.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    // Meanwhile something is said to the page that is fed.
    let said = async {
        for n in 0_u64.. {
            staged.committed(n);
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        closed = tokio::time::timeout(PATIENCE, closed) => closed.unwrap(),
        () = said => {}
    }
    staged.hands.board.answer("who reads stays".to_owned());
    fed.until("who reads stays").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_pages_that_read_nothing_then_they_are_closed_and_their_places_are_free_again() {
    let staged = StagedPage::open_for(Duration::from_millis(300)).await;
    let (place, host) = staged.place();
    let mut deaf = Vec::new();
    for _ in 0..FEEDS_MAX {
        // On a machine that is busy it may be closed before it has asked.
        let mut feed = Feed::open(host, place).await;
        if feed.is_granted().await {
            deaf.push(feed);
        }
    }
    // When more is said to them than fits into the buffers of a connection
    let said = async {
        for n in 0.. {
            let answer = format!("{n}: {}", "x".repeat(100_000));
            staged.hands.board.answer(answer);
            staged.page.tell();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let granted = async { while !Feed::open(host, place).await.is_granted().await {} };
    tokio::select! {
        granted = tokio::time::timeout(PATIENCE, granted) => granted.unwrap(),
        () = said => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_interruption_when_the_run_has_ended_then_every_page_gets_what_came_of_it() {
    let hands = staged::hands(staged::broken());
    let page = Page::open(hands.clone()).await.unwrap();
    let (host, place) = {
        let rest = page.url().strip_prefix("http://").unwrap();
        let (host, _) = rest.split_once('/').unwrap();
        (host.to_owned(), rest[host.len()..].to_owned())
    };
    let mut feed = Feed::open(&host, &place).await;
    feed.until("401").await;
    // Given a run that has ended, when the user ends the page
    hands
        .board
        .ended(Ending::failed("the broker is gone for good".to_owned()));
    let (interrupt, interrupted) = watch::channel(false);
    interrupt.send_replace(true);
    page.stay(interrupted).await;
    // Then the last state is the last that is fed, and nobody is served any more
    feed.until("the broker is gone for good").await;
    assert!(tokio::net::TcpStream::connect(&host).await.is_err());
}
