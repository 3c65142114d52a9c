#![allow(clippy::unwrap_used)]

use super::given::{SERVICE, read};
use super::*;
use crate::checkers::fixture::cases;
use crate::envelope::{Coding, EventField, HeaderPiece, Of};
use crate::scenario::{Link, Metric, StrategyKind, load, parse};
use contract::config::Isolation;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Strategy as Generator;
use std::collections::BTreeMap;
use std::time::Duration;

/// A file that says as little as a file can.
const LEAST: &str = r#"
name = "mine"
version = "1"
[outbox]
ddl = ["create table outbox (id uuid, payload text)"]
insert = ["insert into outbox values (${event_id}::uuid, ${payload})"]
[relay]
command = ["./relay", "--topic", "${topic}"]
ready = { log = "^READY$" }
"#;

#[test]
fn given_the_least_that_a_file_can_say_when_read_then_the_rest_is_as_a_careful_operator_would_have_it()
 {
    let relay = read(LEAST).unwrap();
    assert!(relay.home.is_absolute() && relay.home.ends_with("relays/mine"));
    assert_eq!(relay.install, None);
    assert_eq!(relay.outbox.pending, None);
    assert!(!relay.outbox.is_read_from_wal());
    assert_eq!(relay.outbox.isolation, Isolation::Schema);
    let process = relay.process.unwrap();
    assert_eq!(process.stop, ForeignStop::default());
    assert_eq!(process.env, BTreeMap::new());
    assert!(!process.restart);
    assert_eq!(process.instances, 1);
    assert_eq!(relay.service, None);
    assert!(relay.place.is_usual());
    assert_eq!(relay.topics, event::usual_topics());
    assert_eq!(relay.promises, Promises::default());
}

/// A file that says all that a file can.
const MOST: &str = r#"
name = "theirs"
version = "2.1"
language = "Go"
homepage = "https://example.org"
licence = "MIT"
[install]
check = ["test", "-x", "relay"]
run = ["go", "build"]
within = "3m"
[outbox]
ddl = ["create table o (id text)", "create index on o (id)"]
after_ddl = ["select pg_create_logical_replication_slot('${slot}', 'pgoutput')"]
insert = ["insert into o values (${event_id})", "insert into p values (${payload}, ${topic})"]
pending = "select id from o"
replication = true
isolation = "database"
[relay]
command = ["relay"]
folder = "bin"
env = { URL = "${postgres_url}?sslmode=disable", PLAIN = "x" }
ready = { http = "http://127.0.0.1:${port}/health" }
ready_within = "20s"
stop = { signal = "INT", within = "3s", exit = [0, 130] }
restart = true
instances = 3
[event]
topics = ["orders", "${topic}.paid"]
key = "header:order_id"
value = "json:/payload base64"
headers = { id = "${event_id}", "ce-type" = "order/${event_type}.v${version}", fixed = "x" }
[promises]
delivery = "exactly-once"
order = "none"
lease = "5s"
"#;

#[test]
fn given_all_that_a_file_can_say_when_read_then_all_of_it_is_kept() {
    let relay = read(MOST).unwrap();
    assert_eq!(relay.install.unwrap().within, Duration::from_secs(180));
    assert_eq!((relay.outbox.ddl.len(), relay.outbox.insert.len()), (2, 2));
    assert!(relay.outbox.is_read_from_wal());
    assert_eq!(relay.outbox.isolation, Isolation::Database);
    let process = relay.process.unwrap();
    assert_eq!(process.env["URL"].text(), "${postgres_url}?sslmode=disable");
    assert_eq!(process.stop.exit, [0, 130]);
    assert_eq!(process.stop.signal, StopSignal::Int);
    assert!(matches!(process.ready, ForeignReady::Http(_)) && process.restart);
    assert_eq!(process.instances, 3);
    let topics: Vec<&str> = relay.topics.iter().map(Template::text).collect();
    assert_eq!(topics, ["orders", "${topic}.paid"]);
    assert_eq!(relay.place.key.of, Of::Header("order_id".to_owned()));
    assert_eq!(relay.place.value.coding, Coding::Base64);
    let headers = relay.place.headers.iter();
    let headers: Vec<(&str, &[HeaderPiece])> = headers.map(|h| (&*h.name, &*h.value)).collect();
    let text = |text: &str| HeaderPiece::Text(text.to_owned());
    assert_eq!(
        headers,
        [
            ("id", &[HeaderPiece::Field(EventField::Attempt)][..]),
            (
                "ce-type",
                &[
                    text("order/"),
                    HeaderPiece::Field(EventField::EventType),
                    text(".v"),
                    HeaderPiece::Field(EventField::Version),
                ]
            ),
            ("fixed", &[text("x")]),
        ]
    );
    assert_eq!(relay.promises.lease, Duration::from_secs(5));
}

