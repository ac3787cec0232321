//! What a snapshot holds: each path with its kind, size and hash, and one hash over all.

use domain::Sha256Hash;
use serde::{Deserialize, Serialize};

/// Everything in a snapshot, sorted by path. Two directories with the same contents have the
/// same manifest, whatever their archive was compressed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative, separated by `/`, without `.`, `..` or empty steps.
    pub path: String,
    #[serde(flatten)]
    pub kind: EntryKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntryKind {
    File {
        size: u64,
        sha256: Sha256Hash,
        executable: bool,
    },
    /// A symbolic link, kept as its text.
    Link {
        target: String,
    },
}

impl Manifest {
    /// The hash of the contents: SHA-256 of the manifest's canonical JSON (RFC 8785).
    pub fn root(&self) -> Sha256Hash {
        let json = domain::canonical_json(self).expect("BUG: sizes are bounded far below 2^53");
        Sha256Hash::of(&json)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, u64, Sha256Hash)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            EntryKind::File { size, sha256, .. } => Some((entry.path.as_str(), size, sha256)),
            EntryKind::Link { .. } => None,
        })
    }

    /// Bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.files().map(|(_, size, _)| size).sum()
    }
}
