//! What is on its way between the window and the desk: commands sent, pages and events asked for.
//!
//! Nothing here waits: answers are taken when they have come, and everything kept is bounded.

use domain::{ErrorBody, IdempotencyKey, RequestId, Timestamp};
use engine::{
    Command, DeskPort, Query, Reply,
    port::{Packed, Packing},
    view::{Answer, EventDetail, JobResult, JobView, LogRow, PaymentView},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
};

use crate::{
    calls::{Call, Calls},
    chooser::Chosen,
    export::{self, Export},
    kept::Kept,
    pages::{LogPages, Older},
    scan::{Scan, ScanError},
    state::Screen,
};

/// Why a command was sent: where its answer belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    Switch,
    Offer(u16),
    Demand,
    Answer(RequestId),
    Cancel(RequestId),
    Buy,
    Receive,
    Pay,
    Refresh,
    /// A payment that waits for the operator's answer.
    Approve(IdempotencyKey),
    /// A call of the wallet that moves no money.
    Call(Call),
    Relay,
    /// An effect that was given up.
    Letter,
    /// The name of this machine.
    Name,
    /// That the words are written down.
    Written,
}

impl Purpose {
    /// Where its refusal is shown.
    pub fn screen(&self) -> Screen {
        match self {
            Self::Switch
            | Self::Offer(_)
            | Self::Demand
            | Self::Relay
            | Self::Letter
            | Self::Name
            | Self::Written => Screen::Desk,
            Self::Answer(_) | Self::Cancel(_) | Self::Buy => Screen::Market,
            Self::Receive | Self::Pay | Self::Refresh | Self::Approve(_) | Self::Call(_) => {
                Screen::Wallet
            }
        }
    }

    /// What the operator did, as an error says it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Switch => "The switch was not turned",
            Self::Offer(_) => "The offer was not changed",
            Self::Demand => "The rule was not changed",
            Self::Answer(_) => "The job was not answered",
            Self::Cancel(_) => "The job was not cancelled",
            Self::Buy => "The job was not bought",
            Self::Receive => "Nothing to be paid by was made",
            Self::Pay => "Nothing was paid",
            Self::Refresh => "The balance was not refreshed",
            Self::Approve(_) => "The payment was not answered",
            Self::Call(call) => call.title(),
            Self::Relay => "The relays were not changed",
            Self::Letter => "What was given up stays as it was",
            Self::Name => "This machine was not named",
            Self::Written => "It was not noted that the words are written down",
        }
    }
}

/// What is known of something asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Load<T> {
    Waiting,
    Ready(T),
    Failed(ErrorBody),
}

struct Pending {
    sent_at: Timestamp,
    reply: Receiver<Reply>,
}

/// A step of a timeline whose place in the log is being looked for.
struct StepSearch {
    job: RequestId,
    seq: u64,
    answer: Receiver<Answer>,
}

/// A job's stream has far fewer events than this.
const STEP_ROWS: u32 = 200;

type WordsAnswer = Result<Vec<String>, ErrorBody>;

/// A packing on its way, and of what.
struct Pack {
    path: PathBuf,
    packing: Packing,
}

/// What is packed: from where, and the outcome.
pub type PackOutcome = (PathBuf, Result<Packed, ErrorBody>);

/// The window's side of the port.
pub struct Courier {
    port: Arc<dyn DeskPort>,
    pending: BTreeMap<Purpose, Pending>,
    events: Kept<u64, EventDetail>,
    /// By job and when it last changed: a result may come after the job was first looked at.
    results: Kept<(RequestId, Timestamp), JobResult>,
    packing: Option<Pack>,
    choosing: Option<Chosen>,
    words: Option<Receiver<WordsAnswer>>,
    step: Option<StepSearch>,
    /// The log as the Activity filters it.
    pub log: LogPages,
    /// The end of the log, unfiltered.
    pub latest: LogPages,
    pub jobs: Older<JobView>,
    pub payments: Older<PaymentView>,
    /// By payment and when it last changed: what the log says of it.
    steps: Kept<(IdempotencyKey, Timestamp), Vec<LogRow>>,
    pub calls: Calls,
    saving: Option<Chosen>,
    export: Option<Export>,
    scan: Option<Scan>,
}

pub(crate) fn desk_gone() -> ErrorBody {
    ErrorBody::new("desk_gone", "The desk stopped before it answered. Nothing more was done.")
        .hint("Look at the status line; try again once the desk runs.")
        .retryable()
}

/// An answer where one has come; absent while it is on its way.
pub(crate) fn take(receiver: &Receiver<Answer>) -> Option<Answer> {
    match receiver.try_recv() {
        Ok(answer) => Some(answer),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => Some(Answer::Failed(desk_gone())),
    }
}

pub(crate) fn unexpected() -> ErrorBody {
    ErrorBody::new("unexpected_answer", "The desk answered another question than was asked.")
}

