//! The schema of a consumer, in which its effects are.

use super::effects;
use crate::clock::RunClock;
use crate::history::{EffectRow, Rows};
use crate::identity::Identity;
use crate::scenario::{Link, Server};
use crate::stack::StackInfo;
use relays::config::PostgresTarget;
use relays::consumer::{EffectKind, Idempotency};
use relays::postgres::schema::{self, Layout, SchemaError};

/// It is in the stack's database, with the names of this layout.
pub(crate) struct ConsumerSchema {
    /// The administrator's way to the stack's database, around all proxies.
    admin: PostgresTarget,
    layout: Layout,
}

impl ConsumerSchema {
    /// Consumers reach it by this link.
    pub(crate) const LINK: Link = Link::Consumer(Server::POSTGRES);

    /// The one of these names on a stack.
    pub(crate) fn on(info: &StackInfo, layout: Layout) -> Self {
        Self {
            admin: info.postgres.clone(),
            layout,
        }
    }

    /// Makes it, with what such an effect needs.
    pub(crate) async fn create(
        &self,
        effect: EffectKind,
        idempotency: Idempotency,
    ) -> Result<(), SchemaError> {
        schema::create_consumer(&self.admin, &self.layout, effect, idempotency).await
    }

    /// Removes whatever of it is there.
    pub(crate) async fn drop_all(&self) -> Result<(), SchemaError> {
        schema::drop_all(&self.admin, &self.layout).await
    }

    /// Returns how its consumer reaches it: by a proxy at this `host` and port, where there is one.
    pub(crate) fn login(&self, proxied: Option<(String, u16)>) -> PostgresTarget {
        let direct = self.layout.inside(&self.admin);
        let (host, port) = proxied.unwrap_or_else(|| (direct.host.clone(), direct.port));
        PostgresTarget {
            host,
            port,
            user: self.layout.service_role(),
            password: self.layout.password.clone(),
            ..direct
        }
    }

    /// Reads what its consumer did, in the order in which it was done; the consumer has this index in the scenario.
    pub(crate) async fn effects(
        &self,
        of_run: (&Identity, &RunClock),
        consumer: u32,
    ) -> Result<Rows<EffectRow>, String> {
        effects::read(&self.admin, &self.layout, of_run, consumer).await
    }
}
