//! What goes into the payment machine and what comes out of it.

use domain::{
    EffectId, ErrorBody, IdempotencyKey, Msat, Network, PaymentHash, Preimage, RepeatClass,
    Timestamp,
};
use safety::SpendLimits;
use serde::{Deserialize, Serialize};

use crate::{
    event::Observed,
    wire::{Balance, HistoryQuery, NodeState, Notice, Pay, Payment, Quote, Receive},
};

/// Everything the machine can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The process serves this node now. Comes before anything else.
    Start {
        network: Network,
        backend: String,
        node_id: String,
        limits: SpendLimits,
    },
    Receive(Receive),
    Pay(Pay),
    Quote {
        bolt11: String,
    },
    Payment {
        key: IdempotencyKey,
    },
    /// Asked right before each send: whether the payment still waits for just that.
    MaySend {
        key: IdempotencyKey,
    },
    PaymentOf {
        payment_hash: PaymentHash,
    },
    History(HistoryQuery),
    /// Notices after a cursor, oldest first, at most `count`.
    Notices {
        after: u64,
        count: u32,
    },
    Summary,
    Fact(Fact),
    /// Time passed; what has expired is noticed, and what is due is tried again.
    Tick,
}

/// What the backend did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    InvoiceMade {
        key: IdempotencyKey,
        payment_hash: PaymentHash,
        bolt11: String,
        expires_at: Timestamp,
    },
    InvoiceRefused {
        key: IdempotencyKey,
        reason: String,
    },
    /// The backend took the payment over; its outcome follows as another fact.
    SendTaken {
        key: IdempotencyKey,
    },
    /// Nothing was sent, and nothing of it is on its way; another try may find one.
    NotSent {
        key: IdempotencyKey,
        reason: String,
    },
    /// The backend did not send and never will.
    SendRefused {
        key: IdempotencyKey,
        reason: String,
    },
    /// The backend's answer was lost or makes no sense: it may have sent.
    SendUnclear {
        key: IdempotencyKey,
        reason: String,
    },
    /// A claim, a refusal or a look-up was done; what it led to follows as another fact.
    EffectDone,
    LookedUp {
        key: IdempotencyKey,
        found: Found,
    },
    /// Money for an invoice is locked for us.
    Claimable {
        payment_hash: PaymentHash,
        amount_msat: Msat,
    },
    Received {
        payment_hash: PaymentHash,
        amount_msat: Msat,
        preimage: Option<Preimage>,
    },
    Paid {
        payment_hash: PaymentHash,
        preimage: Option<Preimage>,
        fee_msat: Msat,
    },
    /// Failed for certain: nothing of the payment is on its way any more.
    PayFailed {
        payment_hash: PaymentHash,
        reason: String,
        /// It found no way, which may be another one soon; the payee did not refuse it.
        no_way: bool,
        /// The backend's record says nevertheless that it is on its way: that of a later try, or
        /// one that was written after the failure.
        still_open: bool,
    },
    ChannelPending {
        channel: String,
        ours_msat: Msat,
    },
    ChannelReady {
        channel: String,
        /// What is ours in it now: used where the channel was not seen while it was pending.
        ours_msat: Msat,
    },
    ChannelClosed {
        channel: String,
        /// What is ours in the channels that remain.
        remaining_msat: Msat,
        reason: String,
    },
    Observed(Observed),
}

/// What a look-up by payment hash found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Settled {
        amount_msat: Msat,
        fee_msat: Msat,
        preimage: Option<Preimage>,
    },
    Failed {
        reason: String,
    },
    InFlight,
    /// The backend has no record of it, which is no proof that nothing was sent.
    Nothing,
}

/// What a committed event asks of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    MakeInvoice {
        key: IdempotencyKey,
        amount_msat: Msat,
        memo: String,
        expiry_secs: u32,
    },
    Send {
        key: IdempotencyKey,
        payment_hash: PaymentHash,
        bolt11: String,
        max_fee_msat: Msat,
    },
    /// Take what is locked for us, by revealing the preimage.
    Claim {
        key: IdempotencyKey,
        payment_hash: PaymentHash,
        amount_msat: Msat,
    },
    /// Let what is locked for us go back.
    TurnAway {
        payment_hash: PaymentHash,
    },
    LookUp {
        key: IdempotencyKey,
        payment_hash: PaymentHash,
    },
}

/// The one adapter of the wallet's effects.
pub const ADAPTER: &str = "lightning";

impl domain::machine::Effect for Effect {
    fn repeat_class(&self) -> RepeatClass {
        match self {
            Self::MakeInvoice { .. } | Self::Send { .. } => RepeatClass::LookUpFirst,
            Self::Claim { .. } | Self::TurnAway { .. } | Self::LookUp { .. } => RepeatClass::Repeat,
        }
    }

    fn adapter(&self) -> &'static str {
        ADAPTER
    }
}

/// The machine's answer to who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    Payment(Box<Payment>),
    Quote(Box<Quote>),
    Payments(Vec<Payment>),
    Notices(Vec<Notice>),
    Summary(Box<Summary>),
    Refused(ErrorBody),
}

/// What the wallet knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub network: Network,
    pub backend: String,
    pub node_id: String,
    pub state: NodeState,
    pub detail: Option<String>,
    /// Absent before the backend was seen, and where its facts do not add up.
    pub balance: Option<Balance>,
    /// What the ledger says is ours in channels, payments under way included.
    pub in_channels_msat: Option<Msat>,
    /// Payments of which the outcome is still to come.
    pub under_way: usize,
    pub cursor: u64,
    pub limits: SpendLimits,
}

/// A fact on its way to the machine, with the effect it acknowledges, if any.
pub type Delivery = domain::Delivery<Input>;

/// A fact of an effect.
pub fn fact_of(effect: EffectId, fact: Fact) -> Delivery {
    Delivery::of_effect(effect, Input::Fact(fact))
}
