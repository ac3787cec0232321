//! The backend that is somebody else's wallet: one that the operator already has, asked over
//! NIP-47. No money is held here; what the wallet says is believed only by exact payment hash, and
//! a payment out only with its preimage.

use domain::{IdempotencyKey, Msat, Network, PaymentHash, Timestamp};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::JoinSet,
};
use wallet::{
    Fact, Found, InvoiceOrder, Made, Order, Sought, Which,
    bolt11::Bolt11Request,
    event::Observed,
    wire::{Direction, NodeState, Rail},
};

use super::{
    convert,
    line::{LineError, Reach},
    remote::{CallError, Pending, Remote},
    uri::ConnectionUri,
    words::{
        self, BalanceResult, Call, Code, InfoResult, Lookup, Method, Notification, Paid, Wish,
    },
};
use crate::backend::{Backend, BackendError, Capabilities, SendAnswer};

/// How long an answer is waited for that somebody else waits for.
const ASK_WITHIN: Duration = Duration::from_secs(20);
/// How long a payment's answer is waited for before it is looked up.
const PAID_WITHIN: Duration = Duration::from_secs(90);
const BALANCE_EVERY: Duration = Duration::from_secs(20);
/// Payments that are looked up now and then, at most; beyond that the oldest are left to be told of.
const MAX_WATCHED: usize = 8_192;
/// Four times what can be under way in the log.
const MAX_ASKED: usize = 16_384;
/// Pauses between two look-ups of one payment.
const LOOK_FIRST: u64 = 2;
const LOOK_MOST: u64 = 60;
/// Where the wallet tells by itself, it is asked this seldom.
const LOOK_TOLD: u64 = 30;
/// How long after its end an invoice is still asked for.
const LATE_SECS: u64 = 3_600;
const RAILS: &[Rail] = &[Rail::Bolt11];
/// Without these a wallet can't be used: what was sent could not be known.
const NEEDED: [Method; 4] =
    [Method::PayInvoice, Method::MakeInvoice, Method::LookupInvoice, Method::GetBalance];

