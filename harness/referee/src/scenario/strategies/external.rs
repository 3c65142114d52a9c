//! `external`: anyone's relay, or order service with an outbox of its own, described by a file.

use super::{StrategyInfo, Surroundings};
use crate::scenario::StrategyKind;
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::relay_file;
use crate::scenario::section::Section;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "external",
    what: "anyone's relay (docs/your-relay.md), or anyone's order service with an outbox of its own (docs/your-service.md), in any language: `relay` names the file that describes it",
    example: "kind = \"external\", relay = \"my-relay/relay.toml\"",
    keys: &[
        KeyInfo::required(
            "relay",
            Shape::Text,
            "the file that describes it, relative to this one",
        ),
        KeyInfo::optional(
            "env",
            Shape::TextsByName,
            "none",
            "environment variables of its processes, beside those of its file",
        ),
    ],
    any_broker: false,
    any_database: false,
    read,
};

fn read(s: &mut Section<'_>, surroundings: &Surroundings<'_>) -> Option<StrategyKind> {
    let entry = s.required("relay", "relay = \"my-relay/relay.toml\"");
    let env = s.get("env").map(|e| relay_file::environment(s, e));
    let entry = entry?;
    let path = surroundings.folder.join(s.text(entry)?);
    let mut relay = match relay_file::load(&path) {
        Ok(relay) => relay,
        Err(error) => {
            s.problems().of_another_file(
                entry.span(),
                format!(
                    "the relay's file, {}, has errors: see below",
                    path.display()
                ),
                "mend that file, or name another one",
                error,
            );
            return None;
        }
    };
    let env = match env {
        Some(env) => env?,
        None => Default::default(),
    };
    let service = relay.service.as_mut().map(|service| &mut service.process);
    for process in relay.process.iter_mut().chain(service) {
        process.env.extend(env.clone());
    }
    Some(StrategyKind::External {
        relay: Box::new(relay),
    })
}
