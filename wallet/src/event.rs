//! What the wallet's log says: `payment.*` in streams `payment/<key>`, `wallet.*` in `wallet`.

use domain::{
    ErrorBody, IdempotencyKey, Msat, Network, PaymentHash, Preimage, StreamId, Timestamp,
};
use safety::SpendLimits;
use serde::{Deserialize, Serialize};

use crate::wire::{Account, AccountId, Direction, Move, NodeState, Rail};

domain::events! {
    /// Everything that ever changes a wallet.
    pub enum WalletEvent {
        "wallet.started" 1 => Started(Started);
        "wallet.limits_set" 1 => LimitsSet(LimitsSet);
        "wallet.observed" 1 => Observed(Observed);
        "wallet.channel_pending" 1 => ChannelPending(ChannelPending);
        "wallet.channel_opened" 1 => ChannelOpened(ChannelOpened);
        "wallet.channel_closed" 1 => ChannelClosed(ChannelClosed);
        "wallet.turned_away" 1 => TurnedAway(TurnedAway);
        "wallet.account_set" 1 => AccountSet(AccountSet);
        "wallet.account_closed" 1 => AccountClosed(AccountClosed);
        "wallet.moved" 1 => Moved(Moved);
        "payment.requested" 1 => Requested(Requested);
        "payment.invoiced" 1 => Invoiced(Invoiced);
        "payment.approved" 1 => Approved(Approved);
        "payment.arrived" 1 => Arrived(Arrived);
        "payment.sent" 1 => Sent(Sent);
        "payment.retry_planned" 1 => RetryPlanned(RetryPlanned);
        "payment.tried_again" 1 => TriedAgain(TriedAgain);
        "payment.settled" 1 => Settled(Settled);
        "payment.failed" 1 => Failed(Failed);
        "payment.expired" 1 => Expired(Expired);
        "payment.unknown" 1 => OutcomeUnknown(OutcomeUnknown);
    }
}

/// The stream of everything that is not one payment.
pub fn wallet_stream() -> StreamId {
    StreamId::named("wallet")
}

/// The stream of one payment.
pub fn payment_stream(key: &IdempotencyKey) -> StreamId {
    StreamId::of("payment", key)
}

/// The process began to serve this node. The first one binds the log to its network and node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    pub network: Network,
    pub backend: String,
    pub node_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsSet {
    pub limits: SpendLimits,
}

/// What the backend says of itself, where it differs from what it said before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub state: NodeState,
    pub detail: Option<String>,
    pub inbound_msat: Msat,
    pub onchain_msat: Msat,
    /// What can be spent as the backend says it, where our ledger cannot know: others use it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spendable_msat: Option<Msat>,
    /// Nobody knows yet what can be spent, and the ledger cannot say it either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// A channel is funded but not confirmed: what will be ours in it when it opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPending {
    pub channel: String,
    pub ours_msat: Msat,
}

/// A channel is usable for the first time: `ours_msat` enters the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOpened {
    pub channel: String,
    pub ours_msat: Msat,
}

/// A channel ended: `left_msat` leaves the ledger and goes on chain, on-chain fees not yet taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelClosed {
    pub channel: String,
    pub left_msat: Msat,
    pub reason: String,
}

/// Money for an invoice that is over, or that we never made, was sent back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnedAway {
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
}

/// A sub-wallet is made, or has new terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSet {
    pub account: Account,
}

/// The sub-wallet pays and receives nothing more; its own money is the operator's again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountClosed {
    pub id: AccountId,
}

/// Money changed its account; nothing left the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub moved: Move,
}

/// The intent, before any backend is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    pub key: IdempotencyKey,
    pub account: AccountId,
    pub rail: Rail,
    pub amount_msat: Msat,
    pub memo: String,
    pub terms: Terms,
    /// The limit that it is above: nothing is sent before the operator approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<ErrorBody>,
}

/// What a repeated request must say again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "direction", rename_all = "snake_case")]
pub enum Terms {
    In {
        expiry_secs: u32,
    },
    Out {
        request: String,
        payment_hash: Option<PaymentHash>,
        payee: String,
        max_fee_msat: Msat,
        expires_at: Option<Timestamp>,
    },
}

impl Terms {
    pub const fn direction(&self) -> Direction {
        match self {
            Self::In { .. } => Direction::In,
            Self::Out { .. } => Direction::Out,
        }
    }
}

/// The operator let it go: it is sent now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    pub key: IdempotencyKey,
}

/// The backend made the invoice, the offer or the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoiced {
    pub key: IdempotencyKey,
    pub payment_hash: Option<PaymentHash>,
    pub text: String,
    pub expires_at: Option<Timestamp>,
}

/// The payer's money is locked for us and can be claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    pub key: IdempotencyKey,
    pub amount_msat: Msat,
}

/// The backend took the payment over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub key: IdempotencyKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A try failed for certain, with nothing on its way: the next one is due at `at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPlanned {
    pub key: IdempotencyKey,
    pub reason: String,
    pub at: Timestamp,
}

/// The next try began, of the same invoice and so of the same payment hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedAgain {
    pub key: IdempotencyKey,
}

/// The money moved. The one event that changes the ledger for a payment, once per payment hash or
/// reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    pub key: IdempotencyKey,
    pub account: AccountId,
    pub direction: Direction,
    pub rail: Rail,
    pub payment_hash: Option<PaymentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it was paid to, where it is no payment that was asked for: an offer or address of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub preimage: Option<Preimage>,
    /// What moved: in, what arrived; out, what the payee got.
    pub amount_msat: Msat,
    /// What we paid to the route, above the amount.
    pub fee_msat: Msat,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub key: IdempotencyKey,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    pub key: IdempotencyKey,
}

/// Money may have moved; nothing is sent again until the backend says what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeUnknown {
    pub key: IdempotencyKey,
    pub reason: String,
}
