//! What a run holds beside names and resident pages: files without a name, and the buffers that the
//! kernel keeps for its sockets and pipes. All as /proc shows it, by a walk over its descriptors.

use nix::{libc, unistd::Pid};
use std::{collections::HashSet, fs, os::unix::fs::MetadataExt, path::Path};

use super::tree::{self, Task};

/// Descriptors of all processes together that are looked at: more would make looking slow.
const MOST_DESCRIPTORS: usize = 16_384;
/// What a pipe holds when full: 16 pages (pipe(7)); work may not enlarge one.
const PIPE_BYTES: u64 = 64 << 10;
/// `net.core.wmem_default` where it cannot be read; work may not enlarge a socket's buffer.
const SOCKET_BYTES: u64 = 212_992;

/// What is held at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// In files that no directory names.
    pub disk_bytes: u64,
    /// In the kernel, for sockets and pipes: what they can hold, since not all of them tell what
    /// they do hold.
    pub memory_bytes: u64,
    /// Memory is shared in the one way that shows up nowhere, or there are too many descriptors.
    pub beyond_counting: bool,
    /// Some process does not let us look.
    pub unseen: bool,
}

/// How to look at a run.
#[derive(Clone, Debug)]
pub struct Look {
    /// The processes that confine it: ours, and hidden even from us where we are not root.
    pub ours: Vec<Pid>,
    /// What a file is taken to have whose size cannot be seen.
    pub file_bytes: u64,
    /// It has a network of its own, so that all connections in it are its own.
    pub own_network: bool,
}

/// Looks at everything below this process.
pub fn held(look: &Look) -> Held {
    let socket_bytes = fs::read_to_string("/proc/sys/net/core/wmem_default")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(SOCKET_BYTES);
    let mut walk = Walk::default();
    for pid in tree::descendants() {
        let Some(task) = Task::of(pid).filter(Task::is_living) else { continue };
        let place = &task.place;
        let seen = walk.descriptors(place).and_then(|()| walk.mappings(place, look.file_bytes));
        if seen.is_none() && !look.ours.contains(&pid) && task.still_lives() {
            walk.held.unseen = true;
        }
        if look.own_network && !walk.network_seen {
            walk.network(place);
        }
        if walk.held.beyond_counting {
            break;
        }
    }
    let Walk { mut held, sockets, pipes, on_their_way, .. } = walk;
    held.disk_bytes += on_their_way * look.file_bytes;
    held.memory_bytes += (sockets.len() as u64 + on_their_way) * socket_bytes;
    held.memory_bytes += pipes.len() as u64 * PIPE_BYTES;
    held
}

type Inode = (u64, u64);

#[derive(Default)]
struct Walk {
    held: Held,
    count: usize,
    files: HashSet<Inode>,
    sockets: HashSet<u64>,
    pipes: HashSet<Inode>,
    /// Mapped files by the words of /proc/PID/maps: device and inode.
    mapped: HashSet<(String, u64)>,
    /// Descriptors sent to a socket and not received yet.
    on_their_way: u64,
    network_seen: bool,
}

impl Walk {
    /// Takes in a task's open files; nothing where it is hidden or gone.
    fn descriptors(&mut self, task: &Path) -> Option<()> {
        for entry in fs::read_dir(task.join("fd")).ok()? {
            self.count += 1;
            if self.count > MOST_DESCRIPTORS {
                self.held.beyond_counting = true;
                return Some(());
            }
            let Ok(entry) = entry else { continue };
            // Of what the descriptor is open on; closed by now, it simply no longer counts.
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            let inode = (metadata.dev(), metadata.ino());
            match metadata.mode() & libc::S_IFMT {
                libc::S_IFREG => self.file(&metadata),
                libc::S_IFIFO => drop(self.pipes.insert(inode)),
                libc::S_IFSOCK if self.sockets.insert(inode.1) => {
                    let info = task.join("fdinfo").join(entry.file_name());
                    self.on_their_way += number_of(&info, "scm_fds:");
                }
                _ => {}
            }
        }
        Some(())
    }

