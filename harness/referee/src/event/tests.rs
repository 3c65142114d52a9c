#![allow(clippy::unwrap_used)]

use super::*;
use crate::envelope::{HeaderPiece, RequiredHeader};
use crate::history::{Intent, Outcome, Rows};
use crate::identity::RunKey;
use proptest::prelude::*;

const PAYLOAD: usize = 64;

fn request(order: u32, change_type: ChangeType) -> Request {
    Request {
        change: 0,
        order,
        change_type: change_type.code(),
        intent: Intent::Commit,
        outcome: Outcome::Committed,
        status: 201,
        told_version: 1,
        intended_ns: 0,
        sent_ns: 0,
        ended_ns: 0,
        lag_ns: 0,
        held_back: false,
    }
}

struct Run {
    identity: Identity,
    requests: Rows<Request>,
}

impl Run {
    /// Attempts 0, 1, 2, ... place orders 10, 11, 12, ...
    fn new() -> Self {
        Self {
            identity: RunKey::random().identity().unwrap(),
            requests: (0..8)
                .map(|n| request(10 + n, ChangeType::Placed))
                .collect(),
        }
    }

    fn verifier(&self) -> Verifier<'_> {
        Verifier {
            identity: &self.identity,
            requests: Some(&self.requests),
            payload_bytes: PAYLOAD,
        }
    }

    fn key(&self, order: u32) -> String {
        self.identity.order_id(order).to_string()
    }

    fn content(&self, attempt: u32) -> String {
        let mut content = String::new();
        self.identity.write_content(attempt, PAYLOAD, &mut content);
        content
    }

    fn value(&self, order: u32, version: u32, attempt: u32, kind: &str) -> String {
        format!(
            r#"{{"run":"{}","order_id":"{}","version":{version},"attempt":"{}","type":"{kind}","content":"{}"}}"#,
            self.identity.run(),
            self.identity.order_id(order),
            self.identity.attempt_id(attempt),
            self.content(attempt),
        )
    }

    fn verify(&self, key: &str, value: &str) -> Verified {
        event(
            self.verifier()
                .verify(Some(key.as_bytes()), Some(value.as_bytes())),
        )
    }
}

fn event(record: Record) -> Verified {
    match record {
        Record::Event(verified) => verified,
        Record::Sentinel => panic!("a sentinel"),
    }
}

#[test]
fn a_true_event_is_intact() {
    let run = Run::new();
    let seen = run.verify(&run.key(13), &run.value(13, 7, 3, "OrderPlaced"));
    let expected = Verified {
        attempt: 3,
        order: 13,
        version: 7,
        body: Body::Intact,
        reason: None,
    };
    assert_eq!(seen, expected);
}

#[test]
fn another_order_of_fields_and_white_space_and_escapes_are_the_same_event() {
    let run = Run::new();
    let value = format!(
        "{{ \"content\": \"{}\",\n \"type\": \"Order\\u0050laced\", \"attempt\": \"{}\",
           \"version\": 1, \"order_id\": \"{}\", \"run\": \"{}\" }}",
        run.content(3),
        run.identity.attempt_id(3),
        run.identity.order_id(13),
        run.identity.run(),
    );
    assert_eq!(run.verify(&run.key(13), &value).body, Body::Intact);
}

#[test]
fn the_wrong_key_order_type_content_or_version_damages_it() {
    let run = Run::new();
    let good = run.value(13, 1, 3, "OrderPlaced");
    let cases = [
        ("key of another order", run.key(12), good.clone()),
        ("key that is no id", "13".into(), good.clone()),
        (
            "order of another attempt",
            run.key(12),
            run.value(12, 1, 3, "OrderPlaced"),
        ),
        (
            "type of another change",
            run.key(13),
            run.value(13, 1, 3, "OrderPaid"),
        ),
        (
            "unknown type",
            run.key(13),
            run.value(13, 1, 3, "OrderLost"),
        ),
        (
            "content of another attempt",
            run.key(13),
            good.replace(&run.content(3), &run.content(2)),
        ),
        (
            "content cut short",
            run.key(13),
            good.replace(&run.content(3), &run.content(3)[1..]),
        ),
        ("version 0", run.key(13), run.value(13, 0, 3, "OrderPlaced")),
        (
            "attempt never sent",
            run.key(13),
            run.value(13, 1, 99, "OrderPlaced"),
        ),
        (
            "a field more",
            run.key(13),
            good.replace("{\"run\"", "{\"x\":1,\"run\""),
        ),
        (
            "a field twice",
            run.key(13),
            good.replace("{\"run\"", "{\"version\":1,\"run\""),
        ),
        (
            "cut in the middle",
            run.key(13),
            good[..good.len() / 2].into(),
        ),
        ("bytes behind it", run.key(13), format!("{good} {good}")),
        (
            "id in upper case",
            run.key(13),
            good.replace(&run.key(13), &run.key(13).to_uppercase()),
        ),
        ("not an object", run.key(13), "[1,2]".into()),
    ];
    for (what, key, value) in cases {
        let seen = run.verify(&key, &value);
        assert_eq!(seen.body, Body::Damaged, "{what}");
        assert!(seen.reason.is_some(), "{what}");
    }
}

