//! The modelled adapters: what each effect does in the world, and the fact that comes of it.

use domain::{Body, Delivery, ErrorBody, RequestId, Sha256Hash};
use engine::{Effect, Fact, GaveUp, Input, WalletEffect, WalletFact};
use nip90::{
    Blob, ResultRef,
    buyer::{BuyerEffect, BuyerInput, SeenAnswer},
    codec::{self, Deletion, FeedbackTerms, Payload, ResultTerms, Status, Template, deletion},
    provider::{
        ExecutionOutcome, ProviderEffect, ProviderInput, SeenRequest,
        effect::{Execute, Publish},
    },
};
use wallet::wire;

use super::{
    action::{Forgery, Hearing, How},
    desk::Pending,
    invariants::{self, Checked, Violation},
    mutant::Mutant,
    relay,
    world::{KIND, RELAY, World, nth_of},
};

/// Every third job's result is large: it goes as a blob.
const LARGE_EVERY: u8 = 3;

impl World {
    /// An adapter takes one of the effects that are ready.
    pub fn act(&mut self, at: usize, nth: usize, how: How) -> Checked {
        let ready = self.desks[at].ready();
        if ready.is_empty() {
            return Ok(());
        }
        let pending = self.desks[at].released[ready[nth % ready.len()]].clone();
        self.tell(|| {
            format!("desk {at} does {} {how:?}, resumed: {}", pending.id, pending.resumed)
        });
        invariants::effects_only_after_commit(&self.desks[at], &pending.id)?;
        let badly = how == How::Badly;
        let pays = key_of_payment(&pending.effect);
        let gives_up = match &pays {
            Some(_) => self.mutant == Some(Mutant::GivesUpPayments),
            None => can_be_given_up(&pending.effect),
        };
        let too_late = not_after(&pending.effect)
            .is_some_and(|end| self.desks[at].clock(self.now) >= end)
            && self.mutant != Some(Mutant::PublishesLate);
        let fact = match (badly, pays) {
            _ if too_late => gave_up(&pending),
            (true, _) if gives_up => gave_up(&pending),
            // The executor does not answer; the driver asks further, and the effect stays.
            (true, Some(key)) => {
                let why = "the wallet is starting".to_owned();
                return self.fact(at, Fact::Wallet(WalletFact::Unanswered { key, why }));
            }
            _ => self.perform(at, &pending, badly)?,
        };
        if how == How::ThenCrash {
            return self.crash(at);
        }
        self.deliver(at, Delivery::of_effect(pending.id, Input::Fact(fact))).map(|_| ())
    }

    fn perform(&mut self, at: usize, pending: &Pending, badly: bool) -> Result<Fact, Violation> {
        match pending.effect.clone() {
            Effect::Provider(effect) => self.provide(at, effect, pending.resumed, badly),
            Effect::Buyer(effect) => self.buy(at, effect, badly),
            Effect::Wallet(effect) => Ok(self.by_hand(at, effect)),
        }
    }

    fn provide(
        &mut self,
        at: usize,
        effect: ProviderEffect,
        resumed: bool,
        badly: bool,
    ) -> Result<Fact, Violation> {
        let input = match effect {
            ProviderEffect::Publish(publish) => return self.answer(at, publish),
            ProviderEffect::MakeInvoice(make) => {
                let asked =
                    wire::Receive::invoice(make.key, make.amount_msat, make.memo, make.expiry_secs);
                return Ok(self.receive(at, asked, badly));
            }
            ProviderEffect::PayRefund(pay) => {
                let asked =
                    wire::Pay::invoice(pay.key, pay.bolt11, pay.amount_msat, pay.max_fee_msat);
                return Ok(self.pay(at, &asked));
            }
            ProviderEffect::Execute(execute) => {
                let badly = badly || self.desks[at].broken;
                self.execute(&execute, resumed, badly)
            }
            ProviderEffect::StopExecution { .. } => return Ok(Fact::Tick),
            ProviderEffect::Announce { template } | ProviderEffect::Withdraw { template } => {
                self.publish(relay::sign(&self.desks[at].identity, &template))?;
                return Ok(Fact::Tick);
            }
            ProviderEffect::SignReceipt { request_id, receipt } => {
                let receipt = self.sign_receipt(at, receipt)?;
                ProviderInput::ReceiptSigned { request_id, receipt }
            }
        };
        Ok(Fact::Provider(input))
    }

