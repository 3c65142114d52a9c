//! The tables of a history: which columns each file has. Column names are what people query in
//! DuckDB or pandas, so they are part of the format. 4294967295 in `attempt`, `order` or `change`
//! means "not one of this run's".

use super::column::{Codec, Column, Table};
use super::{
    Body, FaultRecord, FenceRecord, Intent, Life, LogRow, NONE, Observation, Outcome, PartitionEnd,
    Pending, PendingState, ProcessEvent, RawRecord, Request, Sample, Sighting, Stage, TraceRow,
    Tracer, TruthRow,
};

/// Rows of the tables that grow with the load.
const MAX_EVENTS: usize = 500_000_000;
/// Rows of the tables that grow with time.
const MAX_SERIES: usize = 50_000_000;
/// Rows of the tables that grow with the scenario.
const MAX_FEW: usize = 1_000_000;

impl Table for Request {
    const FILE: &'static str = "requests.parquet";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            change: NONE,
            order: NONE,
            change_type: 0,
            intent: Intent::Commit,
            outcome: Outcome::NotSent,
            status: 0,
            told_version: 0,
            intended_ns: 0,
            sent_ns: 0,
            ended_ns: 0,
            lag_ns: 0,
            held_back: false,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("attempt", Codec::RowNumber),
            Column::new("change", Codec::U32(|r| r.change, |r, v| r.change = v)),
            Column::new("order", Codec::U32(|r| r.order, |r, v| r.order = v)),
            Column::coded(
                "change_type",
                &["placed", "paid", "shipped", "delivered", "amended"],
                |r| r.change_type.into(),
                |r, v| keep(&mut r.change_type, u8::try_from(v).ok().filter(|v| *v < 5)),
            ),
            Column::coded(
                "intent",
                &["commit", "hold", "veto"],
                |r| r.intent as u32,
                |r, v| {
                    let all = [Intent::Commit, Intent::Hold, Intent::Veto];
                    keep(&mut r.intent, all.get(v as usize).copied())
                },
            ),
            Column::coded(
                "outcome",
                &["not sent", "committed", "rejected", "unknown"],
                |r| r.outcome as u32,
                |r, v| {
                    let all = [
                        Outcome::NotSent,
                        Outcome::Committed,
                        Outcome::Rejected,
                        Outcome::Unknown,
                    ];
                    keep(&mut r.outcome, all.get(v as usize).copied())
                },
            ),
            Column::new(
                "status",
                Codec::Small(
                    |r| r.status.into(),
                    |r, v| keep(&mut r.status, u16::try_from(v).ok()),
                ),
            ),
            Column::new(
                "told_version",
                Codec::U32(|r| r.told_version, |r, v| r.told_version = v),
            ),
            Column::new(
                "intended_ns",
                Codec::I64(|r| r.intended_ns, |r, v| r.intended_ns = v),
            ),
            Column::new("sent_ns", Codec::I64(|r| r.sent_ns, |r, v| r.sent_ns = v)),
            Column::new(
                "ended_ns",
                Codec::I64(|r| r.ended_ns, |r, v| r.ended_ns = v),
            ),
            Column::new("lag_ns", Codec::I64(|r| r.lag_ns, |r, v| r.lag_ns = v)),
            Column::later(
                "held_back",
                Codec::Bool(|r| r.held_back, |r, v| r.held_back = v),
            ),
        ]
    }
}

impl Table for TruthRow {
    const FILE: &'static str = "truth.parquet";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            order: NONE,
            version: 0,
            attempt: NONE,
            change: NONE,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("order", Codec::U32(|r| r.order, |r, v| r.order = v)),
            Column::new("version", Codec::U32(|r| r.version, |r, v| r.version = v)),
            Column::new("attempt", Codec::U32(|r| r.attempt, |r, v| r.attempt = v)),
            Column::new("change", Codec::U32(|r| r.change, |r, v| r.change = v)),
        ]
    }
}

