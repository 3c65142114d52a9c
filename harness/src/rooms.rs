//! The rooms of the harness and of its referee, held against the code: who uses whom runs one way, each has its line in
//! docs/architecture.md, and few files outside the rooms of PostgreSQL and Kafka name them.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// For each room, these are the rooms that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    found
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}

/// Tests stage what they need from anywhere.
fn is_of_tests(path: &Path) -> bool {
    let names = path.iter().filter_map(|name| name.to_str());
    let test = |name: &str| matches!(name, "tests" | "tests.rs" | "fixture.rs" | "staged.rs");
    names.into_iter().any(test)
}

/// Where the rooms are, from the top.
const HOUSES: [&str; 3] = ["harness/src", "harness/testbed/src", "harness/referee/src"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn uses(house: &str) -> Uses {
    let home = top().join(house);
    let mut uses = Uses::new();
    for path in sources(&home) {
        let inner = path.strip_prefix(&home).unwrap();
        let first = inner.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if matches!(room, "lib" | "main" | "rooms" | "registries" | "names") || is_of_tests(inner) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\n#[allow").next().unwrap();
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let used = lines
            .flat_map(|line| line.split("crate::").skip(1))
            .map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
                rest[..end.unwrap_or(rest.len())].to_owned()
            });
        let others = used.filter(|other| other != room && !other.is_empty());
        uses.entry(room.to_owned()).or_default().extend(others);
    }
    let rooms: BTreeSet<String> = uses.keys().cloned().collect();
    for used in uses.values_mut() {
        used.retain(|room| rooms.contains(room));
    }
    uses
}

/// Finds a way from a room back to itself; `None` if there is none.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    fn back(uses: &Uses, way: &mut Vec<String>, seen: &mut BTreeSet<String>) -> bool {
        let Some(next) = uses.get(way.last().unwrap()) else {
            return false;
        };
        next.iter().any(|room| {
            let home = *room == way[0];
            if !home && !seen.insert(room.clone()) {
                return false;
            }
            way.push(room.clone());
            let found = home || back(uses, way, seen);
            if !found {
                way.pop();
            }
            found
        })
    }
    uses.keys().find_map(|room| {
        let mut way = vec![room.clone()];
        back(uses, &mut way, &mut BTreeSet::new()).then_some(way)
    })
}

#[test]
fn given_the_rooms_when_followed_from_use_to_use_then_no_way_leads_back() {
    let [harness, testbed, mut uses] = HOUSES.map(uses);
    assert!(harness["run"].contains("nemesis") && uses["checkers"].contains("view"));
    assert!(testbed["stack"].contains("process"));
    assert_eq!([&harness, &testbed, &uses].map(circle), [None, None, None]);
    // And one that did would be found
    uses.get_mut("view").unwrap().insert("checkers".into());
    let way = circle(&uses).unwrap();
    assert_eq!(way.first(), way.last());
    assert!(
        way.windows(2).any(|step| step == ["view", "checkers"]),
        "{way:?}"
    );
}

#[test]
fn given_the_rooms_then_docs_architecture_has_a_line_for_each() {
    let text = std::fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let rooms = HOUSES.iter().flat_map(|house| {
        let rooms = uses(house).into_keys();
        rooms.map(move |room| format!("`{house}/{room}"))
    });
    let missing: Vec<String> = rooms.filter(|room| !text.contains(room)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// Every house that is no test.
const ALL_HOUSES: [&str; 6] = [
    "harness/src",
    "harness/testbed/src",
    "harness/referee/src",
    "relays/src",
    "relays/contract/src",
    "reports/src",
];

/// A system, how code names it, and in how many files outside its rooms that is at most; docs/architecture.md says so
/// too. A room is a path with such a name in it. Where there are fewer, the number becomes as small, here and there.
const NAMED: [(&str, &str, usize); 2] = [
    ("PostgreSQL", r"(?i:postgres)|\bPg[A-Z]", 19),
    ("Kafka", "(?i:kafka)", 36),
];

/// The code of a file as far as it is compiled into the program: without what is said in it, and without its tests.
fn compiled(text: &str) -> String {
    let said = Regex::new(
        r##"(?s)//[^\n]*|/\*.*?\*/|r#".*?"#|r"[^"]*"|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'"##,
    );
    let mut code = said.unwrap().replace_all(text, "\"\"").into_owned();
    while let Some(from) = code.find("#[cfg(test)]") {
        let mut depth = 0;
        let end = code[from..].find(|c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0 && matches!(c, ';' | '}')
        });
        let end = end.map_or(code.len(), |length| from + length + 1);
        code.replace_range(from..end, "");
    }
    code
}

/// The files outside a system's rooms whose code names it.
fn named_in(names: &str) -> Vec<String> {
    let names = Regex::new(names).unwrap();
    let top = top();
    let files = ALL_HOUSES
        .iter()
        .flat_map(|house| sources(&top.join(house)));
    let files = files.filter_map(|path| {
        let inner = path.strip_prefix(&top).unwrap();
        let name = inner.to_str().unwrap().to_owned();
        if names.is_match(&name) || is_of_tests(inner) || name == "harness/src/rooms.rs" {
            return None;
        }
        let code = compiled(&std::fs::read_to_string(&path).unwrap());
        names.is_match(&code).then_some(name)
    });
    files.collect()
}

#[test]
fn given_the_rooms_of_a_system_then_few_files_outside_of_them_name_it() {
    let docs = std::fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    for (system, names, most) in NAMED {
        let files = named_in(names);
        assert!(
            files.len() <= most,
            "{system} is named in {} files outside its rooms, and in {most} at most before: {files:#?}",
            files.len()
        );
        let said = format!("{system} is named in at most {most}");
        assert!(docs.contains(&said), "docs/architecture.md: {said}");
    }
}

#[test]
fn given_a_name_in_words_or_in_a_test_then_it_is_in_no_code() {
    let text = r##"
        //! PostgreSQL
        #[cfg(test)]
        mod postgres_fixture;
        fn f() { say("postgres", '"', r#"a "postgres""#); /* Postgres */ }
        #[cfg(test)]
        #[allow(clippy::unwrap_used)]
        mod tests { fn g() { if postgres() {} } }
        fn h() {}
    "##;
    let code = compiled(text);
    assert!(code.contains("fn f()") && code.contains("fn h()"), "{code}");
    assert!(!code.to_lowercase().contains("postgres"), "{code}");
    let named = compiled("fn f(at: &PostgresTarget) { \"\" }");
    assert!(named.contains("PostgresTarget"), "{named}");
}