    fn answer(&mut self, at: usize, mut publish: Publish) -> Result<Fact, Violation> {
        let (request_id, slot) = (publish.request_id, publish.slot);
        invariants::no_result_of_a_failed_job_leaves(&self.desks[at], &publish)?;
        if self.mutant == Some(Mutant::AnswerDatedAnew) {
            publish.created_at_secs = self.now.as_secs();
        }
        let bodies = &self.desks[at].disk.bodies;
        let (request, content) = publish.needs();
        let bytes = |reference: Option<&domain::BodyRef>| {
            reference.and_then(|body| bodies.get(&body.hash)).map(|body| body.bytes.clone())
        };
        let template = publish
            .template(bytes(request).as_deref(), bytes(content).as_deref())
            .map_err(|fault| invariants::broken("effects_can_be_done", fault.to_string()))?;
        let event_id = self.publish(relay::sign(&self.desks[at].identity, &template))?;
        let accepted = vec![RELAY.to_owned()];
        Ok(Fact::Provider(ProviderInput::Published { request_id, slot, event_id, accepted }))
    }

    fn receive(&mut self, at: usize, asked: wire::Receive, badly: bool) -> Fact {
        let key = asked.key.clone();
        // An executor refuses only what it has not taken on: a known key is that payment.
        let known = self.money.executors[at].payments.contains_key(&key);
        let made = match badly && !known {
            true => Err(ErrorBody::new("wallet_busy", "The wallet took nothing on.")),
            false => self.money.receive(at, &asked, self.now),
        };
        if self.mutant == Some(Mutant::WalletLies) {
            self.money.lie(at, &key, self.now);
        }
        taken_on(key, made)
    }

    /// What a crash has hidden is reported as unknown.
    fn execute(&mut self, execute: &Execute, resumed: bool, badly: bool) -> ProviderInput {
        let (request_id, attempt) = (execute.request_id, execute.attempt);
        let text = result_text(request_id);
        let outcome = if resumed {
            ExecutionOutcome::Unknown
        } else if badly {
            ExecutionOutcome::Failed { reason: "exit 1".to_owned() }
        } else if is_large(request_id) {
            ExecutionOutcome::Blob(blob_of(request_id))
        } else {
            let salt = self.salt();
            ExecutionOutcome::Inline(Body::new(salt, "text/plain", text.into_bytes()))
        };
        ProviderInput::Executed { request_id, attempt, outcome }
    }

    fn sign_receipt(
        &self,
        at: usize,
        receipt: domain::Receipt,
    ) -> Result<domain::Receipt, Violation> {
        let mut signed = self.desks[at]
            .identity
            .sign_receipt(receipt)
            .map_err(|fault| invariants::broken("receipts_prove", fault.to_string()))?;
        if self.mutant == Some(Mutant::ReceiptForged) {
            signed.sig = Some(hex::encode(self.desks[at].identity.sign_digest(&[1; 32])));
        }
        Ok(signed)
    }

    fn buy(&mut self, at: usize, effect: BuyerEffect, badly: bool) -> Result<Fact, Violation> {
        let reason = "it can't be done".to_owned();
        let input = match effect {
            BuyerEffect::PublishRequest(publish) => {
                let request_id = publish.request_id;
                let is_out = self.relay.all().iter().any(|s| s.event.id.to_bytes() == request_id.0);
                let desk = &self.desks[at];
                invariants::no_request_of_a_failed_purchase_leaves(desk, request_id, is_out)?;
                self.ask(at, request_id, &publish.request)?;
                BuyerInput::RequestPublished { request_id, relays: vec![RELAY.to_owned()] }
            }
            BuyerEffect::PublishCancel { template, .. } => {
                self.publish(relay::sign(&self.desks[at].identity, &template))?;
                return Ok(Fact::Tick);
            }
            BuyerEffect::HearAgain { .. } => {
                self.desks[at].unheard = (0..self.relay.len()).collect();
                return Ok(Fact::Tick);
            }
            BuyerEffect::Pay(pay) => {
                let asked =
                    wire::Pay::invoice(pay.key, pay.bolt11, pay.amount_msat, pay.max_fee_msat);
                return Ok(self.pay(at, &asked));
            }
            BuyerEffect::FetchBlob { request_id, blob } => {
                let there = blob == blob_of(request_id);
                if badly || !there {
                    BuyerInput::BlobFailed { request_id, sha256: blob.sha256, reason }
                } else {
                    let (sha256, size_bytes) = (blob.sha256, blob.size_bytes);
                    BuyerInput::BlobFetched { request_id, sha256, size_bytes }
                }
            }
            BuyerEffect::CheckResult { request_id, result, .. } => {
                let (holds, sha256) = (is_right(request_id, &result), result.sha256());
                if holds && !badly {
                    BuyerInput::ResultVerified { request_id, sha256 }
                } else {
                    BuyerInput::ResultRejected { request_id, sha256, reason }
                }
            }
            BuyerEffect::SignReceipt { request_id, receipt } => {
                let receipt = self.sign_receipt(at, receipt)?;
                BuyerInput::ReceiptSigned { request_id, receipt }
            }
        };
        Ok(Fact::Buyer(input))
    }

