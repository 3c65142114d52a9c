//! Consumers as processes of their own, on a real RabbitMQ: each group with its queues.

use super::fixture::{Turn, look, turn};
use crate::HARNESS;
use crate::patience::PATIENCE;
use harness::broker::{Broker, ConsumerGroup, GroupProgress, rabbitmq};
use relays::RabbitMqPublisher;
use relays::config::{
    BrokerTarget, GroupQueues, Isolation, OnFailure, PostgresTarget, QueueKind, RabbitMqGroup,
};
use relays::consumer::{ConsumerConfig, EffectKind, Idempotency, OffsetCommit};
use relays::postgres::schema::{self, Layout, OutboxKind};
use relays::publisher::{Offer, Publisher};
use relays::source::Event;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ORDERS: u32 = 40;
const VERSIONS: u32 = 5;
const ALL: i64 = (ORDERS * VERSIONS) as i64;

/// A group with its queues, and the schema of its consumer.
struct GroupFixture {
    turn: Turn,
    broker: Arc<dyn Broker>,
    layout: Layout,
    config: ConsumerConfig,
    admin: PgConnection,
}

impl GroupFixture {
    async fn make(
        queue: QueueKind,
        rabbitmq: RabbitMqGroup,
        idempotency: Idempotency,
    ) -> Option<Self> {
        let turn = turn().await?;
        let postgres = turn.rabbit.postgres().clone();
        let strategy = Layout {
            name: format!("oh_{}_it", &Uuid::new_v4().simple().to_string()[..16]),
            isolation: Isolation::Schema,
            outbox: OutboxKind::None,
            failover_slot: false,
            password: "secret".to_owned(),
        };
        let layout = strategy.of_consumer(0);
        schema::create_consumer(&postgres, &layout, EffectKind::State, idempotency)
            .await
            .unwrap();
        let config = ConsumerConfig {
            database: PostgresTarget {
                user: layout.service_role(),
                password: layout.password.clone(),
                ..layout.inside(&postgres)
            },
            broker: BrokerTarget::RabbitMq(turn.target(queue)),
            group: format!("{}.it", turn.name),
            rabbitmq,
            effect: EffectKind::State,
            idempotency,
            commit: OffsetCommit::After,
            sink: None,
        };
        let options = PgConnectOptions::new()
            .host(&postgres.host)
            .port(postgres.port)
            .username(&postgres.user)
            .password(&postgres.password)
            .database(&postgres.database);
        let it = Self {
            broker: rabbitmq::with_queues(&turn.rabbit.address, queue),
            turn,
            layout,
            config,
            admin: PgConnection::connect_with(&options).await.unwrap(),
        };
        it.broker.make_group(it.group()).await.unwrap();
        Some(it)
    }

