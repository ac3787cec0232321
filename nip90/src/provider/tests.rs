//! Tests of the provider: a desk that commits each decision and can be replayed from its log.

mod gates;
mod life;
mod payment;
mod random;
mod refund;
mod size;

use domain::{
    Body, Envelope, EventHash, EventId, Msat, Network, Receipt, Recorded, RequestId, StreamId,
    Timestamp, event::Link,
};
use std::collections::BTreeMap;

use super::{
    effect::{MakeInvoice, Message, PayRefund, Publish, Slot, refund_of_key},
    *,
};
use crate::{
    codec::{Input, RequestTerms, Template},
    testing::{invoice, pubkey, sign},
    types::PaymentPolicy,
};

pub const US: u8 = 1;
pub const BUYER: u8 = 2;
pub const OTHER: u8 = 3;
pub const STARTER: u8 = 4;
pub const KIND: u16 = 5_930;
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub fn msat(amount: u64) -> Msat {
    Msat::new(amount).unwrap()
}

pub fn backend() -> Backend {
    Backend {
        name: "sandbox-run".into(),
        estimate_ms: 2_000,
        deadline_secs: 60,
        max_input_bytes: 1_000,
        reads_unknown_input_as_text: false,
        unable: None,
    }
}

/// A provider with its log, committing what it decides at once.
pub struct Desk {
    pub provider: Provider,
    pub now: Timestamp,
    pub backends: BTreeMap<u16, Backend>,
    pub config: Config,
    pub log: Vec<Recorded<ProviderEvent>>,
    pub effects: Vec<ProviderEffect>,
    pub network: Network,
    heads: BTreeMap<StreamId, (u64, EventHash)>,
    own_relays: Vec<String>,
}

impl Desk {
    /// Offline, without offers.
    pub fn bare() -> Self {
        Self {
            provider: Provider::default(),
            now: START,
            backends: BTreeMap::from([(KIND, backend()), (5_000, backend())]),
            config: Config::default(),
            log: Vec::new(),
            effects: Vec::new(),
            network: Network::Practice,
            heads: BTreeMap::new(),
            own_relays: vec!["ws://127.0.0.1:7000".into()],
        }
    }

    /// Online, selling [`KIND`] at `price`.
    pub fn online(price: u64, payment: PaymentPolicy) -> Self {
        let mut desk = Self::bare();
        desk.feed(ProviderInput::OfferSet(OfferDraft {
            kind: KIND,
            price_msat: msat(price),
            payment,
        }));
        desk.feed(ProviderInput::Relays { connected: 1 });
        desk.feed(ProviderInput::GoOnline);
        assert_eq!(desk.provider.mode().state, ProviderState::Online);
        desk.effects.clear();
        desk
    }

    pub fn decide(&self, input: &ProviderInput) -> Decision<ProviderEvent, ProviderEffect> {
        let ctx = Context {
            us: pubkey(US),
            network: self.network,
            own_relays: &self.own_relays,
            starter: Some(pubkey(STARTER)),
            backends: &self.backends,
            config: &self.config,
        };
        self.provider.decide(&ctx, input, self.now)
    }

    /// Decides and commits; every event goes through its canonical bytes.
    pub fn feed(&mut self, input: ProviderInput) -> Decision<ProviderEvent, ProviderEffect> {
        let decision = self.decide(&input);
        for emit in &decision.emits {
            let (seq, prev) =
                self.heads.get(&emit.stream).copied().unwrap_or((0, EventHash::GENESIS));
            let bodies: Vec<_> = emit.bodies.iter().map(|body| body.reference.clone()).collect();
            let link = Link {
                stream: &emit.stream,
                seq: seq + 1,
                prev,
                at: self.now,
                bodies: &bodies,
                cause: None,
                data: &emit.event,
            };
            let canonical = link.canonical().unwrap();
            let hash = EventHash::of(&canonical);
            let recorded: Recorded<ProviderEvent> =
                Envelope::parse(&canonical).unwrap().typed(hash).unwrap();
            assert_eq!(recorded.data, emit.event);
            let place = Place { stream: &recorded.stream, at: recorded.at, hash };
            self.provider.apply(&place, &recorded.data);
            self.heads.insert(emit.stream.clone(), (seq + 1, hash));
            self.log.push(recorded);
            self.effects.extend(emit.effects.iter().cloned());
        }
        decision
    }

    pub fn replayed(&self) -> Provider {
        let mut provider = Provider::default();
        for event in &self.log {
            let place = Place { stream: &event.stream, at: event.at, hash: event.hash };
            provider.apply(&place, &event.data);
        }
        provider
    }