impl Table for LogRow {
    const FILE: &'static str = "log.parquet";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            partition: 0,
            offset: 0,
            append_ms: 0,
            attempt: NONE,
            order: NONE,
            version: 0,
            body: Body::Foreign,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "partition",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new("offset", Codec::I64(|r| r.offset, |r, v| r.offset = v)),
            Column::new(
                "append_ms",
                Codec::I64(|r| r.append_ms, |r, v| r.append_ms = v),
            ),
            Column::new("attempt", Codec::U32(|r| r.attempt, |r, v| r.attempt = v)),
            Column::new("order", Codec::U32(|r| r.order, |r, v| r.order = v)),
            Column::new("version", Codec::U32(|r| r.version, |r, v| r.version = v)),
            Column::coded(
                "body",
                &["intact", "damaged", "foreign"],
                |r| r.body as u32,
                |r, v| {
                    let all = [Body::Intact, Body::Damaged, Body::Foreign];
                    keep(&mut r.body, all.get(v as usize).copied())
                },
            ),
        ]
    }
}

impl Table for RawRecord {
    const FILE: &'static str = "raw.parquet";
    const MAX_ROWS: usize = MAX_FEW;

    fn blank() -> Self {
        Self {
            partition: 0,
            offset: 0,
            key: String::new(),
            value: String::new(),
            headers: String::new(),
            reason: String::new(),
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "partition",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new("offset", Codec::I64(|r| r.offset, |r, v| r.offset = v)),
            Column::new("key", Codec::Text(|r| &r.key, |r, v| r.key = v)),
            Column::new("value", Codec::Text(|r| &r.value, |r, v| r.value = v)),
            Column::new("headers", Codec::Text(|r| &r.headers, |r, v| r.headers = v)),
            Column::new("reason", Codec::Text(|r| &r.reason, |r, v| r.reason = v)),
        ]
    }
}

impl Table for Sighting {
    const FILE: &'static str = "sightings.parquet";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            partition: 0,
            offset: 0,
            seen_ns: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "partition",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new("offset", Codec::I64(|r| r.offset, |r, v| r.offset = v)),
            Column::new("seen_ns", Codec::I64(|r| r.seen_ns, |r, v| r.seen_ns = v)),
        ]
    }
}

impl Table for PartitionEnd {
    const FILE: &'static str = "partitions.parquet";
    const MAX_ROWS: usize = MAX_FEW;

    fn blank() -> Self {
        Self {
            partition: 0,
            end_offset: 0,
            stable_offset: 0,
            read_offset: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "partition",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new(
                "end_offset",
                Codec::I64(|r| r.end_offset, |r, v| r.end_offset = v),
            ),
            Column::new(
                "stable_offset",
                Codec::I64(|r| r.stable_offset, |r, v| r.stable_offset = v),
            ),
            Column::new(
                "read_offset",
                Codec::I64(|r| r.read_offset, |r, v| r.read_offset = v),
            ),
        ]
    }
}

impl Table for Pending {
    const FILE: &'static str = "pending.parquet";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            attempt: NONE,
            state: PendingState::OutboxRow,
            lsn: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("attempt", Codec::U32(|r| r.attempt, |r, v| r.attempt = v)),
            Column::coded(
                "state",
                &["outbox row", "slot"],
                |r| r.state as u32,
                |r, v| {
                    let all = [PendingState::OutboxRow, PendingState::Slot];
                    keep(&mut r.state, all.get(v as usize).copied())
                },
            ),
            Column::new("lsn", Codec::U64(|r| r.lsn, |r, v| r.lsn = v)),
        ]
    }
}

impl Table for FaultRecord {
    const FILE: &'static str = "faults.parquet";
    const MAX_ROWS: usize = MAX_FEW;

    fn blank() -> Self {
        Self {
            fault: 0,
            planned_at_ns: 0,
            injected_ns: None,
            healed_ns: None,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("fault", Codec::U32(|r| r.fault, |r, v| r.fault = v)),
            Column::new(
                "planned_at_ns",
                Codec::I64(|r| r.planned_at_ns, |r, v| r.planned_at_ns = v),
            ),
            Column::new(
                "injected_ns",
                Codec::MaybeI64(|r| r.injected_ns, |r, v| r.injected_ns = v),
            ),
            Column::new(
                "healed_ns",
                Codec::MaybeI64(|r| r.healed_ns, |r, v| r.healed_ns = v),
            ),
        ]
    }
}

impl Table for Observation {
    const FILE: &'static str = "evidence.parquet";
    const MAX_ROWS: usize = MAX_SERIES;

