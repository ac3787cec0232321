//! The payment machine: decides on inputs; its events alone change the state.
//!
//! Above a limit a payment out is `AwaitingApproval` first, and nothing is asked of the backend.
//!
//! In: `Requested → Pending (an invoice is out) → Settled | Expired`, or `Failed` where no invoice
//! could be made. Out: `Requested → Pending → Settled | Failed`, or `Unknown` until a look-up by
//! payment hash says which; a try that failed for certain may have a next one (`retry`). A payment
//! that was called over becomes `Settled` all the same when the backend shows that its money moved:
//! the ledger follows the money.

mod accounts;
mod approve;
mod facts;
mod receive;
mod retry;
mod send;

use domain::{Emit, ErrorBody, IdempotencyKey, Machine, Recorded, Step, Timestamp};

use crate::{
    event::{LimitsSet, Started, WalletEvent, payment_stream, wallet_stream},
    io::{Effect, Input, Reply, Sought, Summary},
    state::{Node, Wallet},
    wire::{Direction, HistoryQuery, Payment, PaymentState, refusal},
};

/// Unpaid invoices above which no new one is made. Strangers can have them made, so they never
/// stand in the way of our own payments.
pub(crate) const MAX_COMING: usize = 4_096;
/// Payments out under way above which no new one is begun.
pub(crate) const MAX_GOING: usize = 4_096;
/// Payments that may wait for the operator at once; above that they are refused by their limit.
pub(crate) const MAX_WAITING: usize = 1_024;
/// How long a payment waits for the operator.
pub(crate) const APPROVED_WITHIN_SECS: u64 = 24 * 60 * 60;
/// A request that expires sooner than this is not worth a try.
pub(crate) const LEAST_LEFT_SECS: u64 = 2;
/// Longest key: its stream's name must fit an id.
const MAX_KEY_LEN: usize = 180;
/// Where the keys of payments without an invoice of ours begin.
const UNINVITED: &str = "uninvited";
/// Most rows of one answer.
const MAX_ROWS: u32 = 500;

impl Machine for Wallet {
    type Input = Input;
    type Event = WalletEvent;
    type Effect = Effect;
    type Reply = Reply;

    fn decide(&self, input: &Input, now: Timestamp) -> Step<Self> {
        if let Input::Start { .. } = input {
            return self.start(input);
        }
        let Some(node) = &self.node else {
            return refuse(not_started());
        };
        match input {
            Input::Start { .. } => Step::nothing(),
            Input::Receive(receive) => self.receive(receive, now),
            Input::Pay(pay) => self.pay(node, pay, now),
            Input::Quote(query) => Step::reply(self.quote(node, query, now)),
            Input::Approve { key } => self.approve(key, now),
            Input::Deny { key } => self.deny(key),
            Input::SetLimits { limits } => self.set_limits(limits),
            Input::Limits => Step::reply(self.limits_view(now)),
            Input::SetAccount(account) => self.set_account(account),
            Input::CloseAccount { id } => self.close_account(id),
            Input::Accounts => {
                let views = self.accounts.all().map(|held| held.view(now)).collect();
                Step::reply(Reply::Accounts(views))
            }
            Input::Move(moved) => self.make_move(moved, now),
            Input::Payment { key } => Step::reply(self.tell_payment(Some(key))),
            Input::MaySend { key } => self.may_send(key, now),
            Input::PaymentOf(which) => {
                Step::reply(self.tell_payment(self.find(which).map(|entry| &entry.payment.key)))
            }
            Input::History(query) => Step::reply(Reply::Payments(self.history(query))),
            Input::Notices { after, count } => Step::reply(self.tell(*after, *count)),
            Input::Summary => Step::reply(Reply::Summary(Box::new(self.summary(node)))),
            Input::Fact(fact) => self.take_fact(fact, now).answer(Reply::Done),
            Input::Tick => self.stop_waiting(self.try_again(self.expire(now), now), now),
        }
    }

    fn apply(&mut self, event: &Recorded<WalletEvent>) {
        self.fold(event);
    }
}

fn refuse(error: ErrorBody) -> Step<Wallet> {
    Step::reply(Reply::Refused(error))
}

