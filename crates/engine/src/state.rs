//! The engine's machine: routes every input to the lanes, and folds their events.

use domain::{
    Emit, ErrorBody, IdempotencyKey, Machine, Msat, Network, Pubkey, Recorded, Step, StreamId,
    Timestamp,
};
use nip90::{
    Decision, JobDraft, Place,
    buyer::{self, Buyer, BuyerInput, SpendLimits},
    provider::{self, Backend, Provider, ProviderInput},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

use crate::{
    command::{Command, Reply},
    effect::Effect,
    event::{
        DeskEvent, Event, Identity, RelayAdded, RelayChanged, RelayRemoved, ServiceChanged, Started,
    },
    input::{Fact, Input},
    letters::DeadLetters,
    timeline::{JobKey, Timelines},
    totals::Totals,
    view::RelayState,
    wallet_mirror::WalletMirror,
};

/// Receipts that are held for screens; all of them are read by page.
const RECEIPTS_KEPT: usize = 50;

/// What one bought job may cost, fees included. The executor's own limits hold besides.
const PER_JOB_LIMIT: Msat = Msat::from_sat(100_000);
/// What bought jobs may cost on one UTC day.
const DAILY_LIMIT: Msat = Msat::from_sat(1_000_000);

/// One configured relay as last seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayStatus {
    pub state: RelayState,
    pub detail: Option<String>,
    pub since: Timestamp,
}

/// Everything a desk knows, folded from its log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub network: Network,
    pub identity: Option<Identity>,
    pub relays: BTreeMap<String, RelayStatus>,
    pub services: BTreeMap<String, ServiceChanged>,
    pub backends: BTreeMap<u16, Backend>,
    pub provider: Provider,
    pub buyer: Buyer,
    pub wallet: WalletMirror,
    pub timelines: Timelines,
    pub totals: Totals,
    pub receipts: VecDeque<domain::Receipt>,
    pub config: provider::Config,
    pub buyer_config: buyer::Config,
    pub blob_server: Option<String>,
    pub letters: DeadLetters,
}

pub(crate) type EngineStep = Step<State>;

impl Machine for State {
    type Input = Input;
    type Event = Event;
    type Effect = Effect;
    type Reply = Reply;

    fn decide(&self, input: &Input, now: Timestamp) -> EngineStep {
        match input {
            Input::Command(command) => self.command(command, now),
            Input::Submit { draft, salt } => self.submit(draft, *salt, now),
            Input::Fact(fact) => self.fact(fact, now),
        }
    }

    fn apply(&mut self, event: &Recorded<Event>) {
        let place = Place { stream: &event.stream, at: event.at, hash: event.hash };
        match &event.data {
            Event::Provider(data) => {
                self.provider.apply(&place, data);
                if let provider::ProviderEvent::ReceiptSigned(signed) = data {
                    self.keep_receipt(&signed.receipt);
                }
            }
            Event::Buyer(data) => {
                self.buyer.apply(&place, data);
                match data {
                    buyer::BuyerEvent::Paid(paid) => self.totals.spent(paid, event.at),
                    buyer::BuyerEvent::ReceiptSigned(signed) => self.keep_receipt(&signed.receipt),
                    _ => {}
                }
            }
            Event::Desk(data) => self.apply_desk(data, event.at),
            Event::Unknown(_) => {}
        }
        if let Some(key) = JobKey::of_stream(event.stream.as_str()) {
            self.timelines.record(key, event);
            if crate::present::is_over(self, &key) {
                self.timelines.over(key);
            }
        }
    }
}

