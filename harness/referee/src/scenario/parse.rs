//! A file's text in, a valid scenario out; or everything that is wrong with it.

use super::faults::{self, PlacedFault};
use super::keys::{KeyInfo, Shape, names};
use super::section::{Entry, Section};
use super::source::{Problem, Problems, ScenarioError, suggest};
use super::strategies::{self, Surroundings, name_problem, plain};
use super::{Consumer, Fault, NatsSync, OrderTest, Scenario, Strategy, Topology, Workload};
use super::{
    cache, chains, conflicts, consumer, expectations, failover, limits, stack, unfollowed, workload,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What `order` can be.
const ORDER_TESTS: [(&str, OrderTest); 2] = [
    ("tested", OrderTest::Tested),
    ("not-tested", OrderTest::NotTested),
];

fn order_words() -> Vec<&'static str> {
    ORDER_TESTS.map(|(word, _)| word).to_vec()
}

/// These are the keys that a scenario file can have at its top level.
pub(super) const KEYS: [KeyInfo; 11] = [
    KeyInfo::required(
        "name",
        Shape::Name {
            longest: limits::SCENARIO_NAME,
        },
        "its name, which run folders and reports carry",
    ),
    KeyInfo::optional(
        "description",
        Shape::Text,
        "nothing",
        "one sentence: the lesson",
    ),
    KeyInfo::usually(
        "seed",
        Shape::Integer {
            least: 0,
            most: i64::MAX,
        },
        "1",
        "seed of every random choice of the load",
    ),
    KeyInfo::usually(
        "order",
        Shape::Word(order_words),
        "\"tested\"",
        "`not-tested` for a load so slow that no two versions of an order are in flight together: the order of events is then not judged",
    ),
    KeyInfo::required("workload", Shape::Table, "the load"),
    KeyInfo::optional(
        "fault",
        Shape::Table,
        "none",
        "`[[fault]]`: what hits what, when, for how long; at most 64",
    ),
    KeyInfo::required(
        "strategy",
        Shape::Table,
        "`[strategy.NAME]`: how events get from the database to the broker; one or more, at most 32",
    ),
    KeyInfo::optional(
        "consumer",
        Shape::Table,
        "none",
        "`[consumer.NAME]`: what reads the events of each strategy, and what it does with them; at most 8",
    ),
    KeyInfo::optional(
        "expect",
        Shape::Table,
        "0 of what a relay must never do",
        "`[expect.NAME]`: what is expected of the strategy of that name",
    ),
    KeyInfo::optional(
        "drain",
        Shape::Table,
        "its defaults",
        "how long the rest may take",
    ),
    KeyInfo::optional(
        "stack",
        Shape::Table,
        "its defaults",
        "what the servers of a local stack are to be like",
    ),
];

/// At most so many syntax errors are shown: what follows the first few is mostly their echo.
const SYNTAX_ERRORS: usize = 5;

/// A scenario is kept together with its file here, for messages that come later than parsing.
#[derive(Debug, Clone)]
pub struct LoadedScenario {
    /// This is the scenario that the file describes, valid as a whole.
    pub scenario: Scenario,
    /// The scenario was read from this file; messages show its path.
    pub path: PathBuf,
    places: FileSpans,
}

/// Where a file has what later errors are about.
#[derive(Debug, Clone)]
struct FileSpans {
    /// The `target` of each fault stands at these bytes, in the order of the scenario's faults.
    fault_targets: Vec<Range<usize>>,
    /// The table `[stack]` stands at these bytes; `None` where the file has none.
    stack: Option<Range<usize>>,
}

impl LoadedScenario {
    /// An error about one of its faults that only the surroundings can raise.
    pub fn fault_error(&self, fault: usize, what: String, help: String) -> ScenarioError {
        self.error(self.places.fault_targets.get(fault).cloned(), what, help)
    }

    /// Returns an error about the scenario's `[stack]` that only the surroundings can raise.
    pub fn stack_error(&self, what: String, help: String) -> ScenarioError {
        self.error(self.places.stack.clone(), what, help)
    }

    fn error(&self, span: Option<Range<usize>>, what: String, help: String) -> ScenarioError {
        let problem = Problem { span, what, help };
        ScenarioError::new(
            &self.path.display().to_string(),
            &self.scenario.text,
            vec![problem],
        )
    }

