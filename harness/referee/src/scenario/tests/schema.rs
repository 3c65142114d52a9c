//! The rows of keys and the schemas that are made of them, held against the parser.

use super::*;
use crate::scenario::fault_kind::Ground;
use crate::scenario::keys::{KeyInfo, Shape, Usual};
use crate::scenario::units::show_duration;
use crate::scenario::{
    consumer, fault_kind, faults, parse as scenario_parser, relay_file, schema, stack, strategies,
    trigger, workload,
};
use contract::broker::BrokerKind;
use contract::database::DatabaseKind;
use jsonschema::Validator;
use serde_json::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static SCENARIO: LazyLock<Validator> = LazyLock::new(|| compiled(&schema::scenario()));
static RELAY: LazyLock<Validator> = LazyLock::new(|| compiled(&schema::relay()));

fn compiled(schema: &Value) -> Validator {
    jsonschema::meta::validate(schema).unwrap();
    jsonschema::validator_for(schema).unwrap()
}

/// What a schema says of a file: nothing, or what is wrong with it.
fn validated(validator: &Validator, text: &str) -> Result<(), String> {
    let value: Value = toml::from_str(text).map_err(|e| e.to_string())?;
    let wrong = validator.iter_errors(&value);
    let wrong: Vec<String> = wrong
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}

/// Whether the schema takes a scenario.
pub fn takes_scenario(text: &str) -> Result<(), String> {
    validated(&SCENARIO, text)
}

/// This kind of fault takes a standby.
const FAILOVER: &str = "failover";
const STANDBY: &str = "[stack]\nhot_standby = true\n";

/// A table that can be in a file, with as little in it, and around it, as can be.
struct LeastTable {
    /// Which one, for messages.
    title: String,
    /// Of a relay's file.
    of_relay: bool,
    /// What stands before its keys.
    before: String,
    /// The lines that it needs, by key.
    lines: Vec<(&'static str, String)>,
    /// What stands after them.
    after: String,
    /// These are the rows of all keys that the table can have.
    keys: Vec<KeyInfo>,
    /// Those of `keys` that are right here only.
    only: Option<&'static str>,
    /// Those of `keys` that are refused here, whatever they are.
    not: &'static [&'static str],
}

impl LeastTable {
    fn new(title: impl Into<String>, before: String, keys: &[KeyInfo], after: &str) -> Self {
        Self {
            title: title.into(),
            of_relay: false,
            before,
            lines: Vec::new(),
            after: after.to_owned(),
            keys: keys.to_vec(),
            only: None,
            not: &[],
        }
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.lines.push((key, value.into()));
        self
    }

    /// A line for each key that cannot be left out, where it has none.
    fn with_required(mut self) -> Self {
        for key in self.keys.clone() {
            let has = self.lines.iter().any(|(name, _)| *name == key.name);
            if !has && matches!(key.usual, Usual::Required) {
                self = self.with(key.name, Values::of(key.shape).good[0].clone());
            }
        }
        self
    }

    fn text(&self, other_lines: &[(&str, &str)]) -> String {
        let kept = self.lines.iter().map(|(key, value)| (*key, value.as_str()));
        let kept = kept.filter(|(key, _)| !other_lines.iter().any(|(other, _)| other == key));
        let lines: String = kept
            .chain(other_lines.iter().copied())
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("{}{lines}{}", self.before, self.after)
    }

    fn without(&self, key: &str) -> String {
        let kept = self.lines.iter().filter(|(other, _)| *other != key);
        let lines: String = kept
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("{}{lines}{}", self.before, self.after)
    }

    /// The text with this value of a key, and where in it the value stands.
    fn probed(&self, key: &str, value: &str) -> (String, Range<usize>) {
        let text = self.text(&[(key, value)]);
        // The last line of the table's own, which an `after` may follow.
        let end = text.len() - self.after.len() - 1;
        (text, end - value.len()..end)
    }

    /// What the parser makes of it, without what names a place in the text.
    fn parsed(&self, text: &str) -> Result<Value, ScenarioError> {
        let mut value = if self.of_relay {
            relay_file::parse(Path::new("relays/mine/relay.toml"), text)
                .map(|relay| serde_json::to_value(relay).unwrap())?
        } else {
            parse("s.toml", text).map(|scenario| serde_json::to_value(scenario).unwrap())?
        };
        if let Value::Object(all) = &mut value {
            all.remove("text");
        }
        if let Some(place) = value.pointer_mut("/service/truth/place") {
            *place = Value::Null;
        }
        Ok(value)
    }

