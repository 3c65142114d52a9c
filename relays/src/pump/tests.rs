//! The pump between a source and a publisher that do as they are told.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::publisher::Delivery;
use crate::source::Event;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::sync::Notify;

/// Of the publisher: how long a report may stay away.
const PATIENCE: Duration = Duration::from_secs(2);

/// A report stays away for so long: less than what is worth a word, and three times that is more than
/// anybody is patient for.
const BETWEEN: Duration = Duration::from_millis(3_500);

/// What source and publisher share with the test.
#[derive(Default)]
struct World {
    /// Events in the outbox: 0 to this.
    events: u64,
    /// Where the source goes on, and from where its count began.
    read: u64,
    rewound_to: u64,
    confirmed: u64,
    closed: bool,
    asked_for_more: u64,
    kept_alive: u64,
    /// So often the source is another relay's when it is connected.
    stands_by: u64,
    /// What the source answers once, when it is next asked for events or to keep alive.
    source_fails: Option<&'static str>,
    /// What the source stood on is gone for ever, once it was connected so many times.
    gone_after: Option<u64>,
    sources: u64,
    /// As what the pump ended, where it did not end as it was told to.
    ended: Option<SourceError>,

    /// Taken of this connection, by number in the outbox.
    taken: Vec<u64>,
    durable: u64,
    reported: u64,
    room: usize,
    failure: Option<&'static str>,
    /// This event is refused, once.
    refuses: Option<u64>,
    patience: Duration,
    connected: u64,
    abandoned: Vec<Duration>,
    /// What is on the topic.
    topic: Vec<u64>,
}

type Shared = Rc<RefCell<World>>;

struct Numbered(u64);

impl Held for Numbered {
    fn event(&self) -> Result<Event<'_>, SourceError> {
        Ok(Event {
            key: "order",
            id: NAMES[self.0 as usize],
            event_type: "",
            version: "",
            payload: "",
        })
    }
}

const NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

fn source_error() -> SourceError {
    SourceError {
        doing: "read".into(),
        reason: "as scripted".into(),
        is_final: false,
    }
}

struct ScriptedSource(Shared);

impl Source for ScriptedSource {
    type Item = Numbered;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        let left = self.0.borrow().stands_by.checked_sub(1);
        if let Some(left) = left {
            // A source waits before it says so.
            tokio::time::sleep(LOOK_AROUND).await;
            self.0.borrow_mut().stands_by = left;
            return Ok(Standing::StandsBy);
        }
        let mut world = self.0.borrow_mut();
        if world.gone_after == Some(world.sources) {
            return Err(SourceError {
                is_final: true,
                ..source_error()
            });
        }
        world.sources += 1;
        (world.read, world.rewound_to) = (world.confirmed, world.confirmed);
        Ok(Standing::Leads)
    }

    fn accepts(&self, _unconfirmed: u64) -> bool {
        true
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        let mut world = self.0.borrow_mut();
        world.kept_alive += 1;
        world
            .source_fails
            .take()
            .map_or(Ok(()), |_| Err(source_error()))
    }

    async fn next(&mut self, batch: &mut VecDeque<Numbered>) -> Result<(), SourceError> {
        let nothing = {
            let mut world = self.0.borrow_mut();
            world.asked_for_more += 1;
            let events = world.read..world.events;
            world.read = world.events;
            let nothing = events.is_empty();
            batch.extend(events.map(Numbered));
            nothing
        };
        if nothing {
            tokio::time::sleep(LOOK_AROUND).await;
        }
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        let mut world = self.0.borrow_mut();
        world.confirmed = world.rewound_to + events;
    }

    async fn rewind(&mut self) {}

    async fn close(&mut self) -> Result<(), SourceError> {
        self.0.borrow_mut().closed = true;
        Ok(())
    }
}

struct ScriptedPublisher {
    world: Shared,
    changed: Rc<Notify>,
    began: Instant,
}

fn publish_error(failed: u64) -> PublishError {
    PublishError {
        doing: "publish".into(),
        reason: "as scripted".into(),
        failed,
        is_of_cache: false,
    }
}

impl Publisher for ScriptedPublisher {
    async fn connect(&mut self) -> Result<(), PublishError> {
        self.world.borrow_mut().connected += 1;
        Ok(())
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        let mut world = self.world.borrow_mut();
        let number = event.id.parse().unwrap();
        if world.taken.len() as u64 - world.durable >= world.room as u64 {
            return Ok(Offer::Full);
        }
        if world.refuses == Some(number) {
            world.refuses = None;
            return Err(publish_error(1));
        }
        world.taken.push(number);
        Ok(Offer::Taken)
    }

    fn taken(&self) -> u64 {
        self.world.borrow().taken.len() as u64
    }

    fn durable(&mut self) -> Result<u64, PublishError> {
        let world = self.world.borrow();
        world
            .failure
            .map_or(Ok(world.durable), |_| Err(publish_error(1)))
    }

    fn durable_despite_failure(&mut self) -> u64 {
        self.world.borrow().durable
    }

    fn reported(&self) -> u64 {
        self.world.borrow().reported
    }

