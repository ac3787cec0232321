//! Money that is owed back: to the buyer's exact invoice, once, or by the operator's word.

use super::*;
use crate::types::Mover;

/// A job that was paid 500 msat and failed.
fn owing() -> (Desk, RequestId, PaidFact) {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&terms());
    let id = seen.id();
    desk.seen(&seen);
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    desk.executed(id, ExecutionOutcome::Failed { reason: "exit 1".into() });
    assert_eq!(desk.words(id), ("failed", "refund_due"));
    desk.take();
    (desk, id, paid)
}

fn order(desk: &Desk, id: RequestId, seed: u8, asks: u64) -> RefundOrder {
    let (bolt11, _) = invoice(seed, asks, desk.now, 600);
    RefundOrder { request_id: id, bolt11, amount_msat: None, max_fee_msat: msat(50) }
}

fn asked(desk: &Desk) -> Vec<&PayRefund> {
    fn of(effect: &ProviderEffect) -> Option<&PayRefund> {
        if let ProviderEffect::PayRefund(pay) = effect { Some(pay) } else { None }
    }
    desk.effects.iter().filter_map(of).collect()
}

fn refusal(desk: &mut Desk, input: ProviderInput) -> String {
    let decision = desk.feed(input);
    assert_eq!(decision.emits, []);
    match decision.reply {
        Some(crate::machine::Reply::Refused(error)) => error.code.into_owned(),
        other => panic!("not refused: {other:?}"),
    }
}

fn settled(pay: &PayRefund, seed: u8) -> RefundFact {
    let (request_id, attempt) = refund_of_key(&pay.key).unwrap();
    RefundFact {
        request_id,
        attempt,
        payment_hash: pay.payment_hash,
        preimage: domain::Preimage([seed; 32]),
        amount_msat: pay.amount_msat,
        fee_msat: msat(3),
    }
}

#[test]
fn what_was_paid_goes_back_to_the_buyers_invoice_and_its_preimage_proves_it() {
    let (mut desk, id, _) = owing();
    let refund = order(&desk, id, 40, 500);
    let decision = desk.feed(ProviderInput::Refund(refund.clone()));
    assert!(matches!(decision.reply, Some(crate::machine::Reply::PaymentStarted { .. })));
    assert_eq!(desk.words(id), ("failed", "refunding"));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Wallet));
    let pay = asked(&desk)[0].clone();
    assert_eq!(pay.key.as_str(), format!("refund/{id}/1"));
    assert_eq!((pay.amount_msat, &pay.bolt11), (msat(500), &refund.bolt11));
    // The same order again, and another one, send nothing.
    assert_eq!(desk.feed(ProviderInput::Refund(refund.clone())).emits, []);
    let other = ProviderInput::Refund(order(&desk, id, 41, 500));
    assert_eq!(refusal(&mut desk, other), "refund_under_way");
    let word = ProviderInput::HandBack { request_id: id, note: "in cash".into() };
    assert_eq!(refusal(&mut desk, word), "refund_under_way");
    // Only the preimage of exactly that invoice, and exactly that amount, end it.
    let fact = settled(&pay, 40);
    for wrong in [
        RefundFact { preimage: domain::Preimage([9; 32]), ..fact },
        RefundFact { amount_msat: msat(499), ..fact },
        RefundFact {
            preimage: domain::Preimage([9; 32]),
            payment_hash: domain::Preimage([9; 32]).payment_hash(),
            ..fact
        },
    ] {
        assert_eq!(desk.feed(ProviderInput::RefundSettled(wrong)).emits, [], "{wrong:?}");
    }
    desk.feed(ProviderInput::RefundUnknown { request_id: id, attempt: 1 });
    assert_eq!(desk.words(id).1, "refund_unknown");
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Wallet));
    let again = ProviderInput::Refund(order(&desk, id, 41, 500));
    assert_eq!(refusal(&mut desk, again), "refund_under_way", "unknown is not sent again");
    desk.feed(ProviderInput::RefundSettled(fact));
    assert_eq!(desk.words(id).1, "refunded");
    assert!(desk.job(id).is_over() && !desk.job(id).succeeded());
    assert_eq!(desk.feed(ProviderInput::RefundSettled(fact)).emits, [], "once");
    let after = ProviderInput::Refund(order(&desk, id, 42, 500));
    assert_eq!(refusal(&mut desk, after), "no_refund_due");
    assert_eq!(asked(&desk).len(), 1);
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn no_more_than_owed_and_less_only_by_choice() {
    let (mut desk, id, _) = owing();
    let more = ProviderInput::Refund(order(&desk, id, 40, 501));
    assert_eq!(refusal(&mut desk, more), "bad_amount");
    let chosen_more = RefundOrder { amount_msat: Some(msat(501)), ..order(&desk, id, 40, 501) };
    assert_eq!(refusal(&mut desk, ProviderInput::Refund(chosen_more)), "bad_amount");
    let less = order(&desk, id, 40, 400);
    assert_eq!(refusal(&mut desk, ProviderInput::Refund(less.clone())), "bad_amount");
    let zero = RefundOrder { amount_msat: Some(msat(0)), ..less.clone() };
    assert_eq!(refusal(&mut desk, ProviderInput::Refund(zero)), "bad_amount");
    let chosen = RefundOrder { amount_msat: Some(msat(400)), ..less };
    desk.feed(ProviderInput::Refund(chosen));
    assert_eq!(asked(&desk)[0].amount_msat, msat(400));
}

