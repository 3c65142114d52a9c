//! The tables of a history: which columns each file has. Column names are what people query in
//! DuckDB or pandas, so they are part of the format. 4294967295 in `attempt`, `order` or `change`
//! means "not one of this run's".

use super::column::{Codec, Column, Table};
use super::{
    Body, CachedRow, EffectRow, FaultRecord, FenceRecord, Intent, Life, LogRow, NONE, Observation,
    Outcome, PartitionEnd, Pending, PendingState, ProcessEvent, RawRecord, ReadOutcome, ReadRow,
    ReadSource, Request, Sample, Sighting, Stage, TraceRow, Tracer, TruthRow,
};

/// A table that grows with the load may have at most this many rows.
const MAX_EVENTS: usize = 500_000_000;
/// A table that grows with time may have at most this many rows.
const MAX_SERIES: usize = 50_000_000;
/// A table that grows with the scenario may have at most this many rows.
const MAX_FEW: usize = 1_000_000;

impl Table for Request {
    const FILE: &'static str = "requests.parquet";
    const WHAT: &'static str =
        "One row an attempt: a request of the load generator to the order service.";
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
            Column::new(
                "attempt",
                "number of the attempt, from 0; the row's own number",
                Codec::RowNumber,
            ),
            Column::new(
                "change",
                "number of its change, which repeats of it share",
                Codec::U32(|r| r.change, |r, v| r.change = v),
            ),
            Column::new(
                "order",
                "number of its order",
                Codec::U32(|r| r.order, |r, v| r.order = v),
            ),
            Column::coded(
                "change_type",
                "what the change does to the order",
                &["placed", "paid", "shipped", "delivered", "amended"],
                |r| r.change_type.into(),
                |r, v| keep(&mut r.change_type, u8::try_from(v).ok().filter(|v| *v < 5)),
            ),
            Column::coded(
                "intent",
                "what was asked for: commit at once, hold the transaction open first, or write and roll back",
                &["commit", "hold", "veto"],
                |r| r.intent as u32,
                |r, v| {
                    let all = [Intent::Commit, Intent::Hold, Intent::Veto];
                    keep(&mut r.intent, all.get(v as usize).copied())
                },
            ),
            Column::coded(
                "outcome",
                "what the client knows",
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
                "HTTP status; 0 without one",
                Codec::Small(
                    |r| r.status.into(),
                    |r, v| keep(&mut r.status, u16::try_from(v).ok()),
                ),
            ),
            Column::new(
                "told_version",
                "version that the client was told; 0 for none",
                Codec::U32(|r| r.told_version, |r, v| r.told_version = v),
            ),
            Column::new(
                "intended_ns",
                "when it was due; in a closed loop, when it was sent",
                Codec::I64(|r| r.intended_ns, |r, v| r.intended_ns = v),
            ),
            Column::new(
                "sent_ns",
                "when it was sent",
                Codec::I64(|r| r.sent_ns, |r, v| r.sent_ns = v),
            ),
            Column::new(
                "ended_ns",
                "when its answer, error or timeout came",
                Codec::I64(|r| r.ended_ns, |r, v| r.ended_ns = v),
            ),
            Column::new(
                "lag_ns",
                "lateness of the generator itself: from when it was due and a connection free until it was sent, a duration",
                Codec::I64(|r| r.lag_ns, |r, v| r.lag_ns = v),
            ),
            Column::later(
                "held_back",
                "whether it was due while every connection that the load may have was busy",
                Codec::Bool(|r| r.held_back, |r, v| r.held_back = v),
            ),
        ]
    }
}

