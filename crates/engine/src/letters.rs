//! Dead letters: effects that an adapter gave up on, kept until the operator tries again or drops
//! them. A payment is never one: it stays open until the wallet knows what became of it.

use domain::{EffectId, Emit, ErrorBody, IdempotencyKey, RequestId, Step, StreamId, Timestamp};
use nip90::{
    buyer::{BuyerEffect, BuyerInput},
    provider::{ExecutionOutcome, ProviderEffect, ProviderInput, effect::Slot},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    command::Reply,
    effect::{Effect, WalletEffect},
    event::{DeskEvent, Dropped, GivenUp, TriedAgain},
    input::GaveUp,
    state::{EngineStep, State, refused},
    wallet_facts::job_of,
};

/// Letters that are kept; beyond it the oldest that may be dropped is.
const KEPT: usize = 500;
/// The longest reason that is recorded.
const MAX_WHY_CHARS: usize = 300;

/// One effect that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    pub what: Effect,
    /// How often it was tried since it was released.
    pub tries: u32,
    pub why: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeadLetters(BTreeMap<EffectId, Letter>);

impl DeadLetters {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&EffectId, &Letter)> {
        self.0.iter()
    }

    pub fn apply(&mut self, event: &DeskEvent, at: Timestamp) {
        match event {
            DeskEvent::GivenUp(given_up) => {
                let GivenUp { effect, what, tries, why } = given_up.clone();
                self.0.insert(effect, Letter { what, tries, why, at });
            }
            DeskEvent::TriedAgain(TriedAgain { effect })
            | DeskEvent::Dropped(Dropped { effect, .. }) => {
                self.0.remove(effect);
            }
            _ => {}
        }
    }

    fn oldest_to_drop(&self) -> Option<&EffectId> {
        let mut letters = self.0.iter().filter(|(_, letter)| may_drop(&letter.what).is_ok());
        let first = letters.next()?;
        let older = |a: (&EffectId, &Letter), b: (&EffectId, &Letter)| b.1.at < a.1.at;
        let (effect, _) =
            letters.fold(first, |old, next| if older(old, next) { next } else { old });
        Some(effect)
    }
}

impl State {
    /// What an adapter could not do: a lane that waits for it hears so, else it is a dead letter.
    pub(crate) fn gave_up(
        &self,
        effect: &EffectId,
        gave_up: &GaveUp,
        now: Timestamp,
    ) -> EngineStep {
        let GaveUp { what, tries, why, may_be_out } = gave_up;
        let why: String =
            why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WHY_CHARS).collect();
        let step = self.tell_lane(what, &why, *may_be_out, now);
        if !step.emits.is_empty() || !self.still_matters(what) {
            return step;
        }
        let event = GivenUp { effect: effect.clone(), what: what.clone(), tries: *tries, why };
        let mut step = Step::nothing().emit(Emit::new(stream(effect), DeskEvent::GivenUp(event)));
        if self.letters.len() >= KEPT
            && let Some(oldest) = self.letters.oldest_to_drop()
        {
            step = step.emit(dropped(oldest, "too many were given up since"));
        }
        step
    }

    /// Tells the lane that asked, where its own rules say what follows.
    fn tell_lane(&self, what: &Effect, why: &str, may_be_out: bool, now: Timestamp) -> EngineStep {
        let reason = why.to_owned();
        match what {
            Effect::Provider(effect) => {
                let input = match effect {
                    ProviderEffect::Publish(publish) => ProviderInput::PublishFailed {
                        request_id: publish.request_id,
                        slot: publish.slot,
                        reason,
                        may_be_out,
                    },
                    ProviderEffect::MakeInvoice(make) => {
                        ProviderInput::InvoiceFailed { request_id: make.request_id, reason }
                    }
                    ProviderEffect::Execute(execute) => ProviderInput::Executed {
                        request_id: execute.request_id,
                        attempt: execute.attempt,
                        outcome: ExecutionOutcome::Unknown,
                    },
                    _ => return Step::nothing(),
                };
                self.provider(&input, now)
            }
            Effect::Buyer(effect) => {
                let input = match effect {
                    BuyerEffect::PublishRequest(publish) => {
                        let request_id = publish.request_id;
                        BuyerInput::PublishFailed { request_id, reason, may_be_out }
                    }
                    BuyerEffect::FetchBlob { request_id, blob } => {
                        let (request_id, sha256) = (*request_id, blob.sha256);
                        BuyerInput::BlobFailed { request_id, sha256, reason }
                    }
                    BuyerEffect::CheckResult { request_id, result, .. } => {
                        let (request_id, sha256) = (*request_id, result.sha256());
                        BuyerInput::ResultRejected { request_id, sha256, reason }
                    }
                    _ => return Step::nothing(),
                };
                self.buyer(&input, now)
            }
            Effect::Wallet(_) => Step::nothing(),
        }
    }

    /// Whether doing it later would still be of use.
    fn still_matters(&self, what: &Effect) -> bool {
        match what {
            Effect::Provider(effect) => match effect {
                // A result that came too late for its job must not leave any more.
                ProviderEffect::Publish(publish) => {
                    publish.slot == Slot::Answer && publish.not_after.is_none()
                }
                ProviderEffect::Announce { template } | ProviderEffect::Withdraw { template } => {
                    template.created_at_secs >= self.provider.last_announcement_secs()
                }
                ProviderEffect::PayRefund(_) | ProviderEffect::SignReceipt { .. } => true,
                ProviderEffect::MakeInvoice(_)
                | ProviderEffect::Execute(_)
                | ProviderEffect::StopExecution { .. } => false,
            },
            Effect::Buyer(effect) => matches!(
                effect,
                BuyerEffect::PublishCancel { .. }
                    | BuyerEffect::Pay(_)
                    | BuyerEffect::SignReceipt { .. }
            ),
            Effect::Wallet(_) => true,
        }
    }

    /// Releases the effect anew. What must never be done twice is not: it is not known to be undone.
    pub(crate) fn try_again(&self, effect: &EffectId) -> EngineStep {
        let Some(letter) = self.letters.0.get(effect) else { return no_such_letter(effect) };
        if domain::machine::Effect::repeat_class(&letter.what) == domain::RepeatClass::Never {
            let text = "It is not known whether this happened; it is not done again.";
            return refused(ErrorBody::refused("outcome_unknown", text));
        }
        if !self.still_matters(&letter.what) {
            let gone = dropped(effect, "nothing would follow from it any more");
            return Step::nothing().emit(gone).answer(Reply::Done);
        }
        let event = DeskEvent::TriedAgain(TriedAgain { effect: effect.clone() });
        let emit = Emit::new(stream(effect), event).effect(letter.what.clone());
        Step::nothing().emit(emit).answer(Reply::Done)
    }

    /// The operator wants it no more.
    pub(crate) fn drop_letter(&self, effect: &EffectId, now: Timestamp) -> EngineStep {
        let Some(letter) = self.letters.0.get(effect) else { return no_such_letter(effect) };
        if let Err(error) = may_drop(&letter.what) {
            return refused(error);
        }
        let mut step = Step::nothing().emit(dropped(effect, "the operator dropped it"));
        if let Effect::Wallet(WalletEffect::Receive(receive)) = &letter.what {
            let text = "No invoice was made: the operator dropped it.";
            let error = ErrorBody::refused("dropped", text);
            step.emits.extend(self.payment_refused(&receive.key, &error, now).emits);
        }
        step.answer(Reply::Done)
    }
}

