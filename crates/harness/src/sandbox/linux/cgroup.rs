//! A control group (v2) per run, where this process may make one: hard limits and an atomic end.

use nix::unistd::Pid;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::sandbox::Limits;

/// A group of one run; removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// The kernel holds the tree to its memory limit; without it we only watch.
    pub limits_memory: bool,
}

impl Cgroup {
    /// A group below our own, or nothing where we may not make one that holds memory: moving
    /// processes takes the kernel tens of milliseconds, which only that is worth. The kernel divides
    /// no group that has processes itself, such as ours, unless it is the root of all groups or was
    /// divided before we came; elsewhere memory and processes are watched.
    pub fn create(limits: &Limits) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let parent = own_group(&mounts, &own)?;
        let given = parent.join("cgroup.subtree_control");
        // Refused unless the group is ours to divide; then nothing was given, as below.
        let _ = fs::write(&given, "+memory +pids");
        let given = fs::read_to_string(given).ok()?;
        if !given.split_whitespace().any(|controller| controller == "memory") {
            return None;
        }
        let group = Self::create_in(&parent, limits).ok()?;
        group.limits_memory.then_some(group)
    }

    fn create_in(parent: &Path, limits: &Limits) -> io::Result<Self> {
        let path = parent.join(format!("pilothouse-run-{}", std::process::id()));
        fs::create_dir(&path)?;
        let mut group = Self { path, limits_memory: false };
        let set = |name: &str, value: &str| {
            let file = group.path.join(name);
            file.exists() && fs::write(file, value).is_ok()
        };
        let limits_memory = set("memory.max", &limits.memory_bytes.to_string());
        set("memory.swap.max", "0");
        set("memory.oom.group", "1");
        set("pids.max", &(u64::from(limits.processes) + 16).to_string());
        group.limits_memory = limits_memory;
        Ok(group)
    }

    /// Moves processes in; their children follow.
    pub fn adopt(&self, pids: &[Pid]) -> io::Result<()> {
        pids.iter().try_for_each(|pid| fs::write(self.path.join("cgroup.procs"), pid.to_string()))
    }

    /// Whether the kernel ended something here for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|n| n != "0"))
    }

    /// Ends everything in the group at once.
    pub fn kill(&self) {
        // Where the kernel is too old for it, the tree is ended process by process.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Still busy means that something is left; the tree's end reports that.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The directory of the v2 group that this process is in.
fn own_group(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then_some(path)
    })?;
    let group = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_group_of_this_process_beside_version_1() {
        let mounts = "cgroup /sys/fs/cgroup/memory cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let own = "4:memory:/a\n0::/user.slice/x\n";
        let expected = Path::new("/sys/fs/cgroup/unified/user.slice/x");
        assert_eq!(own_group(mounts, own).as_deref(), Some(expected));
        assert_eq!(own_group("", own), None);
    }

    #[test]
    fn writes_only_the_limits_whose_controllers_are_there() {
        let parent = tempfile::tempdir().unwrap();
        let group = Cgroup::create_in(parent.path(), &Limits::default()).unwrap();
        assert!(!group.limits_memory);
        assert_eq!(fs::read_dir(&group.path).unwrap().count(), 0);
        fs::write(group.path.join("memory.events"), "oom 1\noom_kill 2\n").unwrap();
        assert!(group.ran_out_of_memory());
    }
}
