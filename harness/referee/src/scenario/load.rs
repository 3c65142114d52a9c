//! Reads a scenario file from disk.

use super::limits;
use super::parse::{LoadedScenario, parse_loaded};
use super::source::{Problem, ScenarioError, nearest};
use std::io::Read;
use std::path::Path;

/// Reads, parses and checks a scenario file.
pub fn load(path: &Path) -> Result<LoadedScenario, ScenarioError> {
    parse_loaded(path, &read_text(path)?)
}

/// Reads the text of a file of settings; an Err says that it cannot be read, is too large or is not UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String, ScenarioError> {
    let file = path.display().to_string();
    let whole = |what: String, help: String| {
        let problem = Problem {
            span: None,
            what,
            help,
        };
        ScenarioError::new(&file, "", vec![problem])
    };
    let metadata = std::fs::metadata(path)
        .map_err(|e| whole(format!("cannot be read: {e}"), neighbours(path)))?;
    if metadata.is_dir() {
        return Err(whole(
            "is a folder, not a file".to_owned(),
            neighbours(&path.join("x")),
        ));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(limits::FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| {
            whole(
                format!("cannot be read: {e}"),
                "make the file readable for this user".to_owned(),
            )
        })?;
    if bytes.len() as u64 > limits::FILE_BYTES {
        return Err(whole(
            format!("is larger than {} bytes", limits::FILE_BYTES),
            "what is read here is a short text; is this the right file?".to_owned(),
        ));
    }
    String::from_utf8(bytes).map_err(|e| not_utf8(&file, &e))
}

/// Shows the place of the first byte that is no UTF-8.
fn not_utf8(file: &str, error: &std::string::FromUtf8Error) -> ScenarioError {
    let at = error.utf8_error().valid_up_to();
    // Up to there every byte is kept as it is, so the position is the same in the lossy text.
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let problem = Problem {
        span: Some(at..at + 1),
        what: "the file is not UTF-8 from here on".to_owned(),
        help: "save it as UTF-8 (plain ASCII is UTF-8 too)".to_owned(),
    };
    ScenarioError::new(file, &text, vec![problem])
}

/// Returns help that names files beside a path: the one with the nearest name, or else up to 30 of its kind.
fn neighbours(path: &Path) -> String {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| Path::new(n).extension() == path.extension())
        .collect();
    names.sort();
    names.truncate(30);
    let list = names.join(", ");
    let word = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    match nearest(word, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", folder.join(near).display()),
        None if names.is_empty() => format!(
            "name a file that is there; {} has none of this kind (see `outbox-harness list`)",
            folder.display()
        ),
        None => format!(
            "name a file that is there; in {} there are {list}",
            folder.display()
        ),
    }
}
