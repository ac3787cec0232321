//! What a screen holds of the running desk: read a view, send a command, ask for a page.

use domain::ErrorBody;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Receiver,
    },
};

use crate::{
    command::{Command, JobInput, Reply},
    view::{Answer, Query, View},
};

/// The running desk as its screens see it. Nothing here waits.
pub trait DeskPort: Send + Sync {
    /// The newest view; the same `Arc` while nothing changed.
    fn view(&self) -> Arc<View>;
    /// Sends a command; the reply arrives once it is committed. A full inbox is itself a reply.
    fn send(&self, command: Command) -> Receiver<Reply>;
    /// Asks for what is not hot; the answer arrives when it is read.
    fn ask(&self, query: Query) -> Receiver<Answer>;
    /// Calls `wake` after each new view, reply or answer. Called from other threads.
    fn on_change(&self, wake: Arc<dyn Fn() + Send + Sync>);
    /// Once the desk is over: told to stop, or unable to go on and why. The window closes on the
    /// first and says the second.
    fn ended(&self) -> Option<Result<(), ErrorBody>> {
        None
    }
    /// The seed words, for the operator's eyes. May wait for a keychain: not for the UI thread.
    fn seed_words(&self) -> Result<Vec<String>, ErrorBody>;
    /// The operator has the words on paper; from now on nothing reminds of it.
    fn words_written(&self) -> Receiver<Reply>;
    /// What the operator calls this machine; empty takes the name away.
    fn name_machine(&self, name: String) -> Receiver<Reply>;
    /// Makes a folder, or a file as it is, the input of a job, as `job submit --path` does. It is
    /// kept on this machine by its hash; nothing leaves it before a job names it.
    fn pack(&self, path: PathBuf) -> Packing;
    /// What the window kept of itself for this network. Read once, before the window opens.
    fn memory(&self) -> Option<String>;
    /// Keeps what the window remembers of itself; the newest wins.
    fn remember(&self, memory: String);
}

/// The longest name of a machine, in characters.
pub const MACHINE_NAME_CHARS: usize = 40;

/// A folder that is being packed.
#[derive(Debug)]
pub struct Packing {
    pub progress: Arc<PackProgress>,
    pub outcome: Receiver<Result<Packed, ErrorBody>>,
}

/// How far a packing is, written by one thread and read by another.
#[derive(Debug, Default)]
pub struct PackProgress {
    files: AtomicU64,
    bytes: AtomicU64,
    stopped: AtomicBool,
}

impl PackProgress {
    /// Notes how much is packed; answers whether to go on.
    pub fn note(&self, files: u64, bytes: u64) -> bool {
        self.files.store(files, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Files and their bytes so far.
    pub fn so_far(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Nobody wants it any more: it ends at the next file.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// A packed folder: the input to send, and what went into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    pub input: JobInput,
    pub files: u64,
    /// What could not be packed, with the reason of each; the first few.
    pub left_out: Vec<String>,
    pub left_out_count: u64,
}
