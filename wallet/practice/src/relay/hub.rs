//! The heart of the relay: events are made durable in groups, then shown, then acknowledged.

use super::{
    config::RelayConfig,
    event::Stored,
    index::{EventIndex, Outcome},
    outbox::{Outbox, Outgoing},
    subscriptions::{ConnectionId, Subscriptions},
};
use crate::frames::{FrameError, FrameFile, Magic};
use nostr::{event::Event, filter::Filter};
use serde_json::json;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::mpsc;

const MAGIC: Magic = *b"phrelay1";
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;
/// Events that one sync may cover, and that may wait for it.
const GROUP: usize = 512;
/// A file is rewritten at start when less than half of this much is still wanted.
const WORTH_REWRITING_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Default)]
struct State {
    index: EventIndex,
    subscriptions: Subscriptions,
}

/// A verified event on its way to the disk.
struct Submission {
    stored: Arc<Stored>,
    from: Arc<Outbox>,
}

/// Shared by all connections.
pub struct Hub {
    pub config: RelayConfig,
    state: Arc<Mutex<State>>,
    submissions: mpsc::Sender<Submission>,
}

/// The thread that writes; it ends when the last [`Hub`] is gone.
pub struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits until everything submitted is written.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the relay's writer ended by a panic");
        }
    }
}