impl State {
    fn apply_desk(&mut self, event: &DeskEvent, at: Timestamp) {
        match event {
            DeskEvent::Started(started) => {
                self.network = started.network;
                for relay in self.relays.values_mut() {
                    *relay = RelayStatus::connecting(at);
                }
                self.wallet.state = crate::view::WalletState::Unknown;
                self.services.clear();
            }
            DeskEvent::Identity(identity) => self.identity = Some(identity.clone()),
            DeskEvent::Backends(backends) => self.backends.clone_from(&backends.backends),
            DeskEvent::BlobServer(server) => self.blob_server = Some(server.url.clone()),
            DeskEvent::RelayAdded(added) => {
                self.relays.insert(added.url.clone(), RelayStatus::connecting(at));
            }
            DeskEvent::RelayRemoved(removed) => {
                self.relays.remove(&removed.url);
            }
            DeskEvent::RelayChanged(changed) => {
                if let Some(relay) = self.relays.get_mut(&changed.url) {
                    let RelayChanged { state, detail, .. } = changed.clone();
                    *relay = RelayStatus { state, detail, since: at };
                }
            }
            DeskEvent::ServiceChanged(changed) => {
                self.services.insert(changed.name.clone(), changed.clone());
            }
            DeskEvent::GivenUp(_) | DeskEvent::TriedAgain(_) | DeskEvent::Dropped(_) => {
                self.letters.apply(event, at);
            }
            DeskEvent::Unknown(_) => {}
            wallet_event => self.wallet.apply(wallet_event, at),
        }
    }

    fn keep_receipt(&mut self, receipt: &domain::Receipt) {
        self.totals.earned(receipt);
        self.receipts.push_front(receipt.clone());
        self.receipts.truncate(RECEIPTS_KEPT);
    }

    fn us(&self) -> Option<Pubkey> {
        self.identity.as_ref().map(|identity| identity.pubkey)
    }

    pub(crate) fn connected_relays(&self) -> u32 {
        let connected = |relay: &&RelayStatus| relay.state == RelayState::Connected;
        u32::try_from(self.relays.values().filter(connected).count()).unwrap_or(u32::MAX)
    }

    /// Asks the provider lane, whose context is this state's own.
    pub(crate) fn provider(&self, input: &ProviderInput, now: Timestamp) -> EngineStep {
        let own_relays = self.own_relays();
        match self.provider_context(&own_relays) {
            Some(context) => lane(self.provider.decide(&context, input, now), Effect::Provider),
            None => Step::nothing(),
        }
    }

    fn own_relays(&self) -> Vec<String> {
        self.relays.keys().cloned().collect()
    }

    fn provider_context<'a>(&'a self, own_relays: &'a [String]) -> Option<provider::Context<'a>> {
        Some(provider::Context {
            us: self.us()?,
            network: self.network,
            own_relays,
            starter: None,
            backends: &self.backends,
            config: &self.config,
        })
    }

    pub(crate) fn provider_blockers(&self) -> Vec<nip90::Blocker> {
        let own_relays = self.own_relays();
        self.provider_context(&own_relays)
            .map(|context| self.provider.blockers(&context))
            .unwrap_or_default()
    }

    /// Asks the buyer lane.
    pub(crate) fn buyer(&self, input: &BuyerInput, now: Timestamp) -> EngineStep {
        let Some(us) = self.us() else { return Step::nothing() };
        let own_relays = self.own_relays();
        let context = buyer::Context {
            us,
            network: self.network,
            own_relays: &own_relays,
            blob_server: self.blob_server.as_deref(),
            config: &self.buyer_config,
        };
        lane(self.buyer.decide(&context, input, now), Effect::Buyer)
    }

    /// Buys a job within what the wallet holds and what is left of the day's limit.
    fn submit(&self, draft: &JobDraft, salt: [u8; 32], now: Timestamp) -> EngineStep {
        let spendable_msat = self.wallet.balance.map_or(Msat::ZERO, |known| known.spendable_msat);
        let (_, spent_today) = self.totals.today(now);
        let limits = SpendLimits {
            per_job_msat: PER_JOB_LIMIT,
            left_today_msat: DAILY_LIMIT.saturating_sub(spent_today),
            spendable_msat,
        };
        self.buyer(&BuyerInput::Submit { draft: draft.clone(), salt, limits }, now)
    }

