//! The rows of a drain: what takes the backlog, over which link, and what it stands next to.

use super::databases;
use crate::bench::systems::Systems;
use reports::bench::Role;

/// How PostgreSQL is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Socket,
    Proxied,
}

/// What takes the backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The strategy's relay publishes the backlog to the topic.
    Relay,
    /// `pg_recvlogical` receives the backlog, and writes it to `/dev/null`.
    Receive,
    /// What a relay decodes of the binlog is read, and nothing is published.
    ReadBinlog,
    /// The relay's SQL takes the backlog, and nothing is published.
    Claims,
    /// As many events of the same size are published, from memory: there is no backlog.
    Publish,
}

/// A row of the benchmark says what takes the backlog, over which link, and what it stands next to.
pub(super) struct DrainSubject {
    pub name: &'static str,
    /// Its strategy has this name in the benchmark's scenario.
    pub strategy: &'static str,
    pub transport: Transport,
    pub work: Work,
    pub role: Role,
    /// These are the rows that it limits.
    pub limit_of: &'static [&'static str],
    pub note: &'static str,
}

impl DrainSubject {
    fn is_debezium(&self) -> bool {
        self.strategy == DEBEZIUM.strategy
    }

    /// Why it cannot be measured on this stack.
    fn missing(&self, has: &Has) -> Option<String> {
        if self.transport == Transport::Socket && !has.socket {
            return Some("no Unix socket of PostgreSQL is known here".to_owned());
        }
        has.debezium
            .as_ref()
            .err()
            .filter(|_| self.is_debezium())
            .cloned()
    }

    /// Returns whether its name, or that of a row it limits, begins like this; `None` chooses every row.
    pub fn is_chosen(&self, beginning: Option<&str>) -> bool {
        let mut names = std::iter::once(&self.name).chain(self.limit_of);
        beginning.is_none_or(|b| names.any(|name| name.starts_with(b)))
    }
}

const fn relay(
    name: &'static str,
    strategy: &'static str,
    transport: Transport,
    note: &'static str,
) -> DrainSubject {
    DrainSubject {
        name,
        strategy,
        transport,
        work: Work::Relay,
        role: Role::Subject,
        limit_of: &[],
        note,
    }
}

const fn limit(
    name: &'static str,
    of: &DrainSubject,
    limit_of: &'static [&'static str],
    work: Work,
    note: &'static str,
) -> DrainSubject {
    DrainSubject {
        name,
        strategy: of.strategy,
        transport: of.transport,
        work,
        role: Role::Limit,
        limit_of,
        note,
    }
}

const DELETE: DrainSubject = relay(
    "polling-delete",
    "polling-delete",
    Transport::Tcp,
    "rows are deleted",
);
const DURABLE: DrainSubject = relay(
    "polling-durable",
    "polling-durable",
    Transport::Tcp,
    "rows are deleted, synchronous_commit on",
);
const MARK: DrainSubject = relay(
    "polling-mark",
    "polling-mark",
    Transport::Tcp,
    "rows are marked",
);
const TCP: DrainSubject = relay("cdc-tcp", "cdc", Transport::Tcp, "TCP on loopback");
const SOCKET: DrainSubject = relay("cdc-socket", "cdc", Transport::Socket, "Unix socket");
const PROXIED: DrainSubject = relay(
    "cdc-proxied",
    "cdc",
    Transport::Proxied,
    "PostgreSQL through Toxiproxy",
);
const DEBEZIUM: DrainSubject = DrainSubject {
    role: Role::Peer,
    ..relay(
        "debezium",
        "debezium",
        Transport::Tcp,
        "TCP on loopback, rows deleted as they are inserted; batch 8,192, queue 32,768, poll 10 ms",
    )
};
const CLAIMS: &str = "the same claims, committed, nothing published";
const RECEIVE: &str = "pg_recvlogical to /dev/null on the same link";

