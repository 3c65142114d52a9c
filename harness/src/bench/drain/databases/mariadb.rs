//! MariaDB in a drain.

mod backlog;

use super::DrainDatabase;
use crate::bench::drain::subjects::{DrainSubject, MARIADB};
use crate::run::deployment::Deployment;
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;

pub(super) struct MariaDbDrain;

impl DrainDatabase for MariaDbDrain {
    fn rows(&self, _: bool) -> &'static [DrainSubject] {
        &MARIADB
    }

    fn limits(&self, _: bool, publish: &str) -> String {
        format!(
            "Limits: the claims are the relay's own statements with the same number of rows each, timed \
             from connecting to the last commit. read-binlog: the same log from where a relay would \
             begin to its end, with the relay's decoding; it deletes nothing and keeps no position. Both \
             are of the harness. {publish}"
        )
    }

    fn log_an_event(&self) -> &'static str {
        "WAL an event: how much the binlog grew from the end of the backlog until the work was done \
         and its process stopped, by events: marks, deletes, kept positions. The backlog is written \
         while nobody waits for the disk; then the server is told again to have each commit there."
    }

    fn before_each(&self) -> &'static str {
        ""
    }

    fn fill<'a>(
        &'a self,
        stack: &'a Stack,
        deployment: &'a Deployment<'_>,
        events: u32,
    ) -> BoxFuture<'a, Result<String, String>> {
        async move {
            let admin = stack.mariadb().map_err(|e| e.to_string())?;
            let (name, identity) = (&deployment.layout.name, &deployment.identity);
            backlog::fill(admin, name, identity, events).await
        }
        .boxed()
    }

    fn give_up<'a>(
        &'a self,
        _: &'a Stack,
        _: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), String>> {
        // They have a packet of statements left, which is soon done.
        async { Ok(()) }.boxed()
    }
}
