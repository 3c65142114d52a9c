//! For how long orders have been locked by a transaction that was prepared, and that nobody has ended.

use super::{Sampler, has_ended};
use crate::database::postgres::{fence, in_doubt};
use crate::history::Sample;
use crate::measure::BLOCKED_ORDERS_MS;
use relays::postgres::schema::OutboxKind;
use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What is shorter than this is mostly not seen: a two-phase commit that nothing disturbs.
const EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Sampler {
    /// Samples a strategy that commits in two phases, until `stop` turns true; the others prepare nothing.
    pub(super) async fn of_prepared(&self, mut stop: watch::Receiver<bool>) -> Vec<Sample> {
        let (mut samples, mut connection) = (Vec::new(), None);
        if self.layout.outbox != OutboxKind::Decisions {
            return samples;
        }
        loop {
            samples.extend(self.oldest(&mut connection).await);
            if has_ended(&mut stop, EVERY).await {
                return samples;
            }
        }
    }

    /// The age of the oldest one; `None` where the server does not answer.
    async fn oldest(&self, connection: &mut Option<PgConnection>) -> Option<Sample> {
        let mut session = match connection.take() {
            Some(session) => session,
            None => fence::connect(&self.admin, Instant::now()).await.ok()?,
        };
        let role = self.layout.service_role();
        let asked_ns = self.clock.now_ns();
        let asked = in_doubt::oldest_ms(&mut session, &role);
        let value = tokio::time::timeout(ANSWER_WITHIN, asked)
            .await
            .ok()?
            .ok()?;
        *connection = Some(session);
        Some(Sample {
            series: BLOCKED_ORDERS_MS.to_owned(),
            // By the server's answer it is at least so old.
            at_ns: asked_ns,
            value,
        })
    }
}
