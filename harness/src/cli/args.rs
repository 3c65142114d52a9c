//! What can be written on the command line.

use super::selection::Shard;
use crate::scenario::explain;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  outbox-harness explain runs/relay-crash-20261124T101500Z
  outbox-harness explain runs/relay-crash-20261124T101500Z --strategy cdc
  outbox-harness explain runs/relay-crash-20261124T101500Z --order 00000000-002a-8b1e-9d02-51f00c0a6b10

Times are seconds since the load began. What the order service and the relay wrote of an event's way
is shown as they wrote it; no verdict rests on it. Every offending event is also in the run's
offences.jsonl.

Exit code: 0 explained; 2 no folder of a run, or nothing known of the order or the strategy; 4 the
history is damaged.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  outbox-harness replay runs/broker-outage-20261123T101500Z
  outbox-harness replay runs/broker-outage-20261123T101500Z --seconds 60
  outbox-harness replay runs/broker-outage-20261123T101500Z --open

Keys: space stops it, and lets it go on; the arrows go a tenth back and forth; q ends it; ? explains.

Exit code: 0 it was played, or told in lines; 2 no folder of a run; 3 its history was changed after the run;
4 its history is damaged.";

const SERVICE_CHECK_EXAMPLES: &str = "\
Examples:
  outbox-harness service-check http://127.0.0.1:8080
  outbox-harness service-check http://127.0.0.1:8080 --json

Exit code: 0 every rule is kept; 1 one is broken; 2 the URL is wrong; 3 none is broken, and one could not
be tried; 4 the service cannot be reached.";

const DEMO_EXAMPLES: &str = "\
Examples:
  outbox-harness demo
  outbox-harness demo --script
  outbox-harness demo --web
  outbox-harness demo --script --record demo.cast

Exit code: 0 the demo showed what it should; 1 an outbox lost something, or the script's dual write nothing;
3 unknown (nothing was proved, or interrupted); 4 the stack failed.";

const STACK_EXAMPLES: &str = "\
Examples:
  outbox-harness stack up
  outbox-harness run --stack kept scenarios/broker-outage.toml
  outbox-harness stack status --json
  outbox-harness stack down

Scenarios that kill, restart or pause a server, or have a [stack] of their own, need --stack local.

Exit code: 0 it is up (up, status), or gone (down); 2 usage; 3 it is not up (status); 4 it could not be started or
stopped, or does not answer.";

const CLAIMS_EXAMPLES: &str = "\
Examples:
  outbox-harness claims
  outbox-harness run $(outbox-harness claims) --repeat 3 --json records.json
  outbox-harness claims records.json --page docs/claims.md

Exit code: 0 every claim holds in each of its runs; 1 one is broken in a run; 2 usage; 3 of one nothing can be said.";

const EXAMPLES: &str = "\
Examples:
  outbox-harness demo
  outbox-harness init first.toml
  outbox-harness run scenarios/broker-outage.toml
  outbox-harness run scenarios --junit junit.xml --json results.json
  outbox-harness run scenarios --shard 1/3 --fail-fast
  outbox-harness run scenarios/phantom.toml --open
  outbox-harness run scenarios/broker-outage.toml --watch
  outbox-harness run scenarios/relay-crash.toml --until-fail --repeat 50
  outbox-harness run scenarios/steady.toml --strategy cdc --keep-stack
  outbox-harness run scenarios/steady.toml --stack external --external external.toml
  outbox-harness check runs/broker-outage-20261123T101500Z
  outbox-harness explain runs/broker-outage-20261123T101500Z --strategy naive
  outbox-harness replay runs/broker-outage-20261123T101500Z
  outbox-harness list
  outbox-harness schema scenario

Exit code: 0 every expectation met; 1 an expectation missed; 2 usage or a scenario file is wrong;
3 unknown (nothing was proved, or interrupted); 4 the stack failed. Of several scenarios the worst
counts: 4, then 1, then 3.";

const BENCH_EXAMPLES: &str = "\
Examples:
  outbox-harness bench drain
  outbox-harness bench drain --strategy cdc --events 20000 --repetitions 3
  outbox-harness bench latency --rate 1000 --json latency.json
  outbox-harness bench capacity --strategy cdc
  outbox-harness bench orders --connections 8,32

