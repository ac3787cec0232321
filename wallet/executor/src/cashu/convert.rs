//! The only place where the types of `cdk` meet those of the port.

use cdk::{Amount, Error, wallet::types::Transaction};
use domain::{Msat, PaymentHash, Preimage};
use wallet::Found;

const LONGEST_REASON: usize = 300;

/// Ecash counts whole satoshi.
pub fn to_msat(amount: Amount) -> Option<Msat> {
    Msat::new(u64::from(amount).checked_mul(1_000)?).ok()
}

/// Nothing where it is not a whole number of satoshi.
pub fn to_sat(amount: Msat) -> Option<Amount> {
    amount.get().is_multiple_of(1_000).then(|| Amount::from(amount.get() / 1_000))
}

/// What a payment took beyond its amount; fractions of a satoshi are rounded up by the mint.
pub fn fee(spent: Amount, amount: Msat) -> Msat {
    to_msat(spent).unwrap_or(amount).saturating_sub(amount)
}

/// A preimage that does not fit proves nothing.
pub fn proof(text: Option<&str>, payment_hash: PaymentHash) -> Option<Preimage> {
    let preimage: Preimage = text?.parse().ok()?;
    Some(preimage).filter(|preimage| preimage.payment_hash() == payment_hash)
}

/// A payment that ecash was spent for.
pub fn paid(done: &Transaction, amount_msat: Msat, payment_hash: PaymentHash) -> Found {
    let spent = done.amount.checked_add(done.fee).unwrap_or(done.amount);
    settled(
        amount_msat,
        fee(spent, amount_msat),
        proof(done.payment_proof.as_deref(), payment_hash),
    )
}

pub fn settled(amount_msat: Msat, fee_msat: Msat, preimage: Option<Preimage>) -> Found {
    Found::Settled { amount_msat, fee_msat, preimage, payment_hash: None, reference: None }
}

/// An error's text, which may be the mint's own: on one line and not long.
pub fn text(error: &Error) -> String {
    let text = error.to_string();
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST_REASON).collect()
}

/// The mint said no, and there is nothing that it could still do about it.
pub fn is_final(error: &Error) -> bool {
    matches!(error, Error::PaymentFailed) || error.is_definitive_failure()
}
