//! The way of an event through all processes, merged by time, with what befell them meanwhile.

use super::Explainer;
use super::lives::Absence;
use super::trail::Trail;
use super::words::{how_it_ended, lsn, offset, persistence, spoken};
use crate::checkers::stale_reads::{answered, from};
use crate::history::{
    FenceStep, Intent, NONE, Outcome, PendingState, ReadOutcome, Request, Stage, TraceRow, Tracer,
};
use crate::scenario::FaultKind;
use crate::view::Span;
use crate::view::{Class, NEVER};
use contract::order::ChangeType;
use reports::record::Step;

/// LogAppendTime is cut to milliseconds.
const APPEND_RESOLUTION_NS: i64 = 1_000_000;

/// What a timeline is about.
pub struct Subject {
    /// Attempts, each with all that is known of it.
    pub attempts: Vec<u32>,
    /// Records that none of them has made.
    pub records: Vec<usize>,
    /// Reads, by their numbers.
    pub reads: Vec<usize>,
    /// A time in which its fate was decided although nothing was written of it.
    pub span: Option<Span>,
    /// The timeline has no more steps than this; those in the middle are left out, and it says how many.
    pub limit: usize,
}

/// A moment has a step, and where it belongs among those of the same moment.
struct Moment {
    at_ns: i64,
    rank: Rank,
    who: String,
    what: String,
}

/// At the same moment, causes come before their effects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Fault,
    Due,
    Sent,
    Received,
    Database,
    Taken,
    Handed,
    Appended,
    Reported,
    Seen,
    Confirmed,
    Answered,
    Ended,
    FinalRead,
}

