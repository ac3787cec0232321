//! Calls of the wallet that move no money: what is asked once and answered, and what is looked at.
//!
//! Nothing here waits. A value that is being read again stays on screen until the new one is here.

use domain::ErrorBody;
use engine::{
    DeskPort, Query,
    backup::BackupStatus,
    channels::{self, Channels},
    view::{AccountId, Answer},
    wire::{ConnectionList, LimitsView, method},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, mpsc::Receiver},
};

use crate::courier::{take, unexpected};

/// What the operator asked the wallet for: where its answer belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    Quote,
    SetLimits,
    SetAccount,
    CloseAccount(AccountId),
    Move,
    QuoteChannel,
    OpenChannel,
    CloseChannel(String),
    CreateConnection,
    CloseConnection(AccountId),
    Rehearse,
}

impl Call {
    /// What was not done, as an error says it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Quote => "What it asks could not be read",
            Self::SetLimits => "The limits were not changed",
            Self::SetAccount => "The sub-wallet was not changed",
            Self::CloseAccount(_) => "The sub-wallet was not closed",
            Self::Move => "Nothing was moved",
            Self::QuoteChannel => "What it costs is not known",
            Self::OpenChannel => "The channel was not opened",
            Self::CloseChannel(_) => "The channel was not closed",
            Self::CreateConnection => "The app was not connected",
            Self::CloseConnection(_) => "The connection was not closed",
            Self::Rehearse => "The backup was not rehearsed",
        }
    }

    pub fn method(&self) -> &'static str {
        match self {
            Self::Quote => method::QUOTE,
            Self::SetLimits => method::SET_LIMITS,
            Self::SetAccount => method::SET_ACCOUNT,
            Self::CloseAccount(_) => method::CLOSE_ACCOUNT,
            Self::Move => method::MOVE,
            Self::QuoteChannel => channels::method::QUOTE_CHANNEL,
            Self::OpenChannel => channels::method::OPEN_CHANNEL,
            Self::CloseChannel(_) => channels::method::CLOSE_CHANNEL,
            Self::CreateConnection => method::CONNECTION_CREATE,
            Self::CloseConnection(_) => method::CONNECTION_CLOSE,
            Self::Rehearse => method::REHEARSE,
        }
    }
}

/// What came of a call.
pub type Outcome = Result<Value, ErrorBody>;

/// Something of the wallet that is looked at, and read again once it may have changed.
pub struct Reading<T> {
    method: &'static str,
    value: Option<Arc<T>>,
    failed: Option<ErrorBody>,
    asked: Option<Receiver<Answer>>,
    stale: bool,
}

impl<T: DeserializeOwned> Reading<T> {
    const fn new(method: &'static str) -> Self {
        Self { method, value: None, failed: None, asked: None, stale: true }
    }

    /// Asks where it was never asked or may have changed; answers what is known so far.
    pub fn look(&mut self, port: &dyn DeskPort) -> Option<Arc<T>> {
        if self.stale && self.asked.is_none() && self.failed.is_none() {
            self.stale = false;
            let query = Query::Wallet { method: self.method.into(), params: Value::Null };
            self.asked = Some(port.ask(query));
        }
        self.value.clone()
    }

    pub fn failed(&self) -> Option<&ErrorBody> {
        self.failed.as_ref()
    }

    /// It may be otherwise now: read again when it is looked at next.
    pub fn changed(&mut self) {
        self.stale = true;
        self.failed = None;
    }

    /// What an answer of another call says of it.
    fn put(&mut self, value: &Value) {
        match T::deserialize(value) {
            Ok(value) => (self.value, self.stale) = (Some(Arc::new(value)), false),
            Err(_) => self.changed(),
        }
    }

    fn settle(&mut self) {
        let Some(answer) = self.asked.as_ref().and_then(take) else { return };
        self.asked = None;
        match outcome(answer).and_then(|value| T::deserialize(value).map_err(|_| unexpected())) {
            Ok(value) => self.value = Some(Arc::new(value)),
            Err(error) => self.failed = Some(error),
        }
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Wallet { value } => Ok(value),
        Answer::Failed(error) => Err(error),
        _ => Err(unexpected()),
    }
}

/// Every call on its way, one for each purpose, and every reading.
pub struct Calls {
    asked: BTreeMap<Call, Receiver<Answer>>,
    pub limits: Reading<LimitsView>,
    pub channels: Reading<Channels>,
    pub connections: Reading<ConnectionList>,
    pub backup: Reading<BackupStatus>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            asked: BTreeMap::new(),
            limits: Reading::new(method::LIMITS),
            channels: Reading::new(channels::method::CHANNELS),
            connections: Reading::new(method::CONNECTIONS),
            backup: Reading::new(method::BACKUP_STATUS),
        }
    }
}

impl Calls {
    /// Asks the wallet, unless the same is still on its way.
    pub fn ask(&mut self, port: &dyn DeskPort, call: Call, params: Value) {
        let method = call.method().into();
        if let Entry::Vacant(place) = self.asked.entry(call) {
            place.insert(port.ask(Query::Wallet { method, params }));
        }
    }

    pub fn busy(&self, call: &Call) -> bool {
        self.asked.contains_key(call)
    }

    /// What has come since the last call.
    pub fn outcomes(&mut self) -> Vec<(Call, Outcome)> {
        let mut came = Vec::new();
        self.asked.retain(|call, receiver| match take(receiver) {
            None => true,
            Some(answer) => {
                came.push((call.clone(), outcome(answer)));
                false
            }
        });
        for (call, outcome) in &came {
            if let (Call::SetLimits, Ok(value)) = (call, outcome) {
                self.limits.put(value);
            }
        }
        came
    }

    /// A payment or a sub-wallet changed, and so may everything that is counted.
    pub fn changed(&mut self) {
        self.limits.changed();
        self.channels.changed();
        self.connections.changed();
        self.backup.changed();
    }

    pub fn settle(&mut self) {
        self.limits.settle();
        self.channels.settle();
        self.connections.settle();
        self.backup.settle();
    }
}
