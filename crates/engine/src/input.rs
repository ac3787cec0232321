//! Inputs: commands of the operator, and facts that adapters saw.

use domain::{Delivery, EffectId, IdempotencyKey, Network};
use nip90::{
    JobDraft,
    buyer::BuyerInput,
    provider::{Backend, ProviderInput},
};
use std::collections::BTreeMap;
use wallet::wire;

use crate::{
    command::Command,
    effect::Effect,
    event::{Identity, ServiceChanged},
    view::{RelayState, WalletState},
};

/// One thing for the engine to decide on.
#[derive(Debug)]
pub enum Input {
    Command(Command),
    /// A job to buy; `salt` is for the request's body.
    Submit {
        draft: JobDraft,
        salt: [u8; 32],
    },
    Fact(Fact),
}

/// What an adapter saw.
#[derive(Debug)]
pub enum Fact {
    Started {
        version: String,
        network: Network,
    },
    Identity(Identity),
    /// The Blossom server that large inputs and results go to.
    BlobServer {
        url: String,
    },
    /// What can execute jobs here, whole.
    Backends(BTreeMap<u16, Backend>),
    Relay {
        url: String,
        state: RelayState,
        detail: Option<String>,
    },
    /// After a start: no relay is connected until one says so.
    RelaysRecounted,
    /// After a start: the wallet is not ready until the executor says so.
    WalletRechecked,
    Service(ServiceChanged),
    Wallet(WalletFact),
    /// An adapter could not do an effect, and won't try again by itself.
    GaveUp {
        effect: EffectId,
        gave_up: Box<GaveUp>,
    },
    Provider(ProviderInput),
    Buyer(BuyerInput),
    /// A second has gone by.
    Tick,
}

/// What was not done, and why.
#[derive(Clone, Debug)]
pub struct GaveUp {
    pub what: Effect,
    pub tries: u32,
    pub why: String,
    /// It may have happened all the same, though nobody said so.
    pub may_be_out: bool,
}

/// What the executor said.
#[derive(Debug)]
pub enum WalletFact {
    Info(wire::Info),
    State {
        state: WalletState,
        detail: Option<String>,
    },
    /// A connection to the executor begins: its newest notice. Said before any notice of it.
    Connected {
        newest: u64,
    },
    Notice(wire::Notice),
    /// It took a request on and this is the payment now.
    Accepted(wire::Payment),
    /// It took nothing on.
    Refused {
        key: IdempotencyKey,
        error: domain::ErrorBody,
    },
    /// It did not take the operator's answer; the payment is as it was.
    NotAnswered {
        key: IdempotencyKey,
        error: domain::ErrorBody,
    },
    /// It was asked to pay again and again and says nothing that holds: money may have moved.
    Unanswered {
        key: IdempotencyKey,
        why: String,
    },
}

impl Input {
    pub fn started(version: &str, network: Network) -> Self {
        Self::Fact(Fact::Started { version: version.to_owned(), network })
    }

    /// A fact that finishes `effect`.
    pub fn of_effect(effect: EffectId, fact: Fact) -> Delivery<Self> {
        Delivery::of_effect(effect, Self::Fact(fact))
    }
}
