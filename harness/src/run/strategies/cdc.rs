//! An outbox that a relay of our own reads from the write-ahead log.

use super::{Held, Keep, StrategyParts};
use crate::fence::pending;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::arena::Arena;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{CommitMode, SourceConfig, WritePathConfig};
use relays::schema::OutboxKind;

pub(super) struct Cdc {
    pub commit: CommitMode,
}

impl StrategyParts for Cdc {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Cdc
    }

    fn write_path(&self, _: &Arena<'_>) -> WritePathConfig {
        WritePathConfig::Outbox { notify: false }
    }

    fn relay(&self, arena: &Arena<'_>) -> Result<Option<ChildSpec>, RunError> {
        let source = SourceConfig::Cdc {
            slot: arena.layout.slot(),
            publication: arena.layout.publication(),
        };
        arena.own_relay(source, self.commit).map(Some)
    }

    fn pending<'a>(
        &'a self,
        arena: &'a Arena<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        in_slot(arena, keep)
    }

    fn relay_commit(&self) -> Option<String> {
        Some(self.commit.name().to_owned())
    }
}

/// What the strategy's slot has not had confirmed.
pub(super) fn in_slot<'a>(
    arena: &'a Arena<'_>,
    keep: Keep<'a>,
) -> BoxFuture<'a, Result<u64, String>> {
    async move {
        let (slot, publication) = (arena.layout.slot(), arena.layout.publication());
        pending::in_slot(arena.admin(), &slot, &publication, |lsn, payload| {
            keep(Held::Event { lsn, payload });
        })
        .await
    }
    .boxed()
}
