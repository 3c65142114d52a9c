//! Whether processes stand still: the state and the CPU ticks of every thread, from /proc.

use std::fs;

/// What the threads of some processes were doing at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Threads {
    /// How many there are.
    pub total: u32,
    /// How many are stopped (`T`, or `t` under a tracer).
    pub stopped: u32,
    /// CPU ticks all of them have used, system and user.
    pub cpu_ticks: u64,
}

/// Reads all threads of these processes; those that end meanwhile are left out, and so are
/// zombies, which can neither run nor stop.
pub(crate) fn threads(pids: &[u32]) -> Threads {
    let mut sum = Threads::default();
    for pid in pids {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else {
                continue;
            };
            if let Some((state, ticks)) = parse(&stat)
                && state != 'Z'
                && state != 'X'
            {
                sum.total += 1;
                sum.stopped += u32::from(matches!(state, 'T' | 't'));
                sum.cpu_ticks += ticks;
            }
        }
    }
    sum
}

/// State and CPU ticks of one thread. Its name is in brackets and may hold anything, brackets too.
fn parse(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // utime and stime are fields 14 and 15; the state was field 3.
    let user: u64 = fields.nth(10)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((state, user + system))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) T b)) S 1 1 1 0 -1 0 1 2 3 4 50 60 0 0 20 0";
        assert_eq!(parse(stat), Some(('S', 110)));
        assert_eq!(parse("7 (sh"), None);
        assert_eq!(parse("7 (sh) S 1 1"), None);
    }

    #[test]
    fn a_stopped_process_is_seen_stopped_and_a_running_one_is_not() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let running = threads(&[child.id()]);
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
        while threads(&[child.id()]).stopped == 0 {
            std::thread::yield_now();
        }
        let stopped = threads(&[child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();

        assert_eq!((running.total, running.stopped), (1, 0));
        assert_eq!((stopped.total, stopped.stopped), (1, 1));
        assert_eq!(threads(&[child.id()]), Threads::default());
    }
}