    fn patience(&self) -> Duration {
        self.world.borrow().patience
    }

    fn deliveries(&mut self, _each: impl FnMut(Delivery)) {}

    async fn progress(&self) {
        self.changed.notified().await;
    }

    fn trouble(&mut self) -> Option<String> {
        None
    }

    async fn abandon(&mut self) {
        let mut world = self.world.borrow_mut();
        world.taken.clear();
        (world.durable, world.reported, world.failure) = (0, 0, None);
        world.abandoned.push(self.began.elapsed());
    }
}

/// The hands of the test.
struct Hands {
    world: Shared,
    changed: Rc<Notify>,
    stop: watch::Sender<bool>,
}

impl Hands {
    /// So many more of what was taken are durable.
    fn deliver(&self, more: u64) {
        let mut world = self.world.borrow_mut();
        for _ in 0..more {
            let number = world.taken[world.durable as usize];
            world.topic.push(number);
            world.durable += 1;
            world.reported += 1;
        }
        self.changed.notify_one();
    }

    /// Delivers whatever is taken until everything is confirmed.
    async fn deliver_all(&self) {
        loop {
            let (waiting, done) = {
                let world = self.world.borrow();
                let waiting = world.taken.len() as u64 - world.durable;
                (waiting, world.confirmed == world.events)
            };
            if done {
                return;
            }
            self.deliver(waiting);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until(&self, condition: impl Fn(&World) -> bool) {
        while !condition(&self.world.borrow()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn stop(&self) {
        self.stop.send(true).unwrap();
    }
}

/// Bound on a script and its pump together.
const SOON: Duration = Duration::from_secs(180);

/// Runs the pump while the script goes; both must end.
async fn pumped(world: World, script: impl AsyncFnOnce(&Hands)) -> World {
    let world = Rc::new(RefCell::new(world));
    let changed = Rc::new(Notify::new());
    let (stop, stopping) = watch::channel(false);
    let source = ScriptedSource(Rc::clone(&world));
    let publisher = ScriptedPublisher {
        world: Rc::clone(&world),
        changed: Rc::clone(&changed),
        began: Instant::now(),
    };
    let hands = Hands {
        world: Rc::clone(&world),
        changed,
        stop,
    };
    let both = async {
        let pump = Pump::new(source, publisher, None, stopping).run();
        let (ended, ()) = tokio::join!(pump, script(&hands));
        ended
    };
    let ended = tokio::time::timeout(SOON, both).await;
    assert!(
        ended.is_ok(),
        "it never came to: {:?}",
        world.borrow().topic
    );
    let mut world = world.take();
    world.ended = ended.unwrap().err();
    world
}

fn given(events: u64) -> World {
    World {
        events,
        room: 100,
        patience: PATIENCE,
        ..World::default()
    }
}

#[tokio::test]
async fn given_a_stall_when_patience_ends_then_everything_in_flight_is_given_up_and_published_again()
 {
    let world = pumped(given(5), async |hands| {
        hands.until(|w| w.taken.len() == 5).await;
        hands.deliver(2);
        // Nothing more is ever reported
        hands.until(|w| w.abandoned.len() == 1).await;
        hands.deliver_all().await;
        hands.stop();
    })
    .await;
    let given_up = world.abandoned[0];
    assert!(given_up >= PATIENCE, "{given_up:?}");
    assert_eq!(world.topic, [0, 1, 2, 3, 4]);
    assert_eq!((world.confirmed, world.closed), (5, true));
}

#[tokio::test]
async fn given_a_source_that_is_gone_for_ever_then_the_relay_says_so_and_ends_by_itself() {
    let world = pumped(
        World {
            gone_after: Some(1),
            ..given(5)
        },
        async |hands| {
            hands.until(|w| w.taken.len() == 5).await;
            hands.world.borrow_mut().source_fails = Some("the session");
            hands.until(|w| w.source_fails.is_none()).await;
            hands.deliver(5);
            // Nobody tells it to stop
            hands.until(|w| w.closed).await;
        },
    )
    .await;
    assert!(world.ended.is_some_and(|error| error.is_final));
    assert_eq!(world.topic, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn given_a_source_that_another_relay_has_when_it_is_free_then_its_events_are_published() {
    let world = pumped(
        World {
            stands_by: 3,
            ..given(5)
        },
        async |hands| {
            // While it stands by it takes nothing
            hands.until(|w| w.stands_by == 1).await;
            assert_eq!(hands.world.borrow().asked_for_more, 0);
            hands.deliver_all().await;
            hands.stop();
        },
    )
    .await;
    assert_eq!(world.topic, [0, 1, 2, 3, 4]);
    // Nothing was wrong meanwhile: only the end gives up the producer
    assert_eq!((world.stands_by, world.abandoned.len()), (0, 1));
}

#[tokio::test]
async fn given_a_source_that_another_relay_keeps_when_told_to_stop_then_it_ends() {
    let world = pumped(
        World {
            stands_by: u64::MAX,
            ..given(5)
        },
        async |hands| {
            hands.until(|w| w.stands_by < u64::MAX).await;
            hands.stop();
        },
    )
    .await;
    assert_eq!((world.topic.len(), world.closed), (0, true));
}

#[tokio::test]
async fn given_a_slow_link_when_reports_come_one_by_one_then_nothing_is_given_up() {
    assert!(BETWEEN < QUIET && 3 * BETWEEN > QUIET.max(PATIENCE));
    let world = pumped(given(3), async |hands| {
        for taken in 0..3 {
            hands.until(|w| w.taken.len() > taken).await;
            tokio::time::sleep(BETWEEN).await;
            hands.deliver(1);
        }
        hands.until(|w| w.confirmed == 3).await;
        hands.stop();
    })
    .await;
    assert_eq!(world.topic, [0, 1, 2]);
    // At the end
    assert_eq!((world.connected, world.abandoned.len()), (1, 1));
    // And whoever holds the events was kept alive meanwhile
    assert!(world.kept_alive > 10, "{}", world.kept_alive);
}

#[tokio::test]
async fn given_reports_of_later_events_when_the_first_stays_away_then_the_link_is_alive() {
    let world = pumped(given(10), async |hands| {
        hands.until(|w| w.taken.len() == 10).await;
        // Other partitions' batches, before that of the first event
        for _ in 0..3 {
            tokio::time::sleep(BETWEEN).await;
            hands.world.borrow_mut().reported += 1;
            hands.changed.notify_one();
        }
        hands.deliver_all().await;
        hands.stop();
    })
    .await;
    assert_eq!((world.connected, world.abandoned.len()), (1, 1));
    assert_eq!(world.topic, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn given_a_full_publisher_when_it_has_room_again_then_it_goes_on_in_order() {
    let mut world = given(10);
    world.room = 3;
    let world = pumped(world, async |hands| {
        hands.until(|w| w.taken.len() == 3).await;
        let asked = hands.world.borrow().asked_for_more;
        tokio::time::sleep(PATIENCE / 2).await;
        // Nothing is read beyond what waits for room
        assert_eq!(hands.world.borrow().asked_for_more, asked);
        hands.deliver_all().await;
        hands.stop();
    })
    .await;
    assert_eq!(world.topic, (0..10).collect::<Vec<_>>());
    assert_eq!((world.connected, world.abandoned.len()), (1, 1));
}

#[tokio::test]
async fn given_an_event_that_is_refused_when_the_session_ends_then_it_begins_at_what_is_not_durable()
 {
    let mut world = given(6);
    world.refuses = Some(4);
    world.room = 2;
    let world = pumped(world, async |hands| {
        hands.until(|w| w.taken.len() == 2).await;
        hands.deliver(2);
        hands.until(|w| w.taken.len() == 4).await;
        // 2 and 3 are in flight when 4 is refused
        hands.world.borrow_mut().room = 100;
        hands.until(|w| w.abandoned.len() == 1).await;
        hands.deliver_all().await;
        hands.stop();
    })
    .await;
    assert_eq!(world.topic, [0, 1, 2, 3, 4, 5]);
    assert_eq!((world.connected, world.confirmed), (2, 6));
}

#[tokio::test]
async fn given_a_failed_delivery_when_some_before_it_are_durable_then_these_are_confirmed_first() {
    let world = pumped(given(6), async |hands| {
        hands.until(|w| w.taken.len() == 6).await;
        {
            let mut world = hands.world.borrow_mut();
            world.topic.extend([0, 1, 2]);
            (world.durable, world.reported) = (3, 4);
            world.failure = Some("the fourth");
        }
        hands.changed.notify_one();
        hands.until(|w| w.abandoned.len() == 1).await;
        hands.deliver_all().await;
        hands.stop();
    })
    .await;
    assert_eq!(world.topic, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn given_a_source_that_fails_when_events_are_in_flight_then_their_reports_are_waited_for() {
    let world = pumped(given(6), async |hands| {
        hands.until(|w| w.taken.len() == 6).await;
        hands.world.borrow_mut().source_fails = Some("now");
        hands.until(|w| w.source_fails.is_none()).await;
        tokio::time::sleep(SETTLE / 5).await;
        hands.deliver(6);
        hands.until(|w| w.confirmed == 6).await;
        hands.stop();
    })
    .await;
    // Once each, and with the producer that had them
    assert_eq!(world.topic, [0, 1, 2, 3, 4, 5]);
    assert_eq!(world.abandoned.len(), 1);
}

#[tokio::test]
async fn given_deliveries_that_never_come_when_told_to_stop_then_it_ends_within_its_bound() {
    let began = Instant::now();
    let mut world = given(6);
    world.patience = 2 * SETTLE;
    let world = pumped(world, async |hands| {
        hands.until(|w| w.taken.len() == 6).await;
        hands.deliver(4);
        hands.until(|w| w.confirmed == 4).await;
        hands.stop();
    })
    .await;
    let took = began.elapsed();
    assert!(took >= SETTLE && took < 2 * SETTLE, "{took:?}");
    assert_eq!((world.confirmed, world.closed), (4, true));
    assert_eq!(world.topic, [0, 1, 2, 3]);
}
