//! A relay's own offset, in a file that outlives it.

use std::path::PathBuf;

/// What was stored last; 0 before anything was.
pub fn load() -> Result<i64, String> {
    let file = file()?;
    match std::fs::read_to_string(&file) {
        Ok(text) => text.parse().map_err(|e| format!("{}: {e}", file.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(format!("{}: {e}", file.display())),
    }
}

/// Stores this offset in place of the last one; an Err says why it could not be written.
pub fn store(offset: i64) -> Result<(), String> {
    let (file, new) = (file()?, file()?.with_extension("offset-new"));
    std::fs::write(&new, offset.to_string())
        .and_then(|()| std::fs::rename(&new, &file))
        .map_err(|e| format!("{}: {e}", file.display()))
}

fn file() -> Result<PathBuf, String> {
    let confession = std::env::var_os(crate::CONFESSION).ok_or_else(|| {
        format!(
            "{} is not set: an offset is kept beside it",
            crate::CONFESSION
        )
    })?;
    Ok(PathBuf::from(confession).with_extension("offset"))
}
