//! Whether processes stand still: the state and the CPU ticks of every thread, from /proc.

use super::stat::{Stat, is_dead};
use std::fs;

/// Where the kernel shows control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// What the threads of some processes were doing at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Threads {
    /// How many there are.
    pub total: u32,
    /// How many are stopped (`T`, or `t` under a tracer), or frozen with their control group, as a paused container is, or wait in vfork for a child that is: a
    /// process in vfork cannot be stopped before its child goes on, but waits all the same.
    pub stopped: u32,
    /// CPU ticks all of them have used, system and user.
    pub cpu_ticks: u64,
}

/// This is what the threads of one process do. Those that end meanwhile are left out, and so are the dead.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Census {
    parent: i32,
    threads: Threads,
    /// Threads in an uninterruptible wait, as vfork's is.
    waiting: u32,
}

impl Census {
    /// Reads the state of every thread of the process `pid`; a process that is gone has none.
    pub fn of(pid: i32) -> Self {
        let mut census = Self::default();
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let line = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let Some(stat) = Stat::of(&line) else {
                continue;
            };
            let (Some(state), Some(parent), Some(cpu_ticks)) =
                (stat.state(), stat.parent(), stat.cpu_ticks())
            else {
                continue;
            };
            if is_dead(state) {
                continue;
            }
            census.parent = parent;
            census.threads.total += 1;
            census.threads.stopped += u32::from(matches!(state, b'T' | b't'));
            census.threads.cpu_ticks += cpu_ticks;
            census.waiting += u32::from(state == b'D');
        }
        if census.threads.stopped < census.threads.total && is_frozen(pid) {
            census.threads.stopped = census.threads.total;
        }
        census
    }

    fn is_stopped(&self) -> bool {
        self.threads.stopped == self.threads.total
    }

    /// With what waits in vfork, if it is that: one of the children must be there and stopped.
    fn with_children(&self, mut children: impl Iterator<Item = Self>) -> Threads {
        let mut threads = self.threads;
        let is_still = |child: Self| child.threads.total > 0 && child.is_stopped();
        if self.waiting > 0 && children.any(is_still) {
            threads.stopped += self.waiting;
        }
        threads
    }

    /// Whether none of its threads runs any more; a process that is gone has none.
    pub fn stands_still(&self, children: impl Iterator<Item = Self>) -> bool {
        let threads = self.with_children(children);
        threads.stopped == threads.total
    }
}

/// Whether the kernel holds the process's whole control group still: by its state no thread of it tells.
fn is_frozen(pid: i32) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    groups.lines().any(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next(), fields.next());
        let (file, frozen) = match (controllers, path) {
            // Of version 2 there is one group; of version 1, one that freezes.
            (Some(""), Some(path)) => (format!("{GROUPS}{path}/cgroup.events"), "frozen 1"),
            (Some("freezer"), Some(path)) => {
                (format!("{GROUPS}/freezer{path}/freezer.state"), "FROZEN")
            }
            _ => return false,
        };
        let said = fs::read_to_string(file).unwrap_or_default();
        said.lines().any(|line| line == frozen)
    })
}

/// Reads all threads of these processes.
pub fn threads(pids: &[u32]) -> Threads {
    let pids = pids.iter().filter_map(|pid| i32::try_from(*pid).ok());
    let processes: Vec<(i32, Census)> = pids.map(|pid| (pid, Census::of(pid))).collect();
    let mut sum = Threads::default();
    for (pid, process) in &processes {
        let children = processes.iter().filter(|(_, child)| child.parent == *pid);
        let threads = process.with_children(children.map(|(_, child)| *child));
        sum.total += threads.total;
        sum.stopped += threads.stopped;
        sum.cpu_ticks += threads.cpu_ticks;
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::process::tree::Snapshot;
    use std::process::Command;

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
