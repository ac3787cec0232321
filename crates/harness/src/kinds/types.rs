//! The words of a kind: requests, results, refusals, verdicts.

use bytes::Bytes;
use domain::{Msat, Sha256Hash};
use serde::Serialize;
use std::{future::Future, pin::Pin};
use tokio::sync::mpsc;

use crate::{
    CancellationToken,
    sandbox::{Limits, Sandbox, SandboxError},
    snapshot::SnapshotLimits,
};

pub type KindFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a kind says of itself, for offers (NIP-89) and for people.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// The NIP-90 request kind; results are this plus 1,000.
    pub kind: u16,
    pub name: &'static str,
    pub description: &'static str,
    /// What the inputs are.
    pub inputs: &'static str,
    pub params: &'static [Param],
    pub default_price_msat: Msat,
    /// The media type of results.
    pub media_type: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Param {
    /// With `_`; `-` is read as the same.
    pub name: &'static str,
    pub description: &'static str,
    /// May be given more than once.
    pub repeats: bool,
}

/// One job to do: the request without its envelope.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub inputs: Vec<Input>,
    pub params: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub enum Input {
    Text(String),
    /// Content named by hash. `bytes` is absent until it was fetched; whoever fills it in has
    /// checked the hash.
    Blob {
        sha256: Sha256Hash,
        len: u64,
        media_type: String,
        bytes: Option<Bytes>,
    },
}

/// The most that this provider gives to one job, and what a job gets that asks for nothing.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub default_limits: Limits,
    pub max_limits: Limits,
    pub snapshot: SnapshotLimits,
    /// The largest document for text extraction.
    pub document_bytes: u64,
    /// All files that a job may have returned.
    pub return_bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        let default_limits = Limits::default();
        let max_limits = Limits {
            wall_ms: 600_000,
            cpu_secs: 600,
            memory_bytes: 2 << 30,
            processes: 512,
            disk_bytes: 2 << 30,
            output_bytes: 1 << 20,
            ..default_limits
        };
        let snapshot = SnapshotLimits::default();
        Self {
            default_limits,
            max_limits,
            snapshot,
            document_bytes: 16 << 20,
            return_bytes: 16 << 20,
        }
    }
}

/// What a job will take at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Until it is over, whatever it does.
    pub at_most_ms: u64,
    pub input_bytes: u64,
}

/// Why a request is not taken. It costs nobody anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable, snake case: `bad_param`, `bad_input`, `over_limit`.
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub(crate) fn param(message: impl Into<String>) -> Self {
        Self { code: "bad_param", message: message.into() }
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { code: "bad_input", message: message.into() }
    }

    pub(crate) fn over_limit(message: impl Into<String>) -> Self {
        Self { code: "over_limit", message: message.into() }
    }
}

/// What an execution is given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    pub sandbox: Sandbox,
    pub caps: Caps,
    pub cancel: CancellationToken,
    /// One line per stage, for people; lines are dropped when nobody reads.
    pub progress: Option<mpsc::Sender<String>>,
}

impl Context {
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, caps: Caps::default(), cancel: CancellationToken::new(), progress: None }
    }

    pub(crate) fn say(&self, line: impl Into<String>) {
        if let Some(progress) = &self.progress {
            // A reader that is slower than the work misses lines, and loses nothing else.
            let _ = progress.try_send(line.into());
        }
    }
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Canonical JSON (RFC 8785).
    pub payload: Vec<u8>,
    pub media_type: &'static str,
    /// Content that the payload names by hash.
    pub attachments: Vec<Attachment>,
}

impl Output {
    pub(crate) fn json<T: Serialize>(
        payload: &T,
        attachments: Vec<Attachment>,
    ) -> Result<Self, ExecuteError> {
        let payload = domain::canonical_json(payload)
            .map_err(|error| ExecuteError::Failed { why: error.to_string() })?;
        Ok(Self { payload, media_type: "application/json", attachments })
    }

    pub fn attachment(&self, sha256: &Sha256Hash) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.sha256 == *sha256)
    }
}

/// Content that a payload names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub sha256: Sha256Hash,
    pub size_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    pub media_type: String,
    pub sha256: Sha256Hash,
    pub bytes: Bytes,
}

impl Attachment {
    pub fn new(name: impl Into<String>, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256Hash::of(&bytes);
        Self { name: name.into(), media_type: media_type.to_owned(), sha256, bytes }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the work was cancelled")]
    Cancelled,
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("{why}")]
    Failed { why: String },
}

/// What a check of a result came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that could be checked holds; what that was.
    Holds { checked: Vec<&'static str> },
    /// The result is not what was asked for, or contradicts itself.
    Fails { why: String },
    /// The check itself could not be made.
    Unchecked { why: String },
}

impl Verdict {
    pub fn holds(&self) -> bool {
        matches!(self, Self::Holds { .. })
    }

    pub(crate) fn fails(why: impl Into<String>) -> Self {
        Self::Fails { why: why.into() }
    }
}
