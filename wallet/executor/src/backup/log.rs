//! The wallet's log in its backup: whole now and then, and each commit in between.

use domain::{Body, BodyRef, EffectId, RepeatClass, StreamId};
use ldk_durable::copy::Beside;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Batch, CursorUpdate, NewEvent, OpenOptions, OutboxRow, Store};
use wallet::io::ADAPTER;

/// More than this that no folder took is not kept: the next segment has the whole log.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
const SCRATCH: &str = "backup-scratch";

/// What a segment says of its wallet, readable with its key alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub network: Option<domain::Network>,
    pub backend: String,
    pub birthday: Option<wallet::backup::Birthday>,
}

/// The log beside the node's state.
pub struct LogCopy {
    home: PathBuf,
    log: &'static str,
    /// Small files that go along where they are there.
    settings: &'static [&'static str],
    about: Mutex<About>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    changes: Vec<Vec<u8>>,
    bytes: usize,
    lost: bool,
}

impl LogCopy {
    /// Of the log named so in the wallet's home.
    pub fn new(
        home: &Path,
        log: &'static str,
        settings: &'static [&'static str],
        about: About,
    ) -> Arc<Self> {
        Arc::new(Self {
            home: home.to_owned(),
            log,
            settings,
            about: Mutex::new(about),
            waiting: Mutex::default(),
        })
    }

    /// Hears what the log commits.
    pub fn listen(self: &Arc<Self>, store: &mut Store) {
        let copy = Arc::clone(self);
        store.on_append(Box::new(move |batch| copy.note(batch)));
    }

    pub fn say(&self, change: impl FnOnce(&mut About)) {
        change(&mut self.about.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, batch: &Batch) {
        let change = encode(batch);
        let mut waiting = self.waiting();
        if waiting.lost || waiting.bytes + change.len() > MAX_WAITING_BYTES {
            *waiting = Waiting { lost: true, ..Waiting::default() };
            return;
        }
        waiting.bytes += change.len();
        waiting.changes.push(change);
    }
}

impl Beside for LogCopy {
    fn about(&self) -> Vec<u8> {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_vec(&*about).expect("BUG: plain data always serialises")
    }

    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let log = self.home.join(self.log);
        if log.exists() {
            let scratch = self.home.join(SCRATCH);
            let _left_over = fs::remove_file(&scratch);
            store::copy_database(&log, &scratch).map_err(io::Error::other)?;
            files.push((self.log.to_owned(), fs::read(&scratch)?));
            fs::remove_file(&scratch)?;
        }
        let blobs = match fs::read_dir(self.home.join("blobs")) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        for entry in blobs.iter().filter(|entry| entry.path().is_file()) {
            let name = format!("blobs/{}", entry.file_name().to_string_lossy());
            files.push((name, fs::read(entry.path())?));
        }
        for name in self.settings {
            match fs::read(self.home.join(name)) {
                Ok(bytes) => files.push(((*name).to_owned(), bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn changes(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.waiting()).changes
    }

    fn has_changes(&self) -> bool {
        let waiting = self.waiting();
        waiting.lost || !waiting.changes.is_empty()
    }

    fn lost_changes(&self) -> bool {
        self.waiting().lost
    }
}

/// One commit of the log. Views are left out: they are made again from the events.
#[derive(Serialize, Deserialize)]
struct Change {
    events: Vec<(StreamId, u64, String)>,
    bodies: Vec<(BodyRef, Vec<u8>, Vec<u8>)>,
    outbox: Vec<(EffectId, String, RepeatClass, String)>,
    acknowledged: Vec<EffectId>,
    cursors: Vec<(String, u64)>,
}

fn encode(batch: &Batch) -> Vec<u8> {
    let change = Change {
        events: batch
            .events
            .iter()
            .map(|event| {
                let text = String::from_utf8_lossy(event.canonical()).into_owned();
                (event.stream.clone(), event.seq, text)
            })
            .collect(),
        bodies: batch
            .bodies
            .iter()
            .map(|body| (body.reference.clone(), body.salt.to_vec(), body.bytes.to_vec()))
            .collect(),
        outbox: batch
            .outbox
            .iter()
            .map(|row| (row.id.clone(), row.adapter.to_owned(), row.class, row.json.clone()))
            .collect(),
        acknowledged: batch.acknowledged.clone(),
        cursors: batch.cursors.iter().map(|at| (at.name.clone(), at.value)).collect(),
    };
    serde_json::to_vec(&change).expect("BUG: plain data always serialises")
}

fn decode(bytes: &[u8]) -> Result<Batch, BadLog> {
    let change: Change =
        serde_json::from_slice(bytes).map_err(|error| BadLog(error.to_string()))?;
    let bodies = change.bodies.into_iter().map(|(reference, salt, bytes)| {
        let salt = salt.try_into().map_err(|_| BadLog("a body has a wrong salt".into()))?;
        Ok(Body { reference, salt, bytes: bytes.into() })
    });
    let outbox = change.outbox.into_iter().map(|(id, adapter, class, json)| {
        if adapter != ADAPTER {
            return Err(BadLog(format!("an effect is for {adapter}, which is not known")));
        }
        Ok(OutboxRow { id, adapter: ADAPTER, class, json })
    });
    Ok(Batch {
        events: change
            .events
            .into_iter()
            .map(|(stream, seq, text)| NewEvent::new(stream, seq, text.into_bytes().into()))
            .collect(),
        bodies: bodies.collect::<Result<_, _>>()?,
        outbox: outbox.collect::<Result<_, _>>()?,
        acknowledged: change.acknowledged,
        view_rows: Vec::new(),
        cursors: change
            .cursors
            .into_iter()
            .map(|(name, value)| CursorUpdate { name, value })
            .collect(),
    })
}

/// A log that a backup does not bring back.
#[derive(Debug, thiserror::Error)]
#[error("the wallet's log in the backup does not hold: {0}")]
pub struct BadLog(String);

/// Writes the files into the empty folder `dir` and brings the log up to the newest commit; gives
/// its number of events and their root.
pub fn lay_down(
    dir: &Path,
    log: &str,
    files: &BTreeMap<String, Vec<u8>>,
    changes: &[Vec<u8>],
    body_key: &[u8; 32],
) -> Result<(u64, domain::Sha256Hash), BadLog> {
    let bad = |error: &dyn std::fmt::Display| BadLog(error.to_string());
    for (name, bytes) in files {
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\\');
        if !name.split('/').all(plain) || name.split('/').count() > 2 {
            return Err(BadLog(format!("{name:?} is no name of a file of the wallet")));
        }
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            host::Home::open(parent).map_err(|error| bad(&error))?;
        }
        host::home::write_private(&path, bytes).map_err(|error| bad(&error))?;
    }
    let options = OpenOptions { body_key: *body_key };
    let mut store = Store::open(&dir.join(log), options).map_err(|error| bad(&error))?;
    for change in changes {
        store.append(&decode(change)?).map_err(|error| bad(&error))?;
    }
    Ok((store.last_position(), store.root()))
}

#[cfg(test)]
mod tests;
