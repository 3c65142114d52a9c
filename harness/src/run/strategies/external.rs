//! Anyone's outbox with anyone's relay, or with anyone's order service, as its file describes them.

mod install;
mod program;
mod ready;
mod values;

use super::{Held, Keep, StrategyParts};
use crate::database::{ForeignSchema, OutboxKind, OwnSchema, Role, TruthQuery};
use crate::process::reaper::Reaper;
use crate::process::{ChildSpec, Stop};
use crate::run::deployment::{Deployment, ORDER_SERVICE, failed};
use crate::run::{RunError, folder};
use crate::scenario::Instance;
use crate::scenario::relay_file::{ForeignProcess, ForeignStop, RelayFile, StopSignal, Template};
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;
use nix::sys::signal::Signal;
use relays::config::{ForeignStatement, Isolation, Parameter, WritePathConfig};
use std::path::Path;
use std::time::Duration;
use values::Values;

/// Bound on the query of [truth] while there is nothing to tell.
const TRIED_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct External {
    pub relay: Box<RelayFile>,
}

impl StrategyParts for External {
    fn outbox(&self) -> OutboxKind {
        let replication = self.relay.outbox.replication;
        match self.relay.service {
            None => OutboxKind::Foreign { replication },
            Some(_) => OutboxKind::ForeignService {
                replication: replication.then_some(match self.relay.process {
                    Some(_) => Role::Relay,
                    None => Role::Service,
                }),
            },
        }
    }

    fn isolation(&self) -> Isolation {
        self.relay.outbox.isolation
    }

    fn write_path(&self, deployment: &Deployment<'_>) -> WritePathConfig {
        WritePathConfig::Foreign {
            announce: self.announce(&Values::of(deployment, Role::Relay)),
        }
    }

    fn service(&self, deployment: &Deployment<'_>) -> Result<Option<ChildSpec>, RunError> {
        let service = self.relay.service.as_ref();
        service
            .map(|service| {
                let values = Values::of(deployment, Role::Service);
                self.child(
                    deployment,
                    ORDER_SERVICE,
                    "[service]",
                    &values,
                    &service.process,
                )
            })
            .transpose()
    }

    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError> {
        let process = self.relay.process.as_ref();
        process
            .map(|process| {
                let values = Values::of_relay(deployment, instance);
                self.child(deployment, instance.name(), "[relay]", &values, process)
            })
            .transpose()
    }

    fn truth(&self, deployment: &Deployment<'_>) -> Option<TruthQuery> {
        let truth = &self.relay.service.as_ref()?.truth;
        Some(TruthQuery {
            reader: deployment.own_schema.reader(),
            query: Values::of(deployment, Role::Service).fill(&truth.query),
            place: truth.place.clone(),
        })
    }

    fn try_out<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        async move {
            if let Some(truth) = self.truth(deployment) {
                let tried = truth.try_out(TRIED_WITHIN).await;
                tried.map_err(|e| failed("trying the query that tells the truth", &e))?;
            }
            self.try_pending(deployment).await
        }
        .boxed()
    }

    fn pending<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        async move {
            let Some(query) = &self.relay.outbox.pending else {
                return Ok(0);
            };
            let owner = self.owner();
            let values = Values::of(deployment, owner);
            let query = values.fill(query);
            let hear = |attempt: &str| keep(Held::Attempt(attempt));
            deployment
                .own_schema
                .held_by_query(owner, &query, hear)
                .await
        }
        .boxed()
    }

    fn make_ready<'a>(
        &'a self,
        stack: &'a Stack,
        reaper: &'a Reaper,
        log: &'a Path,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        async move {
            let can = OwnSchema::can_be(stack, self.isolation()).await;
            let doing = format!("making ready for {}", self.relay.name);
            can.map_err(|e| failed(&doing, &e))?;
            install::install(&self.relay, reaper, log).await
        }
        .boxed()
    }

    fn lay_out<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        async move {
            let values = Values::of(deployment, self.owner());
            let fill = |all: &[Template]| -> Vec<String> {
                all.iter().map(|template| values.fill(template)).collect()
            };
            let outbox = &self.relay.outbox;
            let (ddl, after) = (fill(&outbox.ddl), fill(&outbox.after_ddl));
            let announce = self.announce(&values);
            let foreign = ForeignSchema {
                ddl: &ddl,
                announce: &announce,
                after: &after,
            };
            let made = deployment.own_schema.lay_out(&foreign).await;
            let doing = format!("making the outbox of {}", self.relay.name);
            made.map_err(|e| failed(&doing, &e))?;
            match self.owner() {
                Role::Relay => self.try_pending(deployment).await,
                // It may make its tables by itself, once it is started.
                Role::Service => Ok(()),
            }
        }
        .boxed()
    }

    fn stop(&self) -> Stop {
        let process = self.relay.process.as_ref();
        process.map_or_else(Stop::default, |process| told_to_end(&process.stop))
    }

    fn stop_service(&self) -> Option<Stop> {
        let service = self.relay.service.as_ref()?;
        Some(told_to_end(&service.process.stop))
    }

    fn unusual_end(&self, by_itself: bool, exit_code: Option<i32>) -> Option<String> {
        let stop = &self.relay.process.as_ref()?.stop;
        unusual("relay", stop, by_itself, exit_code)
    }

    fn unusual_end_of_service(&self, by_itself: bool, exit_code: Option<i32>) -> Option<String> {
        let stop = &self.relay.service.as_ref()?.process.stop;
        unusual("order service", stop, by_itself, exit_code)
    }

    fn restarts(&self) -> bool {
        let process = self.relay.process.as_ref();
        process.is_some_and(|process| process.restart)
    }

    fn relay_commit(&self) -> Option<String> {
        let process = self.relay.process.as_ref();
        process.map(|_| "as the relay itself sets it".to_owned())
    }

    fn describe(&self, _: &Stack, name: &str) -> Vec<(String, String)> {
        let relay = &self.relay;
        let promises = format!(
            "{}, order: {}",
            relay.promises.delivery.name(),
            relay.promises.order.name()
        );
        let facts = [
            ("", Some(format!("{} {}", relay.name, relay.version))),
            (".language", relay.language.clone()),
            (".homepage", relay.homepage.clone()),
            (".licence", relay.licence.clone()),
            (".promises", Some(promises)),
        ];
        let known = facts.into_iter().filter_map(|(fact, value)| {
            let value = value?;
            Some((format!("relay.{name}{fact}"), value))
        });
        let its_own = relay.service.as_ref().map(|_| {
            let what = match relay.process {
                Some(_) => "its own",
                None => "its own, which publishes what is in its outbox by itself",
            };
            (format!("service.{name}"), what.to_owned())
        });
        known.chain(its_own).collect()
    }
}

