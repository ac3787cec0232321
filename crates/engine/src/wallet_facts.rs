//! What the executor says, routed to the mirror and to the job that a payment belongs to.

use domain::{Emit, ErrorBody, IdempotencyKey, RequestId, Timestamp};
use nip90::{
    Blocker,
    buyer::{BuyerInput, Settled},
    provider::{PaidFact, ProviderInput, RefundFact, effect::refund_of_key},
};
use wallet::wire::{self, Direction, NodeState, NoticeKind, PaymentState};

use crate::{
    event::{
        AnswerFailed, DeskEvent, PaymentChanged, PaymentRefused, WalletAccounts, WalletAttached,
        WalletBalance, WalletBehind, WalletChanged, WalletOther,
    },
    input::WalletFact,
    state::{EngineStep, State, desk, payment_stream},
    view::WalletState,
};
use domain::Step;

/// Whose payment a key names.
enum Owner {
    Sold(RequestId),
    Bought(RequestId),
    /// One attempt to give back what a sold job owes.
    Refund(RequestId, u32),
    Operator,
}

impl Owner {
    fn of(key: &IdempotencyKey) -> Self {
        if let Some((id, attempt)) = refund_of_key(key) {
            return Self::Refund(id, attempt);
        }
        match key.as_str().split_once('/').and_then(|(area, id)| Some((area, id.parse().ok()?))) {
            Some(("job", id)) => Self::Sold(id),
            Some(("buy", id)) => Self::Bought(id),
            _ => Self::Operator,
        }
    }
}

/// The job that a payment's key names, if it names one.
pub fn job_of(key: &IdempotencyKey) -> Option<RequestId> {
    match Owner::of(key) {
        Owner::Sold(id) | Owner::Bought(id) | Owner::Refund(id, _) => Some(id),
        Owner::Operator => None,
    }
}

impl State {
    pub(crate) fn wallet_fact(&self, fact: &WalletFact, now: Timestamp) -> EngineStep {
        match fact {
            WalletFact::Info(info) => self.wallet_info(info, now),
            WalletFact::State { state, detail } => self.wallet_state(*state, detail, None, now),
            WalletFact::Connected { newest } => self.wallet_connected(*newest),
            WalletFact::Notice(notice) => self.notice(notice, now),
            WalletFact::Accepted(payment) => self.payment_changed(payment, None, now),
            WalletFact::Refused { key, error } => self.payment_refused(key, error, now),
            WalletFact::NotAnswered { key, error } => {
                let failed = AnswerFailed { key: key.clone(), error: error.clone() };
                let event = DeskEvent::AnswerFailed(failed);
                Step::nothing().emit(Emit::new(payment_stream(key), event))
            }
            WalletFact::Unanswered { key, why } => self.unanswered(key, why, now),
        }
    }

    pub(crate) fn wallet_rechecked(&self, now: Timestamp) -> EngineStep {
        self.provider(&ProviderInput::Blockers(self.wallet_blockers(self.wallet.state)), now)
    }

    /// A wallet that is not ready stands in the way of priced offers; free ones need none.
    fn wallet_blockers(&self, state: WalletState) -> Vec<Blocker> {
        let priced = self.provider.offers().values().any(|offer| !offer.price_msat.is_zero());
        if state == WalletState::Ready || !priced {
            return Vec::new();
        }
        vec![Blocker {
            code: "wallet_not_ready".to_owned(),
            message: "The wallet is not ready to be paid.".to_owned(),
            hint: Some(
                "It connects by itself; look at the Wallet screen if it takes long.".to_owned(),
            ),
        }]
    }

    fn wallet_info(&self, info: &wire::Info, now: Timestamp) -> EngineStep {
        let mut step = Step::nothing();
        let is_named = !info.node_id.is_empty();
        let fingerprint = wallet::custody::fingerprint(info.network, &info.node_id);
        if is_named && self.wallet.node_id.as_ref().is_some_and(|ours| *ours != info.node_id) {
            return self.other_wallet(info, fingerprint, now);
        }
        let known = self.wallet.node_id.as_ref() == Some(&info.node_id)
            && self.wallet.fingerprint.as_ref() == Some(&fingerprint)
            && self.wallet.other.is_none()
            && self.wallet.backend.as_ref() == Some(&info.backend)
            && self.wallet.receives == info.receives
            && self.wallet.pays == info.pays;
        if is_named && !known {
            let attached = WalletAttached {
                node_id: info.node_id.clone(),
                backend: info.backend.clone(),
                fingerprint,
                receives: info.receives.clone(),
                pays: info.pays.clone(),
            };
            step = desk(DeskEvent::WalletAttached(attached));
        }
        let state = of_node(info.state);
        step.emits.extend(self.wallet_state(state, &info.detail, None, now).emits);
        if let Some(balance) = &info.balance {
            step.emits.extend(self.balance(balance, None).emits);
        }
        step
    }