impl Table for TruthRow {
    const FILE: &'static str = "truth.parquet";
    const WHAT: &'static str =
        "One row a committed version of an order: what the database held after the fence.";
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
            Column::new(
                "order",
                "number of the order",
                Codec::U32(|r| r.order, |r, v| r.order = v),
            ),
            Column::new(
                "version",
                "the version, from 1 on",
                Codec::U32(|r| r.version, |r, v| r.version = v),
            ),
            Column::new(
                "attempt",
                "number of the attempt that made it",
                Codec::U32(|r| r.attempt, |r, v| r.attempt = v),
            ),
            Column::new(
                "change",
                "number of the change stored with it",
                Codec::U32(|r| r.change, |r, v| r.change = v),
            ),
        ]
    }
}

impl Table for LogRow {
    const FILE: &'static str = "log.parquet";
    const WHAT: &'static str = "One row a record of the topic, read again whole after the fence, with read_committed; the fence's own records are left out.";
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
                "partition; of several topics numbered across them, in the order of `topics` in run.json",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new(
                "offset",
                "offset in it",
                Codec::I64(|r| r.offset, |r, v| r.offset = v),
            ),
            Column::new(
                "append_ms",
                "LogAppendTime of the broker's clock, milliseconds since 1970",
                Codec::I64(|r| r.append_ms, |r, v| r.append_ms = v),
            ),
            Column::new(
                "attempt",
                "number of the attempt that it names",
                Codec::U32(|r| r.attempt, |r, v| r.attempt = v),
            ),
            Column::new(
                "order",
                "number of the order that it names, by its value or else by its key",
                Codec::U32(|r| r.order, |r, v| r.order = v),
            ),
            Column::new(
                "version",
                "version that it names; 0 for none",
                Codec::U32(|r| r.version, |r, v| r.version = v),
            ),
            Column::coded(
                "body",
                "how far its bytes are what the attempt implies: all of them, not all of them, or it is of another run or of nobody",
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
    const WHAT: &'static str = "One row a record that did not verify, in full: the first 1,000.";
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
                "partition; of several topics numbered across them, in the order of `topics` in run.json",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new(
                "offset",
                "offset in it",
                Codec::I64(|r| r.offset, |r, v| r.offset = v),
            ),
            Column::new(
                "key",
                "its key, as UTF-8 with replacement characters",
                Codec::Text(|r| &r.key, |r, v| r.key = v),
            ),
            Column::new(
                "value",
                "its value, likewise",
                Codec::Text(|r| &r.value, |r, v| r.value = v),
            ),
            Column::new(
                "headers",
                "its headers, `name=value`, one a line",
                Codec::Text(|r| &r.headers, |r, v| r.headers = v),
            ),
            Column::new(
                "reason",
                "why it did not verify",
                Codec::Text(|r| &r.reason, |r, v| r.reason = v),
            ),
        ]
    }
}

impl Table for Sighting {
    const FILE: &'static str = "sightings.parquet";
    const WHAT: &'static str =
        "One row a record that the live observer saw, in the order in which it saw them.";
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
                "partition; of several topics numbered across them, in the order of `topics` in run.json",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new(
                "offset",
                "offset in it",
                Codec::I64(|r| r.offset, |r, v| r.offset = v),
            ),
            Column::new(
                "seen_ns",
                "when it was seen",
                Codec::I64(|r| r.seen_ns, |r, v| r.seen_ns = v),
            ),
        ]
    }
}

impl Table for PartitionEnd {
    const FILE: &'static str = "partitions.parquet";
    const WHAT: &'static str = "One row a partition, after the fence. The final read is whole where `read_offset` is `end_offset`.";
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
                "partition; of several topics numbered across them, in the order of `topics` in run.json",
                Codec::I32(|r| r.partition, |r, v| r.partition = v),
            ),
            Column::new(
                "end_offset",
                "its end (high watermark)",
                Codec::I64(|r| r.end_offset, |r, v| r.end_offset = v),
            ),
            Column::new(
                "stable_offset",
                "its last stable offset",
                Codec::I64(|r| r.stable_offset, |r, v| r.stable_offset = v),
            ),
            Column::new(
                "read_offset",
                "how far the final read came",
                Codec::I64(|r| r.read_offset, |r, v| r.read_offset = v),
            ),
        ]
    }
}