    fn command(&self, command: &Command, now: Timestamp) -> EngineStep {
        match command {
            Command::ProviderOnline => self.provider(&ProviderInput::GoOnline, now),
            Command::ProviderOffline => self.provider(&ProviderInput::GoOffline, now),
            Command::OfferSet(offer) => self.provider(&ProviderInput::OfferSet(offer.clone()), now),
            Command::OfferRemove { kind } => {
                self.provider(&ProviderInput::OfferRemove { kind: *kind }, now)
            }
            Command::DemandPolicySet { risk, answer } => {
                let input = ProviderInput::DemandPolicySet { risk: *risk, answer: *answer };
                self.provider(&input, now)
            }
            Command::JobAccept { request_id } => {
                self.provider(&ProviderInput::JobAccept { request_id: *request_id }, now)
            }
            Command::JobRefuse { request_id } => {
                self.provider(&ProviderInput::JobRefuse { request_id: *request_id }, now)
            }
            Command::JobRefund { request_id, bolt11, amount_msat, max_fee_msat } => {
                let order = provider::RefundOrder {
                    request_id: *request_id,
                    bolt11: bolt11.clone(),
                    amount_msat: *amount_msat,
                    max_fee_msat: *max_fee_msat,
                };
                self.provider(&ProviderInput::Refund(order), now)
            }
            Command::JobHandedBack { request_id, note } => {
                let input = ProviderInput::HandBack { request_id: *request_id, note: note.clone() };
                self.provider(&input, now)
            }
            Command::JobCancel { request_id } => {
                if self.buyer.job(request_id).is_some() {
                    self.buyer(&BuyerInput::Cancel { request_id: *request_id }, now)
                } else {
                    self.provider(&ProviderInput::JobCancel { request_id: *request_id }, now)
                }
            }
            Command::JobSubmit(_) => refused(ErrorBody::new(
                "not_prepared",
                "A job's request needs a salt: the host brings it as a submission.",
            )),
            Command::WalletReceive(receive) => self.receive(receive, now),
            Command::WalletPay(pay) => self.pay(pay, now),
            Command::WalletAnswer { key, approve } => self.answer_payment(key, *approve),
            Command::WalletRefresh => Step::reply(Reply::Done),
            Command::WalletAccept { fingerprint } => self.accept_wallet(fingerprint),
            Command::EffectRetry { effect } => self.try_again(effect),
            Command::EffectDrop { effect } => self.drop_letter(effect, now),
            Command::RelayAdd { url } => self.add_relay(url),
            Command::RelayRemove { url } => self.remove_relay(url),
        }
    }

    fn fact(&self, fact: &Fact, now: Timestamp) -> EngineStep {
        match fact {
            Fact::Started { version, network } => {
                let started = Started { version: version.clone(), network: *network };
                let mut step = desk(DeskEvent::Started(started));
                step.emits.extend(self.provider(&ProviderInput::Started, now).emits);
                step
            }
            Fact::Identity(identity) if self.identity.as_ref() == Some(identity) => Step::nothing(),
            Fact::Identity(identity) => desk(DeskEvent::Identity(identity.clone())),
            Fact::Backends(backends) if *backends == self.backends => Step::nothing(),
            Fact::Backends(backends) => {
                desk(DeskEvent::Backends(crate::event::Backends { backends: backends.clone() }))
            }
            Fact::BlobServer { url } if self.blob_server.as_ref() == Some(url) => Step::nothing(),
            Fact::BlobServer { url } => {
                desk(DeskEvent::BlobServer(crate::event::BlobServer { url: url.clone() }))
            }
            Fact::Relay { url, state, detail } => self.relay_changed(url, *state, detail, now),
            Fact::RelaysRecounted => {
                let relays = ProviderInput::Relays { connected: self.connected_relays() };
                self.provider(&relays, now)
            }
            Fact::WalletRechecked => self.wallet_rechecked(now),
            Fact::Service(changed) => self.service_changed(changed),
            Fact::Wallet(fact) => self.wallet_fact(fact, now),
            Fact::GaveUp { effect, gave_up } => self.gave_up(effect, gave_up, now),
            Fact::Provider(input) => self.provider(input, now),
            Fact::Buyer(input) => self.buyer(input, now),
            Fact::Tick => {
                let mut step = self.provider(&ProviderInput::Tick, now);
                step.emits.extend(self.buyer(&BuyerInput::Tick, now).emits);
                step
            }
        }
    }