    /// A wallet answers in place of ours: it is told, and nothing else is made of what it says.
    fn other_wallet(&self, info: &wire::Info, fingerprint: String, now: Timestamp) -> EngineStep {
        let ours = self.wallet.fingerprint.as_deref().unwrap_or("of unknown fingerprint");
        let detail = format!(
            "Wallet {fingerprint} answers where wallet {ours} was. Nothing is paid from it. Bring the \
             old one back, or go on with this one: `pilothouse wallet accept {fingerprint}`."
        );
        let found = WalletAttached {
            node_id: info.node_id.clone(),
            backend: info.backend.clone(),
            fingerprint,
            receives: info.receives.clone(),
            pays: info.pays.clone(),
        };
        let mut step = Step::nothing();
        if self.wallet.other.as_ref() != Some(&found) {
            step = desk(DeskEvent::WalletOther(WalletOther { found }));
        }
        let state = self.wallet_state(WalletState::OtherWallet, &Some(detail), None, now);
        step.emits.extend(state.emits);
        step
    }

    /// A cursor ahead of the executor's belongs to a log that it does not have any more.
    fn wallet_connected(&self, newest: u64) -> EngineStep {
        let known = self.wallet.cursor;
        if known <= newest {
            return Step::nothing();
        }
        desk(DeskEvent::WalletBehind(WalletBehind { newest, known }))
    }

    fn wallet_state(
        &self,
        state: WalletState,
        detail: &Option<String>,
        cursor: Option<u64>,
        now: Timestamp,
    ) -> EngineStep {
        if self.wallet.state == state && self.wallet.detail == *detail {
            return Step::nothing();
        }
        let changed = WalletChanged { state, detail: detail.clone(), cursor };
        let mut step = desk(DeskEvent::WalletChanged(changed));
        if (self.wallet.state == WalletState::Ready) != (state == WalletState::Ready) {
            let blockers = ProviderInput::Blockers(self.wallet_blockers(state));
            step.emits.extend(self.provider(&blockers, now).emits);
        }
        step
    }

    fn balance(&self, balance: &wire::Balance, cursor: Option<u64>) -> EngineStep {
        let same = self
            .wallet
            .balance
            .is_some_and(|known| wire::Balance { as_of: known.as_of, ..*balance } == known);
        let fresh = self
            .wallet
            .balance
            .is_some_and(|known| balance.as_of.since_ms(known.as_of) < REFRESHED_EVERY_MS);
        if same && fresh {
            return Step::nothing();
        }
        desk(DeskEvent::WalletBalance(WalletBalance { balance: *balance, cursor }))
    }

    fn notice(&self, notice: &wire::Notice, now: Timestamp) -> EngineStep {
        if notice.cursor <= self.wallet.cursor {
            return Step::nothing();
        }
        let cursor = Some(notice.cursor);
        match &notice.what {
            NoticeKind::Payment(payment) => self.payment_changed(payment, cursor, now),
            NoticeKind::Balance(balance) => self.balance(balance, cursor),
            NoticeKind::Node { state, detail } => {
                self.wallet_state(of_node(*state), detail, cursor, now)
            }
            NoticeKind::Accounts { accounts } => {
                let seen = WalletAccounts { accounts: accounts.clone(), cursor };
                desk(DeskEvent::WalletAccounts(seen))
            }
        }
    }

    /// Records what is new of a payment, and tells the job that waits for it.
    fn payment_changed(
        &self,
        payment: &wire::Payment,
        cursor: Option<u64>,
        now: Timestamp,
    ) -> EngineStep {
        if self.wallet.knows(payment) {
            return Step::nothing();
        }
        let changed = PaymentChanged { payment: payment.clone(), cursor, noticed_at: now };
        let mut step = Step::nothing()
            .emit(Emit::new(payment_stream(&payment.key), DeskEvent::PaymentChanged(changed)));
        let follow_up = match (Owner::of(&payment.key), payment.direction) {
            (Owner::Sold(id), Direction::In) => self.sold(id, payment, now),
            (Owner::Bought(id), Direction::Out) => self.bought(id, payment, now),
            (Owner::Refund(id, attempt), Direction::Out) => {
                self.refunded(id, attempt, payment, now)
            }
            _ => Step::nothing(),
        };
        step.emits.extend(follow_up.emits);
        step
    }

    fn sold(&self, request_id: RequestId, payment: &wire::Payment, now: Timestamp) -> EngineStep {
        let input = match (payment.state, &payment.request, payment.payment_hash, payment.preimage)
        {
            (PaymentState::Pending, Some(bolt11), ..) => {
                ProviderInput::InvoiceMade { request_id, bolt11: bolt11.clone() }
            }
            (PaymentState::Settled, _, Some(payment_hash), Some(preimage)) => {
                ProviderInput::Paid(PaidFact {
                    payment_hash,
                    amount_msat: payment.amount_msat,
                    preimage,
                    at: payment.updated_at,
                })
            }
            (PaymentState::Expired, ..) => ProviderInput::InvoiceExpired { request_id },
            (PaymentState::Failed, ..) => {
                ProviderInput::InvoiceFailed { request_id, reason: detail(payment) }
            }
            _ => return Step::nothing(),
        };
        self.provider(&input, now)
    }

