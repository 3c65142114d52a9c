//! The consumers of a deployment: each a process, with a schema and a consumer group of its own.

use super::{Deployment, failed};
use crate::broker::{Broker, ConsumerGroup};
use crate::call_sink::CallSink;
use crate::database::{ConsumerSchema, Layout};
use crate::process::{Child, ChildSpec, Stop};
use crate::run::RunError;
use crate::scenario::{Consumer, Link};
use crate::stack::leftovers::Leftover;
use relays::consumer::{CallTarget, ConsumerConfig, EffectKind};
use std::sync::{Arc, PoisonError};

/// The name of this program's subcommand.
const CONSUMER: &str = "consumer";

/// This is a consumer that was deployed.
#[derive(Clone, Copy)]
pub struct DeployedConsumer<'a> {
    /// This is its index in the scenario.
    pub index: usize,
    /// This is what the scenario says of it.
    pub consumer: &'a Consumer,
    /// This is its process; `None` before it is started.
    pub child: Option<&'a Child>,
}

/// This is how a consumer ended when it was told to.
#[derive(Debug, Clone, Copy)]
pub struct StoppedConsumer {
    /// Whether it lived then.
    pub was_alive: bool,
    /// Whether it did not end in time, and was killed.
    pub was_killed: bool,
}

impl Deployment<'_> {
    /// Returns the consumers in the scenario's order.
    pub fn deployed_consumers(&self) -> impl Iterator<Item = DeployedConsumer<'_>> {
        let all = self.scenario.consumers.iter().enumerate();
        all.map(|(index, consumer)| DeployedConsumer {
            index,
            consumer,
            child: self.consumers.get(index),
        })
    }

    /// Returns the names of what a consumer owns on the database's server.
    pub fn consumer_layout(&self, index: usize) -> Layout {
        self.layout.of_consumer(index)
    }

    /// Returns the schema that is a consumer's own: in the stack's database, whatever the strategy has.
    pub(in crate::run) fn consumer_schema(&self, index: usize) -> ConsumerSchema {
        ConsumerSchema::on(self.stack.info(), self.consumer_layout(index))
    }

    /// Returns the name of a consumer's group.
    pub fn group_name(&self, consumer: &Consumer) -> String {
        format!("{}.{}", self.topic_name, consumer.name)
    }

    /// Returns a consumer's group. Where it is nothing but offsets nothing here deletes it: these go with
    /// the topic, and the broker removes a group without members and offsets by itself.
    pub fn consumer_group(&self, consumer: &Consumer) -> ConsumerGroup<'_> {
        ConsumerGroup {
            name: self.group_name(consumer),
            topic: self.first_topic(),
            partitions: self.topics.of_each(),
            rabbitmq: consumer.rabbitmq_group(),
        }
    }

    /// Returns the names of all queues that the consumers' groups have, where they have queues.
    pub(super) fn queues_of_groups(&self) -> Vec<String> {
        let all = self.scenario.consumers.iter().flat_map(|consumer| {
            let group = consumer.rabbitmq_group();
            group.queues_of(&self.group_name(consumer))
        });
        all.collect()
    }

    /// Returns the broker, to be asked around all proxies.
    pub fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker)
    }

    /// Returns the topic of the events; of several the first, for whoever needs one of them.
    pub fn first_topic(&self) -> &str {
        let first = self.topics.names().first();
        first.map_or(&self.topic_name, |name| name)
    }

    /// What consumers leave on a stack that outlives us if we die now.
    pub(super) fn leftovers_of_consumers(&self) -> impl Iterator<Item = Leftover> {
        (0..self.scenario.consumers.len()).filter_map(|index| {
            let layout = self.consumer_layout(index);
            self.stack.leftover(&layout.name, &[], &[])
        })
    }

    /// Makes what each of them owns.
    pub(super) async fn prepare_consumers(&self) -> Result<(), RunError> {
        for note in self.leftovers_of_consumers() {
            self.reaper
                .note(&note)
                .map_err(|e| failed("noting what must be dropped", &e))?;
        }
        for DeployedConsumer {
            index, consumer, ..
        } in self.deployed_consumers()
        {
            let schema = self.consumer_schema(index);
            schema
                .create(consumer.effect, consumer.idempotency)
                .await
                .map_err(|e| failed("setting up what is a consumer's own in PostgreSQL", &e))?;
            let made = self.broker.make_group(self.consumer_group(consumer));
            made.await
                .map_err(|e| failed("setting up the queues of a consumer", &e))?;
        }
        Ok(())
    }

    /// Starts all of them, each of which says that it is ready when it reads; and first whom they call.
    pub(super) async fn start_consumers(&mut self) -> Result<(), RunError> {
        let mut specs = Vec::new();
        for index in 0..self.scenario.consumers.len() {
            let sink = self.open_sink(index).await?;
            specs.push(self.consumer_spec(index, sink)?);
        }
        let started = specs.into_iter().map(|spec| self.start(spec));
        let mut failure = None;
        // All are kept before any failure is reported, so that tear_down finds them.
        for started in futures::future::join_all(started).await {
            match started {
                Ok(child) => self.consumers.push(child),
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        failure.map_or(Ok(()), |e| Err(failed("starting a consumer", &e)))
    }

    /// Opens what a consumer calls; `None` where it calls nobody.
    async fn open_sink(&mut self, index: usize) -> Result<Option<CallTarget>, RunError> {
        match self.scenario.consumers[index].effect {
            EffectKind::Call => {}
            EffectKind::Insert | EffectKind::Increment | EffectKind::State => return Ok(None),
        }
        let sink = CallSink::open(Arc::clone(&self.identity), index as u32).await;
        let sink = sink.map_err(|e| failed("opening what a consumer calls", &e))?;
        let target = sink.target().clone();
        let sinks = self.sinks.get_mut();
        let sinks = sinks.unwrap_or_else(PoisonError::into_inner);
        sinks.insert(index, sink);
        Ok(Some(target))
    }

    /// Returns how often a consumer has called so far; `None` where it calls nobody.
    pub fn calls_so_far(&self, index: usize) -> Option<usize> {
        let sinks = self.sinks.lock();
        let sinks = sinks.unwrap_or_else(PoisonError::into_inner);
        sinks.get(&index).map(CallSink::taken)
    }

    /// Takes what a consumer calls, to read what came there; `None` where it calls nobody.
    pub fn take_sink(&self, index: usize) -> Option<CallSink> {
        let sinks = self.sinks.lock();
        let mut sinks = sinks.unwrap_or_else(PoisonError::into_inner);
        sinks.remove(&index)
    }

    fn consumer_spec(&self, index: usize, sink: Option<CallTarget>) -> Result<ChildSpec, RunError> {
        let consumer = &self.scenario.consumers[index];
        let proxied = self.proxied_address(ConsumerSchema::LINK);
        let config = ConsumerConfig {
            database: self.consumer_schema(index).login(proxied),
            broker: self.broker_target(Link::Consumer(self.broker_server())),
            group: self.group_name(consumer),
            rabbitmq: consumer.rabbitmq_group(),
            effect: consumer.effect,
            idempotency: consumer.idempotency,
            commit: consumer.commit,
            sink,
        };
        self.own_child(CONSUMER, &consumer.process(), &config)
    }

    /// Tells a consumer to end, and kills it if it does not; says how that was.
    pub async fn stop_consumer(&self, child: &Child) -> Result<StoppedConsumer, String> {
        let was_alive = child.is_alive();
        let stop = Stop::default();
        let stopped = child.terminate_with(stop.signal, stop.within).await;
        let by_itself = stopped.map_err(|e| e.to_string())?;
        Ok(StoppedConsumer {
            was_alive,
            was_killed: was_alive && !by_itself,
        })
    }

    /// Undoes what was prepared; says what went wrong.
    pub(super) async fn drop_consumers(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, consumer) in self.scenario.consumers.iter().enumerate() {
            let dropped = self.consumer_schema(index).drop_all().await;
            problems.extend(dropped.err().map(|e| e.to_string()));
            let dropped = self.broker.drop_group(self.consumer_group(consumer));
            problems.extend(dropped.await.err());
        }
        problems
    }
}
