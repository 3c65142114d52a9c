//! `bench orders`: the order path, HTTP included, next to pgbench with the same SQL statement, as
//! many connections and the same durability.

use super::Results;
use super::ground::Ground;
use super::program::{self, Program};
use super::rounds::turn;
use super::sheet::{Measured, Sheet};
use super::{costs, scenarios, usage};
use crate::clock::RunClock;
use crate::database;
use crate::history::{Outcome, Request, Rows};
use crate::measure::Recorder;
use crate::run::RunError;
use crate::run::deployment::{Deployment, Leave, failed};
use crate::scenario::{Scenario, Strategy, limits};
use crate::workload::{self, Progress};
use relays::order::ChangeType;
use reports::bench::Role;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const RATE: &str = "orders";
const P50: &str = "p50";
const P99: &str = "p99";
const CPU: &str = "service CPU an order";
const WAL: &str = "WAL an order";
const COLUMNS: [(&str, &str); 5] = [
    (RATE, "/s"),
    (P50, "ms"),
    (P99, "ms"),
    (CPU, "µs"),
    (WAL, "B"),
];
const SERVICE: &str = "order path";
const PGBENCH: &str = "pgbench";

/// Both sides work for so long before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// So much time passes between the workers' start and their first request.
const SETTLE: Duration = Duration::from_millis(300);
/// So many orders are due a second: more than a service of a few cores takes, so that no connection ever waits.
const DUE_PER_S: f64 = 60_000.0;
const PAYLOAD_BYTES: usize = 256;
/// pgbench ends by itself after its time; this is for one that does not.
const GRACE: Duration = Duration::from_secs(60);

/// What is its own.
#[derive(Debug, Clone)]
pub struct OrdersOptions {
    /// Both sides are measured with each of these numbers of connections, which have a table each.
    pub connections: Vec<u32>,
    /// Each row is measured for so many seconds.
    pub seconds: u32,
}

impl OrdersOptions {
    /// What is wrong, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        let most = limits::DATABASE_CONNECTIONS;
        if let Some(wrong) = self.connections.iter().find(|n| **n == 0 || **n > most) {
            return Err(format!("--connections {wrong}: take 1 to {most}"));
        }
        if self.seconds == 0 || self.seconds > 600 {
            return Err(format!("--seconds {}: take 1 to 600", self.seconds));
        }
        Ok(())
    }
}

/// Measures order path and pgbench in each round, and returns what the report shows; a failure ends the rounds.
pub(super) async fn run(
    ground: &Ground<'_>,
    options: &OrdersOptions,
    repetitions: u32,
) -> Result<Results, RunError> {
    let mut sheets: Vec<(u32, Sheet)> = Vec::new();
    for connections in &options.connections {
        let mut sheet = Sheet::new(format!("{connections} connections"), &COLUMNS);
        sheet.row(SERVICE, Role::Subject, "HTTP, order service, PostgreSQL");
        sheet.row(PGBENCH, Role::Peer, "the same statement, prepared, no HTTP");
        sheets.push((*connections, sheet));
    }
    'rounds: for round in 1..=repetitions {
        for (connections, sheet) in &mut sheets {
            for (row, contender) in turn(&[Contender::Service, Contender::Pgbench], round) {
                let measured = measure(ground, options, *connections, contender).await;
                let Some(measured) = ground.unless_cut_short(measured) else {
                    break 'rounds;
                };
                ground.note(format!(
                    "round {round} of {repetitions}, {connections} connections, {}: {:.0} orders/s",
                    contender.name(),
                    measured.values.get(RATE).unwrap_or(&f64::NAN)
                ));
                sheet.add(row, measured);
            }
        }
    }
    let ratios = sheets
        .iter()
        .filter_map(|(_, sheet)| sheet.ratio(RATE, SERVICE, PGBENCH))
        .collect();
    Ok(Results {
        question: "How much of what PostgreSQL takes in orders does the order path take, HTTP included?",
        method: method(),
        settings: [
            ("measured", format!("{} s a row", options.seconds)),
            ("payload", format!("{PAYLOAD_BYTES} bytes")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        sheets: sheets.into_iter().map(|(_, sheet)| sheet).collect(),
        ratios,
    })
}

fn method() -> Vec<String> {
    [
        "Closed loop: each HTTP connection sends its next order when the last one was answered. The \
         order service has as many connections to PostgreSQL as there are HTTP connections, and \
         pgbench as many. Every change places a new order and its outbox row; no relay runs.",
        "pgbench runs the order service's own statement (-M prepared, 2 threads) with the same plan \
         settings and as the same role. Its order id is an md5 of a random number, made by the \
         server, which costs it a microsecond or two; its other values are the same each time.",
        "Each row has a schema of its own. Both sides work for a second before anything counts.",
        "WAL an order: what the server wrote to its log over the whole work of a row, warm-up \
         included, by the orders that are there afterwards; an order is there with its outbox row.",
        "Order latency is that of the client; pgbench reports none by percentile. The orders and \
         outbox rows that are there afterwards are counted against the answers.",
    ]
    .map(str::to_owned)
    .into()
}

#[derive(Debug, Clone, Copy)]
enum Contender {
    Service,
    Pgbench,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Service => SERVICE,
            Self::Pgbench => PGBENCH,
        }
    }
}

