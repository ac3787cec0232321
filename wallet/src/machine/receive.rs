//! Money in: an invoice per key, taken once, expired once.

use domain::{Emit, ErrorBody, IdempotencyKey, Msat, PaymentHash, Step, Timestamp};

use super::{MAX_COMING, MAX_KEY_LEN, UNINVITED, emit, refuse};
use crate::{
    bolt11::MAX_MEMO_LEN,
    entry::{Entry, terms_digest},
    event::{Arrived, Expired, Requested, Terms, TurnedAway, wallet_stream},
    io::{Effect, InvoiceOrder, Reply},
    state::Wallet,
    wire::{AccountId, Direction, PaymentState, Rail, Receive, refusal},
};

const MAX_EXPIRY_SECS: u32 = 7 * 24 * 60 * 60;
/// A payer that was in time may arrive this much later.
const GRACE_SECS: u64 = 10;
/// What has arrived is given this long to be taken or to go back.
const ARRIVED_GRACE_SECS: u64 = 2 * 60 * 60;

impl Wallet {
    pub(super) fn receive(&self, receive: &Receive, now: Timestamp) -> Step<Self> {
        let Receive { key, account, rail, amount_msat, memo, expiry_secs } = receive;
        let amount = amount_msat.unwrap_or(Msat::ZERO);
        let terms = Terms::In { expiry_secs: *expiry_secs };
        if let Some(entry) = self.payments.get(key) {
            return Step::reply(same_payment(entry, account, *rail, amount, memo, &terms));
        }
        if !account.is_operator()
            && let Err(error) = self.open_account(account, now)
        {
            return refuse(error);
        }
        let room = match self.coming.len() < MAX_COMING {
            true => Ok(()),
            false => Err(busy("Too many invoices wait for their payment; none was made.")),
        };
        if let Err(error) = new_key(key).and(room).and_then(|()| check(receive)) {
            return refuse(error);
        }
        let requested = Requested {
            key: key.clone(),
            account: account.clone(),
            rail: *rail,
            amount_msat: amount,
            memo: memo.clone(),
            terms,
            waits_for: None,
        };
        let make = InvoiceOrder {
            key: key.clone(),
            rail: *rail,
            amount_msat: *amount_msat,
            memo: memo.clone(),
            expiry_secs: *expiry_secs,
        };
        let emit = emit(key, requested).effect(Effect::MakeInvoice(make));
        Step::nothing().emit(emit).answer(Reply::Done)
    }

    /// Locked for us: taken where an invoice of ours still wants it, else sent back.
    pub(super) fn claimable(&self, hash: PaymentHash, amount_msat: Msat) -> Step<Self> {
        let wanted = self
            .by_hash
            .get(&hash)
            .and_then(|key| self.payments.get(key))
            .filter(|entry| entry.payment.direction == Direction::In);
        match wanted {
            Some(entry) if entry.arrived_msat.is_some() => Step::nothing(),
            Some(entry)
                if entry.payment.state == PaymentState::Pending
                    && amount_msat >= entry.payment.amount_msat =>
            {
                let key = entry.payment.key.clone();
                let claim = Effect::Claim { key: key.clone(), payment_hash: hash, amount_msat };
                Step::nothing()
                    .emit(emit(&key, Arrived { key: key.clone(), amount_msat }).effect(claim))
            }
            _ => {
                let turned = TurnedAway { payment_hash: hash, amount_msat };
                let back = Effect::TurnAway { payment_hash: hash };
                Step::nothing().emit(Emit::new(wallet_stream(), turned).effect(back))
            }
        }
    }

    pub(super) fn expire(&self, now: Timestamp) -> Step<Self> {
        let mut step = Step::nothing();
        for (at, key) in &self.expiries {
            if now < at.plus_secs(GRACE_SECS) {
                break;
            }
            let Some(entry) = self.payments.get(key) else { continue };
            let late = match entry.arrived_msat {
                None => true,
                Some(_) => now >= at.plus_secs(ARRIVED_GRACE_SECS),
            };
            if late {
                step = step.emit(emit(key, Expired { key: key.clone() }));
            }
        }
        step
    }
}

/// What holds for the key of every new payment, in or out.
pub(super) fn new_key(key: &IdempotencyKey) -> Result<(), ErrorBody> {
    if key.as_str().len() > MAX_KEY_LEN || key.as_str().starts_with(UNINVITED) {
        return Err(ErrorBody::new(
            "bad_key",
            format!(
                "A payment's key has at most {MAX_KEY_LEN} characters and does not begin with \
                 {UNINVITED}."
            ),
        ));
    }
    Ok(())
}

pub(super) fn busy(why: &str) -> ErrorBody {
    ErrorBody::new("busy", why).retryable()
}

fn check(receive: &Receive) -> Result<(), ErrorBody> {
    if receive.amount_msat.is_some_and(|amount| amount.is_zero()) {
        return Err(ErrorBody::new(
            "unsupported_amount",
            "An invoice of nothing cannot be paid; nothing was made.",
        )
        .hint("Leave the amount out to let the payer choose it."));
    }
    if receive.rail == Rail::Keysend || receive.rail == Rail::Ecash {
        return Err(ErrorBody::new(
            "unsupported_rail",
            "Nothing is made to be paid by that way; nothing was made.",
        ));
    }
    if receive.memo.len() > MAX_MEMO_LEN {
        return Err(ErrorBody::new(
            "memo_too_long",
            format!("An invoice's memo has at most {MAX_MEMO_LEN} bytes; nothing was made."),
        ));
    }
    if !(1..=MAX_EXPIRY_SECS).contains(&receive.expiry_secs) {
        return Err(ErrorBody::new(
            "bad_expiry",
            format!("An invoice expires after 1 to {MAX_EXPIRY_SECS} seconds; nothing was made."),
        ));
    }
    Ok(())
}

/// The same key again: the same payment where the terms are the same, else an error.
pub(super) fn same_payment(
    entry: &Entry,
    account: &AccountId,
    rail: Rail,
    amount_msat: Msat,
    memo: &str,
    terms: &Terms,
) -> Reply {
    if entry.terms == terms_digest(account, rail, amount_msat, memo, terms) {
        return Reply::Payment(Box::new(entry.payment.clone()));
    }
    Reply::Refused(
        ErrorBody::refused(
            refusal::KEY_REUSED,
            format!("The key {} belongs to a payment with other terms.", entry.payment.key),
        )
        .hint("Use a new key for a new payment."),
    )
}