fn not_started() -> ErrorBody {
    ErrorBody::new("starting", "The wallet is still starting; nothing was done.").retryable()
}

impl Wallet {
    /// Binds the log to one node of one network, and asks what became of everything under way.
    fn start(&self, input: &Input) -> Step<Self> {
        let Input::Start { network, backend, node_id, limits } = input else {
            return Step::nothing();
        };
        if let Some(node) = &self.node
            && (node.network != *network || node.node_id != *node_id)
        {
            return refuse(other_wallet(node));
        }
        let started =
            Started { network: *network, backend: backend.clone(), node_id: node_id.clone() };
        let mut emit = Emit::new(wallet_stream(), started);
        emit.effects = self.look_ups();
        let mut step = Step::nothing().emit(emit);
        if self.limits.is_none() {
            step = step.emit(Emit::new(wallet_stream(), LimitsSet { limits: *limits }));
        }
        step.answer(Reply::Done)
    }

    /// One look-up for each payment that the backend was asked for and did not end.
    fn look_ups(&self) -> Vec<Effect> {
        let asked = |payment: &Payment| {
            matches!(payment.state, PaymentState::Pending | PaymentState::Unknown)
        };
        self.coming
            .iter()
            .chain(&self.going)
            .filter_map(|key| self.payments.get(key))
            .map(|entry| &entry.payment)
            // What can be paid more than once has no outcome.
            .filter(|payment| {
                asked(payment)
                    && (payment.direction == Direction::Out || payment.payment_hash.is_some())
            })
            .map(|payment| Effect::LookUp(Sought::of(payment)))
            .collect()
    }

    fn tell_payment(&self, key: Option<&IdempotencyKey>) -> Reply {
        match key.and_then(|key| self.payments.get(key)) {
            Some(entry) => Reply::Payment(Box::new(entry.payment.clone())),
            None => Reply::Refused(ErrorBody::new(
                refusal::NO_SUCH_PAYMENT,
                "This wallet has no such payment.",
            )),
        }
    }

    /// Newest first, older than `before`; all payments of the last one's millisecond come with it.
    fn history(&self, query: &HistoryQuery) -> Vec<Payment> {
        let count = query.count.clamp(1, MAX_ROWS) as usize;
        let mut rows: Vec<Payment> = Vec::new();
        let older = self
            .by_time
            .iter()
            .rev()
            .skip_while(|(at, _)| query.before.is_some_and(|before| *at >= before));
        for (at, key) in older {
            if rows.len() >= count && rows.last().is_some_and(|last| last.created_at != *at) {
                break;
            }
            rows.extend(self.payments.get(key).map(|entry| entry.payment.clone()));
        }
        rows
    }

    fn tell(&self, after: u64, count: u32) -> Reply {
        if after > self.cursor {
            return Reply::Refused(
                ErrorBody::new(
                    "unknown_cursor",
                    format!(
                        "The asked cursor {after} is ahead of this wallet's newest, {}.",
                        self.cursor
                    ),
                )
                .hint("This is not the wallet that the cursor came from, or an older copy of it."),
            );
        }
        Reply::Notices(self.notices(after, count.clamp(1, MAX_ROWS) as usize))
    }

    fn summary(&self, node: &Node) -> Summary {
        Summary {
            network: node.network,
            backend: node.backend.clone(),
            node_id: node.node_id.clone(),
            state: node.state,
            detail: node.detail.clone(),
            balance: self.balance(),
            in_channels_msat: self.ledger.total_msat(),
            under_way: self.coming.len() + self.going.len(),
            cursor: self.cursor,
            limits: self.limits(),
        }
    }
}

fn other_wallet(node: &Node) -> ErrorBody {
    ErrorBody::refused(
        "other_wallet",
        format!(
            "This home's payments belong to node {} on {}; the seed or the network is another one. \
             Nothing was started.",
            node.node_id, node.network
        ),
    )
    .hint("Restore the seed that belongs to this home, or use a new home.")
}

/// The stream of a payment with an event in it.
fn emit(key: &IdempotencyKey, event: impl Into<WalletEvent>) -> Emit<Wallet> {
    Emit::new(payment_stream(key), event)
}

#[cfg(test)]
mod tests;