/// Its events stand in one stream, also those of what was released anew.
fn stream(effect: &EffectId) -> StreamId {
    if effect.stream.as_str().starts_with("effect/") {
        return effect.stream.clone();
    }
    StreamId::of("effect", effect)
}

fn dropped(effect: &EffectId, why: &str) -> Emit<State> {
    let event = Dropped { effect: effect.clone(), why: why.to_owned() };
    Emit::new(stream(effect), DeskEvent::Dropped(event))
}

fn no_such_letter(effect: &EffectId) -> EngineStep {
    let text = format!("Nothing was given up under {effect}.");
    refused(ErrorBody::refused("no_such_effect", text).hint("See `pilothouse events dead list`."))
}

/// Whether it may be left undone. Money and receipts are owed, whatever the operator wants.
fn may_drop(what: &Effect) -> Result<(), ErrorBody> {
    let owed = |text: &str| {
        Err(ErrorBody::refused("owed", text).hint("Try it again with `events dead retry`."))
    };
    match what {
        Effect::Provider(ProviderEffect::PayRefund(_))
        | Effect::Buyer(BuyerEffect::Pay(_))
        | Effect::Wallet(WalletEffect::Pay { .. }) => {
            owed("Money may be on its way; only the wallet knows what became of it.")
        }
        Effect::Provider(ProviderEffect::SignReceipt { .. })
        | Effect::Buyer(BuyerEffect::SignReceipt { .. }) => owed("This receipt is owed."),
        _ => Ok(()),
    }
}

/// What is to be done, in words, and the job that it is for.
pub(crate) fn in_words(what: &Effect) -> (String, Option<RequestId>) {
    let job = |what: &str, id: &RequestId| (format!("{what} of job {}", id.short()), Some(*id));
    let payment = |what: String, key: &IdempotencyKey| (what, job_of(key));
    match what {
        Effect::Provider(effect) => match effect {
            ProviderEffect::Publish(publish) => job("publish the answer", &publish.request_id),
            ProviderEffect::MakeInvoice(make) => job("make the invoice", &make.request_id),
            ProviderEffect::PayRefund(pay) => job("pay the refund", &pay.request_id),
            ProviderEffect::Execute(execute) => job("do the work", &execute.request_id),
            ProviderEffect::StopExecution { request_id, .. } => job("stop the work", request_id),
            ProviderEffect::Announce { .. } => ("publish the announcement".to_owned(), None),
            ProviderEffect::Withdraw { .. } => ("withdraw the announcement".to_owned(), None),
            ProviderEffect::SignReceipt { request_id, .. } => job("sign the receipt", request_id),
        },
        Effect::Buyer(effect) => match effect {
            BuyerEffect::PublishRequest(publish) => job("publish the request", &publish.request_id),
            BuyerEffect::PublishCancel { request_id, .. } => {
                job("publish the cancellation", request_id)
            }
            BuyerEffect::HearAgain { request_id } => {
                job("ask relays again for the answers", request_id)
            }
            BuyerEffect::Pay(pay) => job("pay the invoice", &pay.request_id),
            BuyerEffect::FetchBlob { request_id, .. } => job("fetch the result", request_id),
            BuyerEffect::CheckResult { request_id, .. } => job("check the result", request_id),
            BuyerEffect::SignReceipt { request_id, .. } => job("sign the receipt", request_id),
        },
        Effect::Wallet(WalletEffect::Receive(receive)) => {
            let what = match receive.amount_msat {
                Some(amount) => format!("make an invoice of {amount}"),
                None => "make something to be paid by".to_owned(),
            };
            payment(what, &receive.key)
        }
        Effect::Wallet(WalletEffect::Pay(pay)) => {
            payment(format!("pay {}", pay.amount_msat), &pay.key)
        }
        Effect::Wallet(WalletEffect::Answer { key, approve }) => {
            let word = if *approve { "approve" } else { "deny" };
            payment(format!("{word} a payment"), key)
        }
    }
}

#[cfg(test)]
mod tests;
