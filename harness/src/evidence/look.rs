//! Looks at one fault's subjects, again and again, and probes where a look does not tell.

use super::probe::{Crossing, OwnPorts, connects, crosses};
use super::sockets::SocketTable;
use super::subject::{Stage, Subject};
use super::traffic::{Counters, Traffic};
use crate::bite::name;
use crate::clock::RunClock;
use crate::history::Observation;
use crate::process::{Child, stillness};
use crate::scenario::{FaultKind, Link, Stream, Toxic};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Probes cost the server a connection each.
const CROSS_EVERY: Duration = Duration::from_millis(100);
/// Probes under way at once: a latency longer than `CROSS_EVERY` makes them overlap.
const MAX_PROBES: usize = 16;
/// What was seen longer ago than this before the injection is forgotten: nobody knows how long a fault
/// will wait that has a trigger.
const BEFORE: Duration = Duration::from_secs(1);
/// The bound on one fault's observations; reached only if something above is wrong.
const MAX_OBSERVATIONS: usize = 100_000;

/// A subject made ready for looking at.
enum Watched {
    Link {
        link: Link,
        address: Option<SocketAddr>,
        traffic: Box<Traffic>,
        /// Bytes the proxy held when counting began, to the server and back.
        held: (u64, u64),
    },
    Process(Child),
}

/// One fault being looked at.
pub(super) struct Look {
    fault: u32,
    kind: FaultKind,
    clock: RunClock,
    observations: Vec<Observation>,
    stage: Stage,
    ours: OwnPorts,
    /// Probes under way: stage and time they began in, place, and what came of them.
    probes: JoinSet<(Stage, i64, Link, Crossing)>,
}

impl Look {
    pub fn new(fault: u32, kind: FaultKind, clock: RunClock) -> Self {
        Self {
            fault,
            kind,
            clock,
            observations: Vec::new(),
            stage: Stage::Before,
            ours: OwnPorts::default(),
            probes: JoinSet::new(),
        }
    }