const CLAIMS_DELETE: DrainSubject = limit(
    "claims-delete",
    &DELETE,
    &[DELETE.name],
    Work::Claims,
    CLAIMS,
);
const BINLOG: DrainSubject = relay("cdc-binlog", "cdc", Transport::Tcp, "TCP on loopback");

/// The rows of PostgreSQL and Kafka, in the order of a round: each stands next to its limit. A further strategy is a line
/// here and a `[strategy]` in the benchmark's scenario.
pub(super) const USUAL: [DrainSubject; 12] = [
    DELETE,
    CLAIMS_DELETE,
    DURABLE,
    MARK,
    limit("claims-mark", &MARK, &[MARK.name], Work::Claims, CLAIMS),
    TCP,
    limit("receive-tcp", &TCP, &[TCP.name], Work::Receive, RECEIVE),
    SOCKET,
    limit(
        "receive-socket",
        &SOCKET,
        &[SOCKET.name],
        Work::Receive,
        RECEIVE,
    ),
    PROXIED,
    limit(
        "receive-proxied",
        &PROXIED,
        &[PROXIED.name],
        Work::Receive,
        RECEIVE,
    ),
    DEBEZIUM,
];

/// Those of PostgreSQL and another broker: what PostgreSQL gives is among the usual ones.
pub(super) const OTHER_BROKER: [DrainSubject; 3] = [
    DELETE,
    TCP,
    limit(
        PUBLISH,
        &DELETE,
        &[DELETE.name, TCP.name],
        Work::Publish,
        PUBLISHED,
    ),
];

/// Those of MariaDB and any broker.
pub(super) const MARIADB: [DrainSubject; 5] = [
    DELETE,
    CLAIMS_DELETE,
    BINLOG,
    limit(
        "read-binlog",
        &BINLOG,
        &[BINLOG.name],
        Work::ReadBinlog,
        "the same decoding of the same log, nothing published, deleted or kept",
    ),
    limit(
        PUBLISH,
        &DELETE,
        &[DELETE.name, BINLOG.name],
        Work::Publish,
        PUBLISHED,
    ),
];
const PUBLISH: &str = "publish";
const PUBLISHED: &str =
    "as many events from memory, by the relay's publisher with its confirms, no database";

/// Returns all rows of these systems, in the order of a round.
pub(super) fn of(systems: Systems) -> &'static [DrainSubject] {
    databases::of(systems.database).rows(systems.are_usual())
}

/// What a row may need and a stack need not have.
pub(super) struct Has {
    /// This is true where the folder of PostgreSQL's Unix socket is known.
    pub socket: bool,
    /// What Debezium runs on; else what is missing, with the remedy.
    pub debezium: Result<String, String>,
}

/// These rows are measured on this stack, and others are left out.
pub(super) struct Rows {
    pub subjects: Vec<&'static DrainSubject>,
    /// A line for each row that this stack cannot have.
    pub left_out: Vec<String>,
    /// What Debezium runs on, where it has a row.
    pub debezium: Option<String>,
}

/// The rows of that beginning that the stack can have; the error says why it can have none.
pub(super) fn choose(systems: Systems, beginning: Option<&str>, has: Has) -> Result<Rows, String> {
    let (mut subjects, mut left_out) = (Vec::new(), Vec::new());
    for subject in of(systems).iter().filter(|s| s.is_chosen(beginning)) {
        match subject.missing(&has) {
            None => subjects.push(subject),
            Some(why) => left_out.push(format!("Left out: {}: {why}", subject.name)),
        }
    }
    if subjects.is_empty() {
        return Err(left_out.join("; "));
    }
    let debezium = has.debezium.ok();
    Ok(Rows {
        debezium: debezium.filter(|_| subjects.iter().any(|s| s.is_debezium())),
        subjects,
        left_out,
    })
}

