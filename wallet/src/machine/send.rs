//! Money out: checked against the request, the account, the limits and the balance, then logged,
//! then sent; above a limit it waits for the operator.

use domain::{ErrorBody, Msat, Step, Timestamp};
use safety::{OverLimit, SpendLimits};

use super::{
    LEAST_LEFT_SECS, MAX_GOING, MAX_WAITING, emit,
    receive::{busy, new_key, same_payment},
    refuse,
};
use crate::{
    account::OnLimit,
    event::{Requested, Terms},
    io::{Effect, Order, Reply},
    order::Asked,
    state::{Node, Wallet},
    wire::{AccountId, Direction, Pay, Payment, PaymentState, Quote, QuoteQuery},
};

/// One payment as it would be made.
struct Plan<'a> {
    account: &'a AccountId,
    asked: &'a Asked,
    amount: Msat,
    max_fee: Msat,
}

impl Wallet {
    pub(crate) fn limits(&self) -> SpendLimits {
        self.limits.unwrap_or(SpendLimits::CAREFUL)
    }

    pub(super) fn pay(&self, node: &Node, pay: &Pay, now: Timestamp) -> Step<Self> {
        let asked = match Asked::read(&pay.request, pay.lnurl.as_ref(), node.network) {
            Ok(asked) => asked,
            Err(error) => return refuse(error),
        };
        let terms = Terms::Out {
            request: asked.text.clone(),
            payment_hash: asked.payment_hash,
            payee: asked.shown_payee().to_owned(),
            max_fee_msat: pay.max_fee_msat,
            expires_at: asked.expires_at,
        };
        if let Some(entry) = self.payments.get(&pay.key) {
            let (rail, memo) = (asked.rail, &asked.memo);
            return Step::reply(same_payment(
                entry,
                &pay.account,
                rail,
                pay.amount_msat,
                memo,
                &terms,
            ));
        }
        let plan = Plan {
            account: &pay.account,
            asked: &asked,
            amount: pay.amount_msat,
            max_fee: pay.max_fee_msat,
        };
        let room = match self.going.len() < MAX_GOING {
            true => Ok(()),
            false => Err(busy("Too many payments are under way; nothing was begun.")),
        };
        let permitted = new_key(&pay.key)
            .and(room)
            .and_then(|()| asked_amount(&asked, pay.amount_msat))
            .and_then(|()| match &pay.lnurl {
                Some(proof) => asked.check_proof(proof, pay.amount_msat, node.network, now),
                None => Ok(()),
            })
            .and_then(|()| self.permit(node, &plan, now));
        let waits_for = match permitted {
            Ok(waits_for) => waits_for,
            Err(error) => return refuse(error),
        };
        let order = Order {
            key: pay.key.clone(),
            rail: asked.rail,
            request: asked.text,
            payment_hash: asked.payment_hash,
            amount_msat: pay.amount_msat,
            max_fee_msat: pay.max_fee_msat,
        };
        let goes_now = waits_for.is_none();
        let requested = Requested {
            key: pay.key.clone(),
            account: pay.account.clone(),
            rail: asked.rail,
            amount_msat: pay.amount_msat,
            memo: asked.memo,
            terms,
            waits_for,
        };
        let mut emit = emit(&pay.key, requested);
        if goes_now {
            emit = emit.effect(Effect::Send(order));
        }
        Step::nothing().emit(emit).answer(Reply::Done)
    }

    pub(super) fn quote(&self, node: &Node, query: &QuoteQuery, now: Timestamp) -> Reply {
        let asked = match Asked::read(&query.request, query.lnurl.as_ref(), node.network) {
            Ok(asked) => asked,
            Err(error) => return Reply::Refused(error),
        };
        let amount = match (asked.amount_msat, query.amount_msat) {
            (Some(amount), None) => amount,
            (_, Some(amount)) => match asked_amount(&asked, amount) {
                Ok(()) => amount,
                Err(error) => return Reply::Refused(error),
            },
            (None, None) => return Reply::Refused(amount_needed()),
        };
        if let Some(proof) = &query.lnurl
            && let Err(error) = asked.check_proof(proof, amount, node.network, now)
        {
            return Reply::Refused(error);
        }
        let max_fee = self.usual_fee(amount);
        let plan = Plan { account: &query.account, asked: &asked, amount, max_fee };
        let (waits_for, refused) = match self.permit(node, &plan, now) {
            Ok(waits_for) => (waits_for, None),
            Err(error) => (None, Some(error)),
        };
        Reply::Quote(Box::new(Quote {
            rail: asked.rail,
            payee: asked.shown_payee().to_owned(),
            request: asked.text,
            payment_hash: asked.payment_hash,
            amount_msat: amount,
            max_fee_msat: max_fee,
            expires_at: asked.expires_at,
            memo: asked.memo,
            waits_for,
            refused,
        }))
    }

    /// One per cent and ten satoshi, within the limit: what a route may usually cost.
    fn usual_fee(&self, amount: Msat) -> Msat {
        let percent = Msat::new(amount.get() / 100).unwrap_or(Msat::ZERO);
        percent.saturating_add(Msat::from_sat(10)).min(self.limits().max_fee_msat)
    }

    /// Whether the payment may be made: now, or once the operator approves (the limit that it is
    /// above), or not at all.
    fn permit(
        &self,
        node: &Node,
        plan: &Plan<'_>,
        now: Timestamp,
    ) -> Result<Option<ErrorBody>, ErrorBody> {
        self.owner_may(plan, now)?;
        self.is_payable(node, plan.asked, now)?;
        self.has_funds(plan)?;
        let Some(over) = self.over_limit(plan, now) else { return Ok(None) };
        let asks = match self.accounts.get(plan.account) {
            Some(held) => held.account.on_limit == OnLimit::Ask,
            None => true,
        };
        if asks && self.waiting.len() < MAX_WAITING { Ok(Some(over)) } else { Err(over) }
    }

