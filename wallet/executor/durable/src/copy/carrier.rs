//! Taking each moment to the folder before the gate lets words out.
//!
//! The folder's disk may hang, so it has a thread of its own; who waits for it is [`Carrier`], in
//! the store's thread, which knows what may be let go on without.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};
use store::{KvKey, StorageError};

use crate::table::Local;

use super::{
    folder::{Contents, Folder, FolderError, Whole, Writer},
    mirror::{Inner, Kept, Mirror, Pin, Place, Standing, State},
    record::{Policy, Record},
};

/// How long the folder has to take a moment before it counts as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A folder that was away is tried again this often.
const TRY_EVERY: Duration = Duration::from_secs(2);
/// What changed beside the node's state waits this long for a moment to go with.
const BESIDE_WAITS: Duration = Duration::from_secs(1);
/// A segment is written anew when it is this many times its whole state, and not small.
const GROWS_BY: u64 = 4;
pub(super) const SMALL_BYTES: u64 = 4 * 1024 * 1024;

/// What the carrier needs of the store.
pub(crate) trait Home {
    fn all(&self) -> Result<Vec<(KvKey, Vec<u8>)>, StorageError>;
    /// Remembers, on disk, since when the copy is behind.
    fn note_stale(&self, since_ms: Option<u64>) -> Result<(), StorageError>;
    /// Waits a little; true when the store is about to end.
    fn ending(&self, wait: Duration) -> bool;
}

/// Why nothing more may be let out.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "this wallet's folder is an older copy: it is at moment {ours}, and its backup at {theirs}"
    )]
    OlderCopy { ours: u64, theirs: u64 },
    #[error("the backup's folder does not answer")]
    Silent,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the store ended before the backup had everything")]
    Ended,
}

impl CarryError {
    /// Another copy of this wallet is newer, or runs.
    pub fn is_fence(&self) -> bool {
        matches!(self, Self::Folder(FolderError::Fenced { .. }) | Self::OlderCopy { .. })
    }
}

enum Job {
    Look(PathBuf),
    Whole { place: Place, epoch: u64, seq: u64, state: Vec<(KvKey, Vec<u8>)> },
    Append(Vec<Record>),
    Leave(Record),
    Read,
}

enum Done {
    Looked(Option<Found>),
    Written { bytes: u64, whole_bytes: u64 },
    Left,
    Contents(Box<Contents>),
}

/// What is in a folder already.
struct Found {
    epoch: u64,
    seq: u64,
    /// This run wrote it.
    own: bool,
}

/// In the store's thread: takes each moment to the folder.
pub(crate) struct Carrier {
    inner: Arc<Inner>,
    epoch: u64,
    jobs: SyncSender<Job>,
    answers: Receiver<Result<Done, CarryError>>,
    /// An answer is still to come for something that nobody waits for any more.
    late: bool,
    /// Where the open segment is; none where the next write must be whole.
    open: Option<Place>,
    /// The folder was compared with this wallet since it was chosen or since the start.
    claimed: bool,
    wanted: u64,
    grown: bool,
    next_try: Option<Instant>,
    beside_at: Instant,
}

impl Carrier {
    /// Claims the folder for this start and writes a first whole segment there.
    pub(crate) fn open(
        mirror: &Mirror,
        home: &dyn Home,
        local: Local,
        epoch: u64,
    ) -> Result<Self, CarryError> {
        let inner = Arc::clone(&mirror.inner);
        let (jobs, to_do) = sync_channel(1);
        let (done, answers) = sync_channel(1);
        let works = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("backup".into())
            .spawn(move || work(&works, &to_do, &done))
            .map_err(StorageError::from)?;
        let mut carrier = Self {
            inner,
            epoch,
            jobs,
            answers,
            late: false,
            open: None,
            claimed: false,
            wanted: 0,
            grown: false,
            next_try: None,
            beside_at: Instant::now(),
        };
        let place = {
            let mut state = carrier.state();
            state.status.epoch = epoch;
            state.status.seq = local.seq;
            if let Some(since_ms) = local.stale_since_ms {
                let why = "it was away before this start".into();
                state.status.standing = Standing::Stale { since_ms, why };
            }
            state.place.clone()
        };
        carrier.wanted = mirror.state().wanted;
        let Some(place) = place else { return Ok(carrier) };
        if let Err(error) = carrier.claim(&place, home, local.seq) {
            if error.is_fence() || place.policy == Policy::Strict {
                return Err(error);
            }
            carrier.fell_behind(home, &error)?;
        }
        Ok(carrier)
    }

