//! The publisher between a broker and a cache that do as they are told.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use tokio::sync::Notify;

/// What broker and cache share with the test. Events are numbers.
#[derive(Default)]
struct BothSides {
    /// Taken of this connection, and how many of them are on the topic, or out of the cache.
    offered: Vec<u64>,
    published: usize,
    asked: Vec<u64>,
    invalidated: usize,
    cache_fails: bool,
    cache_is_away: bool,
    connections: u64,
    /// For ever, whatever is given up.
    on_topic: BTreeSet<u64>,
    out_of_cache: BTreeSet<u64>,
}

#[derive(Clone, Default)]
struct SideHands {
    world: Rc<RefCell<BothSides>>,
    broker: Rc<Notify>,
    cache: Rc<Notify>,
}

struct ScriptedBroker(SideHands);
struct ScriptedCache(SideHands);

impl Publisher for ScriptedBroker {
    async fn connect(&mut self) -> Result<(), PublishError> {
        Ok(())
    }
    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        let number = event.version.parse().unwrap();
        self.0.world.borrow_mut().offered.push(number);
        Ok(Offer::Taken)
    }
    fn taken(&self) -> u64 {
        self.0.world.borrow().offered.len() as u64
    }
    fn durable(&mut self) -> Result<u64, PublishError> {
        Ok(self.durable_despite_failure())
    }
    fn durable_despite_failure(&mut self) -> u64 {
        self.0.world.borrow().published as u64
    }
    fn reported(&self) -> u64 {
        self.0.world.borrow().published as u64
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
    async fn progress(&self) {
        self.0.broker.notified().await;
    }
    fn trouble(&mut self) -> Option<String> {
        None
    }
    async fn abandon(&mut self) {
        let mut world = self.0.world.borrow_mut();
        world.offered.clear();
        world.published = 0;
    }
}

fn away() -> CacheError {
    CacheError {
        doing: "invalidate in the cache".into(),
        reason: "as scripted".into(),
    }
}

impl Invalidations for ScriptedCache {
    async fn connect(&mut self) -> Result<(), CacheError> {
        let mut world = self.0.world.borrow_mut();
        world.connections += 1;
        (!world.cache_is_away).then_some(()).ok_or_else(away)
    }
    fn ask(&mut self, order: &str, version: &str) {
        assert_eq!(order, "order");
        let number = version.parse().unwrap();
        self.0.world.borrow_mut().asked.push(number);
    }
    fn done(&self) -> u64 {
        self.0.world.borrow().invalidated as u64
    }
    fn failure(&self) -> Option<CacheError> {
        self.0.world.borrow().cache_fails.then(away)
    }
    async fn progress(&self) {
        self.0.cache.notified().await;
    }
    fn abandon(&mut self) {
        let mut world = self.0.world.borrow_mut();
        world.asked.clear();
        (world.invalidated, world.cache_fails) = (0, false);
    }
}

impl SideHands {
    fn publish(&self, most: usize) {
        let mut world = self.world.borrow_mut();
        let until = (world.published + most).min(world.offered.len());
        let now: Vec<u64> = world.offered[world.published..until].to_vec();
        world.on_topic.extend(now);
        world.published = until;
        self.broker.notify_one();
    }

    fn invalidate(&self, most: usize) {
        let mut world = self.world.borrow_mut();
        let until = (world.invalidated + most).min(world.asked.len());
        let now: Vec<u64> = world.asked[world.invalidated..until].to_vec();
        world.out_of_cache.extend(now);
        world.invalidated = until;
        self.cache.notify_one();
    }
}

type Both = InvalidatingPublisher<ScriptedBroker, ScriptedCache>;

fn between(hands: &SideHands) -> Both {
    InvalidatingPublisher::new(ScriptedBroker(hands.clone()), ScriptedCache(hands.clone()))
}

fn offer(publisher: &mut Both, number: u64) -> Result<Offer, PublishError> {
    let version = number.to_string();
    publisher.offer(&Event {
        key: "order",
        id: "",
        event_type: "",
        version: &version,
        payload: "",
    })
}

async fn connected(hands: &SideHands) -> Both {
    let mut publisher = between(hands);
    publisher.connect().await.unwrap();
    publisher
}

#[tokio::test]
async fn given_events_when_one_side_has_done_more_then_only_what_both_have_done_is_durable() {
    let hands = SideHands::default();
    let mut publisher = connected(&hands).await;
    for number in 0..5 {
        assert_eq!(offer(&mut publisher, number), Ok(Offer::Taken));
    }
    hands.publish(4);
    assert_eq!(publisher.durable(), Ok(0));
    hands.invalidate(3);
    assert_eq!(publisher.durable(), Ok(3));
    hands.invalidate(2);
    assert_eq!((publisher.durable(), publisher.reported()), (Ok(4), 9));
    hands.publish(1);
    assert_eq!((publisher.durable(), publisher.taken()), (Ok(5), 5));
}