#[test]
fn an_invoice_that_cannot_be_the_buyers_is_not_paid() {
    let (mut desk, id, _) = owing();
    let ours = desk.job(id).bolt11.clone().unwrap();
    let good = order(&desk, id, 40, 500);
    for (bolt11, code) in [
        (ours, "bad_invoice"),
        ("nonsense".into(), "bad_invoice"),
        ("l".repeat(5_000), "bad_invoice"),
    ] {
        let bad = RefundOrder { bolt11, ..good.clone() };
        assert_eq!(refusal(&mut desk, ProviderInput::Refund(bad)), code);
    }
    desk.later(601);
    assert_eq!(refusal(&mut desk, ProviderInput::Refund(good)), "bad_invoice", "expired");
    let unknown = order(&desk, RequestId([1; 32]), 40, 500);
    assert_eq!(refusal(&mut desk, ProviderInput::Refund(unknown)), "no_refund_due");
    assert_eq!(desk.words(id).1, "refund_due");
}

#[test]
fn one_invoice_is_no_refund_of_two_jobs() {
    let (mut desk, first, _) = owing();
    let seen = request(&RequestTerms { unique: Some("2".into()), ..terms() });
    let second = seen.id();
    desk.seen(&seen);
    let paid = desk.make_invoice(second, 8);
    desk.feed(ProviderInput::Paid(paid));
    desk.executed(second, ExecutionOutcome::Failed { reason: "exit 1".into() });
    let refund = order(&desk, first, 40, 500);
    desk.feed(ProviderInput::Refund(refund.clone()));
    let again = RefundOrder { request_id: second, ..refund };
    assert_eq!(refusal(&mut desk, ProviderInput::Refund(again)), "bad_invoice");
}

