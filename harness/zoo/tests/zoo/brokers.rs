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
}
