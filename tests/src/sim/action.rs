//! What can happen in the simulated world; each action says all of itself, so it can be replayed.

use serde::{Deserialize, Serialize};

/// One thing that happens. `desk` and `nth` count round: every number means something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Time passes, and every desk notices.
    Later {
        secs: u32,
    },
    /// For a while nothing goes wrong: everybody does what there is to do.
    Calm,
    /// The clock of one desk is behind by so much from now on.
    Skew {
        desk: u8,
        secs: u32,
    },
    /// From now on all work of one desk fails, or no longer does.
    Broken {
        desk: u8,
        broken: bool,
    },
    Online {
        desk: u8,
    },
    Offline {
        desk: u8,
    },
    Offer {
        desk: u8,
        price_msat: u32,
        after: bool,
    },
    OfferRemove {
        desk: u8,
    },
    /// What a desk does with demand that names nobody: 0 accepts, 1 asks, 2 refuses.
    Policy {
        desk: u8,
        open: u8,
    },
    Submit {
        desk: u8,
        to: Option<u8>,
        bid_msat: u32,
        fee_msat: u32,
        key: u32,
        timeout_secs: u32,
    },
    /// The operator answers a job that waits for it.
    Answer {
        desk: u8,
        nth: u8,
        accept: bool,
    },
    Cancel {
        desk: u8,
        nth: u8,
        sold: bool,
    },
    /// The operator gives back what the nth job owes, to an invoice that asks so much.
    Refund {
        desk: u8,
        nth: u8,
        asks: Asks,
    },
    /// The operator says that it went back another way.
    HandBack {
        desk: u8,
        nth: u8,
    },
    /// The operator has the nth dead letter of a desk done again, or drops it.
    Letter {
        desk: u8,
        nth: u8,
        again: bool,
    },
    Receive {
        desk: u8,
        key: u32,
        amount_msat: u32,
    },
    /// The operator pays the nth invoice that is known to the public.
    Pay {
        desk: u8,
        key: u32,
        nth: u8,
    },
    RelayLink {
        desk: u8,
        up: bool,
    },
    WalletLink {
        desk: u8,
        up: bool,
    },
    /// An adapter takes one released effect.
    Act {
        desk: u8,
        nth: u8,
        how: How,
    },
    /// The relay delivers one event.
    Hear {
        desk: u8,
        nth: u8,
        how: Hearing,
    },
    /// The Lightning network moves one payment that is under way.
    Money {
        nth: u8,
        how: Money,
    },
    /// The executor's next notices arrive.
    Notices {
        desk: u8,
        count: u8,
    },
    /// A notice arrives again.
    NoticeAgain {
        desk: u8,
        nth: u8,
    },
    /// The process dies and starts again.
    Crash {
        desk: u8,
    },
    /// A stranger answers the nth request, or tries to delete it.
    Forge {
        nth: u8,
        what: Forgery,
    },
}

/// How an effect goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Well,
    /// It can't be done, and that is known.
    Badly,
    /// It happens, and the process dies before it can say so.
    ThenCrash,
}

/// What the invoice of a refund asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    All,
    /// By the operator's choice.
    Less,
    /// By mistake.
    More,
    /// All of it, by an invoice that a refund of another job may have used.
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearing {
    Next,
    /// An event that may have been heard before.
    Again,
    /// The event is lost on its way, until the desk subscribes anew.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Money {
    /// The payee has it; the payer does not know yet.
    Claim,
    Settle {
        fee_msat: u8,
    },
    Fail,
    /// The payer's backend can't say what became of it.
    Lose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgery {
    Invoice { amount_msat: u16 },
    Result,
    Error,
    Deletion,
}
