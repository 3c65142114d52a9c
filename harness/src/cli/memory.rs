//! Whether a run's history fits into this machine's memory: a run of a day that is ended by the
//! kernel in its last hour is worse than one that is refused in its first second.

use crate::scenario::Scenario;
use std::path::{Path, PathBuf};

/// What a change takes while its strategy runs, bytes: most while the generator's connections keep
/// their own rows, whose room doubles as they grow. Of a strategy that is judged nothing is left.
const CHANGE_BYTES: f64 = 200.0;
const GIB: f64 = (1u64 << 30) as f64;

/// The reason why a scenario is too large, if it is.
pub fn too_large(file: &Path, scenario: &Scenario) -> Option<String> {
    let problem = shortfall(scenario.workload.planned(), available_bytes()?)?;
    Some(format!("{}: {problem}", file.display()))
}

fn shortfall(changes: f64, available_bytes: f64) -> Option<String> {
    let needed = changes * CHANGE_BYTES;
    if needed <= available_bytes {
        return None;
    }
    Some(format!(
        "its history would take some {:.1} GiB of memory ({changes:.0} changes), and {:.1} GiB are \
         available here: lower `rate` or `duration`",
        needed / GIB,
        available_bytes / GIB
    ))
}

/// What the machine has left, or what the groups of processes that this one is in may take.
fn available_bytes() -> Option<f64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = machine
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    let group = group_limit_bytes(Path::new("/"));
    Some((kib * 1024.0).min(group.unwrap_or(f64::INFINITY)))
}

/// The least limit of the control groups that this process is in, as the files below `root` have it.
/// A group's limit binds all below it, so each up to the mount point counts.
fn group_limit_bytes(root: &Path) -> Option<f64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let (groups, mounts) = (read("proc/self/cgroup")?, read("proc/self/mountinfo")?);
    let limits = mounts.lines().filter_map(Mount::of).flat_map(|mount| {
        let folders = mount.folders(&groups);
        folders.into_iter().filter_map(move |folder| {
            let below = folder.strip_prefix("/").unwrap_or(&folder);
            let file = root.join(below).join(mount.version.limit_file());
            // `max` is no number, and no limit.
            let text = std::fs::read_to_string(file).ok()?;
            text.trim().parse::<f64>().ok()
        })
    });
    limits.reduce(f64::min)
}

/// Control groups are of two kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Memory has a hierarchy of its own.
    One,
    /// Everything is in one hierarchy.
    Two,
}

impl Version {
    fn limit_file(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    /// Reads the group of this process from a line of `/proc/self/cgroup`, `ID:CONTROLLERS:PATH`; `None` if the line
    /// is of no hierarchy of this kind with limits of memory.
    fn group(self, line: &str) -> Option<&str> {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let ours = match self {
            Self::One => controllers.split(',').any(|c| c == "memory"),
            Self::Two => id == "0" && controllers.is_empty(),
        };
        ours.then_some(path)
    }
}

/// Where a hierarchy of groups with limits of memory is mounted.
struct Mount {
    version: Version,
    /// The group that is seen at the mount point.
    group: PathBuf,
    at: PathBuf,
}

impl Mount {
    /// Reads a line of `/proc/self/mountinfo`: it has six fields (root and mount point are the fourth and fifth),
    /// some more, a dash, the file system, its source, its options. `None` means that no limits of memory are there.
    fn of(line: &str) -> Option<Self> {
        let (fields, system) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (group, at) = (fields.next()?, fields.next()?);
        let mut system = system.split(' ');
        let version = match (system.next()?, system.nth(1)?) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", options) if options.split(',').any(|o| o == "memory") => Version::One,
            _ => return None,
        };
        Some(Self {
            version,
            group: group.into(),
            at: at.into(),
        })
    }

    /// The folders of this process's group and of all above it, as far as they are mounted. Where the
    /// group is not below what is mounted, as in some containers, the mount point is its own.
    fn folders(&self, groups: &str) -> Vec<PathBuf> {
        let own = groups.lines().find_map(|line| self.version.group(line));
        let Some(own) = own else { return Vec::new() };
        let below = Path::new(own).strip_prefix(&self.group);
        let folder = match below {
            Ok(below) if !own.contains("..") => self.at.join(below),
            _ => self.at.clone(),
        };
        let up = folder.ancestors().take_while(|a| a.starts_with(&self.at));
        up.map(Path::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_does_not_fit_is_refused_with_figures_and_remedy() {
        let day = 500.0 * 86_400.0;
        assert_eq!(shortfall(day, 16.0 * GIB), None);
        let text = shortfall(day, 6.0 * GIB).unwrap_or_default();
        assert!(text.contains("8.0 GiB of memory"), "{text}");
        assert!(text.contains("6.0 GiB are available"), "{text}");
        assert!(text.contains("lower `rate` or `duration`"), "{text}");
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!(available_bytes().is_some_and(|bytes| bytes > 1e6));
    }

    /// Files of a machine, and the limit that is found there.
    fn limit(files: &[(&str, &str)]) -> Option<f64> {
        let root = tempfile::tempdir().ok()?;
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent()?).ok()?;
            std::fs::write(path, text).ok()?;
        }
        group_limit_bytes(root.path())
    }

    const V1: &str = "30 24 0:26 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu\n\
                      31 24 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";
    const V2: &str =
        "24 23 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn given_a_group_of_version_1_when_its_limit_is_looked_for_then_the_least_one_above_it_counts()
    {
        let found = limit(&[
            (
                "proc/self/cgroup",
                "5:cpu,cpuacct:/\n4:memory:/ci/job\n0::/\n",
            ),
            ("proc/self/mountinfo", V1),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "sys/fs/cgroup/memory/ci/memory.limit_in_bytes",
                "1073741824\n",
            ),
            (
                "sys/fs/cgroup/memory/ci/job/memory.limit_in_bytes",
                "4294967296\n",
            ),
            ("sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1\n"),
        ]);
        assert_eq!(found, Some(GIB));
    }

    #[test]
    fn given_a_group_of_version_2_below_the_root_when_its_limit_is_looked_for_then_it_is_found() {
        let found = limit(&[
            ("proc/self/cgroup", "0::/user.slice/job.scope\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
            (
                "sys/fs/cgroup/user.slice/job.scope/memory.max",
                "1073741824\n",
            ),
        ]);
        assert_eq!(found, Some(GIB));
    }

    #[test]
    fn given_a_container_that_sees_only_its_own_group_when_its_limit_is_looked_for_then_it_is_found()
     {
        let mounted = "31 24 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        for group in ["/docker/abc", "/", "/../other"] {
            let found = limit(&[
                ("proc/self/cgroup", &format!("4:memory:{group}\n")),
                ("proc/self/mountinfo", mounted),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ]);
            assert_eq!(found, Some(GIB), "{group}");
        }
    }

    #[test]
    fn given_no_group_with_a_limit_when_it_is_looked_for_then_there_is_none() {
        assert_eq!(limit(&[]), None);
        let unlimited = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ];
        assert_eq!(limit(&unlimited), None);
    }
}
