//! Money out: checked against the request, the limits and the balance, then logged, then sent.

use domain::{ErrorBody, Msat, Step, Timestamp};
use safety::SpendLimits;

use super::{
    MAX_GOING, emit,
    receive::{busy, new_key, same_payment},
    refuse,
};
use crate::{
    bolt11::Bolt11,
    event::{Requested, Terms},
    io::{Effect, Reply},
    state::{Node, Wallet},
    wire::{Direction, Pay, Quote},
};

/// A request that expires sooner than this is not worth a try.
pub(super) const LEAST_LEFT_SECS: u64 = 2;

impl Wallet {
    pub(crate) fn limits(&self) -> SpendLimits {
        self.limits.unwrap_or(SpendLimits::CAREFUL)
    }

    pub(super) fn pay(&self, node: &Node, pay: &Pay, now: Timestamp) -> Step<Self> {
        let request = match Bolt11::read(&pay.bolt11, node.network) {
            Ok(request) => request,
            Err(error) => return refuse(error.to_error()),
        };
        let terms = Terms::Out {
            bolt11: request.text.clone(),
            payment_hash: request.payment_hash,
            payee: request.payee.clone(),
            max_fee_msat: pay.max_fee_msat,
            expires_at: request.expires_at,
        };
        if let Some(entry) = self.payments.get(&pay.key) {
            return Step::reply(same_payment(entry, pay.amount_msat, &request.memo, &terms));
        }
        let room = match self.going.len() < MAX_GOING {
            true => Ok(()),
            false => Err(busy("Too many payments are under way; nothing was begun.")),
        };
        let allowed = new_key(&pay.key)
            .and(room)
            .and_then(|()| asked_amount(&request, pay.amount_msat))
            .and_then(|()| self.may_pay(node, &request, pay.max_fee_msat, now));
        if let Err(error) = allowed {
            return refuse(error);
        }
        let send = Effect::Send {
            key: pay.key.clone(),
            payment_hash: request.payment_hash,
            bolt11: request.text,
            max_fee_msat: pay.max_fee_msat,
        };
        let requested = Requested {
            key: pay.key.clone(),
            amount_msat: request.amount_msat,
            memo: request.memo,
            terms,
        };
        Step::nothing().emit(emit(&pay.key, requested).effect(send)).answer(Reply::Done)
    }

    pub(super) fn quote(&self, node: &Node, bolt11: &str, now: Timestamp) -> Reply {
        match Bolt11::read(bolt11, node.network) {
            Ok(request) => {
                let max_fee_msat = self.usual_fee(request.amount_msat);
                let refused = self.may_pay(node, &request, max_fee_msat, now).err();
                Reply::Quote(Box::new(Quote {
                    payment_hash: request.payment_hash,
                    payee: request.payee,
                    amount_msat: request.amount_msat,
                    max_fee_msat,
                    expires_at: request.expires_at,
                    memo: request.memo,
                    refused,
                }))
            }
            Err(error) => Reply::Refused(error.to_error()),
        }
    }

    /// One per cent and ten satoshi, within the limit: what a route may usually cost.
    fn usual_fee(&self, amount: Msat) -> Msat {
        let percent = Msat::new(amount.get() / 100).unwrap_or(Msat::ZERO);
        percent.saturating_add(Msat::from_sat(10)).min(self.limits().max_fee_msat)
    }

    /// Everything that must hold before this request may be paid now.
    fn may_pay(
        &self,
        node: &Node,
        request: &Bolt11,
        max_fee: Msat,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        if now.plus_secs(LEAST_LEFT_SECS) > request.expires_at {
            return Err(ErrorBody::refused(
                "invoice_expired",
                format!("The invoice expired at {}. Nothing was sent.", request.expires_at),
            )
            .hint("Ask the payee for a new invoice."));
        }
        if request.payee == node.node_id {
            return Err(ErrorBody::refused(
                "own_invoice",
                "The invoice is this wallet's own. Nothing was sent.",
            ));
        }
        if let Some(known) = self.by_hash.get(&request.payment_hash) {
            return Err(self.hash_in_use(known));
        }
        self.window
            .check(&self.limits(), request.amount_msat, max_fee, now)
            .map_err(safety::OverLimit::to_error)?;
        let most = request.amount_msat.saturating_add(max_fee);
        match self.spendable() {
            Some(have) if most <= have => Ok(()),
            Some(have) => Err(ErrorBody::refused(
                "insufficient_balance",
                format!(
                    "The payment can cost up to {most}, and {have} can be spent. Nothing was sent."
                ),
            )),
            None => Err(ErrorBody::refused(
                "balance_unknown",
                "The ledger does not add up, so nothing is paid from it. Nothing was sent.",
            )
            .hint("Run `pilothouse doctor`.")),
        }
    }

    fn hash_in_use(&self, key: &domain::IdempotencyKey) -> ErrorBody {
        let what = match self.payments.get(key).map(|entry| &entry.payment) {
            Some(payment) if payment.direction == Direction::In => "is this wallet's own",
            Some(payment) if payment.state.is_over() => "was tried before, and its time is over",
            _ => "is being paid already",
        };
        ErrorBody::refused(
            "already_paid",
            format!("The invoice {what} (payment {key}). Nothing was sent."),
        )
        .hint("Ask the payee for a new invoice if another payment is meant.")
    }
}

fn asked_amount(request: &Bolt11, expected: Msat) -> Result<(), ErrorBody> {
    if request.amount_msat == expected {
        return Ok(());
    }
    Err(ErrorBody::refused(
        "amount_mismatch",
        format!(
            "The invoice asks for {}, and {expected} was expected. Nothing was sent.",
            request.amount_msat
        ),
    )
    .hint("Check that this is the right invoice."))
}
