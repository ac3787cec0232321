//! Tests of the buyer: a desk that commits each decision and can be replayed from its log.

mod life;
mod pair;
mod pay;
mod random;

use domain::{
    Body, CommandId, Envelope, EventHash, Msat, Network, Recorded, RequestId, Sha256Hash, StreamId,
    Timestamp, event::Link,
};
use std::collections::BTreeMap;

use super::{
    effect::{Pay, PublishRequest},
    *,
};
use crate::{
    Reply,
    codec::{FeedbackTerms, Payload, ResultTerms, Status, Template},
    testing::{invoice, pubkey, sign},
    types::{Blob, JobDraft, JobInput, Mover},
};

pub const US: u8 = 2;
pub const SELLER: u8 = 1;
pub const OTHER: u8 = 3;
pub const KIND: u16 = 5_930;
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub fn msat(amount: u64) -> Msat {
    Msat::new(amount).unwrap()
}

/// A buyer with its log, committing what it decides at once.
pub struct Desk {
    pub buyer: Buyer,
    pub now: Timestamp,
    pub config: Config,
    pub log: Vec<Recorded<BuyerEvent>>,
    pub effects: Vec<BuyerEffect>,
    pub bodies: BTreeMap<Sha256Hash, Body>,
    heads: BTreeMap<StreamId, (u64, EventHash)>,
    own_relays: Vec<String>,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            buyer: Buyer::default(),
            now: START,
            config: Config::default(),
            log: Vec::new(),
            effects: Vec::new(),
            bodies: BTreeMap::new(),
            heads: BTreeMap::new(),
            own_relays: vec!["ws://127.0.0.1:7000".into()],
        }
    }

    pub fn decide(&self, input: &BuyerInput) -> Decision<BuyerEvent, BuyerEffect> {
        let ctx = Context {
            us: pubkey(US),
            network: Network::Practice,
            own_relays: &self.own_relays,
            blob_server: Some("http://127.0.0.1:3000/"),
            config: &self.config,
        };
        self.buyer.decide(&ctx, input, self.now)
    }

    /// Decides and commits; every event goes through its canonical bytes.
    pub fn feed(&mut self, input: BuyerInput) -> Decision<BuyerEvent, BuyerEffect> {
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
            let recorded: Recorded<BuyerEvent> =
                Envelope::parse(&canonical).unwrap().typed(hash).unwrap();
            assert_eq!(recorded.data, emit.event);
            let place = Place { stream: &recorded.stream, at: recorded.at, hash };
            self.buyer.apply(&place, &recorded.data);
            self.heads.insert(emit.stream.clone(), (seq + 1, hash));
            self.log.push(recorded);
            self.effects.extend(emit.effects.iter().cloned());
            self.bodies.extend(emit.bodies.iter().map(|body| (body.reference.hash, body.clone())));
        }
        decision
    }

    pub fn replayed(&self) -> Buyer {
        let mut buyer = Buyer::default();
        for event in &self.log {
            let place = Place { stream: &event.stream, at: event.at, hash: event.hash };
            buyer.apply(&place, &event.data);
        }
        buyer
    }

    pub fn submit(&mut self, draft: &JobDraft, salt: u8) -> Decision<BuyerEvent, BuyerEffect> {
        let draft = draft.clone();
        self.feed(BuyerInput::Submit { draft, salt: [salt; 32], limits: limits(1_000_000) })
    }

    /// Submits `draft`, and has a relay take it.
    pub fn asked(&mut self, draft: &JobDraft, salt: u8) -> RequestId {
        let Some(Reply::Submitted { request_id }) = self.submit(draft, salt).reply else {
            panic!("refused")
        };
        let relays = vec!["ws://127.0.0.1:7000".into()];
        self.feed(BuyerInput::RequestPublished { request_id, relays });
        request_id
    }

    pub fn seen(&mut self, template: &Template, by: u8) -> Decision<BuyerEvent, BuyerEffect> {
        self.feed(answer(template, by))
    }

    /// What was checked: the result that is here, or none that ever was.
    pub fn checked(&self, id: RequestId) -> Sha256Hash {
        let result = self.buyer.job(&id).and_then(|job| job.result.as_ref());
        result.map_or(Sha256Hash([0; 32]), crate::ResultRef::sha256)
    }

    pub fn verified(&mut self, id: RequestId) -> Decision<BuyerEvent, BuyerEffect> {
        self.feed(BuyerInput::ResultVerified { request_id: id, sha256: self.checked(id) })
    }

    pub fn rejected(&mut self, id: RequestId, reason: &str) -> Decision<BuyerEvent, BuyerEffect> {
        let (sha256, reason) = (self.checked(id), reason.to_owned());
        self.feed(BuyerInput::ResultRejected { request_id: id, sha256, reason })
    }

    pub fn later(&mut self, secs: u64) {
        self.now = self.now.plus_secs(secs);
        self.feed(BuyerInput::Tick);
    }

    pub fn job(&self, id: RequestId) -> &Purchase {
        self.buyer.job(&id).expect("the job is known")
    }

    pub fn words(&self, id: RequestId) -> (&str, &str) {
        (self.job(id).stage.as_str(), self.job(id).spending.as_str())
    }

    pub fn pays(&self) -> Vec<&Pay> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                BuyerEffect::Pay(pay) => Some(pay),
                _ => None,
            })
            .collect()
    }

    pub fn sign_receipt(&mut self, id: RequestId) -> domain::Receipt {
        let mut receipt = self
            .effects
            .iter()
            .find_map(|effect| match effect {
                BuyerEffect::SignReceipt { receipt, .. } => Some(receipt.clone()),
                _ => None,
            })
            .expect("a receipt is asked for");
        receipt.sig = Some("00".repeat(64));
        self.feed(BuyerInput::ReceiptSigned { request_id: id, receipt: receipt.clone() });
        receipt
    }

    /// The columns add up, and what is held is what the open jobs hold.
    pub fn books(&self) -> Ledger {
        let ledger = *self.buyer.ledger();
        assert_eq!(
            ledger.reserved_msat,
            ledger.held_msat + ledger.released_msat + ledger.spent_msat
        );
        let held: u64 = self.buyer.jobs().map(|job| job.reserved_msat.get()).sum();
        assert_eq!(ledger.held_msat, held);
        ledger
    }
}

