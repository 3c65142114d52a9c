//! The process tree below a pid, from /proc: PostgreSQL's backends are in sessions of their own,
//! so a process-group signal misses them; parent ids do not.
//!
//! A process is named by its pid and its start time, and signalled through a pidfd, so that a pid
//! that was given to somebody else meanwhile is never hit.

use super::stat::{Stat, is_dead};
use super::stillness::Census;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Pause between two looks at /proc while something is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// One process, also after its pid was given to another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ProcessId {
    /// This is its pid, which another process may be given once it is dead.
    pub pid: i32,
    /// When it was started, in clock ticks since boot.
    pub start: u64,
}

/// What /proc says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// This tells which process it is, by pid and start time.
    pub id: ProcessId,
    /// This is the pid of its parent.
    pub parent: i32,
    /// This is the number of its process group.
    pub group: i32,
    /// This is its state: `R`, `S`, `D`, `T` (stopped), `Z` (dead, not reaped), ...
    pub state: u8,
}

impl Process {
    /// Whether it still runs, or could be made to.
    pub fn lives(&self) -> bool {
        !is_dead(self.state)
    }
}

/// Why a tree could not be brought into the state that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: still not so after {within:?}: pids {pids:?}")]
pub struct TreeError {
    /// What was being done.
    pub doing: &'static str,
    /// The tree was to be in that state within this time.
    pub within: Duration,
    /// What did not comply.
    pub pids: Vec<i32>,
}

/// This holds all processes at one moment (or nearly: /proc is read one process after the other).
#[derive(Debug, Default)]
pub struct Snapshot {
    processes: Vec<Process>,
}

impl Snapshot {
    /// Reads /proc; processes that vanish meanwhile are left out.
    pub fn take() -> Self {
        let mut processes = Vec::new();
        if let Ok(entries) = std::fs::read_dir("/proc") {
            for entry in entries.flatten() {
                let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
                processes.extend(pid.and_then(find));
            }
        }
        Self { processes }
    }

    /// Returns every living process among `roots` and below them, parents before their children.
    pub fn below(&self, roots: &[ProcessId]) -> Vec<Process> {
        let mut found: Vec<Process> = self
            .processes
            .iter()
            .filter(|p| roots.contains(&p.id))
            .copied()
            .collect();
        let mut known: HashSet<i32> = found.iter().map(|p| p.id.pid).collect();
        let mut next = 0;
        while next < found.len() {
            let parent = found[next].id.pid;
            next += 1;
            for child in self.processes.iter().filter(|p| p.parent == parent) {
                if known.insert(child.id.pid) {
                    found.push(*child);
                }
            }
        }
        found.retain(Process::lives);
        found
    }

    /// Returns the members of a process group, by its number.
    pub fn group(&self, group: i32) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |p| p.group == group)
    }

    /// Returns the direct children of a process, by its pid.
    pub fn children(&self, pid: i32) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |p| p.parent == pid)
    }
}

/// The process that has this pid now.
pub fn find(pid: i32) -> Option<Process> {
    parse_stat(
        pid,
        &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
    )
}

fn parse_stat(pid: i32, line: &str) -> Option<Process> {
    let stat = Stat::of(line)?;
    Some(Process {
        id: ProcessId {
            pid,
            start: stat.start()?,
        },
        parent: stat.parent()?,
        group: stat.group()?,
        state: stat.state()?,
    })
}

/// What a process runs and where: its program file and its working folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    program: PathBuf,
    folder: PathBuf,
}

impl Image {
    /// Of a living process that we may look at.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self {
            program: std::fs::read_link(format!("/proc/{pid}/exe")).ok()?,
            folder: std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?,
        })
    }
}

/// Returns with what value of this variable in its environment a process was started, if it is alive and we may look at it;
/// `None` also where it has written over it.
pub fn value_in_environment(pid: i32, variable: &str) -> Option<Vec<u8>> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value =
        variables.find_map(|found| found.strip_prefix(variable.as_bytes())?.strip_prefix(b"="));
    value.map(<[u8]>::to_vec)
}

/// Sends a signal to exactly this process; false when it is gone.
pub fn send(id: ProcessId, signal: Signal) -> bool {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, id.pid, 0) };
    let Ok(fd) = i32::try_from(fd) else {
        return false;
    };
    if fd < 0 {
        return false;
    }
    // SAFETY: the descriptor is ours alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // The descriptor was opened before this look, so what it names started no later.
    if find(id.pid).map(|p| p.id) != Some(id) {
        return false;
    }
    // SAFETY: a pidfd, a signal number, no siginfo, no flags.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal as i32,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    sent == 0
}

/// Whether no thread of a process runs any more.
fn is_stopped(process: &Process, tree: &[Process]) -> bool {
    let children = tree.iter().filter(|c| c.parent == process.id.pid);
    Census::of(process.id.pid).stands_still(children.map(|child| Census::of(child.id.pid)))
}

