//! Somebody's stack: a stack for each lane, which the runs of that lane share as runs of different people do.

use crate::LANES;
use crate::patience::PATIENCE;
use crate::programs;
use crate::turn::Turn;
use harness::database::postgres::fence;
use harness::process::reaper::Reaper;
use harness::stack::data_folder::DataFolder;
use harness::stack::external::stack_file;
use harness::stack::{Jit, Provider, ServerSettings, Stack, StackInfo};
use harness::toxiproxy::ToxiproxyClient;
use relays::config::BrokerKind;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Statics are never dropped, so its reaper ends it with the test program.
pub struct Theirs {
    /// The stack file.
    pub file: PathBuf,
    pub stack: Stack,
    _reaper: Arc<Reaper>,
    _folder: DataFolder,
}

impl Theirs {
    /// What a command that runs on it ends with.
    pub fn arguments(&self) -> [&OsStr; 4] {
        let file = self.file.as_os_str();
        let [stack, external, named] = ["--stack", "external", "--external"].map(OsStr::new);
        [stack, external, named, file]
    }
}

/// The stack of the lane that this turn has, started when first asked for.
pub fn theirs(turn: &Turn) -> &'static Theirs {
    static THEIRS: [OnceLock<Theirs>; LANES] = [const { OnceLock::new() }; LANES];
    THEIRS[turn.lane].get_or_init(|| {
        // A test may be in a runtime of its own already.
        let started = std::thread::scope(|scope| {
            let start = scope.spawn(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let theirs = runtime.block_on(start(turn.lane));
                std::mem::forget(runtime);
                theirs
            });
            start.join()
        });
        started.unwrap()
    })
}

async fn start(lane: usize) -> Theirs {
    let program = Path::new(env!("CARGO_BIN_EXE_outbox-harness"));
    let reaper = Arc::new(Reaper::start_with(program).unwrap());
    let name = format!("outbox-harness-theirs-{}-{lane}", std::process::id());
    let folder = DataFolder::make(&std::env::temp_dir().join(name), None, &reaper).unwrap();
    let provider = Provider::Local {
        data: folder.path().join("data"),
        logs: folder.path().join("logs"),
        programs: programs(),
        jit: Jit::C1,
        settings: ServerSettings::usual(&programs()),
    };
    let stack = Stack::start(provider, &reaper).await.unwrap();
    let file = folder.path().join("external.toml");
    std::fs::write(&file, stack_file(stack.info())).unwrap();
    Theirs {
        file,
        stack,
        _reaper: reaper,
        _folder: folder,
    }
}

/// Schemas, databases, roles, slots, prepared transactions, topics and proxies on a stack, sorted.
pub async fn inventory(info: &StackInfo) -> Vec<String> {
    let mut connection = fence::connect(&info.postgres, Instant::now() + PATIENCE)
        .await
        .unwrap();
    let sql = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'oh\\_%' \
               UNION ALL SELECT datname::text FROM pg_database \
               UNION ALL SELECT rolname::text FROM pg_roles \
               UNION ALL SELECT slot_name::text FROM pg_replication_slots \
               UNION ALL SELECT gid::text FROM pg_prepared_xacts";
    let mut all: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let topics = info
        .broker(BrokerKind::Kafka)
        .unwrap()
        .topics()
        .await
        .unwrap();
    // Kafka makes its own when a consumer first asks.
    all.extend(topics.into_iter().filter(|name| !name.starts_with("__")));
    let toxiproxy = ToxiproxyClient::new(&info.toxiproxy_url).unwrap();
    let proxies = toxiproxy.list().await.unwrap();
    all.extend(proxies.into_iter().map(|p| format!("{p:?}")));
    all.sort();
    all
}