Ctrl-C ends it early: the rows that were measured by then are shown and written, marked CUT SHORT.

Exit code: 0 every figure was taken and its work was checked; 1 some work was done wrongly; 2 usage;
3 some figures could not be taken, or interrupted; 4 the stack failed.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  outbox-harness compare runs/base runs/new
  outbox-harness compare runs/base runs/new --max-regression 10% --markdown compare.md
  outbox-harness compare base new --max-regression 10% --confirm base2 new2
  outbox-harness compare --scenario scenarios/steady.toml --strategies cdc,polling
  outbox-harness compare --scenario scenarios/broker-outage.toml --strategies polling,cdc --runs 12 --metrics recovery,end_to_end_p50

How to read it, and what an alarm and a pass are worth: docs/comparing.md.

Exit code: 0 compared, and nothing got worse that must not; 1 something did: a figure by more than --max-regression, and
a second set of pairs shows it by itself, or NEW lost, duplicated or reordered what it must not; 2 usage, or runs
that are not alike; 3 nothing can be told, or an alarm is not confirmed; 4 the stack failed.";

/// Fault-injection tests and benchmarks for transactional outboxes, on a real PostgreSQL and a real Kafka.
#[derive(Debug, Parser)]
#[command(name = "outbox-harness", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios, judge them, and write record and reports
    ///
    /// Each scenario runs its strategies one after the other: load, faults, heal, fence, drain,
    /// final reads, verdict. Results go to standard output, progress to standard error. All files
    /// are checked before anything starts.
    Run(RunArgs),
    /// Show a dual write losing events beside two outboxes that keep them, in under a minute
    ///
    /// Three strategies run at the same time under the same load, each in a lane of its own. In a terminal
    /// single keys break things for all of them: cut the broker, kill the relay. Elsewhere, and with
    /// --script, it plays by itself. It ends with what was committed against what was seen, and with the
    /// story of one lost order. Its figures are for show: the lanes take each other's time.
    Demo(DemoArgs),
    /// A local stack between runs: start it, stop it, look at it
    ///
    /// A run on it (`run --stack kept`) has no server to start, and begins its load within one to three seconds. One
    /// run at a time uses it.
    Stack(StackArgs),
    /// Write a scenario to begin with, which runs as it stands
    ///
    /// With `--strategy external` the template of a relay in Python is written beside it.
    Init(InitArgs),
    /// The verdict of a run again, from its saved history alone
    Check(Folder),
    /// The reports of a run again, from its record alone; of a folder with runs, an index of them
    ///
    /// With `--charts DIR` each chart of the run as a picture and as a table of its figures, and nothing else.
    Report(ReportArgs),
    /// What happened to the offending events of a run, or to one order, step by step
    ///
    /// Without --order: the first five of each kind, each with one sentence and a timeline across all
    /// processes. With it: the timeline of that order, whatever happened to it.
    Explain(ExplainArgs),
    /// A finished run once more, as a live view in 20 seconds
    ///
    /// From its saved history, in the view of the demo: what each strategy had committed, seen and lost at every
    /// moment, and what was broken. It ends with what was committed against what has an event, and with the story
    /// of one lost order. Off a terminal it is told in plain lines, at once.
    Replay(ReplayArgs),
    /// Measure strategies next to the limits and peers of the same minutes
    ///
    /// Rounds are interleaved: each row is measured once a round. The table on standard output has
    /// medians with the smallest and largest; a folder gets bench.json and bench.html. Figures of
    /// work that was not done right are left out.
    Bench(BenchArgs),
    /// Compare runs of one scenario with others: better, worse, or how small a difference could not be told
    ///
    /// BASE and NEW are saved runs: a record.json, the folder of a run, or a folder of such folders; their runs are
    /// paired in the order in which they were made. With --scenario the strategies of a file are run here, in rounds,
    /// and each is compared with the first.
    Compare(CompareArgs),
    /// What is said of the outbox, and what came of it when it was tried
    ///
    /// Without RECORDS: the scenarios that try the claims, for `run`. With them: the claims as a page, each with the
    /// verdict and the figures of these runs. `make claims` does both.
    Claims(ClaimsArgs),
    /// Whether an order service of yours keeps the contract of a run, rule by rule
    ///
    /// For a service that takes the place of the project's own (`[service]`, docs/your-service.md), started by
    /// hand. Each rule of docs/order-service.openapi.json that it breaks is named, with what it does instead
    /// and the remedy. It gets orders of this check's own: give it a database without value.
    ServiceCheck(ServiceCheckArgs),
    /// List scenarios, strategies, faults and invariants, each with a line of explanation and an example
    List(ListArgs),
    /// The JSON Schema of scenario files, of relays' files or of record.json, on standard output
    ///
    /// docs/schema in the repository has the same files. Editors with Taplo (Even Better TOML) take a scenario's from
    /// a first line such as `#:schema ../docs/schema/scenario.json`.
    Schema(SchemaArgs),
    /// Completions for a shell, on standard output
    Completions(CompletionsArgs),
    /// The manual's page, on standard output: `outbox-harness man | man -l -`
    Man,
    /// The order service of the system under test (started by `run`)
    #[command(hide = true)]
    OrderService(ChildArgs),
    /// The relay of the system under test (started by `run`)
    #[command(hide = true)]
    Relay(ChildArgs),
    /// The recoverer of two-phase commits of the system under test (started by `run`)
    #[command(hide = true)]
    Recoverer(ChildArgs),
    /// A consumer of the system under test (started by `run`)
    #[command(hide = true)]
    Consumer(ChildArgs),
    /// Keeps the servers of a stack (started by `stack up`)
    #[command(hide = true)]
    StackKeeper(KeeperArgs),
    /// Ends what `run` leaves behind when it is killed (started by `run`)
    #[command(hide = true)]
    Reaper,
}

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Scenario files (TOML), folders with them, or patterns such as 'scenarios/relay-*.toml'; they run one
    /// after the other
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Run only the strategy of this name
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Only say which scenarios would be run, and about how long they take
    #[arg(long)]
    pub list: bool,
    /// Only one part of the scenarios, such as 2/5, the second of five that take about as long as each other
    #[arg(long, value_name = "PART")]
    pub shard: Option<Shard>,
    /// Run all of them this often
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_ROUNDS))]
    pub repeat: Option<u32>,
    /// Run all of them again until one is not a pass, --repeat times at most [default: 1000]
    #[arg(long, conflicts_with = "fail_fast")]
    pub until_fail: bool,
    /// Run no more after the first scenario that is not a pass
    #[arg(long)]
    pub fail_fast: bool,
    /// Folder in which each run makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Also write the results of all scenarios as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write the record to this file (a list of records when there are several scenarios)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where PostgreSQL, Kafka and Toxiproxy come from
    #[arg(long, value_enum, default_value_t = StackName::Local)]
    pub stack: StackName,
    /// Description of the running stack, for `--stack external`
    #[arg(long, value_name = "FILE", default_value = "external.toml")]
    pub external: PathBuf,
    /// Show each run as it goes on, in the live view of the demo, strategy after strategy
    ///
    /// What each strategy has committed, seen and lost so far, what is broken, and where each expectation stands. q (or
    /// Ctrl-C) interrupts the run in order, ? explains, and no key breaks anything. The run is the same as without: its
    /// strategies run one after the other, and no verdict rests on what is shown. It costs a little of one core (docs/reading.md
    /// says how much): it is drawn ten times a second, and what is committed is looked up in the database, at least two seconds
    /// apart, and seldom where the table is large. Where standard input or output is no terminal, progress is shown in plain lines.
    #[arg(long)]
    pub watch: bool,
    /// Then show the report in a browser: what BROWSER names, else xdg-open or open; of several runs that of the first
    /// that is not a pass, else of the last
    #[arg(long)]
    pub open: bool,
    /// Folder of the stack that `stack up` keeps, for `--stack kept` [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub kept: Option<PathBuf>,
    /// Leave the stack, each strategy's schema and its topic, and say how to connect and how to stop it
    #[arg(long)]
    pub keep_stack: bool,
    /// Do not record each event's way through order service and relay; `explain` then knows less
    #[arg(long, hide = true)]
    pub no_trace: bool,
    /// Folder with Kafka's jars, Toxiproxy and Debezium, as stack/install.sh makes it [default: `.stack` in this folder
    /// or one above it, else in the checkout that this program was built from]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