/// SIGSTOPs what `select` finds, top down, until nothing new appears and every thread of it is
/// stopped: what is stopped cannot fork, so the set is then complete.
pub fn stop(
    select: impl Fn(&Snapshot) -> Vec<Process>,
    within: Duration,
) -> Result<Vec<ProcessId>, TreeError> {
    let deadline = Instant::now() + within;
    let mut signalled = HashSet::new();
    loop {
        let found = select(&Snapshot::take());
        let mut new = false;
        for process in &found {
            if signalled.insert(process.id) {
                new = true;
                send(process.id, Signal::SIGSTOP);
            }
        }
        let running: Vec<i32> = found
            .iter()
            .filter(|process| !is_stopped(process, &found))
            .map(|process| process.id.pid)
            .collect();
        if !new && running.is_empty() {
            return Ok(found.iter().map(|process| process.id).collect());
        }
        if Instant::now() >= deadline {
            return Err(TreeError {
                doing: "stop a process tree",
                within,
                pids: running,
            });
        }
        if !new {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// SIGKILLs what `select` finds, complete (see [`stop`]), and returns when none of it lives and it finds no more.
/// Dead ones that were handed to this process as their adoptive parent are reaped, except `own`,
/// which has a waiter of its own.
pub fn kill(
    select: impl Fn(&Snapshot) -> Vec<Process>,
    own: Option<ProcessId>,
    within: Duration,
) -> Result<usize, TreeError> {
    let deadline = Instant::now() + within;
    // A thread in an uninterruptible wait cannot be stopped at once, but it cannot fork either.
    let mut doomed: HashSet<ProcessId> = match stop(&select, within / 4) {
        Ok(found) => found.into_iter().collect(),
        Err(_) => HashSet::new(),
    };
    let mut sent = HashSet::new();
    loop {
        doomed.extend(select(&Snapshot::take()).iter().map(|p| p.id));
        for id in &doomed {
            if sent.insert(*id) {
                send(*id, Signal::SIGKILL);
            }
        }
        let left: Vec<i32> = doomed
            .iter()
            .filter(|id| !is_over(**id, own, &doomed))
            .map(|id| id.pid)
            .collect();
        // Whom a process had orphaned is found by some only when that process is dead.
        let is_known = |p: &Process| doomed.contains(&p.id);
        if left.is_empty() && select(&Snapshot::take()).iter().all(is_known) {
            return Ok(doomed.len());
        }
        if Instant::now() >= deadline {
            return Err(TreeError {
                doing: "kill a process tree",
                within,
                pids: left,
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Whether nothing of a process is left that concerns us. A dead one is reaped if its parent is
/// this process; if its parent is doomed too, it will be handed over in a moment.
fn is_over(id: ProcessId, own: Option<ProcessId>, doomed: &HashSet<ProcessId>) -> bool {
    let Some(process) = find(id.pid).filter(|p| p.id == id) else {
        return true;
    };
    if process.lives() {
        return false;
    }
    if own == Some(id) {
        return true;
    }
    if i32::try_from(std::process::id()) == Ok(process.parent) {
        return waitpid(Pid::from_raw(id.pid), Some(WaitPidFlag::WNOHANG)).is_ok();
    }
    !doomed.iter().any(|d| d.pid == process.parent)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    fn process(pid: i32, parent: i32, state: u8) -> Process {
        Process {
            id: ProcessId { pid, start: 7 },
            parent,
            group: 1,
            state,
        }
    }

    #[test]
    fn a_stat_line_with_brackets_in_the_name_is_read() {
        let line = "42 (a) (b c)) S 7 9 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 99 1";
        let found = parse_stat(42, line).unwrap();
        assert_eq!((found.parent, found.group, found.state), (7, 9, b'S'));
        assert_eq!(found.id.start, 123_456);
    }

    #[test]
    fn below_finds_the_living_parents_first_and_leaves_others_alone() {
        let snapshot = Snapshot {
            processes: vec![
                process(30, 20, b'S'),
                process(20, 10, b'S'),
                process(21, 10, b'Z'),
                process(10, 1, b'S'),
                process(11, 1, b'S'),
            ],
        };
        let root = ProcessId { pid: 10, start: 7 };
        let pids: Vec<i32> = snapshot.below(&[root]).iter().map(|p| p.id.pid).collect();
        assert_eq!(pids, [10, 20, 30]);
    }

    proptest! {
        #[test]
        fn damaged_stat_lines_are_no_process_and_no_panic(line in ".{0,80}") {
            let _ = parse_stat(1, &line);
        }
    }

    #[test]
    fn a_recycled_pid_is_not_hit() {
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        let real = find(pid).unwrap().id;
        let earlier = ProcessId {
            pid,
            start: real.start - 1,
        };

        assert!(!send(earlier, Signal::SIGKILL));

        assert!(find(pid).is_some_and(|p| p.lives()));
        assert!(send(real, Signal::SIGKILL));
        sleeper.wait().unwrap();
    }

    #[test]
    fn a_tree_with_a_session_of_its_own_is_killed_whole() {
        // Given a shell whose child lives in another session, as PostgreSQL's backends do.
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sleep 61 & echo started; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let root = find(i32::try_from(shell.id()).unwrap()).unwrap().id;
        let tree = Snapshot::take().below(&[root]);
        assert!(tree.len() >= 2, "{tree:?}");

        // When the tree is killed.
        let killed = kill(|s| s.below(&[root]), Some(root), Duration::from_secs(5)).unwrap();

        // Then nothing of it lives.
        assert!(killed >= 2);
        for process in tree {
            assert!(find(process.id.pid).is_none_or(|p| p.id != process.id || !p.lives()));
        }
        shell.wait().unwrap();
    }
}