    /// What the parser says of a value.
    fn said_at(&self, text: &str, at: &Range<usize>) -> Vec<String> {
        let Err(error) = self.parsed(text) else {
            return Vec::new();
        };
        let here = error.problems().iter().filter(|problem| {
            let span = problem.span.clone().unwrap_or(0..0);
            at.contains(&span.start)
        });
        here.map(|problem| problem.what.clone()).collect()
    }

    fn schema_takes(&self, text: &str) -> Result<(), String> {
        validated(if self.of_relay { &RELAY } else { &SCENARIO }, text)
    }
}

/// Values to try a key with, as TOML has them.
struct Values {
    /// That are right for what the row says of it.
    good: Vec<String>,
    /// Both the parser and the schema must refuse these.
    bad: Vec<String>,
    /// That are wrong, and of which a schema cannot know it.
    bad_for_the_parser: Vec<String>,
}

impl Values {
    fn of(shape: Shape) -> Self {
        let own = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let quoted = |text: &str| format!("\"{text}\"");
        let (good, bad, bad_for_the_parser) = match shape {
            Shape::Text => (own(&["\"x\""]), own(&["7", "[]"]), vec![]),
            Shape::Regex => (own(&["\"x\""]), own(&["7"]), own(&["\"(\""])),
            Shape::Name { longest } => (
                vec![quoted("a"), quoted(&"a".repeat(longest))],
                vec![
                    quoted(""),
                    quoted("a b"),
                    quoted("-a"),
                    quoted(&"a".repeat(longest + 1)),
                ],
                vec![],
            ),
            Shape::PartOfRecord => (
                own(&["\"key\"", "\"header:id hex\"", "\"json:/a/b base64\""]),
                own(&[
                    "7",
                    "\"nowhere\"",
                    "\"header:\"",
                    "\"key rot13\"",
                    "\"json:a\"",
                ]),
                vec![],
            ),
            Shape::Flag => (own(&["true", "false"]), own(&["1", "\"true\""]), vec![]),
            Shape::Integer { least, most } => {
                let mut bad = own(&["\"1\"", "1.5"]);
                bad.push((i128::from(least) - 1).to_string());
                bad.extend((most < i64::MAX).then(|| (most + 1).to_string()));
                (vec![least.to_string(), most.to_string()], bad, vec![])
            }
            Shape::Number { least, most } => (
                vec![format!("{least:?}"), format!("{most:?}")],
                vec![
                    "\"1\"".to_owned(),
                    format!("{:?}", least - 1.0),
                    format!("{:?}", most + 1.0),
                ],
                vec![],
            ),
            Shape::Duration { least, most } => {
                let longer = show_duration(most + Duration::from_secs(1));
                let mut beyond = vec![quoted(&longer)];
                beyond.extend((!least.is_zero()).then(|| quoted("0s")));
                let good = [least, most].map(|d| quoted(&show_duration(d)));
                let bad = own(&["4", "\"4\"", "\"4 sec\"", "\"\"", "\"-4s\""]);
                (good.to_vec(), bad, beyond)
            }
            Shape::Size { least, most } => (
                own(&[&least.to_string(), &most.to_string(), "\"64KB\""]),
                vec![
                    (i128::from(least) - 1).to_string(),
                    (most + 1).to_string(),
                    quoted("64kb"),
                    "true".to_owned(),
                ],
                vec![quoted("99999999999999MiB")],
            ),
            Shape::Bandwidth { least, most } => (
                own(&[&least.to_string(), &most.to_string(), "\"2MB/s\""]),
                vec![
                    (i128::from(least) - 1).to_string(),
                    (most + 1).to_string(),
                    quoted("2MB"),
                    "true".to_owned(),
                ],
                vec![quoted("99999999999999MB/s")],
            ),
            Shape::Word(words) => (
                words().into_iter().map(quoted).collect(),
                own(&["7", "\"zzzz\"", "\"\""]),
                vec![],
            ),
            Shape::Texts { least } => {
                let mut bad = own(&["7", "[7]"]);
                bad.extend((least > 0).then(|| "[]".to_owned()));
                (own(&["[\"x\"]"]), bad, vec![])
            }
            Shape::TextsByName => (
                own(&["{}", "{ a = \"x\" }"]),
                own(&["7", "{ a = 7 }"]),
                vec![],
            ),
            Shape::Integers { least, most } => (
                vec![format!("[{least}, {most}]"), "[]".to_owned()],
                vec![
                    "7".to_owned(),
                    format!("[{}]", most + 1),
                    format!("[{}]", least - 1),
                    "[\"x\"]".to_owned(),
                ],
                vec![],
            ),
            Shape::Table => (vec![], own(&["7"]), vec![]),
        };
        Self {
            good,
            bad,
            bad_for_the_parser,
        }
    }
}

