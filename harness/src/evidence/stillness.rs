//! Whether processes stand still: the state and the CPU ticks of every thread, from /proc.

use std::fs;

/// What the threads of some processes were doing at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Threads {
    /// How many there are.
    pub total: u32,
    /// How many are stopped (`T`, or `t` under a tracer), or wait in vfork for a child that is: a
    /// process in vfork cannot be stopped before its child goes on.
    pub stopped: u32,
    /// CPU ticks all of them have used, system and user.
    pub cpu_ticks: u64,
}

/// One process, its threads counted.
#[derive(Default)]
struct Process {
    pid: u32,
    parent: u32,
    threads: Threads,
    /// Threads in an uninterruptible wait, as vfork's is.
    waiting: u32,
}

/// Reads all threads of these processes; those that end meanwhile are left out, and so are
/// zombies, which can neither run nor stop.
pub(crate) fn threads(pids: &[u32]) -> Threads {
    let processes: Vec<Process> = pids.iter().map(|pid| look(*pid)).collect();
    let mut sum = Threads::default();
    for process in &processes {
        let in_vfork = processes.iter().any(|child| {
            child.parent == process.pid
                && child.threads.total > 0
                && child.threads.stopped == child.threads.total
        });
        let waiting = if in_vfork { process.waiting } else { 0 };
        sum.total += process.threads.total;
        sum.stopped += process.threads.stopped + waiting;
        sum.cpu_ticks += process.threads.cpu_ticks;
    }
    sum
}

fn look(pid: u32) -> Process {
    let mut process = Process {
        pid,
        ..Process::default()
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        let Some(Stat {
            state,
            parent,
            cpu_ticks,
        }) = parse(&stat)
        else {
            continue;
        };
        if matches!(state, 'Z' | 'X') {
            continue;
        }
        process.parent = parent;
        process.threads.total += 1;
        process.threads.stopped += u32::from(matches!(state, 'T' | 't'));
        process.threads.cpu_ticks += cpu_ticks;
        process.waiting += u32::from(state == 'D');
    }
    process
}

/// What is asked of one thread.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    /// Pid of its process's parent.
    parent: u32,
    cpu_ticks: u64,
}

/// A thread's name is in brackets and may hold anything, brackets too.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // utime and stime are fields 14 and 15; the parent was field 4.
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat {
        state,
        parent,
        cpu_ticks: user + system,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::process::tree::Snapshot;
    use std::process::Command;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) T b)) S 5 1 1 0 -1 0 1 2 3 4 50 60 0 0 20 0";
        let read = Stat {
            state: 'S',
            parent: 5,
            cpu_ticks: 110,
        };
        assert_eq!(parse(stat), Some(read));
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

    #[test]
    fn a_process_that_waits_in_vfork_for_a_stopped_child_stands_still() {
        // Given a process that waits, as vfork does, for a child that stopped itself
        let vfork = libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: both children call nothing but clone (of copied memory), kill and _exit.
        let parent = unsafe { libc::fork() };
        if parent == 0 {
            unsafe {
                if libc::syscall(libc::SYS_clone, vfork, 0, 0, 0, 0) == 0 {
                    libc::kill(libc::getpid(), libc::SIGSTOP);
                }
                libc::_exit(0);
            }
        }
        let tree = || {
            let snapshot = Snapshot::take();
            let below = snapshot.children(parent).map(|child| child.id.pid);
            let pids = std::iter::once(parent).chain(below);
            pids.map(|pid| pid as u32).collect::<Vec<u32>>()
        };
        while threads(&tree()[1..]).stopped == 0 {
            std::thread::yield_now();
        }

        let (both, alone) = (threads(&tree()), threads(&[parent as u32]));
        for pid in tree().iter().rev() {
            let pid = nix::unistd::Pid::from_raw(*pid as i32);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(parent), None).unwrap();

        assert_eq!((both.total, both.stopped), (2, 2));
        assert_eq!((alone.total, alone.stopped), (1, 0));
    }
}