    /// Looks until the inbox closes: the observations, and what kept some from being taken.
    pub async fn run(
        mut self,
        subjects: Vec<Subject>,
        every: Duration,
        mut inbox: mpsc::Receiver<(Stage, oneshot::Sender<()>)>,
    ) -> (Vec<Observation>, Option<String>) {
        let mut table = match SocketTable::open() {
            Ok(table) => table,
            Err(e) => {
                return (
                    Vec::new(),
                    Some(format!(
                        "cannot ask the kernel for its sockets (sock_diag): {e}"
                    )),
                );
            }
        };
        let mut watched = Vec::new();
        for subject in subjects {
            match ready(subject, &mut table) {
                Ok(one) => watched.push(one),
                Err(e) => return (Vec::new(), Some(e)),
            }
        }
        let mut trouble = self.begin_counting(&mut watched, &mut table).err();
        let mut looks = interval_at(Instant::now(), every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut next_probe = Instant::now();
        loop {
            tokio::select! {
                command = inbox.recv() => {
                    let Some((stage, reached)) = command else { break };
                    if let Err(e) = self.enter(stage, &mut watched, &mut table) {
                        trouble.get_or_insert(e);
                    }
                    let _ = reached.send(());
                }
                _ = looks.tick(), if self.looking() => {
                    self.forget();
                    if let Err(e) = self.look(&mut watched, &mut table) {
                        trouble.get_or_insert(e);
                    }
                    if Instant::now() >= next_probe {
                        next_probe = Instant::now() + self.probe_every(every);
                        self.probe(&watched);
                    }
                }
                Some(probe) = self.probes.join_next(), if !self.probes.is_empty() => {
                    if let Ok((stage, began_ns, link, crossing)) = probe {
                        self.crossed(stage, began_ns, link, crossing);
                    }
                }
            }
        }
        self.probes.abort_all();
        (self.observations, trouble)
    }

    /// Drops what is too old to tell how it was right before the injection.
    fn forget(&mut self) {
        if self.stage == Stage::Before {
            let before_ns = i64::try_from(BEFORE.as_nanos()).unwrap_or(i64::MAX);
            let oldest_ns = self.clock.now_ns().saturating_sub(before_ns);
            self.observations.retain(|o| o.at_ns >= oldest_ns);
        }
    }

    fn looking(&self) -> bool {
        matches!(self.stage, Stage::Before | Stage::During | Stage::After)
    }

    /// Each stage begins, and ends, with a look.
    fn enter(
        &mut self,
        stage: Stage,
        watched: &mut [Watched],
        table: &mut SocketTable,
    ) -> Result<(), String> {
        match stage {
            Stage::Injecting | Stage::Healing => {
                let looked = self.look(watched, table);
                self.stage = stage;
                let mark = if stage == Stage::Injecting {
                    name::INJECTING
                } else {
                    name::HEALING
                };
                for one in watched.iter_mut() {
                    self.note(one.place(), mark, 1.0);
                }
                looked
            }
            Stage::During => {
                self.begin_counting(watched, table)?;
                self.stage = stage;
                self.look(watched, table)
            }
            Stage::Before | Stage::After => {
                self.stage = stage;
                self.look(watched, table)
            }
        }
    }

    fn begin_counting(
        &self,
        watched: &mut [Watched],
        table: &mut SocketTable,
    ) -> Result<(), String> {
        self.refresh(watched, table)?;
        for one in watched.iter_mut() {
            if let Watched::Link { traffic, held, .. } = one {
                *held = traffic.held();
                traffic.mark();
            }
        }
        Ok(())
    }

    fn refresh(&self, watched: &mut [Watched], table: &mut SocketTable) -> Result<(), String> {
        let any_link = watched.iter().any(|w| matches!(w, Watched::Link { .. }));
        if !any_link {
            return Ok(());
        }
        let sockets = table
            .connected()
            .map_err(|e| format!("cannot ask the kernel for its sockets (sock_diag): {e}"))?;
        let ours = self.ours.now();
        for one in watched.iter_mut() {
            if let Watched::Link { traffic, .. } = one {
                traffic.update(&sockets, &ours);
            }
        }
        Ok(())
    }

    fn look(&mut self, watched: &mut [Watched], table: &mut SocketTable) -> Result<(), String> {
        self.refresh(watched, table)?;
        for one in watched.iter() {
            match one {
                Watched::Link {
                    link,
                    traffic,
                    held,
                    ..
                } => self.note_link(*link, traffic, *held),
                Watched::Process(child) => {
                    if self.kind == FaultKind::Pause {
                        let threads = stillness::threads(&child.tree());
                        let place = child.name().to_owned();
                        self.note(&place, name::THREADS, f64::from(threads.total));
                        self.note(&place, name::THREADS_STOPPED, f64::from(threads.stopped));
                        self.note(&place, name::CPU_TICKS, threads.cpu_ticks as f64);
                    }
                }
            }
        }
        Ok(())
    }

    fn note_link(&mut self, link: Link, traffic: &Traffic, held: (u64, u64)) {
        let place = link.name();
        let near = traffic.near();
        let total = near.total();
        let both = total.sent_bytes + total.received_bytes;
        self.note(place, name::SOCKETS, near.established() as f64);
        self.note(place, name::NEAR_BYTES, both as f64);
        let FaultKind::Toxic { toxic, stream, .. } = self.kind else {
            return;
        };
        let far = traffic.far();
        // What goes in and comes out of the proxy in the toxic's direction, and the most on one
        // connection; `None` on a side that cannot be seen.
        let upstream = stream == Stream::Upstream;
        let (into, out, most) = if upstream {
            let far_total = far.map(|f| f.total());
            let sent = |c: Counters| (c.sent_bytes, c.sent_segments);
            let most = far.map(|f| f.most().sent_bytes);
            (Some(sent(total)), far_total.map(sent), most)
        } else {
            let far_total = far.map(|f| f.total());
            let received = |c: Counters| (c.received_bytes, c.received_segments);
            let most = Some(near.most().received_bytes);
            (far_total.map(received), Some(received(total)), most)
        };
        let bytes = |side: Option<(u64, u64)>| side.map(|(bytes, _)| bytes);
        let segments = |side: Option<(u64, u64)>| side.map(|(_, segments)| segments);
        match toxic {
            Toxic::Latency { .. } => {}
            Toxic::Bandwidth { .. } => {
                let queued = traffic.queued();
                let queued = if upstream { queued.0 } else { queued.1 };
                self.note_known(place, name::IN_BYTES, bytes(into));
                self.note_known(place, name::OUT_BYTES, bytes(out));
                self.note_known(place, name::MOST_OUT_BYTES, most);
                self.note(place, name::QUEUED_BYTES, queued as f64);
            }
            Toxic::Timeout { .. } => {
                let held = if upstream { held.0 } else { held.1 };
                let into = bytes(into).map(|b| b + held);
                self.note_known(place, name::IN_BYTES, into);
                self.note_known(place, name::OUT_BYTES, bytes(out));
                self.note(place, name::SILENT, near.silent() as f64);
            }
            Toxic::Slicer { .. } => {
                self.note_known(place, name::IN_BYTES, bytes(into));
                self.note_known(place, name::OUT_BYTES, bytes(out));
                self.note_known(place, name::IN_SEGMENTS, segments(into));
                self.note_known(place, name::OUT_SEGMENTS, segments(out));
            }
            Toxic::LimitData { .. } => {
                self.note_known(place, name::IN_BYTES, bytes(into));
                self.note_known(place, name::OUT_BYTES, bytes(out));
                self.note_known(place, name::MOST_OUT_BYTES, most);
                self.note(place, name::OPENED, near.opened() as f64);
                self.note(place, name::ENDED, near.ended() as f64);
            }
            Toxic::ResetPeer { .. } => {
                self.note(place, name::OPENED, near.opened() as f64);
                self.note(place, name::ENDED, near.ended() as f64);
            }
            Toxic::SlowClose { .. } => {
                let far = far.map(|f| f.established() as u64);
                self.note_known(place, name::FAR_SOCKETS, far);
            }
        }
    }

    fn probe_every(&self, looks: Duration) -> Duration {
        match self.kind {
            FaultKind::Down if self.stage == Stage::During => looks,
            _ => looks.max(CROSS_EVERY),
        }
    }

    /// Starts one probe a link, where this kind of fault is known by probes.
    fn probe(&mut self, watched: &[Watched]) {
        let stage = self.stage;
        for one in watched {
            let Watched::Link {
                link,
                address: Some(address),
                ..
            } = one
            else {
                continue;
            };
            if self.probes.len() >= MAX_PROBES {
                return;
            }
            let (link, address, ours) = (*link, *address, self.ours.clone());
            let began_ns = self.clock.now_ns();
            let within = match self.kind {
                FaultKind::Down => None,
                FaultKind::Toxic {
                    toxic: Toxic::Latency { latency, jitter },
                    ..
                } => Some(
                    Duration::from_millis(latency.saturating_add(jitter)) + Duration::from_secs(5),
                ),
                FaultKind::Toxic {
                    toxic: Toxic::ResetPeer { timeout },
                    ..
                } => Some(Duration::from_millis(timeout) + Duration::from_secs(5)),
                _ => return,
            };
            self.probes.spawn(async move {
                let crossing = match within {
                    None => connects(address, &ours).await,
                    Some(within) => crosses(link, address, &ours, within).await,
                };
                (stage, began_ns, link, crossing)
            });
        }
    }

    /// A probe counts only if it began and ended in one stage: one that the injection or the
    /// healing overtook says nothing about either.
    fn crossed(&mut self, stage: Stage, began_ns: i64, link: Link, crossing: Crossing) {
        if stage != self.stage {
            return;
        }
        let (name, value) = match self.kind {
            FaultKind::Down => match crossing {
                Crossing::Refused | Crossing::Closed | Crossing::Reset => {
                    (name::PROBE_REFUSED, 1.0)
                }
                Crossing::Answered(_) | Crossing::Silent => (name::PROBE_REFUSED, 0.0),
            },
            FaultKind::Toxic {
                toxic: Toxic::ResetPeer { .. },
                ..
            } => {
                let reset = crossing == Crossing::Reset;
                (name::PROBE_RESET, f64::from(u8::from(reset)))
            }
            _ => match crossing {
                Crossing::Answered(ms) => (name::CROSSING_MS, ms),
                _ => return,
            },
        };
        self.push(link.name(), name, began_ns, value);
    }

    fn note_known(&mut self, place: &str, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.note(place, name, value as f64);
        }
    }

    fn note(&mut self, place: &str, name: &str, value: f64) {
        self.push(place, name, self.clock.now_ns(), value);
    }

    fn push(&mut self, place: &str, name: &str, at_ns: i64, value: f64) {
        if self.observations.len() < MAX_OBSERVATIONS {
            self.observations.push(Observation {
                fault: self.fault,
                place: place.to_owned(),
                name: name.to_owned(),
                at_ns,
                value,
            });
        }
    }
}

impl Watched {
    fn place(&self) -> &str {
        match self {
            Self::Link { link, .. } => link.name(),
            Self::Process(child) => child.name(),
        }
    }
}

fn ready(subject: Subject, table: &mut SocketTable) -> Result<Watched, String> {
    match subject {
        Subject::Process(child) => Ok(Watched::Process(child)),
        Subject::Link {
            link,
            route,
            shared,
        } => {
            let address = route
                .connect
                .to_socket_addrs()
                .ok()
                .and_then(|mut all| all.next());
            let traffic = Traffic::new(&route, shared, table)?;
            Ok(Watched::Link {
                link,
                address,
                traffic: Box::new(traffic),
                held: (0, 0),
            })
        }
    }
}