/// What the parser says of a value that is of the wrong type or out of bounds, and of none that only does not go
/// with others.
const OF_A_VALUE_ITSELF: [&str; 14] = [
    "out of bounds",
    " is a text",
    " is an integer",
    " is a number",
    " is a list",
    " is a table",
    " is true or false",
    "is not a possible",
    "which is no ",
    "has no statement",
    "names no program",
    "cannot be the",
    "there is no place",
    "more than an order can take",
];

const LEAST_OUTBOX: &str = "[outbox]\nddl = [\"create table o (id text)\"]\ninsert = [\"insert into o values (${payload})\"]\n";
const LEAST_RELAY: &str = "[relay]\ncommand = [\"./relay\"]\nready = { log = \"READY\" }\n";
const LEAST_SERVICE: &str = "[service]\ncommand = [\"./service\"]\n[truth]\nquery = \"select 1\"\n";
const LEAST_HEAD: &str = "name = \"mine\"\nversion = \"1\"\n";

fn tables() -> Vec<LeastTable> {
    [of_scenarios(), of_relays()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_scenarios() -> Vec<LeastTable> {
    let load = |before: &str| format!("{before}{LOAD}");
    let mut all = vec![
        LeastTable::new(
            "the file",
            String::new(),
            &scenario_parser::KEYS,
            &file(&[LOAD, CDC]),
        )
        .with("name", "\"x\""),
        LeastTable {
            not: &["clients"],
            ..LeastTable::new(
                "[workload]",
                format!("{HEAD}[workload]\n"),
                &workload::KEYS,
                CDC,
            )
            .with("duration", "\"6s\"")
        },
        LeastTable {
            only: Some("clients"),
            ..LeastTable::new(
                "a closed loop",
                format!("{HEAD}[workload]\n"),
                &workload::KEYS,
                CDC,
            )
            .with("duration", "\"6s\"")
            .with("load", "\"closed\"")
            .with("clients", "8")
        },
        LeastTable::new(
            "[drain]",
            load(HEAD) + "[drain]\n",
            &workload::KEYS_OF_DRAIN,
            CDC,
        ),
        LeastTable::new(
            "a consumer",
            load(HEAD) + "[consumer.a]\n",
            &consumer::KEYS,
            CDC,
        )
        .with("effect", "\"insert\""),
        LeastTable::new("[stack]", load(HEAD) + "[stack]\n", &stack::KEYS, CDC),
        LeastTable::new(
            "`kafka` of [stack]",
            load(HEAD) + "[stack.kafka]\nbrokers = 3\nreplication = 3\n",
            &stack::kafka::KEYS[2..],
            CDC,
        ),
    ];
    for kind in &fault_kind::KINDS {
        let target = match kind.ground() {
            Ground::Process => "\"relay\"",
            Ground::Database => "\"postgres-server\"",
            Ground::Links => "\"relay->kafka\"",
        };
        let keys = [faults::KEYS.to_vec(), kind.rows()].concat();
        let title = format!("a fault of kind {}", kind.name);
        let after = match kind.name {
            FAILOVER => format!("{CDC}{STANDBY}"),
            _ => CDC.to_owned(),
        };
        let fault = LeastTable::new(title, load(HEAD) + "[[fault]]\n", &keys, &after)
            .with("target", target)
            .with("kind", format!("\"{}\"", kind.name))
            .with("at", "\"2s\"")
            .with("for", "\"1s\"");
        all.push(LeastTable {
            not: &["when"],
            ..fault.with_required()
        });
    }
    let another = "[[fault]]\nid = \"x\"\ntarget = \"kafka\"\nkind = \"down\"\nat = \"2s\"\nfor = \"500ms\"\n";
    let waiting = "[[fault]]\ntarget = \"relay\"\nkind = \"kill\"\nfor = \"500ms\"\n[fault.when]\n";
    for info in trigger::TRIGGERS.iter().filter(|info| {
        !info
            .keys
            .iter()
            .any(|key| matches!(key.shape, Shape::Table))
    }) {
        let title = format!("`when`: {}", info.example);
        let before = load(HEAD) + another + waiting;
        all.push(LeastTable::new(title, before, info.keys, CDC).with_required());
    }
    let before = load(HEAD) + waiting.trim_end().trim_end_matches("[fault.when]");
    all.push(
        LeastTable::new(
            "`log`",
            before + "[fault.when.log]\n",
            &trigger::log::KEYS,
            CDC,
        )
        .with("of", "\"relay\"")
        .with("matches", "\"up\""),
    );
    let relay = repository("relays/external/python/relay.toml");
    for kind in &strategies::KINDS {
        let keys = [strategies::KEYS.to_vec(), kind.all_keys()].concat();
        let title = format!("a strategy of kind {}", kind.name);
        let mut table = LeastTable::new(title, load(HEAD) + "[strategy.a]\n", &keys, "")
            .with("kind", format!("\"{}\"", kind.name));
        if kind.keys.iter().any(|key| key.name == "relay") {
            table = table.with("relay", format!("'{}'", relay.display()));
        }
        all.push(table.with_required());
    }
    all
}

fn of_relays() -> Vec<LeastTable> {
    let tables = relay_file::TABLES.map(|(name, keys)| {
        let others = match name {
            "service" => "[truth]\nquery = \"select 1\"\n".to_owned(),
            "truth" => "[service]\ncommand = [\"./service\"]\n".to_owned(),
            "outbox" => LEAST_RELAY.to_owned(),
            "relay" => LEAST_OUTBOX.to_owned(),
            _ => file(&[LEAST_OUTBOX, LEAST_RELAY]),
        };
        let before = format!("{LEAST_HEAD}{others}[{name}]\n");
        let table = LeastTable::new(format!("[{name}]"), before, keys, "");
        let table = match name {
            "outbox" => LeastTable {
                not: &["ddl_file"],
                ..table
                    .with("ddl", "[\"create table o (id text)\"]")
                    .with("insert", "[\"insert into o values (${payload})\"]")
            },
            "relay" => table.with("ready", "{ log = \"READY\" }"),
            _ => table,
        };
        table.with_required()
    });
    let from_file = LeastTable {
        only: Some("ddl_file"),
        ..LeastTable::new(
            "[outbox] ddl_file",
            format!("{LEAST_HEAD}{LEAST_RELAY}[outbox]\n"),
            relay_file::TABLES[1].1,
            "",
        )
        .with(
            "ddl_file",
            format!(
                "'{}'",
                repository("relays/external/python/outbox.sql").display()
            ),
        )
        .with("insert", "[\"insert into o values (${payload})\"]")
    };
    let relay_before = format!("{LEAST_HEAD}{LEAST_OUTBOX}[relay]\ncommand = [\"./relay\"]\n");
    let ready = relay_file::KEYS_OF_READY.map(|key| {
        let before = format!("{relay_before}[relay.ready]\n");
        LeastTable::new(format!("`ready` with {}", key.name), before, &[key], "").with_required()
    });
    let stop = LeastTable::new(
        "`stop`",
        format!("{relay_before}ready = {{ log = \"READY\" }}\n[relay.stop]\n"),
        &relay_file::KEYS_OF_STOP,
        "",
    );
    let root = LeastTable::new(
        "a relay's file",
        String::new(),
        &relay_file::KEYS,
        &file(&[LEAST_OUTBOX, LEAST_RELAY]),
    )
    .with_required();
    let inside = LeastTable {
        only: Some(""),
        ..LeastTable::new(
            "a service's file",
            String::new(),
            &relay_file::KEYS,
            LEAST_SERVICE,
        )
        .with_required()
    };
    let all = tables.into_iter().chain(ready);
    all.chain([from_file, stop, root, inside])
        .map(|table| LeastTable {
            of_relay: true,
            ..table
        })
        .collect()
}

/// Keys that are tables in a table's surroundings.
fn probes(table: &LeastTable) -> impl Iterator<Item = &KeyInfo> {
    let asked = |key: &&KeyInfo| {
        table.only.is_none_or(|only| key.name == only) && !table.not.contains(&key.name)
    };
    table.keys.iter().filter(asked)
}

#[test]
fn given_as_little_as_a_table_can_have_then_parser_and_schema_take_it_and_neither_without_that() {
    for table in tables() {
        let text = table.text(&[]);
        if let Err(error) = table.parsed(&text) {
            panic!("{}: the parser refuses it: {error}\n{text}", table.title);
        }
        if let Err(error) = table.schema_takes(&text) {
            panic!("{}: the schema refuses it: {error}\n{text}", table.title);
        }
        let needed = table.keys.iter().filter(|key| {
            matches!(key.usual, Usual::Required) && !matches!(key.shape, Shape::Table)
        });
        for key in needed {
            let text = table.without(key.name);
            let refused = (
                table.parsed(&text).is_err(),
                table.schema_takes(&text).is_err(),
            );
            assert_eq!(
                refused,
                (true, true),
                "{} without {}:\n{text}",
                table.title,
                key.name
            );
        }
    }
}

#[test]
fn given_a_key_with_a_row_then_parser_and_schema_take_and_refuse_the_values_that_the_row_says() {
    for table in tables() {
        for key in probes(&table) {
            let values = Values::of(key.shape);
            for value in &values.good {
                let (text, at) = table.probed(key.name, value);
                let said = table.said_at(&text, &at);
                let wrong = |what: &String| OF_A_VALUE_ITSELF.iter().any(|o| what.contains(o));
                assert!(
                    !said.iter().any(wrong),
                    "{}: {} = {value}: {said:?}",
                    table.title,
                    key.name
                );
                if table.parsed(&text).is_ok() {
                    let taken = table.schema_takes(&text);
                    assert_eq!(taken, Ok(()), "{}: {} = {value}", table.title, key.name);
                }
            }
            for value in values.bad.iter().chain(&values.bad_for_the_parser) {
                // A table that is asked for twice is no TOML.
                let (text, at) = table.probed(key.name, value);
                if matches!(key.shape, Shape::Table) && toml::from_str::<Value>(&text).is_err() {
                    continue;
                }
                let said = table.said_at(&text, &at);
                assert!(
                    !said.is_empty(),
                    "{}: the parser takes {} = {value}:\n{text}",
                    table.title,
                    key.name
                );
            }
            for value in &values.bad {
                let (text, _) = table.probed(key.name, value);
                let taken = table.schema_takes(&text);
                assert!(
                    taken.is_err(),
                    "{}: the schema takes {} = {value}",
                    table.title,
                    key.name
                );
            }
        }
    }
}

#[test]
fn given_a_key_that_a_table_does_not_have_then_parser_and_schema_refuse_it() {
    for table in tables() {
        let own = |name: &str| table.keys.iter().any(|key| key.name == name);
        let all = tables();
        let others = all.iter().filter(|other| other.of_relay == table.of_relay);
        let others = others.flat_map(|other| &other.keys);
        let mut names: Vec<&str> = others.map(|key| key.name).collect();
        names.extend(["zzzz"]);
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| !own(name)) {
            // These name something of their own at the top, or in a `when` with a single key.
            let (text, _) = table.probed(name, "\"1s\"");
            if toml::from_str::<Value>(&text).is_err() {
                continue;
            }
            let refused = (
                table.parsed(&text).is_err(),
                table.schema_takes(&text).is_err(),
            );
            assert_eq!(
                refused,
                (true, true),
                "{} with {name}:\n{text}",
                table.title
            );
        }
    }
}

#[test]
fn given_every_default_written_out_then_the_file_is_read_as_without_it() {
    let mut found = 0;
    for table in tables() {
        let defaults: Vec<(&str, &str)> = probes(&table)
            .filter_map(|key| match key.usual {
                Usual::Value(value) => Some((key.name, value)),
                Usual::Required | Usual::Words(_) => None,
            })
            .collect();
        found += defaults.len();
        let (least, whole) = (table.text(&[]), table.text(&defaults));
        let (least, whole) = (table.parsed(&least).unwrap(), table.parsed(&whole).unwrap());
        assert_eq!(least, whole, "{}", table.title);
    }
    assert!(found > 40, "only {found} defaults");
}

#[test]
fn given_a_mistake_of_structure_then_the_schema_refuses_it_too() {
    for text in [
        file(&[HEAD, CDC]),
        file(&[HEAD, LOAD]),
        file(&[HEAD, LOAD, "[strategy]\n"]),
        file(&[HEAD, LOAD, "[strategy]\nkind = \"cdc\"\n"]),
        file(&[HEAD, LOAD, CDC, "[fault]\n"]),
        with_fault("target = \"relay\""),
        with_fault("kind = \"kill\""),
        with_fault("at = \"2s\"\nwhen = { events = 5 }"),
        with_fault("when = { events = 5, backlog = 3 }"),
        with_fault("when = { fault = \"a\" }"),
        with_fault("when = {}"),
        with_workload("clients = 8"),
        with_workload("load = \"closed\""),
        with_workload("load = \"closed\"\nclients = 8\nrate = 5"),
        with_expect("losst = 0"),
        with_consumer("consumer-a.applied_thrice = 0"),
        with_consumer("consumer-a = 0"),
        with_consumer("applied_twice = 0"),
        file(&[HEAD, LOAD, CDC, "[consumer]\neffect = \"insert\"\n"]),
        file(&[HEAD, LOAD, CDC, "[consumer.\"a b\"]\neffect = \"insert\"\n"]),
        with_expect("lost = \"> 0\""),
        with_expect("lost = \"none\""),
        with_expect("drain = 5"),
        with_expect("drain = \"= 5s\""),
        with_expect("order_p99 = \"<= 5\""),
        file(&[HEAD, LOAD, "[strategy.\"a b\"]\nkind = \"cdc\"\n"]),
    ] {
        assert!(parse("s.toml", &text).is_err(), "the parser takes\n{text}");
        assert!(takes_scenario(&text).is_err(), "the schema takes\n{text}");
    }
}

fn repository(path: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::path::absolute(top.join(path)).unwrap()
}

/// Every scenario and every relay's file of the repository.
fn shipped() -> Vec<PathBuf> {
    let mut folders = vec![repository("scenarios"), repository(".ci")];
    let relays = folders_in(&repository("relays/external"));
    folders.extend(relays.iter().flat_map(|relay| folders_in(relay)));
    folders.extend(relays);
    let mut files = vec![repository("stack/postgres-matrix.toml")];
    for folder in folders {
        let entries = std::fs::read_dir(&folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "toml")));
    }
    files.sort();
    files
}

