//! What to run, under which limits, and what came of it. The same on every system.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const MIB: u64 = 1 << 20;

/// How this machine's sandbox is set up. The default suits a program that calls
/// [`crate::helper_main_if_asked`] first thing.
#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    /// The program that serves as helper; ours when absent.
    pub helper: Option<PathBuf>,
    /// Where scratch directories are made; the system's temporary directory when absent.
    /// Every user must be able to pass through it, since work runs as an unprivileged one.
    pub scratch_root: Option<PathBuf>,
    /// Further directories that work may read (a tool chain); the operator's choice only.
    pub read_only: Vec<PathBuf>,
    /// Try only this backend: `bubblewrap` or `landlock`.
    pub only: Option<String>,
}

/// Whether work can run here, and how that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// `bubblewrap`, `landlock`, or `none`.
    pub name: String,
    pub available: bool,
    /// Why nothing can run here.
    pub why_not: Option<String>,
    /// What would make it available, or better.
    pub hint: Option<String>,
    /// Each backend that was tried before this answer, with why it was not taken.
    pub tried: Vec<Tried>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    pub name: String,
    pub why_not: String,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Spec {
    pub program: Program,
    /// The whole environment beside `PATH`, `HOME`, `TMPDIR`, `LANG` and `TZ`.
    pub env: Vec<(String, String)>,
    /// Given on standard input, which is empty otherwise.
    pub stdin: Vec<u8>,
    pub network: Network,
    pub limits: Limits,
}

impl Spec {
    /// `argv` with default limits, no input and no network.
    pub fn command<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self::new(Program::Command { argv })
    }

    pub(crate) fn new(program: Program) -> Self {
        Self {
            program,
            env: Vec::new(),
            stdin: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "program", rename_all = "snake_case")]
pub enum Program {
    /// A program found by its path, or by name on `PATH`.
    Command { argv: Vec<String> },
    /// One of our own parsers, run inside the helper process itself.
    Builtin { name: String, args: Vec<String> },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    #[default]
    None,
    /// The machine's own network. Only the operator grants it.
    Host,
}

/// What a run may use. Everything is counted over the whole process tree, unless it says otherwise,
/// and most of it is watched: a run can pass a limit by what it gets done between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub wall_ms: u64,
    pub cpu_secs: u64,
    /// Memory that is really used: anonymous, shared and swapped pages and the tables of them, and
    /// what its sockets and pipes can hold.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u32,
    /// The largest single file.
    pub file_bytes: u64,
    /// All files in the scratch directory, by blocks taken, and those in use that have no name. It
    /// is passed as well where less than 512 MiB is left on the disk, whoever took it.
    pub disk_bytes: u64,
    /// Files and directories in the scratch directory.
    pub files: u32,
    /// Kept of standard output, and as much of standard error; the rest is counted and dropped.
    pub output_bytes: u64,
    /// Written to both before the run is stopped.
    pub output_stop_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: 60_000,
            cpu_secs: 60,
            memory_bytes: 512 * MIB,
            processes: 128,
            file_bytes: 128 * MIB,
            disk_bytes: 512 * MIB,
            files: 50_000,
            output_bytes: 64 << 10,
            output_stop_bytes: 64 * MIB,
        }
    }
}

/// How a run ended, with what it wrote.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub end: End,
    pub stdout: Captured,
    pub stderr: Captured,
    pub usage: Usage,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
    },
    /// The command itself could not be started (not found, not executable).
    NotStarted {
        why: String,
    },
    TimedOut,
    Cancelled,
    OverLimit {
        limit: LimitHit,
    },
}

/// The limit that ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitHit {
    Cpu,
    Memory,
    Processes,
    FileSize,
    Disk,
    Output,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes written, at most [`Limits::output_bytes`].
    pub bytes: Vec<u8>,
    /// All bytes written.
    pub total: u64,
}

impl Captured {
    pub fn truncated(&self) -> bool {
        self.total > self.bytes.len() as u64
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From asking for the run until the command was started.
    pub start_ms: u64,
    /// From the command's start to its end.
    pub run_ms: u64,
    pub cpu_ms: u64,
    /// The most memory seen in use, helpers included.
    pub peak_memory_bytes: u64,
}

/// Why a run has no outcome. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("no work can run on this machine: {why}")]
    Unavailable { why: String },
    #[error("the sandbox could not be set up, so nothing was run: {why}")]
    Setup { why: String },
    #[error("{what} failed, so there is no result: {source}")]
    Io { what: &'static str, source: std::io::Error },
    #[error(
        "{} is no longer the directory that the work was given, so nothing of it was read",
        path.display()
    )]
    Moved { path: PathBuf },
}

impl SandboxError {
    /// For `map_err`: what was being done.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