    fn blank() -> Self {
        Self {
            fault: 0,
            place: String::new(),
            name: String::new(),
            at_ns: 0,
            value: 0.0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("fault", Codec::U32(|r| r.fault, |r, v| r.fault = v)),
            Column::new("place", Codec::Text(|r| &r.place, |r, v| r.place = v)),
            Column::new("name", Codec::Text(|r| &r.name, |r, v| r.name = v)),
            Column::new("at_ns", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::new("value", Codec::F64(|r| r.value, |r, v| r.value = v)),
        ]
    }
}

impl Table for ProcessEvent {
    const FILE: &'static str = "processes.parquet";
    const MAX_ROWS: usize = MAX_FEW;

    fn blank() -> Self {
        Self {
            process: String::new(),
            pid: 0,
            at_ns: 0,
            life: Life::Started,
            exit: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("process", Codec::Text(|r| &r.process, |r, v| r.process = v)),
            Column::new("pid", Codec::U32(|r| r.pid, |r, v| r.pid = v)),
            Column::new("at_ns", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::coded(
                "life",
                &[
                    "started",
                    "ready",
                    "paused",
                    "resumed",
                    "terminating",
                    "exited",
                ],
                |r| r.life as u32,
                |r, v| {
                    let all = [
                        Life::Started,
                        Life::Ready,
                        Life::Paused,
                        Life::Resumed,
                        Life::Terminating,
                        Life::Exited,
                    ];
                    keep(&mut r.life, all.get(v as usize).copied())
                },
            ),
            Column::new("exit", Codec::I32(|r| r.exit, |r, v| r.exit = v)),
        ]
    }
}

impl Table for Sample {
    const FILE: &'static str = "samples.parquet";
    const MAX_ROWS: usize = MAX_SERIES;

    fn blank() -> Self {
        Self {
            series: String::new(),
            at_ns: 0,
            value: 0.0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("series", Codec::Text(|r| &r.series, |r, v| r.series = v)),
            Column::new("at_ns", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::new("value", Codec::F64(|r| r.value, |r, v| r.value = v)),
        ]
    }
}

impl Table for TraceRow {
    const FILE: &'static str = "trace.parquet";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            tracer: Tracer::OrderService,
            pid: 0,
            at_ns: 0,
            attempt: NONE,
            version: 0,
            stage: Stage::Received,
            detail: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::coded(
                "tracer",
                &["order-service", "relay"],
                |r| r.tracer as u32,
                |r, v| {
                    let all = [Tracer::OrderService, Tracer::Relay];
                    keep(&mut r.tracer, all.get(v as usize).copied())
                },
            ),
            Column::new("pid", Codec::U32(|r| r.pid, |r, v| r.pid = v)),
            Column::new("at_ns", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::new("attempt", Codec::U32(|r| r.attempt, |r, v| r.attempt = v)),
            Column::new("version", Codec::U32(|r| r.version, |r, v| r.version = v)),
            Column::coded(
                "stage",
                &Stage::NAMES,
                |r| r.stage as u32,
                |r, v| keep(&mut r.stage, Stage::ALL.get(v as usize).copied()),
            ),
            Column::new("detail", Codec::U64(|r| r.detail, |r, v| r.detail = v)),
        ]
    }
}

impl Table for FenceRecord {
    const FILE: &'static str = "fences.parquet";
    const MAX_ROWS: usize = MAX_FEW;

    fn blank() -> Self {
        Self {
            number: 0,
            name: String::new(),
            started_ns: 0,
            ended_ns: 0,
            ok: false,
            detail: String::new(),
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new("number", Codec::U32(|r| r.number, |r, v| r.number = v)),
            Column::new("name", Codec::Text(|r| &r.name, |r, v| r.name = v)),
            Column::new(
                "started_ns",
                Codec::I64(|r| r.started_ns, |r, v| r.started_ns = v),
            ),
            Column::new(
                "ended_ns",
                Codec::I64(|r| r.ended_ns, |r, v| r.ended_ns = v),
            ),
            Column::new("ok", Codec::Bool(|r| r.ok, |r, v| r.ok = v)),
            Column::new("detail", Codec::Text(|r| &r.detail, |r, v| r.detail = v)),
        ]
    }
}

/// Stores a decoded value, or says that there was none.
fn keep<T>(field: &mut T, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            *field = value;
            true
        }
        None => false,
    }
}
