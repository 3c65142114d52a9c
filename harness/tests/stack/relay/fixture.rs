//! What a relay works between: a schema, a topic, perhaps a slot and a proxy, all of one test's own.

use super::log::{Log, Record};
use crate::TestStack;
use crate::patience::PATIENCE;
use crate::traces::Traces;
use harness::database::postgres::pending;
use harness::scenario::{Instance, Link, Server};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use relays::cache::CacheFill;
use relays::config::{
    AfterPublish, BrokerTarget, CacheTarget, CommitMode, DatabaseTarget, Housekeeping, Isolation,
    KafkaTarget, Logged, PostgresTarget, RelayCache, RelayConfig, SourceConfig,
};
use relays::postgres::schema::{self, Layout, OutboxKind};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};

const PARTITIONS: i32 = 4;
/// How long rows go into one table, where the outbox is of several.
const PERIOD_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Delete,
    Mark,
    /// Marked rows are deleted twenty times a second.
    Purge,
    /// The outbox is partitioned by seconds.
    Partitions,
    /// Three tables take turns of a second.
    Rotate,
    Cdc,
    /// What is inserted becomes a logical decoding message, and no row.
    Message,
    /// What is inserted is an event that stays, and is read by its position.
    Position,
}

impl Kind {
    fn reads_log(self) -> bool {
        match self {
            Self::Delete
            | Self::Mark
            | Self::Purge
            | Self::Partitions
            | Self::Rotate
            | Self::Position => false,
            Self::Cdc | Self::Message => true,
        }
    }

    /// Where events are inserted.
    fn table(self) -> &'static str {
        match self {
            Self::Delete
            | Self::Mark
            | Self::Purge
            | Self::Partitions
            | Self::Rotate
            | Self::Cdc
            | Self::Message => "outbox",
            Self::Position => "events",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    Direct,
    ProxiedKafka,
    ProxiedPostgres,
    /// With a cache that the relay invalidates.
    ProxiedRedis,
}

/// The stack has a listener for each proxied link from a relay to Kafka: one test at a time has it.
static KAFKA_LINKS: LazyLock<[AsyncMutex<Link>; Instance::MOST]> = LazyLock::new(|| {
    Instance::ALL
        .map(|relay| Link::Relay(relay, Server::KAFKA))
        .map(AsyncMutex::new)
});

/// A link to Kafka that no other test has, as soon as there is one.
pub async fn kafka_link() -> AsyncMutexGuard<'static, Link> {
    let turns = KAFKA_LINKS.iter().map(|link| Box::pin(link.lock()));
    futures::future::select_all(turns).await.0
}

#[derive(Clone)]
pub struct Fixture {
    stack: &'static TestStack,
    kind: Kind,
    wiring: Wiring,
    pub schema: String,
    pub poll_interval: Duration,
    pub notify: bool,
    pub one_of_several: bool,
    /// Relays keep house when they come, and then for a long time no more.
    pub keeps_house_once: bool,
    /// Bytes of an event's content; its payload has some 150 more.
    pub content_bytes: usize,
    pub traces: Traces,
    /// Where all of it is, for its administrator.
    admin: PostgresTarget,
    /// The same for the relay, on its own way.
    postgres: PostgresTarget,
    bootstrap: String,
    /// The relay's way to its cache, where it has one.
    cache: Option<CacheTarget>,
}

