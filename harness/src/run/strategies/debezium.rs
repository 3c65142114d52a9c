//! An outbox that Debezium reads from the write-ahead log, in a Kafka Connect worker.

use super::{Keep, StrategyParts, cdc};
use crate::database::{OutboxKind, Role};
use crate::debezium::{ConnectWorker, Install};
use crate::process::ChildSpec;
use crate::process::reaper::Reaper;
use crate::run::RunError;
use crate::run::deployment::{Deployment, RELAY, failed};
use crate::scenario::Instance;
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::WritePathConfig;
use std::path::Path;

pub(super) struct Debezium;

impl StrategyParts for Debezium {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Fleeting
    }

    fn write_path(&self, _: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::Outbox { notify: false }
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        _: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let worker = ConnectWorker {
            database: (deployment.own_schema)
                .login(Role::Relay, deployment.database_of_relay(Instance::FIRST)),
            broker: deployment.usual_broker_of_relay(Instance::FIRST),
            heartbeat_topic: heartbeat_topic(&deployment.topic_name),
            slot: deployment.layout.slot(),
            publication: deployment.layout.publication(),
            rest: deployment.relay_addresses[Instance::FIRST.index()],
        };
        let install = install(deployment.stack)?;
        let folder = deployment
            .folder
            .join("connect")
            .join(&deployment.strategy.name);
        let log = deployment.log(RELAY);
        let child = worker.child(RELAY, &install, &folder, &log, deployment.stack.info());
        child
            .map(Some)
            .map_err(|e| failed("configuring Debezium", &e))
    }

    fn pending<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        cdc::in_slot(deployment, keep)
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

/// Finds Kafka Connect and Debezium where the install script put them; an Err says what is not there.
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
