//! The world: desks, a relay between them, the Lightning network, and what each action does.

use domain::{Delivery, EventData, EventId, IdempotencyKey, Msat, Network, Timestamp};
use engine::{
    Command, Event, Fact, Input, Reply, WalletFact,
    event::Identity,
    view::{RelayState, WalletState},
};
use nip90::{
    DemandAnswer, DemandRisk, JobDraft, JobInput, OfferDraft, PaymentPolicy,
    buyer::BuyerEvent,
    provider::{Backend, execution::Execution},
};
use std::collections::BTreeMap;
use wallet::wire;

use super::{
    action::{Action, Money},
    desk::Desk,
    invariants::{self, Checked},
    lightning::Lightning,
    mutant::Mutant,
    relay::Relay,
};

pub const KIND: u16 = 5_930;
pub const RELAY: &str = "ws://127.0.0.1:7000";
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub struct World {
    pub now: Timestamp,
    pub desks: Vec<Desk>,
    pub relay: Relay,
    pub money: Lightning,
    pub mutant: Option<Mutant>,
    /// Lines about what happened, where somebody reads them.
    pub told: Option<Vec<String>>,
    /// How many events of each type were recorded.
    pub recorded: BTreeMap<String, usize>,
    salts: u64,
}

impl World {
    /// `desks` processes that have just started for the first time.
    pub fn new(desks: usize, mutant: Option<Mutant>) -> Result<Self, invariants::Violation> {
        let mut world = Self {
            now: START,
            desks: (0..desks).map(|at| Desk::new(at, mutant)).collect(),
            relay: Relay::default(),
            money: Lightning::new(desks, mutant),
            mutant,
            told: None,
            recorded: BTreeMap::new(),
            salts: 0,
        };
        for at in 0..desks {
            world.boot(at)?;
        }
        Ok(world)
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(line());
        }
    }

    /// Salts of bodies and requests: never the same twice.
    pub fn salt(&mut self) -> [u8; 32] {
        self.salts += 1;
        let mut salt = [7; 32];
        salt[..8].copy_from_slice(&self.salts.to_be_bytes());
        salt
    }

    /// Hands one input to a desk's loop, and checks what must hold after each event.
    pub fn deliver(
        &mut self,
        at: usize,
        delivery: Delivery<Input>,
    ) -> Result<Option<Reply>, invariants::Violation> {
        let committed = self.desks[at].deliver(delivery, self.now)?;
        for event in &committed.events {
            self.desks[at].observed.note(event);
            *self.recorded.entry(event.data.type_name().to_owned()).or_default() += 1;
            let desk = &self.desks[at];
            invariants::one_terminal_state_per_job(desk, &event.stream)?;
            invariants::credited_only_by_exact_hash(at, desk, &self.money, event)?;
            invariants::no_payment_is_given_up(event)?;
            invariants::refunded_only_by_its_settled_payment(at, &self.money, event)?;
            let receipt = match &event.data {
                Event::Provider(nip90::provider::ProviderEvent::ReceiptSigned(signed)) => {
                    Some(&signed.receipt)
                }
                Event::Buyer(BuyerEvent::ReceiptSigned(signed)) => Some(&signed.receipt),
                _ => None,
            };
            if let Some(receipt) = receipt {
                invariants::receipts_prove(desk, receipt)?;
            }
            self.tell(|| {
                let data = event.data.to_json().map_or_else(|e| e.to_string(), |d| d.to_string());
                format!(
                    "desk {at} {}#{} {} {data}",
                    event.stream,
                    event.seq,
                    event.data.type_name()
                )
            });
        }
        for effect in &committed.effects {
            invariants::no_work_before_payment_when_announced_so(
                at,
                &self.desks[at],
                &self.money,
                effect,
            )?;
            self.tell(|| format!("desk {at} releases {effect}"));
        }
        if let Some(newest) = committed.events.last() {
            let desk = &self.desks[at];
            invariants::spent_today_counts_all_that_was_paid(desk, newest)?;
            invariants::replay_equals_memory("after an event", &desk.shadow, &desk.state)?;
            invariants::ledger_adds_up(desk)?;
        }
        if let Some(reply) = &committed.reply {
            self.tell(|| format!("desk {at} replies {reply:?}"));
        }
        Ok(committed.reply)
    }

    pub fn fact(&mut self, at: usize, fact: Fact) -> Checked {
        self.deliver(at, Delivery::new(Input::Fact(fact))).map(|_| ())
    }

    pub fn command(&mut self, at: usize, command: Command) -> Checked {
        self.deliver(at, Delivery::new(Input::Command(command))).map(|_| ())
    }

    /// What a process tells its engine when it starts.
    fn boot(&mut self, at: usize) -> Checked {
        let pubkey = self.desks[at].identity.pubkey();
        self.fact(at, Fact::Started { version: "sim".to_owned(), network: Network::Practice })?;
        let npub = vault::npub(&pubkey);
        let kept_in = "file".to_owned();
        self.fact(
            at,
            Fact::Identity(Identity { pubkey, npub, kept_in, backed_up: false, name: None }),
        )?;
        self.fact(at, Fact::RelaysRecounted)?;
        self.fact(at, Fact::WalletRechecked)?;
        self.fact(at, Fact::Backends(BTreeMap::from([(KIND, backend())])))?;
        self.fact(at, Fact::BlobServer { url: "http://127.0.0.1:3000".to_owned() })?;
        self.command(at, Command::RelayAdd { url: RELAY.to_owned() })?;
        if self.desks[at].relay_up {
            self.relay_link(at, true)?;
        }
        if self.desks[at].wallet_up { self.wallet_link(at, true) } else { Ok(()) }
    }

    pub fn crash(&mut self, at: usize) -> Checked {
        self.tell(|| format!("desk {at} dies and starts again"));
        self.desks[at].crash()?;
        self.desks[at].unheard = (0..self.relay.len()).collect();
        self.boot(at)
    }

    pub fn relay_link(&mut self, at: usize, up: bool) -> Checked {
        self.desks[at].relay_up = up;
        if up {
            self.desks[at].unheard = (0..self.relay.len()).collect();
        }
        let state = if up { RelayState::Connected } else { RelayState::Disconnected };
        self.fact(at, Fact::Relay { url: RELAY.to_owned(), state, detail: None })
    }

    pub fn wallet_link(&mut self, at: usize, up: bool) -> Checked {
        self.desks[at].wallet_up = up;
        if !up {
            let state = WalletState::NotReachable;
            return self.fact(at, Fact::Wallet(WalletFact::State { state, detail: None }));
        }
        self.desks[at].read_to = self.desks[at].state.wallet.cursor;
        let info = wire::Info {
            receives: vec![wire::Rail::Bolt11],
            pays: vec![wire::Rail::Bolt11],
            network: Network::Practice,
            backend: "model".to_owned(),
            node_id: format!("node-{at}"),
            state: wire::NodeState::Ready,
            balance: Some(self.money.balance(at, self.now)),
            cursor: self.money.executors[at].notices.len() as u64,
            detail: None,
            listening_address: None,
        };
        self.fact(at, Fact::Wallet(WalletFact::Info(info)))
    }

    pub fn at(&self, desk: u8) -> usize {
        usize::from(desk) % self.desks.len()
    }

    /// Lets one thing happen.
    pub fn step(&mut self, action: &Action) -> Checked {
        match *action {
            Action::Later { secs } => self.later(secs.into())?,
            Action::Calm => self.drain()?,
            Action::Skew { desk, secs } => {
                let at = self.at(desk);
                self.desks[at].skew_secs = secs.into();
            }
            Action::Broken { desk, broken } => {
                let at = self.at(desk);
                self.desks[at].broken = broken;
            }
            Action::Online { desk } => self.command(self.at(desk), Command::ProviderOnline)?,
            Action::Offline { desk } => self.command(self.at(desk), Command::ProviderOffline)?,
            Action::Offer { desk, price_msat, after } => {
                let payment = if after { PaymentPolicy::After } else { PaymentPolicy::Before };
                let offer = OfferDraft { kind: KIND, price_msat: msat(price_msat), payment };
                self.command(self.at(desk), Command::OfferSet(offer))?;
            }
            Action::OfferRemove { desk } => {
                self.command(self.at(desk), Command::OfferRemove { kind: KIND })?;
            }
            Action::Policy { desk, open } => {
                let answers = [DemandAnswer::Accept, DemandAnswer::Ask, DemandAnswer::Refuse];
                let answer = answers[usize::from(open) % 3];
                let risk = DemandRisk::Open;
                self.command(self.at(desk), Command::DemandPolicySet { risk, answer })?;
            }
            Action::RelayLink { desk, up } => self.relay_link(self.at(desk), up)?,
            Action::WalletLink { desk, up } => self.wallet_link(self.at(desk), up)?,
            Action::Act { desk, nth, how } => self.act(self.at(desk), nth.into(), how)?,
            Action::Hear { desk, nth, how } => self.hear(self.at(desk), nth.into(), how)?,
            Action::Money { nth, how } => self.move_money(nth.into(), how)?,
            Action::Notices { desk, count } => self.notices(self.at(desk), count.into())?,
            Action::NoticeAgain { desk, nth } => self.notice_again(self.at(desk), nth.into())?,
            Action::Crash { desk } => self.crash(self.at(desk))?,
            Action::Forge { nth, what } => self.forge(nth.into(), what),
            _ => self.operate(action)?,
        }
        Ok(())
    }

    /// What the operator does about jobs and money.
    fn operate(&mut self, action: &Action) -> Checked {
        match *action {
            Action::Submit { desk, to, bid_msat, fee_msat, key, timeout_secs } => {
                let provider = to.map(|to| self.desks[self.at(to)].identity.pubkey());
                let draft = JobDraft {
                    key: domain::CommandId::new(format!("order-{key}"))
                        .expect("BUG: a short word is a command's id"),
                    kind: KIND,
                    inputs: vec![JobInput::Text { text: format!("job {key}") }],
                    params: Vec::new(),
                    bid_msat: msat(bid_msat),
                    max_fee_msat: msat(fee_msat),
                    provider,
                    timeout_secs,
                };
                let salt = self.salt();
                let at = self.at(desk);
                let reply = self.deliver(at, Delivery::new(Input::Submit { draft, salt }))?;
                if let Some(Reply::JobSubmitted { request_id }) = reply {
                    let orders = &mut self.desks[at].observed.orders;
                    let known = *orders.entry(key).or_insert(request_id);
                    invariants::same_key_same_job(known, request_id)?;
                }
            }
            Action::Answer { desk, nth, accept } => {
                let at = self.at(desk);
                let jobs = self.desks[at].state.provider.jobs();
                let waiting = jobs.filter(|job| job.execution == Execution::Received);
                if let Some(request_id) = nth_of(waiting.map(|job| job.request_id), nth) {
                    self.command(
                        at,
                        match accept {
                            true => Command::JobAccept { request_id },
                            false => Command::JobRefuse { request_id },
                        },
                    )?;
                }
            }
            Action::Cancel { desk, nth, sold } => {
                let at = self.at(desk);
                let state = &self.desks[at].state;
                let request = match sold {
                    true => nth_of(state.provider.jobs().map(|job| job.request_id), nth),
                    false => nth_of(state.buyer.jobs().map(|job| job.request_id), nth),
                };
                if let Some(request_id) = request {
                    self.command(at, Command::JobCancel { request_id })?;
                }
            }
            Action::Receive { desk, key, amount_msat } => {
                let receive = wire::Receive::invoice(
                    IdempotencyKey::of("receive", key),
                    msat(amount_msat),
                    "by hand".to_owned(),
                    300,
                );
                self.command(self.at(desk), Command::WalletReceive(receive))?;
            }
            Action::Pay { desk, key, nth } => {
                if let Some(bolt11) = nth_of(self.known_invoices().into_iter(), nth) {
                    let asks = nip90::bolt11::Invoice::parse(&bolt11, Network::Practice)
                        .map_or(Msat::ZERO, |invoice| invoice.amount_msat);
                    let key = IdempotencyKey::of("pay", key);
                    let pay = wire::Pay::invoice(key, bolt11, asks, msat(50));
                    self.command(self.at(desk), Command::WalletPay(pay))?;
                }
            }
            _ => self.give_back(action)?,
        }
        Ok(())
    }

    /// Invoices that anybody could have seen: those made by hand, and those of jobs that were
    /// recorded by their provider.
    fn known_invoices(&self) -> Vec<String> {
        let mut known = Vec::new();
        for (at, desk) in self.desks.iter().enumerate() {
            for payment in self.money.executors[at].payments.values() {
                let by_hand = payment.key.as_str().starts_with("receive/");
                known.extend(payment.request.clone().filter(|_| by_hand));
            }
            known.extend(desk.state.provider.jobs().filter_map(|job| job.bolt11.clone()));
        }
        known
    }

    pub fn later(&mut self, secs: u64) -> Checked {
        self.now = self.now.plus_secs(secs);
        self.money.expire(self.now);
        if self.mutant == Some(Mutant::TimeStandsStill) {
            return Ok(());
        }
        for at in 0..self.desks.len() {
            self.fact(at, Fact::Tick)?;
        }
        Ok(())
    }

    pub fn move_money(&mut self, nth: usize, how: Money) -> Checked {
        self.money.move_money(nth, how, self.now);
        invariants::never_pays_twice(&self.money)?;
        invariants::never_refunds_twice(&self.money)
    }

    /// The executor's next notices.
    pub fn notices(&mut self, at: usize, count: usize) -> Checked {
        if !self.desks[at].wallet_up {
            return Ok(());
        }
        let from = usize::try_from(self.desks[at].read_to).unwrap_or(usize::MAX);
        let notices = &self.money.executors[at].notices;
        let next: Vec<_> = notices.iter().skip(from).take(count).cloned().collect();
        for notice in next {
            self.desks[at].read_to = notice.cursor;
            self.fact(at, Fact::Wallet(WalletFact::Notice(notice)))?;
        }
        Ok(())
    }

    fn notice_again(&mut self, at: usize, nth: usize) -> Checked {
        let read = usize::try_from(self.desks[at].read_to).unwrap_or(usize::MAX);
        let notices = self.money.executors[at].notices.iter().take(read);
        match nth_of(notices.cloned(), u8::try_from(nth % 251).unwrap_or(0)) {
            Some(notice) => self.fact(at, Fact::Wallet(WalletFact::Notice(notice))),
            None => Ok(()),
        }
    }

    /// Stores an event at the relay; what a desk answers to one job must be one event.
    pub fn publish(
        &mut self,
        event: nostr::event::Event,
    ) -> Result<EventId, invariants::Violation> {
        let (id, fresh) = self.relay.store(event);
        if let Some(index) = fresh {
            for desk in &mut self.desks {
                desk.unheard.insert(index);
            }
            let stored = self.relay.get(index);
            let ours = self.desks.iter().any(|desk| desk.identity.pubkey() == stored.author);
            if let (true, Some(request)) = (ours, &stored.answers) {
                let answers = self.relay.answers(stored.author, request);
                invariants::one_answer_per_job(&answers, request)?;
            }
        }
        Ok(id)
    }
}

pub fn nth_of<T>(of: impl Iterator<Item = T>, nth: u8) -> Option<T> {
    let all: Vec<T> = of.collect();
    let at = usize::from(nth) % all.len().max(1);
    all.into_iter().nth(at)
}

pub fn msat(amount: u32) -> Msat {
    Msat::new(amount.into()).unwrap_or_default()
}

fn backend() -> Backend {
    Backend {
        name: "model".to_owned(),
        estimate_ms: 2_000,
        deadline_secs: 60,
        max_input_bytes: 10_000,
        reads_unknown_input_as_text: true,
        unable: None,
    }
}