    /// The line, from 1 on, in which the file says what it expects of a metric of a strategy. Where it does not
    /// say so, and where no metric is asked for, that of the strategy's header.
    pub fn line_of(&self, strategy: &str, metric: Option<&str>) -> usize {
        let text = &self.scenario.text;
        let (root, _) = DeTable::parse_recoverable(text);
        let root = root.get_ref();
        let said = metric.and_then(|metric| {
            let mut expectations = named(named(root, "expect")?.1, strategy)?.1;
            let mut metric = metric;
            if let Some((consumer, of_it)) = metric.split_once('.') {
                expectations = named(expectations, consumer)?.1;
                metric = of_it;
            }
            expectations
                .keys()
                .find(|key| key.get_ref() == metric)
                .map(Spanned::span)
        });
        let header = || Some(named(named(root, "strategy")?.1, strategy)?.0);
        let at = said.or_else(header).map_or(0, |span| span.start);
        1 + text[..at].matches('\n').count()
    }
}

/// The table of this name, and where its name stands.
fn named<'t, 'f>(table: &'t DeTable<'f>, name: &str) -> Option<(Range<usize>, &'t DeTable<'f>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span(), value.get_ref().as_table()?))
}

/// Parses and checks a scenario file's text; `file` is the name that errors show.
pub fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    parse_loaded(Path::new(file), text).map(|loaded| loaded.scenario)
}

pub(super) fn parse_loaded(path: &Path, text: &str) -> Result<LoadedScenario, ScenarioError> {
    let file = path.display().to_string();
    let root = table_of(&file, text)?;
    let problems = Problems::default();
    let section = Section::new("the file", 0..0, root.get_ref(), names(&KEYS), &problems);
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = read(section, text, folder, &problems);
    let (problems, others) = problems.into_parts();
    match read {
        Some((scenario, places)) if problems.is_empty() => Ok(LoadedScenario {
            scenario,
            path: path.to_owned(),
            places,
        }),
        _ => Err(ScenarioError::new(&file, text, problems).and(others)),
    }
}

/// The table that a file's text is.
pub(super) fn table_of<'t>(
    file: &str,
    text: &'t str,
) -> Result<Spanned<DeTable<'t>>, ScenarioError> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(root);
    }
    let problems = errors.iter().take(SYNTAX_ERRORS).map(syntax).collect();
    Err(ScenarioError::new(file, text, problems))
}

fn syntax(error: &toml::de::Error) -> Problem {
    Problem {
        span: Some(error.span().unwrap_or(0..0)),
        what: error.message().lines().collect::<Vec<_>>().join(", "),
        help: "this is not TOML: keys stand as `key = value`, texts and durations in double quotes (duration = \"12s\"), tables in brackets ([workload]); every key, and every table such as [strategy.NAME], stands once".to_owned(),
    }
}

