//! What is paid, what never is, and the books.

use super::*;
use crate::types::PaymentPolicy;

fn asked(provider: Option<u8>) -> (Desk, RequestId) {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", provider), 1);
    assert_eq!(desk.job(id).policy, None, "nobody has said yet when it is paid");
    desk.effects.clear();
    (desk, id)
}

fn settle(pay: &Pay, seed: u8, fee: u64) -> BuyerInput {
    BuyerInput::PaySettled(Settled {
        request_id: pay.request_id,
        payment_hash: pay.payment_hash,
        preimage: domain::Preimage([seed; 32]),
        amount_msat: pay.amount_msat,
        fee_msat: msat(fee),
    })
}

fn pay_required(id: RequestId, amount: u64, bolt11: &str) -> Template {
    feedback(id, Status::PaymentRequired, Some((amount, bolt11)))
}

#[test]
fn pays_first_then_gets_the_result() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&pay_required(id, 700, &bolt11), SELLER);
    assert_eq!(desk.words(id), ("asked", "paying"));
    assert_eq!(desk.job(id).policy, Some(PaymentPolicy::Before));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Wallet));
    let pay = desk.pays()[0].clone();
    assert_eq!(pay.key.as_str(), format!("buy/{id}"));
    assert_eq!((pay.amount_msat.get(), pay.max_fee_msat.get()), (700, 50));
    assert_eq!(pay.bolt11, bolt11);
    desk.feed(settle(&pay, 9, 3));
    assert_eq!(desk.words(id), ("asked", "paid"));
    assert_eq!(
        desk.books(),
        Ledger { reserved_msat: 1_050, held_msat: 0, released_msat: 347, spent_msat: 703 }
    );
    desk.seen(&result(id, Some((700, &bolt11))), SELLER);
    desk.verified(id);
    let receipt = desk.sign_receipt(id);
    assert_eq!(receipt.check_claims(), Ok(()));
    assert_eq!((receipt.amount_msat, receipt.fee_msat), (Some(msat(700)), Some(msat(3))));
    assert!(desk.job(id).succeeded());
    assert_eq!(desk.pays().len(), 1);
    assert_eq!(desk.replayed(), desk.buyer);
}

#[test]
fn pays_after_only_once_the_result_is_verified() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 1_000, desk.now, 600);
    desk.seen(&result(id, Some((1_000, &bolt11))), SELLER);
    assert_eq!(desk.pays().len(), 0);
    desk.verified(id);
    assert_eq!(desk.job(id).policy, Some(PaymentPolicy::After));
    assert_eq!(desk.words(id), ("verified", "paying"));
    let pay = desk.pays()[0].clone();
    desk.feed(settle(&pay, 9, 0));
    assert_eq!(desk.words(id), ("done", "paid"));
    desk.sign_receipt(id);
    assert!(desk.job(id).succeeded());
    assert_eq!(desk.books().released_msat, 50);
}

#[test]
fn b32_never_pays_a_wrong_invoice() {
    let at = START;
    let over = invoice(9, 1_001, at, 600).0;
    let fine = invoice(9, 700, at, 600).0;
    let expired = invoice(9, 700, at.minus_secs(601), 600).0;
    let mut broken = fine.clone();
    broken.truncate(fine.len() - 1);
    let cases = [
        (Some((1_001, over.as_str())), "limit"),
        (Some((701, fine.as_str())), "700 msat"),
        (Some((700, expired.as_str())), "expired"),
        (Some((700, broken.as_str())), "BOLT 11"),
        (Some((700, "lnbc1")), "BOLT 11"),
    ];
    for (pay, why) in cases {
        for in_result in [false, true] {
            let (mut desk, id) = asked(Some(SELLER));
            let event = if in_result {
                result(id, pay)
            } else {
                feedback(id, Status::PaymentRequired, pay)
            };
            desk.seen(&event, SELLER);
            assert_eq!(desk.words(id), ("failed", "released"), "{why}");
            let reason = desk.job(id).reason.clone().unwrap();
            assert!(reason.contains(why), "{reason:?} names {why:?}");
            assert_eq!(desk.pays().len(), 0);
            assert_eq!(desk.books().spent_msat, 0);
        }
    }
    let (mut desk, id) = asked(Some(SELLER));
    desk.seen(&feedback(id, Status::PaymentRequired, None), SELLER);
    assert!(desk.job(id).reason.as_ref().unwrap().contains("without an invoice"));
}

