//! Whom work runs as: when we are root, a user id that nobody else has.

use std::fs;

/// The first of the ids that are ours to use: far above users and services.
const BASE: u32 = 0x7000_0000;
/// `nobody`, where the id above does not exist (a container with few ids).
const NOBODY: u32 = 65_534;

/// A user and group id to drop to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: u32,
    /// No other process has this id, so signals and limits by user stay within the run.
    pub unique: bool,
}

/// The identity for a run of a root supervisor: its process id makes it unique.
pub fn for_root() -> Result<Identity, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    choose(&read("/proc/self/uid_map")?, &read("/proc/self/gid_map")?, std::process::id())
}

fn choose(uid_map: &str, gid_map: &str, process: u32) -> Result<Identity, String> {
    let exists = |id| is_mapped(uid_map, id) && is_mapped(gid_map, id);
    match BASE.checked_add(process) {
        Some(id) if exists(id) => Ok(Identity { id, unique: true }),
        _ if exists(NOBODY) => Ok(Identity { id: NOBODY, unique: false }),
        _ => Err("we run as root in a user namespace without any other user to drop to".into()),
    }
}

/// Whether an id exists in this user namespace (user_namespaces(7): inside, outside, count).
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [inside, _outside, count] = numbers[..] else { return false };
        (inside..inside.saturating_add(count)).contains(&u64::from(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_unique_id_where_all_ids_exist() {
        let all = "         0          0 4294967295\n";
        assert_eq!(choose(all, all, 77), Ok(Identity { id: BASE + 77, unique: true }));
    }

    #[test]
    fn takes_nobody_in_a_container_with_few_ids_and_refuses_where_there_is_only_root() {
        let few = "0 100000 65536\n";
        assert_eq!(choose(few, few, 77), Ok(Identity { id: NOBODY, unique: false }));
        assert!(choose("0 1000 1\n", "0 1000 1\n", 77).is_err());
        assert!(choose("garbage", "0 x", 77).is_err());
    }
}
