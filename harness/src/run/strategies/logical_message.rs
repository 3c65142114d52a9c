//! An outbox without a table: the event is in the write-ahead log alone, from where a relay of our own reads it.

use super::cdc::log_of;
use super::{Held, Keep, StrategyParts};
use crate::database::OutboxKind;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::Deployment;
use crate::scenario::Instance;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{CommitMode, Logged, WritePathConfig};

pub(super) struct LogicalMessage;

impl StrategyParts for LogicalMessage {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Message
    }

    fn write_path(&self, _: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::Message
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let source = log_of(deployment, Logged::Message);
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
            deployment.own_schema.messages_in_slot(hear).await
        }
        .boxed()
    }

    /// There is nothing that it could delete or mark.
    fn relay_commit(&self) -> Option<String> {
        None
    }
}
