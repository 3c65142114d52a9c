//! PostgreSQL in a drain.

mod backlog;

use super::DrainDatabase;
use crate::bench::drain::subjects::{DrainSubject, OTHER_BROKER, USUAL};
use crate::run::deployment::Deployment;
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;

pub(super) struct PostgresDrain;

impl DrainDatabase for PostgresDrain {
    fn rows(&self, usual: bool) -> &'static [DrainSubject] {
        match usual {
            true => &USUAL,
            false => &OTHER_BROKER,
        }
    }

    fn limits(&self, usual: bool, publish: &str) -> String {
        match usual {
            true => {
                "Limits: pg_recvlogical writes the same stream to /dev/null, timed from its start of \
                 streaming to its end; the claims are the relay's own statements with the same number of \
                 rows each, from the harness, timed from connecting to the last commit."
                    .to_owned()
            }
            false => format!("Limit: {publish}"),
        }
    }

    fn log_an_event(&self) -> &'static str {
        "WAL an event: what the server wrote to its log from the end of the backlog until the work \
         was done and its process stopped, by events: marks, deletes, commits. It is the first work \
         on these pages since a checkpoint, so each page is in it once as a whole, where \
         full_page_writes is on; of a CDC relay, deletes that were still to come at its end are \
         not in it."
    }

    fn before_each(&self) -> &'static str {
        " Before each drain, a checkpoint, where the administrator may ask for one."
    }

    fn fill<'a>(
        &'a self,
        stack: &'a Stack,
        deployment: &'a Deployment<'_>,
        events: u32,
    ) -> BoxFuture<'a, Result<String, String>> {
        let schema = deployment.layout.schema();
        backlog::fill(&stack.info().postgres, schema, &deployment.identity, events).boxed()
    }

    fn give_up<'a>(
        &'a self,
        stack: &'a Stack,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), String>> {
        backlog::give_up(&stack.info().postgres, deployment.layout.schema()).boxed()
    }
}