/// `demo`.
#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct DemoArgs {
    /// Play it by itself, in plain lines; so it is where standard output is no terminal
    #[arg(long)]
    pub script: bool,
    /// Show it as a page too, with the same keys, at an address that is printed once
    ///
    /// It is served to this machine alone (127.0.0.1, a port of its own), and only to whoever has the address, which
    /// has a token in it. `?projector` at its end, or the key v, makes everything large. When the run has ended, the
    /// page stays: the last state and what came of it, until Ctrl-C here or q there, for an hour at most.
    /// The exit code is that of the run all the same.
    #[arg(long)]
    pub web: bool,
    /// Record what the terminal shows into this file, as an asciicast (version 2; asciinema plays it)
    ///
    /// It is the view of a large terminal, 120 by 40, whatever terminal there is, and the story of the end. A file that is
    /// there is overwritten; 16 MiB are the most that is written.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Then show the run's report in a browser, as for `run`
    #[arg(long)]
    pub open: bool,
    /// Folder in which the run makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Where PostgreSQL, Kafka and Toxiproxy come from
    #[arg(long, value_enum, default_value_t = DemoStack::Local)]
    pub stack: DemoStack,
    /// Folder of the stack that `stack up` keeps, for `--stack kept` [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub kept: Option<PathBuf>,
    /// Folder with Kafka's jars and Toxiproxy [default: as for `run`]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

