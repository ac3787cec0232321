//! What a run's result says, in the form that a buyer reads and checks.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::Sha256Hash;
use serde::{Deserialize, Serialize};

use super::tree::{Item, Tree};
use crate::{
    kinds::Attachment,
    sandbox::{Captured, End, Usage},
};

/// Files up to this size travel inside the result itself.
const INLINE_BYTES: usize = 4 << 10;
const MAX_CHANGES: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    pub v: u32,
    /// What was asked: see `Plan::sha256`.
    pub request_sha256: Sha256Hash,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snapshot: Option<SnapshotEcho>,
    #[serde(flatten)]
    pub end: End,
    /// Present when the command ended by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<i32>,
    pub stdout: Stream,
    pub stderr: Stream,
    /// Against the inputs, sorted by path.
    pub changed: Vec<Change>,
    /// There were more changes, or names and sizes that cannot be listed.
    pub changed_truncated: bool,
    pub returned: Vec<Returned>,
    pub usage: Usage,
    /// The backend that it ran under.
    pub sandbox: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEcho {
    pub sha256: Sha256Hash,
    /// Hash of the unpacked contents.
    pub root: Sha256Hash,
}

/// One output of the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    #[serde(flatten)]
    pub content: Content,
    /// All that was written, kept or not.
    pub total_bytes: u64,
    pub truncated: bool,
}

/// Bytes as text where they are, else as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Text(String),
    Base64(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub change: ChangeKind,
    /// What is there now; absent when deleted.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub now: Option<Now>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Created,
    Modified,
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Now {
    File { size: u64, sha256: Sha256Hash, executable: bool },
    Link { target: String },
}

/// A file that the request named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    pub path: String,
    #[serde(flatten)]
    pub what: ReturnedWhat,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReturnedWhat {
    Inline {
        size: u64,
        sha256: Sha256Hash,
        content: Content,
    },
    /// An attachment of the result, by its hash.
    Attached {
        size: u64,
        sha256: Sha256Hash,
    },
    Missing {
        missing: String,
    },
}

impl Content {
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes again; `None` where the base64 is damaged.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.as_bytes().to_vec()),
            Self::Base64(base64) => STANDARD.decode(base64).ok(),
        }
    }
}

impl Stream {
    pub fn of(captured: &Captured) -> Self {
        // A cut inside a character does not make text something else.
        let bytes = &captured.bytes;
        let content = match std::str::from_utf8(bytes) {
            Err(error) if captured.truncated() && error.error_len().is_none() => {
                Content::of(&bytes[..error.valid_up_to()])
            }
            _ => Content::of(bytes),
        };
        Self { content, total_bytes: captured.total, truncated: captured.truncated() }
    }
}

impl Returned {
    pub fn missing(path: &str, why: &str) -> Self {
        Self { path: path.to_owned(), what: ReturnedWhat::Missing { missing: why.to_owned() } }
    }

    pub fn of(path: &str, bytes: Vec<u8>) -> (Self, Option<Attachment>) {
        let (size, sha256) = (bytes.len() as u64, Sha256Hash::of(&bytes));
        let path = path.to_owned();
        if bytes.len() <= INLINE_BYTES {
            let content = Content::of(&bytes);
            return (Self { path, what: ReturnedWhat::Inline { size, sha256, content } }, None);
        }
        let attachment = Attachment::new(path.clone(), "application/octet-stream", bytes);
        (Self { path, what: ReturnedWhat::Attached { size, sha256 } }, Some(attachment))
    }
}

/// What differs between two trees, and whether there was more than is listed.
pub fn changes(before: &Tree, after: &Tree) -> (Vec<Change>, bool) {
    let now = |item: &Item| match item.clone() {
        Item::File(f) => Now::File { size: f.size, sha256: f.sha256, executable: f.executable },
        Item::Link { target } => Now::Link { target },
    };
    let mut changes: Vec<Change> = Vec::new();
    for (path, item) in &after.items {
        let change = match before.items.get(path) {
            Some(earlier) if earlier == item => continue,
            Some(_) => ChangeKind::Modified,
            None => ChangeKind::Created,
        };
        changes.push(Change { path: path.clone(), change, now: Some(now(item)) });
    }
    // What could not be read all is not known to be gone.
    let gone = before.items.keys().filter(|path| !after.items.contains_key(*path));
    for path in gone.filter(|_| !after.truncated) {
        changes.push(Change { path: path.clone(), change: ChangeKind::Deleted, now: None });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    let more = changes.len() > MAX_CHANGES;
    changes.truncate(MAX_CHANGES);
    (changes, more)
}
