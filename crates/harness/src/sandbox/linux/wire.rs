//! What the three processes of a run say to each other: length-prefixed JSON over a socket pair.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

use crate::sandbox::{End, Limits, Network, Program, Usage};

/// The largest frame that is read.
pub const MAX_FRAME_BYTES: usize = 48 << 20;
/// Host to supervisor, after the order: the run is no longer wanted.
pub const CANCEL: u8 = b'c';
/// Host to supervisor, after the order: it wrote more than it may.
pub const OUTPUT: u8 = b'o';
/// Supervisor to inner stage: everything is watched, start.
pub const GO: u8 = b'g';

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    Bubblewrap,
    Landlock,
}

impl Backend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock",
        }
    }
}

/// Host to supervisor: the whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub backend: Backend,
    /// Where bubblewrap is, when it is the backend.
    pub bwrap: PathBuf,
    pub scratch: PathBuf,
    pub read_only: Vec<PathBuf>,
    pub inner: InnerOrder,
}

/// Supervisor to inner stage: what to confine itself to, and what to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InnerOrder {
    pub program: Program,
    pub env: Vec<(String, String)>,
    #[serde(with = "base64_bytes")]
    pub stdin: Vec<u8>,
    pub network: Network,
    pub limits: Limits,
    /// `RLIMIT_NPROC`; the supervisor fills it in.
    pub nproc: u64,
    /// Nothing but Landlock keeps it from files of the same user; the supervisor fills it in.
    pub shares_user: bool,
    pub work: PathBuf,
    pub tmp: PathBuf,
    /// Restrict the file system by Landlock: paths to read, paths to write.
    pub landlock: Option<(Vec<PathBuf>, Vec<PathBuf>)>,
}

/// Inner stage to supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// Confined; waits for [`GO`].
    Ready,
    /// Could not confine itself, so starts nothing.
    Unfit { why: String },
    /// The command is over; what it and its children took, as far as they were waited for.
    Done { end: End, cpu_ms: u64, peak_memory_bytes: u64 },
}

/// Supervisor to host, once nothing of the run is left.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    Over { end: End, usage: Usage },
    Failed { why: String },
}

pub fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let len = u32::try_from(json.len()).ok().filter(|len| *len as usize <= MAX_FRAME_BYTES);
    let len = len.ok_or_else(|| io::Error::other("the run's inputs are too large"))?;
    let mut frame = len.to_le_bytes().to_vec();
    frame.extend(json);
    Ok(frame)
}

pub fn write<T: Serialize>(mut to: impl Write, value: &T) -> io::Result<()> {
    to.write_all(&encode(value)?)
}

/// The length that a frame's first four bytes announce, refused when too large.
pub fn frame_len(prefix: [u8; 4]) -> io::Result<usize> {
    let len = u32::from_le_bytes(prefix) as usize;
    if len > MAX_FRAME_BYTES { Err(io::Error::other("a frame is too large")) } else { Ok(len) }
}

/// The next frame; `None` when the other side is gone.
pub fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    match from.read_exact(&mut prefix) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut json = vec![0; frame_len(prefix)?];
    from.read_exact(&mut json)?;
    Ok(Some(serde_json::from_slice(&json)?))
}

mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