/// A stack that a demo can be played on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoStack {
    /// Started for the demo, and stopped after it
    Local,
    /// The one that `outbox-harness stack up` started
    Kept,
}

/// `claims`.
#[derive(Debug, Args)]
#[command(after_help = CLAIMS_EXAMPLES)]
pub struct ClaimsArgs {
    /// What `run --json` wrote of the runs
    #[arg(value_name = "RECORDS")]
    pub records: Option<PathBuf>,
    /// File of the claims
    #[arg(long, value_name = "FILE", default_value = "docs/claims.toml")]
    pub claims: PathBuf,
    /// Folder of the scenarios
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    pub scenarios: PathBuf,
    /// Write the page into this file instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// The way from the page to the folder of the scenarios, for its links
    #[arg(long, value_name = "PATH", default_value = "../scenarios")]
    pub link: String,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The scenario file to write
    #[arg(value_name = "FILE", default_value = "first.toml")]
    pub file: PathBuf,
    /// Its strategies, separated by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_values = ["dual-write", "polling", "cdc"], value_parser = explain::STRATEGIES.map(|(kind, _)| kind))]
    pub strategy: Vec<String>,
}

/// Rounds that one command runs at most.
const MOST_ROUNDS: i64 = 1000;

impl RunArgs {
    /// How often all scenarios are run at most.
    pub fn rounds(&self) -> u32 {
        match self.repeat {
            Some(rounds) => rounds,
            None if self.until_fail => MOST_ROUNDS as u32,
            None => 1,
        }
    }
}

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
    /// --events 20000 --repetitions 3 gives a first look.
    Drain(DrainArgs),
    /// End to end latency and propagation at fixed rates
    ///
    /// For polling, CDC, Debezium and a dual write, by ordinary runs, judged like any other. About a
    /// quarter of an hour as it is.
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

/// A stack as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StackName {
    /// Started for each scenario as child processes on free ports, and stopped after it
    Local,
    /// The containers of docker-compose.yml, which you start: use `external`
    Docker,
    /// A running one, described by a file (see --external)
    External,
    /// The one that `outbox-harness stack up` started
    Kept,
}

/// `stack`.
#[derive(Debug, Args)]
#[command(after_help = STACK_EXAMPLES)]
pub struct StackArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub what: StackCommand,
}