#[test]
fn a_refund_that_surely_failed_is_owed_as_before_and_may_be_tried_anew() {
    let (mut desk, id, _) = owing();
    desk.feed(ProviderInput::Refund(order(&desk, id, 40, 500)));
    let first = asked(&desk)[0].clone();
    let failed = |attempt| ProviderInput::RefundFailed {
        request_id: id,
        attempt,
        reason: "no route".into(),
    };
    assert_eq!(desk.feed(failed(2)).emits, [], "not of this attempt");
    desk.feed(failed(1));
    assert_eq!(desk.words(id).1, "refund_due");
    desk.feed(ProviderInput::Refund(order(&desk, id, 41, 500)));
    let second = asked(&desk)[1].clone();
    assert_eq!(second.key.as_str(), format!("refund/{id}/2"));
    desk.feed(ProviderInput::RefundSettled(settled(&second, 41)));
    assert_eq!(desk.words(id).1, "refunded");
    assert_eq!(desk.feed(failed(2)).emits, [], "what moved has moved");
    assert_eq!(desk.job(id).refund.as_ref().unwrap().attempt, 2);
    assert_eq!(desk.job(id).reason.as_ref().unwrap().matches("besides").count(), 0);
    // Should the first one have moved after all, both are shown.
    desk.feed(ProviderInput::RefundSettled(settled(&first, 40)));
    assert_eq!(desk.words(id).1, "refunded");
    let shown: Vec<_> = desk.job(id).given_back().map(|refund| refund.attempt).collect();
    assert_eq!(shown, [2, 1]);
    assert!(desk.job(id).reason.as_ref().unwrap().contains("0.500 sat went back besides"));
    assert_eq!(desk.feed(ProviderInput::RefundSettled(settled(&first, 40))).emits, [], "once");
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn an_earlier_attempt_that_settles_while_a_later_one_is_on_its_way_counts() {
    for later_one_fails in [true, false] {
        let (mut desk, id, _) = owing();
        desk.feed(ProviderInput::Refund(order(&desk, id, 40, 500)));
        let reason = || "no route".to_owned();
        desk.feed(ProviderInput::RefundFailed { request_id: id, attempt: 1, reason: reason() });
        desk.feed(ProviderInput::Refund(order(&desk, id, 41, 500)));
        let (first, second) = (asked(&desk)[0].clone(), asked(&desk)[1].clone());
        desk.feed(ProviderInput::RefundSettled(settled(&first, 40)));
        assert_eq!(desk.words(id).1, "refunded");
        assert_eq!(desk.job(id).refund.as_ref().unwrap().attempt, 1);
        let third = ProviderInput::Refund(order(&desk, id, 42, 500));
        assert_eq!(refusal(&mut desk, third), "no_refund_due");
        if later_one_fails {
            let (request_id, attempt) = (id, 2);
            let failed = ProviderInput::RefundFailed { request_id, attempt, reason: reason() };
            assert_eq!(desk.feed(failed).emits, [], "nothing is owed again");
        } else {
            desk.feed(ProviderInput::RefundSettled(settled(&second, 41)));
        }
        assert_eq!(desk.words(id).1, "refunded");
        let shown = desk.job(id).given_back().count();
        assert_eq!(shown, if later_one_fails { 1 } else { 2 });
        assert_eq!(desk.replayed(), desk.provider);
    }
}

#[test]
fn a_refund_that_settles_after_the_operators_word_is_shown() {
    let (mut desk, id, _) = owing();
    desk.feed(ProviderInput::Refund(order(&desk, id, 40, 500)));
    let pay = asked(&desk)[0].clone();
    let reason = "the wallet stopped".into();
    desk.feed(ProviderInput::RefundFailed { request_id: id, attempt: 1, reason });
    desk.feed(ProviderInput::HandBack { request_id: id, note: "in cash".into() });
    desk.feed(ProviderInput::RefundSettled(settled(&pay, 40)));
    assert_eq!(desk.words(id).1, "refunded");
    assert_eq!(desk.job(id).handed_back.as_deref(), Some("in cash"));
    assert_eq!(desk.job(id).given_back().count(), 1);
    assert!(desk.job(id).reason.as_ref().unwrap().contains("besides"));
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn a_refund_that_settles_when_its_job_is_no_longer_held_is_recorded() {
    let (mut desk, id, _) = owing();
    desk.feed(ProviderInput::Refund(order(&desk, id, 40, 500)));
    let pay = asked(&desk)[0].clone();
    let reason = "the wallet stopped".into();
    desk.feed(ProviderInput::RefundFailed { request_id: id, attempt: 1, reason });
    desk.feed(ProviderInput::HandBack { request_id: id, note: "in cash".into() });
    for n in 0..KEEP_CLOSED {
        let unique = Some(format!("other-{n}"));
        desk.seen(&request(&RequestTerms { unique, bid_msat: Some(msat(1)), ..terms() }));
        desk.later(1);
    }
    assert_eq!(desk.provider.job(&id), None, "it is read from the log only");
    let decision = desk.feed(ProviderInput::RefundSettled(settled(&pay, 40)));
    assert!(matches!(decision.emits[0].event, ProviderEvent::Refunded(_)));
    assert_eq!(desk.feed(ProviderInput::RefundSettled(settled(&pay, 40))).emits, [], "once");
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn a_wallet_that_takes_back_its_failure_ends_the_debt() {
    let (mut desk, id, _) = owing();
    desk.feed(ProviderInput::Refund(order(&desk, id, 40, 500)));
    let pay = asked(&desk)[0].clone();
    let reason = "no route".into();
    desk.feed(ProviderInput::RefundFailed { request_id: id, attempt: 1, reason });
    desk.feed(ProviderInput::RefundSettled(settled(&pay, 40)));
    assert_eq!(desk.words(id).1, "refunded", "it is not given back a second time");
}

#[test]
fn the_operators_word_ends_the_debt_and_proves_nothing() {
    let (mut desk, id, _) = owing();
    let say = |note: &str| ProviderInput::HandBack { request_id: id, note: note.into() };
    assert_eq!(refusal(&mut desk, say("  ")), "no_note");
    desk.feed(say("handed over in cash\nin person"));
    assert_eq!(desk.words(id).1, "handed_back");
    assert_eq!(desk.job(id).handed_back.as_deref(), Some("handed over in cash in person"));
    assert_eq!(desk.job(id).refund, None);
    assert!(desk.job(id).is_over() && !desk.job(id).succeeded());
    assert_eq!(desk.feed(say("again")).emits, [], "once");
    let refund = ProviderInput::Refund(order(&desk, id, 40, 500));
    assert_eq!(refusal(&mut desk, refund), "no_refund_due");
    assert_eq!(desk.take(), []);
    assert_eq!(desk.replayed(), desk.provider);
}