    fn ask(&mut self, at: usize, id: RequestId, body: &domain::BodyRef) -> Checked {
        let missing = |what: &str| invariants::broken("effects_can_be_done", what);
        let body = self.desks[at].disk.bodies.get(&body.hash);
        let template: Template = body
            .and_then(|body| serde_json::from_slice(&body.bytes).ok())
            .ok_or_else(|| missing("the request's body is gone"))?;
        let published = self.publish(relay::sign(&self.desks[at].identity, &template))?;
        let same = RequestId::from(published) == id;
        if same { Ok(()) } else { Err(missing("the request was published under another id")) }
    }

    fn pay(&mut self, at: usize, asked: &wire::Pay) -> Fact {
        taken_on(asked.key.clone(), self.money.pay(at, asked, self.now))
    }

    /// What the operator asked of the wallet.
    fn by_hand(&mut self, at: usize, effect: WalletEffect) -> Fact {
        match effect {
            WalletEffect::Receive(receive) => self.receive(at, receive, false),
            WalletEffect::Pay(pay) => self.pay(at, &pay),
            WalletEffect::Answer { .. } => panic!("nothing waits for an answer here"),
        }
    }

    /// The relay delivers one event to a desk, as its subscriptions say.
    pub fn hear(&mut self, at: usize, nth: usize, how: Hearing) -> Checked {
        if !self.desks[at].relay_up {
            return Ok(());
        }
        let heard: Vec<usize> = match how {
            Hearing::Again => (0..self.relay.len()).filter(|i| self.is_wanted(at, *i)).collect(),
            _ => self.wanted(at),
        };
        if heard.is_empty() {
            return Ok(());
        }
        let index = heard[nth % heard.len()];
        self.desks[at].unheard.remove(&index);
        if how == Hearing::Lost {
            return Ok(());
        }
        match self.input_of(index)? {
            Some(input) => self.fact(at, input),
            None => Ok(()),
        }
    }

    /// Events that the desk subscribes to now and has not heard.
    pub fn wanted(&self, at: usize) -> Vec<usize> {
        let unheard = self.desks[at].unheard.iter().copied();
        unheard.filter(|index| self.is_wanted(at, *index)).collect()
    }

    fn is_wanted(&self, at: usize, index: usize) -> bool {
        let stored = self.relay.get(index);
        let desk = &self.desks[at];
        let provider = &desk.state.provider;
        if codec::is_request(stored.kind) || stored.kind == codec::KIND_DELETION {
            let ours = stored.author == desk.identity.pubkey();
            return provider.wants_online() && !provider.offers().is_empty() && !ours;
        }
        let us = desk.identity.pubkey().to_string();
        stored.people.contains(&us) && stored.kind >= 6_000 && stored.kind <= 7_000
    }

    fn input_of(&mut self, index: usize) -> Result<Option<Fact>, Violation> {
        let salt = self.salt();
        let stored = self.relay.get(index);
        let refused = |fault: String| invariants::broken("signed_events_are_read", fault);
        Ok(if codec::is_request(stored.kind) {
            let seen = SeenRequest::check_event(&stored.event, salt, RELAY)
                .map_err(|fault| refused(fault.to_string()))?;
            Some(Fact::Provider(ProviderInput::RequestSeen(Box::new(seen))))
        } else if stored.kind == codec::KIND_DELETION {
            let deletion = Deletion::parse(&stored.event);
            deletion.ok().map(|seen| Fact::Provider(ProviderInput::DeletionSeen(seen)))
        } else {
            let seen = SeenAnswer::check_event(&stored.event, salt)
                .map_err(|fault| refused(fault.to_string()))?;
            Some(Fact::Buyer(BuyerInput::AnswerSeen(Box::new(seen))))
        })
    }