#[test]
fn a_damaged_event_still_names_what_it_can() {
    let run = Run::new();
    let good = run.value(13, 1, 3, "OrderPlaced");
    let seen = run.verify("nobody", &good[..good.len() - 1]);
    assert_eq!(
        (seen.attempt, seen.order, seen.body),
        (3, 13, Body::Damaged)
    );
    let tombstone = event(run.verifier().verify(Some(run.key(13).as_bytes()), None));
    assert_eq!((tombstone.order, tombstone.body), (13, Body::Damaged));
}

#[test]
fn another_runs_event_and_nobodys_are_foreign() {
    let (run, other) = (Run::new(), Run::new());
    let seen = run.verify(&other.key(13), &other.value(13, 1, 3, "OrderPlaced"));
    assert_eq!(
        (seen.attempt, seen.order, seen.body),
        (NONE, NONE, Body::Foreign)
    );
    assert_eq!(run.verify("x", "hello").body, Body::Foreign);
    assert_eq!(event(run.verifier().verify(None, None)).body, Body::Foreign);
}

#[test]
fn any_one_thing_of_ours_in_a_stranger_makes_it_damaged() {
    let (run, other) = (Run::new(), Run::new());
    let theirs = other.value(13, 1, 3, "OrderPlaced");
    assert_eq!(run.verify(&run.key(13), &theirs).body, Body::Damaged);
    let our_run = theirs.replace(other.identity.run(), run.identity.run());
    assert_eq!(run.verify(&other.key(13), &our_run).body, Body::Damaged);
    let our_attempt = theirs.replace(
        &other.identity.attempt_id(3).to_string(),
        &run.identity.attempt_id(3).to_string(),
    );
    assert_eq!(run.verify(&other.key(13), &our_attempt).body, Body::Damaged);
}

#[test]
fn live_verification_needs_no_requests() {
    let run = Run::new();
    let live = Verifier {
        requests: None,
        ..run.verifier()
    };
    let value = run.value(13, 2, 99, "OrderPaid");
    let seen = event(live.verify(Some(run.key(13).as_bytes()), Some(value.as_bytes())));
    assert_eq!((seen.attempt, seen.body), (99, Body::Intact));
}

#[test]
fn only_this_runs_sentinel_is_one() {
    let (run, other) = (Run::new(), Run::new());
    let value = format!("{} padding", run.identity.sentinel_mark());
    let key = Some(SENTINEL_KEY.as_bytes());
    let verify = |run: &Run, key| run.verifier().verify(key, Some(value.as_bytes()));
    assert_eq!(verify(&run, key), Record::Sentinel);
    assert_eq!(event(verify(&other, key)).body, Body::Foreign);
    assert_eq!(event(verify(&run, Some(b"else"))).body, Body::Foreign);
}

