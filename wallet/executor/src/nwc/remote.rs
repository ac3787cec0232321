//! The client's side of NIP-47: asks a wallet service over its relays and matches its answers.
//!
//! An answer counts only from the wallet's own key, encrypted for ours, for a request that waits,
//! of the method that it waits for, once. Everything else is as if it had not come.

use domain::Timestamp;
use nostr::{
    event::{Event, EventId, Kind},
    filter::Filter,
    key::{Keys, PublicKey},
};
use relay::RelayFact;
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    line::{Line, LineError, Reach},
    seal::{self, Cipher},
    uri::ConnectionUri,
    words::{Answer, BadAnswer, Call, Method, Notification, Refusal},
};

const SUBSCRIPTION: &str = "nwc";
/// Requests that wait for an answer at the same time.
const MAX_WAITING: usize = 512;
/// Notifications that wait for whoever reads them; more are dropped, as looking up finds them too.
const NOTIFICATIONS: usize = 256;
/// How far back answers are asked for after a connection was lost.
const LOOK_BACK_SECS: u64 = 120;
/// How long a request waits for the wallet's info event, which says how to encrypt it.
const INFO_WITHIN: Duration = Duration::from_secs(10);

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Certain: the wallet was not asked.
    #[error("the wallet was not asked: {0}")]
    NotAsked(String),
    /// Certain: it was not asked, as it does not do that.
    #[error("the wallet does not offer {0}")]
    NotOffered(Method),
    /// It may have been asked, and may have done it.
    #[error("the wallet did not answer in time")]
    NoAnswer,
    #[error("the wallet refused: {0}")]
    Refused(Refusal),
    /// It answered, and nobody can say what.
    #[error(transparent)]
    Garbage(#[from] BadAnswer),
}

/// What the wallet's info event says (kind 13194).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub cipher: Cipher,
    pub methods: Vec<Method>,
    pub notifies: bool,
    made_at: u64,
}

/// A wallet elsewhere. The connection ends with the last clone.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    service: PublicKey,
    line: Line,
    known: watch::Sender<Option<Known>>,
    waiting: Mutex<HashMap<EventId, Waiting>>,
}

struct Waiting {
    method: Method,
    cipher: Cipher,
    answer: oneshot::Sender<Answer>,
}

/// A request that a relay took: its answer is still to come.
pub struct Pending {
    inner: Arc<Inner>,
    id: EventId,
    answer: oneshot::Receiver<Answer>,
}

impl Remote {
    /// Connects, and gives what the wallet tells without being asked. Call it inside a runtime.
    pub fn open(
        uri: &ConnectionUri,
        reach: Reach,
    ) -> Result<(Self, mpsc::Receiver<Notification>), LineError> {
        let (line, facts) = Line::open(&uri.relays, reach)?;
        let keys = uri.keys();
        let inner = Arc::new(Inner {
            service: uri.service,
            line,
            known: watch::Sender::new(None),
            waiting: Mutex::new(HashMap::new()),
            keys,
        });
        inner.line.subscribe(SUBSCRIPTION, inner.filters(host::clock::now()))?;
        let (sender, notifications) = mpsc::channel(NOTIFICATIONS);
        tokio::spawn(read(Arc::downgrade(&inner), facts, sender));
        Ok((Self { inner }, notifications))
    }

    pub fn service(&self) -> PublicKey {
        self.inner.service
    }

    /// The wallet's info event, once it was seen.
    pub fn known(&self) -> Option<Known> {
        self.inner.known.borrow().clone()
    }

    /// Why the wallet can't be asked now, for people.
    pub fn trouble(&self) -> Option<String> {
        match (self.inner.line.trouble(), self.known()) {
            (Some(trouble), _) => Some(trouble),
            (None, None) => Some("The wallet has not said yet what it can do.".into()),
            (None, Some(_)) => None,
        }
    }

    /// Hands a request to the relays. The wallet is told to ignore it after `lasts`.
    pub async fn submit(&self, call: &Call, lasts: Duration) -> Result<Pending, CallError> {
        let inner = &self.inner;
        let known = inner.wait_known().await?;
        let method = call.method();
        if !known.methods.contains(&method) {
            return Err(CallError::NotOffered(method));
        }
        let now = host::clock::now();
        let ends = now.plus_secs(lasts.as_secs().max(1));
        let not_asked = |error: &dyn std::fmt::Display| CallError::NotAsked(error.to_string());
        let text = call.to_json();
        let event = seal::request(&inner.keys, &inner.service, known.cipher, &text, now, ends)
            .map_err(|error| not_asked(&error))?;
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = inner.waiting();
            if waiting.len() >= MAX_WAITING {
                return Err(CallError::NotAsked("too many requests wait for an answer".into()));
            }
            waiting.insert(event.id, Waiting { method, cipher: known.cipher, answer: sender });
        }
        let pending = Pending { inner: Arc::clone(inner), id: event.id, answer };
        let report = inner.line.publish(&event).await;
        if report.may_be_out() {
            return Ok(pending);
        }
        let why = report.rejected.first().map(|rejected| rejected.reason.to_string());
        Err(CallError::NotAsked(why.unwrap_or_else(|| "no relay is there".into())))
    }

    /// Asks, and waits for the answer.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call,
        within: Duration,
    ) -> Result<T, CallError> {
        self.submit(call, within).await?.answer(within).await
    }

    pub async fn close(&self) {
        self.inner.line.close().await;
    }
}

