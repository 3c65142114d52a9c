//! An outbox whose rows a relay of our own claims with SQL.

use super::{Held, Keep, StrategyParts};
use crate::database::OutboxKind;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::Deployment;
use crate::scenario::Instance;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{AfterPublish, CommitMode, Housekeeping, SourceConfig, WritePathConfig};
use std::time::Duration;

pub(super) struct Polling {
    pub after_publish: AfterPublish,
    pub housekeeping: Housekeeping,
    pub interval: Duration,
    pub batch: u32,
    pub notify: bool,
    pub commit: CommitMode,
}

impl StrategyParts for Polling {
    fn outbox(&self) -> OutboxKind {
        match (self.housekeeping, self.after_publish) {
            (Housekeeping::Partitions { period_ms }, _) => OutboxKind::Partitions { period_ms },
            (Housekeeping::Rotate { period_ms, tables }, _) => {
                OutboxKind::Turns { period_ms, tables }
            }
            (Housekeeping::None | Housekeeping::Purge { .. }, AfterPublish::Delete) => {
                OutboxKind::Delete
            }
            (Housekeeping::None | Housekeeping::Purge { .. }, AfterPublish::Mark) => {
                OutboxKind::Mark
            }
        }
    }

    fn write_path(&self, _: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::Outbox {
            notify: self.notify,
        }
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let source = SourceConfig::Polling {
            after_publish: self.after_publish,
            housekeeping: self.housekeeping,
            interval_ms: self.interval.as_millis() as u64,
            batch: self.batch,
            notify: self.notify,
        };
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
            deployment
                .database
                .in_outbox(self.after_publish, hear)
                .await
        }
        .boxed()
    }

    fn relay_commit(&self) -> Option<String> {
        Some(self.commit.name().to_owned())
    }
}