#[test]
fn b32_never_pays_an_invoice_that_expired_while_the_result_was_checked() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 60);
    desk.seen(&result(id, Some((700, &bolt11))), SELLER);
    desk.later(61);
    desk.verified(id);
    assert_eq!(desk.words(id), ("failed", "released"));
    assert_eq!(desk.pays().len(), 0);
}

#[test]
fn b32_never_pays_one_invoice_for_two_jobs_nor_one_job_twice() {
    let (mut desk, one) = asked(Some(SELLER));
    let two = desk.asked(&draft("b", Some(SELLER)), 2);
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.effects.clear();
    desk.seen(&pay_required(one, 700, &bolt11), SELLER);
    desk.seen(&pay_required(two, 700, &bolt11), SELLER);
    assert!(desk.job(two).reason.as_ref().unwrap().contains("another job"));
    let (other, _) = invoice(8, 800, desk.now, 600);
    desk.seen(&pay_required(one, 800, &other), SELLER);
    let pay = desk.pays()[0].clone();
    desk.feed(settle(&pay, 9, 0));
    desk.seen(&pay_required(one, 800, &other), SELLER);
    desk.seen(&result(one, Some((800, &other))), SELLER);
    desk.verified(one);
    assert_eq!(desk.words(one), ("done", "paid"));
    assert_eq!(desk.pays().len(), 1);
}

#[test]
fn b33_of_several_providers_the_first_acceptable_is_chosen_and_logged() {
    let (mut desk, id) = asked(None);
    let (dear, _) = invoice(7, 1_001, desk.now, 600);
    let (first, _) = invoice(8, 900, desk.now, 600);
    let (cheaper, _) = invoice(9, 100, desk.now, 600);
    desk.seen(&feedback(id, Status::Processing, None), 4);
    assert_eq!(desk.job(id).provider, None, "words alone choose nobody");
    desk.seen(&pay_required(id, 1_001, &dear), 4);
    desk.seen(&pay_required(id, 900, &first), SELLER);
    desk.seen(&pay_required(id, 100, &cheaper), OTHER);
    desk.seen(&result(id, None), OTHER);
    assert_eq!(desk.job(id).provider, Some(pubkey(SELLER)));
    let bolt11s: Vec<_> = desk.pays().iter().map(|pay| pay.bolt11.clone()).collect();
    assert_eq!(bolt11s, [first]);
    let names: Vec<_> =
        desk.log.iter().map(|event| domain::EventData::type_name(&event.data).to_owned()).collect();
    assert_eq!(
        names,
        ["buy.submitted", "buy.published", "buy.offer_refused", "buy.chosen", "buy.paying"]
    );
}

#[test]
fn refused_offers_of_an_open_request_are_bounded() {
    let (mut desk, id) = asked(None);
    for _ in 0..20 {
        desk.seen(&pay_required(id, 1, "lnbc1"), OTHER);
    }
    assert_eq!(desk.job(id).offers_refused, 8);
    assert_eq!(desk.words(id), ("asked", "reserved"));
}

#[test]
fn money_in_flight_is_never_released_before_the_wallet_says() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&pay_required(id, 700, &bolt11), SELLER);
    let pay = desk.pays()[0].clone();
    let cancel = desk.feed(BuyerInput::Cancel { request_id: id });
    assert!(matches!(cancel.reply, Some(Reply::Refused(_))));
    desk.feed(BuyerInput::PayUnknown { request_id: id, payment_hash: pay.payment_hash });
    desk.seen(&feedback(id, Status::Error, None), SELLER);
    desk.later(100_000);
    assert_eq!(desk.words(id), ("asked", "unknown"));
    assert_eq!(desk.books().held_msat, 1_050);
    let forged = BuyerInput::PaySettled(Settled {
        request_id: id,
        payment_hash: pay.payment_hash,
        preimage: domain::Preimage([1; 32]),
        amount_msat: pay.amount_msat,
        fee_msat: Msat::ZERO,
    });
    assert_eq!(desk.feed(forged).emits, [], "the preimage must prove it");
    desk.feed(settle(&pay, 9, 1));
    assert_eq!(desk.words(id), ("failed", "paid"));
    assert_eq!(desk.job(id).reason.as_deref(), Some("the provider reported an error"));
    assert_eq!(desk.books().spent_msat, 701);
    let BuyerEvent::Failed(failed) = &desk.log.last().unwrap().data else { panic!() };
    assert_eq!(failed.spent_msat, Some(msat(701)));
}