impl Explainer<'_> {
    /// Returns the steps of the subject by time, and of those faults and absences that overlap them.
    pub(super) fn timeline(&self, subject: &Subject) -> Vec<Step> {
        let mut moments = Vec::new();
        let several = subject.attempts.len() > 1;
        let mut trails = Vec::with_capacity(subject.attempts.len());
        for attempt in &subject.attempts {
            let trail = self.trail(*attempt);
            let label = match several {
                true => self.label(&trail, &subject.attempts),
                false => String::new(),
            };
            self.client(&trail, &label, &mut moments);
            for row in &trail.rows {
                moments.push(self.traced(row, &label));
            }
            for record in &trail.records {
                self.record(*record, Some(&trail), &label, &mut moments);
            }
            trails.push((trail, label));
        }
        for record in &subject.records {
            self.record(*record, None, "", &mut moments);
        }
        for read in &subject.reads {
            self.read_moments(*read, &mut moments);
        }
        let own = span_of(&moments);
        let deaths = trails.iter().flat_map(|(trail, _)| self.ends(trail));
        let spans = own.into_iter().chain(subject.span).chain(deaths);
        if let Some(span) = spans.reduce(Span::hull) {
            self.circumstances(span, &mut moments);
        }
        for (trail, label) in &trails {
            self.final_reads(trail, label, &mut moments);
        }
        moments.sort_by_key(|m| (m.at_ns, m.rank));
        self.shortened(moments, subject.limit)
    }

    /// The deaths of processes that had not finished with it.
    fn ends(&self, trail: &Trail) -> Vec<Span> {
        [Tracer::OrderService, Tracer::Relay]
            .into_iter()
            .filter_map(|tracer| trail.last(tracer))
            .filter(|row| !matches!(row.stage, Stage::Answered | Stage::Confirmed))
            .filter_map(|row| self.death_after(row))
            .map(|death| Span {
                from_ns: death.at_ns,
                until_ns: death.at_ns,
            })
            .collect()
    }

    /// Labels an attempt's steps: `v2: `, or by attempt where the database has no version of it. Where they are
    /// among those of other orders: `order 7 v2: `.
    fn label(&self, trail: &Trail, beside: &[u32]) -> String {
        let requests = &self.context.history().requests;
        let order_of = |attempt: &u32| requests.get(*attempt as usize).map(|r| r.order);
        let of_one = beside
            .windows(2)
            .all(|pair| order_of(&pair[0]) == order_of(&pair[1]));
        let row = trail.slot.map(|slot| self.context.view.join.truth.at(slot));
        match row {
            Some(row) if of_one => format!("v{}: ", row.version),
            Some(row) => format!("order {} v{}: ", row.order, row.version),
            None if trail.attempt == NONE => "attempt of nobody: ".to_owned(),
            None => format!("attempt {}: ", trail.attempt),
        }
    }

    fn client(&self, trail: &Trail, label: &str, moments: &mut Vec<Moment>) {
        let Some(request) = trail.request else { return };
        let mut push = |at_ns, rank, what: String| {
            moments.push(Moment {
                at_ns,
                rank,
                who: "client".to_owned(),
                what: format!("{label}{what}"),
            });
        };
        push(request.intended_ns, Rank::Due, due(request));
        if request.outcome != Outcome::NotSent {
            push(request.sent_ns, Rank::Sent, "sent".to_owned());
        }
        push(request.ended_ns, Rank::Ended, ended(request));
    }

    fn traced(&self, row: &TraceRow, label: &str) -> Moment {
        let (rank, what) = match row.stage {
            Stage::Received => (Rank::Received, "request received".to_owned()),
            Stage::Committed => (
                Rank::Database,
                match row.version {
                    0 => "committed".to_owned(),
                    version => format!("committed as version {version}"),
                },
            ),
            Stage::RolledBack => (Rank::Database, "rolled back".to_owned()),
            Stage::Doubtful => (
                Rank::Database,
                "no answer from the database: committed or not".to_owned(),
            ),
            Stage::Answered => (
                Rank::Answered,
                format!("answered with status {}", row.detail),
            ),
            Stage::Claimed => (Rank::Taken, format!("claimed (seq {})", row.detail)),
            Stage::Decoded => (
                Rank::Taken,
                format!("read from the stream (commit {})", lsn(row.detail)),
            ),
            Stage::Handed => (Rank::Handed, "handed to the producer".to_owned()),
            Stage::Delivered => (
                Rank::Reported,
                format!("delivery reported{}", offset(row.detail)),
            ),
            Stage::DeliveryFailed => (
                Rank::Reported,
                format!("delivery failed ({})", persistence(row.detail)),
            ),
            Stage::Abandoned => (
                Rank::Reported,
                "given up without a delivery report".to_owned(),
            ),
            Stage::Invalidated => (Rank::Reported, "invalidated in the cache".to_owned()),
            Stage::InvalidationFailed => (
                Rank::Reported,
                "its invalidation in the cache failed".to_owned(),
            ),
            Stage::Confirmed => (
                Rank::Confirmed,
                format!("confirmed {}", self.confirmed_to()),
            ),
        };
        Moment {
            at_ns: row.at_ns,
            rank,
            who: self.life(self.process_by(row.tracer, row.pid), row.pid),
            what: format!("{label}{what}"),
        }
    }

    /// Names a life of a process: `relay`, and from its second life on `relay #2`.
    fn life(&self, process: &str, pid: u32) -> String {
        let name = spoken(process);
        match self.lives.number(process, pid) {
            Some(number) if number > 1 => format!("{name} #{number}"),
            _ => name,
        }
    }

    fn record(&self, row: usize, trail: Option<&Trail>, label: &str, moments: &mut Vec<Moment>) {
        let join = &self.context.view.join;
        let record = join.log.at(row);
        let kind = match join.class(row) {
            Class::First => "event",
            Class::Duplicate => "event again",
            Class::Phantom => "phantom event",
            Class::Corrupted => "damaged record",
            Class::Foreign => "foreign record",
        };
        let version = match (join.class(row), record.version) {
            (Class::Phantom, version @ 1..) => format!(" of version {version}"),
            _ => String::new(),
        };
        let partition = self.context.partition(record.partition);
        let place = format!("{partition} offset {}", record.offset);
        let seen_ns = self.sights.first(record.partition, record.offset);
        let known_ns = self.appended_ns(row);
        let appended_ns = known_ns.map(|at_ns| after_its_handing(at_ns, trail));
        if let Some(at_ns) = appended_ns.or(seen_ns) {
            moments.push(Moment {
                at_ns,
                rank: Rank::Appended,
                who: "topic".to_owned(),
                what: format!("{label}{kind}{version}: {place}"),
            });
        }
        // Where the sight is all that is known of its time, it is said once.
        if let Some(at_ns) = seen_ns.filter(|_| known_ns != seen_ns) {
            moments.push(Moment {
                at_ns,
                rank: Rank::Seen,
                who: "observer".to_owned(),
                what: format!("{label}saw {place}"),
            });
        }
    }

    /// What a reader did and was told.
    fn read_moments(&self, number: usize, moments: &mut Vec<Moment>) {
        let read = self.context.history().reads.at(number);
        let mut push = |at_ns, rank, what: String| {
            moments.push(Moment {
                at_ns,
                rank,
                who: "reader".to_owned(),
                what: format!("read {number}: {what}"),
            });
        };
        if read.outcome != ReadOutcome::NotSent {
            push(read.sent_ns, Rank::Sent, "sent".to_owned());
        }
        let told = format!("answered {}{}", answered(&read), from(read.source));
        push(read.ended_ns, Rank::Ended, told);
    }

    /// Faults and absences that overlap the span, with both of their ends.
    fn circumstances(&self, span: Span, moments: &mut Vec<Moment>) {
        let mut push = |at_ns, who: String, what: String| {
            moments.push(Moment {
                at_ns,
                rank: Rank::Fault,
                who,
                what,
            });
        };
        for outage in self.lives.outages(span) {
            let (gone, back) = match outage.absence {
                Absence::Dead(exit) => (how_it_ended(exit), "ready"),
                Absence::Paused => ("paused".to_owned(), "continued"),
            };
            push(
                outage.span.from_ns,
                self.life(outage.process, outage.pid),
                gone,
            );
            if outage.span.until_ns != NEVER {
                push(
                    outage.span.until_ns,
                    self.life(outage.process, outage.successor),
                    back.to_owned(),
                );
            }
        }
        let faults = &self.context.history().meta.scenario.faults;
        for window in &self.context.view.windows {
            // Kills, restarts and pauses are in the lives of processes already.
            let lived = matches!(
                faults[window.fault].kind,
                FaultKind::Kill | FaultKind::Restart | FaultKind::Pause
            );
            if lived || !window.span.overlaps(span) {
                continue;
            }
            let name = self.fault_name(window);
            push(
                window.span.from_ns,
                "fault".to_owned(),
                format!("{name} begins"),
            );
            if window.span.until_ns != NEVER {
                push(
                    window.span.until_ns,
                    "fault".to_owned(),
                    format!("{name} healed"),
                );
            }
        }
    }

    /// What the referee found when everything had come to rest.
    fn final_reads(&self, trail: &Trail, label: &str, moments: &mut Vec<Moment>) {
        let join = &self.context.view.join;
        let mut push = |step, who: &str, what: String| {
            if let Some(at_ns) = self.fence_ns(step) {
                moments.push(Moment {
                    at_ns,
                    rank: Rank::FinalRead,
                    who: who.to_owned(),
                    what: format!("{label}{what}"),
                });
            }
        };
        let Some(slot) = trail.slot else {
            push(
                FenceStep::ReadTruth,
                "database",
                "final read: it is not there".to_owned(),
            );
            return;
        };
        let version = join.truth.at(slot).version;
        push(
            FenceStep::ReadTruth,
            "database",
            format!("final read: there as version {version}"),
        );
        if join.held(slot) {
            let pending = &self.context.history().pending;
            let state = pending.iter().find(|p| p.attempt == trail.attempt);
            let what = match state.map(|p| p.state) {
                Some(PendingState::Slot) => "final read: still ahead of the slot's position",
                _ if self.goes_by_position() => "final read: still behind the relay's position",
                _ => "final read: its row is still there",
            };
            let topology = self.context.view.topology();
            let source = match topology.is_some_and(|topology| topology.events_stay) {
                true => "events",
                false => "outbox",
            };
            push(FenceStep::ReadSource, source, what.to_owned());
        }
        let order = join.truth.at(slot).order;
        let newest = join.slots_of(order).next_back() == Some(slot);
        if let Some(held) = self.held_in_cache(order).filter(|_| newest) {
            push(
                FenceStep::ReadTopic,
                "cache",
                match held {
                    0 => "final read: something that no version can be read from".to_owned(),
                    held => format!("final read: it holds version {held}"),
                },
            );
        }
        if join.first_row(slot).is_none() {
            push(
                FenceStep::ReadTopic,
                "topic",
                "final read: no valid event of it".to_owned(),
            );
        }
    }

    /// Returns the version of an order that the cache held at the end; `None` where it held none.
    fn held_in_cache(&self, order: u32) -> Option<u32> {
        let row = self.cached.of(order).next()?;
        Some(self.context.history().cached.at(row).version)
    }

    fn shortened(&self, moments: Vec<Moment>, limit: usize) -> Vec<Step> {
        let step = |m: &Moment| Step {
            at_s: self.seconds(m.at_ns),
            who: m.who.clone(),
            what: m.what.clone(),
        };
        if moments.len() <= limit.max(1) {
            return moments.iter().map(step).collect();
        }
        let head = limit / 2;
        let tail = moments.len() - (limit - head).max(1);
        let left_out = tail - head;
        let gap = Step {
            at_s: self.seconds(moments[head].at_ns),
            who: "…".to_owned(),
            what: format!("{left_out} more steps"),
        };
        let last = moments[tail..].iter().map(step);
        moments[..head]
            .iter()
            .map(step)
            .chain([gap])
            .chain(last)
            .collect()
    }

    fn seconds(&self, ns: i64) -> f64 {
        let from_start = ns.saturating_sub(self.context.history().meta.load_from_ns);
        from_start.div_euclid(1_000) as f64 / 1e6
    }
}

