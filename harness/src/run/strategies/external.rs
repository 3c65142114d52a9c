//! Anyone's outbox and anyone's relay, as its file describes them.

mod install;
mod ready;

use super::{Held, Keep, Stop, StrategyParts};
use crate::fence::pending;
use crate::process::ChildSpec;
use crate::process::reaper::Reaper;
use crate::run::arena::{Arena, RELAY, failed};
use crate::run::{RunError, folder};
use crate::scenario::Link;
use crate::scenario::relay_file::{RelayFile, StopSignal, Template};
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;
use nix::sys::signal::Signal;
use relays::config::{ForeignStatement, Parameter, PostgresTarget, WritePathConfig};
use relays::schema::{Foreign, OutboxKind};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

pub(super) struct External {
    pub relay: Box<RelayFile>,
}

impl StrategyParts for External {
    fn outbox(&self) -> OutboxKind {
        OutboxKind::Foreign {
            replication: self.relay.outbox.replication,
        }
    }

    fn write_path(&self, arena: &Arena<'_>) -> WritePathConfig {
        WritePathConfig::Foreign {
            announce: self.announce(&Values::of(arena)),
        }
    }

    fn relay(&self, arena: &Arena<'_>) -> Result<Option<ChildSpec>, RunError> {
        let values = Values::of(arena);
        let scratch = &values.folder;
        std::fs::create_dir_all(scratch)
            .map_err(|e| failed(&format!("making the folder {}", scratch.display()), &e))?;
        let process = &self.relay.process;
        for (name, template) in &process.files {
            // Passwords stand in them.
            folder::write_secret(&scratch.join(name), values.fill(template).as_bytes())?;
        }
        let mut words = process.command.iter().map(|word| values.fill(word));
        let (working, program) = self.program(&words.next().unwrap_or_default())?;
        let env = process.env.iter();
        Ok(Some(ChildSpec {
            name: RELAY.to_owned(),
            program,
            args: words.collect(),
            env: env
                .map(|(name, value)| (name.clone(), values.fill(value)))
                .collect(),
            user: None,
            log: arena.log(RELAY),
            ready: ready::of(&process.ready, &values, &values.direct(arena))?,
            ready_within: process.ready_within,
            folder: Some(working),
        }))
    }

    fn pending<'a>(
        &'a self,
        arena: &'a Arena<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        async move {
            let Some(query) = &self.relay.outbox.pending else {
                return Ok(0);
            };
            let values = Values::of(arena);
            let query = values.fill(query);
            pending::by_query(&values.direct(arena), &query, |attempt| {
                keep(Held::Attempt(attempt));
            })
            .await
        }
        .boxed()
    }

    fn make_ready<'a>(
        &'a self,
        _: &'a Stack,
        reaper: &'a Reaper,
        log: &'a Path,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        install::install(&self.relay, reaper, log).boxed()
    }

    fn lay_out<'a>(&'a self, arena: &'a Arena<'_>) -> BoxFuture<'a, Result<(), RunError>> {
        async move {
            let values = Values::of(arena);
            let fill = |all: &[Template]| -> Vec<String> {
                all.iter().map(|template| values.fill(template)).collect()
            };
            let outbox = &self.relay.outbox;
            let (ddl, after) = (fill(&outbox.ddl), fill(&outbox.after_ddl));
            let announce = self.announce(&values);
            let foreign = Foreign {
                ddl: &ddl,
                announce: &announce,
                after: &after,
            };
            let made = relays::schema::lay_out(arena.admin(), &arena.layout, &foreign).await;
            let doing = format!("making the outbox of {}", self.relay.name);
            made.map_err(|e| failed(&doing, &e))?;
            // A query that cannot be asked now cannot be asked at the end.
            let asked = self.pending(arena, &mut |_| {}).await;
            asked
                .map(drop)
                .map_err(|e| failed("trying `pending` of the relay's file", &e))
        }
        .boxed()
    }

    fn stop(&self) -> Stop {
        let stop = &self.relay.process.stop;
        Stop {
            signal: match stop.signal {
                StopSignal::Term => Signal::SIGTERM,
                StopSignal::Int => Signal::SIGINT,
                StopSignal::Quit => Signal::SIGQUIT,
            },
            within: stop.within,
        }
    }

    fn unusual_end(&self, by_itself: bool, exit_code: Option<i32>) -> Option<String> {
        let stop = &self.relay.process.stop;
        let usual = |code| stop.exit.iter().any(|usual| i32::from(*usual) == code);
        match exit_code {
            _ if !by_itself => Some(format!(
                "the relay did not end within {:?} and was killed",
                stop.within
            )),
            Some(code) if usual(code) => None,
            Some(code) => Some(format!(
                "the relay ended with exit code {code}; its file accepts {:?}",
                stop.exit
            )),
            None => Some("the relay was ended by a signal that it does not handle".to_owned()),
        }
    }

    fn restarts(&self) -> bool {
        self.relay.process.restart
    }

    fn relay_commit(&self) -> Option<String> {
        Some("as the relay itself sets it".to_owned())
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
        known.collect()
    }
}

impl External {
    /// The statements that announce a change, with their parameters.
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

