//! The wallet's side of NIP-47: listens for connected apps, has the machine decide, and answers.
//!
//! Nothing of a payment is remembered here. Its key is the request's id, so the log knows it; the
//! answer is made from the log's notices, behind a cursor that is kept once they are out. So a
//! request that comes twice is one payment, and an answer that a crash held up is sent after it.

use domain::{ErrorBody, IdempotencyKey, Network, Timestamp};
use host::ipc::Handler;
use nostr::event::Event;
use relay::RelayFact;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, Semaphore, mpsc},
    task::JoinSet,
};
use wallet::{
    Input, Reply,
    wire::{AccountId, AccountView, Notice, NoticeKind, method},
};

use super::{
    answer::{Memory, PaymentName},
    convert,
    intake::{Asked, Connection, Intake, MAX_CONNECTIONS},
    keys::KeyMaker,
    line::{Line, Reach},
    places::Places,
    seal::{self, Cipher},
    words::{Answer, Method, Notification, Told},
};
use crate::{backend::Backend, house::House, server::Calls};

/// What an app may be allowed.
pub const OFFERED: [Method; 8] = [
    Method::PayInvoice,
    Method::MultiPayInvoice,
    Method::MakeInvoice,
    Method::LookupInvoice,
    Method::ListTransactions,
    Method::GetBalance,
    Method::GetInfo,
    Method::GetBudget,
];
const SUBSCRIPTION: &str = "nwc";
/// Requests that are worked on at the same time.
const AT_ONCE: usize = 256;
/// Events that are on their way out at the same time.
const OUT_AT_ONCE: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Serves apps, each within its account.
pub struct Service<B> {
    pub(super) calls: Arc<Calls<B>>,
    pub(super) house: Arc<House<B>>,
    pub(super) keys: KeyMaker,
    pub(super) network: Network,
    pub(super) places: Places,
    pub(super) intake: Mutex<Intake>,
    pub(super) memory: Mutex<Memory>,
    pub(super) used: Mutex<BTreeMap<AccountId, Timestamp>>,
    /// The way out, while there is somebody to serve.
    pub(super) line: AsyncMutex<Option<Line>>,
    /// Relays or connections changed.
    pub(super) changed: Notify,
    /// Since when the relays are asked for requests: the same for one connection to them.
    since: Mutex<Timestamp>,
    places_taken: Arc<Semaphore>,
}

/// An event for an app, and what it is for people.
struct Out {
    event: Event,
    what: &'static str,
}