impl Hub {
    /// Loads the events kept in `path` and starts the writer.
    ///
    /// # Errors
    /// If the file can't be read or is not the relay's.
    pub fn open(path: &Path, config: RelayConfig) -> Result<(Arc<Self>, Writer), FrameError> {
        let mut index = EventIndex::default();
        let (mut file, replayed) = FrameFile::open(path, MAGIC, MAX_EVENT_BYTES, |json| {
            let event = Event::from_json(json).map_err(|error| error.to_string())?;
            index.insert(&Arc::new(Stored::new(event)));
            Ok(())
        })?;
        index.prune(host::clock::now().as_secs(), config.max_events);
        if file.len_bytes() > WORTH_REWRITING_BYTES && index.json_bytes() < file.len_bytes() / 2 {
            file.rewrite(MAGIC, index.all().map(|stored| stored.json.as_bytes()))?;
        }
        tracing::info!(
            events = index.len(),
            records = replayed.frames,
            "the practice relay is loaded"
        );
        let state = Arc::new(Mutex::new(State { index, subscriptions: Subscriptions::default() }));
        let (submissions, queue) = mpsc::channel(2 * GROUP);
        let committer = Committer { state: Arc::clone(&state), file, config: config.clone() };
        let thread = std::thread::Builder::new()
            .name("relay-writer".into())
            .spawn(move || committer.run(queue))
            .map_err(|source| FrameError::Io { path: path.to_owned(), source })?;
        Ok((Arc::new(Self { config, state, submissions }), Writer(thread)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Hands a verified event to the writer; its OK goes to `from` when it is durable.
    pub async fn submit(&self, event: Event, from: &Arc<Outbox>) {
        let submission =
            Submission { stored: Arc::new(Stored::new(event)), from: Arc::clone(from) };
        if self.submissions.send(submission).await.is_err() {
            from.drop_client();
        }
    }

    /// Opens a subscription and queues its stored events and EOSE; no event falls in between.
    ///
    /// # Errors
    /// With the text of CLOSED if the connection has too many.
    pub fn subscribe(
        &self,
        connection: ConnectionId,
        id: &Arc<str>,
        filters: Vec<Filter>,
        outbox: &Arc<Outbox>,
    ) -> Result<(), String> {
        let config = &self.config;
        let now = host::clock::now().as_secs();
        let events = {
            let mut state = self.state();
            if state.subscriptions.others(connection, id) >= config.max_subscriptions {
                let most = config.max_subscriptions;
                return Err(format!("blocked: at most {most} subscriptions per connection"));
            }
            let (default, max) = (config.default_limit, config.max_limit);
            let events = state.index.query(&filters, default, max, now);
            state.subscriptions.open(connection, Arc::clone(id), Arc::clone(outbox), filters);
            events
        };
        outbox.push(Outgoing::Stored { subscription: Arc::clone(id), events });
        Ok(())
    }

    pub fn unsubscribe(&self, connection: ConnectionId, id: &str) {
        self.state().subscriptions.close(connection, id);
    }

    pub fn disconnect(&self, connection: ConnectionId) {
        self.state().subscriptions.close_all(connection);
    }

    /// How many events are stored.
    pub fn stored_events(&self) -> usize {
        self.state().index.len()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `["OK", id, taken, text]`.
pub fn ok(id: &str, taken: bool, text: &str) -> Outgoing {
    Outgoing::Text(json!(["OK", id, taken, text]).to_string())
}

struct Committer {
    state: Arc<Mutex<State>>,
    file: FrameFile,
    config: RelayConfig,
}

impl Committer {
    fn run(mut self, mut queue: mpsc::Receiver<Submission>) {
        let mut group = Vec::with_capacity(GROUP);
        while let Some(first) = queue.blocking_recv() {
            group.push(first);
            while group.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            self.commit(&mut group);
        }
    }

    /// Persists a group, then shows it to the subscribers, then acknowledges it.
    fn commit(&mut self, group: &mut Vec<Submission>) {
        let mut answers: Vec<(Arc<Outbox>, Outgoing)> = Vec::with_capacity(group.len());
        self.answer_known(group, &mut answers);
        for submission in group.iter() {
            if !submission.stored.event.kind.is_ephemeral() {
                self.file.append(submission.stored.json.as_bytes());
            }
        }
        let written = if self.file.len_bytes() > self.config.max_file_bytes {
            Err("the relay's file is full; its next start makes room".to_owned())
        } else {
            host::faults::step();
            self.file.commit(self.config.sync_before_ok).map_err(|error| error.to_string())
        };
        match written {
            Ok(()) => self.show(group, &mut answers),
            Err(error) => {
                tracing::error!(%error, "events could not be stored");
                self.file.discard();
                answers.extend(group.drain(..).map(|submission| {
                    let id = submission.stored.event.id.to_hex();
                    (submission.from, ok(&id, false, &format!("error: not stored: {error}")))
                }));
            }
        }
        host::faults::step();
        // Outside every lock: a push never waits, but it may wake a task.
        for (outbox, outgoing) in answers {
            outbox.push(outgoing);
        }
        group.clear();
    }

    /// Takes out of the group what needs no writing.
    fn answer_known(
        &self,
        group: &mut Vec<Submission>,
        answers: &mut Vec<(Arc<Outbox>, Outgoing)>,
    ) {
        let state = lock(&self.state);
        group.retain(|submission| {
            let outcome = state.index.outcome(&submission.stored);
            if outcome != Outcome::New {
                answers.push((Arc::clone(&submission.from), answer(&submission.stored, outcome)));
            }
            outcome == Outcome::New
        });
    }

    fn show(&self, group: &mut Vec<Submission>, answers: &mut Vec<(Arc<Outbox>, Outgoing)>) {
        let mut state = lock(&self.state);
        for Submission { stored, from } in group.drain(..) {
            let outcome = if stored.event.kind.is_ephemeral() {
                Outcome::New
            } else {
                state.index.insert(&stored)
            };
            if outcome == Outcome::New {
                state.subscriptions.wanting(&stored, |subscription, outbox| {
                    let subscription = Arc::clone(subscription);
                    let live = Outgoing::Event { subscription, stored: Arc::clone(&stored) };
                    answers.push((Arc::clone(outbox), live));
                });
            }
            answers.push((from, answer(&stored, outcome)));
        }
        state.index.prune(host::clock::now().as_secs(), self.config.max_events);
    }
}

fn answer(stored: &Stored, outcome: Outcome) -> Outgoing {
    let (taken, text) = match outcome {
        Outcome::New => (true, ""),
        Outcome::Duplicate => (true, "duplicate: this event is stored already"),
        Outcome::Superseded => (true, "duplicate: a newer version is stored already"),
        Outcome::Deleted => (false, "blocked: its author deleted this event"),
    };
    ok(&stored.event.id.to_hex(), taken, text)
}
