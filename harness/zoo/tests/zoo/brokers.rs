//! Relays that walk into a trap of their own broker's, and some that only look as if they did.

use crate::case::{Case, Find, USUAL, cases};
use relays::config::BrokerKind;
use reports::record::Verdict;

cases! {
    given_a_relay_that_believes_rabbitmqs_acks_when_no_queue_is_bound_then_what_was_acked_is_lost: Case {
        number: "61",
        defect: "believes-acks",
        what: "RabbitMQ: publishes one type of event to an exchange to which no queue is bound, and takes the broker's acks for deliveries",
        broker: BrokerKind::RabbitMq,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("unroutable"),
            least: 100,
            words: "every event of that type",
        }],
        ..USUAL
    };

    given_a_relay_that_heeds_what_rabbitmq_returns_when_no_queue_is_bound_then_nothing_is_found: Case {
        defect: "heeds-returns",
        what: "RabbitMQ: publishes one type of event to an exchange to which no queue is bound, with `mandatory`, and again to the right one what comes back",
        second_of: Some("honest"),
        broker: BrokerKind::RabbitMq,
        verdict: Verdict::Pass,
        also: |ran| assert!(ran.admitted("returned") >= 100 && ran.admitted("unroutable") == 0),
        ..USUAL
    };

    given_a_relay_that_gives_two_events_one_id_when_nats_leaves_out_the_second_then_it_is_lost: Case {
        number: "62",
        defect: "same-id-for-a-type",
        what: "NATS: gives all events of one type of an order the same id, as if none came twice",
        broker: BrokerKind::Nats,
        // The later changes of an order are of one type.
        load: "rate = 300\nduration = \"2s\"\nchanges_per_order = 8",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("reused"),
            least: 50,
            words: "every event whose id the stream had already",
        }],
        ..USUAL
    };

    given_a_relay_that_publishes_everything_twice_when_nats_knows_the_ids_then_nothing_is_found: Case {
        defect: "everything-twice",
        what: "NATS: publishes everything twice, each time with the event's own id",
        broker: BrokerKind::Nats,
        verdict: Verdict::Pass,
        more: "[expect.zoo]\nduplicated = 0\n\n[drain]\nwithin = \"2s\"",
        also: |ran| assert_eq!(ran.admitted("twice"), ran.committed()),
        ..USUAL
    };

    given_a_relay_that_looks_at_the_status_of_a_call_when_eventbridge_refuses_some_of_its_events_then_they_are_lost: Case {
        number: "63",
        defect: "looks-at-the-status",
        what: "EventBridge (an emulator): takes a call for delivered by its status, which is 200 also where some of its events were refused",
        broker: BrokerKind::EventBridge,
        load: SLOW_LOAD,
        more: "[stack]\neventbridge_throttle = 7\n\n[drain]\nwithin = \"2s\"",
        finds: &[Find {
            anomaly: "lost",
            // It puts each event once.
            count: |ran| ran.committed() / 7,
            least: 10,
            words: "every event that was refused, which is each seventh",
        }],
        ..USUAL
    };

    given_a_relay_that_swaps_events_when_eventbridge_promises_no_order_then_it_is_not_blamed: Case {
        defect: "swaps-neighbours",
        what: "EventBridge (an emulator): publishes events of an order in the wrong order, where nobody promises one; of three the bus refuses one at first",
        broker: BrokerKind::EventBridge,
        load: SLOW_LOAD,
        strategy: "kind = \"polling\"\ninterval = \"1s\"",
        verdict: Verdict::Pass,
        more: "[stack]\neventbridge_throttle = 3\n\n[drain]\nwithin = \"2s\"",
        also: |ran| {
            // It is measured and shown all the same.
            assert!(ran.strategy().counts.reordered >= Some(1), "{}", ran.context());
            assert!(!ran.strategy().expectations.iter().any(|e| e.metric == "reordered"));
        },
        ..USUAL
    };
}

/// An emulator is slow.
const SLOW_LOAD: &str = "rate = 40\nduration = \"3s\"";
