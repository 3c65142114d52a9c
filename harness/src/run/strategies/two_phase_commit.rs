//! Two writes by the order service in a two-phase commit, and a recoverer in the place of the relay.

use super::{Held, Keep, StrategyParts};
use crate::database::{OutboxKind, Role};
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::{Deployment, failed};
use crate::scenario::Instance;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{RecovererConfig, WritePathConfig};
use std::time::Duration;

/// The name of this program's subcommand.
const RECOVERER: &str = "recoverer";
/// An order service that lives has this much more time than its client before the recoverer steps in.
const BEYOND_THE_REQUEST: Duration = Duration::from_secs(1);

pub(super) struct TwoPhaseCommit {
    pub publish_timeout: Duration,
    pub transaction_timeout: Duration,
    pub in_doubt_after: Option<Duration>,
    pub producers: u32,
}

impl StrategyParts for TwoPhaseCommit {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Decisions
    }

    fn write_path(&self, deployment: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::TwoPhase {
            kafka: deployment.usual_broker_of_service(),
            publish_timeout_ms: self.publish_timeout.as_millis() as u64,
            transaction_timeout_ms: self.transaction_timeout.as_millis() as u64,
            producers: self.producers as usize,
        }
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let request_timeout = deployment.scenario.workload.request_timeout;
        let in_doubt_after = self
            .in_doubt_after
            .unwrap_or(request_timeout + BEYOND_THE_REQUEST);
        let layout = &deployment.layout;
        let config = RecovererConfig {
            database: (deployment.own_schema)
                .login(Role::Relay, deployment.database_of_relay(instance)),
            service_role: layout.service_role(),
            kafka: deployment.usual_broker_of_relay(instance),
            in_doubt_after_ms: in_doubt_after.as_millis() as u64,
        };
        deployment
            .own_child(RECOVERER, instance.name(), &config)
            .map(Some)
    }

    /// What one life of the order service may leave prepared, the next one needs once more.
    fn lay_out<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        async move {
            let needed = 2 * u64::from(self.producers);
            let checked = deployment.own_schema.can_prepare(needed).await;
            checked.map_err(|e| failed("looking whether PostgreSQL can prepare transactions", &e))
        }
        .boxed()
    }

    fn pending<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        async move {
            let decided = deployment.own_schema.decided().await?;
            let mut held = 0;
            for one in &decided {
                if one.is_heuristic {
                    keep(Held::Heuristic(&one.attempt));
                } else {
                    keep(Held::Attempt(&one.attempt));
                    held += 1;
                }
            }
            Ok(held)
        }
        .boxed()
    }

    /// Each of the two steps of the broker.
    fn publish_within(&self, _: Duration) -> Duration {
        2 * self.publish_timeout
    }

    fn recovers(&self) -> bool {
        true
    }

    /// The recoverer's commits wait for the disk.
    fn relay_commit(&self) -> Option<String> {
        Some("on".to_owned())
    }
}
