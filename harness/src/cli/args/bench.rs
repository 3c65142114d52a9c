//! Arguments of `bench`.

use super::run::StackName;
use crate::bench::systems::Systems;
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use relays::config::{BrokerKind, DatabaseKind};
use std::path::PathBuf;

pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  outbox-harness bench drain
  outbox-harness bench drain --strategy cdc --events 20000 --repetitions 3
  outbox-harness bench drain --broker rabbitmq
  outbox-harness bench latency --rate 1000 --json latency.json
  outbox-harness bench latency --rate 1000 --database mariadb
  outbox-harness bench capacity --strategy cdc
  outbox-harness bench orders --connections 8,32

Ctrl-C ends it early: the rows that were measured by then are shown and written, marked CUT SHORT.

Exit code: 0 every figure was taken and its work was checked; 1 some work was done wrongly; 2 usage;
3 some figures could not be taken, or interrupted; 4 the stack failed.";

/// `bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct BenchArgs {
    /// Which benchmark.
    #[command(subcommand)]
    pub kind: BenchKind,
}

/// Which benchmark.
#[derive(Debug, Subcommand)]
pub enum BenchKind {
    /// How fast a backlog is on the topic, next to pg_recvlogical, the bare SQL claims and Debezium
    ///
    /// For polling (delete, mark) and CDC (TCP, Unix socket, proxied), with CPU time and peak memory
    /// of the relay. Every event is checked. About twelve minutes as it is;
    /// --events 20000 --repetitions 3 gives a first look. With --broker or --database: polling and CDC
    /// next to publishing alone, and of MariaDB next to reading alone.
    Drain(DrainArgs),
    /// End to end latency and propagation at fixed rates
    ///
    /// For polling, CDC, Debezium and a dual write, by ordinary runs, judged like any other. About a
    /// quarter of an hour as it is. With --broker or --database, next to publishing alone.
    Latency(LatencyArgs),
    /// The highest rate with a bounded backlog, and what saturated
    ///
    /// A bracketed search of ordinary runs; it says NOT A MAXIMUM when it found no bracket. Its first
    /// round takes about ten minutes, the others, which begin where it ended, about half of that.
    Capacity(CapacityArgs),
    /// The order path, HTTP included, next to pgbench with the same SQL
    ///
    /// Closed loop, as many connections on both sides. About three minutes as it is.
    Orders(OrdersArgs),
}

/// The broker of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BrokerName {
    /// Kafka
    Kafka,
    /// RabbitMQ, with publisher confirms and mandatory returns, into a classic queue
    Rabbitmq,
    /// NATS JetStream, with the acknowledgements of a stream in a file
    Nats,
}

/// The database of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseName(DatabaseKind);

/// Each of them.
const DATABASES: [DatabaseName; DatabaseKind::ALL.len()] = {
    let mut all = [DatabaseName(DatabaseKind::USUAL); DatabaseKind::ALL.len()];
    let mut n = 0;
    while n < all.len() {
        all[n] = DatabaseName(DatabaseKind::ALL[n]);
        n += 1;
    }
    all
};

impl ValueEnum for DatabaseName {
    fn value_variants<'a>() -> &'a [Self] {
        &DATABASES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.title()))
    }
}

/// Between which systems the relays of a benchmark stand.
#[derive(Debug, Args)]
pub struct BenchSystems {
    /// Where events go. Another one than Kafka has rows of its own, next to publishing alone
    #[arg(long, value_enum, default_value_t = BrokerName::Kafka)]
    pub broker: BrokerName,
    /// Where the outbox is. MariaDB has rows of its own, next to reading alone and publishing alone
    #[arg(long, value_enum, default_value_t = DatabaseName(DatabaseKind::USUAL))]
    pub database: DatabaseName,
}

impl BenchSystems {
    /// Returns them as benchmarks name them.
    pub fn named(&self) -> Systems {
        Systems {
            database: self.database.0,
            broker: match self.broker {
                BrokerName::Kafka => BrokerKind::Kafka,
                BrokerName::Rabbitmq => BrokerKind::RabbitMq,
                BrokerName::Nats => BrokerKind::Nats,
            },
        }
    }
}

/// What all benchmarks take.
#[derive(Debug, Args)]
pub struct BenchShared {
    /// Folder in which the benchmark makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Also write the record to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where PostgreSQL, Kafka and Toxiproxy come from
    #[arg(long, value_enum, default_value_t = StackName::Local)]
    pub stack: StackName,
    /// Description of the running stack, for `--stack external`
    #[arg(long, value_name = "FILE", default_value = "external.toml")]
    pub external: PathBuf,
    /// Folder of the stack that `stack up` keeps, for `--stack kept` [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub kept: Option<PathBuf>,
    /// Folder with Kafka's jars, Toxiproxy and Debezium [default: as for `run`]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

/// `bench drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Between which systems
    #[command(flatten)]
    pub systems: BenchSystems,
    /// Events of the backlog, one a transaction
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub events: u32,
    /// Rows a claim of the polling relay
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub batch: u32,
    /// Only rows whose name begins like this, with their limits (polling, cdc, cdc-tcp, debezium, ...)
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// What all benchmarks take
    #[command(flatten)]
    pub shared: BenchShared,
}

/// `bench latency`.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// Between which systems
    #[command(flatten)]
    pub systems: BenchSystems,
    /// Changes a second; several, separated by commas
    #[arg(long = "rate", value_name = "RATE", value_delimiter = ',', default_values_t = [100.0, 1000.0, 5000.0])]
    pub rates: Vec<f64>,
    /// Measured time of each load, seconds
    #[arg(long, value_name = "S", default_value_t = 3)]
    pub seconds: u32,
    /// Load before that, which does not count, seconds: a JVM has to be warm
    #[arg(long, value_name = "S", default_value_t = 3)]
    pub warm_up: u32,
    /// Only this strategy (polling, polling-notify, cdc, debezium, dual-write)
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// What all benchmarks take
    #[command(flatten)]
    pub shared: BenchShared,
}

/// `bench capacity`.
#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Where the search begins, changes a second
    #[arg(long, value_name = "RATE", default_value_t = 1000.0)]
    pub rate: f64,
    /// Where it ends, changes a second
    #[arg(long, value_name = "RATE", default_value_t = 64_000.0)]
    pub ceiling: f64,
    /// Length of each probe's load, seconds
    #[arg(long, value_name = "S", default_value_t = 6)]
    pub seconds: u32,
    /// Only this strategy (polling, polling-notify, cdc, debezium, dual-write)
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Rounds, a whole search a strategy in each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// What all benchmarks take
    #[command(flatten)]
    pub shared: BenchShared,
}

/// `bench orders`.
#[derive(Debug, Args)]
pub struct OrdersArgs {
    /// Connections, a table each; several, separated by commas
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [8, 32])]
    pub connections: Vec<u32>,
    /// Measured time of each row, seconds
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub seconds: u32,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// What all benchmarks take
    #[command(flatten)]
    pub shared: BenchShared,
}
