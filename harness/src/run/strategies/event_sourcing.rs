//! Events that are the truth, which a relay of our own publishes from where they are.

use super::cdc::log_of;
use super::{Held, Keep, StrategyParts};
use crate::database::OutboxKind;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::Deployment;
use crate::scenario::{Instance, Publishing};
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{CommitMode, Logged, SourceConfig, WritePathConfig};

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
        async move {
            let hear = &mut |lsn, payload: &str| keep(Held::Event { lsn, payload });
            match self.publish {
                Publishing::Polling { .. } => deployment.own_schema.behind_position(hear).await,
                Publishing::Cdc => deployment.own_schema.in_slot_or_events(hear).await,
            }
        }
        .boxed()
    }

    /// A log is read in the order of its commits, whoever else is there.
    fn held_up<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<Option<String>, String>> {
        match self.publish {
            Publishing::Polling { .. } => deployment.own_schema.above_the_horizon().boxed(),
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