impl<B: Backend> Service<B> {
    /// `dir` is the wallet's own folder.
    pub fn new(calls: Arc<Calls<B>>, keys: KeyMaker, dir: PathBuf) -> Self {
        Self {
            house: Arc::clone(&calls.house),
            network: calls.network,
            calls,
            keys,
            places: Places::new(dir),
            intake: Mutex::default(),
            memory: Mutex::default(),
            used: Mutex::default(),
            line: AsyncMutex::new(None),
            changed: Notify::new(),
            since: Mutex::default(),
            places_taken: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Serves until it is dropped.
    pub async fn run(self: Arc<Self>) {
        const LOOK_AGAIN: Duration = Duration::from_secs(2);
        loop {
            match self.start().await {
                Ok(Some((line, facts))) => {
                    tracing::info!("apps are served");
                    self.serve(&line, facts).await;
                    self.line.lock().await.take();
                    line.close().await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "apps are not served yet"),
            }
            let _woken = tokio::time::timeout(LOOK_AGAIN, self.changed.notified()).await;
        }
    }

    /// Connects, where there is a relay and somebody to serve.
    async fn start(&self) -> Result<Option<(Line, mpsc::Receiver<RelayFact>)>, ErrorBody> {
        if !self.load().await? {
            return Ok(None);
        }
        let relays = self.places.relays()?;
        if relays.is_empty() {
            return Ok(None);
        }
        self.places.first_cursor(self.house.core.view().borrow().cursor)?;
        let (line, facts) = Line::open(&relays, self.reach())
            .map_err(|error| ErrorBody::new("bad_relay", error.to_string()))?;
        let mut held = self.line.lock().await;
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = host::clock::now();
        self.subscribe(&line)?;
        *held = Some(line.clone());
        Ok(Some((line, facts)))
    }

    pub(super) const fn reach(&self) -> Reach {
        match self.network {
            Network::Practice => Reach::Loopback,
            _ => Reach::Named,
        }
    }

    /// Until other relays are chosen.
    async fn serve(self: &Arc<Self>, line: &Line, facts: mpsc::Receiver<RelayFact>) {
        let relays = self.places.relays().unwrap_or_default();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(self).listen(line.clone(), facts));
        tasks.spawn(Arc::clone(self).tell(line.clone()));
        self.introduce(line).await;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                _ended = tasks.join_next() => break,
            }
            if self.places.relays().is_ok_and(|now| now != relays) {
                break;
            }
        }
        tasks.shutdown().await;
    }

    /// Reads the connections; whether there are any.
    pub(super) async fn load(&self) -> Result<bool, ErrorBody> {
        let connections = self.connections(&self.accounts().await?);
        let any = !connections.is_empty();
        self.intake().set(connections);
        Ok(any)
    }

    pub(super) fn subscribe(&self, line: &Line) -> Result<(), ErrorBody> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let filter = self.intake().filter(since);
        line.subscribe(SUBSCRIPTION, vec![filter])
            .map_err(|error| ErrorBody::new("bad_relay", error.to_string()))
    }

    /// Says of every connection what it can do.
    async fn introduce(&self, line: &Line) {
        let now = host::clock::now();
        let infos: Vec<_> =
            self.intake().connections().filter_map(|one| info_of(one, now)).collect();
        let mut out = JoinSet::new();
        for event in infos {
            let line = line.clone();
            out.spawn(async move { line.publish(&event).await.is_published() });
        }
        while let Some(done) = out.join_next().await {
            if !done.is_ok_and(|published| published) {
                tracing::warn!("an app was not told yet what it can do");
            }
        }
    }

    /// Everybody who has a connection, the newest first where there are too many. What is closed
    /// is still told so.
    fn connections(&self, accounts: &[AccountView]) -> Vec<Connection> {
        let mut views: Vec<_> =
            accounts.iter().filter(|view| view.account.connection.is_some()).collect();
        views.sort_by_key(|view| (view.closed, std::cmp::Reverse(view.created_at)));
        let connection = |view: &&AccountView| {
            let terms = view.account.connection.as_ref()?;
            Some(Connection {
                account: view.account.id.clone(),
                client: nostr::key::PublicKey::from_byte_array(terms.client.0),
                keys: self.keys.service(&view.account.id),
                methods: terms
                    .methods
                    .iter()
                    .filter_map(|name| Method::parse(name))
                    .filter(|method| OFFERED.contains(method))
                    .collect::<BTreeSet<_>>(),
            })
        };
        views.iter().filter_map(connection).take(MAX_CONNECTIONS).collect()
    }

    pub(super) fn intake(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn accounts(&self) -> Result<Vec<AccountView>, ErrorBody> {
        match self.house.ask(Input::Accounts).await? {
            Reply::Accounts(accounts) => Ok(accounts),
            other => Err(ErrorBody::new("internal", format!("{other:?}"))),
        }
    }

    /// Takes requests until the relays are given up.
    async fn listen(self: Arc<Self>, line: Line, mut facts: mpsc::Receiver<RelayFact>) {
        let mut working = JoinSet::new();
        while let Some(fact) = facts.recv().await {
            while working.try_join_next().is_some() {}
            let RelayFact::Event { event, .. } = fact else { continue };
            let now = host::clock::now();
            let asked = match self.intake().take(&event, now) {
                Ok(asked) => asked,
                Err(why) => {
                    tracing::debug!(?why, "an event is not answered");
                    continue;
                }
            };
            if let Ok(mut used) = self.used.lock() {
                used.insert(asked.account.clone(), now);
            }
            let Ok(place) = Arc::clone(&self.places_taken).acquire_owned().await else { return };
            let (service, line) = (Arc::clone(&self), line.clone());
            working.spawn(async move {
                service.answer_on(&line, asked).await;
                drop(place);
            });
        }
    }

    async fn answer_on(&self, line: &Line, asked: Asked) {
        let (account, id, cipher) = (asked.account.clone(), asked.id, asked.cipher);
        let answers = self.answers(asked).await;
        for (name, answer) in answers {
            if let Some(out) = self.response(&account, id, cipher, name.as_deref(), &answer) {
                deliver(line, out).await;
            }
        }
    }

    fn response(
        &self,
        account: &AccountId,
        to: nostr::event::EventId,
        cipher: Cipher,
        name: Option<&str>,
        answer: &Answer,
    ) -> Option<Out> {
        let connection = self.intake().of_account(account)?.clone();
        let (keys, client) = (&connection.keys, &connection.client);
        let now = host::clock::now();
        let event = seal::response(keys, client, cipher, to, name, &answer.to_json(), now);
        event
            .inspect_err(|error| tracing::warn!(%error, "an app was not answered"))
            .ok()
            .map(|event| Out { event, what: "an answer" })
    }

    /// Tells apps what became of their payments, in the order of the log, and remembers how far.
    async fn tell(self: Arc<Self>, line: Line) {
        let mut cursor = match self.places.cursor() {
            Ok(cursor) => cursor,
            Err(error) => {
                tracing::error!(%error, "apps are not told what became of their payments");
                return;
            }
        };
        loop {
            let asked = json!({ "after": cursor, "wait_ms": 60_000 });
            let notices: Vec<Notice> = match self.calls.call(method::EVENTS, asked).await {
                Ok(notices) => serde_json::from_value(notices).unwrap_or_default(),
                Err(error) if error.code == "unknown_cursor" => {
                    // Another log: what it told before it was this one's is nobody's to be told.
                    cursor = self.house.core.view().borrow().cursor;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "what became of payments is asked for again");
                    tokio::time::sleep(FIRST_PAUSE).await;
                    continue;
                }
            };
            let Some(last) = notices.last() else { continue };
            let newest = last.cursor;
            self.tell_all(&line, notices).await;
            cursor = newest;
            if let Err(error) = self.places.keep_cursor(cursor) {
                tracing::warn!(%error, "apps may be told again what they were told");
            }
        }
    }

    async fn tell_all(&self, line: &Line, notices: Vec<Notice>) {
        if notices.iter().any(|notice| matches!(notice.what, NoticeKind::Accounts { .. })) {
            match self.load().await {
                Ok(_) => {
                    let _logged = self.subscribe(line).inspect_err(|error| {
                        tracing::warn!(%error, "a changed connection is not served yet");
                    });
                }
                Err(error) => tracing::warn!(%error, "connections are read again later"),
            }
        }
        let mut going = JoinSet::new();
        for notice in notices {
            let NoticeKind::Payment(payment) = notice.what else { continue };
            if !payment.state.is_over() {
                continue;
            }
            for out in self.news(&payment) {
                while going.len() >= OUT_AT_ONCE {
                    let _done = going.join_next().await;
                }
                let line = line.clone();
                going.spawn(async move { deliver(&line, out).await });
            }
        }
        going.join_all().await;
    }

    /// What an app is told of a payment that is over: the answer to who asked for it, and that
    /// money moved.
    fn news(&self, payment: &wallet::wire::Payment) -> Vec<Out> {
        let Some(connection) = self.intake().of_account(&payment.account).cloned() else {
            return Vec::new();
        };
        let mut out = Vec::new();
        if payment.direction == wallet::wire::Direction::Out
            && let Some(PaymentName { cipher, id, name }) = PaymentName::read(&payment.key)
            && let Some(answer) = convert::outcome(PaymentName::method(name.as_deref()), payment)
        {
            let name = PaymentName::tag(name, payment.payment_hash);
            out.extend(self.response(&payment.account, id, cipher, name.as_deref(), &answer));
        }
        if payment.state == wallet::wire::PaymentState::Settled {
            let told = match payment.direction {
                wallet::wire::Direction::In => Told::PaymentReceived,
                wallet::wire::Direction::Out => Told::PaymentSent,
            };
            let text = Notification { told, transaction: convert::transaction(payment) }.to_json();
            let now = host::clock::now();
            out.extend([Cipher::Nip44, Cipher::Nip04].into_iter().filter_map(|cipher| {
                let (keys, client) = (&connection.keys, &connection.client);
                let event = seal::notification(keys, client, cipher, &text, now).ok()?;
                Some(Out { event, what: "a notification" })
            }));
        }
        out
    }

    pub(super) async fn payment(
        &self,
        key: &IdempotencyKey,
    ) -> Result<wallet::wire::Payment, ErrorBody> {
        match self.house.ask(Input::Payment { key: key.clone() }).await? {
            Reply::Payment(payment) => Ok(*payment),
            other => Err(ErrorBody::new("internal", format!("{other:?}"))),
        }
    }
}

/// What a connection can do, for everyone to read.
pub(super) fn info_of(connection: &Connection, now: Timestamp) -> Option<Event> {
    let methods: Vec<_> = connection.methods.iter().copied().collect();
    seal::info(&connection.keys, &methods, now).ok()
}

/// Until a relay has it, as long as none is there. Only what relays that are there do not want, or
/// do not acknowledge however often it is sent, is given up.
async fn deliver(line: &Line, out: Out) {
    const TRIES: u32 = 5;
    let (mut pause, mut tries) = (FIRST_PAUSE, 0);
    loop {
        let report = line.publish(&out.event).await;
        if report.is_published() {
            return;
        }
        if line.is_connected() {
            tries += 1;
        }
        if tries >= TRIES || (tries > 0 && !report.is_retryable()) {
            let why = report.rejected.first().map(|rejected| rejected.reason.to_string());
            tracing::warn!(what = out.what, ?why, "no relay takes what an app waits for");
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