impl Courier {
    pub fn new(port: Arc<dyn DeskPort>) -> Self {
        Self {
            port,
            pending: BTreeMap::new(),
            events: Kept::default(),
            results: Kept::default(),
            packing: None,
            choosing: None,
            words: None,
            step: None,
            log: LogPages::default(),
            latest: LogPages::default(),
            jobs: Older::default(),
            payments: Older::default(),
            steps: Kept::default(),
            calls: Calls::default(),
            saving: None,
            export: None,
            scan: None,
        }
    }

    pub fn port(&self) -> &Arc<dyn DeskPort> {
        &self.port
    }

    /// Sends `command`, unless one for the same purpose is still on its way.
    pub fn send(&mut self, purpose: Purpose, command: Command, now: Timestamp) {
        self.start(purpose, now, |port| port.send(command));
    }

    /// Asks the port for something that is answered as a command is, once at a time.
    pub fn start(
        &mut self,
        purpose: Purpose,
        now: Timestamp,
        ask: impl FnOnce(&dyn DeskPort) -> Receiver<Reply>,
    ) {
        if !self.pending.contains_key(&purpose) {
            let reply = ask(&*self.port);
            self.pending.insert(purpose, Pending { sent_at: now, reply });
        }
    }

    /// Since when a command for this purpose is on its way.
    pub fn busy(&self, purpose: &Purpose) -> Option<Timestamp> {
        self.pending.get(purpose).map(|pending| pending.sent_at)
    }

    /// Replies that have come since the last call.
    pub fn replies(&mut self) -> Vec<(Purpose, Reply)> {
        let mut came = Vec::new();
        self.pending.retain(|purpose, pending| {
            let reply = match pending.reply.try_recv() {
                Ok(reply) => reply,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => Reply::Refused(desk_gone()),
            };
            came.push((purpose.clone(), reply));
            false
        });
        came
    }

    /// Takes in the answers to questions that have come.
    pub fn settle(&mut self) {
        self.log.settle();
        self.latest.settle();
        self.jobs.settle();
        self.payments.settle();
        self.calls.settle();
        self.steps.settle(|answer| match answer {
            Answer::Log { rows, .. } => Ok(rows),
            Answer::Failed(error) => Err(error),
            _ => Err(unexpected()),
        });
        self.events.settle(|answer| match answer {
            Answer::Event(detail) => Ok(detail),
            Answer::Failed(error) => Err(error),
            _ => Err(unexpected()),
        });
        self.results.settle(|answer| match answer {
            Answer::JobResult(result) => Ok(result),
            Answer::Failed(error) => Err(error),
            _ => Err(unexpected()),
        });
    }

    /// The event at a local position.
    pub fn event(&mut self, position: u64) -> Load<Arc<EventDetail>> {
        self.events.get(&*self.port, &position, Query::Event { position })
    }

    /// Forgets a failed event, so that it is asked for again.
    pub fn forget_event(&mut self, position: u64) {
        self.events.forget(&position);
    }

    /// The result of a bought job.
    pub fn result(&mut self, job: &JobView) -> Load<Arc<JobResult>> {
        let query = Query::JobResult { request_id: job.request_id };
        self.results.get(&*self.port, &(job.request_id, job.updated_at), query)
    }

    /// The result of a bought job, where it has come.
    pub fn result_here(&self, job: &JobView) -> Option<Arc<JobResult>> {
        self.results.peek(&(job.request_id, job.updated_at))
    }

    /// Forgets a failed result, so that it is asked for again.
    pub fn forget_result(&mut self, job: &JobView) {
        self.results.forget(&(job.request_id, job.updated_at));
    }

    /// What the log says of a payment, oldest first.
    pub fn steps(&mut self, payment: &PaymentView) -> Load<Arc<Vec<LogRow>>> {
        let filter = Some(payment.key.to_string());
        let query = Query::Log { from: 1, count: STEP_ROWS, filter };
        let load = self.steps.get(&*self.port, &(payment.key.clone(), payment.updated_at), query);
        let Load::Ready(rows) = load else { return load };
        let stream = domain::StreamId::of("payment", &payment.key);
        let own = rows.iter().filter(|row| row.stream == stream).cloned().collect();
        Load::Ready(Arc::new(own))
    }

    /// Forgets a timeline that failed, so that it is asked for again.
    pub fn forget_steps(&mut self, payment: &PaymentView) {
        self.steps.forget(&(payment.key.clone(), payment.updated_at));
    }

    /// Asks the wallet for something that moves no money.
    pub fn call(&mut self, call: Call, params: serde_json::Value) {
        self.calls.ask(&*self.port, call, params);
    }

    /// Follows a dialog for the place of an export.
    pub fn follow_save(&mut self, chosen: Chosen) {
        self.saving = Some(chosen);
    }

