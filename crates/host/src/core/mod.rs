//! The one mechanism: take a batch, decide, persist in one transaction, then let effects go.

mod chained;
mod looper;
mod outgoing;

use domain::{Delivery, EffectId, ErrorBody, Machine, Pubkey, Recorded, merkle};
use std::{collections::HashMap, sync::Arc, sync::Mutex, sync::PoisonError};
use store::{Store, ViewRow};
use tokio::sync::{mpsc, oneshot, watch};

pub use outgoing::Effects;

/// Inputs that wait; a full inbox slows who reports, never the loop.
const INBOX: usize = 4_096;

/// An effect whose commit is done.
#[derive(Clone, Debug)]
pub struct Pending<F> {
    pub id: EffectId,
    pub effect: F,
    /// It was in the outbox when the process started: it may have happened already.
    pub resumed: bool,
}

/// Where the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogHead {
    /// Position of the newest event; 0 for an empty log.
    pub position: u64,
    pub checkpoint: Option<merkle::Checkpoint>,
}

/// BIP-340 over a digest.
pub type SignDigest = Box<dyn Fn(&[u8; 32]) -> [u8; 64] + Send>;

/// Signs checkpoints with the operator's key.
pub struct Signer {
    pub pubkey: Pubkey,
    pub sign: SignDigest,
}

/// Folds the machine into what screens read.
pub type Fold<M, V> = Box<dyn FnMut(&M, &LogHead, Option<&LastEvent<M>>) -> V + Send>;

/// The newest event that this process recorded or replayed.
pub type LastEvent<M> = Recorded<<M as Machine>::Event>;

/// The effects of each adapter, until it takes them.
type Untaken<M> = HashMap<&'static str, Effects<<M as Machine>::Effect>>;

/// What an input came to: the machine's reply, or why nothing of it could be recorded.
pub(crate) type Answered<M> = Result<Option<<M as Machine>::Reply>, ErrorBody>;

/// Who waits for an answer.
pub(crate) type Asker<M> = oneshot::Sender<Answered<M>>;

/// What a core is made of.
pub struct CoreOptions<M: Machine, V> {
    pub store: Store,
    /// Names the shape of `M`, so that a snapshot of another shape is not read.
    pub snapshot_schema: &'static str,
    pub view: Fold<M, V>,
    /// Rows of the paged views that an event changes.
    pub project: fn(&M, &Recorded<M::Event>) -> Vec<ViewRow>,
    /// Nobody signs: no checkpoints.
    pub signer: Option<Signer>,
}

/// The loop has ended; nothing is taken any more. What was asked just before may be in the log:
/// it is asked again after the next start, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event loop has stopped")]
pub struct Stopped;

impl From<Stopped> for ErrorBody {
    fn from(stopped: Stopped) -> Self {
        Self::new("stopped", stopped.to_string())
            .hint("Start it again with `pilothouse up`.")
            .retryable()
    }
}

/// Why an input has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// What it leads to has no place in the log: nothing of it was done, and the loop goes on.
    #[error("{0}")]
    NotRecorded(ErrorBody),
}

impl From<AskError> for ErrorBody {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Stopped(stopped) => stopped.into(),
            AskError::NotRecorded(body) => body,
        }
    }
}

