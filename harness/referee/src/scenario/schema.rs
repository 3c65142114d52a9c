//! The JSON Schemas of scenario files and of relays' files, made of the rows of their keys: for editors, and for
//! whoever checks files without this program. A schema cannot know everything that the parser knows (whether
//! a fault ends before the load does), and refuses nothing that the parser takes.

use super::brokers::BROKERS;
use super::fault_kind::{FaultInfo, Ground, KINDS as FAULT_KINDS};
use super::keys::{KeyInfo, Shape, Usual, names};
use super::metric::Unit;
use super::strategies::{KINDS as STRATEGY_KINDS, StrategyInfo};
use super::trigger::TRIGGERS;
use super::{
    Metric, consumer, explain, faults, limits, parse, relay_file, stack, strategies, trigger,
    workload,
};
use serde_json::{Map, Value, json};

/// Both schemas are written in this dialect of JSON Schema, and name it in `$schema`.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Every duration matches this regular expression: a number, then its unit.
const DURATION: &str = r"[0-9]{1,15}(\.[0-9]{1,9})?\s*(us|µs|ms|s|m|h)";
/// Units of sizes.
const SIZES: &str = "(B|KB|kB|KiB|MB|MiB)";

/// Returns the JSON Schema of a scenario file.
pub fn scenario() -> Value {
    let tables = [
        ("workload", workload_table()),
        (
            "fault",
            json!({ "type": "array", "maxItems": limits::FAULTS, "items": fault() }),
        ),
        ("strategy", strategies_table()),
        ("consumer", consumers_table()),
        ("expect", expect()),
        ("drain", table(&workload::KEYS_OF_DRAIN, &[])),
        ("stack", stack_table()),
    ];
    document(
        "A scenario of outbox-harness",
        "What to run, and what is expected of it. docs/scenario.md has every key.",
        table(&parse::KEYS, &tables),
    )
}

/// Returns the JSON Schema of a relay's file.
pub fn relay() -> Value {
    let tables = relay_file::TABLES.map(|(name, keys)| (name, relay_table(name, keys)));
    let mut schema = table(&relay_file::KEYS, &tables);
    add(&mut schema, "if", json!({ "required": ["service"] }));
    // An order service of the file's own writes its outbox by itself, and somebody must tell what it
    // committed.
    add(
        &mut schema,
        "then",
        json!({
            "required": ["truth"],
            "properties": { "outbox": { "not": { "required": ["insert"] } } },
        }),
    );
    add(
        &mut schema,
        "else",
        json!({
            "required": ["outbox", "relay"],
            "not": { "required": ["truth"] },
            "properties": {
                "outbox": { "required": ["insert"], "anyOf": one_of_each(&["ddl", "ddl_file"]) },
            },
        }),
    );
    document(
        "A relay, or an order service, for outbox-harness",
        "How it is installed, started, known to work and stopped, and what it promises. docs/your-relay.md and docs/your-service.md explain every key.",
        schema,
    )
}

fn document(title: &str, description: &str, schema: Value) -> Value {
    let mut document = json!({
        "$schema": DIALECT,
        "title": title,
        "description": description,
    });
    if let (Value::Object(document), Value::Object(schema)) = (&mut document, schema) {
        document.extend(schema);
    }
    document
}

fn add(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(schema) = schema {
        schema.insert(key.to_owned(), value);
    }
}

/// Returns a list with `{ required: [key] }` for each of the keys.
fn one_of_each(keys: &[&str]) -> Value {
    keys.iter()
        .map(|key| json!({ "required": [key] }))
        .collect()
}

/// Returns the schema of a table with these keys and no others; `inner` has the schemas of those that are tables
/// themselves.
fn table(keys: &[KeyInfo], inner: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key, inner)))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required(keys),
        "additionalProperties": false,
    })
}

fn required(keys: &[KeyInfo]) -> Vec<&'static str> {
    let needed = keys
        .iter()
        .filter(|key| matches!(key.usual, Usual::Required));
    needed.map(|key| key.name).collect()
}

fn property(key: &KeyInfo, inner: &[(&str, Value)]) -> Value {
    let found = inner.iter().find(|(name, _)| *name == key.name);
    let mut schema = found.map_or_else(|| shape(key.shape), |(_, schema)| schema.clone());
    let what = match (key.shape, key.usual) {
        (Shape::Duration { .. }, _) => format!("{} ({})", key.what, key.shape.words()),
        (_, Usual::Words(otherwise)) if !matches!(key.shape, Shape::Table) => {
            format!("{} (if left out: {otherwise})", key.what)
        }
        _ => key.what.to_owned(),
    };
    add(&mut schema, "description", what.into());
    if let Some(value) = default(key) {
        add(&mut schema, "default", value);
    }
    schema
}