fn due(request: Request) -> String {
    let change = ChangeType::ALL
        .get(usize::from(request.change_type))
        .map_or("change", |change| change.name());
    let intent = match request.intent {
        Intent::Commit => "",
        Intent::Hold => ", its commit to be held",
        Intent::Veto => ", to be rolled back",
    };
    format!("due: {change}{intent}")
}

fn ended(request: Request) -> String {
    match (request.outcome, request.status) {
        (Outcome::Committed, _) => format!("told: committed as version {}", request.told_version),
        (Outcome::Rejected, status) => format!("told: no (status {status})"),
        (Outcome::NotSent, _) => "could not connect: never sent".to_owned(),
        (Outcome::Unknown, 0) => "no answer: time is up, or the connection ended".to_owned(),
        (Outcome::Unknown, status) => format!("told nothing (status {status})"),
    }
}

/// A record seems up to a millisecond older than it is; it is not older than its handing over.
fn after_its_handing(appended_ns: i64, trail: Option<&Trail>) -> i64 {
    let reach_ns = appended_ns.saturating_add(APPEND_RESOLUTION_NS);
    let handed = trail
        .into_iter()
        .flat_map(|t| &t.rows)
        .filter(|r| r.stage == Stage::Handed && r.at_ns > appended_ns && r.at_ns < reach_ns);
    handed.map(|r| r.at_ns).max().unwrap_or(appended_ns)
}

fn span_of(moments: &[Moment]) -> Option<Span> {
    let times = moments.iter().map(|m| m.at_ns);
    Some(Span {
        from_ns: times.clone().min()?,
        until_ns: times.max()?,
    })
}
