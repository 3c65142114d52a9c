//! Takes the raw observations of faults, on one thread of its own with a runtime of its own, so
//! that neither a busy load generator nor a wedged proxy's client delays a look.

use super::look::Look;
use super::probe::OwnPorts;
use super::subject::{FaultStage, Subject};
use crate::clock::RunClock;
use crate::history::Observation;
use crate::scenario::Fault;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A look every so often, or so many looks over the whole fault, whichever is rarer.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_A_FAULT: u32 = 1_000;
/// A process tree is walked through /proc, which costs more than asking for sockets.
const LOOK_AT_PROCESSES_EVERY: Duration = Duration::from_millis(100);

/// This stands for the observing thread. Dropping it ends all observation.
pub(crate) struct Observers {
    handle: tokio::runtime::Handle,
    /// These are the ports of the probes for all faults: those for one must not be taken for the system by another.
    ours: OwnPorts,
    _running: oneshot::Sender<()>,
}

impl Observers {
    /// Starts the observing thread; an Err says why the thread, or its runtime, could not be started.
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || {
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            ours: OwnPorts::default(),
            _running: running,
        })
    }

    /// Begins observing one fault's subjects.
    pub fn observe(
        &self,
        index: u32,
        fault: &Fault,
        subjects: Vec<Subject>,
        clock: RunClock,
    ) -> Observed {
        let (commands, inbox) = mpsc::channel(4);
        let (result, done) = oneshot::channel();
        let look = Look::new(index, fault.kind, clock, self.ours.clone());
        let on_processes = matches!(subjects.first(), Some(Subject::Process(_)));
        let every = looks_every(on_processes, fault.lasts);
        self.handle.spawn(async move {
            let _ = result.send(look.run(subjects, every, inbox).await);
        });
        Observed { commands, done }
    }
}

/// The pause between two looks at a fault that lasts so long.
fn looks_every(on_processes: bool, lasts: Duration) -> Duration {
    let often = if on_processes {
        LOOK_AT_PROCESSES_EVERY
    } else {
        LOOK_EVERY
    };
    often.max(lasts / LOOKS_A_FAULT)
}

/// One fault is under observation as long as this is kept.
pub(crate) struct Observed {
    commands: mpsc::Sender<(FaultStage, oneshot::Sender<()>)>,
    done: oneshot::Receiver<(Vec<Observation>, Option<String>)>,
}

impl Observed {
    /// The fault is about to be injected: no more looks until [`Observed::in_force`].
    pub async fn injecting(&self) {
        self.tell(FaultStage::Injecting).await;
    }
    /// The fault is in force.
    pub async fn in_force(&self) {
        self.tell(FaultStage::During).await;
    }
    /// It is about to be healed: no more looks until [`Observed::healed`].
    pub async fn healing(&self) {
        self.tell(FaultStage::Healing).await;
    }
    /// Tells the observers that the fault is healed; looks go on, the first of them before this returns.
    pub async fn healed(&self) {
        self.tell(FaultStage::After).await;
    }

    /// Returns once the stage is reached (and its first look taken).
    async fn tell(&self, stage: FaultStage) {
        let (done, reached) = oneshot::channel();
        if self.commands.send((stage, done)).await.is_ok() {
            let _ = reached.await;
        }
    }