    fn file(&mut self, metadata: &fs::Metadata) {
        if metadata.nlink() == 0 && self.files.insert((metadata.dev(), metadata.ino())) {
            self.held.disk_bytes += metadata.blocks().saturating_mul(512);
        }
    }

    /// Takes in files that are mapped and no longer named, also when nothing has them open.
    fn mappings(&mut self, task: &Path, file_bytes: u64) -> Option<()> {
        let maps = fs::read_to_string(task.join("maps")).ok()?;
        for deleted in maps.lines().filter_map(deleted_mapping) {
            if deleted.path == "/dev/zero" {
                self.held.beyond_counting = true;
            }
            // Only our own: work cannot make one, and the kernel has sealed what is in it.
            if deleted.path.starts_with("/memfd:") {
                continue;
            }
            if !self.mapped.insert((deleted.device.to_owned(), deleted.inode)) {
                continue;
            }
            // Root may see the file itself.
            match fs::metadata(task.join("map_files").join(deleted.range)) {
                Ok(metadata) => self.file(&metadata),
                Err(_) if self.files.iter().any(|(_, inode)| *inode == deleted.inode) => {}
                Err(_) => self.held.disk_bytes = self.held.disk_bytes.saturating_add(file_bytes),
            }
        }
        Some(())
    }

    /// What waits in connections, twice over for what the kernel spends around it.
    fn network(&mut self, task: &Path) {
        for table in ["net/tcp", "net/tcp6"] {
            let Ok(text) = fs::read_to_string(task.join(table)) else { continue };
            self.network_seen = true;
            let queued = text.lines().filter_map(queued_bytes).sum::<u64>();
            self.held.memory_bytes = self.held.memory_bytes.saturating_add(queued * 2);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Deleted<'a> {
    range: &'a str,
    device: &'a str,
    inode: u64,
    path: &'a str,
}

/// A line of /proc/PID/maps (proc(5)) about a file that is no longer named.
fn deleted_mapping(line: &str) -> Option<Deleted<'_>> {
    let line = line.strip_suffix(" (deleted)")?;
    let mut words = line.splitn(6, ' ');
    let (range, _, _, device) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let inode = words.next()?.parse().ok().filter(|inode| *inode != 0)?;
    Some(Deleted { range, device, inode, path: words.next()?.trim_start() })
}

/// `tx_queue:rx_queue` of a line of /proc/net/tcp, in bytes.
fn queued_bytes(line: &str) -> Option<u64> {
    let (to_send, received) = line.split_whitespace().nth(4)?.split_once(':')?;
    let bytes = |hex: &str| u64::from_str_radix(hex, 16).ok();
    bytes(to_send)?.checked_add(bytes(received)?)
}

fn number_of(file: &Path, name: &str) -> u64 {
    fs::read_to_string(file).map_or(0, |text| tree::status_field(&text, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mappings_of_deleted_files_under_any_name() {
        let line = "7f00-7f01 rw-s 00000000 fe:00 4711                       /work/a b (deleted)";
        let expected =
            Deleted { range: "7f00-7f01", device: "fe:00", inode: 4_711, path: "/work/a b" };
        assert_eq!(deleted_mapping(line), Some(expected));
        let zero = "7f00-7f01 rw-s 00000000 00:01 3077 /dev/zero (deleted)";
        assert_eq!(deleted_mapping(zero).unwrap().path, "/dev/zero");
        for other in ["7f00-7f01 rw-p 0 00:00 0 ", "7f00-7f01 rw-p 0 fe:00 9 /work/a", " (deleted)"]
        {
            assert_eq!(deleted_mapping(other), None);
        }
    }

    #[test]
    fn reads_what_waits_in_a_connection() {
        let line = "   0: 0100007F:1F90 00000000:0000 01 0000000A:00000100 00:00000000 00000000 0";
        assert_eq!(queued_bytes(line), Some(266));
        assert_eq!(queued_bytes("  sl  local_address rem_address   st tx_queue rx_queue"), None);
        assert_eq!(queued_bytes(""), None);
    }
}