#[test]
fn a_payment_that_failed_for_sure_releases_the_reservation() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&pay_required(id, 700, &bolt11), SELLER);
    let payment_hash = desk.pays()[0].payment_hash;
    let other = domain::PaymentHash([1; 32]);
    let failed = |payment_hash| BuyerInput::PayFailed {
        request_id: id,
        payment_hash,
        reason: "no route".into(),
    };
    assert_eq!(desk.feed(failed(other)).emits, []);
    desk.feed(failed(payment_hash));
    assert_eq!(desk.words(id), ("failed", "released"));
    assert_eq!(desk.books().released_msat, 1_050);
}

#[test]
fn a_paid_provider_that_stays_silent_ends_explicitly_with_what_it_cost() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&pay_required(id, 700, &bolt11), SELLER);
    let pay = desk.pays()[0].clone();
    desk.feed(settle(&pay, 9, 0));
    desk.later(desk.config.paid_result_secs - 1);
    assert_eq!(desk.words(id).0, "asked");
    desk.later(1);
    assert_eq!(desk.words(id), ("timed_out", "paid"));
    assert_eq!(desk.books().spent_msat, 700);
}

#[test]
fn a_payment_that_settles_after_it_was_said_to_have_failed_is_shown_and_counted_once() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&pay_required(id, 700, &bolt11), SELLER);
    let pay = desk.pays()[0].clone();
    let (request_id, payment_hash) = (id, pay.payment_hash);
    let reason = "the wallet stopped".to_owned();
    desk.feed(BuyerInput::PayFailed { request_id, payment_hash, reason });
    assert_eq!(desk.words(id), ("failed", "released"));
    let forged = settle(&Pay { amount_msat: msat(699), ..pay.clone() }, 9, 0);
    assert_eq!(desk.feed(forged).emits, [], "not of this amount");
    desk.feed(settle(&pay, 9, 3));
    assert_eq!(desk.words(id), ("failed", "paid"));
    assert_eq!(desk.books().spent_msat, 703);
    assert_eq!(desk.job(id).fee_msat, Some(msat(3)));
    assert!(desk.job(id).reason.as_ref().unwrap().contains("0.703 sat were paid in vain"));
    assert!(desk.job(id).is_over() && !desk.job(id).succeeded());
    assert_eq!(desk.feed(settle(&pay, 9, 3)).emits, [], "once");
    desk.later(10_000);
    assert_eq!(desk.words(id), ("failed", "paid"));
    assert_eq!(desk.replayed(), desk.buyer);
}

#[test]
fn a_payment_that_settles_when_its_purchase_is_no_longer_held_is_counted() {
    let (mut desk, id) = asked(Some(SELLER));
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&pay_required(id, 700, &bolt11), SELLER);
    let pay = desk.pays()[0].clone();
    let (request_id, payment_hash) = (id, pay.payment_hash);
    desk.feed(BuyerInput::PayFailed { request_id, payment_hash, reason: "no".into() });
    for n in 0..KEEP_CLOSED {
        let draft = draft(&format!("other-{n}"), Some(SELLER));
        let salt = [u8::try_from(n % 256).unwrap(); 32];
        let limits = limits(1_000_000);
        let order = BuyerInput::Submit { draft, salt, limits };
        let Some(Reply::Submitted { request_id }) = desk.feed(order).reply else { panic!() };
        desk.feed(BuyerInput::Cancel { request_id });
    }
    assert_eq!(desk.buyer.job(&id), None, "it is read from the log only");
    desk.feed(settle(&pay, 9, 3));
    assert_eq!(desk.books().spent_msat, 703);
    assert_eq!(desk.feed(settle(&pay, 9, 3)).emits, [], "once");
    assert_eq!(desk.replayed(), desk.buyer);
}
