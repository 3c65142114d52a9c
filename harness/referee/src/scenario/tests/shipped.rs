//! What the lesson of a shipped file rests on, added up: whoever changes a time there learns here that it is
//! luck now.

use super::*;
use std::time::Duration;

/// A relay publishes what came in, and waits for the acknowledgements, a slow link's latency after each other.
/// The kill is to fall in the middle of such a wait: far from both of its ends, when all that was published last
/// has reached the broker and none of it is acknowledged.
#[test]
fn given_relay_crash_when_its_times_are_added_up_then_the_kill_falls_into_a_wait_for_acknowledgements()
 {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../scenarios/relay-crash.toml"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = parse(file, &text).unwrap();
    let [slow, kill] = scenario.faults.as_slice() else {
        panic!("a slow link and a kill: {:?}", scenario.faults);
    };
    let FaultKind::Toxic {
        toxic: Toxic::Latency { latency, jitter: 0 },
        stream: Stream::Downstream,
        toxicity: 1.0,
    } = slow.kind
    else {
        panic!("acknowledgements come late, and events do not: {slow:?}");
    };
    assert_eq!(slow.target.name(), "relay->kafka");
    assert_eq!((kill.target.name(), kill.kind), ("relay", FaultKind::Kill));
    let (Start::At(slow_at), Start::At(killed_at)) = (&slow.start, &kill.start) else {
        panic!("both at a time");
    };
    let wait = Duration::from_millis(latency);
    let into = *killed_at - *slow_at;
    // In the second wait or a later one, half a second from either of its ends
    assert!(into > wait, "{into:?} of {wait:?}");
    let into_the_last = Duration::from_nanos((into.as_nanos() % wait.as_nanos()) as u64);
    let margin = into_the_last.min(wait - into_the_last);
    assert!(margin >= Duration::from_millis(500), "{margin:?}");
    // The link is slow until then, and the successor finds a quick one
    assert!(into < slow.lasts, "{into:?}");
    assert!(*killed_at + kill.lasts >= *slow_at + slow.lasts);
    // What is published last is what came in during a wait, in one request
    let published = scenario.workload.rate * wait.as_secs_f64();
    assert!(published >= 100.0, "{published} events");
    assert!(scenario.strategies.iter().all(|s| s.linger_ms >= 20.0));
}