#[test]
fn given_a_mistake_then_it_is_shown_with_its_line_and_what_would_be_right() {
    let cases = [
        (
            "${topic}",
            "${topik}",
            "no placeholder `${topik}`",
            "`topic`",
        ),
        ("name = \"mine\"\n", "", "no `name`", "name = \"my relay\""),
        (
            "${event_id}::uuid",
            "'${event_id}'",
            "`${event_id}` stands within quotes",
            "bound as a parameter",
        ),
        (
            "${payload})",
            "'x')",
            "no statement of `insert` writes `${payload}`",
            "column",
        ),
        (
            "\"^READY$\"",
            "\"(\"",
            "no regular expression: unclosed group",
            "backslash",
        ),
        ("{ log = \"^READY$\" }", "{ }", "`ready` has 0 of", "tcp"),
        (
            "command = [\"./relay\", \"--topic\", \"${topic}\"]",
            "command = []",
            "names no program",
            "list",
        ),
        ("ddl = [", "dll = [", "no key `dll`", "`ddl`"),
        (
            "[outbox]",
            "[outbox]\nisolation = \"databse\"",
            "`databse` is not a possible `isolation`",
            "`database`",
        ),
        (
            "[relay]",
            "[relay]\ninstances = 5",
            "`instances` is 5, out of bounds",
            "from 1 to 4",
        ),
        (
            "command = [\"./relay\"",
            "command = [7",
            "has an integer in it",
            "list of texts",
        ),
        (
            "version = \"1\"",
            "version = 1",
            "`version` is an integer",
            "double quotes",
        ),
    ];
    for (right, wrong, what, help) in cases {
        assert!(LEAST.contains(right), "{right}");
        let error = read(&LEAST.replace(right, wrong)).unwrap_err();
        assert!(error.contains(what), "{wrong}: {error}");
        assert!(error.contains(help), "{wrong}: {error}");
        assert!(error.contains("relays/mine/relay.toml:"), "{error}");
    }
}

#[test]
fn given_headers_that_no_record_can_have_then_each_is_shown_with_its_line_and_what_would_be_right()
{
    let text = format!(
        "{LEAST}[event.headers]\nid = \"${{event}}\"\n\" type\" = \"x\"\nversion = 2\n\"\" = \"x\"\n"
    );
    let error = read(&text).unwrap_err();
    for (line, what, help) in [
        (11, "there is no placeholder `${event}` here", "`event_id`"),
        (
            12,
            "` type` is no name of a header",
            "without blanks around it",
        ),
        (13, "`version` is an integer", "double quotes"),
        (14, "`` is no name of a header", "${event_id}"),
    ] {
        for words in [
            format!("relays/mine/relay.toml:{line}:"),
            what.to_owned(),
            help.to_owned(),
        ] {
            assert!(error.contains(&words), "{words}: {error}");
        }
    }
    let many: String = (0..33).map(|n| format!("h{n} = \"x\"\n")).collect();
    let error = read(&format!("{LEAST}[event.headers]\n{many}")).unwrap_err();
    assert!(
        error.contains("asks for 33 headers") && error.contains("32 at most"),
        "{error}"
    );
}