    fn claim(&mut self, place: &Place, home: &dyn Home, seq: u64) -> Result<(), CarryError> {
        self.check(place, seq)?;
        self.claimed = true;
        self.write_whole(place, home, seq)
    }

    /// The folder must not know more than this wallet does.
    fn check(&mut self, place: &Place, seq: u64) -> Result<(), CarryError> {
        let Done::Looked(Some(found)) = self.ask(Job::Look(place.path.clone()))? else {
            return Ok(());
        };
        if found.epoch >= self.epoch && !found.own {
            return Err(FolderError::Fenced { ours: self.epoch, theirs: found.epoch }.into());
        }
        if found.seq > seq {
            return Err(CarryError::OlderCopy { ours: seq, theirs: found.seq });
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        (self.inner.kept.now_ms)()
    }

    /// Whether there is something to do although no moment was closed.
    pub(crate) fn due(&self) -> bool {
        let state = self.state();
        if state.wanted != self.wanted || !state.pins.is_empty() {
            return true;
        }
        if state.place.is_none() {
            return false;
        }
        match self.next_try {
            Some(at) => Instant::now() >= at,
            None => {
                self.beside_at.elapsed() >= BESIDE_WAITS && self.inner.kept.beside.has_changes()
            }
        }
    }

    /// Takes a moment to the folder. Returns when words may leave; an error is for good.
    pub(crate) fn carry(
        &mut self,
        seq: u64,
        writes: Vec<(KvKey, Option<Vec<u8>>)>,
        home: &dyn Home,
    ) -> Result<(), CarryError> {
        let mut writes = Some(writes);
        loop {
            let (place, wanted) = {
                let state = self.state();
                (state.place.clone(), state.wanted)
            };
            let changed = wanted != self.wanted;
            if self.open.is_some() && (changed && place != self.open || place.is_none()) {
                self.leave();
            }
            let Some(place) = place else {
                self.wanted = wanted;
                self.next_try = None;
                self.stand(Standing::Off, home)?;
                self.refuse_pins();
                return Ok(());
            };
            if place.policy == Policy::Lenient
                && !changed
                && self.next_try.is_some_and(|at| Instant::now() < at)
            {
                self.refuse_pins();
                return Ok(());
            }
            let lost = self.inner.kept.beside.lost_changes();
            let whole = self.open.is_none() || changed || self.grown || lost;
            let done = match (whole, writes.take()) {
                (false, Some(writes)) => self.append(seq, writes),
                _ if changed || !self.claimed => self.claim(&place, home, seq),
                _ => self.write_whole(&place, home, seq),
            };
            self.wanted = wanted;
            match done {
                Ok(()) => {
                    self.next_try = None;
                    self.stand(Standing::Fresh, home)?;
                    self.answer_pins(seq, home);
                    return Ok(());
                }
                Err(error) if error.is_fence() => return Err(error),
                Err(CarryError::Storage(error)) => return Err(error.into()),
                Err(error) => {
                    self.fell_behind(home, &error)?;
                    if place.policy == Policy::Lenient {
                        return Ok(());
                    }
                    if home.ending(TRY_EVERY / 4) {
                        return Err(CarryError::Ended);
                    }
                }
            }
        }
    }

    fn append(
        &mut self,
        seq: u64,
        writes: Vec<(KvKey, Option<Vec<u8>>)>,
    ) -> Result<(), CarryError> {
        let beside = &self.inner.kept.beside;
        let mut records: Vec<Record> = beside.changes().into_iter().map(Record::Beside).collect();
        self.beside_at = Instant::now();
        if !writes.is_empty() {
            records.push(Record::Moment { seq, writes });
        }
        if records.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let Done::Written { bytes, whole_bytes } = self.ask(Job::Append(records))? else {
            return Err(CarryError::Silent);
        };
        self.grown |= bytes > SMALL_BYTES.max(whole_bytes.saturating_mul(GROWS_BY));
        self.wrote(seq, bytes, started);
        Ok(())
    }

    fn write_whole(&mut self, place: &Place, home: &dyn Home, seq: u64) -> Result<(), CarryError> {
        self.open = None;
        let state = home.all()?.into_iter().filter(|(key, _)| goes_along(key)).collect();
        let started = Instant::now();
        let job = Job::Whole { place: place.clone(), epoch: self.epoch, seq, state };
        let Done::Written { bytes, .. } = self.ask(job)? else { return Err(CarryError::Silent) };
        self.open = Some(place.clone());
        self.grown = false;
        self.wrote(seq, bytes, started);
        self.stand(Standing::Fresh, home)?;
        Ok(())
    }

    fn wrote(&self, seq: u64, bytes: u64, started: Instant) {
        let now = self.now_ms();
        let status = &mut self.state().status;
        status.seq = seq;
        status.segment_bytes = bytes;
        status.last_write_ms = Some(now);
        status.moments += 1;
        status.spent += started.elapsed();
    }

    fn stand(&self, standing: Standing, home: &dyn Home) -> Result<(), StorageError> {
        let behind = |standing: &Standing| matches!(standing, Standing::Stale { .. });
        let was = self.state().status.standing.clone();
        match (&was, &standing) {
            (was, Standing::Stale { since_ms, .. }) if !behind(was) => {
                home.note_stale(Some(*since_ms))?;
            }
            (was, standing) if behind(was) && !behind(standing) => home.note_stale(None)?,
            _ => {}
        }
        let mut state = self.state();
        state.status.place = state.place.clone();
        state.status.standing = standing;
        Ok(())
    }

    fn fell_behind(&mut self, home: &dyn Home, error: &CarryError) -> Result<(), StorageError> {
        self.open = None;
        self.next_try = Some(Instant::now() + TRY_EVERY);
        let why = error.to_string();
        let (policy, since_ms) = {
            let state = self.state();
            let since_ms = match &state.status.standing {
                Standing::Stale { since_ms, .. } | Standing::Waiting { since_ms, .. } => *since_ms,
                _ => self.now_ms(),
            };
            (state.place.as_ref().map(|place| place.policy), since_ms)
        };
        tracing::warn!(%error, "the backup's folder did not take a moment");
        let standing = match policy {
            Some(Policy::Strict) => Standing::Waiting { since_ms, why },
            _ => Standing::Stale { since_ms, why },
        };
        self.stand(standing, home)?;
        self.refuse_pins();
        Ok(())
    }

    fn refuse_pins(&self) {
        let pins = std::mem::take(&mut self.state().pins);
        for pin in pins {
            let _nobody_waits = pin.try_send(Err("the backup is not up to date".into()));
        }
    }

    fn answer_pins(&mut self, seq: u64, home: &dyn Home) {
        let pins = std::mem::take(&mut self.state().pins);
        for pin in pins {
            let read = match self.ask(Job::Read) {
                Ok(Done::Contents(copy)) => home
                    .all()
                    .map(|live| Pin {
                        seq,
                        live: live.into_iter().filter(|(key, _)| goes_along(key)).collect(),
                        copy: *copy,
                    })
                    .map_err(|error| error.to_string()),
                Ok(_) => Err("the backup's folder gave something else".into()),
                Err(error) => Err(error.to_string()),
            };
            let _nobody_waits = pin.try_send(read);
        }
    }

    /// Says in the folder that it is not written any more; what can't be said is the operator's to
    /// know, who was asked before.
    fn leave(&mut self) {
        self.open = None;
        let at_ms = self.now_ms();
        if let Err(error) = self.ask(Job::Leave(Record::Left { at_ms })) {
            tracing::warn!(%error, "the backup's old folder does not know that it was left");
        }
    }

    /// The store ends in order.
    pub(crate) fn close(&mut self, seq: u64) {
        if self.open.is_none() || self.grown {
            return;
        }
        let at_ms = self.now_ms();
        let closed = self
            .append(seq, Vec::new())
            .and_then(|()| self.ask(Job::Append(vec![Record::Closed { at_ms }])));
        if let Err(error) = closed {
            tracing::warn!(%error, "the backup does not know that the wallet ended in order");
        }
    }

    fn ask(&mut self, job: Job) -> Result<Done, CarryError> {
        if self.late {
            match self.answers.recv_timeout(ANSWER_WITHIN) {
                Ok(_forgotten) => self.late = false,
                Err(_) => return Err(CarryError::Silent),
            }
        }
        self.jobs.send(job).map_err(|_| CarryError::Silent)?;
        match self.answers.recv_timeout(ANSWER_WITHIN) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                self.late = true;
                Err(CarryError::Silent)
            }
            Err(RecvTimeoutError::Disconnected) => Err(CarryError::Silent),
        }
    }
}