/// What a key is where it is left out, if that is a value.
fn default(key: &KeyInfo) -> Option<Value> {
    let Usual::Value(written) = key.usual else {
        return None;
    };
    let mut table: Map<String, Value> = toml::from_str(&format!("value = {written}")).ok()?;
    table.remove("value")
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text | Shape::Regex => json!({ "type": "string" }),
        Shape::Name { longest } => json!({ "type": "string", "pattern": name(longest) }),
        Shape::PartOfRecord => json!({
            "type": "string",
            "pattern": "^(key|value|header:[^ ]+|json:/[^ ]*)( +(base64|hex))?$",
        }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Integer { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Number { least, most } => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Shape::Duration { .. } => {
            json!({ "type": "string", "pattern": format!("^\\s*{DURATION}\\s*$") })
        }
        Shape::Size { least, most } => quantity(least, most, SIZES),
        Shape::Bandwidth { least, most } => quantity(least, most, "(KB/s|kB/s|MB/s)"),
        Shape::Word(words) => json!({ "type": "string", "enum": words() }),
        Shape::Texts { least } => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": least })
        }
        Shape::TextsByName => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        Shape::Integers { least, most } => json!({
            "type": "array",
            "items": { "type": "integer", "minimum": least, "maximum": most },
        }),
        Shape::Table => json!({ "type": "object" }),
    }
}

/// Returns the schema of a quantity: an integer, or a text with a unit.
fn quantity(least: u64, most: u64, units: &str) -> Value {
    json!({
        "type": ["integer", "string"],
        "minimum": least,
        "maximum": most,
        "pattern": format!(r"^\s*[0-9]{{1,15}}(\.[0-9]{{1,9}})?\s*{units}\s*$"),
    })
}

fn name(longest: usize) -> String {
    format!("^[A-Za-z0-9][A-Za-z0-9_-]{{0,{}}}$", longest - 1)
}

fn workload_table() -> Value {
    let mut schema = table(&workload::KEYS, &[]);
    add(
        &mut schema,
        "if",
        json!({ "properties": { "load": { "const": "closed" } }, "required": ["load"] }),
    );
    let of_an_open_loop = workload::OF_AN_OPEN_LOOP;
    add(
        &mut schema,
        "then",
        json!({
            "required": ["clients"],
            "propertyNames": { "not": { "enum": of_an_open_loop } },
        }),
    );
    add(
        &mut schema,
        "else",
        json!({ "propertyNames": { "not": { "enum": ["clients"] } } }),
    );
    schema
}

/// A kind of something, with the keys that it has beside those of all kinds.
struct KindOf {
    name: &'static str,
    what: &'static str,
    own: Vec<KeyInfo>,
    /// More that holds for it.
    rules: Value,
}

/// A table whose `kind` says which keys it may have. All keys of all kinds are its properties, for editors
/// that complete and explain them; what each kind takes is a rule of its own.
fn table_of_kinds(common: &[KeyInfo], inner: &[(&str, Value)], kinds: &[KindOf]) -> Value {
    let mut schema = table(common, inner);
    let mut properties: Map<String, Value> = Map::new();
    for kind in kinds {
        for key in &kind.own {
            let of_kind = property(key, inner);
            match properties.get_mut(key.name) {
                None => {
                    properties.insert(key.name.to_owned(), of_kind);
                }
                // What it means, or is by default, differs by kind.
                Some(known) if *known != of_kind => {
                    *known = shape(key.shape);
                    let owners = kinds
                        .iter()
                        .flat_map(|k| k.own.iter().map(move |row| (k.name, row)));
                    let said: Vec<String> = owners
                        .filter(|(_, row)| row.name == key.name)
                        .map(|(owner, row)| format!("{owner}: {}", row.what))
                        .collect();
                    add(known, "description", said.join("; ").into());
                }
                Some(_) => {}
            }
        }
    }
    if let Some(Value::Object(all)) = schema.get_mut("properties") {
        all.extend(properties);
        let words = kinds
            .iter()
            .map(|kind| format!("{}: {}", kind.name, kind.what));
        if let Some(kind) = all.get_mut("kind") {
            add(
                kind,
                "description",
                words.collect::<Vec<_>>().join("\n").into(),
            );
        }
    }
    let rules: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let all: Vec<&str> = names(common).into_iter().chain(names(&kind.own)).collect();
            let mut then = json!({
                "propertyNames": { "enum": all },
                "required": required(&kind.own),
            });
            if let (Value::Object(then), Value::Object(rules)) = (&mut then, &kind.rules) {
                then.extend(rules.clone());
            }
            json!({
                "if": { "properties": { "kind": { "const": kind.name } }, "required": ["kind"] },
                "then": then,
            })
        })
        .collect();
    add(&mut schema, "allOf", rules.into());
    schema
}

fn fault() -> Value {
    let kinds: Vec<KindOf> = FAULT_KINDS.iter().map(kind_of_fault).collect();
    let any: Vec<&str> = [faults::targets(false), faults::targets(true)].concat();
    let inner = [("when", when()), ("target", target(&any, true))];
    let mut schema = table_of_kinds(&faults::KEYS, &inner, &kinds);
    add(&mut schema, "oneOf", one_of_each(&["at", "when"]));
    schema
}