#[test]
fn given_every_mistake_at_once_then_all_of_them_are_shown() {
    let text = LEAST
        .replace("${topic}", "${topik}")
        .replace("\"^READY$\"", "\"(\"")
        .replace("version = \"1\"", "versoin = \"1\"")
        + "[event]\nkey = \"body\"\n[promises]\norder = \"always\"\n[stop]\n";
    let error = read(&text).unwrap_err();
    for what in [
        "topik",
        "regular expression",
        "versoin",
        "body",
        "always",
        "`stop`",
    ] {
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn given_promises_then_what_is_not_promised_is_not_expected() {
    let zeros = |delivery, order| {
        let promises = Promises {
            delivery,
            order,
            ..Promises::default()
        };
        promises.zeros()
    };
    let usual = zeros(Delivery::AtLeastOnce, OrderPromise::Key);
    assert!(usual.contains(&Metric::Lost) && usual.contains(&Metric::Reordered));
    assert!(!usual.contains(&Metric::Duplicated));
    assert!(zeros(Delivery::ExactlyOnce, OrderPromise::Key).contains(&Metric::Duplicated));
    // Who promises more of the order is held to all that is less, and to what was overtaken besides
    assert!(!usual.contains(&Metric::Overtaken));
    for order in [OrderPromise::Partition, OrderPromise::Total] {
        let mut more = usual.clone();
        more.push(Metric::Overtaken);
        assert_eq!(zeros(Delivery::AtLeastOnce, order), more);
    }
    let at_most = zeros(Delivery::AtMostOnce, OrderPromise::None);
    for metric in [
        Metric::Lost,
        Metric::Undrained,
        Metric::Reordered,
        Metric::Split,
    ] {
        assert!(!at_most.contains(&metric), "{metric:?}");
    }
    assert!(at_most.contains(&Metric::Phantom) && at_most.contains(&Metric::Duplicated));
}

#[test]
fn given_an_order_service_of_the_files_own_then_it_needs_neither_a_statement_of_ours_nor_a_relay() {
    let relay = read(SERVICE).unwrap();
    let service = relay.service.as_ref().unwrap();
    assert_eq!(relay.process, None);
    assert_eq!(relay.outbox, ForeignOutbox::default());
    assert!(service.truth.query.text().starts_with("select order_id"));
    assert!(service.truth.place.ends_with("relays/mine/relay.toml:7"));
    // The contract says where it tells that it works
    let ForeignReady::Http(health) = &service.process.ready else {
        panic!("{:?}", service.process.ready);
    };
    assert_eq!(health.text(), "http://127.0.0.1:${port}/health");
    assert!(Template::read(health.text(), &PLACEHOLDERS).is_ok());
    // And it is the one that publishes
    let kind = StrategyKind::External {
        relay: Box::new(relay),
    };
    assert!(kind.relays_inside() && kind.brings_service() && !kind.has_relay());
    assert!(kind.topology().uses(Link::ORDERS_KAFKA) && !kind.topology().uses(Link::RELAY_KAFKA));
    assert!(!kind.topology().tells_pending);
}

#[test]
fn given_an_order_service_and_a_relay_then_the_relay_is_the_one_that_publishes() {
    let outbox = "[outbox]\nddl = [\"create table o (id text)\"]\npending = \"select id from o\"\n";
    let relay = "[relay]\ncommand = [\"./relay\"]\nready = { log = \"UP\" }\nrestart = true\n";
    let relay = read(&format!("{SERVICE}{outbox}{relay}")).unwrap();
    assert!(relay.process.as_ref().unwrap().restart);
    assert_eq!(relay.outbox.insert, []);
    let kind = StrategyKind::External {
        relay: Box::new(relay),
    };
    assert!(kind.brings_service() && kind.has_relay() && !kind.relays_inside());
    assert!(!kind.topology().uses(Link::ORDERS_KAFKA) && kind.topology().tells_pending);
}

#[test]
fn given_parts_that_do_not_go_together_then_each_is_refused_with_its_line_and_remedy() {
    let with = |more: &str| format!("{SERVICE}{more}");
    let without = |part: &str| {
        assert!(SERVICE.contains(part), "{part}");
        SERVICE.replace(part, "")
    };
    let truth = "[truth]\nquery = \"select order_id, version, attempt from order_changes\"\n";
    let cases = [
        (
            with("[outbox]\ninsert = [\"insert into o values (${payload})\"]\n"),
            "9:",
            "`insert`, and a [service] that writes its outbox by itself",
            "take `insert` out",
        ),
        (without(truth), "4:", "no [truth]", "add [truth]"),
        (
            format!("{LEAST}{truth}"),
            "10:",
            "no [service] whose changes it could tell",
            "add a [service]",
        ),
        (
            SERVICE.replace("query =", "qwery ="),
            "6:",
            "[truth] has no `query`",
            "query = \"select",
        ),
        (
            SERVICE.replace("order_changes", "${order_id}"),
            "7:",
            "no placeholder `${order_id}`",
            "",
        ),
        (
            SERVICE.replace("[truth]", "restart = true\n[truth]"),
            "6:",
            "is not started again",
            "take `restart` out",
        ),
        (
            SERVICE.replace("[service]", "[relay]"),
            "",
            "the file has no `outbox`",
            "[outbox]",
        ),
        (
            with("[outbox]\nddl = []\n"),
            "9:",
            "no statement",
            "leave the key out",
        ),
    ];
    for (text, line, what, help) in cases {
        let error = read(&text).unwrap_err();
        let place = format!("relays/mine/relay.toml:{line}");
        assert!(error.contains(&place), "{place}: {error}");
        assert!(
            error.contains(what) && error.contains(help),
            "{what}: {error}"
        );
    }
}

#[test]
fn given_a_service_that_publishes_by_itself_then_a_fault_on_a_relay_is_refused_and_on_its_links_not()
 {
    let fault = |target: &str| {
        let kind = if target.contains("->") {
            "down"
        } else {
            "kill"
        };
        format!(
            "{SCENARIO}[[fault]]\ntarget = \"{target}\"\nkind = \"{kind}\"\nat = \"1500ms\"\nfor = \"2s\"\n"
        )
    };
    for target in ["relay", "relay->kafka", "relay->postgres"] {
        let error = beside(SERVICE, &fault(target)).unwrap_err();
        assert!(
            error.contains(&format!("no strategy feels a fault on {target}")),
            "{error}"
        );
        assert!(
            error.contains("the order service publishes by itself"),
            "{error}"
        );
        assert!(
            error.contains("target what it has: order-service"),
            "{error}"
        );
    }
    for target in ["order-service", "orders->kafka", "orders->postgres"] {
        beside(SERVICE, &fault(target)).unwrap();
    }
}

#[test]
fn given_a_service_in_a_scenario_then_it_has_the_strategys_variables_and_a_history_keeps_all_of_it()
{
    let loaded = beside(SERVICE, SCENARIO).unwrap();
    let strategy = &loaded.scenario.strategies[0];
    let StrategyKind::External { relay } = &strategy.kind else {
        panic!("{:?}", strategy.kind);
    };
    let process = &relay.service.as_ref().unwrap().process;
    assert_eq!(process.env["EXTRA"].text(), "${topic}");
    let text = serde_json::to_string(&strategy.kind).unwrap();
    let back: StrategyKind = serde_json::from_str(&text).unwrap();
    assert_eq!(back, strategy.kind);
    // One of before it could be there is read as well
    let strategy = &beside(LEAST, SCENARIO).unwrap().scenario.strategies[0].kind;
    let mut before = serde_json::to_value(strategy).unwrap();
    before["relay"].as_object_mut().unwrap().remove("service");
    let back: StrategyKind = serde_json::from_value(before).unwrap();
    assert_eq!(back, *strategy);
}

const SCENARIO: &str = r#"
name = "theirs"
[workload]
rate = 100
duration = "5s"
[strategy.theirs]
kind = "external"
relay = "mine/relay.toml"
env = { EXTRA = "${topic}" }
"#;

/// A scenario beside a folder with a relay's file.
fn beside(relay: &str, scenario: &str) -> Result<crate::scenario::LoadedScenario, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::write(folder.path().join("mine/relay.toml"), relay).unwrap();
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    load(&folder.path().join("s.toml")).map_err(|e| e.to_string())
}

#[test]
fn given_a_scenario_that_names_a_relays_file_when_read_then_its_paths_begin_where_each_file_is() {
    let loaded = beside(LEAST, SCENARIO).unwrap();
    let strategy = &loaded.scenario.strategies[0];
    let StrategyKind::External { relay } = &strategy.kind else {
        panic!("{:?}", strategy.kind);
    };
    assert!(relay.home.ends_with("mine"));
    let process = relay.process.as_ref().unwrap();
    assert_eq!(process.env["EXTRA"].text(), "${topic}");
    // And a history keeps all of it
    let text = serde_json::to_string(&strategy.kind).unwrap();
    let back: StrategyKind = serde_json::from_str(&text).unwrap();
    assert_eq!(back, strategy.kind);
}

#[test]
fn given_a_relays_file_with_mistakes_then_both_files_are_shown_each_with_its_place() {
    let error = beside(&LEAST.replace("${topic}", "${topik}"), SCENARIO).unwrap_err();
    assert!(
        error.contains("s.toml:8:") && error.contains("relay.toml:8:"),
        "{error}"
    );
    let missing = SCENARIO.replace("mine/relay.toml", "mine/rely.toml");
    let error = beside(LEAST, &missing).unwrap_err();
    assert!(
        error.contains("did you mean") && error.contains("relay.toml"),
        "{error}"
    );
}

#[test]
fn given_a_drain_shorter_than_the_lease_then_it_is_refused() {
    let relay = format!("{LEAST}[promises]\nlease = \"60s\"\n");
    let error = beside(&relay, &format!("{SCENARIO}[drain]\nwithin = \"30s\"\n")).unwrap_err();
    assert!(
        error.contains("may hold an event for 1m") && error.contains("\"2m\""),
        "{error}"
    );
    beside(&relay, &format!("{SCENARIO}[drain]\nwithin = \"61s\"\n")).unwrap();
}

#[test]
fn given_a_total_order_over_several_partitions_then_it_is_refused_with_both_places() {
    let relay = |order: &str| {
        format!("{LEAST}[promises]\ndelivery = \"at-least-once\"\norder = \"{order}\"\n")
    };
    // The key says where the topic has several; without it, the table does
    let three = SCENARIO.replace("rate = 100", "partitions = 3");
    for (scenario, line) in [(three.as_str(), "s.toml:4:"), (SCENARIO, "s.toml:3:")] {
        let error = beside(&relay("total"), scenario).unwrap_err();
        for words in [
            line,
            "the topic has 3 partitions, and the relay of `theirs` promises `order = \"total\"` (",
            "mine/relay.toml:12)",
            "write `partitions = 1` in [workload]; or let the relay promise \"partition\"",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        beside(&relay("partition"), scenario).unwrap();
    }
    let one = SCENARIO.replace("rate = 100", "rate = 100\npartitions = 1");
    let loaded = beside(&relay("total"), &one).unwrap();
    let zeros = loaded.scenario.strategies[0].expectations.iter();
    let zeros: Vec<Metric> = zeros.filter(|e| e.implicit).map(|e| e.metric).collect();
    for metric in [Metric::Overtaken, Metric::Reordered, Metric::Split] {
        assert!(zeros.contains(&metric), "{metric:?}");
    }
}

#[test]
fn given_a_strategy_without_its_file_then_the_key_is_asked_for() {
    let text = SCENARIO.replace("relay = \"mine/relay.toml\"\n", "");
    let error = parse("s.toml", &text).unwrap_err().to_string();
    assert!(error.contains("no `relay`"), "{error}");
}

/// Good files, to be spoiled: these, and some that the project brings.
const FILES: [&str; 6] = [
    LEAST,
    MOST,
    SERVICE,
    include_str!("../../../../../relays/external/python-service/service.toml"),
    include_str!("../../../../../relays/external/python/relay.toml"),
    include_str!("../../../../../relays/external/watermill/v4/relay.toml"),
];

/// One way to mistype a file, somewhere in it.
#[derive(Debug, Clone)]
enum LineEdit {
    Remove(Index),
    Double(Index),
    Swap(Index),
    CutLine(Index),
}

fn edit() -> impl Generator<Value = LineEdit> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(LineEdit::Remove),
        at().prop_map(LineEdit::Double),
        at().prop_map(LineEdit::Swap),
        at().prop_map(LineEdit::CutLine),
    ]
}