/// What to do with a kept stack.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Start PostgreSQL, Kafka and Toxiproxy, warm them, and leave them running
    ///
    /// They run on free ports, without a terminal, until `stack down`, the machine's end, or until one of them ends by
    /// itself. A stack that is up already is left as it is.
    #[command(after_help = STACK_EXAMPLES)]
    Up(StackUpArgs),
    /// Stop them, and remove their data
    ///
    /// Not while a run uses them. A `run` of several scenarios gives them back after each: between two of them, this
    /// stops them all the same, and the next scenario finds none. The servers' logs stay until the next `stack up`.
    #[command(after_help = STACK_EXAMPLES)]
    Down(StackDownArgs),
    /// Servers, versions, addresses, since when, who uses them, and their memory
    #[command(after_help = STACK_EXAMPLES)]
    Status(StackStatusArgs),
}

/// Where a stack is kept.
#[derive(Debug, Args)]
pub struct KeptAt {
    /// Folder in which the stack is kept [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub at: Option<PathBuf>,
    /// Folder with Kafka's jars and Toxiproxy [default: as for `run`]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

/// `stack up`.
#[derive(Debug, Args)]
pub struct StackUpArgs {
    /// Where.
    #[command(flatten)]
    pub place: KeptAt,
}

/// `stack down`.
#[derive(Debug, Args)]
pub struct StackDownArgs {
    /// Also while a run uses it, which then fails
    #[arg(long)]
    pub force: bool,
    /// Where.
    #[command(flatten)]
    pub place: KeptAt,
}

/// `stack status`.
#[derive(Debug, Args)]
pub struct StackStatusArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub place: KeptAt,
}

/// `stack-keeper`.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    /// Folder in which the stack is kept
    #[arg(long, value_name = "DIR")]
    pub at: PathBuf,
    /// Folder with Kafka's jars and Toxiproxy
    #[arg(long, value_name = "DIR")]
    pub programs: PathBuf,
}

/// The folder of one run.
#[derive(Debug, Args)]
pub struct Folder {
    /// Folder of one run, such as runs/steady-20261123-101500
    #[arg(value_name = "RUN_DIR")]
    pub folder: PathBuf,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run, or the folder with runs
    #[command(flatten)]
    pub of: Folder,
    /// Write every chart of the run into this folder instead, as SVG and as CSV
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
    /// Then show the page in a browser, as for `run`
    #[arg(long, conflicts_with = "charts")]
    pub open: bool,
}

/// `replay`.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct ReplayArgs {
    /// The run
    #[command(flatten)]
    pub of: Folder,
    /// So many seconds it takes, however long the run took
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Then show the run's report in a browser, as for `run`
    #[arg(long)]
    pub open: bool,
}

/// `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// Folder of one run, such as runs/steady-20261123T101500Z
    #[arg(value_name = "RUN_DIR")]
    pub folder: PathBuf,
    /// Only this order: its id, or its number in the history, where each strategy has one of its own
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// Only the strategy of this name
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
}

/// `service-check`.
#[derive(Debug, Args)]
#[command(after_help = SERVICE_CHECK_EXAMPLES)]
pub struct ServiceCheckArgs {
    /// Where it listens, such as http://127.0.0.1:8080
    #[arg(value_name = "URL")]
    pub url: String,
    /// Print the findings as JSON, once all of them are there
    #[arg(long)]
    pub json: bool,
}