impl Table for Pending {
    const FILE: &'static str = "pending.parquet";
    const WHAT: &'static str = "One row an event that the source still held when the relay was stopped: not lost, but undrained.";
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
            Column::new(
                "attempt",
                "number of the attempt",
                Codec::U32(|r| r.attempt, |r, v| r.attempt = v),
            ),
            Column::coded(
                "state",
                "where it was held: a row of the outbox, or a change behind the slot's confirmed position",
                &["outbox row", "slot"],
                |r| r.state as u32,
                |r, v| {
                    let all = [PendingState::OutboxRow, PendingState::Slot];
                    keep(&mut r.state, all.get(v as usize).copied())
                },
            ),
            Column::new(
                "lsn",
                "LSN of its commit, where known; 0 otherwise",
                Codec::U64(|r| r.lsn, |r, v| r.lsn = v),
            ),
        ]
    }
}

impl Table for FaultRecord {
    const FILE: &'static str = "faults.parquet";
    const WHAT: &'static str = "One row a `[[fault]]`, as it happened.";
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
            Column::new(
                "fault",
                "index into `scenario.faults` of run.json, from 0",
                Codec::U32(|r| r.fault, |r, v| r.fault = v),
            ),
            Column::new(
                "planned_at_ns",
                "when it was planned; of one that waits for something, when that came, or until when it was waited for",
                Codec::I64(|r| r.planned_at_ns, |r, v| r.planned_at_ns = v),
            ),
            Column::new(
                "injected_ns",
                "when it was in force (read back); null: never",
                Codec::MaybeI64(|r| r.injected_ns, |r, v| r.injected_ns = v),
            ),
            Column::new(
                "healed_ns",
                "when it was healed (read back); null: never",
                Codec::MaybeI64(|r| r.healed_ns, |r, v| r.healed_ns = v),
            ),
        ]
    }
}

impl Table for Observation {
    const FILE: &'static str = "evidence.parquet";
    const WHAT: &'static str =
        "One row a raw observation of a fault; whether it bit is decided from these.";
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
            Column::new(
                "fault",
                "index into `scenario.faults` of run.json, from 0",
                Codec::U32(|r| r.fault, |r, v| r.fault = v),
            ),
            Column::new(
                "place",
                "the link (`relay->kafka`) or the process (`relay`)",
                Codec::Text(|r| &r.place, |r, v| r.place = v),
            ),
            Column::new(
                "name",
                "what was observed; the names are listed below",
                Codec::Text(|r| &r.name, |r, v| r.name = v),
            ),
            Column::new("at_ns", "when", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::new(
                "value",
                "its value, in the unit of its name",
                Codec::F64(|r| r.value, |r, v| r.value = v),
            ),
        ]
    }
}

impl Table for ProcessEvent {
    const FILE: &'static str = "processes.parquet";
    const WHAT: &'static str = "One row an event in a process's life.";
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
            Column::new(
                "process",
                "`order-service`, `relay`, `relay-2`, `consumer-NAME`, `postgres-server`, `kafka-server`, `redis-server`, `toxiproxy`",
                Codec::Text(|r| &r.process, |r, v| r.process = v),
            ),
            Column::new(
                "pid",
                "its pid; a restarted process has another",
                Codec::U32(|r| r.pid, |r, v| r.pid = v),
            ),
            Column::new("at_ns", "when", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::coded(
                "life",
                "what happened to it",
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
            Column::new(
                "exit",
                "of `exited`: the number of the signal, or minus the exit code minus 1; else 0",
                Codec::I32(|r| r.exit, |r, v| r.exit = v),
            ),
        ]
    }
}

