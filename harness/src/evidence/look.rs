//! Looks at one fault's subjects, again and again, and probes where a look does not tell.

use super::probe::{Crossing, OwnPorts, connects, crosses};
use super::question::{asked_every, told};
use super::reading;
use super::sockets::SocketTable;
use super::subject::{FaultStage, Subject};
use super::traffic::{SentBeside, Traffic, held_by};
use crate::bite::{Question, name, needs};
use crate::clock::RunClock;
use crate::history::Observation;
use crate::process::{Child, stillness};
use crate::scenario::{FaultKind, Link};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// So many probes are under way at once: a latency longer than the pause between them makes them overlap.
const MAX_PROBES: usize = 16;
/// What was seen longer ago than this before the injection is forgotten: nobody knows how long a fault
/// will wait that has a trigger.
const BEFORE: Duration = Duration::from_secs(1);
/// One fault has at most so many observations; the bound is reached only if something above is wrong.
const MAX_OBSERVATIONS: usize = 100_000;

/// This is a subject made ready for looking at.
enum Watched {
    Link {
        link: Link,
        traffic: Box<Traffic>,
        /// The proxy held these bytes when counting began, to the server and back.
        held: (u64, u64),
    },
    Process(Child),
    Relay {
        child: Child,
        sent: Box<SentBeside>,
    },
}

/// Each fault that is looked at has one of these.
pub(super) struct Look {
    fault: u32,
    kind: FaultKind,
    clock: RunClock,
    observations: Vec<Observation>,
    stage: FaultStage,
    ours: OwnPorts,
    /// These probes are under way: stage and time they began in, place, and what came of them.
    probes: JoinSet<(FaultStage, i64, Link, Crossing)>,
    next_probe: Instant,
}

impl Look {
    /// Begins a look; `ours` holds the ports of all probes under way, whichever fault they are for.
    pub fn new(fault: u32, kind: FaultKind, clock: RunClock, ours: OwnPorts) -> Self {
        Self {
            fault,
            kind,
            clock,
            observations: Vec::new(),
            stage: FaultStage::Before,
            ours,
            probes: JoinSet::new(),
            next_probe: Instant::now(),
        }
    }

    /// Looks until the inbox closes: the observations, and what kept some from being taken.
    pub async fn run(
        mut self,
        subjects: Vec<Subject>,
        every: Duration,
        mut inbox: mpsc::Receiver<(FaultStage, oneshot::Sender<()>)>,
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
        loop {
            tokio::select! {
                command = inbox.recv() => {
                    let Some((stage, reached)) = command else { break };
                    let entered = self.enter(stage, &mut watched, &mut table);
                    trouble = trouble.or(entered.err());
                    let _ = reached.send(());
                }
                _ = looks.tick(), if self.looking() => {
                    let looked = self.tick(every, &mut watched, &mut table);
                    trouble = trouble.or(looked.err());
                }
                Some(probe) = self.probes.join_next(), if !self.probes.is_empty() => {
                    if let Ok((stage, began_ns, link, crossing)) = probe {
                        self.crossed(stage, began_ns, link, crossing);
                    }
                }
            }
        }
        (self.observations, trouble)
    }

    /// One look of many, and a probe with it when it is time for one.
    fn tick(
        &mut self,
        every: Duration,
        watched: &mut [Watched],
        table: &mut SocketTable,
    ) -> Result<(), String> {
        self.forget(self.clock.now_ns());
        let looked = self.look(watched, table);
        let now = Instant::now();
        if now >= self.next_probe {
            self.next_probe = now + asked_every(needs(self.kind).question, self.stage, every);
            self.probe(watched);
        }
        looked
    }

    /// Drops what is too old to tell how it was right before the injection.
    fn forget(&mut self, now_ns: i64) {
        if self.stage == FaultStage::Before {
            let before_ns = i64::try_from(BEFORE.as_nanos()).unwrap_or(i64::MAX);
            let oldest_ns = now_ns.saturating_sub(before_ns);
            self.observations.retain(|o| o.at_ns >= oldest_ns);
        }
    }