    /// A stranger meddles with the nth request.
    pub fn forge(&mut self, nth: usize, what: Forgery) {
        let requests = self.relay.all().iter().filter(|stored| codec::is_request(stored.kind));
        let of = requests.map(|s| (RequestId(s.event.id.to_bytes()), s.author));
        let Some((request_id, customer)) = nth_of(of, u8::try_from(nth % 251).unwrap_or(0)) else {
            return;
        };
        let feedback = |status, amount_msat, bolt11| FeedbackTerms {
            request_id,
            relay: None,
            customer: Some(customer),
            status,
            text: String::new(),
            amount_msat,
            bolt11,
            content: String::new(),
        };
        let at = self.now.as_secs();
        let built = match what {
            Forgery::Invoice { amount_msat } => {
                let amount = u64::from(amount_msat).max(1);
                let seed = format!("stranger/{request_id}/{amount}");
                let bolt11 = self.money.foreign_invoice(&seed, amount, self.now);
                let amount = domain::Msat::new(amount).ok();
                feedback(Status::PaymentRequired, amount, Some(bolt11)).template(at)
            }
            Forgery::Error => feedback(Status::Error, None, None).template(at),
            Forgery::Deletion => Ok(deletion::of_request(request_id, KIND, at)),
            Forgery::Result => ResultTerms {
                request_kind: KIND,
                request_id,
                relay: None,
                customer: Some(customer),
                request_json: None,
                inputs: Vec::new(),
                amount_msat: None,
                bolt11: None,
                payload: Payload::Event { content: "forged".to_owned(), media_type: None },
                sha256: None,
            }
            .template(at),
        };
        let stranger = vault::Identity::from_secret(&[0x77; 32]);
        if let (Ok(template), Some(stranger)) = (built, stranger) {
            let (_, fresh) = self.relay.store(relay::sign(&stranger, &template));
            for desk in &mut self.desks {
                desk.unheard.extend(fresh);
            }
        }
    }
}

/// What its driver gives up by itself, once it has tried for long enough. Payments it never does.
fn can_be_given_up(effect: &Effect) -> bool {
    match effect {
        Effect::Provider(effect) => matches!(
            effect,
            ProviderEffect::Publish(_)
                | ProviderEffect::Announce { .. }
                | ProviderEffect::Withdraw { .. }
                | ProviderEffect::SignReceipt { .. }
        ),
        Effect::Buyer(effect) => matches!(
            effect,
            BuyerEffect::PublishRequest(_)
                | BuyerEffect::PublishCancel { .. }
                | BuyerEffect::SignReceipt { .. }
        ),
        Effect::Wallet(effect) => matches!(effect, WalletEffect::Receive(_)),
    }
}

/// The key that an effect pays under, if it pays.
fn key_of_payment(effect: &Effect) -> Option<domain::IdempotencyKey> {
    match effect {
        Effect::Provider(ProviderEffect::PayRefund(pay)) => Some(pay.key.clone()),
        Effect::Buyer(BuyerEffect::Pay(pay)) => Some(pay.key.clone()),
        Effect::Wallet(WalletEffect::Pay(pay)) => Some(pay.key.clone()),
        _ => None,
    }
}

/// From when on its driver does not do it any more.
const fn not_after(effect: &Effect) -> Option<domain::Timestamp> {
    match effect {
        Effect::Provider(ProviderEffect::Publish(publish)) => publish.not_after,
        Effect::Buyer(BuyerEffect::PublishRequest(publish)) => Some(publish.not_after),
        _ => None,
    }
}

fn gave_up(pending: &Pending) -> Fact {
    let why = "nobody took it".to_owned();
    // What a former run of the process did with it, nobody knows.
    let may_be_out = pending.resumed;
    let gave_up = Box::new(GaveUp { what: pending.effect.clone(), tries: 5, why, may_be_out });
    Fact::GaveUp { effect: pending.id.clone(), gave_up }
}

fn taken_on(key: domain::IdempotencyKey, outcome: Result<wire::Payment, ErrorBody>) -> Fact {
    Fact::Wallet(match outcome {
        Ok(payment) => WalletFact::Accepted(payment),
        Err(error) => WalletFact::Refused { key, error },
    })
}

/// The one right result of a job.
fn result_text(id: RequestId) -> String {
    format!("the result of {id}")
}

fn is_large(id: RequestId) -> bool {
    id.0[0].is_multiple_of(LARGE_EVERY)
}

/// The right result as a blob.
fn blob_of(id: RequestId) -> Blob {
    let text = result_text(id);
    let sha256 = Sha256Hash::of(text.as_bytes());
    Blob {
        url: format!("http://127.0.0.1:3000/{sha256}"),
        sha256,
        size_bytes: text.len() as u64,
        media_type: "text/plain".to_owned(),
    }
}

/// Whether a result is what was asked for, wherever it lies.
fn is_right(id: RequestId, result: &ResultRef) -> bool {
    result.sha256() == blob_of(id).sha256
}