    /// Ends it: the observations, and what kept some of them from being taken.
    pub async fn finish(self) -> (Vec<Observation>, Option<String>) {
        drop(self.commands);
        self.done
            .await
            .unwrap_or_else(|_| (Vec::new(), Some("the observing thread ended".into())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bite::name;
    use crate::evidence::fixture::{Proxy, send, soon};
    use crate::scenario::{FaultKind, Link, Start, Stream, Target, Toxic};
    use tokio::net::TcpListener;

    const LINK: Link = Link::RELAY_KAFKA;

    fn fault(kind: FaultKind) -> Fault {
        Fault {
            id: None,
            target: Target::Link(LINK),
            start: Start::At(Duration::ZERO),
            lasts: Duration::from_secs(1),
            kind,
        }
    }

    fn subject(proxy: &Proxy) -> Subject {
        Subject::Link {
            link: LINK,
            route: proxy.route(),
            shared: false,
        }
    }

    #[tokio::test]
    async fn given_a_fault_when_it_goes_its_way_then_all_of_it_is_observed() {
        let proxy = Proxy::open();
        let ends = proxy.connect();
        let narrow = FaultKind::Toxic {
            toxic: Toxic::Bandwidth { rate: 1 },
            stream: Stream::Upstream,
            toxicity: 1.0,
        };
        let observers = Observers::start().unwrap();
        let clock = RunClock::start();
        let observed = observers.observe(7, &fault(narrow), vec![subject(&proxy)], clock);
        send(&ends.client, &ends.accepted, 3_000);
        soon(observed.injecting()).await;
        send(&ends.client, &ends.accepted, 40_000);
        soon(observed.in_force()).await;
        let injected_ns = clock.now_ns();
        send(&ends.client, &ends.accepted, 500);
        soon(observed.healing()).await;
        let healing_ns = clock.now_ns();
        send(&ends.client, &ends.accepted, 20);
        soon(observed.healed()).await;
        let (observations, trouble) = soon(observed.finish()).await;
        assert_eq!(trouble, None);
        assert!(observations.iter().all(|o| o.fault == 7));
        let mark = |name: &str| {
            let mut found = observations.iter().filter(|o| o.name == name);
            let at_ns = found.next().unwrap().at_ns;
            assert!(found.next().is_none());
            at_ns
        };
        assert!(mark(name::INJECTING) < injected_ns);
        assert!((injected_ns..=healing_ns).contains(&mark(name::HEALING)));
        let went_in = observations.iter().filter(|o| o.name == name::IN_BYTES);
        let (until_healing, later): (Vec<_>, Vec<_>) = went_in.partition(|o| o.at_ns <= healing_ns);
        assert_eq!(until_healing.last().unwrap().value, 500.0);
        assert_eq!(later.last().unwrap().value, 520.0);
    }

    #[tokio::test]
    async fn given_two_faults_on_one_link_then_the_probes_for_the_one_are_not_the_others_system() {
        let proxy = Proxy::open();
        let observers = Observers::start().unwrap();
        let clock = RunClock::start();
        let slow = FaultKind::Toxic {
            toxic: Toxic::Latency {
                latency: 60_000,
                jitter: 0,
            },
            stream: Stream::Upstream,
            toxicity: 1.0,
        };
        let (first, second) = (vec![subject(&proxy)], vec![subject(&proxy)]);
        proxy.listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(proxy.listener).unwrap();
        let _slow = observers.observe(0, &fault(slow), first, clock);
        let (_its_probe, _) = soon(listener.accept()).await.unwrap();
        let down = observers.observe(1, &fault(FaultKind::Down), second, clock);
        soon(down.injecting()).await;
        let (observations, trouble) = soon(down.finish()).await;
        assert_eq!(trouble, None);
        let sockets = observations.iter().filter(|o| o.name == name::SOCKETS);
        let sockets: Vec<f64> = sockets.map(|o| o.value).collect();
        assert!(!sockets.is_empty() && sockets.iter().all(|s| *s == 0.0));
    }

    #[tokio::test]
    async fn given_an_observer_that_ended_when_a_fault_goes_on_then_that_is_said() {
        let proxy = Proxy::open();
        let observers = Observers::start().unwrap();
        let clock = RunClock::start();
        let down = fault(FaultKind::Down);
        let observed = observers.observe(0, &down, vec![subject(&proxy)], clock);
        drop(observers);
        soon(observed.commands.closed()).await;
        soon(observed.injecting()).await;
        let (observations, trouble) = soon(observed.finish()).await;
        assert!(observations.is_empty());
        assert_eq!(trouble.unwrap(), "the observing thread ended");
    }

    #[test]
    fn a_long_fault_is_looked_at_a_thousand_times_and_a_short_one_as_often_as_that_costs_little() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(looks_every(false, short), LOOK_EVERY);
        assert_eq!(looks_every(true, short), LOOK_AT_PROCESSES_EVERY);
        for on_processes in [false, true] {
            let every = looks_every(on_processes, long);
            assert_eq!(every, Duration::from_millis(3600));
        }
    }
}
