//! What can be written on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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

const EXAMPLES: &str = "\
Examples:
  outbox-harness run scenarios/broker-outage.toml
  outbox-harness run scenarios/*.toml --junit junit.xml --json results.json
  outbox-harness run scenarios/steady.toml --strategy cdc --keep-stack
  outbox-harness run scenarios/steady.toml --stack external --external external.toml
  outbox-harness check runs/broker-outage-20261123T101500Z
  outbox-harness explain runs/broker-outage-20261123T101500Z --strategy naive
  outbox-harness list

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
    /// The verdict of a run again, from its saved history alone
    Check(Folder),
    /// The reports of a run again, from its record alone
    Report(Folder),
    /// What happened to the offending events of a run, or to one order, step by step
    ///
    /// Without --order: the first five of each kind, each with one sentence and a timeline across all
    /// processes. With it: the timeline of that order, whatever happened to it.
    Explain(ExplainArgs),
    /// Measure strategies next to the limits and peers of the same minutes
    ///
    /// Rounds are interleaved: each row is measured once a round. The table on standard output has
    /// medians with the smallest and largest; a folder gets bench.json and bench.html. Figures of
    /// work that was not done right are left out.
    Bench(BenchArgs),
    /// List scenarios, strategies, faults and invariants, each with a line of explanation
    List(ListArgs),
    /// The order service of the system under test (started by `run`)
    #[command(hide = true)]
    OrderService(Child),
    /// The relay of the system under test (started by `run`)
    #[command(hide = true)]
    Relay(Child),
    /// Ends what `run` leaves behind when it is killed (started by `run`)
    #[command(hide = true)]
    Reaper,
}

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Scenario files (TOML); they run one after the other
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Run only the strategy of this name
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
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
}

/// The folder of one run.
#[derive(Debug, Args)]
pub struct Folder {
    /// Folder of one run, such as runs/steady-20261123-101500
    #[arg(value_name = "RUN_DIR")]
    pub folder: PathBuf,
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

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Folder with scenario files [default: `scenarios` in this folder or one above it, else in the
    /// checkout that this program was built from]
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

/// A child process of a run.
#[derive(Debug, Args)]
pub struct Child {
    /// Its configuration (JSON), written by `run`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    const DOCS: [(&str, &str); 7] = [
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
        ("explain --help", EXPLAIN_EXAMPLES),
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
