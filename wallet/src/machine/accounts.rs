//! Sub-wallets: made, changed and closed by the operator, who also moves money between them.

use domain::{Emit, ErrorBody, IdempotencyKey, Msat, Step, Timestamp};

use super::{facts::fail, refuse};
use crate::{
    account::{Account, AccountId, MAX_ACCOUNTS},
    accounts::Held,
    event::{AccountClosed, AccountSet, Moved, wallet_stream},
    io::Reply,
    state::Wallet,
    wire::{Move, refusal},
};

/// Who asks through an account, where it is a connection's.
fn client(account: &Account) -> Option<domain::Pubkey> {
    account.connection.as_ref().map(|connection| connection.client)
}

impl Wallet {
    /// The account, if it may still be used.
    pub(super) fn open_account(&self, id: &AccountId, now: Timestamp) -> Result<&Held, ErrorBody> {
        let Some(held) = self.accounts.get(id) else {
            return Err(ErrorBody::refused(
                "no_such_account",
                format!("This wallet has no account {id}; nothing was done."),
            ));
        };
        if held.closed {
            return Err(ErrorBody::refused(
                "account_closed",
                format!("The account {} is closed; nothing was done.", held.account.name),
            ));
        }
        if held.is_expired(now) {
            return Err(ErrorBody::refused(
                "account_expired",
                format!("The time of the account {} is over; nothing was done.", held.account.name),
            ));
        }
        Ok(held)
    }

    /// What an isolated account can spend now; none for who spends from what is not set apart.
    pub(super) fn own_money(&self, id: &AccountId) -> Option<Msat> {
        let held = self.accounts.get(id)?;
        Some(held.balance()?.saturating_sub(held.window.open()))
    }

    /// The same terms again change nothing.
    pub(super) fn set_account(&self, account: &Account) -> Step<Self> {
        if let Err(error) = account.check() {
            return refuse(error);
        }
        match self.accounts.get(&account.id) {
            Some(held) if held.closed => refuse(ErrorBody::refused(
                "account_closed",
                "The account is closed, and a closed account stays so. Nothing changed.",
            )),
            Some(held) if held.account == *account => Step::reply(Reply::Done),
            Some(held) if held.account.isolated != account.isolated => refuse(ErrorBody::refused(
                "bad_account",
                "Whether an account has money of its own is said when it is made. Nothing changed.",
            )
            .hint("Make a new account.")),
            Some(held) if client(&held.account) != client(account) => {
                refuse(ErrorBody::refused(
                    "bad_account",
                    "Who asks through a connection is said when it is made. Nothing changed.",
                )
                .hint("Close the connection and make a new one."))
            }
            None if self.accounts.len() >= MAX_ACCOUNTS => refuse(ErrorBody::refused(
                "too_many_accounts",
                format!("A wallet has at most {MAX_ACCOUNTS} accounts. Nothing changed."),
            )),
            _ => {
                let set = AccountSet { account: account.clone() };
                Step::nothing().emit(Emit::new(wallet_stream(), set)).answer(Reply::Done)
            }
        }
    }

    pub(super) fn close_account(&self, id: &AccountId) -> Step<Self> {
        match self.accounts.get(id) {
            None => refuse(ErrorBody::refused(
                "no_such_account",
                format!("This wallet has no account {id}; nothing was done."),
            )),
            Some(held) if held.closed => Step::reply(Reply::Done),
            Some(_) => {
                let closed = AccountClosed { id: id.clone() };
                let mut step = Step::nothing().emit(Emit::new(wallet_stream(), closed));
                let waits = |key: &&IdempotencyKey| {
                    self.payments.get(*key).is_some_and(|entry| entry.payment.account == *id)
                };
                for key in self.waiting.iter().map(|(_, key)| key).filter(waits) {
                    let why = "Its account was closed. Nothing was sent.";
                    step.emits.extend(fail(key, why).emits);
                }
                step.answer(Reply::Done)
            }
        }
    }

    pub(super) fn make_move(&self, moved: &Move, now: Timestamp) -> Step<Self> {
        match self.accounts.moved(&moved.key) {
            Some(known) if known == moved => return Step::reply(Reply::Done),
            Some(_) => {
                return refuse(ErrorBody::refused(
                    refusal::KEY_REUSED,
                    format!("The key {} belongs to another move. Nothing was moved.", moved.key),
                ));
            }
            None => {}
        }
        match self.may_move(moved, now) {
            Err(error) => refuse(error),
            Ok(()) => {
                let moved = Moved { moved: moved.clone() };
                Step::nothing().emit(Emit::new(wallet_stream(), moved)).answer(Reply::Done)
            }
        }
    }

    fn may_move(&self, moved: &Move, now: Timestamp) -> Result<(), ErrorBody> {
        let bad = |why: &str| ErrorBody::refused("bad_move", format!("{why} Nothing was moved."));
        super::receive::new_key(&moved.key)?;
        if moved.from == moved.to || moved.amount_msat.is_zero() {
            return Err(bad("A move has an amount and two different accounts."));
        }
        if !moved.to.is_operator() && !self.open_account(&moved.to, now)?.account.isolated {
            return Err(bad("The receiving account has no money of its own."));
        }
        let have = if moved.from.is_operator() {
            self.spendable().unwrap_or(Msat::ZERO).saturating_sub(self.set_apart())
        } else {
            // An account whose time is over still gives its money back.
            self.own_money(&moved.from)
                .ok_or_else(|| bad("The giving account has no money of its own."))?
        };
        if moved.amount_msat <= have {
            return Ok(());
        }
        Err(ErrorBody::refused(
            "insufficient_balance",
            format!("{} was to be moved, and {have} can be. Nothing was moved.", moved.amount_msat),
        ))
    }
}