fn scenario(options: &OrdersOptions, connections: u32) -> Result<Scenario, RunError> {
    let seconds = options.seconds + WARM_UP.as_secs() as u32 + 1;
    scenarios::parse(&format!(
        "name = \"bench-orders\"\n\
         [workload]\nrate = {DUE_PER_S}\nduration = \"{seconds}s\"\nchanges_per_order = 1\n\
         payload_bytes = {PAYLOAD_BYTES}\nconnections = {connections}\n\
         postgres_connections = {connections}\nrequest_timeout = \"10s\"\n\
         rollback_ratio = 0\nhold_ratio = 0\n\
         [strategy.orders]\nkind = \"polling\"\n"
    ))
}

async fn measure(
    ground: &Ground<'_>,
    options: &OrdersOptions,
    connections: u32,
    contender: Contender,
) -> Result<Measured, RunError> {
    let scenario = scenario(options, connections)?;
    let strategy: &Strategy = &scenario.strategies[0];
    let mut deployment = ground.deployment(&scenario, strategy)?;
    let measured = ground
        .unless_interrupted(async {
            deployment.prepare().await?;
            let wal_before = costs::log_bytes(deployment.database()).await?;
            let (mut measured, orders) = match contender {
                Contender::Service => service(&mut deployment, options).await?,
                Contender::Pgbench => pgbench(ground, &deployment, options, connections).await?,
            };
            let wal_bytes = costs::log_bytes(deployment.database()).await? - wal_before;
            if orders > 0 {
                measured.values.insert(WAL, wal_bytes / orders as f64);
            }
            Ok(measured)
        })
        .await;
    deployment.tear_down(Leave::Nothing, ground.reporter).await;
    measured
}

/// What was measured, and the orders that are there.
async fn service(
    deployment: &mut Deployment<'_>,
    options: &OrdersOptions,
) -> Result<(Measured, u64), RunError> {
    deployment.start_service().await?;
    let clock = RunClock::start();
    let load = deployment.load(clock, Arc::new(Progress::default()));
    let from_ns = clock.now_ns() + SETTLE.as_nanos() as i64;
    let counted = Duration::from_secs(options.seconds.into());
    let used = || deployment.service.as_ref().and_then(usage::of);
    let (stop, stopped) = watch::channel(false);
    let (offered, (before, after)) = tokio::join!(workload::offer(load, from_ns, stopped), async {
        tokio::time::sleep(SETTLE + WARM_UP).await;
        let before = used();
        tokio::time::sleep(counted).await;
        let after = used();
        let _ = stop.send(true);
        (before, after)
    });
    let begin_ns = from_ns + WARM_UP.as_nanos() as i64;
    let end_ns = begin_ns + counted.as_nanos() as i64;
    let mut measured = figures(&offered.requests, begin_ns, end_ns);
    let rate = measured.values.get(RATE).copied().unwrap_or(0.0);
    if let (Some(before), Some(after)) = (before, after)
        && rate > 0.0
    {
        let cpu_us = (after.cpu_s - before.cpu_s) * 1e6 / (rate * counted.as_secs_f64());
        measured.values.insert(CPU, cpu_us);
    }
    if rate > 0.9 * DUE_PER_S {
        measured
            .inconclusive
            .push("the load generator was the limit: not closed loop".to_owned());
    }
    let (orders, events) = rows(deployment).await?;
    let (committed, unknown) = outcomes(&offered.requests);
    if orders < committed || orders > committed + unknown || events != orders {
        measured.wrong.push(format!(
            "{committed} orders were acknowledged, {orders} are there with {events} outbox rows"
        ));
    }
    Ok((measured, orders))
}

