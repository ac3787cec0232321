//! What a process and all that it started cost: processor time in nanoseconds, and memory.

use anyhow::Context;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use std::{collections::HashMap, fs, time::Duration};

/// Processor time so far, and memory now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    /// Proportional: a page shared by n processes counts for one n-th.
    pub pss_bytes: u64,
}

/// Of one process: all its threads, those that have ended too.
///
/// # Errors
///
/// It is gone.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
    Ok(Duration::from(clock_gettime(clock)?))
}

/// # Errors
///
/// It is gone, or somebody else's.
pub fn pss_bytes(pid: u32) -> anyhow::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse()?;
    Ok(kib * 1024)
}

/// # Errors
///
/// As [`cpu`] and [`pss_bytes`].
pub fn alone(pid: u32) -> anyhow::Result<Usage> {
    Ok(Usage { cpu: cpu(pid)?, pss_bytes: pss_bytes(pid)? })
}

/// Of a process and everything that it started, also what has ended and was waited for.
pub fn tree(pid: u32) -> Usage {
    let mut sum = Usage::default();
    for pid in family(pid) {
        // One that ends meanwhile is counted by its parent.
        sum.cpu += cpu(pid).unwrap_or_default() + waited_for(pid).unwrap_or_default();
        sum.pss_bytes += pss_bytes(pid).unwrap_or_default();
    }
    sum
}

/// The process and its descendants that still run.
pub fn family(pid: u32) -> Vec<u32> {
    let mut children = HashMap::<u32, Vec<u32>>::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = stat(child).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(next) = found.get(at) {
        found.extend(children.remove(next).unwrap_or_default());
        at += 1;
    }
    found
}

/// The processor time of children that have ended, which the kernel counts in ticks.
fn waited_for(pid: u32) -> Option<Duration> {
    let fields = stat(pid)?;
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_millis((ticks(13)? + ticks(14)?) * 1_000 / per_second))
}

/// `/proc/PID/stat` behind the name: the first is the state, the second the parent (proc(5)).
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, tail) = stat.rsplit_once(')')?;
    Some(tail.split_whitespace().map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_and_rest_is_not() {
        let me = std::process::id();
        let before = cpu(me).unwrap();
        let mut sum = 0_u64;
        while cpu(me).unwrap() < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let worked = tree(me);
        assert!(worked.cpu >= before + Duration::from_millis(20));
        assert!(worked.pss_bytes > 100_000, "{worked:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child whose end is counted")]
    fn a_child_belongs_to_the_family_and_counts_after_its_end() {
        let me = std::process::id();
        let mut sleeper = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        assert!(family(me).contains(&sleeper.id()));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(!family(me).contains(&sleeper.id()));
        let before = waited_for(me).unwrap();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        std::process::Command::new("sh").args(["-c", spin]).status().unwrap();
        assert!(waited_for(me).unwrap() > before);
    }
}