/// `compare`.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// Runs to compare with
    #[arg(
        value_name = "BASE",
        required_unless_present = "scenario",
        requires = "new"
    )]
    pub base: Option<PathBuf>,
    /// Runs that may have become better or worse
    #[arg(value_name = "NEW")]
    pub new: Option<PathBuf>,
    /// A second set of both, which an alarm of the first one has to be in as well
    #[arg(long, num_args = 2, value_names = ["BASE", "NEW"], conflicts_with = "scenario")]
    pub confirm: Vec<PathBuf>,
    /// Run the strategies of this scenario file in rounds, and compare them
    #[arg(long, value_name = "FILE", conflicts_with = "base")]
    pub scenario: Option<PathBuf>,
    /// Rounds; after an alarm as many again
    #[arg(long, value_name = "N", conflicts_with = "base", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub runs: u32,
    /// Its strategies, separated by commas; each is compared with the first [default: all, in the file's order]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "base"
    )]
    pub strategies: Vec<String>,
    /// Run the first strategy twice a round, to see how much equal runs differ
    #[arg(long, value_name = "BOOL", conflicts_with = "base", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub noise_floor: bool,
    /// Exit code 1 if a figure is worse by more than this, such as 10%, and a second set of pairs shows it too
    #[arg(long, value_name = "SHARE")]
    pub max_regression: Option<Regression>,
    /// Only these figures, separated by commas: fewer need fewer rounds
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Compare runs of unlike scenarios, stacks or machines, and say so on top
    #[arg(long, conflicts_with = "scenario")]
    pub allow_unlike: bool,
    /// Also write the comparison as Markdown to this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Also write it as a page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Then show the page in a browser, as for `run`: that of --html, of the rounds, or of --history
    #[arg(long)]
    pub open: bool,
    /// Also keep it in this folder, whose index.html shows all comparisons kept there over time
    #[arg(long, value_name = "DIR")]
    pub history: Option<PathBuf>,
    /// What all benchmarks take
    #[command(flatten)]
    pub shared: BenchShared,
}

/// By how much a figure may be worse, as a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression(pub f64);

impl FromStr for Regression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<f64>().ok());
        match percent {
            Some(percent) if percent > 0.0 && percent < 100.0 => Ok(Self(percent / 100.0)),
            _ => Err(format!(
                "`{text}` is no share: write for example 10%, above 0% and below 100%"
            )),
        }
    }
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Folder with scenario files [default: `scenarios` in this folder or one above it, else in the
    /// checkout that this program was built from]
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The file that programs and people agree on
    #[arg(value_enum, value_name = "CONTRACT")]
    pub of: SchemaOf,
}

/// A file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A scenario (scenarios/*.toml)
    Scenario,
    /// A relay of yours, or an order service (relay.toml, service.toml)
    Relay,
    /// What a run leaves (record.json)
    Record,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Whose
    pub shell: clap_complete::Shell,
}