/// One of these, or a consumer's process.
fn target(words: &[&str], or_consumer: bool) -> Value {
    let words = json!({ "type": "string", "enum": words });
    match or_consumer {
        true => {
            json!({ "anyOf": [words, { "type": "string", "pattern": format!("^{}[A-Za-z0-9][A-Za-z0-9_-]{{0,{}}}$", consumer::PREFIX, limits::CONSUMER_NAME - 1) }] })
        }
        false => words,
    }
}

/// Processes are killed, restarted and paused, the database is read for long; links get everything else.
fn kind_of_fault(info: &FaultInfo) -> KindOf {
    let targets = faults::targets_on(info.ground());
    let or_consumer = info.ground() == Ground::Process;
    KindOf {
        name: info.name,
        what: info.what,
        own: info.rows(),
        rules: json!({ "properties": { "target": target(&targets, or_consumer) } }),
    }
}

fn when() -> Value {
    let keys: Vec<KeyInfo> = TRIGGERS
        .iter()
        .flat_map(|info| info.keys)
        .copied()
        .collect();
    let mut schema = table(&keys, &[("log", table(&trigger::log::KEYS, &[]))]);
    let each = TRIGGERS.iter().map(|info| {
        let own = names(info.keys);
        let all: Vec<&str> = names(&keys);
        let others: Vec<&str> = all.into_iter().filter(|key| !own.contains(key)).collect();
        json!({ "required": own, "propertyNames": { "not": { "enum": others } } })
    });
    let each: Value = each.collect();
    add(&mut schema, "required", json!([]));
    add(&mut schema, "oneOf", each);
    schema
}

fn strategies_table() -> Value {
    let kind_of = |info: &StrategyInfo| KindOf {
        name: info.name,
        what: info.what,
        own: info.all_keys(),
        rules: json!({}),
    };
    let kinds: Vec<KindOf> = STRATEGY_KINDS.iter().map(kind_of).collect();
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": limits::STRATEGIES,
        "propertyNames": { "pattern": name(limits::STRATEGY_NAME) },
        "additionalProperties": table_of_kinds(&strategies::KEYS, &tables_of_brokers(), &kinds),
    })
}

/// The settings of each broker that has any.
fn tables_of_brokers() -> Vec<(&'static str, Value)> {
    let with_settings = BROKERS.iter().filter(|row| row.table.is_some());
    with_settings
        .map(|row| (row.kind.name(), table(row.keys, &[])))
        .collect()
}

fn stack_table() -> Value {
    let kafka = table(&stack::kafka::KEYS, &[]);
    table(&stack::KEYS, &[("kafka", kafka)])
}

fn consumers_table() -> Value {
    json!({
        "type": "object",
        "maxProperties": limits::CONSUMERS,
        "propertyNames": { "pattern": name(limits::CONSUMER_NAME) },
        "additionalProperties": table(
            &consumer::KEYS,
            &[("rabbitmq", table(&consumer::rabbitmq::KEYS, &[]))],
        ),
    })
}

fn expect() -> Value {
    let of_consumer = json!({
        "type": "object",
        "description": "what is expected of this consumer",
        "properties": expected(Metric::of_consumers()),
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": expected(Metric::all()),
            "patternProperties": { "^consumer-": of_consumer },
            "additionalProperties": false,
        },
    })
}

/// Returns the schema of an expectation of each of these metrics, by name.
fn expected(metrics: Vec<Metric>) -> Map<String, Value> {
    let metrics = metrics.into_iter().map(|metric| {
        let mut schema = match metric.unit() {
            Unit::Count => json!({
                "type": ["integer", "string"],
                "minimum": 0,
                "pattern": r"^\s*(=|>=|<=)?\s*\+?[0-9]+\s*$",
            }),
            Unit::Milliseconds | Unit::Seconds | Unit::Microseconds => json!({
                "type": "string",
                "pattern": format!(r"^\s*(>=|<=)\s*{DURATION}\s*$"),
            }),
            Unit::Bytes => json!({
                "type": "string",
                "pattern": format!(r"^\s*(>=|<=)\s*[0-9]{{1,15}}(\.[0-9]{{1,9}})?\s*{SIZES}\s*$"),
            }),
        };
        add(
            &mut schema,
            "description",
            explain::of_metric(metric).into(),
        );
        (metric.name(), schema)
    });
    metrics.collect()
}

fn relay_table(name: &str, keys: &[KeyInfo]) -> Value {
    let mut ready = table(&relay_file::KEYS_OF_READY, &[]);
    add(&mut ready, "required", json!([]));
    add(&mut ready, "minProperties", 1.into());
    add(&mut ready, "maxProperties", 1.into());
    let stop = table(&relay_file::KEYS_OF_STOP, &[]);
    let mut schema = table(keys, &[("ready", ready), ("stop", stop)]);
    if name == "outbox" {
        add(
            &mut schema,
            "not",
            json!({ "required": ["ddl", "ddl_file"] }),
        );
    }
    schema
}
