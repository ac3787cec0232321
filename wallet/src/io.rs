//! What goes into the payment machine and what comes out of it.

use domain::{
    EffectId, ErrorBody, IdempotencyKey, Msat, Network, PaymentHash, Preimage, RepeatClass,
    Timestamp,
};
use safety::SpendLimits;
use serde::{Deserialize, Serialize};

use crate::{
    event::Observed,
    wire::{
        Account, AccountId, AccountView, Balance, Direction, HistoryQuery, LimitsView, Move,
        NodeState, Notice, Pay, Payment, Quote, QuoteQuery, Rail, Receive,
    },
};

/// Everything the machine can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The process serves this node now. Comes before anything else.
    Start {
        network: Network,
        backend: String,
        node_id: String,
        /// What holds until the operator sets limits.
        limits: SpendLimits,
    },
    Receive(Receive),
    Pay(Pay),
    Quote(QuoteQuery),
    /// The operator lets a payment go that is above a limit.
    Approve {
        key: IdempotencyKey,
    },
    /// The operator does not.
    Deny {
        key: IdempotencyKey,
    },
    SetLimits {
        limits: SpendLimits,
    },
    Limits,
    SetAccount(Account),
    CloseAccount {
        id: AccountId,
    },
    Accounts,
    Move(Move),
    Payment {
        key: IdempotencyKey,
    },
    /// Asked right before each send: whether the payment still waits for just that.
    MaySend {
        key: IdempotencyKey,
    },
    PaymentOf(Which),
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

/// How the backend names a payment. Exact, always: never by amount or time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Hash(PaymentHash),
    /// The backend's own name, as it gave it when it took the payment.
    Reference(String),
    Key(IdempotencyKey),
}

impl From<PaymentHash> for Which {
    fn from(hash: PaymentHash) -> Self {
        Self::Hash(hash)
    }
}

/// Something to be paid by, as the backend made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub text: String,
    /// Where it can be paid once only.
    pub payment_hash: Option<PaymentHash>,
    pub expires_at: Option<Timestamp>,
}

/// What the backend did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    InvoiceMade {
        key: IdempotencyKey,
        made: Made,
    },
    InvoiceRefused {
        key: IdempotencyKey,
        reason: String,
    },
    /// The backend took the payment over; its outcome follows as another fact.
    SendTaken {
        key: IdempotencyKey,
        reference: Option<String>,
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
        which: Which,
        rail: Rail,
        /// The offer or address that it was paid to, where the backend says so.
        to: Option<String>,
        amount_msat: Msat,
        preimage: Option<Preimage>,
    },
    Paid {
        which: Which,
        /// Where it was not known beforehand.
        payment_hash: Option<PaymentHash>,
        preimage: Option<Preimage>,
        fee_msat: Msat,
    },
    /// Failed for certain: nothing of the payment is on its way any more.
    PayFailed {
        which: Which,
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

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Settled {
        amount_msat: Msat,
        fee_msat: Msat,
        preimage: Option<Preimage>,
        /// Where it was not known beforehand.
        payment_hash: Option<PaymentHash>,
        reference: Option<String>,
    },
    Failed {
        reason: String,
    },
    InFlight,
    /// The backend has no record of it, which is no proof that nothing was sent.
    Nothing,
}

/// Something to be paid by, as it is asked of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceOrder {
    pub key: IdempotencyKey,
    pub rail: Rail,
    pub amount_msat: Option<Msat>,
    pub memo: String,
    pub expiry_secs: u32,
}

/// A payment, as it is asked of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub key: IdempotencyKey,
    pub rail: Rail,
    pub request: String,
    pub payment_hash: Option<PaymentHash>,
    /// What the payee gets.
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
}

/// A payment whose outcome is asked for: by its hash where it has one, else by the backend's
/// reference, else by listing what was sent to this request since; there is one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sought {
    pub key: IdempotencyKey,
    pub direction: Direction,
    pub rail: Rail,
    pub request: Option<String>,
    pub payment_hash: Option<PaymentHash>,
    pub reference: Option<String>,
    pub amount_msat: Msat,
    pub since: Timestamp,
}

impl Sought {
    /// What became of `payment`.
    pub fn of(payment: &Payment) -> Self {
        Self {
            key: payment.key.clone(),
            direction: payment.direction,
            rail: payment.rail,
            request: payment.request.clone(),
            payment_hash: payment.payment_hash,
            reference: payment.reference.clone(),
            amount_msat: payment.amount_msat,
            since: payment.created_at,
        }
    }
}

/// What a committed event asks of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    MakeInvoice(InvoiceOrder),
    Send(Order),
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
    LookUp(Sought),
}

/// The one adapter of the wallet's effects.
pub const ADAPTER: &str = "lightning";

impl domain::machine::Effect for Effect {
    fn repeat_class(&self) -> RepeatClass {
        match self {
            Self::MakeInvoice(_) | Self::Send(_) => RepeatClass::LookUpFirst,
            Self::Claim { .. } | Self::TurnAway { .. } | Self::LookUp(_) => RepeatClass::Repeat,
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
    Accounts(Vec<AccountView>),
    Limits(LimitsView),
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