    pub fn seen(&mut self, request: &SeenRequest) -> Decision<ProviderEvent, ProviderEffect> {
        self.feed(ProviderInput::RequestSeen(Box::new(request.clone())))
    }

    pub fn later(&mut self, secs: u64) {
        self.now = self.now.plus_secs(secs);
        self.feed(ProviderInput::Tick);
    }

    pub fn job(&self, id: RequestId) -> &Job {
        self.provider.job(&id).expect("the job is known")
    }

    pub fn words(&self, id: RequestId) -> (&str, &str) {
        (self.job(id).execution.as_str(), self.job(id).payment.as_str())
    }

    /// Takes the effects released so far.
    pub fn take(&mut self) -> Vec<ProviderEffect> {
        std::mem::take(&mut self.effects)
    }

    /// The invoice that the wallet was asked for.
    pub fn invoice_asked(&self) -> &MakeInvoice {
        let mut asked = self.effects.iter().filter_map(|effect| match effect {
            ProviderEffect::MakeInvoice(asked) => Some(asked),
            _ => None,
        });
        let only = asked.next().expect("an invoice is asked for");
        assert_eq!(asked.next(), None, "one invoice");
        only
    }

    /// Makes the invoice of a job with the preimage of `seed`.
    pub fn make_invoice(&mut self, id: RequestId, seed: u8) -> PaidFact {
        let asked = self.invoice_asked().clone();
        assert_eq!(asked.request_id, id);
        let amount = asked.amount_msat;
        let (bolt11, preimage) = invoice(seed, amount.get(), self.now, asked.expiry_secs.into());
        self.effects.clear();
        self.feed(ProviderInput::InvoiceMade { request_id: id, bolt11 });
        PaidFact {
            payment_hash: preimage.payment_hash(),
            amount_msat: amount,
            preimage,
            at: self.now,
        }
    }

    pub fn executed(&mut self, id: RequestId, outcome: ExecutionOutcome) {
        let attempt = self.job(id).attempt;
        self.feed(ProviderInput::Executed { request_id: id, attempt, outcome });
    }

    pub fn publish(&mut self, id: RequestId, slot: Slot) {
        self.feed(ProviderInput::Published {
            request_id: id,
            slot,
            event_id: EventId([9; 32]),
            accepted: vec!["ws://127.0.0.1:7000".into()],
        });
    }

    /// Signs the receipt that is asked for.
    pub fn sign_receipt(&mut self, id: RequestId) -> Receipt {
        let mut receipt = self
            .effects
            .iter()
            .find_map(|effect| match effect {
                ProviderEffect::SignReceipt { receipt, .. } => Some(receipt.clone()),
                _ => None,
            })
            .expect("a receipt is asked for");
        receipt.sig = Some("00".repeat(64));
        self.feed(ProviderInput::ReceiptSigned { request_id: id, receipt: receipt.clone() });
        receipt
    }
}

pub fn done(text: &str) -> ExecutionOutcome {
    ExecutionOutcome::Inline(Body::new([5; 32], "application/json", text.as_bytes()))
}

pub fn published(effects: &[ProviderEffect]) -> Vec<&Publish> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            ProviderEffect::Publish(publish) => Some(publish),
            _ => None,
        })
        .collect()
}

/// The text of the one `error` feedback among `effects`.
pub fn only_error(effects: &[ProviderEffect]) -> String {
    let publishes = published(effects);
    assert_eq!(publishes.len(), 1, "one event: {effects:?}");
    match &publishes[0].message {
        Message::Error { text } if publishes[0].slot == Slot::Answer => text.clone(),
        other => panic!("not an error: {other:?}"),
    }
}

/// What a buyer asks: aimed at us, a bid of 10,000 msat, an hour to live.
pub fn terms() -> RequestTerms {
    RequestTerms {
        kind: KIND,
        inputs: vec![Input::text("echo hi")],
        bid_msat: Some(msat(10_000)),
        providers: vec![pubkey(US)],
        expires_at_secs: Some(START.as_secs() + 3_600),
        ..RequestTerms::default()
    }
}

pub fn request(terms: &RequestTerms) -> SeenRequest {
    signed(&terms.template(START.as_secs()).unwrap(), BUYER)
}

pub fn signed(template: &Template, by: u8) -> SeenRequest {
    let json = sign(template, by).as_json();
    SeenRequest::check(json.as_bytes(), [8; 32], "ws://127.0.0.1:7000").unwrap()
}