proptest! {
    #[test]
    fn no_changed_byte_goes_unseen(
        version in 1u32..2_000, attempt in 0u32..8, at in 0usize..1_000, xor in 1u8..=255
    ) {
        let run = Run::new();
        let order = 10 + attempt;
        let key = run.key(order);
        let good = run.value(order, version, attempt, "OrderPlaced");
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= xor;
        let seen = event(run.verifier().verify(Some(key.as_bytes()), Some(&bytes)));
        if seen.body == Body::Intact {
            let digits = good.find("\"version\":").unwrap() + 10;
            prop_assert!((digits..digits + version.to_string().len()).contains(&at));
            prop_assert_ne!(seen.version, version);
        } else {
            prop_assert_eq!(seen.body, Body::Damaged);
        }
    }

    #[test]
    fn no_changed_byte_of_the_key_goes_unseen(attempt in 0u32..8, at in 0usize..36, xor in 1u8..=255) {
        let run = Run::new();
        let order = 10 + attempt;
        let mut key = run.key(order).into_bytes();
        key[at] ^= xor;
        let value = run.value(order, 1, attempt, "OrderPlaced");
        let seen = event(run.verifier().verify(Some(&key), Some(value.as_bytes())));
        prop_assert_eq!(seen.body, Body::Damaged);
    }

    #[test]
    fn garbage_is_foreign_and_never_panics(
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..400)),
    ) {
        let run = Run::new();
        let seen = event(run.verifier().verify(key.as_deref(), value.as_deref()));
        prop_assert_eq!(seen.body, Body::Foreign);
    }

    #[test]
    fn json_garbage_never_panics(value in "[\\{\\}\":,a-z0-9 \\\\\\[\\]-]{0,300}") {
        let run = Run::new();
        let _ = run.verifier().verify(None, Some(value.as_bytes()));
    }

    #[test]
    fn both_parsers_agree(version in 0u32.., attempt: u32, order: u32) {
        let run = Run::new();
        let value = run.value(order, version, attempt, "OrderShipped");
        let spaced = value.replacen(':', ": ", 1);
        let fast = value::parse(value.as_bytes(), PAYLOAD).unwrap();
        prop_assert_eq!(fast, value::parse(spaced.as_bytes(), PAYLOAD).unwrap());
    }
}

/// A record with headers.
struct Headed {
    key: String,
    value: String,
    headers: Vec<(&'static str, String)>,
}

impl Wire for Headed {
    fn key(&self) -> Option<&[u8]> {
        Some(self.key.as_bytes())
    }
    fn value(&self) -> Option<&[u8]> {
        Some(self.value.as_bytes())
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut of_name = self.headers.iter().filter(|(n, _)| *n == name);
        of_name.next_back().map(|(_, value)| value.as_bytes())
    }
}

#[test]
fn given_headers_that_each_record_must_have_then_one_that_is_absent_or_different_is_damage_and_named()
 {
    let run = Run::new();
    let piece = |field| HeaderPiece::Field(field);
    let required = |name: &str, value: Vec<HeaderPiece>| RequiredHeader {
        name: name.to_owned(),
        value,
    };
    let place = EventPlace {
        headers: vec![
            required("id", vec![piece(EventField::Attempt)]),
            required(
                "about",
                vec![
                    HeaderPiece::Text("v".to_owned()),
                    piece(EventField::Version),
                    HeaderPiece::Text(" of ".to_owned()),
                    piece(EventField::OrderId),
                ],
            ),
        ],
        ..EventPlace::default()
    };
    let id = run.identity.attempt_id(3).to_string();
    let about = format!("v1 of {}", run.key(13));
    let verified = |headers: &[(&'static str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let record = Headed {
            key: run.key(13),
            value: run.value(13, 1, 3, "OrderPlaced"),
            headers: headers.collect(),
        };
        let event = event(run.verifier().verify_at(&place, &record));
        assert_eq!((event.attempt, event.order, event.version), (3, 13, 1));
        (event.body, event.reason)
    };
    let good = verified(&[
        ("id", "another"),
        ("id", &id),
        ("about", &about),
        ("more", "x"),
    ]);
    assert_eq!(good, (Body::Intact, None));
    let longer = format!("{about}0");
    for (headers, reason) in [
        (vec![("about", &*about)], "it has no header `id`".to_owned()),
        (
            vec![("id", "x"), ("about", &about)],
            format!("its header `id` is `x`, not `{id}`"),
        ),
        (
            vec![("id", &id), ("about", &longer)],
            format!("its header `about` is `{longer}`, not `{about}`"),
        ),
        (
            vec![("id", &id), ("about", "")],
            format!("its header `about` is ``, not `{about}`"),
        ),
    ] {
        assert_eq!(verified(&headers), (Body::Damaged, Some(reason)));
    }
    // And of somebody else's record nothing is asked
    let other = Run::new();
    let record = Headed {
        key: other.key(13),
        value: other.value(13, 1, 3, "OrderPlaced"),
        headers: Vec::new(),
    };
    let event = event(run.verifier().verify_at(&place, &record));
    assert_eq!(event.body, Body::Foreign);
}