fn outcomes(requests: &Rows<Request>) -> (u64, u64) {
    let count = |outcome| requests.iter().filter(|r| r.outcome == outcome).count() as u64;
    (count(Outcome::Committed), count(Outcome::Unknown))
}

/// Of the requests that were answered within the time that counts.
fn figures(requests: &Rows<Request>, begin_ns: i64, end_ns: i64) -> Measured {
    let mut measured = Measured::default();
    let mut recorder = Recorder::new();
    let mut others = 0_u64;
    for request in requests {
        if (begin_ns..end_ns).contains(&request.ended_ns) {
            match request.outcome {
                Outcome::Committed => recorder.record_ns(request.ended_ns - request.sent_ns),
                _ => others += 1,
            }
        }
    }
    let took_s = (end_ns - begin_ns) as f64 / 1e9;
    if recorder.count() > 0 {
        measured
            .values
            .insert(RATE, recorder.count() as f64 / took_s);
    } else {
        measured
            .inconclusive
            .push("no order was acknowledged".to_owned());
    }
    for (column, percentile) in [(P50, 50.0), (P99, 99.0)] {
        if let Some(ms) = recorder.percentile_ms(percentile) {
            measured.values.insert(column, ms);
        }
    }
    if others > 0 {
        measured
            .inconclusive
            .push(format!("{others} requests were not acknowledged"));
    }
    measured
}

/// How many orders are there, and how many rows of the outbox.
async fn rows(deployment: &Deployment<'_>) -> Result<(u64, u64), RunError> {
    let counted = deployment.own_schema().count_orders().await;
    counted.map_err(|e| failed("counting orders", &e))
}

/// What was measured, and the orders that are there.
async fn pgbench(
    ground: &Ground<'_>,
    deployment: &Deployment<'_>,
    options: &OrdersOptions,
    connections: u32,
) -> Result<(Measured, u64), RunError> {
    let script = ground.folder.join("config").join("placing.sql");
    let written = std::fs::create_dir_all(ground.folder.join("config"))
        .and_then(|()| std::fs::write(&script, statement()));
    written.map_err(|e| failed(&format!("writing {}", script.display()), &e))?;
    let mut tps = None;
    for seconds in [WARM_UP.as_secs() as u32, options.seconds] {
        let mut args: Vec<String> = ["-n", "-M", "prepared", "-j", "2"]
            .map(str::to_owned)
            .into();
        args.extend(["-c".to_owned(), connections.to_string()]);
        args.extend(["-T".to_owned(), seconds.to_string()]);
        args.extend(["-f".to_owned(), script.display().to_string()]);
        for (name, value) in variables(deployment) {
            args.extend(["-D".to_owned(), format!("{name}={value}")]);
        }
        let settings = relays::service::SESSION.map(|(k, v)| format!(" -c {k}={v}"));
        let program = Program {
            name: PGBENCH,
            args,
            login: (deployment.own_schema())
                .login(database::Role::Service, deployment.database_of_service())
                .into(),
            session: format!(
                "-c search_path={}{}",
                deployment.layout.schema(),
                settings.concat()
            ),
            log: format!("{}.pgbench-{seconds}s.log", deployment.layout.name),
            mark: None,
            within: Duration::from_secs(seconds.into()) + GRACE,
        };
        tps = read_tps(
            &program::run(ground, program, &RunClock::start())
                .await?
                .output,
        );
    }
    let mut measured = Measured::default();
    match tps {
        Some(tps) => {
            measured.values.insert(RATE, tps);
        }
        None => measured
            .inconclusive
            .push("pgbench reported no rate".to_owned()),
    }
    let (orders, events) = rows(deployment).await?;
    if orders == 0 || orders != events {
        measured.wrong.push(format!(
            "{orders} orders are there with {events} outbox rows"
        ));
    }
    Ok((measured, orders))
}

