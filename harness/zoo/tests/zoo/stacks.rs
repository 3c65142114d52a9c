//! A stack for each run that may be under way, started when first asked for.

use super::LANES;
use super::bench::ZOO;
use super::turn::Turn;
use harness::process::reaper::Reaper;
use harness::scenario::Server;
use harness::stack::data_folder::DataFolder;
use harness::stack::{
    BRIEF_WARM_UP, Jit, Provider, ServerSettings, Stack, StackInfo, cache_is_installed,
    is_installed,
};
use relays::config::{BrokerKind, DatabaseKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Statics are never dropped, so a stack's reaper ends it with the test program.
struct Shared {
    stack: Stack,
    _reaper: Arc<Reaper>,
    folder: DataFolder,
}

/// The stack of this turn.
pub fn of(turn: &Turn) -> &'static StackInfo {
    shared(turn.lane).stack.info()
}

/// The folder of the topics' segments of the stack of this lane.
pub fn kafka_log(lane: usize) -> PathBuf {
    shared(lane).folder.path().join("data/kafka/log")
}

fn shared(lane: usize) -> &'static Shared {
    static STACKS: [OnceLock<Shared>; LANES] = [const { OnceLock::new() }; LANES];
    STACKS[lane].get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let shared = runtime.block_on(start(lane));
        // Its servers are watched by threads of their own; its clients are not, so the runtime stays.
        std::mem::forget(runtime);
        shared
    })
}

/// Where the install script put the servers.
pub fn programs() -> PathBuf {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.stack");
    stack.canonicalize().expect("`make test` installs .stack")
}

/// Whether the stacks have a Redis.
pub fn has_cache() -> bool {
    cache_is_installed(&programs())
}

/// Whether the stacks that runs share have both: those know Kafka and PostgreSQL alone.
pub fn has(broker: BrokerKind, database: DatabaseKind) -> bool {
    broker == BrokerKind::Kafka && database == DatabaseKind::Postgres
}

/// Returns which of both cannot be in any stack here.
pub fn lacks(broker: BrokerKind, database: DatabaseKind) -> Option<Server> {
    let broker = match broker {
        BrokerKind::Kafka => Server::KAFKA,
        BrokerKind::RabbitMq => Server::RABBITMQ,
        BrokerKind::Nats => Server::NATS,
        BrokerKind::EventBridge => Server::EVENTBRIDGE,
    };
    let servers = [broker, Server::Database(database)];
    servers
        .into_iter()
        .find(|server| !is_installed(*server, &programs()))
}

async fn start(lane: usize) -> Shared {
    let reaper = Arc::new(Reaper::start_with(Path::new(ZOO)).unwrap());
    let name = format!("outbox-harness-zoo-{}-{lane}", std::process::id());
    let folder = DataFolder::make(&std::env::temp_dir().join(name), None, &reaper).unwrap();
    let programs = programs();
    let provider = Provider::Local {
        data: folder.path().join("data"),
        logs: folder.path().join("logs"),
        programs: programs.clone(),
        jit: Jit::C1,
        settings: ServerSettings::usual(&programs),
    };
    let stack = Stack::start(provider, &reaper).await.unwrap();
    let topic = format!("oh.{}.warm-up", harness::identity::RunKey::random().run);
    stack.warm_up(&topic, BRIEF_WARM_UP).await.unwrap();
    Shared {
        stack,
        _reaper: reaper,
        folder,
    }
}
