//! Type names, held against the code: one name means one thing in a crate, tests included.

use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The workspace's own file, as far as it is asked here.
#[derive(Deserialize)]
struct Manifest {
    workspace: WorkspaceTable,
}

#[derive(Deserialize)]
struct WorkspaceTable {
    members: Vec<PathBuf>,
}

/// A crate has this name, and each of its files this text.
struct CrateSources {
    name: String,
    files: BTreeMap<PathBuf, String>,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads every crate: the sources of each member of the workspace, and each folder of its tests, which is a crate of
/// its own.
fn crates() -> Vec<CrateSources> {
    let manifest = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let manifest: Manifest = toml::from_str(&manifest).unwrap();
    let members = manifest.workspace.members.into_iter();
    let folders = members.flat_map(|member| {
        let tests = entries(&top().join(&member).join("tests"));
        let tests = tests.into_iter().filter(|path| path.is_dir());
        let tests = tests.map(|path| path.strip_prefix(top()).unwrap().to_owned());
        let sources = member.join("src");
        std::iter::once(sources).chain(tests).collect::<Vec<_>>()
    });
    folders
        .map(|folder| CrateSources {
            name: folder.display().to_string(),
            files: sources(&top().join(folder)),
        })
        .collect()
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    let of_path = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|e| e == "rs") => {
            let text = std::fs::read_to_string(&path).unwrap();
            BTreeMap::from([(path, text)])
        }
        false => BTreeMap::new(),
    };
    entries(folder).into_iter().flat_map(of_path).collect()
}

/// Returns the names of the structs, enums, unions, traits and aliases that a file declares. An associated type is
/// none of them: the trait gives it its name.
fn declared(text: &str) -> Vec<String> {
    let declaration = Regex::new(
        r"^( *)(?:pub(?:\([^)]*\))? )?(?:unsafe )?(struct|enum|union|trait|type) ([A-Z]\w*)",
    )
    .unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let of_line = |(number, line): (usize, &&str)| {
        let found = declaration.captures(line)?;
        let associated = &found[2] == "type" && is_in_impl(&lines[..number], found[1].len());
        (!associated).then(|| found[3].to_owned())
    };
    lines.iter().enumerate().filter_map(of_line).collect()
}

/// Whether what follows these lines, so far indented, stands in an `impl` or a trait: what is less
/// indented says so, but for what ends a header that takes several lines.
fn is_in_impl(before: &[&str], indentation: usize) -> bool {
    let indented = |line: &str| line.len() - line.trim_start().len();
    let mut outer = before.iter().rev().filter(|line| {
        let line = line.trim_end();
        !matches!(line.trim_start(), "" | "{" | "where") && indented(line) < indentation
    });
    let header = Regex::new(r"^ *(?:pub(?:\([^)]*\))? )?(?:unsafe )?(?:impl|trait)\b").unwrap();
    outer.next().is_some_and(|line| header.is_match(line))
}

/// By name, where it is declared, of all that are declared more than once.
fn twice(files: &BTreeMap<PathBuf, String>) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in files {
        let place = path.strip_prefix(top()).unwrap_or(path).display();
        for name in declared(text) {
            places.entry(name).or_default().push(place.to_string());
        }
    }
    places.retain(|_, of_it| of_it.len() > 1);
    places
}

#[test]
fn given_every_crate_then_no_type_name_is_declared_twice_in_it() {
    let crates = crates();
    // The sources of six members at least, and tests that are crates of their own
    assert!(crates.len() > 6, "only {} crates", crates.len());
    let unread = crates.iter().filter(|of| of.files.is_empty());
    let unread: Vec<&str> = unread.map(|of| &*of.name).collect();
    assert_eq!(unread, Vec::<&str>::new(), "nothing was read of these");
    let found = crates.iter().map(|of| (&*of.name, twice(&of.files)));
    let twice: BTreeMap<&str, _> = found.filter(|(_, names)| !names.is_empty()).collect();
    assert!(
        twice.is_empty(),
        "give each a name that says what it is: {twice:#?}"
    );
}

#[test]
fn given_declarations_of_every_kind_then_each_is_found_and_associated_types_are_not() {
    // Quoted line by line: this file is read by the test above like any other.
    let lines = [
        "pub(super) struct Plain;",
        "pub enum Kind<T> { One(T) }",
        "/// A type Comment",
        "unsafe trait Held: Sized {",
        "    type Item;",
        "    fn type_of(&self);",
        "}",
        "impl<R> Held for Vec<R>",
        "where",
        "    R: Copy,",
        "{",
        "    type Item = R;",
        "    fn type_of(&self) {",
        "        type Local = u8;",
        "    }",
        "}",
        "mod tests {",
        "    type Alias = (u8, u8);",
        "",
        "    impl Held for Plain {",
        "        type Item = u8;",
        "    }",
        "}",
    ];
    let found = ["Plain", "Kind", "Held", "Local", "Alias"];
    assert_eq!(declared(&lines.join("\n")), found);
}

#[test]
fn given_a_name_in_two_files_then_both_are_named_and_a_name_of_one_is_not() {
    let file = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
    let files = BTreeMap::from([
        file("a.rs", "struct Load;\nstruct Other;\n"),
        file("b.rs", "mod tests {\n    type Load = u8;\n}\n"),
    ]);
    let places = vec!["a.rs".to_owned(), "b.rs".to_owned()];
    assert_eq!(twice(&files), BTreeMap::from([("Load".to_owned(), places)]));
}
