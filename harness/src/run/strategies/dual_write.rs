//! Two writes by the order service, and no outbox.

use super::{Keep, StrategyParts};
use crate::database::OutboxKind;
use crate::process::ChildSpec;
use crate::run::RunError;
use crate::run::deployment::Deployment;
use crate::scenario::{Instance, Link};
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{WriteOrder, WritePathConfig};
use relays::publish::PublishPolicy;
use std::time::Duration;

pub(super) struct DualWrite {
    pub order: WriteOrder,
    pub publish_timeout: Option<Duration>,
    pub policy: PublishPolicy,
}

impl StrategyParts for DualWrite {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::None
    }

    fn write_path(&self, deployment: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::DualWrite {
            order: self.order,
            publish_timeout_ms: self.publish_timeout.map(|d| d.as_millis() as u64),
            policy: self.policy,
            broker: deployment.broker_target(Link::Orders(deployment.broker_server())),
        }
    }

    fn relay(&self, _: &Deployment<'_>, _: Instance) -> Result<Option<ChildSpec>, RunError> {
        Ok(None)
    }

    fn pending<'a>(
        &'a self,
        _: &'a Deployment<'_>,
        _: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        async { Ok(0) }.boxed()
    }

    fn publish_within(&self, request_timeout: Duration) -> Duration {
        let one = self.publish_timeout.unwrap_or(request_timeout);
        self.policy.within(one)
    }

    fn relay_commit(&self) -> Option<String> {
        None
    }
}