/// Why a core could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Log(#[from] store::ReadError),
    #[error(transparent)]
    Write(#[from] store::AppendError),
    #[error("effect {id} in the outbox cannot be read: {source}")]
    Effect { id: EffectId, source: serde_json::Error },
    #[error("the loop's thread could not start: {0}")]
    Thread(#[from] std::io::Error),
}

pub(crate) enum Message<M: Machine> {
    Input(Delivery<M::Input>, Option<Asker<M>>),
    Shutdown(oneshot::Sender<()>),
}

/// A running core: cheap to clone.
pub struct Core<M: Machine, V> {
    inbox: mpsc::Sender<Message<M>>,
    view: watch::Receiver<Arc<V>>,
    door: watch::Receiver<bool>,
    failure: watch::Receiver<Option<ErrorBody>>,
    effects: Arc<Mutex<Untaken<M>>>,
}

impl<M: Machine, V> Clone for Core<M, V> {
    fn clone(&self) -> Self {
        Self {
            inbox: self.inbox.clone(),
            view: self.view.clone(),
            door: self.door.clone(),
            failure: self.failure.clone(),
            effects: Arc::clone(&self.effects),
        }
    }
}

impl<M: Machine, V: Send + Sync + 'static> Core<M, V> {
    /// Rebuilds the machine from its newest snapshot and the events after it, then starts the loop.
    ///
    /// `adapters` names every adapter; each one's effects that were pending come first, marked
    /// `resumed`.
    pub fn spawn(
        options: CoreOptions<M, V>,
        adapters: &[&'static str],
    ) -> Result<Self, StartError> {
        let (inbox, messages) = mpsc::channel(INBOX);
        let (looper, parts) = looper::Looper::restore(options, adapters)?;
        let core = Self {
            inbox,
            view: parts.view,
            door: parts.door,
            failure: parts.failure,
            effects: Arc::new(Mutex::new(parts.effects)),
        };
        std::thread::Builder::new().name("core".into()).spawn(move || looper.run(messages))?;
        Ok(core)
    }

    /// Reports a fact; returns when the inbox has taken it.
    pub async fn deliver(&self, delivery: Delivery<M::Input>) -> Result<(), Stopped> {
        self.inbox.send(Message::Input(delivery, None)).await.map_err(|_| Stopped)
    }

    /// Brings new demand from outside; waits while too many effects are unfinished.
    pub async fn admit(&self, input: M::Input) -> Result<(), Stopped> {
        self.door.clone().wait_for(|open| *open).await.map_err(|_| Stopped)?;
        self.deliver(Delivery::new(input)).await
    }

    /// Brings a command and waits for its answer, which comes after its commit.
    pub async fn ask(&self, input: M::Input) -> Result<Option<M::Reply>, AskError> {
        let (answer, answered) = oneshot::channel();
        let message = Message::Input(Delivery::new(input), Some(answer));
        self.inbox.send(message).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)?.map_err(AskError::NotRecorded)
    }

    /// The newest view and its changes.
    pub fn view(&self) -> watch::Receiver<Arc<V>> {
        self.view.clone()
    }

    /// Why the loop had to stop, once it had to.
    pub fn failure(&self) -> watch::Receiver<Option<ErrorBody>> {
        self.failure.clone()
    }

    /// The effects of one adapter; each adapter takes its own once.
    pub fn effects(&self, adapter: &'static str) -> Option<Effects<M::Effect>> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).remove(adapter)
    }

    /// Commits what waits, writes a snapshot and a checkpoint, and ends the loop.
    pub async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.inbox.send(Message::Shutdown(done)).await.is_ok() {
            let _ended = ended.await;
        }
    }
}

/// Folds every view anew from the log and gives the number of its events. The process that owns the log must not run.
pub fn rebuild<M: Machine>(
    store: &mut Store,
    project: fn(&M, &Recorded<M::Event>) -> Vec<ViewRow>,
) -> Result<u64, StartError> {
    const ROWS: usize = 1_000;
    store.clear_views()?;
    let mut machine = M::default();
    let mut rows: HashMap<(&'static str, String), ViewRow> = HashMap::new();
    store.replay(0, |_, hash, canonical| {
        let event: Recorded<M::Event> = domain::Envelope::parse(canonical)?.typed(hash)?;
        machine.apply(&event);
        for row in project(&machine, &event) {
            rows.insert((row.table, row.key.clone()), row);
        }
        Ok(())
    })?;
    let mut rows: Vec<_> = rows.into_values().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS));
        store.append(&store::Batch { view_rows: rows, ..store::Batch::default() })?;
        rows = rest;
    }
    Ok(store.last_position())
}