/// Somebody else's wallet.
pub struct NwcBackend {
    world: Arc<World>,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

/// What the tasks share.
struct World {
    remote: Remote,
    network: Network,
    state: Mutex<State>,
    /// There is a fact.
    told: Notify,
    /// Something is to be looked up now.
    look: Notify,
    /// The balance may have changed.
    moved: Notify,
}

#[derive(Default)]
struct State {
    facts: VecDeque<Fact>,
    /// Asked to be paid by this process, and not known to have failed: the last of them, and so
    /// all that can be under way. The wallet itself refuses older ones.
    asked: HashSet<PaymentHash>,
    asked_order: VecDeque<PaymentHash>,
    watched: BTreeMap<PaymentHash, Watch>,
    balance: Option<Msat>,
    /// Why this wallet can't be used, for people.
    fault: Option<String>,
}

impl State {
    fn ask(&mut self, hash: PaymentHash) {
        if self.asked.insert(hash) {
            self.asked_order.push_back(hash);
        }
        while self.asked_order.len() > MAX_ASKED {
            let oldest = self.asked_order.pop_front();
            oldest.map(|hash| self.asked.remove(&hash));
        }
    }
}

/// A payment whose outcome is asked for now and then.
#[derive(Clone, Debug)]
struct Watch {
    direction: Direction,
    next_at: Timestamp,
    pause_secs: u64,
    /// No longer asked for after this.
    until: Timestamp,
}

impl NwcBackend {
    /// Connects. Nothing is waited for: what the wallet is and holds shows in [`Backend::observe`].
    pub fn open(
        uri: &ConnectionUri,
        network: Network,
        reach: Reach,
        runtime: Handle,
    ) -> Result<Self, LineError> {
        let _inside = runtime.enter();
        let (remote, notifications) = Remote::open(uri, reach)?;
        let world = Arc::new(World {
            remote,
            network,
            state: Mutex::default(),
            told: Notify::new(),
            look: Notify::new(),
            moved: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn_on(listen(Arc::clone(&world), notifications), &runtime);
        tasks.spawn_on(watch(Arc::clone(&world)), &runtime);
        tasks.spawn_on(keep_balance(Arc::clone(&world)), &runtime);
        Ok(Self { world, runtime, tasks: Mutex::new(tasks) })
    }

    fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, fact: Fact) {
        self.state().facts.push_back(fact);
        self.told.notify_one();
        self.moved.notify_one();
    }

    fn pause_first(&self) -> u64 {
        match self.remote.known() {
            Some(known) if known.notifies => LOOK_TOLD,
            _ => LOOK_FIRST,
        }
    }

    fn watch(&self, hash: PaymentHash, direction: Direction, until: Timestamp) {
        let pause_secs = self.pause_first();
        let next_at = host::clock::now().plus_secs(pause_secs);
        let mut state = self.state();
        if state.watched.len() >= MAX_WATCHED {
            let oldest = state.watched.iter().min_by_key(|(_, watch)| watch.until);
            let oldest = oldest.map(|(hash, _)| *hash);
            oldest.and_then(|hash| state.watched.remove(&hash));
        }
        let watch = Watch { direction, next_at, pause_secs, until };
        state.watched.entry(hash).or_insert(watch);
        drop(state);
        self.look.notify_one();
    }

    /// What became of a payment, by its exact hash.
    async fn look_up(&self, hash: PaymentHash, direction: Direction) -> Result<Found, CallError> {
        let call = Call::LookupInvoice(Lookup { payment_hash: Some(hash), invoice: None });
        match self.remote.ask::<words::Transaction>(&call, ASK_WITHIN).await {
            Ok(transaction) => Ok(convert::found(&transaction, hash, direction)?),
            Err(CallError::Refused(why)) if why.code == Code::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Tells the outcome of a payment that was asked for now and then.
    fn ended(&self, hash: PaymentHash, direction: Direction, found: Found) {
        let fact = match (direction, found) {
            (Direction::In, Found::Settled { amount_msat, preimage, .. }) => {
                let (which, rail) = (Which::Hash(hash), Rail::Bolt11);
                Fact::Received { which, rail, to: None, amount_msat, preimage }
            }
            (Direction::Out, Found::Settled { fee_msat, preimage, .. }) => {
                paid(hash, preimage, fee_msat)
            }
            (Direction::Out, Found::Failed { reason }) => {
                self.state().asked.remove(&hash);
                failed(hash, reason, false)
            }
            _ => return,
        };
        if self.state().watched.remove(&hash).is_some() {
            self.tell(fact);
        }
    }

    /// Waits for the answer to a payment, and tells it. What is not certain is looked up: by the
    /// log, which asks until it is known.
    async fn settle(self: Arc<Self>, key: IdempotencyKey, hash: PaymentHash, pending: Pending) {
        let answer = pending.answer::<Paid>(PAID_WITHIN).await;
        let fact = match answer {
            Ok(answer) if answer.preimage.payment_hash() == hash => {
                paid(hash, Some(answer.preimage), answer.fees_paid)
            }
            Ok(_) => unclear(key, "The wallet's proof of payment does not fit the invoice."),
            Err(CallError::Refused(why)) => match self.look_up(hash, Direction::Out).await {
                // Refused, and no trace of it: certain.
                Ok(Found::Nothing | Found::Failed { .. }) if is_certain(why.code) => {
                    self.state().asked.remove(&hash);
                    let again = why.code == Code::RateLimited;
                    failed(hash, format!("The wallet refused: {}", why.message), again)
                }
                Ok(Found::Settled { fee_msat, preimage: Some(preimage), .. }) => {
                    paid(hash, Some(preimage), fee_msat)
                }
                _ => unclear(key, &format!("The wallet answered: {}", why.message)),
            },
            Err(error) => unclear(key, &format!("No answer: {error}.")),
        };
        // One outcome is told, however many ways it came.
        self.state().watched.remove(&hash);
        self.tell(fact);
    }

    async fn refresh_balance(&self) -> Result<Msat, CallError> {
        let seen = self.remote.ask::<BalanceResult>(&Call::GetBalance, ASK_WITHIN).await?;
        self.state().balance = Some(seen.balance);
        Ok(seen.balance)
    }

    /// Whether it is a wallet of this network that offers what is needed.
    async fn check(&self) -> Result<(), CallError> {
        let Some(known) = self.remote.known() else { return Ok(()) };
        let missing: Vec<_> = NEEDED
            .iter()
            .filter(|method| !known.methods.contains(method))
            .map(|method| method.as_str())
            .collect();
        let mut fault = (!missing.is_empty())
            .then(|| format!("The wallet does not offer {}.", missing.join(", ")));
        if fault.is_none() && known.methods.contains(&Method::GetInfo) {
            let info = self.remote.ask::<InfoResult>(&Call::GetInfo, ASK_WITHIN).await?;
            let theirs = info.network.unwrap_or_default();
            if !theirs.is_empty() && theirs != convert::network(self.network) {
                let theirs = words::tamed(&theirs);
                fault =
                    Some(format!("The wallet is on {theirs}, and this one on {}.", self.network));
            }
        }
        self.state().fault = fault;
        Ok(())
    }
}

fn paid(hash: PaymentHash, preimage: Option<domain::Preimage>, fee_msat: Msat) -> Fact {
    Fact::Paid { which: Which::Hash(hash), payment_hash: Some(hash), preimage, fee_msat }
}

fn failed(hash: PaymentHash, reason: String, no_way: bool) -> Fact {
    Fact::PayFailed { which: Which::Hash(hash), reason, no_way, still_open: false }
}

fn unclear(key: IdempotencyKey, reason: &str) -> Fact {
    Fact::SendUnclear { key, reason: reason.to_owned() }
}

/// Codes by which a wallet says that it did not begin to pay, or that it ended.
fn is_certain(code: Code) -> bool {
    !matches!(code, Code::Internal | Code::Other)
}

async fn listen(world: Arc<World>, mut notifications: mpsc::Receiver<Notification>) {
    while let Some(Notification { transaction, .. }) = notifications.recv().await {
        // What it says is only a reason to look: the look-up is what counts.
        let Some(hash) = transaction.payment_hash else { continue };
        if let Some(watch) = world.state().watched.get_mut(&hash) {
            watch.next_at = Timestamp::default();
        }
        world.look.notify_one();
        world.moved.notify_one();
    }
}

/// Looks up what is due, one after the other.
async fn watch(world: Arc<World>) {
    const IDLE: Duration = Duration::from_secs(1);
    loop {
        let now = host::clock::now();
        let due = {
            let mut state = world.state();
            state.watched.retain(|_, watch| watch.until > now);
            let due = state.watched.iter().min_by_key(|(_, watch)| watch.next_at);
            due.filter(|(_, watch)| watch.next_at <= now)
                .map(|(hash, watch)| (*hash, watch.clone()))
        };
        let Some((hash, due)) = due else {
            let _woken = tokio::time::timeout(IDLE, world.look.notified()).await;
            continue;
        };
        let found = world.look_up(hash, due.direction).await;
        if let Some(watch) = world.state().watched.get_mut(&hash) {
            watch.pause_secs = (due.pause_secs * 2).min(LOOK_MOST);
            watch.next_at = host::clock::now().plus_secs(watch.pause_secs);
        }
        match found {
            Ok(found) => world.ended(hash, due.direction, found),
            Err(error) => tracing::debug!(%error, "a payment is looked up later"),
        }
    }
}

/// Keeps what the wallet is and holds.
async fn keep_balance(world: Arc<World>) {
    const SOON: Duration = Duration::from_secs(2);
    loop {
        let seen = match world.check().await {
            Ok(()) => world.refresh_balance().await.map(drop),
            Err(error) => Err(error),
        };
        let pause = match seen {
            Ok(()) => BALANCE_EVERY,
            Err(error) => {
                tracing::debug!(%error, "the wallet's balance is asked for again soon");
                SOON
            }
        };
        let _woken = tokio::time::timeout(pause, world.moved.notified()).await;
    }
}

impl Backend for NwcBackend {
    fn name(&self) -> &'static str {
        "nwc"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chosen_hash: false, receives: RAILS, pays: RAILS }
    }

    /// The wallet's key of this connection: another connection is another wallet to the log.
    fn node_id(&self) -> String {
        self.world.remote.service().to_hex()
    }

    fn observe(&self) -> Observed {
        let trouble = self.world.remote.trouble();
        let state = self.world.state();
        let (node, detail) = match (trouble, &state.fault, state.balance) {
            (Some(trouble), _, None) => (NodeState::Starting, Some(trouble)),
            (Some(trouble), _, Some(_)) => (NodeState::Degraded, Some(trouble)),
            (None, Some(fault), _) => (NodeState::Degraded, Some(fault.clone())),
            (None, None, None) => (NodeState::Syncing, None),
            (None, None, Some(_)) => (NodeState::Ready, None),
        };
        Observed {
            state: node,
            detail,
            // Not told over NIP-47.
            inbound_msat: Msat::ZERO,
            onchain_msat: Msat::ZERO,
            spendable_msat: state.balance,
            unknown: state.balance.is_none(),
        }
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.wait_for(self.world.refresh_balance())
            .map(drop)
            .map_err(|error| BackendError::NotNow(error.to_string()))
    }

    /// Of a hash that the wallet chose. Its words are not believed: the invoice itself says its
    /// hash, amount and end.
    fn make_invoice(
        &self,
        order: &InvoiceOrder,
        _payment_hash: PaymentHash,
    ) -> Result<Made, BackendError> {
        let (Rail::Bolt11, Some(amount)) = (order.rail, order.amount_msat) else {
            let why = "this wallet makes Lightning invoices with an amount only";
            return Err(BackendError::Refused(why.into()));
        };
        let wish = Wish {
            amount,
            description: (!order.memo.is_empty()).then(|| order.memo.clone()),
            description_hash: None,
            expiry: Some(u64::from(order.expiry_secs)),
        };
        let call = Call::MakeInvoice(wish);
        let made = self.wait_for(self.world.remote.ask::<words::Transaction>(&call, ASK_WITHIN));
        let made = made.map_err(|error| match error {
            CallError::Refused(why) if why.code != Code::RateLimited && is_certain(why.code) => {
                BackendError::Refused(why.to_string())
            }
            CallError::NotOffered(_) => BackendError::Refused(error.to_string()),
            other => BackendError::NotNow(other.to_string()),
        })?;
        let made = convert::made(&made, amount, self.world.network)
            .map_err(|error| BackendError::Refused(error.to_string()))?;
        let until = made.expires_at.plus_secs(LATE_SECS);
        self.world.watch(made.payment_hash, Direction::In, until);
        Ok(Made {
            text: made.text,
            payment_hash: Some(made.payment_hash),
            expires_at: Some(made.expires_at),
        })
    }

    fn send(&self, order: &Order) -> SendAnswer {
        let invoice = match Bolt11Request::read(&order.request, self.world.network) {
            Ok(invoice) if order.rail == Rail::Bolt11 => invoice,
            Ok(_) => return SendAnswer::Refused("this wallet pays Lightning invoices only".into()),
            Err(error) => return SendAnswer::Refused(error.to_string()),
        };
        let hash = invoice.payment_hash;
        let asks_another = invoice.amount_msat.is_some_and(|asks| asks != order.amount_msat);
        if asks_another || order.payment_hash.is_some_and(|expected| expected != hash) {
            return SendAnswer::Refused("the invoice is another one than was meant".into());
        }
        if let Some(fault) = self.world.state().fault.clone() {
            return SendAnswer::NotNow(fault);
        }
        if self.world.state().asked.contains(&hash) {
            return SendAnswer::Unclear("The wallet was asked to pay it already.".into());
        }
        let has_enough = |balance: Option<Msat>| balance.is_none_or(|has| has >= order.amount_msat);
        let balance = self.world.state().balance;
        if !has_enough(balance) && !has_enough(self.wait_for(self.world.refresh_balance()).ok()) {
            return SendAnswer::NotSent("the wallet holds less than that".into());
        }
        self.world.state().ask(hash);
        let call = Call::PayInvoice(words::Order {
            id: None,
            invoice: order.request.clone(),
            amount: invoice.amount_msat.is_none().then_some(order.amount_msat),
        });
        match self.wait_for(self.world.remote.submit(&call, PAID_WITHIN)) {
            Ok(pending) => {
                let world = Arc::clone(&self.world);
                let settling = world.settle(order.key.clone(), hash, pending);
                let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                while tasks.try_join_next().is_some() {}
                tasks.spawn_on(settling, &self.runtime);
                SendAnswer::Taken { reference: None }
            }
            Err(error) => {
                self.world.state().asked.remove(&hash);
                match error {
                    CallError::NotOffered(_) => SendAnswer::Refused(error.to_string()),
                    _ => SendAnswer::NotNow(error.to_string()),
                }
            }
        }
    }

    fn look_up(&self, sought: &Sought) -> Result<Found, BackendError> {
        let Some(hash) = sought.payment_hash else { return Ok(Found::Nothing) };
        let found = self
            .wait_for(self.world.look_up(hash, sought.direction))
            .map_err(|error| BackendError::NotNow(error.to_string()))?;
        if found == Found::InFlight {
            // Nobody may be listening any more, so its outcome is asked for from here on.
            let until = host::clock::now().plus_secs(7 * 24 * 60 * 60);
            self.world.watch(hash, sought.direction, until);
        }
        Ok(found)
    }

    async fn next_fact(&self) -> Fact {
        loop {
            let told = self.world.told.notified();
            if let Some(fact) = self.world.state().facts.front().cloned() {
                return fact;
            }
            told.await;
        }
    }

    fn acknowledge(&self) -> Result<(), BackendError> {
        self.world.state().facts.pop_front();
        Ok(())
    }

    fn stop(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.wait_for(async {
            let mut tasks = tasks;
            tasks.shutdown().await;
            self.world.remote.close().await;
        });
    }
}