/// How a process is told to end, by its file.
fn told_to_end(stop: &ForeignStop) -> Stop {
    Stop {
        signal: match stop.signal {
            StopSignal::Term => Signal::SIGTERM,
            StopSignal::Int => Signal::SIGINT,
            StopSignal::Quit => Signal::SIGQUIT,
        },
        within: stop.within,
    }
}

/// What is to be said of the end of a process that was told to end.
fn unusual(
    who: &str,
    stop: &ForeignStop,
    by_itself: bool,
    exit_code: Option<i32>,
) -> Option<String> {
    let usual = |code| stop.exit.iter().any(|usual| i32::from(*usual) == code);
    match exit_code {
        _ if !by_itself => Some(format!(
            "the {who} did not end within {:?} and was killed",
            stop.within
        )),
        Some(code) if usual(code) => None,
        Some(code) => Some(format!(
            "the {who} ended with exit code {code}; its file accepts {:?}",
            stop.exit
        )),
        None => Some(format!(
            "the {who} was ended by a signal that it does not handle"
        )),
    }
}

impl External {
    /// Whose the tables are.
    fn owner(&self) -> Role {
        match self.relay.service {
            Some(_) => Role::Service,
            None => Role::Relay,
        }
    }

    /// A query that cannot be asked now cannot be asked at the end.
    async fn try_pending(&self, deployment: &Deployment<'_>) -> Result<(), RunError> {
        let asked = self.pending(deployment, &mut |_| {}).await;
        asked
            .map(drop)
            .map_err(|e| failed("trying `pending` of the relay's file", &e))
    }

    /// Returns how a process of this name is started, as this table of the file describes it.
    fn child(
        &self,
        deployment: &Deployment<'_>,
        name: &str,
        table: &str,
        values: &Values,
        process: &ForeignProcess,
    ) -> Result<ChildSpec, RunError> {
        let scratch = &values.folder;
        std::fs::create_dir_all(scratch)
            .map_err(|e| failed(&format!("making the folder {}", scratch.display()), &e))?;
        for (name, template) in &process.files {
            // Passwords stand in them.
            folder::write_secret(&scratch.join(name), values.fill(template).as_bytes())?;
        }
        let mut words = process.command.iter().map(|word| values.fill(word));
        let first = words.next().unwrap_or_default();
        let (working, program) = self.program(table, &process.folder, &first)?;
        let env = process.env.iter();
        Ok(ChildSpec {
            name: name.to_owned(),
            program,
            args: words.collect(),
            env: env
                .map(|(name, value)| (name.clone(), values.fill(value)))
                .collect(),
            user: None,
            log: deployment.log(name),
            ready: ready::of(
                &process.ready,
                values,
                &deployment.own_schema.direct_login(values.role).into(),
            )?,
            ready_within: process.ready_within,
            folder: Some(working),
        })
    }

    /// Returns the statements that announce a change, with their parameters.
    fn announce(&self, values: &Values) -> Vec<ForeignStatement> {
        let statements = self.relay.outbox.insert.iter().map(|template| {
            let statement = template.statement();
            let parameters = statement.names.iter().map(|name| match name.as_str() {
                "event_id" | "attempt" => Parameter::Attempt,
                "order_id" => Parameter::OrderId,
                "version" => Parameter::Version,
                "event_type" => Parameter::EventType,
                "payload" => Parameter::Payload,
                other => Parameter::Text(values.get(other).into_owned()),
            });
            ForeignStatement {
                parameters: parameters.collect(),
                sql: statement.sql,
            }
        });
        statements.collect()
    }
}