#[tokio::test]
async fn given_a_cache_that_failed_when_it_is_asked_what_is_durable_then_that_is_the_failure_until_it_is_given_up()
 {
    let hands = SideHands::default();
    let mut publisher = connected(&hands).await;
    for number in 0..3 {
        offer(&mut publisher, number).unwrap();
    }
    hands.publish(3);
    hands.invalidate(1);
    hands.world.borrow_mut().cache_fails = true;
    let error = publisher.durable().unwrap_err();
    assert_eq!(
        (error.doing.as_str(), error.failed),
        ("invalidate in the cache", 2)
    );
    assert_eq!(publisher.durable_despite_failure(), 1);
    publisher.abandon().await;
    hands.world.borrow_mut().cache_is_away = true;
    assert!(publisher.connect().await.is_err());
    hands.world.borrow_mut().cache_is_away = false;
    publisher.connect().await.unwrap();
    assert_eq!((publisher.durable(), publisher.taken()), (Ok(0), 0));
}

#[tokio::test]
async fn given_a_cache_that_is_late_when_everything_is_published_then_the_wait_is_for_the_cache_alone()
 {
    let hands = SideHands::default();
    let mut publisher = connected(&hands).await;
    offer(&mut publisher, 0).unwrap();
    hands.publish(1);
    // The broker's report may end one wait, but a relay that comes again must not spin.
    let mut wait = Box::pin(publisher.progress());
    assert!(futures::poll!(&mut wait).is_pending());
    hands.broker.notify_one();
    assert!(futures::poll!(&mut wait).is_pending());
    hands.invalidate(1);
    assert!(futures::poll!(&mut wait).is_ready());
}

#[tokio::test]
async fn given_a_cache_that_does_nothing_when_events_come_then_they_are_bounded() {
    let hands = SideHands::default();
    let mut publisher = connected(&hands).await;
    let mut number = 0;
    while offer(&mut publisher, number) == Ok(Offer::Taken) {
        number += 1;
        hands.publish(1);
        assert!(
            number <= IN_FLIGHT_MAX,
            "it takes what the cache has no room for"
        );
    }
    assert_eq!(number, IN_FLIGHT_MAX);
    hands.invalidate(1);
    assert_eq!(offer(&mut publisher, number), Ok(Offer::Taken));
}

#[tokio::test]
async fn given_a_broker_that_counts_anew_by_itself_when_it_is_connected_then_so_does_the_cache() {
    let hands = SideHands::default();
    let mut publisher = connected(&hands).await;
    offer(&mut publisher, 0).unwrap();
    hands.publish(1);
    hands.invalidate(1);
    ScriptedBroker(hands.clone()).abandon().await;
    publisher.connect().await.unwrap();
    assert_eq!((publisher.durable(), publisher.taken()), (Ok(0), 0));
    offer(&mut publisher, 1).unwrap();
    hands.publish(1);
    assert_eq!(publisher.durable(), Ok(0));
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum CourseStep {
    Offer(u8),
    Publish(u8),
    Invalidate(u8),
    CacheFails,
    Confirm,
}

fn step() -> impl Strategy<Value = CourseStep> {
    prop_oneof![
        3 => any::<u8>().prop_map(|n| CourseStep::Offer(n % 8)),
        3 => any::<u8>().prop_map(|n| CourseStep::Publish(n % 8)),
        3 => any::<u8>().prop_map(|n| CourseStep::Invalidate(n % 8)),
        1 => Just(CourseStep::CacheFails),
        3 => Just(CourseStep::Confirm),
    ]
}

proptest! {
    /// Whatever happens, what is confirmed to a source is on the topic and out of the cache; and all of it is in the end.
    #[test]
    fn given_any_course_then_what_is_confirmed_was_published_and_invalidated(
        steps in prop::collection::vec(step(), 0..200)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let hands = SideHands::default();
            let mut publisher = connected(&hands).await;
            // An outbox: where this session began, what it has offered, what is confirmed.
            let (mut base, mut next, mut confirmed) = (0u64, 0u64, 0u64);
            let last = [CourseStep::Offer(8), CourseStep::Publish(255), CourseStep::Invalidate(255), CourseStep::Confirm];
            for step in steps.into_iter().chain(last).chain(last) {
                match step {
                    CourseStep::Offer(many) => for _ in 0..many {
                        offer(&mut publisher, next).unwrap();
                        next += 1;
                    },
                    CourseStep::Publish(many) => hands.publish(many.into()),
                    CourseStep::Invalidate(many) => hands.invalidate(many.into()),
                    CourseStep::CacheFails => hands.world.borrow_mut().cache_fails = true,
                    CourseStep::Confirm => {
                        let failed = publisher.durable().is_err();
                        confirmed = base + publisher.durable_despite_failure();
                        if failed {
                            publisher.abandon().await;
                            publisher.connect().await.unwrap();
                            (base, next) = (confirmed, confirmed);
                        }
                        let world = hands.world.borrow();
                        for event in 0..confirmed {
                            prop_assert!(world.on_topic.contains(&event), "{event} not published");
                            prop_assert!(world.out_of_cache.contains(&event), "{event} not invalidated");
                        }
                    }
                }
            }
            prop_assert_eq!(confirmed, next);
            Ok(())
        })?;
    }
}