    fn owner_may(&self, plan: &Plan<'_>, now: Timestamp) -> Result<(), ErrorBody> {
        if plan.account.is_operator() {
            return Ok(());
        }
        let held = self.open_account(plan.account, now)?;
        let allow = &held.account.allow;
        if allow.is_empty() || allow.iter().any(|payee| plan.asked.goes_to(payee)) {
            return Ok(());
        }
        Err(ErrorBody::refused(
            "not_allowed",
            format!(
                "{} may not pay {}. Nothing was sent.",
                held.account.name,
                plan.asked.shown_payee()
            ),
        )
        .hint("The operator can add the payee to the account's allow-list."))
    }

    fn is_payable(&self, node: &Node, asked: &Asked, now: Timestamp) -> Result<(), ErrorBody> {
        if let Some(expires_at) = asked.expires_at
            && now.plus_secs(LEAST_LEFT_SECS) > expires_at
        {
            return Err(ErrorBody::refused(
                "invoice_expired",
                format!("The invoice expired at {expires_at}. Nothing was sent."),
            )
            .hint("Ask the payee for a new invoice."));
        }
        if asked.payee == node.node_id || self.by_request.contains_key(&asked.text) {
            return Err(ErrorBody::refused(
                "own_invoice",
                "This is the wallet's own. Nothing was sent.",
            ));
        }
        if let Some(known) = asked.payment_hash.and_then(|hash| self.by_hash.get(&hash)) {
            return Err(self.hash_in_use(known));
        }
        if let Some(known) = self.by_target.get(&asked.text) {
            return Err(ErrorBody::refused(
                "already_paying",
                format!(
                    "A payment to this payee is still under way (payment {known}). Nothing was sent."
                ),
            )
            .hint("Pay again once the first one is over."));
        }
        Ok(())
    }

    fn has_funds(&self, plan: &Plan<'_>) -> Result<(), ErrorBody> {
        let most = plan.amount.saturating_add(plan.max_fee);
        if self.is_unknown() {
            return Err(ErrorBody::refused(
                "balance_unknown",
                "What the wallet holds is not known yet. Nothing was sent.",
            )
            .hint("Pay again once the wallet shows its balance.")
            .retryable());
        }
        let Some(in_wallet) = self.spendable() else {
            return Err(ErrorBody::refused(
                "balance_unknown",
                "The ledger does not add up, so nothing is paid from it. Nothing was sent.",
            )
            .hint("Run `pilothouse doctor`."));
        };
        let have = match self.own_money(plan.account) {
            Some(own) => own.min(in_wallet),
            None => in_wallet.saturating_sub(self.set_apart()),
        };
        if most <= have {
            return Ok(());
        }
        Err(ErrorBody::refused(
            "insufficient_balance",
            format!(
                "The payment can cost up to {most}, and {have} can be spent. Nothing was sent."
            ),
        ))
    }

    /// The first limit that the payment is above.
    fn over_limit(&self, plan: &Plan<'_>, now: Timestamp) -> Option<ErrorBody> {
        let most = plan.amount.saturating_add(plan.max_fee);
        if let Some(held) = self.accounts.get(plan.account) {
            let name = &held.account.name;
            if let Some(limit) = held.account.per_payment_msat.filter(|limit| plan.amount > *limit)
            {
                return Some(OverLimit::Payment { asked: plan.amount, limit }.to_error());
            }
            if let Some(budget) = held.account.budget {
                let spent = held.window.total(now);
                if spent.saturating_add(most) > budget.amount_msat {
                    return Some(ErrorBody::refused(
                        "over_budget",
                        format!(
                            "With {spent} spent or on its way, {most} more would pass the budget \
                             of {} of {name}. Nothing was sent.",
                            budget.amount_msat
                        ),
                    ));
                }
            }
        }
        self.window
            .check(&self.limits(), plan.amount, plan.max_fee, now)
            .err()
            .map(OverLimit::to_error)
    }

    fn hash_in_use(&self, key: &domain::IdempotencyKey) -> ErrorBody {
        let what = match self.payments.get(key).map(|entry| &entry.payment) {
            Some(Payment { direction: Direction::In, .. }) => "is this wallet's own",
            Some(Payment { state: PaymentState::Settled, .. }) => "was paid already",
            Some(Payment { state: PaymentState::AwaitingApproval, .. }) => {
                "waits for the operator's approval already"
            }
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

fn amount_needed() -> ErrorBody {
    ErrorBody::refused(
        "amount_needed",
        "The request names no amount: say how much is to be paid. Nothing was sent.",
    )
}

fn asked_amount(asked: &Asked, expected: Msat) -> Result<(), ErrorBody> {
    if !expected.get().is_multiple_of(asked.unit_msat) {
        return Err(ErrorBody::refused(
            "bad_amount",
            "Only whole satoshi can be paid that way. Nothing was sent.",
        ));
    }
    match asked.amount_msat {
        Some(amount) if amount == expected => Ok(()),
        None if !expected.is_zero() => Ok(()),
        None => Err(amount_needed()),
        Some(amount) => Err(ErrorBody::refused(
            "amount_mismatch",
            format!(
                "The invoice asks for {amount}, and {expected} was expected. Nothing was sent."
            ),
        )
        .hint("Check that this is the right invoice.")),
    }
}
