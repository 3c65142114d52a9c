//! How the rows that grow with the load are taken apart. Times that follow one another are kept as
//! differences: all arithmetic wraps, so it is exact for any two of them.

use super::row::{MAX_FIELDS, Row};
use super::{
    Body, CachedRow, EffectRow, Intent, LogRow, Outcome, ReadOutcome, ReadRow, ReadSource, Request,
    Sighting, Stage, TraceRow, Tracer, TruthRow,
};

impl Row for Request {
    const FIELDS: usize = 12;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        [
            self.change.into(),
            self.order.into(),
            self.change_type.into(),
            self.intent as u64,
            self.outcome as u64,
            self.status.into(),
            self.told_version.into(),
            unsigned(self.intended_ns),
            unsigned(self.sent_ns.wrapping_sub(self.intended_ns)),
            unsigned(self.ended_ns.wrapping_sub(self.intended_ns)),
            unsigned(self.lag_ns),
            self.held_back.into(),
        ]
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        let intended_ns = signed(field(7));
        Self {
            change: field(0) as u32,
            order: field(1) as u32,
            change_type: field(2) as u8,
            intent: match field(3) {
                0 => Intent::Commit,
                1 => Intent::Hold,
                _ => Intent::Veto,
            },
            outcome: match field(4) {
                0 => Outcome::NotSent,
                1 => Outcome::Committed,
                2 => Outcome::Rejected,
                _ => Outcome::Unknown,
            },
            status: field(5) as u16,
            told_version: field(6) as u32,
            intended_ns,
            sent_ns: signed(field(8)).wrapping_add(intended_ns),
            ended_ns: signed(field(9)).wrapping_add(intended_ns),
            lag_ns: signed(field(10)),
            held_back: field(11) != 0,
        }
    }
}

impl Row for TruthRow {
    const FIELDS: usize = 4;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = self.order.into();
        fields[1] = self.version.into();
        fields[2] = self.attempt.into();
        // A change has the number of its first attempt, less the retries before it.
        fields[3] = self.attempt.wrapping_sub(self.change).into();
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        let attempt = field(2) as u32;
        Self {
            order: field(0) as u32,
            version: field(1) as u32,
            attempt,
            change: attempt.wrapping_sub(field(3) as u32),
        }
    }
}

impl Row for LogRow {
    const FIELDS: usize = 7;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = unsigned(self.partition.into());
        fields[1] = unsigned(self.offset);
        fields[2] = unsigned(self.append_ms);
        fields[3] = self.attempt.into();
        fields[4] = self.order.into();
        fields[5] = self.version.into();
        fields[6] = self.body as u64;
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        Self {
            partition: signed(field(0)) as i32,
            offset: signed(field(1)),
            append_ms: signed(field(2)),
            attempt: field(3) as u32,
            order: field(4) as u32,
            version: field(5) as u32,
            body: match field(6) {
                0 => Body::Intact,
                1 => Body::Damaged,
                _ => Body::Foreign,
            },
        }
    }
}

impl Row for Sighting {
    const FIELDS: usize = 3;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = unsigned(self.partition.into());
        fields[1] = unsigned(self.offset);
        fields[2] = unsigned(self.seen_ns);
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        Self {
            partition: signed(field(0)) as i32,
            offset: signed(field(1)),
            seen_ns: signed(field(2)),
        }
    }
}

impl Row for TraceRow {
    const FIELDS: usize = 7;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = self.tracer as u64;
        fields[1] = self.pid.into();
        fields[2] = unsigned(self.at_ns);
        fields[3] = self.attempt.into();
        fields[4] = self.version.into();
        fields[5] = self.stage as u64;
        fields[6] = self.detail;
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        Self {
            tracer: match field(0) {
                0 => Tracer::OrderService,
                _ => Tracer::Relay,
            },
            pid: field(1) as u32,
            at_ns: signed(field(2)),
            attempt: field(3) as u32,
            version: field(4) as u32,
            stage: Stage::ALL
                .get(field(5) as usize)
                .copied()
                .unwrap_or(Stage::Received),
            detail: field(6),
        }
    }
}

impl Row for EffectRow {
    const FIELDS: usize = 5;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = self.consumer.into();
        fields[1] = self.order.into();
        fields[2] = self.version.into();
        fields[3] = self.attempt.into();
        fields[4] = unsigned(self.at_ns);
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        Self {
            consumer: field(0) as u32,
            order: field(1) as u32,
            version: field(2) as u32,
            attempt: field(3) as u32,
            at_ns: signed(field(4)),
        }
    }
}

impl Row for ReadRow {
    const FIELDS: usize = 9;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = self.order.into();
        fields[1] = unsigned(self.intended_ns);
        fields[2] = unsigned(self.sent_ns.wrapping_sub(self.intended_ns));
        fields[3] = unsigned(self.ended_ns.wrapping_sub(self.intended_ns));
        fields[4] = unsigned(self.lag_ns);
        fields[5] = self.held_back.into();
        fields[6] = self.outcome as u64;
        fields[7] = self.source as u64;
        fields[8] = self.version.into();
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        let intended_ns = signed(field(1));
        Self {
            order: field(0) as u32,
            intended_ns,
            sent_ns: signed(field(2)).wrapping_add(intended_ns),
            ended_ns: signed(field(3)).wrapping_add(intended_ns),
            lag_ns: signed(field(4)),
            held_back: field(5) != 0,
            outcome: match field(6) {
                0 => ReadOutcome::NotSent,
                1 => ReadOutcome::Answered,
                2 => ReadOutcome::NotFound,
                _ => ReadOutcome::Failed,
            },
            source: match field(7) {
                0 => ReadSource::Unknown,
                1 => ReadSource::Cache,
                2 => ReadSource::Database,
                _ => ReadSource::Fallback,
            },
            version: field(8) as u32,
        }
    }
}

impl Row for CachedRow {
    const FIELDS: usize = 2;

    fn fields(&self) -> [u64; MAX_FIELDS] {
        let mut fields = [0; MAX_FIELDS];
        fields[0] = self.order.into();
        fields[1] = self.version.into();
        fields
    }

    #[inline(always)]
    fn from_fields(field: impl Fn(usize) -> u64) -> Self {
        Self {
            order: field(0) as u32,
            version: field(1) as u32,
        }
    }
}

/// Maps a signed number to an unsigned one, so that the order of numbers is kept.
fn unsigned(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

fn signed(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}
