//! `external`: anyone's relay, described by a file of its own.

use super::{StrategyInfo, Surroundings};
use crate::scenario::StrategyKind;
use crate::scenario::relay_file;
use crate::scenario::section::Section;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "external",
    what: "anyone's relay, in any language, with an outbox table of its own: `relay` names the file that describes it (docs/your-relay.md)",
    keys: &["relay", "env"],
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
    relay.process.env.extend(match env {
        Some(env) => env?,
        None => Default::default(),
    });
    Some(StrategyKind::External {
        relay: Box::new(relay),
    })
}
