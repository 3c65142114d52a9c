//! Where a consumer does its effect: in its own database, or with somebody whom it calls.

use super::batch::ConsumedEvent;
use super::call::EffectCall;
use super::ending::EndSignal;
use super::sink::SinkClient;
use super::{CallInbox, ConsumerDatabase, EffectTransaction};
use contract::consumer::{ConsumerConfig, Idempotency};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Mutex;

pub(super) enum EffectSide {
    Transaction(EffectTransaction),
    Call(EffectCall),
}

/// What was not done of a batch, and why.
#[derive(Debug)]
pub(super) struct Undone {
    /// So many events from the first on are done; the one behind them may be done or not.
    pub done: usize,
    pub reason: String,
}

impl EffectSide {
    /// The side of one member of the group, counted from 0; `turn` is shared by all of them.
    pub fn new(
        config: &ConsumerConfig,
        member: u16,
        turn: &Arc<Mutex<()>>,
    ) -> Result<Self, String> {
        if let Some(transaction) = EffectTransaction::of(config, member, turn) {
            return Ok(Self::Transaction(transaction));
        }
        let Some(sink) = config.sink.clone() else {
            return Err("its configuration does not say whom it calls (`sink`)".to_owned());
        };
        Ok(Self::Call(EffectCall {
            sink: SinkClient::new(sink),
            inbox: match config.idempotency {
                Idempotency::Inbox => Some(CallInbox::new(config, member)),
                Idempotency::None | Idempotency::Key => None,
            },
            commit: config.commit,
            unwritten: BTreeSet::new(),
        }))
    }

    /// The database, if it needs one.
    fn database(&mut self) -> Option<&mut ConsumerDatabase> {
        match self {
            Self::Transaction(transaction) => Some(&mut transaction.database),
            Self::Call(call) => call.inbox.as_mut().map(|inbox| &mut inbox.database),
        }
    }

    /// Makes sure that there is what it needs.
    pub async fn connect(&mut self) -> Result<(), String> {
        match self.database() {
            Some(database) => database.connect().await,
            None => Ok(()),
        }
    }

    /// Applies events in their order.
    pub async fn apply(
        &mut self,
        events: &[ConsumedEvent],
        ending: &EndSignal,
    ) -> Result<(), Undone> {
        match self {
            Self::Transaction(transaction) => {
                let applied = transaction.apply(events).await;
                applied.map_err(|reason| Undone { done: 0, reason })
            }
            Self::Call(call) => call.apply(events, ending).await,
        }
    }

    /// Says good-bye; nothing depends on whether it is heard.
    pub async fn close(&mut self) {
        if let Some(database) = self.database() {
            database.close().await;
        }
    }
}