    fn bought(&self, request_id: RequestId, payment: &wire::Payment, now: Timestamp) -> EngineStep {
        let Some(payment_hash) = payment.payment_hash else { return Step::nothing() };
        let input = match (payment.state, payment.preimage, payment.fee_msat) {
            (PaymentState::Settled, Some(preimage), Some(fee_msat)) => {
                BuyerInput::PaySettled(Settled {
                    request_id,
                    payment_hash,
                    preimage,
                    amount_msat: payment.amount_msat,
                    fee_msat,
                })
            }
            (PaymentState::Failed | PaymentState::Expired, ..) => {
                BuyerInput::PayFailed { request_id, payment_hash, reason: detail(payment) }
            }
            (PaymentState::Unknown, ..) => BuyerInput::PayUnknown { request_id, payment_hash },
            _ => return Step::nothing(),
        };
        self.buyer(&input, now)
    }

    fn refunded(
        &self,
        request_id: RequestId,
        attempt: u32,
        payment: &wire::Payment,
        now: Timestamp,
    ) -> EngineStep {
        let proof = (payment.payment_hash, payment.preimage, payment.fee_msat);
        let input = match (payment.state, proof) {
            (PaymentState::Settled, (Some(payment_hash), Some(preimage), Some(fee_msat))) => {
                ProviderInput::RefundSettled(RefundFact {
                    request_id,
                    attempt,
                    payment_hash,
                    preimage,
                    amount_msat: payment.amount_msat,
                    fee_msat,
                })
            }
            (PaymentState::Failed | PaymentState::Expired, _) => {
                ProviderInput::RefundFailed { request_id, attempt, reason: detail(payment) }
            }
            (PaymentState::Unknown, _) => ProviderInput::RefundUnknown { request_id, attempt },
            _ => return Step::nothing(),
        };
        self.provider(&input, now)
    }

    /// A payment that the executor does not answer for is unknown, until it does.
    fn unanswered(&self, key: &IdempotencyKey, why: &str, now: Timestamp) -> EngineStep {
        let asked = |payment: &&wire::Payment| {
            payment.direction == Direction::Out && payment.state == PaymentState::Requested
        };
        if let Some(payment) = self.wallet.payment(key).filter(asked) {
            let payment = wire::Payment {
                state: PaymentState::Unknown,
                detail: Some(why.to_owned()),
                updated_at: now,
                ..payment.clone()
            };
            return self.payment_changed(&payment, None, now);
        }
        match Owner::of(key) {
            Owner::Bought(request_id) => {
                match self.buyer.job(&request_id).and_then(|job| job.payment_hash) {
                    Some(payment_hash) => {
                        self.buyer(&BuyerInput::PayUnknown { request_id, payment_hash }, now)
                    }
                    None => Step::nothing(),
                }
            }
            Owner::Refund(request_id, attempt) => {
                self.provider(&ProviderInput::RefundUnknown { request_id, attempt }, now)
            }
            Owner::Sold(_) | Owner::Operator => Step::nothing(),
        }
    }

    pub(crate) fn payment_refused(
        &self,
        key: &IdempotencyKey,
        error: &ErrorBody,
        now: Timestamp,
    ) -> EngineStep {
        let refused = PaymentRefused { key: key.clone(), error: error.clone() };
        let mut step = Step::nothing()
            .emit(Emit::new(payment_stream(key), DeskEvent::PaymentRefused(refused)));
        let reason = error.message.clone();
        let follow_up = match Owner::of(key) {
            Owner::Sold(request_id) => {
                self.provider(&ProviderInput::InvoiceFailed { request_id, reason }, now)
            }
            Owner::Bought(request_id) => {
                match self.buyer.job(&request_id).and_then(|job| job.payment_hash) {
                    Some(payment_hash) => {
                        self.buyer(&BuyerInput::PayFailed { request_id, payment_hash, reason }, now)
                    }
                    None => Step::nothing(),
                }
            }
            Owner::Refund(request_id, attempt) => {
                self.provider(&ProviderInput::RefundFailed { request_id, attempt, reason }, now)
            }
            Owner::Operator => Step::nothing(),
        };
        step.emits.extend(follow_up.emits);
        step
    }
}

/// A balance that did not change is recorded again at most this often.
const REFRESHED_EVERY_MS: u64 = 60_000;

fn of_node(state: NodeState) -> WalletState {
    match state {
        NodeState::Starting => WalletState::Starting,
        NodeState::Syncing | NodeState::Degraded => WalletState::Syncing,
        NodeState::Ready => WalletState::Ready,
    }
}

fn detail(payment: &wire::Payment) -> String {
    payment.detail.clone().unwrap_or_else(|| "the wallet gave no reason".to_owned())
}

#[cfg(test)]
mod tests;
