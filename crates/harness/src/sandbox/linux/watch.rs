//! Looks at a run as often as its limits could be passed: more often the closer it is to one.

use nix::sys::statvfs::statvfs;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    cgroup::Cgroup,
    held::{self, Held, Look},
    tree::{self, TreeUsage},
};
use crate::sandbox::{End, LimitHit, Limits};

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(250);
/// How fast a machine of today can fill memory: what is left of the limit, by this, is the wait.
const FILL_BYTES_PER_MS: u64 = 4 << 20;
/// Walking the scratch directory and the descriptors may take this share of the time at most.
const WALK_SHARE: u32 = 20;
/// What stays free on the disk whatever a run hides from the walk: everybody's log needs some.
const DISK_RESERVE_BYTES: u64 = 512 << 20;

/// The state of watching one run.
pub struct Watch<'a> {
    limits: Limits,
    scratch: PathBuf,
    group: Option<&'a Cgroup>,
    look: Look,
    held: Held,
    last: TreeUsage,
    peak_memory_bytes: u64,
    cpu_ms: u64,
    walk_due: Instant,
}

impl<'a> Watch<'a> {
    pub fn new(limits: Limits, scratch: &Path, group: Option<&'a Cgroup>, look: Look) -> Self {
        Self {
            limits,
            scratch: scratch.to_path_buf(),
            group,
            look,
            held: Held::default(),
            last: TreeUsage::default(),
            peak_memory_bytes: 0,
            cpu_ms: 0,
            walk_due: Instant::now() + LONGEST,
        }
    }

    pub fn peak_memory_bytes(&self) -> u64 {
        self.peak_memory_bytes
    }

    pub fn cpu_ms(&self) -> u64 {
        self.cpu_ms
    }

    /// Takes in what the inner stage knows of those that it waited for.
    pub fn was_told(&mut self, cpu_ms: u64, peak_memory_bytes: u64) {
        self.cpu_ms = self.cpu_ms.max(cpu_ms);
        self.peak_memory_bytes = self.peak_memory_bytes.max(peak_memory_bytes);
    }

    /// How long nothing can go wrong that would not be seen soon enough.
    pub fn next_look(&self, elapsed: Duration) -> Duration {
        let wall_left = Duration::from_millis(self.limits.wall_ms).saturating_sub(elapsed);
        let held_by_kernel = self.group.is_some_and(|group| group.limits_memory);
        let memory_left = self.limits.memory_bytes.saturating_sub(self.last.memory_bytes);
        let memory_wait = match held_by_kernel {
            true => LONGEST,
            false => Duration::from_millis(memory_left / FILL_BYTES_PER_MS),
        };
        memory_wait.clamp(SHORTEST, LONGEST).min(wall_left)
    }

    /// The limit that is passed now, if one is.
    pub fn look(&mut self, elapsed: Duration) -> Option<End> {
        if elapsed >= Duration::from_millis(self.limits.wall_ms) {
            return Some(End::TimedOut);
        }
        self.look_at_tree();
        let passed = |limit| Some(End::OverLimit { limit });
        let disk_is_over = Instant::now() >= self.walk_due && self.walk();
        if self.last.memory_bytes.saturating_add(self.held.memory_bytes) > self.limits.memory_bytes
            || self.held.beyond_counting
        {
            return passed(LimitHit::Memory);
        }
        if self.last.cpu_ms > self.limits.cpu_secs.saturating_mul(1_000) {
            return passed(LimitHit::Cpu);
        }
        if self.last.tasks > u64::from(self.limits.processes) {
            return passed(LimitHit::Processes);
        }
        if disk_is_over || disk_is_full(&self.scratch) {
            return passed(LimitHit::Disk);
        }
        None
    }

    pub fn look_at_tree(&mut self) {
        self.last = tree::usage();
        let memory_bytes = self.last.memory_bytes.saturating_add(self.held.memory_bytes);
        self.was_told(self.last.cpu_ms, memory_bytes);
    }

    /// Counts what is on the disk and what is held without a name; whether that is too much.
    fn walk(&mut self) -> bool {
        let started = Instant::now();
        let before = std::mem::replace(&mut self.held, held::held(&self.look));
        // A process is hidden for the moment in which it is started, and never a second time.
        let hides = before.unseen && self.held.unseen;
        let room = self.limits.disk_bytes.checked_sub(self.held.disk_bytes);
        let over =
            room.is_none_or(|room| is_over(&self.scratch, room, u64::from(self.limits.files)));
        self.walk_due = Instant::now() + (started.elapsed() * WALK_SHARE).max(LONGEST);
        over || hides
    }
}

/// Whether the disk that a scratch directory is on has less left than everybody needs.
pub fn disk_is_full(scratch: &Path) -> bool {
    statvfs(scratch).is_ok_and(|disk| {
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        free < DISK_RESERVE_BYTES
    })
}

/// Whether a tree takes more than `bytes` on disk or has more than `files` entries. A directory
/// that its owner locked cannot be counted, and what cannot be counted could fill the disk.
fn is_over(root: &Path, bytes: u64, files: u64) -> bool {
    let (mut used, mut entries) = (0_u64, 0_u64);
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let listing = match fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            // Moved or replaced while we looked: counted next time, at its new place.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => continue,
            Err(_) => return true,
        };
        for entry in listing.flatten() {
            entries += 1;
            let Ok(metadata) = entry.metadata() else { continue };
            used = used.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
            if used > bytes || entries > files {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_more_often_the_less_memory_is_left() {
        let limits = Limits { memory_bytes: 100 << 20, wall_ms: 60_000, ..Limits::default() };
        let look = Look { ours: Vec::new(), file_bytes: 0, own_network: false };
        let mut watch = Watch::new(limits, Path::new("/nonexistent"), None, look);
        let far = watch.next_look(Duration::ZERO);
        watch.last.memory_bytes = 99 << 20;
        let near = watch.next_look(Duration::ZERO);
        assert!(near < far && near >= SHORTEST, "{near:?} {far:?}");
        assert_eq!(watch.next_look(Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn counts_blocks_and_entries() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), vec![1; 100_000]).unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        assert!(is_over(root.path(), 50_000, 10));
        assert!(is_over(root.path(), 1 << 20, 1));
        assert!(!is_over(root.path(), 1 << 20, 10));
    }
}