impl Table for Sample {
    const FILE: &'static str = "samples.parquet";
    const WHAT: &'static str = "One row a point of a named series, two a second of most.";
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
            Column::new(
                "series",
                "the name of the series; the names are listed below",
                Codec::Text(|r| &r.series, |r, v| r.series = v),
            ),
            Column::new("at_ns", "when", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::new(
                "value",
                "its value, in the unit of its name",
                Codec::F64(|r| r.value, |r, v| r.value = v),
            ),
        ]
    }
}

impl Table for TraceRow {
    const FILE: &'static str = "trace.parquet";
    const WHAT: &'static str = "One row a step of an event inside order service or relay, as these wrote it down, by time. For explanations only: no count and no verdict rests on it. Relays and services of others write none.";
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
                "who wrote it",
                &["order-service", "relay"],
                |r| r.tracer as u32,
                |r, v| {
                    let all = [Tracer::OrderService, Tracer::Relay];
                    keep(&mut r.tracer, all.get(v as usize).copied())
                },
            ),
            Column::new(
                "pid",
                "the pid of that process",
                Codec::U32(|r| r.pid, |r, v| r.pid = v),
            ),
            Column::new("at_ns", "when", Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v)),
            Column::new(
                "attempt",
                "number of the attempt",
                Codec::U32(|r| r.attempt, |r, v| r.attempt = v),
            ),
            Column::new(
                "version",
                "version of the order; 0 where it was not known yet",
                Codec::U32(|r| r.version, |r, v| r.version = v),
            ),
            Column::coded(
                "stage",
                "what happened",
                &Stage::NAMES,
                |r| r.stage as u32,
                |r, v| keep(&mut r.stage, Stage::ALL.get(v as usize).copied()),
            ),
            Column::new(
                "detail",
                "of `answered` the HTTP status, of `claimed` the row's `seq`, of `decoded` the LSN of the commit, of `delivered` the offset, of `delivery failed` 0 (not persisted), 1 (possibly) or 2 (persisted); else 0",
                Codec::U64(|r| r.detail, |r, v| r.detail = v),
            ),
        ]
    }
}

impl Table for EffectRow {
    const FILE: &'static str = "effects.parquet";
    const WHAT: &'static str = "One row an effect of a consumer: what was really done, as the consumer's own database tells, or, of a `call`, whoever was called; consumer after consumer, each in the order in which it was done. Histories of before there were consumers have no such file.";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            consumer: 0,
            order: NONE,
            version: 0,
            attempt: NONE,
            at_ns: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "consumer",
                "index into `scenario.consumers` of run.json, from 0",
                Codec::U32(|r| r.consumer, |r, v| r.consumer = v),
            ),
            Column::new(
                "order",
                "number of the order that the event named",
                Codec::U32(|r| r.order, |r, v| r.order = v),
            ),
            Column::new(
                "version",
                "version that it named",
                Codec::U32(|r| r.version, |r, v| r.version = v),
            ),
            Column::new(
                "attempt",
                "number of the attempt that it named",
                Codec::U32(|r| r.attempt, |r, v| r.attempt = v),
            ),
            Column::new(
                "at_ns",
                "when the consumer sent the transaction of the effect; of a `call`, when it was taken",
                Codec::I64(|r| r.at_ns, |r, v| r.at_ns = v),
            ),
        ]
    }
}