impl Pending {
    /// The answer, as the method's own type.
    pub async fn answer<T: DeserializeOwned>(mut self, within: Duration) -> Result<T, CallError> {
        match timeout(within, &mut self.answer).await {
            Ok(Ok(answer)) => answer.result()?.map_err(CallError::Refused),
            Ok(Err(_)) | Err(_) => Err(CallError::NoAnswer),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.inner.waiting().remove(&self.id);
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, HashMap<EventId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filters(&self, now: Timestamp) -> Vec<Filter> {
        let since = nostr::types::Timestamp::from_secs(now.minus_secs(LOOK_BACK_SECS).as_secs());
        let ours = Filter::new().author(self.service).pubkey(self.keys.public_key()).since(since);
        vec![
            Filter::new().author(self.service).kind(Kind::WalletConnectInfo),
            // Not all services address their answers (`p`); they name the request (`e`).
            Filter::new().author(self.service).kind(Kind::WalletConnectResponse).since(since),
            ours.kinds([Cipher::Nip44.notification_kind(), Cipher::Nip04.notification_kind()]),
        ]
    }

    async fn wait_known(&self) -> Result<Known, CallError> {
        let mut known = self.known.subscribe();
        let found = timeout(INFO_WITHIN, known.wait_for(Option::is_some)).await;
        let unseen = || {
            let trouble = self.line.trouble();
            CallError::NotAsked(trouble.unwrap_or_else(|| "it has not said what it can do".into()))
        };
        match found {
            Ok(Ok(known)) => known.clone().ok_or_else(unseen),
            _ => Err(unseen()),
        }
    }

    fn take(&self, event: &Event) -> Option<Notification> {
        if event.pubkey != self.service {
            return None;
        }
        if event.kind == Kind::WalletConnectInfo {
            self.take_info(event);
            return None;
        }
        if event.kind == Kind::WalletConnectResponse {
            self.take_response(event);
            return None;
        }
        if !seal::is_for(event, &self.keys.public_key()) {
            return None;
        }
        let cipher = self.known.borrow().as_ref()?.cipher;
        if event.kind != cipher.notification_kind() {
            // A wallet that has both sends both; one is enough.
            return None;
        }
        let text = seal::open(cipher, &self.keys, &self.service, &event.content).ok()?;
        Notification::read(&text).ok().flatten()
    }

    /// The newest counts: a relay may keep old ones.
    fn take_info(&self, event: &Event) {
        let Ok(cipher) = Cipher::of_info(event) else { return };
        let offered = |method: &Method| seal::info_names(event, method.as_str());
        let info = Known {
            cipher,
            methods: Method::ALL.iter().copied().filter(offered).collect(),
            notifies: seal::info_notifies(event),
            made_at: event.created_at.as_secs(),
        };
        self.known.send_if_modified(|known| {
            let newer = known.as_ref().is_none_or(|known| known.made_at < info.made_at);
            if newer {
                *known = Some(info);
            }
            newer
        });
    }

    fn take_response(&self, event: &Event) {
        let Some(id) = seal::tag(event, "e").and_then(|id| EventId::from_hex(id).ok()) else {
            return;
        };
        let Some((method, cipher)) =
            self.waiting().get(&id).map(|waiting| (waiting.method, waiting.cipher))
        else {
            return;
        };
        let Ok(text) = seal::open(cipher, &self.keys, &self.service, &event.content) else {
            return;
        };
        let Ok(answer) = Answer::read(&text) else { return };
        // Old services name no method where they did not read the request.
        let fits = answer.method == method.as_str()
            || (answer.method.is_empty() && answer.outcome.is_err());
        if !fits {
            return;
        }
        if let Some(waiting) = self.waiting().remove(&id) {
            let _left = waiting.answer.send(answer);
        }
    }
}

/// Until the connection is dropped.
async fn read(
    inner: Weak<Inner>,
    mut facts: mpsc::Receiver<RelayFact>,
    notifications: mpsc::Sender<Notification>,
) {
    while let Some(fact) = facts.recv().await {
        let RelayFact::Event { event, .. } = fact else { continue };
        let Some(inner) = inner.upgrade() else { return };
        if let Some(notification) = inner.take(&event) {
            let _full_or_gone = notifications.try_send(notification);
        }
    }
}