/// Which row is held against which: each relay against its limit, against the peers on the same
/// link, and what its commits cost it against the same without them.
pub(super) fn pairs(subjects: &[&DrainSubject]) -> Vec<(&'static str, &'static str)> {
    let limits = subjects
        .iter()
        .flat_map(|s| s.limit_of.iter().map(|of| (*of, s.name)));
    let peers = subjects.iter().filter(|s| s.role == Role::Peer);
    let against_peers = peers.flat_map(|peer| {
        let alike =
            move |s: &&&DrainSubject| s.role == Role::Subject && s.transport == peer.transport;
        let subjects = subjects.iter().filter(alike);
        subjects.map(|s| (s.name, peer.name))
    });
    let is_there = |wanted: &DrainSubject| subjects.iter().any(|s| s.name == wanted.name);
    let durable = is_there(&DURABLE) && is_there(&DELETE);
    let of_commits = durable.then_some((DURABLE.name, DELETE.name));
    limits.chain(against_peers).chain(of_commits).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use relays::config::{BrokerKind, DatabaseKind};

    fn bare() -> Has {
        Has {
            socket: false,
            debezium: Err("no jars: run stack/install.sh".to_owned()),
        }
    }

    #[test]
    fn a_row_that_the_stack_cannot_have_is_left_out_by_name() {
        let rows = choose(Systems::default(), None, bare()).unwrap();
        assert_eq!(rows.subjects.len(), USUAL.len() - 3);
        assert_eq!(rows.left_out.len(), 3);
        assert!(rows.left_out[2].starts_with("Left out: debezium: no jars"));
        assert_eq!(rows.debezium, None);
        let reason = choose(Systems::default(), Some("debezium"), bare())
            .err()
            .unwrap();
        assert!(reason.contains("stack/install.sh"), "{reason}");
    }

    #[test]
    fn what_debezium_runs_on_is_told_where_it_has_a_row() {
        let whole = || Has {
            socket: true,
            debezium: Ok("3".to_owned()),
        };
        let rows = choose(Systems::default(), None, whole()).unwrap();
        assert_eq!((rows.subjects.len(), rows.left_out.len()), (12, 0));
        assert_eq!(rows.debezium.as_deref(), Some("3"));
        assert_eq!(
            choose(Systems::default(), Some("cdc"), whole())
                .unwrap()
                .debezium,
            None
        );
    }

    #[test]
    fn a_chosen_row_brings_its_limit() {
        let chosen = |beginning: &str| -> Vec<&str> {
            let all = USUAL.iter().filter(|s| s.is_chosen(Some(beginning)));
            all.map(|s| s.name).collect()
        };
        assert_eq!(chosen("cdc-tcp"), ["cdc-tcp", "receive-tcp"]);
        assert_eq!(chosen("polling").len(), 5);
        assert_eq!(chosen("debezium"), ["debezium"]);
    }

    #[test]
    fn relays_are_held_against_their_limits_and_the_peer_on_the_same_link() {
        let all: Vec<&DrainSubject> = USUAL.iter().collect();
        let pairs = pairs(&all);
        assert_eq!(pairs.len(), 10);
        assert!(pairs.contains(&("polling-durable", "polling-delete")));
        assert!(pairs.contains(&("cdc-tcp", "debezium")));
        assert!(pairs.contains(&("polling-delete", "debezium")));
        assert!(!pairs.contains(&("cdc-socket", "debezium")));
    }

    #[test]
    fn given_another_broker_or_database_then_each_relay_is_held_against_publishing_alone() {
        let pairs_of = |database, broker| {
            let rows = choose(Systems { database, broker }, None, bare()).unwrap();
            pairs(&rows.subjects)
        };
        for broker in [BrokerKind::RabbitMq, BrokerKind::Nats] {
            assert_eq!(
                pairs_of(DatabaseKind::Postgres, broker),
                [("polling-delete", "publish"), ("cdc-tcp", "publish")]
            );
        }
        for broker in BrokerKind::ALL {
            let expected = [
                ("polling-delete", "claims-delete"),
                ("cdc-binlog", "read-binlog"),
                ("polling-delete", "publish"),
                ("cdc-binlog", "publish"),
            ];
            assert_eq!(pairs_of(DatabaseKind::MariaDb, broker), expected);
        }
    }
}
