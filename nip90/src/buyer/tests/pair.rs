//! A buyer and a provider trade through signed events only: both policies, blobs, and refusals.

use super::*;
use crate::{
    DemandAnswer, DemandRisk, OfferDraft, PaymentPolicy,
    provider::{
        ExecutionOutcome, ProviderEffect, ProviderInput, SeenRequest,
        effect::Slot,
        tests::{Desk as Seller, done},
    },
};

const RELAY: &str = "ws://127.0.0.1:7000";

/// The relay, the wallet and the sandbox between the two, each doing its part at once.
struct World {
    seller: Seller,
    buyer: Desk,
    outcome: ExecutionOutcome,
    /// What the seller's wallet can claim, by payment hash.
    invoices: BTreeMap<domain::PaymentHash, domain::Preimage>,
    requests: BTreeMap<RequestId, Vec<u8>>,
    next_seed: u8,
}

impl World {
    fn new(price: u64, payment: PaymentPolicy) -> Self {
        let mut seller = Seller::online(price, payment);
        let (risk, answer) = (DemandRisk::Open, DemandAnswer::Accept);
        seller.feed(ProviderInput::DemandPolicySet { risk, answer });
        Self {
            seller,
            buyer: Desk::new(),
            outcome: done("{\"exit\":0}"),
            invoices: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_seed: 50,
        }
    }

    /// Carries effects to facts until nobody moves.
    fn run(&mut self) {
        while !self.buyer.effects.is_empty() || !self.seller.effects.is_empty() {
            for effect in std::mem::take(&mut self.buyer.effects) {
                self.buyer_effect(effect);
            }
            for effect in std::mem::take(&mut self.seller.effects) {
                self.seller_effect(effect);
            }
        }
    }

    fn buyer_effect(&mut self, effect: BuyerEffect) {
        match effect {
            BuyerEffect::PublishRequest(publish) => {
                let body = &self.buyer.bodies[&publish.request.hash];
                let template: Template = serde_json::from_slice(&body.bytes).unwrap();
                let json = sign(&template, US).as_json().into_bytes();
                let seen = SeenRequest::check(&json, [1; 32], RELAY).unwrap();
                assert_eq!(seen.id(), publish.request_id);
                self.requests.insert(publish.request_id, json);
                self.seller.feed(ProviderInput::RequestSeen(Box::new(seen)));
                let relays = vec![RELAY.to_owned()];
                let request_id = publish.request_id;
                self.buyer.feed(BuyerInput::RequestPublished { request_id, relays });
            }
            BuyerEffect::Pay(pay) => {
                let preimage = self.invoices[&pay.payment_hash];
                let at = self.seller.now;
                let (payment_hash, amount_msat) = (pay.payment_hash, pay.amount_msat);
                let paid = crate::provider::PaidFact { payment_hash, amount_msat, preimage, at };
                self.seller.feed(ProviderInput::Paid(paid));
                let request_id = pay.request_id;
                let fee_msat = msat(2);
                let settled = Settled { request_id, payment_hash, preimage, amount_msat, fee_msat };
                self.buyer.feed(BuyerInput::PaySettled(settled));
            }
            BuyerEffect::FetchBlob { request_id, blob } => {
                let (sha256, size_bytes) = (blob.sha256, blob.size_bytes);
                self.buyer.feed(BuyerInput::BlobFetched { request_id, sha256, size_bytes });
            }
            BuyerEffect::CheckResult { request_id, .. } => {
                self.buyer.verified(request_id);
            }
            BuyerEffect::SignReceipt { request_id, mut receipt } => {
                receipt.sig = Some("00".repeat(64));
                self.buyer.feed(BuyerInput::ReceiptSigned { request_id, receipt });
            }
            BuyerEffect::PublishCancel { .. } | BuyerEffect::HearAgain { .. } => {}
        }
    }