fn work(inner: &Inner, jobs: &Receiver<Job>, answers: &SyncSender<Result<Done, CarryError>>) {
    let kept = &inner.kept;
    let mut run = [0; 16];
    let random = getrandom::fill(&mut run);
    let mut writer: Option<(Folder, Writer)> = None;
    while let Ok(job) = jobs.recv() {
        let done = if let Err(error) = random {
            Err(StorageError::from(io::Error::other(error.to_string())).into())
        } else {
            perform(kept, run, &mut writer, job)
        };
        if done.is_err() {
            // What was half written is no place to go on.
            writer = None;
        }
        if answers.send(done).is_err() {
            return;
        }
    }
}

fn perform(
    kept: &Kept,
    run: [u8; 16],
    writer: &mut Option<(Folder, Writer)>,
    job: Job,
) -> Result<Done, CarryError> {
    match job {
        Job::Look(place) => {
            let folder = Folder::find(&place, &kept.key)?;
            match folder.read() {
                Ok(Contents { owner, seq, .. }) => {
                    let own = owner.run == run;
                    Ok(Done::Looked(Some(Found { epoch: owner.epoch, seq, own })))
                }
                Err(FolderError::Empty(_)) => Ok(Done::Looked(None)),
                Err(error) => Err(error.into()),
            }
        }
        Job::Whole { place, epoch, seq, state } => {
            let folder = Folder::find(&place.path, &kept.key)?;
            // What changed until now is in the files; what changes meanwhile comes after them.
            let _in_the_files = kept.beside.changes();
            let files = kept
                .beside
                .files()
                .map_err(|source| FolderError::Io { path: folder.path().to_owned(), source })?;
            let whole = Whole {
                epoch,
                run,
                policy: place.policy,
                now_ms: (kept.now_ms)(),
                about: kept.beside.about(),
                seq,
                state: &state,
                files: &files,
            };
            let begun = Writer::begin(&folder, whole)?;
            let (bytes, whole_bytes) = begun.bytes();
            *writer = Some((folder, begun));
            Ok(Done::Written { bytes, whole_bytes })
        }
        Job::Append(records) => {
            let (_, writer) = writer.as_mut().ok_or(CarryError::Silent)?;
            writer.append(&records)?;
            let (bytes, whole_bytes) = writer.bytes();
            Ok(Done::Written { bytes, whole_bytes })
        }
        Job::Leave(record) => {
            if let Some((_, mut writer)) = writer.take() {
                writer.append(&[record])?;
            }
            Ok(Done::Left)
        }
        Job::Read => {
            let (folder, _) = writer.as_ref().ok_or(CarryError::Silent)?;
            Ok(Done::Contents(Box::new(folder.read()?)))
        }
    }
}

/// What the node makes anew of what it hears is not worth a place in a backup.
pub(crate) fn goes_along(key: &KvKey) -> bool {
    const MADE_ANEW: [&str; 4] =
        ["network_graph", "scorer", "external_pathfinding_scores_cache", "node_metrics"];
    let top = key.primary.is_empty() && key.secondary.is_empty();
    key.primary != super::LOCAL && !(top && MADE_ANEW.contains(&key.name.as_str()))
}