    fn group(&self) -> ConsumerGroup<'_> {
        ConsumerGroup {
            name: self.config.group.clone(),
            topic: &self.turn.name,
            partitions: 1,
            rabbitmq: self.config.rabbitmq,
        }
    }

    /// Publishes each version of these orders, the first versions of all first.
    async fn publish(&self, orders: std::ops::Range<u32>) {
        let BrokerTarget::RabbitMq(target) = &self.config.broker else {
            panic!("it is RabbitMQ");
        };
        let mut publisher = RabbitMqPublisher::new(target.clone());
        publisher.connect().await.unwrap();
        let all = (1..=VERSIONS).flat_map(|version| orders.clone().map(move |n| (n, version)));
        let mut count = 0;
        for (order, version) in all {
            let key = Uuid::from_u128(u128::from(order)).to_string();
            let id = Uuid::from_u128(u128::from(version) << 64 | u128::from(order)).to_string();
            let payload = format!(
                "{{\"run\":\"0\",\"order_id\":\"{key}\",\"version\":{version},\"attempt\":\"{id}\"}}"
            );
            let event = Event {
                key: &key,
                id: &id,
                event_type: "OrderPlaced",
                version: &version.to_string(),
                payload: &payload,
            };
            while publisher.offer(&event).unwrap() == Offer::Full {
                look(&mut publisher).await.unwrap();
            }
            count += 1;
        }
        while publisher.durable().unwrap() < count {
            look(&mut publisher).await.unwrap();
        }
    }

    /// Starts the process, and waits until all members read.
    fn start(&self, file: &tempfile::NamedTempFile) -> Child {
        serde_json::to_writer(file.reopen().unwrap(), &self.config).unwrap();
        let mut child = Command::new(HARNESS)
            .args(["consumer", "--config"])
            .arg(file.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(says.any(|line| line.unwrap().contains("ready")));
        child
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = sql.replace("SCHEMA", self.layout.schema());
        let number = sqlx::query_scalar(AssertSqlSafe(sql));
        number.fetch_one(&mut self.admin).await.unwrap()
    }

    async fn execute(&mut self, sql: &str) {
        let sql = sql.replace("SCHEMA", self.layout.schema());
        let executed = sqlx::raw_sql(AssertSqlSafe(sql));
        executed.execute(&mut self.admin).await.unwrap();
    }

    /// Waits until so many effects were done.
    async fn has_done(&mut self, effects: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.number("select count(*) from SCHEMA.effects").await;
            if done >= effects {
                return;
            }
            assert!(Instant::now() < deadline, "only {done} of {effects}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What is left in the queues, when nobody reads them any more.
    async fn left(&self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.broker.progress(self.group()).await.unwrap();
            let GroupProgress::Queued { waiting, members } = told else {
                panic!("a group of RabbitMQ has queues: {told:?}");
            };
            if members == 0 {
                return waiting;
            }
            assert!(Instant::now() < deadline, "{members} members read");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many effects took their order back to an older version than it had been in.
    async fn out_of_order(&mut self) -> i64 {
        let back = "select count(*) from (
              select version < max(version) over (partition by order_id order by seq) as is_back
                from SCHEMA.effects) as each where is_back";
        self.number(back).await
    }

    async fn clear(self) {
        self.broker.drop_group(self.group()).await.unwrap();
        let postgres = self.turn.rabbit.postgres().clone();
        schema::drop_all(&postgres, &self.layout).await.unwrap();
        self.turn.clear().await;
    }
}

/// SIGTERM; it must then end by itself, and well.
fn terminate(mut child: Child) {
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn members(members: u16, queues: GroupQueues) -> RabbitMqGroup {
    RabbitMqGroup {
        members,
        queues,
        ..RabbitMqGroup::default()
    }
}

#[tokio::test]
async fn given_groups_of_each_kind_when_their_consumer_is_killed_and_started_again_then_nothing_is_left_and_a_hash_keeps_order()
 {
    for (queue, group) in [
        (QueueKind::Classic, members(1, GroupQueues::One)),
        (QueueKind::Classic, members(3, GroupQueues::Hashed)),
        (QueueKind::Quorum, members(3, GroupQueues::Hashed)),
    ] {
        let made = GroupFixture::make(queue, group, Idempotency::Inbox).await;
        let Some(mut it) = made else { return };
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut process = it.start(&file);
        it.publish(0..ORDERS).await;
        it.has_done(1).await;
        process.kill().unwrap();
        process.wait().unwrap();
        // What it had not acknowledged is back, and what it does twice an inbox leaves out.
        let left = it.left().await;
        it.publish(ORDERS..2 * ORDERS).await;
        assert_eq!(it.left().await, left + ALL as u64, "{group:?}");
        let process = it.start(&file);
        it.has_done(2 * ALL).await;
        terminate(process);
        assert_eq!(it.left().await, 0, "{group:?}");
        assert_eq!(
            it.number("select count(*) from SCHEMA.effects").await,
            2 * ALL
        );
        assert_eq!(it.out_of_order().await, 0, "{queue:?}, {group:?}");
        it.clear().await;
    }
}

#[tokio::test]
async fn given_a_consumer_that_was_given_everything_when_it_is_told_to_end_then_it_does_all_of_it()
{
    // Ten events at a time, and all of them with it
    let group = RabbitMqGroup {
        on_failure: OnFailure::Requeue,
        prefetch: 500,
        ..RabbitMqGroup::default()
    };
    let made = GroupFixture::make(QueueKind::Classic, group, Idempotency::None).await;
    let Some(mut it) = made else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    it.publish(0..ORDERS).await;
    let process = it.start(&file);
    it.has_done(1).await;
    terminate(process);
    assert_eq!(it.left().await, 0);
    assert_eq!(it.number("select count(*) from SCHEMA.effects").await, ALL);
    it.clear().await;
}

#[tokio::test]
async fn given_an_effect_that_fails_once_when_its_event_is_given_back_then_it_is_done_behind_later_ones()
 {
    for on_failure in [OnFailure::Again, OnFailure::Requeue] {
        let group = RabbitMqGroup {
            on_failure,
            ..RabbitMqGroup::default()
        };
        let made = GroupFixture::make(QueueKind::Classic, group, Idempotency::Inbox).await;
        let Some(mut it) = made else { return };
        let file = tempfile::NamedTempFile::new().unwrap();
        // A sequence is not rolled back: only the first try fails.
        it.execute(
            "create sequence SCHEMA.tries;
             grant usage on sequence SCHEMA.tries to public;
             create function SCHEMA.fail_once() returns trigger language plpgsql as $$
             begin
               if new.version = 1 and nextval('SCHEMA.tries') = 1 then
                 raise exception 'not now';
               end if;
               return new;
             end $$;
             create trigger fail_once before insert on SCHEMA.effects
               for each row execute function SCHEMA.fail_once()",
        )
        .await;
        it.publish(0..ORDERS).await;
        let process = it.start(&file);
        it.has_done(ALL).await;
        terminate(process);
        assert_eq!(it.left().await, 0);
        assert_eq!(it.number("select count(*) from SCHEMA.effects").await, ALL);
        let back = it.out_of_order().await;
        match on_failure {
            OnFailure::Again => assert_eq!(back, 0),
            // The ten that failed together came again behind what the member had been given by then
            OnFailure::Requeue => assert!(back >= 10, "{back}"),
        }
        it.clear().await;
    }
}