    fn service_changed(&self, changed: &ServiceChanged) -> EngineStep {
        if self.services.get(&changed.name) == Some(changed) {
            return Step::nothing();
        }
        desk(DeskEvent::ServiceChanged(changed.clone()))
    }

    fn relay_changed(
        &self,
        url: &str,
        state: RelayState,
        detail: &Option<String>,
        now: Timestamp,
    ) -> EngineStep {
        let Some(known) = self.relays.get(url) else { return Step::nothing() };
        if known.state == state && known.detail == *detail {
            return Step::nothing();
        }
        let was = known.state == RelayState::Connected;
        let is = state == RelayState::Connected;
        let changed = RelayChanged { url: url.to_owned(), state, detail: detail.clone() };
        let mut step = desk(DeskEvent::RelayChanged(changed));
        if was != is {
            let others = self.connected_relays() - u32::from(was);
            let relays = ProviderInput::Relays { connected: others + u32::from(is) };
            step.emits.extend(self.provider(&relays, now).emits);
        }
        step
    }

    fn add_relay(&self, url: &str) -> EngineStep {
        let plain = url.starts_with("ws://") || url.starts_with("wss://");
        if !plain || url.len() > 512 || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refused(
                ErrorBody::refused("bad_relay", "A relay's address begins with wss:// or ws://.")
                    .hint("Example: wss://relay.example.org"),
            );
        }
        if self.relays.contains_key(url) {
            return Step::reply(Reply::Done);
        }
        desk(DeskEvent::RelayAdded(RelayAdded { url: url.to_owned() })).answer(Reply::Done)
    }

    fn remove_relay(&self, url: &str) -> EngineStep {
        if !self.relays.contains_key(url) {
            return refused(ErrorBody::refused("no_such_relay", "That relay is not in the list."));
        }
        desk(DeskEvent::RelayRemoved(RelayRemoved { url: url.to_owned() })).answer(Reply::Done)
    }
}

impl RelayStatus {
    fn connecting(at: Timestamp) -> Self {
        Self { state: RelayState::Connecting, detail: None, since: at }
    }
}

/// Events of the desk itself stand in one stream.
pub(crate) fn desk(event: DeskEvent) -> EngineStep {
    Step::nothing().emit(Emit::new(StreamId::named("desk"), event))
}

pub(crate) fn refused(error: ErrorBody) -> EngineStep {
    Step::reply(Reply::Refused(error))
}

pub(crate) fn payment_stream(key: &IdempotencyKey) -> StreamId {
    StreamId::of("payment", key)
}

/// A lane's decision in the engine's words.
fn lane<E: Into<Event>, F>(decision: Decision<E, F>, wrap: impl Fn(F) -> Effect) -> EngineStep {
    let emits = decision
        .emits
        .into_iter()
        .map(|emit| Emit {
            stream: emit.stream,
            event: emit.event.into(),
            bodies: emit.bodies,
            effects: emit.effects.into_iter().map(&wrap).collect(),
        })
        .collect();
    let reply = decision.reply.map(|reply| match reply {
        nip90::Reply::Done => Reply::Done,
        nip90::Reply::Submitted { request_id } => Reply::JobSubmitted { request_id },
        nip90::Reply::PaymentStarted { key } => Reply::PaymentStarted { key },
        nip90::Reply::Refused(error) => Reply::Refused(error),
    });
    Step { emits, reply }
}
