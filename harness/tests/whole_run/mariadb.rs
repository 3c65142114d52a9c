//! MariaDB as the database in a whole run: cut off, its server and the relays killed, with transactions held open.

use super::{passed_on, says_what_brings};
use harness::scenario::Server;

/// A way of each sort to publish, all of them from MariaDB.
const CUT_AND_KILLED: &str = r#"
name = "mariadb"
description = "MariaDB is cut off, then its server is killed, then the relays are."
seed = 7

[workload]
rate = 150
duration = "6s"
hold_ratio = 0.1
hold = "300ms"
request_timeout = "2s"
min_committed_per_phase = 0

[[fault]]
target = "mariadb"
kind = "down"
at = "1s"
for = "500ms"

[[fault]]
target = "mariadb-server"
kind = "kill"
at = "2500ms"
for = "200ms"

[[fault]]
target = "relay"
kind = "kill"
at = "4500ms"
for = "500ms"

[drain]
settle = "200ms"

[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "300ms"
database = "mariadb"

[strategy.polling]
kind = "polling"
after_publish = "mark"
database = "mariadb"

[strategy.cdc]
kind = "cdc"
database = "mariadb"

[expect.naive]
missing = 0
double_applied = 0

[expect.polling]
missing = 0

[expect.cdc]
missing = 0
"#;

#[test]
fn given_orders_in_mariadb_when_it_is_cut_off_and_killed_then_outboxes_lose_nothing_and_nothing_acknowledged_is_missing()
 {
    let Some((record, _)) = passed_on(Server::MARIADB, CUT_AND_KILLED) else {
        return;
    };
    assert_eq!(record.stack.environment["sync_binlog"], "1");
    let others = record.stack.others.iter();
    let others: Vec<&str> = others.map(|server| &*server.name).collect();
    assert_eq!(others, ["MariaDB"]);
    for strategy in &record.strategies {
        assert_eq!(strategy.orders_in, "mariadb");
        // The dual write has no relay to be killed.
        let unbitten = strategy
            .faults
            .iter()
            .find(|fault| fault.bit == Some(false));
        assert!(unbitten.is_none(), "{}: {unbitten:?}", strategy.name);
    }
}

#[test]
fn given_no_mariadb_when_a_strategy_has_its_orders_there_then_the_stack_says_what_brings_it() {
    says_what_brings("mariadb", CUT_AND_KILLED);
}