impl Table for ReadRow {
    const FILE: &'static str = "reads.parquet";
    const WHAT: &'static str = "One row a read of an order through the cache, in the order in which they were due. Empty where nobody reads; histories of before there were caches have no such file.";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            order: NONE,
            intended_ns: 0,
            sent_ns: 0,
            ended_ns: 0,
            lag_ns: 0,
            held_back: false,
            outcome: ReadOutcome::NotSent,
            source: ReadSource::Unknown,
            version: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "read",
                "number of the read, from 0; the row's own number",
                Codec::RowNumber,
            ),
            Column::new(
                "order",
                "number of the order that was asked for",
                Codec::U32(|r| r.order, |r, v| r.order = v),
            ),
            Column::new(
                "intended_ns",
                "when it was due",
                Codec::I64(|r| r.intended_ns, |r, v| r.intended_ns = v),
            ),
            Column::new(
                "sent_ns",
                "when it was sent",
                Codec::I64(|r| r.sent_ns, |r, v| r.sent_ns = v),
            ),
            Column::new(
                "ended_ns",
                "when its answer, error or timeout came",
                Codec::I64(|r| r.ended_ns, |r, v| r.ended_ns = v),
            ),
            Column::new(
                "lag_ns",
                "lateness of the generator itself: from when it was due and a connection free until it was sent, a duration",
                Codec::I64(|r| r.lag_ns, |r, v| r.lag_ns = v),
            ),
            Column::new(
                "held_back",
                "whether it was due while every connection that reads may have was busy",
                Codec::Bool(|r| r.held_back, |r, v| r.held_back = v),
            ),
            Column::coded(
                "outcome",
                "what came of it: it never left; an order with its version; that there is no such order; nothing that says anything",
                &["not sent", "answered", "not found", "failed"],
                |r| r.outcome as u32,
                |r, v| {
                    let all = [
                        ReadOutcome::NotSent,
                        ReadOutcome::Answered,
                        ReadOutcome::NotFound,
                        ReadOutcome::Failed,
                    ];
                    keep(&mut r.outcome, all.get(v as usize).copied())
                },
            ),
            Column::coded(
                "source",
                "where the answer comes from, as it says itself: the cache; the database, since the cache had none; the database, since the cache could not be asked",
                &["unknown", "cache", "database", "fallback"],
                |r| r.source as u32,
                |r, v| {
                    let all = [
                        ReadSource::Unknown,
                        ReadSource::Cache,
                        ReadSource::Database,
                        ReadSource::Fallback,
                    ];
                    keep(&mut r.source, all.get(v as usize).copied())
                },
            ),
            Column::new(
                "version",
                "version that was answered; 0 for none",
                Codec::U32(|r| r.version, |r, v| r.version = v),
            ),
        ]
    }
}

impl Table for CachedRow {
    const FILE: &'static str = "cached.parquet";
    const WHAT: &'static str = "One row an order that the cache held after the fence. Markers of what was invalidated are none. Empty where there is no cache, and where `cache` of run.json says that it was not read; histories of before there were caches have no such file.";
    const MAX_ROWS: usize = MAX_EVENTS;

    fn blank() -> Self {
        Self {
            order: NONE,
            version: 0,
        }
    }

    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::new(
                "order",
                "number of the order",
                Codec::U32(|r| r.order, |r, v| r.order = v),
            ),
            Column::new(
                "version",
                "version that a read would have been answered; 0 for an entry that no version could be read from",
                Codec::U32(|r| r.version, |r, v| r.version = v),
            ),
        ]
    }
}

impl Table for FenceRecord {
    const FILE: &'static str = "fences.parquet";
    const WHAT: &'static str = "One row a step between the end of the load and the final reads.";
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
            Column::new(
                "number",
                "1 to 8, as in docs/architecture.md",
                Codec::U32(|r| r.number, |r, v| r.number = v),
            ),
            Column::new(
                "name",
                "what is done in it",
                Codec::Text(|r| &r.name, |r, v| r.name = v),
            ),
            Column::new(
                "started_ns",
                "its begin",
                Codec::I64(|r| r.started_ns, |r, v| r.started_ns = v),
            ),
            Column::new(
                "ended_ns",
                "its end",
                Codec::I64(|r| r.ended_ns, |r, v| r.ended_ns = v),
            ),
            Column::new(
                "ok",
                "whether it held; if not, what it needs is unknown",
                Codec::Bool(|r| r.ok, |r, v| r.ok = v),
            ),
            Column::new(
                "detail",
                "why not, or what it found",
                Codec::Text(|r| &r.detail, |r, v| r.detail = v),
            ),
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
