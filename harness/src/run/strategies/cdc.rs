//! An outbox that a relay of our own reads from the write-ahead log.

use super::{Held, Keep, StrategyParts};
use crate::database::OutboxKind;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::Deployment;
use crate::scenario::Instance;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{CommitMode, Logged, SourceConfig, WritePathConfig};

pub(super) struct Cdc {
    pub commit: CommitMode,
}

impl StrategyParts for Cdc {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Cdc
    }

    fn write_path(&self, _: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::Outbox { notify: false }
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let source = deployment.database.log();
        deployment
            .own_relay(instance, source, self.commit)
            .map(Some)
    }

    fn pending<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        async move {
            let hear = &mut |lsn, payload: &str| keep(Held::Event { lsn, payload });
            deployment.database.in_log(hear).await
        }
        .boxed()
    }

    fn relay_commit(&self) -> Option<String> {
        Some(self.commit.name().to_owned())
    }
}

/// Where a relay of our own reads the strategy's events from the log.
pub(super) fn log_of(deployment: &Deployment<'_>, logged: Logged) -> SourceConfig {
    SourceConfig::Cdc {
        slot: deployment.layout.slot(),
        publication: deployment.layout.publication(),
        logged,
    }
}

/// What the strategy's slot has not had confirmed.
pub(super) fn in_slot<'a>(
    deployment: &'a Deployment<'_>,
    keep: Keep<'a>,
) -> BoxFuture<'a, Result<u64, String>> {
    async move {
        let hear = &mut |lsn, payload: &str| keep(Held::Event { lsn, payload });
        deployment.own_schema.in_slot(hear).await
    }
    .boxed()
}