/// Waits for a condition, looking every few milliseconds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Fixture {
    /// Makes all of it, runs the test, and drops all of it whatever the test did.
    pub async fn run(kind: Kind, wiring: Wiring, test: impl AsyncFnOnce(Fixture)) {
        use futures::FutureExt;
        let kafka_link = match wiring {
            Wiring::ProxiedKafka => Some(kafka_link().await),
            _ => None,
        };
        let stack = crate::stack().await;
        let mut fixture = Fixture {
            stack,
            kind,
            wiring,
            schema: format!(
                "oh_relay_{}",
                &uuid::Uuid::new_v4().simple().to_string()[..12]
            ),
            poll_interval: Duration::from_millis(5),
            notify: false,
            one_of_several: false,
            keeps_house_once: false,
            content_bytes: 200,
            traces: Traces::new(),
            admin: stack.postgres.clone(),
            postgres: stack.postgres.clone(),
            bootstrap: stack.kafka_bootstrap.clone(),
            cache: None,
        };
        fixture.postgres.schema = fixture.schema.clone();
        fixture.create(kafka_link.as_deref()).await;
        let outcome = std::panic::AssertUnwindSafe(test(fixture.clone()))
            .catch_unwind()
            .await;
        fixture.drop_all().await;
        if let Err(panic) = outcome {
            eprintln!("the failure above was with {kind:?}, {wiring:?}");
            std::panic::resume_unwind(panic);
        }
    }

    async fn create(&mut self, kafka_link: Option<&Link>) {
        if self.kind.reads_log() {
            self.create_database().await;
        }
        let schema = &self.schema;
        let table = self.kind.table();
        let status = match self.kind {
            Kind::Mark => ", status text not null default 'pending'",
            Kind::Position => ", xid xid8 not null default pg_current_xact_id()",
            Kind::Delete
            | Kind::Purge
            | Kind::Partitions
            | Kind::Rotate
            | Kind::Cdc
            | Kind::Message => "",
        };
        let mut sql = format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.{table}(
               seq bigint generated always as identity primary key, id uuid not null,
               aggregatetype text not null, aggregateid text not null, type text not null,
               version int not null, payload text not null,
               created_at timestamptz not null default now(){status});"
        );
        match self.kind {
            Kind::Delete | Kind::Purge | Kind::Partitions | Kind::Rotate => {}
            Kind::Position => {
                sql += &format!(
                    "CREATE INDEX ON {schema}.events (xid, seq);
                     CREATE TABLE {schema}.relay_position (xid xid8 not null, seq bigint not null);
                     INSERT INTO {schema}.relay_position VALUES ('0', 0);"
                )
            }
            Kind::Mark => {
                sql += &format!("CREATE INDEX ON {schema}.outbox (seq) WHERE status = 'pending';")
            }
            Kind::Cdc => {
                sql += &format!(
                    "CREATE PUBLICATION {schema}_pub FOR TABLE {schema}.outbox WITH (publish = 'insert');"
                )
            }
            Kind::Message => {
                sql += &format!(
                    "CREATE PUBLICATION {schema}_pub WITH (publish = 'insert');
                     CREATE FUNCTION {schema}.emit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                       PERFORM pg_logical_emit_message(true, '{schema}', concat_ws(e'\\t',
                         new.aggregateid, new.id, new.type, new.version, new.payload));
                       RETURN NULL;
                     END $$;
                     CREATE TRIGGER emit BEFORE INSERT ON {schema}.outbox
                     FOR EACH ROW EXECUTE FUNCTION {schema}.emit();"
                )
            }
        }
        match self.layout() {
            // Made as for a run: the relay has the rights of its own role, and no more.
            Some(layout) => {
                schema::create(&self.admin, &layout).await.unwrap();
                (self.postgres.user, self.postgres.password) =
                    (layout.relay_role(), layout.password);
            }
            None => self.execute(&sql).await,
        }
        if self.kind.reads_log() {
            self.execute(&format!(
                "SELECT pg_create_logical_replication_slot('{schema}_slot', 'pgoutput')"
            ))
            .await;
        }
        self.admin_client()
            .create_topics(
                &[NewTopic::new(
                    &self.topic(),
                    PARTITIONS,
                    TopicReplication::Fixed(1),
                )],
                &AdminOptions::new(),
            )
            .await
            .unwrap();
        match self.wiring {
            Wiring::Direct => {}
            Wiring::ProxiedKafka => {
                let route = &self.stack.info.routes[kafka_link.unwrap()];
                self.create_proxy(&route.listen, &route.upstream).await;
                self.bootstrap = route.connect.clone();
            }
            Wiring::ProxiedPostgres => {
                let upstream = format!("{}:{}", self.postgres.host, self.postgres.port);
                let listen = self.create_proxy("127.0.0.1:0", &upstream).await;
                let (host, port) = listen.rsplit_once(':').unwrap();
                self.postgres.host = host.to_owned();
                self.postgres.port = port.parse().unwrap();
            }
            Wiring::ProxiedRedis => {
                let upstream = self.cache_around_proxy().address;
                let address = self.create_proxy("127.0.0.1:0", &upstream).await;
                self.cache = Some(CacheTarget {
                    address,
                    ..self.cache_around_proxy()
                });
            }
        }
    }

    /// A slot decodes what is in its own database, and PostgreSQL makes one that cannot where somebody creates a table
    /// there at the same moment ("could not map filenode"), as other tests do.
    async fn create_database(&mut self) {
        self.execute(&format!(
            "CREATE DATABASE {} TEMPLATE template0",
            self.schema
        ))
        .await;
        self.admin.database = self.schema.clone();
        self.postgres.database = self.schema.clone();
    }

    async fn drop_database(&mut self) {
        self.admin.database = self.stack.postgres.database.clone();
        self.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.schema))
            .await;
    }

    /// The cache, where the test has one.
    pub fn cache_around_proxy(&self) -> CacheTarget {
        let redis = self.stack.info.redis.as_ref().unwrap();
        CacheTarget {
            address: redis.address.clone(),
            prefix: format!("{}:", self.topic()),
        }
    }

    /// What the strategy owns, of the kinds whose outbox is made as for a run.
    fn layout(&self) -> Option<Layout> {
        let period_ms = PERIOD_MS;
        let outbox = match self.kind {
            Kind::Purge => OutboxKind::Mark,
            Kind::Partitions => OutboxKind::Partitions { period_ms },
            Kind::Rotate => OutboxKind::Turns {
                period_ms,
                tables: 3,
            },
            Kind::Delete | Kind::Mark | Kind::Cdc | Kind::Message | Kind::Position => return None,
        };
        Some(Layout {
            name: self.schema.clone(),
            isolation: Isolation::Schema,
            outbox,
            failover_slot: false,
            password: "secret".to_owned(),
        })
    }

    async fn drop_all(&mut self) {
        let schema = &self.schema;
        if self.wiring != Wiring::Direct {
            let url = format!("{}/proxies/{}", self.stack.toxiproxy_url, self.topic());
            let _ = harness::http::direct()
                .build()
                .unwrap()
                .delete(url)
                .send()
                .await;
        }
        if self.kind.reads_log() {
            let sql = format!(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
                   WHERE slot_name = '{schema}_slot' AND active"
            );
            self.execute(&sql).await;
            let sql = format!("SELECT pg_drop_replication_slot('{schema}_slot')");
            until("the slot can be dropped", async || {
                self.try_execute(&sql).await.is_ok()
            })
            .await;
            self.drop_database().await;
        } else {
            match self.layout() {
                Some(layout) => schema::drop_all(&self.admin, &layout).await.unwrap(),
                None => self.execute(&format!("DROP SCHEMA {schema} CASCADE")).await,
            }
        }
        let _ = self
            .admin_client()
            .delete_topics(&[&self.topic()], &AdminOptions::new())
            .await;
    }

    fn topic(&self) -> String {
        self.schema.replace('_', ".")
    }

    fn admin_client(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.stack.kafka_bootstrap)
            .create()
            .unwrap()
    }

    async fn create_proxy(&self, listen: &str, upstream: &str) -> String {
        let body = serde_json::json!({
            "name": self.topic(), "listen": listen, "upstream": upstream, "enabled": true
        });
        let listening = Mutex::new(String::new());
        until("the proxy's port is free", async || {
            let reply = harness::http::direct()
                .build()
                .unwrap()
                .post(format!("{}/proxies", self.stack.toxiproxy_url))
                .body(body.to_string())
                .send()
                .await
                .unwrap();
            let created = reply.status().as_u16() == 201;
            let text = reply.text().await.unwrap();
            if created {
                let proxy: serde_json::Value = serde_json::from_str(&text).unwrap();
                *listening.lock().unwrap() = proxy["listen"].as_str().unwrap().to_owned();
            }
            created
        })
        .await;
        listening.into_inner().unwrap()
    }

    pub async fn set_proxy(&self, enabled: bool) {
        let url = format!("{}/proxies/{}", self.stack.toxiproxy_url, self.topic());
        let reply = harness::http::direct()
            .build()
            .unwrap()
            .patch(url)
            .body(serde_json::json!({ "enabled": enabled }).to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status().as_u16(), 200, "{:?}", reply.text().await);
    }

    /// Lets so many kilobytes a second through towards the proxied server; `None`: all there are.
    pub async fn limit_proxy(&self, kilobytes: Option<u64>) {
        self.limit("upstream", kilobytes).await;
    }

    /// The same from the proxied server.
    pub async fn limit_answers(&self, kilobytes: Option<u64>) {
        self.limit("downstream", kilobytes).await;
    }

    async fn limit(&self, stream: &str, kilobytes: Option<u64>) {
        let proxy = format!("{}/proxies/{}", self.stack.toxiproxy_url, self.topic());
        let client = harness::http::direct().build().unwrap();
        let limit = serde_json::json!({ "name": "limit", "type": "bandwidth", "stream": stream,
                                        "attributes": { "rate": kilobytes } });
        let (all, one) = (format!("{proxy}/toxics"), format!("{proxy}/toxics/limit"));
        let asked = match kilobytes {
            // A limit that is there is changed, and not lifted meanwhile.
            Some(_) if client.get(&one).send().await.unwrap().status().is_success() => {
                client.post(one).body(limit.to_string())
            }
            Some(_) => client.post(all).body(limit.to_string()),
            None => client.delete(one),
        };
        let reply = asked.send().await.unwrap();
        assert!(reply.status().is_success(), "{:?}", reply.text().await);
    }

    /// The server process that sends the slot's changes, if there is one.
    pub async fn walsender(&self) -> Option<i32> {
        let sql = format!(
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{}_slot'",
            self.schema
        );
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Waits until the server has sent the slot's reader nothing for so long, while that went on to report; by the
    /// reader's clock.
    pub async fn wait_for_standstill(&self, span: Duration) {
        let mut stands: Option<(i64, f64)> = None;
        until("the stream stands still for long enough", async || {
            let Some((sent, reported_s)) = self.stream().await else {
                stands = None;
                return false;
            };
            match stands {
                Some((at, since_s)) if at == sent => reported_s - since_s >= span.as_secs_f64(),
                _ => {
                    stands = Some((sent, reported_s));
                    false
                }
            }
        })
        .await;
    }

    /// How far the slot's reader was sent the log, and when it last reported; nothing without a reader.
    async fn stream(&self) -> Option<(i64, f64)> {
        let sql = format!(
            "SELECT (sent_lsn - '0/0')::bigint, extract(epoch FROM reply_time)::float8
             FROM pg_stat_replication JOIN pg_replication_slots ON pid = active_pid
             WHERE slot_name = '{}_slot' AND reply_time IS NOT NULL",
            self.schema
        );
        let mut connection = self.connect().await;
        sqlx::query_as(AssertSqlSafe(sql))
            .fetch_optional(&mut connection)
            .await
            .unwrap()
    }

    /// The server process of the relay that leads, if one does.
    pub async fn leading_session(&self) -> Option<i32> {
        if self.kind.reads_log() {
            return self.walsender().await;
        }
        let mut connection = self.connect().await;
        sqlx::query_scalar(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
               AND (classid::bigint << 32) | objid::bigint = hashtextextended($1, 0)",
        )
        .bind(format!("outbox-relay of schema {}", self.schema))
        .fetch_optional(&mut connection)
        .await
        .unwrap()
    }

    /// Until a relay leads in another session than this one.
    pub async fn wait_until_led_anew(&self, session: Option<i32>) {
        until("a relay leads in another session", async || {
            let now = self.leading_session().await;
            now.is_some() && now != session
        })
        .await;
    }

    async fn connect(&self) -> PgConnection {
        let target = &self.admin;
        PgConnectOptions::new_without_pgpass()
            .host(&target.host)
            .port(target.port)
            .username(&target.user)
            .password(&target.password)
            .database(&target.database)
            .connect()
            .await
            .unwrap()
    }

    async fn try_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await?;
        connection.close().await
    }

    async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    fn insertion(&self, order: &str, version: &str) -> String {
        let bytes = self.content_bytes;
        format!(
            "INSERT INTO {}.{}(id, aggregatetype, aggregateid, type, version, payload)
             SELECT i, 'order', md5(({order})::text)::uuid::text, 'OrderAmended', {version},
                    json_build_object('order', {order}, 'version', {version}, 'id', i,
                                      'attempt', i, 'content', repeat('x', {bytes}))::text
             FROM (SELECT gen_random_uuid() AS i) ids;",
            self.schema,
            self.kind.table()
        )
    }

    /// The ids of these orders, as their events have them.
    pub async fn order_ids(&self, orders: u32) -> Vec<String> {
        let mut connection = self.connect().await;
        let sql = format!("SELECT md5(o::text)::uuid::text FROM generate_series(1, {orders}) AS o");
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await
            .unwrap()
    }

    /// Commits one event a transaction: for each version all orders, 1 to `orders`.
    pub async fn insert(&self, orders: u32, versions: RangeInclusive<u32>) {
        let insertion = self.insertion("o", "v");
        let (first, last) = versions.into_inner();
        // Alone in its message: a DO block can commit only outside of a transaction.
        self.execute(&format!(
            "DO $$ BEGIN SET synchronous_commit = off; FOR v IN {first}..{last} LOOP FOR o IN 1..{orders} LOOP
               {insertion} COMMIT; END LOOP; END LOOP; END $$"
        ))
        .await;
    }

    /// Commits all of them in one transaction, version by version.
    pub async fn insert_at_once(&self, orders: u32, versions: RangeInclusive<u32>) {
        let insertion = self.insertion("o", "v");
        let (first, last) = versions.into_inner();
        self.execute(&format!(
            "DO $$ BEGIN FOR v IN {first}..{last} LOOP FOR o IN 1..{orders} LOOP
               {insertion} END LOOP; END LOOP; END $$"
        ))
        .await;
    }

    pub fn postgres_address(&self) -> (String, u16) {
        (self.postgres.host.clone(), self.postgres.port)
    }

    /// The same, for relays that reach Kafka around the proxy.
    pub fn past_the_proxy(&self) -> Self {
        Self {
            bootstrap: self.stack.kafka_bootstrap.clone(),
            ..self.clone()
        }
    }

    /// Has relays that start from now on go through this port.
    pub fn reach_postgres_by(&mut self, port: u16) {
        self.postgres.port = port;
    }

    /// Inserts one event and leaves its transaction open.
    pub async fn insert_and_hold(&self, order: u32, version: u32) -> Held {
        let mut connection = self.connect().await;
        let insertion = self.insertion(&order.to_string(), &version.to_string());
        sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {insertion}")))
            .execute(&mut connection)
            .await
            .unwrap();
        Held(connection)
    }

    /// Opens a transaction that has its id, and inserts nothing yet.
    pub async fn begin(&self) -> Held {
        let mut connection = self.connect().await;
        sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()")
            .execute(&mut connection)
            .await
            .unwrap();
        Held(connection)
    }

    /// Until nothing is left in the outbox, published or not.
    pub async fn wait_until_empty(&self) {
        until("the outbox is empty", async || self.rows().await == 0).await;
    }

    /// So many rows are in the outbox, published or not.
    pub async fn rows(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.outbox", self.schema);
        self.count(&sql).await
    }

    /// The numbers of the outbox's partitions, the lowest first; the rest has none.
    pub async fn partitions(&self) -> Vec<i64> {
        let sql = format!(
            "SELECT substring(c.relname from '[0-9]+$')::bigint AS number
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = '{}.outbox'::regclass AND c.relname ~ '[0-9]+$' ORDER BY number",
            self.schema
        );
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await
            .unwrap()
    }

    /// Until the outbox's partitions are like this.
    pub async fn wait_until_partitions(&self, what: &str, are: impl Fn(&[i64]) -> bool) {
        until(what, async || are(&self.partitions().await)).await;
    }

    /// Until somebody waits for an exclusive lock of a table of the schema.
    pub async fn wait_until_a_lock_is_waited_for(&self) {
        let sql = format!(
            "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
             WHERE c.relnamespace = '{}'::regnamespace AND l.mode = 'AccessExclusiveLock'
               AND NOT l.granted",
            self.schema
        );
        until("somebody waits for a table", async || {
            self.count(&sql).await > 0
        })
        .await;
    }

    /// Until so many periods of the outbox's tables have begun since now, by the server's clock.
    pub async fn wait_until_periods_passed(&self, periods: i64) {
        let sql = format!(
            "SELECT floor(extract(epoch from clock_timestamp()) * 1000 / {PERIOD_MS})::bigint"
        );
        let until_then = self.count(&sql).await + periods;
        until("the periods have passed", async || {
            self.count(&sql).await >= until_then
        })
        .await;
    }

    pub async fn notify(&self) {
        self.execute(&format!("NOTIFY {}", self.schema)).await;
    }

    pub async fn wait_until_listening(&self) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%{}%'",
            self.schema
        );
        until("the relay listens", async || self.count(&sql).await > 0).await;
    }

    /// Writes to the log what no publication has; returns a position after it.
    pub async fn write_unrelated(&self) -> i64 {
        let schema = &self.schema;
        self.execute(&format!(
            "CREATE TABLE {schema}.unrelated AS SELECT generate_series(1, 10000) AS i"
        ))
        .await;
        self.count("SELECT (pg_current_wal_lsn() - '0/0')::bigint")
            .await
    }

    pub async fn wait_until_slot_passed(&self, position: i64) {
        let sql = format!(
            "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots
             WHERE slot_name = '{}_slot'",
            self.schema
        );
        until("the slot passed the position", async || {
            self.count(&sql).await >= position
        })
        .await;
    }

    /// Until the relay that leads has asked for events, and had its answer, at least once after everything that is committed
    /// now, and has published what came of it.
    pub async fn wait_until_polled(&self) {
        let session = self.leading_session().await;
        // It asks again only when nothing is on its way.
        for _ in 0..2 {
            let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint";
            let now = self.count(now).await;
            let sql = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state = 'idle' \
                 AND query LIKE '%events_behind%' \
                 AND (extract(epoch FROM query_start) * 1e6)::bigint > {now}",
                session.expect("a relay leads")
            );
            until("the relay asks once more", async || {
                self.count(&sql).await == 1
            })
            .await;
        }
    }

    /// The position that is kept: a transaction's id, and a number.
    pub async fn position(&self) -> (String, i64) {
        let sql = format!("SELECT xid::text, seq FROM {}.relay_position", self.schema);
        let mut connection = self.connect().await;
        sqlx::query_as(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Until `events` different events are on the topic, and the outbox is as it should be then:
    /// empty, or with nothing pending.
    pub async fn wait_until_worked_off(&self, events: usize) {
        self.wait_until_seen(events).await;
        if self.kind == Kind::Message {
            let end = self
                .count("SELECT (pg_current_wal_lsn() - '0/0')::bigint")
                .await;
            self.wait_until_slot_passed(end).await;
        }
        let (schema, table) = (&self.schema, self.kind.table());
        let condition = match self.kind {
            Kind::Mark | Kind::Purge | Kind::Partitions | Kind::Rotate => {
                "WHERE status = 'pending'".to_owned()
            }
            Kind::Position => {
                format!("WHERE (xid, seq) > (SELECT xid, seq FROM {schema}.relay_position)")
            }
            Kind::Delete | Kind::Cdc | Kind::Message => String::new(),
        };
        let sql = format!("SELECT count(*) FROM {schema}.{table} {condition}");
        until("the outbox is worked off", async || {
            self.count(&sql).await == 0
        })
        .await;
    }

    pub async fn wait_until_seen(&self, events: usize) {
        until(&format!("{events} events on the topic"), async || {
            self.end_offsets().values().sum::<i64>() >= events as i64
                && self.read_topic().different() >= events
        })
        .await;
    }

    /// How many records the topic has, whatever they are.
    pub fn records(&self) -> i64 {
        self.end_offsets().values().sum()
    }

    pub async fn wait_until_records(&self, records: i64) {
        until(&format!("{records} records on the topic"), async || {
            self.records() >= records
        })
        .await;
    }

    fn end_offsets(&self) -> BTreeMap<i32, i64> {
        let consumer = self.consumer();
        (0..PARTITIONS)
            .map(|partition| {
                // A topic that was just made is not known everywhere at once.
                let deadline = Instant::now() + PATIENCE;
                loop {
                    match consumer.fetch_watermarks(&self.topic(), partition, PATIENCE) {
                        Ok((_, end)) => return (partition, end),
                        Err(e) => assert!(Instant::now() < deadline, "{e}"),
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
            .collect()
    }

    fn consumer(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.stack.kafka_bootstrap)
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    /// The whole topic, up to where it ends now.
    pub fn read_topic(&self) -> Log {
        let ends = self.end_offsets();
        let consumer = self.consumer();
        let mut assignment = TopicPartitionList::new();
        for partition in ends.keys() {
            assignment
                .add_partition_offset(&self.topic(), *partition, Offset::Offset(0))
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut left: i64 = ends.values().sum();
        let mut records = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while left > 0 {
            assert!(Instant::now() < deadline, "{left} records cannot be read");
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message.unwrap();
            let headers = message.headers().unwrap();
            let payload: serde_json::Value =
                serde_json::from_slice(message.payload().unwrap()).unwrap();
            records.push(Record {
                key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
                order: payload["order"].as_u64().unwrap(),
                version: payload["version"].as_u64().unwrap(),
                id: payload["id"].as_str().unwrap().to_owned(),
                offset: message.offset(),
                bytes: message.key_len()
                    + message.payload_len()
                    + headers
                        .iter()
                        .map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len))
                        .sum::<usize>(),
                headers: headers
                    .iter()
                    .map(|h| {
                        let value = String::from_utf8(h.value.unwrap().to_vec()).unwrap();
                        (h.key.to_owned(), value)
                    })
                    .collect(),
            });
            left -= 1;
        }
        Log(records)
    }

    /// What the referee is told that the source still holds.
    pub async fn pending(&self) -> Vec<String> {
        let admin = &self.admin;
        let mut pending = Vec::new();
        let mut keep = |payload: &str| pending.push(payload.to_owned());
        let (slot, publication) = (
            format!("{}_slot", self.schema),
            format!("{}_pub", self.schema),
        );
        let count = match self.kind {
            Kind::Delete => {
                pending::in_outbox(admin, &self.schema, AfterPublish::Delete, keep).await
            }
            Kind::Mark | Kind::Purge | Kind::Partitions | Kind::Rotate => {
                pending::in_outbox(admin, &self.schema, AfterPublish::Mark, keep).await
            }
            Kind::Position => pending::behind_position(admin, &self.schema, keep).await,
            Kind::Cdc => pending::in_slot(admin, &slot, &publication, |_, p| keep(p)).await,
            Kind::Message => {
                let prefix = &self.schema;
                pending::messages_in_slot(admin, &slot, &publication, prefix, |_, p| keep(p)).await
            }
        };
        assert_eq!(count.unwrap(), pending.len() as u64);
        pending
    }

    pub fn config(&self) -> RelayConfig {
        let every_ms = |usual_ms| match self.keeps_house_once {
            true => 3_600_000,
            false => usual_ms,
        };
        let polling = |after_publish, housekeeping| SourceConfig::Polling {
            after_publish,
            housekeeping,
            interval_ms: self.poll_interval.as_millis() as u64,
            batch: 500,
            notify: self.notify,
        };
        let logged = |logged| SourceConfig::Cdc {
            slot: format!("{}_slot", self.schema),
            publication: format!("{}_pub", self.schema),
            logged,
        };
        RelayConfig {
            database: DatabaseTarget::Postgres(self.postgres.clone()),
            broker: BrokerTarget::Kafka(KafkaTarget {
                bootstrap: self.bootstrap.clone(),
                topic: self.topic(),
                linger_ms: 0.0,
                acks: Default::default(),
            }),
            source: match self.kind {
                Kind::Delete => polling(AfterPublish::Delete, Housekeeping::None),
                Kind::Mark => polling(AfterPublish::Mark, Housekeeping::None),
                Kind::Purge => polling(
                    AfterPublish::Mark,
                    Housekeeping::Purge {
                        every_ms: every_ms(50),
                    },
                ),
                Kind::Partitions => polling(
                    AfterPublish::Mark,
                    Housekeeping::Partitions {
                        period_ms: every_ms(PERIOD_MS),
                    },
                ),
                Kind::Rotate => polling(
                    AfterPublish::Mark,
                    Housekeeping::Rotate {
                        period_ms: every_ms(PERIOD_MS),
                        tables: 3,
                    },
                ),
                Kind::Position => SourceConfig::Position {
                    interval_ms: self.poll_interval.as_millis() as u64,
                    batch: 500,
                },
                Kind::Cdc => logged(Logged::Row),
                Kind::Message => logged(Logged::Message),
            },
            cache: self.cache.clone().map(|target| RelayCache {
                target,
                fill: CacheFill::Newer,
            }),
            synchronous_commit: CommitMode::default(),
            one_of_several: self.one_of_several,
            trace: Some(self.traces.target()),
        }
    }
}

/// An open transaction.
pub struct Held(PgConnection);

impl Held {
    /// Inserts one more event into it.
    pub async fn insert(&mut self, fixture: &Fixture, order: u32, version: u32) {
        let insertion = fixture.insertion(&order.to_string(), &version.to_string());
        sqlx::raw_sql(AssertSqlSafe(insertion))
            .execute(&mut self.0)
            .await
            .unwrap();
    }

    pub async fn commit(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
    }
}