    /// Whether a place for an export is being chosen, or one is being written.
    pub fn exporting(&self) -> bool {
        self.saving.is_some() || self.export.is_some()
    }

    /// The place that was chosen for an export, once it is.
    pub fn take_save(&mut self) -> Option<PathBuf> {
        match self.saving.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => None,
            Ok(chosen) => {
                self.saving = None;
                chosen
            }
            Err(TryRecvError::Disconnected) => {
                self.saving = None;
                None
            }
        }
    }

    pub fn export(
        &mut self,
        order: export::Order,
        path: PathBuf,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) {
        self.export = Some(Export::start(self.port.clone(), order, path, wake));
    }

    /// What came of an export, once it is over.
    pub fn take_export(&mut self) -> Option<Result<(usize, PathBuf), String>> {
        let done = self.export.as_ref()?.take()?;
        self.export = None;
        Some(done)
    }

    /// Looks for a QR code in an image; one before it is given up.
    pub fn scan(&mut self, scan: Scan) {
        self.scan = Some(scan);
    }

    pub fn scanning(&self) -> bool {
        self.scan.is_some()
    }

    pub fn take_scan(&mut self) -> Option<Result<String, ScanError>> {
        let found = self.scan.as_ref()?.take()?;
        self.scan = None;
        Some(found)
    }

    /// Packs a folder or a file; what was being packed before is given up.
    pub fn pack(&mut self, path: PathBuf) {
        self.stop_packing();
        let packing = self.port.pack(path.clone());
        self.packing = Some(Pack { path, packing });
    }

    pub fn stop_packing(&mut self) {
        if let Some(pack) = self.packing.take() {
            pack.packing.progress.stop();
        }
    }

    /// Files and bytes packed so far; absent where nothing is being packed.
    pub fn packing(&self) -> Option<(u64, u64)> {
        self.packing.as_ref().map(|pack| pack.packing.progress.so_far())
    }

    /// What came of the packing, once it is over.
    pub fn take_packed(&mut self) -> Option<PackOutcome> {
        let outcome = match self.packing.as_ref()?.packing.outcome.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(desk_gone()),
        };
        self.packing.take().map(|pack| (pack.path, outcome))
    }

    /// Follows a dialog that was opened; one before it is forgotten.
    pub fn follow_choice(&mut self, chosen: Chosen) {
        self.choosing = Some(chosen);
    }

    /// The path that was chosen, once it is.
    pub fn take_choice(&mut self) -> Option<PathBuf> {
        match self.choosing.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => None,
            Ok(chosen) => {
                self.choosing = None;
                chosen
            }
            Err(TryRecvError::Disconnected) => {
                self.choosing = None;
                None
            }
        }
    }

    /// Looks for the event of one step of a job's timeline; [`Self::take_step`] has it later.
    pub fn find_step(&mut self, job: RequestId, seq: u64) {
        let filter = Some(job.to_string());
        let answer = self.port.ask(Query::Log { from: 1, count: STEP_ROWS, filter });
        self.step = Some(StepSearch { seq, job, answer });
    }

    /// The local position of the event that was looked for, once it is found.
    pub fn take_step(&mut self) -> Option<Result<u64, ErrorBody>> {
        let answer = take(&self.step.as_ref()?.answer)?;
        let search = self.step.take()?;
        let missing = || {
            ErrorBody::new("event_not_found", "The event of this step was not found in the log.")
        };
        Some(match answer {
            Answer::Log { rows, .. } => {
                let id = search.job.to_string();
                let fits = |row: &&LogRow| {
                    row.seq == search.seq && row.stream.as_str().ends_with(id.as_str())
                };
                rows.iter().find(fits).map(|row| row.position).ok_or_else(missing)
            }
            Answer::Failed(error) => Err(error),
            _ => Err(unexpected()),
        })
    }

    /// Fetches the seed words off the UI thread: a keychain may ask the operator first.
    pub fn fetch_words(&mut self, wake: Arc<dyn Fn() + Send + Sync>) -> Result<(), ErrorBody> {
        if self.words.is_some() {
            return Ok(());
        }
        let (send, receive) = sync_channel(1);
        let port = self.port.clone();
        std::thread::Builder::new()
            .name("seed-words".into())
            .spawn(move || {
                // The window may be gone by then; the words are dropped with the channel.
                let _unheard = send.send(port.seed_words());
                wake();
            })
            .map_err(|error| {
                ErrorBody::new("no_thread", format!("The words could not be fetched: {error}."))
            })?;
        self.words = Some(receive);
        Ok(())
    }

    /// The seed words, once they have come.
    pub fn take_words(&mut self) -> Option<WordsAnswer> {
        let answer = match self.words.as_ref()?.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(desk_gone()),
        };
        self.words = None;
        Some(answer)
    }
}