    fn seller_effect(&mut self, effect: ProviderEffect) {
        match effect {
            ProviderEffect::Publish(publish) => {
                let (_, needs) = publish.needs();
                let content = needs.map(|_| match &self.outcome {
                    ExecutionOutcome::Inline(body) => body.bytes.clone(),
                    other => panic!("no body: {other:?}"),
                });
                let request = self.requests.get(&publish.request_id).map(Vec::as_slice);
                let template = publish.template(request, content.as_deref()).unwrap();
                let event = sign(&template, SELLER);
                self.buyer.seen(&template, SELLER);
                self.seller.feed(ProviderInput::Published {
                    request_id: publish.request_id,
                    slot: publish.slot,
                    event_id: domain::EventId(event.id.to_bytes()),
                    accepted: vec![RELAY.to_owned()],
                });
                assert!(
                    publish.slot != Slot::Answer
                        || !self.seller.job(publish.request_id).execution.as_str().is_empty()
                );
            }
            ProviderEffect::MakeInvoice(asked) => {
                let seed = self.next_seed;
                self.next_seed += 1;
                let expiry = asked.expiry_secs.into();
                let (bolt11, preimage) =
                    invoice(seed, asked.amount_msat.get(), self.seller.now, expiry);
                self.invoices.insert(preimage.payment_hash(), preimage);
                let request_id = asked.request_id;
                self.seller.feed(ProviderInput::InvoiceMade { request_id, bolt11 });
            }
            ProviderEffect::Execute(execute) => {
                let (request_id, attempt) = (execute.request_id, execute.attempt);
                let outcome = self.outcome.clone();
                self.seller.feed(ProviderInput::Executed { request_id, attempt, outcome });
            }
            ProviderEffect::SignReceipt { request_id, mut receipt } => {
                receipt.sig = Some("00".repeat(64));
                self.seller.feed(ProviderInput::ReceiptSigned { request_id, receipt });
            }
            _ => {}
        }
    }

    fn trade(&mut self, provider: Option<u8>) -> RequestId {
        let order = draft("a", provider);
        let Some(Reply::Submitted { request_id }) = self.buyer.submit(&order, 1).reply else {
            panic!("refused")
        };
        self.run();
        request_id
    }
}

#[test]
fn both_sides_agree_on_every_msat_under_each_policy() {
    let free = (0, PaymentPolicy::After);
    for (price, policy) in [free, (700, PaymentPolicy::Before), (700, PaymentPolicy::After)] {
        for provider in [Some(SELLER), None] {
            for large in [false, true] {
                let mut world = World::new(price, policy);
                if large {
                    world.outcome = ExecutionOutcome::Blob(blob());
                }
                let id = world.trade(provider);
                let (sold, bought) = (world.seller.job(id), world.buyer.job(id));
                assert!(sold.succeeded(), "{sold:?}");
                assert!(bought.succeeded(), "{bought:?}");
                assert_eq!(sold.payment_hash, bought.payment_hash);
                assert_eq!(sold.preimage, bought.preimage);
                assert_eq!(
                    sold.result.as_ref().map(crate::ResultRef::sha256),
                    bought.result.as_ref().map(crate::ResultRef::sha256)
                );
                assert_eq!(sold.paid_msat, bought.amount_msat);
                let ledger = world.buyer.books();
                let spent = if price == 0 { 0 } else { price + 2 };
                assert_eq!((ledger.spent_msat, ledger.held_msat), (spent, 0));
                assert_eq!(world.seller.replayed(), world.seller.provider);
                assert_eq!(world.buyer.replayed(), world.buyer.buyer);
            }
        }
    }
}

#[test]
fn a_bid_below_the_price_ends_with_the_named_providers_error() {
    let mut world = World::new(1_001, PaymentPolicy::Before);
    let id = world.trade(Some(SELLER));
    assert_eq!(world.seller.words(id).0, "refused");
    assert_eq!(world.buyer.words(id), ("failed", "released"));
}

#[test]
fn work_that_fails_after_payment_is_owed_back_and_known_on_both_sides() {
    let mut world = World::new(700, PaymentPolicy::Before);
    world.outcome = ExecutionOutcome::Failed { reason: "exit 1".into() };
    let id = world.trade(Some(SELLER));
    assert_eq!(world.seller.words(id), ("failed", "refund_due"));
    assert_eq!(world.buyer.words(id), ("failed", "paid"));
}

#[test]
fn an_offer_that_changed_its_price_costs_the_new_price() {
    let mut world = World::new(700, PaymentPolicy::Before);
    world.seller.feed(ProviderInput::OfferSet(OfferDraft {
        kind: KIND,
        price_msat: msat(900),
        payment: PaymentPolicy::Before,
    }));
    let id = world.trade(Some(SELLER));
    assert_eq!(world.buyer.job(id).amount_msat, Some(msat(900)));
}
