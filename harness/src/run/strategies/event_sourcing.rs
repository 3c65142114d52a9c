//! Events that are the truth, which a relay of our own publishes from where they are.

use super::cdc::{in_slot, log_of};
use super::{Held, Keep, StrategyParts};
use crate::database::postgres::pending;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::Deployment;
use crate::scenario::{Instance, Publishing};
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{CommitMode, Logged, SourceConfig, WritePathConfig};
use relays::postgres::schema::OutboxKind;

pub(super) struct EventSourcing {
    pub publish: Publishing,
}

impl StrategyParts for EventSourcing {
    fn outbox(&self) -> OutboxKind {
        match self.publish {
            Publishing::Polling { .. } => OutboxKind::Events,
            Publishing::Cdc => OutboxKind::LoggedEvents,
        }
    }

    fn write_path(&self, _: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::Events
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let source = match self.publish {
            Publishing::Polling { interval, batch } => SourceConfig::Position {
                interval_ms: interval.as_millis() as u64,
                batch,
            },
            Publishing::Cdc => log_of(deployment, Logged::Event),
        };
        deployment
            .own_relay(instance, source, CommitMode::default())
            .map(Some)
    }

    fn pending<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        match self.publish {
            Publishing::Polling { .. } => {
                let schema = deployment.layout.schema();
                pending::behind_position(deployment.admin(), schema, |payload| {
                    keep(Held::Event { lsn: 0, payload });
                })
                .boxed()
            }
            Publishing::Cdc => in_slot_or_table(deployment, keep).boxed(),
        }
    }

    /// A log is read in the order of its commits, whoever else is there.
    fn held_up<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<Option<String>, String>> {
        match self.publish {
            Publishing::Polling { .. } => {
                pending::above_the_horizon(deployment.admin(), &deployment.layout).boxed()
            }
            Publishing::Cdc => async { Ok(None) }.boxed(),
        }
    }

    /// From the log it reads without writing anything.
    fn relay_commit(&self) -> Option<String> {
        match self.publish {
            Publishing::Polling { .. } => Some(CommitMode::default().name().to_owned()),
            Publishing::Cdc => None,
        }
    }
}

/// What the slot still holds. Nothing comes from one that is lost, and its events stay where they are, those that it had
/// confirmed among them.
async fn in_slot_or_table(deployment: &Deployment<'_>, keep: Keep<'_>) -> Result<u64, String> {
    let (admin, layout) = (deployment.admin(), &deployment.layout);
    if !pending::is_lost(admin, &layout.slot()).await? {
        return in_slot(deployment, keep).await;
    }
    pending::in_events(admin, layout.schema(), |payload| {
        keep(Held::Event { lsn: 0, payload });
    })
    .await
}