    fn looking(&self) -> bool {
        matches!(
            self.stage,
            FaultStage::Before | FaultStage::During | FaultStage::After
        )
    }

    /// Each stage begins, and ends, with a look.
    fn enter(
        &mut self,
        stage: FaultStage,
        watched: &mut [Watched],
        table: &mut SocketTable,
    ) -> Result<(), String> {
        match stage {
            FaultStage::Injecting | FaultStage::Healing => {
                let looked = self.look(watched, table);
                self.stage = stage;
                let mark = if stage == FaultStage::Injecting {
                    name::INJECTING
                } else {
                    name::HEALING
                };
                for one in watched.iter_mut() {
                    self.note(one.place(), mark, 1.0);
                }
                looked
            }
            FaultStage::During => {
                self.begin_counting(watched, table)?;
                self.stage = stage;
                self.look(watched, table)
            }
            FaultStage::Before | FaultStage::After => {
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
            match one {
                Watched::Link { traffic, held, .. } => {
                    *held = traffic.held();
                    traffic.mark();
                }
                Watched::Relay { sent, .. } => sent.mark(),
                Watched::Process(_) => {}
            }
        }
        Ok(())
    }

    fn refresh(&self, watched: &mut [Watched], table: &mut SocketTable) -> Result<(), String> {
        if watched.iter().all(|w| matches!(w, Watched::Process(_))) {
            return Ok(());
        }
        let sockets = table
            .connected()
            .map_err(|e| format!("cannot ask the kernel for its sockets (sock_diag): {e}"))?;
        let ours = self.ours.now();
        for one in watched.iter_mut() {
            match one {
                Watched::Link { traffic, .. } => traffic.update(&sockets, &ours),
                Watched::Relay { child, sent } => sent.update(&sockets, &held_by(&child.tree())),
                Watched::Process(_) => {}
            }
        }
        Ok(())
    }

    fn look(&mut self, watched: &mut [Watched], table: &mut SocketTable) -> Result<(), String> {
        self.refresh(watched, table)?;
        for one in watched.iter() {
            match one {
                Watched::Link { traffic, held, .. } => {
                    for (name, value) in reading::of_link(self.kind, traffic, *held) {
                        self.note(one.place(), name, value);
                    }
                }
                Watched::Process(child) => {
                    if self.kind == FaultKind::Pause {
                        let threads = stillness::threads(&child.tree());
                        for (name, value) in reading::of_process(threads) {
                            self.note(one.place(), name, value);
                        }
                    }
                }
                Watched::Relay { child, sent } => {
                    self.note(child.name(), name::SENT_BYTES, sent.bytes() as f64);
                }
            }
        }
        Ok(())
    }

    /// Starts one probe a link, where this kind of fault is known by probes.
    fn probe(&mut self, watched: &[Watched]) {
        let Some(question) = needs(self.kind).question else {
            return;
        };
        let stage = self.stage;
        for one in watched {
            let Watched::Link { link, traffic, .. } = one else {
                continue;
            };
            if self.probes.len() >= MAX_PROBES {
                return;
            }
            let (link, addresses, ours) = (*link, traffic.addresses(), self.ours.clone());
            let began_ns = self.clock.now_ns();
            self.probes.spawn(async move {
                let crossing = match question {
                    Question::IsRefused => connects(&addresses, &ours).await,
                    Question::IsReset { within } | Question::Crossing { within } => {
                        crosses(link, &addresses, &ours, within).await
                    }
                };
                (stage, began_ns, link, crossing)
            });
        }
    }

    /// A probe counts only if it began and ended in one stage: one that the injection or the
    /// healing overtook says nothing about either.
    fn crossed(&mut self, stage: FaultStage, began_ns: i64, link: Link, crossing: Crossing) {
        if stage != self.stage {
            return;
        }
        let question = needs(self.kind).question;
        if let Some((name, value)) = question.and_then(|asked| told(asked, crossing)) {
            self.push(link.name(), name, began_ns, value);
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
            Self::Process(child) | Self::Relay { child, .. } => child.name(),
        }
    }
}

fn ready(subject: Subject, table: &mut SocketTable) -> Result<Watched, String> {
    match subject {
        Subject::Process(child) => Ok(Watched::Process(child)),
        Subject::Relay { child, database } => Ok(Watched::Relay {
            child,
            sent: Box::new(SentBeside::beside(&database)?),
        }),
        Subject::Link {
            link,
            route,
            shared,
        } => {
            let traffic = Traffic::new(&route, shared, table)?;
            Ok(Watched::Link {
                link,
                traffic: Box::new(traffic),
                held: (0, 0),
            })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{Proxy, StagedConnection, send, soon};
    use crate::scenario::{Stream, Toxic};
    use tokio::net::TcpListener;

    const LINK: Link = Link::RELAY_KAFKA;
    const OTHER: Link = Link::ORDERS_KAFKA;
    /// So rarely that a test sees but one.
    const RARELY: Duration = Duration::from_secs(3600);

    fn upstream(toxic: Toxic) -> FaultKind {
        FaultKind::Toxic {
            toxic,
            stream: Stream::Upstream,
            toxicity: 1.0,
        }
    }

    /// A fault on links of proxies of this process.
    struct Given {
        look: Look,
        watched: Vec<Watched>,
        table: SocketTable,
    }

    impl Given {
        fn fault(kind: FaultKind, links: &[(Link, &Proxy)]) -> Self {
            let mut table = SocketTable::open().unwrap();
            let links = links.iter().map(|(link, proxy)| Subject::Link {
                link: *link,
                route: proxy.route(),
                shared: false,
            });
            let watched = links.map(|s| ready(s, &mut table).unwrap()).collect();
            let look = Look::new(3, kind, RunClock::start(), OwnPorts::default());
            let mut given = Self {
                look,
                watched,
                table,
            };
            given
                .look
                .begin_counting(&mut given.watched, &mut given.table)
                .unwrap();
            given
        }

        fn enter(&mut self, stage: FaultStage) {
            let entered = self.look.enter(stage, &mut self.watched, &mut self.table);
            entered.unwrap();
        }

        fn tick(&mut self, every: Duration) {
            let looked = self.look.tick(every, &mut self.watched, &mut self.table);
            looked.unwrap();
        }

        /// Names and values that were observed since this was last asked.
        fn observed(&mut self) -> Vec<(String, f64)> {
            let observations = std::mem::take(&mut self.look.observations);
            let of = |o: Observation| {
                assert_eq!((o.fault, &*o.place), (3, LINK.name()));
                (o.name, o.value)
            };
            observations.into_iter().map(of).collect()
        }
    }

    /// What is read of one standing connection when so much went in and came out since counting began.
    fn swallowed(bytes_in: f64, bytes_out: f64, silent: f64) -> Vec<(String, f64)> {
        let readings = [
            (name::SOCKETS, 1.0),
            (name::NEAR_BYTES, bytes_in),
            (name::IN_BYTES, bytes_in),
            (name::OUT_BYTES, bytes_out),
            (name::SILENT, silent),
        ];
        readings
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn marked(mut readings: Vec<(String, f64)>, mark: &str) -> Vec<(String, f64)> {
        readings.push((mark.to_owned(), 1.0));
        readings
    }

    fn both_ways(ends: &StagedConnection, bytes_in: usize, bytes_out: usize) {
        send(&ends.client, &ends.accepted, bytes_in);
        send(&ends.far, &ends.server, bytes_out);
    }

    #[tokio::test]
    async fn each_stage_begins_and_ends_with_a_look_and_what_counts_is_counted_from_the_injection()
    {
        let proxy = Proxy::open();
        let ends = proxy.connect();
        both_ways(&ends, 10, 10);
        let kind = upstream(Toxic::Timeout { timeout: 0 });
        let mut given = Given::fault(kind, &[(LINK, &proxy)]);
        both_ways(&ends, 5, 3);
        given.enter(FaultStage::Injecting);
        let before = swallowed(5.0, 3.0, 1.0);
        assert_eq!(given.observed(), marked(before, name::INJECTING));
        assert!(!given.look.looking());
        // When more goes in while it is injected, of which the proxy lets nothing out
        both_ways(&ends, 100, 0);
        given.enter(FaultStage::During);
        assert!(given.look.looking());
        let mut during = swallowed(0.0, 0.0, 0.0);
        // Then what it held already is in it, which no byte has asked for since
        during[2].1 = 102.0;
        assert_eq!(given.observed(), during);
        both_ways(&ends, 1_000, 7);
        given.tick(RARELY);
        let mut later = swallowed(1_000.0, 7.0, 1.0);
        later[2].1 = 1_102.0;
        assert_eq!(given.observed(), later);
        given.enter(FaultStage::Healing);
        assert_eq!(given.observed(), marked(later.clone(), name::HEALING));
        assert!(!given.look.looking());
        // And nothing begins anew with its end.
        given.enter(FaultStage::After);
        assert_eq!(given.observed(), later);
        assert!(given.look.looking());
    }

    #[tokio::test]
    async fn what_is_observed_has_the_time_at_which_it_was() {
        let proxy = Proxy::open();
        let mut given = Given::fault(FaultKind::Down, &[(LINK, &proxy)]);
        let from_ns = given.look.clock.now_ns();
        given.enter(FaultStage::Injecting);
        let until_ns = given.look.clock.now_ns();
        let times: Vec<i64> = given.look.observations.iter().map(|o| o.at_ns).collect();
        assert!(times.is_sorted());
        assert!(times.iter().all(|at| (from_ns..=until_ns).contains(at)));
        // And a probe's is that at which it began.
        given.look.stage = FaultStage::During;
        given.look.observations.clear();
        given
            .look
            .crossed(FaultStage::During, 77, LINK, Crossing::Refused);
        assert_eq!(given.look.observations[0].at_ns, 77);
        assert_eq!(given.observed(), [(name::PROBE_REFUSED.to_owned(), 1.0)]);
    }

    #[tokio::test]
    async fn before_the_injection_no_more_is_kept_than_its_last_second() {
        const SECOND: i64 = 1_000_000_000;
        let mut given = Given::fault(FaultKind::Down, &[]);
        let look = &mut given.look;
        let kept =
            |look: &Look| -> Vec<i64> { look.observations.iter().map(|o| o.at_ns).collect() };
        for at_ns in [0, 1, 5, SECOND + 1] {
            look.push("here", name::SOCKETS, at_ns, 0.0);
        }
        look.forget(SECOND + 1);
        assert_eq!(kept(look), [1, 5, SECOND + 1]);
        // From the injection on all of it stands
        for stage in [
            FaultStage::Injecting,
            FaultStage::During,
            FaultStage::Healing,
            FaultStage::After,
        ] {
            look.stage = stage;
            look.forget(100 * SECOND);
            assert_eq!(kept(look), [1, 5, SECOND + 1]);
        }
    }

    #[tokio::test]
    async fn a_look_forgets_what_is_too_old() {
        let mut given = Given::fault(FaultKind::Down, &[]);
        given.look.push("here", name::SOCKETS, -2_000_000_000, 0.0);
        given.tick(RARELY);
        assert!(given.observed().is_empty());
    }

    #[tokio::test]
    async fn observations_are_bounded() {
        let mut given = Given::fault(FaultKind::Down, &[]);
        for at_ns in 0..100_002 {
            given.look.push("", "", at_ns, 0.0);
        }
        assert_eq!(given.look.observations.len(), 100_000);
        assert_eq!(given.look.observations[99_999].at_ns, 99_999);
    }

    #[tokio::test]
    async fn a_probe_that_the_injection_or_the_healing_overtook_tells_nothing() {
        let proxy = Proxy::open();
        let mut given = Given::fault(FaultKind::Down, &[(LINK, &proxy)]);
        let stages = [
            FaultStage::Before,
            FaultStage::Injecting,
            FaultStage::During,
            FaultStage::Healing,
            FaultStage::After,
        ];
        for ended in stages {
            for began in stages {
                given.look.stage = ended;
                given.look.crossed(began, 0, LINK, Crossing::Refused);
                assert_eq!(given.observed().len(), usize::from(began == ended));
            }
        }
    }

    #[tokio::test]
    async fn each_link_is_asked_when_it_is_time_and_not_at_every_look() {
        let (proxy, other) = (Proxy::open(), Proxy::open());
        let links = [(LINK, &proxy), (OTHER, &other)];
        let mut given = Given::fault(FaultKind::Down, &links);
        given.tick(RARELY);
        assert_eq!(given.look.probes.len(), 2);
        given.tick(RARELY);
        assert_eq!(given.look.probes.len(), 2);
        // A link that is down is asked at each look
        let mut given = Given::fault(FaultKind::Down, &links);
        given.look.stage = FaultStage::During;
        given.tick(Duration::ZERO);
        given.tick(Duration::ZERO);
        assert_eq!(given.look.probes.len(), 4);
        // And one that observing is enough for is not asked at all
        let narrow = upstream(Toxic::Bandwidth { rate: 1 });
        let mut given = Given::fault(narrow, &links);
        given.tick(RARELY);
        assert!(given.look.probes.is_empty());
    }

    #[tokio::test]
    async fn probes_that_do_not_end_are_bounded() {
        let (proxy, other) = (Proxy::open(), Proxy::open());
        let slow = upstream(Toxic::Latency {
            latency: 60_000,
            jitter: 0,
        });
        let mut given = Given::fault(slow, &[(LINK, &proxy), (OTHER, &other)]);
        for _ in 0..MAX_PROBES {
            given.look.probe(&given.watched);
        }
        assert_eq!(given.look.probes.len(), MAX_PROBES);
    }

    #[tokio::test]
    async fn given_a_link_when_it_is_watched_then_its_own_probes_are_asked_and_are_not_the_systems()
    {
        let proxy = Proxy::open();
        let route = proxy.route();
        proxy.listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(proxy.listener).unwrap();
        let look = Look::new(3, FaultKind::Down, RunClock::start(), OwnPorts::default());
        let (commands, inbox) = mpsc::channel(1);
        let subject = Subject::Link {
            link: LINK,
            route,
            shared: false,
        };
        let often = Duration::from_millis(1);
        let running = tokio::spawn(look.run(vec![subject], often, inbox));
        let enters = async |stage| {
            let (done, reached) = oneshot::channel();
            commands.send((stage, done)).await.unwrap();
            soon(reached).await.unwrap();
        };
        drop(soon(listener.accept()).await.unwrap());
        enters(FaultStage::Injecting).await;
        enters(FaultStage::During).await;
        // Those from before may be among them, and the last ones need not have been seen to end.
        for _ in 0..=2 * MAX_PROBES {
            drop(soon(listener.accept()).await.unwrap());
        }
        enters(FaultStage::Healing).await;
        drop(commands);
        let (observations, trouble) = soon(running).await.unwrap();
        assert_eq!(trouble, None);
        let values = |name: &str| -> Vec<f64> {
            let named = observations.iter().filter(|o| o.name == name);
            named.map(|o| o.value).collect()
        };
        assert!(!values(name::PROBE_REFUSED).is_empty());
        let sockets = values(name::SOCKETS);
        assert!(!sockets.is_empty() && sockets.iter().all(|s| *s == 0.0));
        assert!(values(name::NEAR_BYTES).iter().all(|b| *b == 0.0));
        assert_eq!(values(name::INJECTING), [1.0]);
        assert_eq!(values(name::HEALING), [1.0]);
    }

    #[tokio::test]
    async fn given_a_link_that_cannot_be_looked_at_then_that_is_said() {
        let connect = "a name without a port".to_owned();
        let subject = Subject::Link {
            link: LINK,
            route: crate::stack::Route {
                connect,
                ..Proxy::open().route()
            },
            shared: false,
        };
        let look = Look::new(3, FaultKind::Down, RunClock::start(), OwnPorts::default());
        let (_commands, inbox) = mpsc::channel(1);
        let (observations, trouble) = look.run(vec![subject], RARELY, inbox).await;
        assert!(observations.is_empty());
        assert!(trouble.unwrap().starts_with("cannot resolve"));
    }
}
