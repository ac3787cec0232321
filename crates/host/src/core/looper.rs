//! The loop itself, on its own thread: it alone owns the machine and the store's writer.

use domain::{
    Delivery, EffectId, Emit, Envelope, ErrorBody, Machine, Recorded, StreamId, Timestamp,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use store::{Batch, Head, Store};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    Answered, Asker, CoreOptions, Effects, Fold, LastEvent, LogHead, Message, Pending, Signer,
    StartError,
    chained::{Chained, Linked, chained},
    outgoing::Outgoing,
};
use crate::{clock, faults};

/// Inputs in one transaction: durability costs one flush per batch, not per event.
const BATCH: usize = 256;
/// Unfinished effects above which new demand waits at the door.
const DOOR_CLOSES_AT: usize = 4_096;
const DOOR_OPENS_AT: usize = 2_048;
const SNAPSHOT_EVERY: u64 = 20_000;
const CHECKPOINT_EVERY: u64 = 1_000;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);
/// An acknowledgement of which nothing was made waits for the next transaction, so long at most.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(50);
/// How long patient inputs wait for others.
const PATIENCE: Duration = Duration::from_millis(2);
/// The view changes at most 30 times a second.
const VIEW_EVERY: Duration = Duration::from_millis(33);

pub(super) struct Parts<M: Machine, V> {
    pub view: watch::Receiver<Arc<V>>,
    pub door: watch::Receiver<bool>,
    pub failure: watch::Receiver<Option<ErrorBody>>,
    pub effects: HashMap<&'static str, Effects<M::Effect>>,
}

pub(super) struct Looper<M: Machine, V> {
    store: Store,
    machine: M,
    options: Rest<M, V>,
    /// Heads of the streams that the batch in hand has grown.
    grown: HashMap<StreamId, Head>,
    unfinished: HashSet<EffectId>,
    /// Finished effects that led to no event. A crash before their commit is one just before the
    /// fact: they are in the outbox still, and their repeat class says what becomes of them.
    finished: Vec<EffectId>,
    finished_due: Option<Instant>,
    outgoing: Outgoing<M::Effect>,
    log: LogHead,
    last_at: Timestamp,
    last_event: Option<LastEvent<M>>,
    snapshot_at: u64,
    checkpoint_due: Instant,
    view: watch::Sender<Arc<V>>,
    view_due: Option<Instant>,
    view_made: Instant,
    door: watch::Sender<bool>,
    failure: watch::Sender<Option<ErrorBody>>,
}

struct Rest<M: Machine, V> {
    snapshot_schema: &'static str,
    view: Fold<M, V>,
    project: fn(&M, &Recorded<M::Event>) -> Vec<store::ViewRow>,
    signer: Option<Signer>,
}

/// Who asked, and what is answered after the commit.
type Answer<M> = (Asker<M>, Answered<M>);

/// An input and who waits for its answer.
type Asked<M> = (Delivery<<M as Machine>::Input>, Option<Asker<M>>);

/// A decided batch before its commit.
struct Decided<M: Machine> {
    batch: Batch,
    effects: Vec<Pending<M::Effect>>,
    answers: Vec<Answer<M>>,
    last_position: u64,
}