/// But for hidden ones, and for what an installation brought.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_dir() && !name.starts_with('.') && name != "node_modules"
    };
    paths.filter(own).collect()
}

#[test]
fn given_every_file_of_the_repository_then_its_first_line_names_its_schema_and_that_takes_it() {
    let files = shipped();
    assert!(files.len() >= 30, "only {files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("#:schema ");
        let named = named.unwrap_or_else(|| panic!("{}: `{first}`", path.display()));
        let schema = path.parent().unwrap().join(named);
        let name = schema.file_name().unwrap().to_owned();
        let kept = repository("docs/schema").join(&name);
        assert_eq!(
            schema.canonicalize().ok(),
            kept.canonicalize().ok(),
            "{}: {named}",
            path.display()
        );
        let validator: &Validator = match name.to_str() {
            Some("scenario.json") => &SCENARIO,
            _ => &RELAY,
        };
        let taken = validated(validator, &text);
        assert_eq!(taken, Ok(()), "{}", path.display());
    }
}

#[test]
fn given_the_examples_of_the_list_then_each_is_taken() {
    let lines = |named: &explain::Named| named.example.replace(", ", "\n") + "\n";
    let kinds = explain::strategies();
    let kinds = kinds.iter().map(|kind| {
        let strategy = format!("[strategy.a]\n{}", lines(kind));
        (file(&[HEAD, LOAD, &strategy]), kind.name != "external")
    });
    let of_faults = explain::faults().into_iter().map(|fault| {
        let target = match fault.name.as_str() {
            "kill" | "restart" | "pause" => "target = \"relay\"\n",
            _ => "",
        };
        let text = with_fault(&format!("{target}{}", lines(&fault)));
        match fault.name.as_str() {
            FAILOVER => text + STANDBY,
            _ => text,
        }
    });
    let of_targets = explain::targets().into_iter().map(|target| {
        let kind = match target.name.as_str() {
            // It has all in memory.
            "eventbridge-server" => "kind = \"pause\"\n",
            name if faults::targets(true).contains(&name) => "kind = \"kill\"\n",
            _ => "kind = \"down\"\n",
        };
        let with_faults = with_fault(&format!("{kind}{}", lines(&target)));
        // What is about a broker needs a strategy that has it.
        let mut others = BrokerKind::ALL.into_iter();
        let other = others.find(|kind| target.name.contains(kind.name()));
        let with_faults = match other {
            None | Some(BrokerKind::Kafka) => with_faults,
            Some(kind) => [NAIVE, CDC].iter().fold(with_faults, |text, strategy| {
                let with_broker = format!("{strategy}broker = \"{}\"\n", kind.name());
                text.replace(strategy, &with_broker)
            }),
        };
        // And so does what is about a database.
        let mut others = DatabaseKind::ALL.into_iter();
        let other = others.find(|kind| target.name.contains(kind.name()));
        let with_faults = match other {
            None | Some(DatabaseKind::Postgres) => with_faults,
            Some(kind) => [NAIVE, CDC].iter().fold(with_faults, |text, strategy| {
                let with_database = format!("{strategy}database = \"{}\"\n", kind.name());
                text.replace(strategy, &with_database)
            }),
        };
        // What is about consumers needs one.
        let with_faults = match target.name.starts_with("consumer->") {
            true => with_faults + CONSUMER,
            false => with_faults,
        };
        // What is about one of several brokers needs several.
        let roles = NodeRole::ALL.map(NodeRole::name);
        let with_faults = match roles.contains(&target.name.as_str()) {
            true => with_faults + "[stack]\nkafka = { brokers = 3 }\n",
            false => with_faults,
        };
        // What is about the cache needs one.
        match target.name.contains("redis") {
            true => {
                with_faults.replace(LOAD, &format!("{LOAD}read_share = 0.5\n"))
                    + "cache = \"invalidate-by-relay\"\n"
            }
            false => with_faults,
        }
    });
    let of_triggers = explain::triggers().into_iter().map(|trigger| {
        let another = fault("id = \"cut\"\ntarget = \"kafka\"\nat = \"1s\"\nfor = \"500ms\"");
        let waiting = fault(&format!(
            "target = \"relay\"\nkind = \"kill\"\n{}",
            trigger.example
        ));
        file(&[HEAD, LOAD, &another, &waiting, CDC])
    });
    let of_metrics = explain::metrics()
        .into_iter()
        .map(|m| {
            let cost = COSTS.iter().find(|cost| cost.name == m.name);
            let text = match cost.and_then(|cost| cost.lacks(&StrategyKind::Cdc {})) {
                Some(_) => with_expect_of_two_phase(&lines(&m)),
                None => with_expect(&lines(&m)),
            };
            (text, m.name)
        })
        // What is of a cache needs one.
        .map(|(text, name)| match Metric::parse(&name) {
            Some(metric) if metric.is_of_cache() => text
                .replace(LOAD, &format!("{LOAD}read_share = 0.5\n"))
                .replace(CDC, &format!("{CDC}cache = \"write-through\"\n")),
            Some(_) | None => text,
        });
    let of_consumers = explain::of_consumers()
        .into_iter()
        .map(|m| lines(&m).replace("payments", "a").replace("shipping", "a"))
        .map(|lines| with_consumer(&lines))
        // One of which everything is counted.
        .map(|text| text.replace("effect = \"insert\"", "effect = \"state\""));
    let all = of_faults
        .chain(of_targets)
        .chain(of_triggers)
        .chain(of_metrics)
        .chain(of_consumers);
    for (text, can_be_read) in kinds.chain(all.map(|text| (text, true))) {
        let read = parse("s.toml", &text)
            .map(|_| ())
            .map_err(|e| e.to_string());
        assert!(read.is_ok() || !can_be_read, "{read:?}\n{text}");
        assert_eq!(takes_scenario(&text), Ok(()), "{text}");
    }
}