fn edited(good: &str, edits: &[LineEdit]) -> String {
    let mut chars: Vec<char> = good.chars().collect();
    for edit in edits {
        if chars.is_empty() {
            break;
        }
        match edit {
            LineEdit::Remove(at) => drop(chars.remove(at.index(chars.len()))),
            LineEdit::Double(at) => {
                let at = at.index(chars.len());
                chars.insert(at, chars[at]);
            }
            LineEdit::Swap(at) => {
                let at = at.index(chars.len());
                let next = (at + 1).min(chars.len() - 1);
                chars.swap(at, next);
            }
            LineEdit::CutLine(at) => {
                let at = at.index(chars.len());
                let rest = chars[at..].iter().position(|c| *c == '\n');
                let end = rest.map_or(chars.len(), |rest| at + rest);
                chars.drain(at..end);
            }
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(cases(1_000))]
    #[test]
    fn given_a_good_file_when_mistyped_then_it_is_read_or_each_mistake_is_shown_with_file_and_line(
        good in select(&FILES[..]),
        edits in prop::collection::vec(edit(), 1..6),
    ) {
        let text = edited(good, &edits);
        let Err(error) = super::parse(Path::new("relays/mine/relay.toml"), &text) else {
            return Ok(());
        };
        prop_assert!(!error.problems().is_empty(), "{text}");
        for problem in error.problems() {
            let shown = ScenarioError::new("mine.toml", &text, vec![problem.clone()]).to_string();
            let place = shown.strip_prefix("mine.toml:").unwrap_or_default();
            let line = place.split(':').next().and_then(|line| line.parse().ok());
            let lines = text.lines().count().max(1) + 1;
            prop_assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{shown}");
            prop_assert!(!problem.what.is_empty() && !problem.help.is_empty(), "{shown}");
        }
        // And all together, in the file's own name
        prop_assert!(error.to_string().starts_with("relays/mine/relay.toml:"), "{error}");
    }
}

#[test]
fn given_topics_that_cannot_be_then_each_is_shown_with_its_line_and_what_would_be_right() {
    let many: Vec<String> = (0..17).map(|n| format!("\"t{n}\"")).collect();
    let (many, long) = (many.join(", "), "x".repeat(151));
    let cases = [
        ("", "names 0 topics", "1 to 16"),
        (many.as_str(), "names 17 topics", "1 to 16"),
        ("\"${topik}\"", "no placeholder `${topik}`", "`topic`"),
        ("\"a b\"", "no topic can be called", "letters, digits"),
        ("\"\"", "no topic can be called", "letters, digits"),
        ("\"..\"", "takes for a folder", "letters, digits"),
        ("\"oh.run.x\"", "are of runs", "letters, digits"),
        ("\"__offsets\"", "of Kafka itself", "letters, digits"),
        (
            "\"${topic}.owns.x\"",
            "which others are the run's",
            "letters, digits",
        ),
        (
            "\"${topic}-x.owns.y\"",
            "which others are the run's",
            "letters, digits",
        ),
        ("\"orders\", \"orders\"", "has `orders` twice", "once"),
        (
            &format!("\"{long}\""),
            "longer than 150 characters",
            "letters, digits",
        ),
        ("7", "has an integer in it", "list of texts"),
    ];
    for (topics, what, help) in cases {
        let error = read(&format!("{LEAST}[event]\ntopics = [{topics}]\n")).unwrap_err();
        assert!(error.contains("relays/mine/relay.toml:11:"), "{error}");
        assert!(
            error.contains(what) && error.contains(help),
            "{topics}: {error}"
        );
    }
}

/// A relay that publishes to two topics.
fn of_two_topics() -> String {
    format!("{LEAST}[event]\ntopics = [\"${{topic}}.placed\", \"orders-rest\"]\n")
}

#[test]
fn given_several_topics_then_what_cannot_be_of_several_is_refused_at_its_line() {
    let total = "[promises]\norder = \"total\"\n";
    let error = read(&format!("{}{total}", of_two_topics())).unwrap_err();
    for words in [
        "relays/mine/relay.toml:11:",
        "across topics there is no order to keep",
        "promise \"partition\"",
    ] {
        assert!(error.contains(words), "{error}");
    }
    read(&format!("{LEAST}[event]\ntopics = [\"orders\"]\n{total}")).unwrap();
    // Consumers, and partitions beyond what is read
    let consumer = "[consumer.shop]\neffect = \"insert\"\nidempotency = \"inbox\"\n";
    let consumed = format!("{SCENARIO}{consumer}");
    let error = beside(&of_two_topics(), &consumed).unwrap_err();
    assert!(
        error.contains("a consumer reads one topic, and the events of `theirs` are on 2"),
        "{error}"
    );
    beside(LEAST, &consumed).unwrap();
    let wide = SCENARIO.replace("rate = 100", "rate = 100\npartitions = 501");
    let error = beside(&of_two_topics(), &wide).unwrap_err();
    assert!(
        error.contains("s.toml:5:")
            && error.contains("2 topics of 501 partitions, 1002 together")
            && error.contains("1000 together at most"),
        "{error}"
    );
    beside(LEAST, &wide).unwrap();
}

#[test]
fn given_a_relays_own_topics_then_a_run_names_them_and_a_history_of_before_has_the_runs_alone() {
    let loaded = beside(&of_two_topics(), SCENARIO).unwrap();
    let kind = &loaded.scenario.strategies[0].kind;
    assert_eq!(
        kind.topics("oh.1.theirs"),
        ["oh.1.theirs.placed", "orders-rest"]
    );
    let mut before = serde_json::to_value(kind).unwrap();
    before["relay"].as_object_mut().unwrap().remove("topics");
    let back: StrategyKind = serde_json::from_value(before).unwrap();
    assert_eq!(back.topics("oh.1.theirs"), ["oh.1.theirs"]);
}