fn read(
    mut s: Section<'_>,
    text: &str,
    folder: &Path,
    problems: &Problems,
) -> Option<(Scenario, FileSpans)> {
    let name = read_name(&mut s);
    let description = s.get("description").and_then(|e| s.text(e));
    let seed = s
        .get("seed")
        .and_then(|e| s.integer(e, 0..=i64::MAX as u64))
        .unwrap_or(1);

    let order_entry = s.get("order");
    let order = order_entry
        .and_then(|e| s.word(e, &ORDER_TESTS))
        .unwrap_or_default();
    let workload_section = s
        .required("workload", "[workload]")
        .and_then(|e| Section::of(e, "[workload]", names(&workload::KEYS), problems));
    let workload_span = workload_section.as_ref().map_or(0..0, Section::span);
    let said_partitions = said(workload_section.as_ref(), "partitions");
    let partitions_span = said_partitions.clone();
    let partitions_span = partitions_span.unwrap_or_else(|| workload_span.clone());
    let share_span = said(workload_section.as_ref(), "read_share");
    let workload = workload_section.and_then(workload::read);
    let mut faults = read_faults(&mut s, workload.as_ref());
    let mut placed = read_strategies(&mut s, &Surroundings { folder });
    if let Some(workload) = &workload {
        cache::against_the_load(&placed, workload, share_span, problems);
    }
    let consumer_entry = s.get("consumer");
    let brokers: Vec<_> = placed.iter().map(|p| p.strategy.broker.kind()).collect();
    let consumers = consumer::read(consumer_entry, &brokers, problems);
    let stack_section = s
        .get("stack")
        .and_then(|e| Section::of(e, "[stack]", names(&stack::KEYS), problems));
    let stack_span = stack_section.as_ref().map(Section::span);
    let said_nats_sync = said(stack_section.as_ref(), stack::NATS_SYNC);
    let said_throttle = said(stack_section.as_ref(), stack::EVENTBRIDGE_THROTTLE);
    let stack = stack_section.map(stack::read).unwrap_or_default();
    for one in &mut placed {
        one.strategy.broker.is_of(stack.kafka.brokers);
    }
    failover::check(&faults, &placed, stack.hot_standby, problems);
    let topologies: Vec<Topology> = placed.iter().map(|p| p.strategy.topology()).collect();
    let are_all_read = placed.len() == declared_strategies(&mut s).len();
    let strategies = read_expectations(&mut s, placed, &consumers, workload.as_ref());
    if let Some(entry) = consumer_entry {
        consumer::unreadable(&consumers, &strategies, entry.key_span(), problems);
    }
    let drain_section = s
        .get("drain")
        .and_then(|e| Section::of(e, "[drain]", names(&workload::KEYS_OF_DRAIN), problems));
    let drain_span = drain_section.as_ref().map_or(0..0, Section::span);
    let drain = workload::read_drain(drain_section);

    if let Some(entry) = order_entry.filter(|_| order == OrderTest::NotTested) {
        conflicts::order_not_tested(&strategies, entry.span(), problems);
    }
    let has_trigger = |p: &PlacedFault| p.fault.trigger().is_some();
    faults.sort_by_key(|p| (has_trigger(p), p.fault.at(), p.span.start));
    conflicts::impatient_drain(&strategies, drain.within, drain_span, problems);
    if let Some(workload) = &workload {
        let span = partitions_span.clone();
        conflicts::too_many_partitions(&strategies, workload.partitions, span, problems);
        conflicts::total_order(&strategies, workload.partitions, partitions_span, problems);
        let said = unfollowed::Said {
            partitions: said_partitions,
            // What holds anyway may be said by anybody.
            nats_sync: said_nats_sync.filter(|_| stack.nats_sync != NatsSync::default()),
            eventbridge_throttle: said_throttle,
            are_all_read,
        };
        unfollowed::check(said, workload.partitions, &strategies, problems);
    }
    conflicts::between_faults(&faults, problems);
    conflicts::without_victim(&faults, &topologies, problems);
    conflicts::without_consumer(&faults, &consumers, problems);
    conflicts::without_speaker(&faults, &strategies, problems);
    conflicts::unasked(&faults, &strategies, problems);
    let declared = declared_ids(&mut s);
    chains::check(&faults, &declared, workload.as_ref(), &strategies, problems);
    s.finish();
    if let Some(workload) = &workload {
        conflicts::short_phases(&faults, workload, workload_span, problems);
    }
    let (faults, fault_targets): (Vec<Fault>, Vec<Range<usize>>) =
        faults.into_iter().map(|p| (p.fault, p.target_span)).unzip();
    let places = FileSpans {
        fault_targets,
        stack: stack_span,
    };
    let scenario = Scenario {
        name: name?.to_owned(),
        description: description.unwrap_or_default().trim().to_owned(),
        seed,
        workload: workload?,
        faults,
        strategies,
        consumers,
        drain,
        order,
        stack,
        text: text.to_owned(),
    };
    Some((scenario, places))
}

fn read_name<'a>(s: &mut Section<'a>) -> Option<&'a str> {
    let entry = s.required("name", "name = \"broker-outage\"")?;
    let name = s.text(entry)?;
    if let Some(help) = name_problem(name, limits::SCENARIO_NAME) {
        s.problem(
            entry.span(),
            "`name` cannot be the name of a scenario (it becomes part of a folder's name)",
            help,
        );
    }
    Some(name)
}

fn read_faults(s: &mut Section<'_>, workload: Option<&Workload>) -> Vec<PlacedFault> {
    let Some(entry) = s.get("fault") else {
        return Vec::new();
    };
    let list_help = "faults are a list: write [[fault]], with two brackets, above each of them";
    let DeValue::Array(list) = entry.value() else {
        s.problem(entry.span(), "`fault` is not a list", list_help);
        return Vec::new();
    };
    if list.len() > limits::FAULTS {
        s.problem(
            entry.span(),
            format!("there are {} faults", list.len()),
            format!("at most {} fit in a scenario", limits::FAULTS),
        );
        return Vec::new();
    }
    list.iter()
        .enumerate()
        .filter_map(|(i, value)| match value.get_ref() {
            DeValue::Table(table) => {
                let title = format!("[[fault]] number {}", i + 1);
                faults::read(
                    Section::new(title, value.span(), table, faults::known(), s.problems()),
                    workload,
                )
            }
            _ => {
                s.problem(value.span(), "a fault is not a table", list_help);
                None
            }
        })
        .collect()
}

/// The ids that faults of the file have, whatever else is wrong with them.
fn declared_ids<'a>(s: &mut Section<'a>) -> Vec<&'a str> {
    let Some(list) = s.get("fault").and_then(|e| e.value().as_array()) else {
        return Vec::new();
    };
    let tables = list.iter().filter_map(|value| value.get_ref().as_table());
    let ids = tables.filter_map(|table| table.get("id")?.get_ref().as_str());
    ids.collect()
}