impl<M: Machine, V: Send + Sync + 'static> Looper<M, V> {
    pub fn restore(
        options: CoreOptions<M, V>,
        adapters: &[&'static str],
    ) -> Result<(Self, Parts<M, V>), StartError> {
        let CoreOptions { store, snapshot_schema, view, project, signer } = options;
        let (mut machine, mut position) = load_snapshot::<M>(&store, snapshot_schema)?;
        let snapshot_at = position;
        let mut last_at = Timestamp::default();
        let mut last_event = None;
        store.replay(position, |at_position, hash, canonical| {
            let event: Recorded<M::Event> = Envelope::parse(canonical)?.typed(hash)?;
            last_at = last_at.max(event.at);
            machine.apply(&event);
            position = at_position;
            last_event = Some(event);
            Ok(())
        })?;
        let (mut outgoing, effects) = Outgoing::new(adapters);
        let mut unfinished = HashSet::new();
        for row in store.outbox_pending()? {
            let effect = serde_json::from_str(&row.json)
                .map_err(|source| StartError::Effect { id: row.id.clone(), source })?;
            unfinished.insert(row.id.clone());
            outgoing.send(Pending { id: row.id, effect, resumed: true });
        }
        let log = LogHead { position, checkpoint: store.newest_checkpoint()? };
        let mut rest = Rest { snapshot_schema, view, project, signer };
        let (view, view_receiver) =
            watch::channel(Arc::new((rest.view)(&machine, &log, last_event.as_ref())));
        let (door, door_receiver) = watch::channel(true);
        let (failure, failure_receiver) = watch::channel(None);
        let now = Instant::now();
        let looper = Self {
            store,
            machine,
            options: rest,
            grown: HashMap::new(),
            unfinished,
            finished: Vec::new(),
            finished_due: None,
            outgoing,
            log,
            last_at,
            last_event,
            snapshot_at,
            checkpoint_due: now + CHECKPOINT_AFTER,
            view,
            view_due: None,
            view_made: now,
            door,
            failure,
        };
        let parts =
            Parts { view: view_receiver, door: door_receiver, failure: failure_receiver, effects };
        Ok((looper, parts))
    }

    pub fn run(mut self, messages: mpsc::Receiver<Message<M>>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                self.fail(ErrorBody::new("internal", error.to_string()));
                return;
            }
        };
        let ended = runtime.block_on(self.take_batches(messages));
        match ended {
            Ok(done) => {
                if let Err(error) = self.finish() {
                    tracing::error!(%error, "the last snapshot or checkpoint was not written");
                }
                if let Some(done) = done {
                    let _nobody_waits = done.send(());
                }
            }
            Err(error) => self.fail(error),
        }
    }

    async fn take_batches(
        &mut self,
        mut messages: mpsc::Receiver<Message<M>>,
    ) -> Result<Option<oneshot::Sender<()>>, ErrorBody> {
        let mut inputs = Vec::with_capacity(BATCH);
        loop {
            self.do_what_is_due()?;
            let more_waits = self.outgoing.flush();
            self.watch_the_door();
            tokio::select! {
                biased;
                first = messages.recv() => match first {
                    None => return Ok(None),
                    Some(Message::Shutdown(done)) => return Ok(Some(done)),
                    Some(Message::Input(delivery, answer)) => inputs.push((delivery, answer)),
                },
                () = until(self.view_due) => continue,
                () = until(self.finished_due) => continue,
                () = tokio::time::sleep(Duration::from_millis(2)), if more_waits => continue,
            }
            let shutdown = fill(&mut messages, &mut inputs).await;
            let decided = self.decide(&mut inputs)?;
            self.commit(decided)?;
            if let Some(done) = shutdown {
                self.outgoing.flush();
                return Ok(Some(done));
            }
        }
    }

    fn decide(&mut self, inputs: &mut Vec<Asked<M>>) -> Result<Decided<M>, ErrorBody> {
        // Recorded times never go back, also where the clock was ahead once; decisions are made by
        // the clock as it is.
        let now = clock::now();
        self.last_at = self.last_at.max(now);
        let at = self.last_at;
        let mut decided = Decided {
            batch: Batch::default(),
            effects: Vec::new(),
            answers: Vec::new(),
            last_position: self.log.position,
        };
        for (delivery, answer) in inputs.drain(..) {
            let step = self.machine.decide(&delivery.input, now);
            let answered = match self.link(step.emits, delivery.acknowledges.as_ref(), at)? {
                Linked::Whole(links) => {
                    for link in links {
                        self.record(link, &mut decided);
                    }
                    if let Some(effect) = delivery.acknowledges {
                        decided.batch.acknowledged.push(effect);
                    }
                    Ok(step.reply)
                }
                Linked::Not(error) => Err(self.pass_over(delivery.acknowledges, error)),
            };
            if let Some(answer) = answer {
                decided.answers.push((answer, answered));
            }
        }
        Ok(decided)
    }

    /// Chains the events of one step without applying any. One that has no canonical form refuses
    /// the whole step: memory and the heads are as they were, and the other inputs go on.
    fn link(
        &mut self,
        emits: Vec<Emit<M>>,
        cause: Option<&EffectId>,
        at: Timestamp,
    ) -> Result<Linked<M>, ErrorBody> {
        let mut links: Vec<Chained<M>> = Vec::with_capacity(emits.len());
        for emit in emits {
            let same = links.iter().rev().find(|link| link.recorded.stream == emit.stream);
            let before = match same {
                Some(link) => link.new.head(),
                None => self.head(&emit.stream)?,
            };
            match chained(emit, before, cause, at) {
                Ok(link) => links.push(link),
                Err(error) => return Ok(Linked::Not(error)),
            }
        }
        Ok(Linked::Whole(links))
    }

    /// An input that the log cannot hold: nobody is told that it happened. The effect that it would
    /// have finished stays in the outbox for the next start, and is not waited for in this one.
    fn pass_over(&mut self, effect: Option<EffectId>, error: ErrorBody) -> ErrorBody {
        let acknowledges = effect.as_ref().map(ToString::to_string);
        tracing::error!(
            code = %error.code, message = %error.message, acknowledges,
            "what one input led to cannot be recorded; that input was passed over"
        );
        if let Some(effect) = effect {
            self.unfinished.remove(&effect);
        }
        error
    }

    /// Applies one chained event, and adds it to the batch.
    fn record(&mut self, link: Chained<M>, decided: &mut Decided<M>) {
        let Chained { new, recorded, bodies, effects } = link;
        self.machine.apply(&recorded);
        decided.last_position += 1;
        decided.batch.view_rows.extend((self.options.project)(&self.machine, &recorded));
        decided.batch.bodies.extend(bodies);
        for (row, effect) in effects {
            let id = row.id.clone();
            decided.batch.outbox.push(row);
            decided.effects.push(Pending { id, effect, resumed: false });
        }
        self.grown.insert(recorded.stream.clone(), new.head());
        decided.batch.events.push(new);
        self.last_event = Some(recorded);
    }

    fn head(&mut self, stream: &StreamId) -> Result<Head, ErrorBody> {
        match self.grown.get(stream) {
            Some(head) => Ok(*head),
            None => self.store.head(stream).map_err(|error| not_written(&error)),
        }
    }

    /// One transaction; what follows it may happen only because it has happened.
    fn commit(&mut self, decided: Decided<M>) -> Result<(), ErrorBody> {
        let Decided { mut batch, effects, answers, last_position } = decided;
        let changed = !batch.events.is_empty();
        for acknowledged in &batch.acknowledged {
            self.unfinished.remove(acknowledged);
        }
        if batch.only_acknowledges() {
            self.finished.append(&mut batch.acknowledged);
            if self.finished.len() >= BATCH {
                self.acknowledge()?;
            } else if !self.finished.is_empty() {
                self.finished_due.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE_WITHIN);
            }
        } else {
            batch.acknowledged.append(&mut self.finished);
            self.append(&batch)?;
        }
        self.log.position = last_position;
        for pending in effects {
            self.unfinished.insert(pending.id.clone());
            self.outgoing.send(pending);
        }
        if changed && !answers.is_empty() {
            // Who asked finds in the view what came of it.
            self.publish_view();
        } else if changed {
            self.view_due.get_or_insert(self.view_made + VIEW_EVERY);
        }
        for (answer, reply) in answers {
            let _asker_left = answer.send(reply);
        }
        self.grown.clear();
        self.keep_up()
    }

    fn append(&mut self, batch: &Batch) -> Result<(), ErrorBody> {
        faults::step();
        self.store.append(batch).map_err(|error| not_written(&error))?;
        faults::step();
        self.finished_due = None;
        Ok(())
    }

    /// Takes what is finished out of the outbox.
    fn acknowledge(&mut self) -> Result<(), ErrorBody> {
        let acknowledged = std::mem::take(&mut self.finished);
        self.finished_due = None;
        if acknowledged.is_empty() {
            return Ok(());
        }
        self.append(&Batch { acknowledged, ..Batch::default() })
    }

    /// Snapshots and checkpoints, where they are due.
    fn keep_up(&mut self) -> Result<(), ErrorBody> {
        if self.log.position >= self.snapshot_at + SNAPSHOT_EVERY {
            self.snapshot()?;
        }
        let since = self.log.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let by_count = self.log.position >= since + CHECKPOINT_EVERY;
        let by_time = self.log.position > since && Instant::now() >= self.checkpoint_due;
        if by_count || by_time {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), ErrorBody> {
        let state = serde_json::to_vec(&self.machine)
            .map_err(|error| ErrorBody::new("snapshot_not_json", error.to_string()))?;
        self.store
            .snapshot_save(self.options.snapshot_schema, self.log.position, &state)
            .map_err(|error| not_written(&error))?;
        self.snapshot_at = self.log.position;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), ErrorBody> {
        self.checkpoint_due = Instant::now() + CHECKPOINT_AFTER;
        let Some(signer) = &self.options.signer else { return Ok(()) };
        let signed = self
            .store
            .checkpoint(self.last_at, signer.pubkey, |digest| (signer.sign)(digest))
            .map_err(|error| not_written(&error))?;
        if let Some(signed) = signed {
            self.log.checkpoint = Some(signed.head);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ErrorBody> {
        self.acknowledge()?;
        if self.log.position > self.snapshot_at {
            self.snapshot()?;
        }
        let since = self.log.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        if self.log.position > since {
            self.checkpoint()?;
        }
        self.publish_view();
        Ok(())
    }

    /// What has a time: also an inbox that is never empty does not put it off.
    fn do_what_is_due(&mut self) -> Result<(), ErrorBody> {
        let now = Instant::now();
        if self.view_due.is_some_and(|due| due <= now) {
            self.publish_view();
        }
        if self.finished_due.is_some_and(|due| due <= now) {
            self.acknowledge()?;
        }
        Ok(())
    }

    fn publish_view(&mut self) {
        self.view_due = None;
        self.view_made = Instant::now();
        let view = (self.options.view)(&self.machine, &self.log, self.last_event.as_ref());
        self.view.send_replace(Arc::new(view));
    }

    /// Too many unfinished effects close the door to new demand until the adapters caught up.
    fn watch_the_door(&mut self) {
        let open = *self.door.borrow();
        if open && self.unfinished.len() >= DOOR_CLOSES_AT {
            self.door.send_replace(false);
        } else if !open && self.unfinished.len() <= DOOR_OPENS_AT {
            self.door.send_replace(true);
        }
    }

    fn fail(&mut self, error: ErrorBody) {
        tracing::error!(code = %error.code, message = %error.message, "the event log could not be written; nothing more is done");
        self.failure.send_replace(Some(error));
    }
}

fn load_snapshot<M: Machine>(store: &Store, schema: &'static str) -> Result<(M, u64), StartError> {
    if let Some(snapshot) = store.snapshot_load(schema)? {
        match serde_json::from_slice(&snapshot.state) {
            Ok(machine) => return Ok((machine, snapshot.position)),
            Err(error) => {
                tracing::warn!(%error, "the snapshot was not understood; replaying from the start");
            }
        }
    }
    Ok((M::default(), 0))
}

/// Takes what waits, up to a batch. Where all of it is patient, the rest has a moment to come.
async fn fill<M: Machine>(
    messages: &mut mpsc::Receiver<Message<M>>,
    inputs: &mut Vec<Asked<M>>,
) -> Option<oneshot::Sender<()>> {
    let patience_ends = Instant::now() + PATIENCE;
    while inputs.len() < BATCH {
        let next = match messages.try_recv() {
            Ok(next) => Some(next),
            Err(_) if inputs.iter().all(|(delivery, _)| delivery.is_patient) => {
                tokio::time::timeout_at(patience_ends, messages.recv()).await.ok().flatten()
            }
            Err(_) => None,
        };
        match next {
            Some(Message::Input(delivery, answer)) => inputs.push((delivery, answer)),
            Some(Message::Shutdown(done)) => return Some(done),
            None => break,
        }
    }
    None
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What the operator is told when the log can't be written: the store says what is safe.
fn not_written(error: &dyn std::error::Error) -> ErrorBody {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!(" ({cause})"));
        source = cause.source();
    }
    ErrorBody::new("log_not_written", message)
}