/// The order service's statement, its parameters as pgbench has them.
fn statement() -> String {
    let parameters = [
        ("$1", "md5(:n::text)::uuid"),
        ("$2", ":attempt::uuid"),
        ("$3", ":change::uuid"),
        ("$4", "null::text"),
        ("$5", ":state::text"),
        ("$6", ":event::uuid"),
        ("$7", ":kind::text"),
        ("$8", ":before::text"),
        ("$9", ":after::text"),
    ];
    let mut sql = relays::service::PLACING.to_owned();
    for (parameter, value) in parameters {
        sql = sql.replace(parameter, value);
    }
    // pgbench takes a statement of several lines up to its semicolon.
    format!("\\set n random(1, 9223372036854775807)\n{sql};\n")
}

/// Values that are the same in every transaction, as long as real ones.
fn variables(deployment: &Deployment<'_>) -> Vec<(&'static str, String)> {
    let identity = &deployment.identity;
    let attempt = identity.attempt_id(0).to_string();
    let mut content = String::new();
    identity.write_content(0, PAYLOAD_BYTES, &mut content);
    let kind = ChangeType::Placed.event_type();
    let before = format!(
        r#"{{"run":"{}","order_id":"{}","version":"#,
        identity.run(),
        identity.order_id(0)
    );
    let after = format!(r#","attempt":"{attempt}","type":"{kind}","content":"{content}"}}"#);
    vec![
        ("attempt", attempt),
        ("change", identity.change_id(0).to_string()),
        ("state", "placed".to_owned()),
        ("event", identity.order_id(1).to_string()),
        ("kind", kind.to_owned()),
        ("before", before),
        ("after", after),
    ]
}

/// Reads the rate from the line `tps = 1234.5 (without initial connection time)`; `None` if there is none.
fn read_tps(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|l| l.strip_prefix("tps = "))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_has_no_parameter_left() {
        let sql = statement();
        assert!(!sql.contains('$'), "{sql}");
        assert_eq!(sql.matches("md5(:n::text)::uuid").count(), 2, "{sql}");
    }

    #[test]
    fn pgbench_says_its_rate() {
        let output = "pgbench (15.18)\nlatency average = 0.6 ms\ntps = 12345.678901 (without initial connection time)\n";
        assert_eq!(read_tps(output), Some(12_345.678_901));
        assert_eq!(read_tps("pgbench: error"), None);
    }

    #[test]
    fn only_what_was_answered_in_time_counts() {
        let request = |ended_ns, outcome| Request {
            outcome,
            sent_ns: ended_ns - 1_000_000,
            ended_ns,
            ..crate::bench::orders::tests::any()
        };
        let requests = [
            request(500_000_000, Outcome::Committed),
            request(1_500_000_000, Outcome::Committed),
            request(1_600_000_000, Outcome::Unknown),
            request(2_500_000_000, Outcome::Committed),
        ];
        let measured = figures(
            &requests.into_iter().collect(),
            1_000_000_000,
            2_000_000_000,
        );
        assert_eq!(measured.values[RATE], 1.0);
        assert_eq!(measured.inconclusive, ["1 requests were not acknowledged"]);
    }

    fn any() -> Request {
        Request {
            change: 0,
            order: 0,
            change_type: 0,
            intent: crate::history::Intent::Commit,
            outcome: Outcome::Committed,
            status: 201,
            told_version: 1,
            intended_ns: 0,
            sent_ns: 0,
            ended_ns: 0,
            lag_ns: 0,
            held_back: false,
        }
    }
}
