//! An outbox that Debezium reads from the write-ahead log, in a Kafka Connect worker.

use super::{Keep, StrategyParts, cdc};
use crate::debezium::{Install, Worker};
use crate::process::ChildSpec;
use crate::process::reaper::Reaper;
use crate::run::RunError;
use crate::run::arena::{Arena, RELAY, failed};
use crate::scenario::Link;
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::WritePathConfig;
use relays::schema::OutboxKind;
use std::path::Path;

pub(super) struct Debezium;

impl StrategyParts for Debezium {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Fleeting
    }

    fn write_path(&self, _: &Arena<'_>) -> WritePathConfig {
        WritePathConfig::Outbox { notify: false }
    }

    fn relay(&self, arena: &Arena<'_>) -> Result<Option<ChildSpec>, RunError> {
        let worker = Worker {
            postgres: arena.postgres(Link::RelayPostgres, arena.layout.relay_role()),
            kafka: arena.kafka(Link::RelayKafka),
            heartbeat_topic: heartbeat_topic(&arena.topic_name),
            slot: arena.layout.slot(),
            publication: arena.layout.publication(),
            rest: arena.relay_address,
        };
        let install = install(arena.stack)?;
        let folder = arena.folder.join("connect").join(&arena.strategy.name);
        let log = arena.log(RELAY);
        let child = worker.child(RELAY, &install, &folder, &log, arena.stack.info());
        child
            .map(Some)
            .map_err(|e| failed("configuring Debezium", &e))
    }

    fn pending<'a>(
        &'a self,
        arena: &'a Arena<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        cdc::in_slot(arena, keep)
    }

    fn make_ready<'a>(
        &'a self,
        stack: &'a Stack,
        _: &'a Reaper,
        _: &'a Path,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        async { install(stack).map(drop) }.boxed()
    }

    fn topics_beside(&self, topic: &str) -> Vec<String> {
        vec![heartbeat_topic(topic)]
    }

    fn relay_commit(&self) -> Option<String> {
        Some("none: it commits nothing".to_owned())
    }

    fn describe(&self, stack: &Stack, _: &str) -> Vec<(String, String)> {
        let install = install(stack).ok();
        install
            .map(|install| ("debezium".to_owned(), install.describe()))
            .into_iter()
            .collect()
    }
}

fn heartbeat_topic(topic: &str) -> String {
    format!("{topic}.heartbeat")
}

/// Kafka Connect and Debezium, as the install script put them.
pub(crate) fn install(stack: &Stack) -> Result<Install, RunError> {
    let doing = "looking for Kafka Connect and Debezium";
    let programs = stack.programs().ok_or_else(|| {
        failed(
            doing,
            &"no `.stack` folder here: run stack/install.sh in the checkout, or name its `.stack` \
              folder with --programs",
        )
    })?;
    Install::find(programs).map_err(|e| failed(doing, &e))
}