    /// Its working folder and its program, both there.
    fn program(&self, word: &str) -> Result<(PathBuf, PathBuf), RunError> {
        let doing = format!("starting {}", self.relay.name);
        let folder = self.relay.home.join(&self.relay.process.folder);
        if !folder.is_dir() {
            let reason = format!(
                "`folder` of [relay] is {}, which is no folder: it is relative to the relay's file",
                folder.display()
            );
            return Err(failed(&doing, &reason));
        }
        let program = program_in(&folder, word);
        let there = match word.contains('/') {
            true => program.is_file(),
            false => std::env::var_os("PATH").is_some_and(|path| {
                std::env::split_paths(&path).any(|place| place.join(word).is_file())
            }),
        };
        if !there {
            let where_ = match word.contains('/') {
                true => format!("it would be {}", program.display()),
                false => "it is in no folder of PATH".to_owned(),
            };
            let reason = format!("`command` of [relay] begins with `{word}`: {where_}");
            return Err(failed(&doing, &reason));
        }
        Ok((folder, program))
    }
}

/// A program with a `/` in it is below this folder, any other one where programs are.
fn program_in(folder: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => folder.join(program),
        false => PathBuf::from(program),
    }
}

/// What the placeholders of a relay's file stand for in one run.
pub(super) struct Values {
    postgres: PostgresTarget,
    bootstrap: String,
    topic: String,
    slot: String,
    publication: String,
    folder: PathBuf,
    port: u16,
}

impl Values {
    fn of(arena: &Arena<'_>) -> Self {
        let kafka = arena.kafka(Link::RelayKafka);
        let folder = arena.folder.join("relay").join(&arena.strategy.name);
        Self {
            postgres: arena.postgres(Link::RelayPostgres, arena.layout.relay_role()),
            bootstrap: kafka.bootstrap,
            topic: kafka.topic,
            slot: arena.layout.slot(),
            publication: arena.layout.publication(),
            // The relay runs in a folder of its own.
            folder: std::path::absolute(&folder).unwrap_or(folder),
            port: arena.relay_address.port(),
        }
    }

    /// The relay's own way to the database, around the proxy: for what is asked on its behalf.
    fn direct(&self, arena: &Arena<'_>) -> PostgresTarget {
        PostgresTarget {
            user: self.postgres.user.clone(),
            password: self.postgres.password.clone(),
            ..arena.admin().clone()
        }
    }

    /// The template with these values.
    fn fill(&self, template: &Template) -> String {
        template.fill(|name| self.get(name))
    }

    /// By name; names were checked when the file was read.
    fn get(&self, name: &str) -> Cow<'_, str> {
        let postgres = &self.postgres;
        match name {
            "postgres_url" => url(postgres).into(),
            "postgres_host" => postgres.host.as_str().into(),
            "postgres_port" => postgres.port.to_string().into(),
            "postgres_user" => postgres.user.as_str().into(),
            "postgres_password" => postgres.password.as_str().into(),
            "postgres_database" => postgres.database.as_str().into(),
            "schema" => postgres.schema.as_str().into(),
            "bootstrap" => self.bootstrap.as_str().into(),
            "topic" => self.topic.as_str().into(),
            "slot" => self.slot.as_str().into(),
            "publication" => self.publication.as_str().into(),
            "folder" => self.folder.to_string_lossy(),
            "port" => self.port.to_string().into(),
            _ => "".into(),
        }
    }
}

/// As libpq and the drivers of other languages read it. User and password are plain: they are ours.
fn url(postgres: &PostgresTarget) -> String {
    let PostgresTarget {
        host,
        port,
        user,
        password,
        database,
        ..
    } = postgres;
    let database: String = database
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    if host.starts_with('/') {
        return format!("postgres://{user}:{password}@/{database}?host={host}&port={port}");
    }
    match host.contains(':') {
        true => format!("postgres://{user}:{password}@[{host}]:{port}/{database}"),
        false => format!("postgres://{user}:{password}@{host}:{port}/{database}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::relay_file::PLACEHOLDERS;

    #[test]
    fn given_every_placeholder_of_a_file_then_it_stands_for_something() {
        let text = || "x".to_owned();
        let values = Values {
            postgres: PostgresTarget {
                host: text(),
                port: 1,
                user: text(),
                password: text(),
                database: text(),
                schema: text(),
            },
            bootstrap: text(),
            topic: text(),
            slot: text(),
            publication: text(),
            folder: "x".into(),
            port: 2,
        };
        for name in PLACEHOLDERS {
            assert!(!values.get(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn given_an_unusual_host_or_database_then_the_url_is_one_all_the_same() {
        let at = |host: &str, database: &str| {
            url(&PostgresTarget {
                host: host.into(),
                port: 5,
                user: "u".into(),
                password: "p".into(),
                database: database.into(),
                schema: "s".into(),
            })
        };
        assert_eq!(
            at("127.0.0.1", "a b/c"),
            "postgres://u:p@127.0.0.1:5/a%20b%2Fc"
        );
        assert_eq!(at("::1", "d"), "postgres://u:p@[::1]:5/d");
        assert_eq!(at("/run/pg", "d"), "postgres://u:p@/d?host=/run/pg&port=5");
    }

    #[test]
    fn given_a_program_with_a_slash_then_it_is_below_the_folder() {
        let folder = Path::new("/relays/mine");
        assert_eq!(
            program_in(folder, "./relay"),
            Path::new("/relays/mine/./relay")
        );
        assert_eq!(program_in(folder, "/bin/relay"), Path::new("/bin/relay"));
        assert_eq!(program_in(folder, "python3"), Path::new("python3"));
    }
}