/// A child process of a run.
#[derive(Debug, Args)]
pub struct ChildArgs {
    /// Its configuration (JSON), written by `run`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    const DOCS: [(&str, &str); 23] = [
        ("README.md", include_str!("../../../README.md")),
        (
            "architecture.md",
            include_str!("../../../docs/architecture.md"),
        ),
        ("CONTRIBUTING.md", include_str!("../../../CONTRIBUTING.md")),
        (
            "docker-compose.yml",
            include_str!("../../../docker-compose.yml"),
        ),
        ("--help", EXAMPLES),
        ("bench --help", BENCH_EXAMPLES),
        ("stack --help", STACK_EXAMPLES),
        ("explain --help", EXPLAIN_EXAMPLES),
        ("replay --help", REPLAY_EXAMPLES),
        ("compare --help", COMPARE_EXAMPLES),
        ("comparing.md", include_str!("../../../docs/comparing.md")),
        ("service-check --help", SERVICE_CHECK_EXAMPLES),
        ("your-relay.md", include_str!("../../../docs/your-relay.md")),
        (
            "your-service.md",
            include_str!("../../../docs/your-service.md"),
        ),
        ("scenario.md", include_str!("../../../docs/scenario.md")),
        ("history.md", include_str!("../../../docs/history.md")),
        ("consumers.md", include_str!("../../../docs/consumers.md")),
        (
            "two-phase-commit.md",
            include_str!("../../../docs/two-phase-commit.md"),
        ),
        ("ci.md", include_str!("../../../docs/ci.md")),
        ("reading.md", include_str!("../../../docs/reading.md")),
        (
            "writing-scenarios.md",
            include_str!("../../../docs/writing-scenarios.md"),
        ),
        ("servers.md", include_str!("../../../docs/servers.md")),
        ("benchmarks.md", include_str!("../../../docs/benchmarks.md")),
    ];
    const MAKEFILE: &str = include_str!("../../../Makefile");
    /// What stands before the arguments of a command that is there to be copied.
    const PROGRAM: [&str; 3] = [
        "outbox-harness ",
        "cargo run --release -- ",
        "cargo run --release --locked -- ",
    ];

    /// Commands in code: those at the beginning of an indented or a YAML line, and in backquotes.
    fn commands(text: &str) -> Vec<&str> {
        let begins = |line: &&str| ["  ", "- run: ", "#  "].iter().any(|b| line.starts_with(b));
        let lines = text.lines().filter(begins).map(|line| {
            let line = line.trim_start_matches("- run:").trim_start_matches('#');
            line.trim_start().trim_start_matches("$ ")
        });
        let quoted = text
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        lines.chain(quoted).collect()
    }

    fn of_this_program(command: &str) -> Option<Vec<&str>> {
        let mut arguments = PROGRAM
            .iter()
            .filter_map(|start| command.strip_prefix(start));
        Some(arguments.next()?.split_ascii_whitespace().collect())
    }

    #[test]
    fn every_command_of_the_docs_is_one() {
        let mut found = 0;
        for (file, text) in DOCS {
            for arguments in commands(text).into_iter().filter_map(of_this_program) {
                let parsed = Cli::try_parse_from(["outbox-harness"].iter().chain(&arguments));
                // `bench` alone shows what it can do.
                let kind = parsed.err().map(|e| e.kind());
                let fine = [
                    None,
                    Some(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
                ];
                assert!(fine.contains(&kind), "{file}: {arguments:?}: {kind:?}");
                found += 1;
            }
        }
        assert!(found >= 20, "only {found} commands were found");
    }

    #[test]
    fn every_make_target_of_the_docs_is_one() {
        let mut found = 0;
        for (file, text) in DOCS {
            for command in commands(text) {
                let Some(rest) = command.strip_prefix("make ") else {
                    continue;
                };
                let target = rest.split_ascii_whitespace().next().unwrap();
                assert!(
                    MAKEFILE.contains(&format!("\n{target}:")),
                    "{file}: make {target}"
                );
                found += 1;
            }
        }
        assert!(found >= 4, "only {found} were found");
    }

    #[test]
    fn given_no_number_of_rounds_when_a_benchmark_is_asked_for_then_it_has_five() {
        for kind in ["drain", "latency", "capacity", "orders"] {
            let cli = Cli::try_parse_from(["outbox-harness", "bench", kind]).unwrap();
            let Command::Bench(bench) = cli.command else {
                panic!("{kind} is a benchmark");
            };
            let rounds = match bench.kind {
                BenchKind::Drain(args) => args.repetitions,
                BenchKind::Latency(args) => args.repetitions,
                BenchKind::Capacity(args) => args.repetitions,
                BenchKind::Orders(args) => args.repetitions,
            };
            assert_eq!(rounds, 5, "{kind}");
        }
    }

    #[test]
    fn a_regression_is_a_share_in_percent() {
        assert_eq!("10%".parse(), Ok(Regression(0.1)));
        for bad in ["10", "0%", "100%", "-5%", "%", "a%", "NaN%"] {
            let error = bad.parse::<Regression>().unwrap_err();
            assert!(error.contains("10%"), "{error}");
        }
    }

    /// Wherever CARGO_TARGET_DIR has what is built put, cargo knows it.
    #[test]
    fn make_run_has_cargo_find_the_program() {
        let (_, recipe) = MAKEFILE.split_once("\nrun: install\n").unwrap();
        let recipe = recipe.lines().next().unwrap().trim_start();
        let arguments = of_this_program(recipe).unwrap_or_default();
        assert_eq!(arguments, ["run", "$(SCENARIO)", "--out", "runs"]);
        assert!(!MAKEFILE.contains("target/"), "{MAKEFILE}");
    }

    #[test]
    fn what_the_docs_show_for_ci_keeps_the_programs_exit_code() {
        let yaml = DOCS[0].1.split("```yaml").nth(1).unwrap();
        let yaml = yaml.split("```").next().unwrap();
        assert!(
            yaml.contains("cargo run --release --locked -- run "),
            "{yaml}"
        );
        assert!(!yaml.contains("run: make"), "{yaml}");
    }
}
