//! Where the program of a process is, by the relay's file.

use super::{External, failed};
use crate::run::RunError;
use std::path::{Path, PathBuf};

impl External {
    /// Returns the working folder and the program of a process; an Err says which of them is not there.
    pub(super) fn program(
        &self,
        table: &str,
        folder: &str,
        word: &str,
    ) -> Result<(PathBuf, PathBuf), RunError> {
        let doing = format!("starting {}", self.relay.name);
        let folder = self.relay.home.join(folder);
        if !folder.is_dir() {
            let reason = format!(
                "`folder` of {table} is {}, which is no folder: it is relative to the relay's file",
                folder.display()
            );
            return Err(failed(&doing, &reason));
        }
        let program = program_in(&folder, word);
        if !is_there(&folder, word) {
            let where_ = match word.contains('/') {
                true => format!("it would be {}", program.display()),
                false => "it is in no folder of PATH".to_owned(),
            };
            let reason = format!("`command` of {table} begins with `{word}`: {where_}");
            return Err(failed(&doing, &reason));
        }
        Ok((folder, program))
    }
}

/// Whether a program is there at all, without running it.
pub(super) fn is_there(folder: &Path, program: &str) -> bool {
    match program.contains('/') {
        true => program_in(folder, program).is_file(),
        false => std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|place| place.join(program).is_file())
        }),
    }
}

/// A program with a `/` in it is below this folder, any other one where programs are.
pub(super) fn program_in(folder: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => folder.join(program),
        false => PathBuf::from(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_program_with_a_slash_then_it_is_below_the_folder() {
        let folder = Path::new("/relays/mine");
        assert_eq!(
            program_in(folder, "./relay"),
            Path::new("/relays/mine/./relay")
        );
        assert_eq!(program_in(folder, "/bin/relay"), Path::new("/bin/relay"));
        assert_eq!(program_in(folder, "python3"), Path::new("python3"));
    }
}