pub fn answer(template: &Template, by: u8) -> BuyerInput {
    let json = sign(template, by).as_json();
    let seen = SeenAnswer::check(json.as_bytes(), [by; 32]).unwrap();
    BuyerInput::AnswerSeen(Box::new(seen))
}

pub fn limits(amount: u64) -> SpendLimits {
    SpendLimits {
        per_job_msat: msat(amount),
        left_today_msat: msat(amount),
        spendable_msat: msat(amount),
    }
}

/// Asks `provider` for at most 1,000 msat and 50 msat of fees.
pub fn draft(key: &str, provider: Option<u8>) -> JobDraft {
    JobDraft {
        key: CommandId::new(key).unwrap(),
        kind: KIND,
        inputs: vec![JobInput::Text { text: "echo hi".into() }],
        params: vec![("command".into(), "sh".into())],
        bid_msat: msat(1_000),
        max_fee_msat: msat(50),
        provider: provider.map(pubkey),
        timeout_secs: 300,
    }
}

pub fn feedback(id: RequestId, status: Status, pay: Option<(u64, &str)>) -> Template {
    FeedbackTerms {
        request_id: id,
        relay: None,
        customer: Some(pubkey(US)),
        status,
        text: "from outside".into(),
        amount_msat: pay.map(|(amount, _)| msat(amount)),
        bolt11: pay.map(|(_, bolt11)| bolt11.to_owned()),
        content: String::new(),
    }
    .template(START.as_secs())
    .unwrap()
}

pub fn result_terms(id: RequestId, pay: Option<(u64, &str)>) -> ResultTerms {
    let content = "{\"exit\":0}".to_owned();
    ResultTerms {
        request_kind: KIND,
        request_id: id,
        relay: None,
        customer: Some(pubkey(US)),
        request_json: None,
        inputs: Vec::new(),
        amount_msat: pay.map(|(amount, _)| msat(amount)),
        bolt11: pay.map(|(_, bolt11)| bolt11.to_owned()),
        sha256: Some(Sha256Hash::of(content.as_bytes())),
        payload: Payload::Event { content, media_type: Some("application/json".into()) },
    }
}

pub fn result(id: RequestId, pay: Option<(u64, &str)>) -> Template {
    result_terms(id, pay).template(START.as_secs()).unwrap()
}

pub fn blob() -> Blob {
    Blob {
        url: "http://127.0.0.1:3000/ab".into(),
        sha256: Sha256Hash([5; 32]),
        size_bytes: 1_000,
        media_type: "application/x-tar".into(),
    }
}
