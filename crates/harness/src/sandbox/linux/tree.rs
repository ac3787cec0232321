//! The process tree of a run, as /proc shows it: what it uses, and its end.

use nix::{
    errno::Errno,
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, SysconfVar, sysconf},
};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// What a tree uses at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct TreeUsage {
    /// Processes and threads.
    pub tasks: u64,
    pub memory_bytes: u64,
    /// Of the living and of the dead that were waited for.
    pub cpu_ms: u64,
}

/// Everything below this process, in no particular order.
pub fn descendants() -> Vec<Pid> {
    let mut found = Vec::new();
    let mut waiting = vec![Pid::this()];
    while let Some(parent) = waiting.pop() {
        let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for thread in threads.flatten() {
            let Ok(children) = fs::read_to_string(thread.path().join("children")) else { continue };
            for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
                found.push(Pid::from_raw(child));
                waiting.push(Pid::from_raw(child));
            }
        }
    }
    found
}

/// What everything below this process uses now.
pub fn usage() -> TreeUsage {
    let mut total = TreeUsage { cpu_ms: waited_cpu_ms(), ..TreeUsage::default() };
    let tick_ms = 1_000 / sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100).max(1) as u64;
    for pid in descendants() {
        // One that is gone by now simply no longer counts.
        let Some(Task { status, .. }) = Task::of(pid) else { continue };
        total.tasks += status_field(&status, "Threads:");
        for field in ["RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:"] {
            total.memory_bytes += status_field(&status, field) * 1024;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        total.cpu_ms += stat_ticks(&stat) * tick_ms;
    }
    total
}

/// A process by one of its threads: the first may be over long before the others, and then tells
/// nothing of the memory and the files that they share.
#[derive(Debug)]
pub struct Task {
    /// Below /proc.
    pub place: PathBuf,
    pub status: String,
}

impl Task {
    /// Of a process whose threads are all over, the first.
    pub fn of(pid: Pid) -> Option<Self> {
        let first = Self::read(format!("/proc/{pid}").into())?;
        if first.is_living() {
            return Some(first);
        }
        let tasks = fs::read_dir(first.place.join("task")).ok()?.flatten();
        let living = tasks.filter_map(|task| Self::read(task.path())).find(Self::is_living);
        Some(living.unwrap_or(first))
    }

    fn read(place: PathBuf) -> Option<Self> {
        let status = fs::read_to_string(place.join("status")).ok()?;
        Some(Self { place, status })
    }

    /// What is over has no memory, and its status says nothing about any.
    pub fn is_living(&self) -> bool {
        self.status.contains("\nVmRSS:")
    }

    /// The same as [`Task::is_living`], now.
    pub fn still_lives(&self) -> bool {
        Self::read(self.place.clone()).is_some_and(|task| task.is_living())
    }
}

/// CPU time of the children this process has waited for.
pub fn waited_cpu_ms() -> u64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| {
        let time = usage.user_time() + usage.system_time();
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000
            + u64::try_from(time.tv_usec()).unwrap_or(0) / 1_000
    })
}

/// The largest of the children this process has waited for.
pub fn waited_peak_bytes() -> u64 {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * 1024)
}

/// The number after `name` in a file of /proc that has a line for each.
pub fn status_field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// utime, stime, cutime and cstime of /proc/PID/stat (proc(5)); the name may hold anything.
fn stat_ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum()
}

/// Reaps what has ended; whether anything is left to wait for.
pub fn reap() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Ends everything below this process, which must be a subreaper, and waits until it is gone.
/// All is stopped first, so that what is being killed cannot be outrun by its own children.
pub fn end_all(limit: Duration) -> bool {
    let started = Instant::now();
    let mut seen = 0;
    loop {
        let now = descendants();
        signal_all(&now, Signal::SIGSTOP);
        if now.len() <= seen {
            break;
        }
        seen = now.len();
    }
    while reap() {
        if started.elapsed() > limit {
            return false;
        }
        signal_all(&descendants(), Signal::SIGKILL);
        std::thread::sleep(Duration::from_micros(300));
    }
    true
}

fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // It may have ended by itself, which is as good.
        let _ = kill(*pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says_even_under_a_hostile_name() {
        let stat = "7 (a) R 9 (b) S 1 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0 1 0 5";
        assert_eq!(stat_ticks(stat), 100);
        assert_eq!(stat_ticks("garbage"), 0);
        assert_eq!(status_field("Name:\tx\nRssAnon:\t  12 kB\n", "RssAnon:"), 12);
        assert_eq!(status_field("", "RssAnon:"), 0);
    }
}