fn read_strategies(
    s: &mut Section<'_>,
    surroundings: &Surroundings<'_>,
) -> Vec<strategies::PlacedStrategy> {
    let help = "add a table such as [strategy.polling] with kind = \"polling\" (or \"cdc\", or \"dual-write\")";
    let Some(entry) = s.get("strategy") else {
        s.problem(s.span(), "the file has no strategy", help);
        return Vec::new();
    };
    let Some(section) = Section::of(entry, "[strategy.NAME]", Vec::new(), s.problems()) else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.is_empty() {
        s.problem(entry.key_span(), "the file has no strategy", help);
    }
    if entries.len() > limits::STRATEGIES {
        s.problem(
            entry.key_span(),
            format!("there are {} strategies", entries.len()),
            format!("at most {} fit in a scenario", limits::STRATEGIES),
        );
        return Vec::new();
    }
    let mut placed: Vec<strategies::PlacedStrategy> = Vec::new();
    for entry in entries {
        if !matches!(entry.value(), DeValue::Table(_)) {
            s.problem(
                entry.key_span(),
                format!("`{}` stands in [strategy] itself", entry.key),
                "each strategy is a table with a name: [strategy.NAME]",
            );
            continue;
        }
        if let Some(help) = name_problem(entry.key, limits::STRATEGY_NAME) {
            s.problem(
                entry.key_span(),
                "this cannot be the name of a strategy (it becomes part of a schema's and a topic's name)",
                help,
            );
        }
        if let Some(twin) = placed
            .iter()
            .find(|p| plain(&p.strategy.name) == plain(entry.key))
        {
            s.problem(
                entry.key_span(),
                format!(
                    "`{}` and `{}` would share a schema: names are told apart without case, and `-` is `_`",
                    entry.key, twin.strategy.name
                ),
                "give one of them another name",
            );
        }
        let title = format!("[strategy.{}]", entry.key);
        if let Some(strategy) = Section::of(entry, title, strategies::known(), s.problems())
            .and_then(|section| strategies::read(section, entry.key, surroundings))
        {
            placed.push(strategy);
        }
    }
    placed.sort_by_key(|p| p.span.start);
    placed
}

/// Where the value of this key is, where it is said.
fn said(section: Option<&Section<'_>>, key: &str) -> Option<Range<usize>> {
    let entries = section?.entries();
    let said = entries.iter().find(|entry| entry.key == key);
    said.map(Entry::span)
}

/// The names of all strategies, of those too that could not be read.
fn declared_strategies<'a>(s: &mut Section<'a>) -> Vec<&'a str> {
    let declared = s.get("strategy").and_then(|e| e.value().as_table());
    let names = declared.map(|table| table.keys().map(|name| name.get_ref().as_ref()).collect());
    names.unwrap_or_default()
}

fn read_expectations(
    s: &mut Section<'_>,
    placed: Vec<strategies::PlacedStrategy>,
    consumers: &[Consumer],
    workload: Option<&Workload>,
) -> Vec<Strategy> {
    // A strategy that is there but broken must not make its expectations look misplaced.
    let declared = declared_strategies(s);
    let mut strategies: Vec<Strategy> = placed.into_iter().map(|p| p.strategy).collect();
    let expect = s
        .get("expect")
        .and_then(|e| Section::of(e, "[expect.NAME]", Vec::new(), s.problems()));
    for entry in expect.iter().flat_map(Section::entries) {
        let title = format!("[expect.{}]", entry.key);
        if !declared.contains(&entry.key) {
            s.problem(
                entry.key_span(),
                format!("{title} expects of a strategy that is not there"),
                format!("strategies of this file: {}", suggest(entry.key, &declared)),
            );
            continue;
        }
        let Some(section) = Section::of(entry, title, Vec::new(), s.problems()) else {
            continue;
        };
        if let Some(strategy) = strategies.iter_mut().find(|x| x.name == entry.key) {
            let most = workload.map(Workload::planned);
            (strategy.expectations, strategy.of_consumers) =
                expectations::read(section, strategy, consumers, most);
        }
    }
    for strategy in &mut strategies {
        let said = std::mem::take(&mut strategy.expectations);
        strategy.expectations = expectations::with_implicit(said, strategy.zeros());
        let said = std::mem::take(&mut strategy.of_consumers);
        strategy.of_consumers = consumer::with_implicit(
            said,
            consumers,
            &strategy.expectations,
            strategy.broker.kind(),
        );
    }
    strategies
}
