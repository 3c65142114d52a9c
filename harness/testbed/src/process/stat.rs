//! A line of /proc/PID/stat, of a process or of one of its threads.

use std::str::FromStr;

/// This is such a line, whose fields are found by their numbers in proc(5).
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat<'a> {
    /// What is behind the name, which is in brackets and may hold anything, blanks and brackets too.
    from_state: &'a str,
}

impl<'a> Stat<'a> {
    /// Takes a line `pid (name) state ppid pgrp ...`; returns `None` for a line without a name.
    pub fn of(line: &'a str) -> Option<Self> {
        let (_, from_state) = line.rsplit_once(')')?;
        Some(Self { from_state })
    }

    fn field(self, number: usize) -> Option<&'a str> {
        let behind_state = number.checked_sub(3)?;
        self.from_state.split_ascii_whitespace().nth(behind_state)
    }

    fn number<T: FromStr>(self, number: usize) -> Option<T> {
        self.field(number)?.parse().ok()
    }

    /// Returns the state, `R`, `S`, `D`, `T`, `Z`, ...; `None` where the line has none.
    pub fn state(self) -> Option<u8> {
        self.field(3)?.as_bytes().first().copied()
    }

    /// Returns the pid of the process's parent; `None` where the line has no such number.
    pub fn parent(self) -> Option<i32> {
        self.number(4)
    }

    /// Returns the number of the process group; `None` where the line has no such number.
    pub fn group(self) -> Option<i32> {
        self.number(5)
    }

    /// Returns the CPU ticks used, user and system together; `None` where the line has no such numbers.
    pub fn cpu_ticks(self) -> Option<u64> {
        let (user, system): (u64, u64) = (self.number(14)?, self.number(15)?);
        user.checked_add(system)
    }

    /// When it was started, in clock ticks since boot.
    pub fn start(self) -> Option<u64> {
        self.number(22)
    }
}

/// Whether a state is one of the dead: they can neither run nor stop.
pub(super) fn is_dead(state: u8) -> bool {
    matches!(state, b'Z' | b'X' | b'x')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = Stat::of("7 (a) T b)) S 5 1 1 0 -1 0 1 2 3 4 50 60 0 0 20 0").unwrap();
        assert_eq!(stat.state(), Some(b'S'));
        assert_eq!((stat.parent(), stat.cpu_ticks()), (Some(5), Some(110)));
        assert!(Stat::of("7 (sh").is_none());
        assert_eq!(Stat::of("7 (sh) S 1 1").unwrap().cpu_ticks(), None);
    }
}
