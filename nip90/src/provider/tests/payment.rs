//! Both payment policies, and money that comes late, twice, wrong or not at all.

use super::*;
use crate::types::Mover;

fn before() -> (Desk, RequestId) {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&terms());
    desk.seen(&seen);
    (desk, seen.id())
}

fn executes(desk: &Desk) -> bool {
    desk.effects.iter().any(|effect| matches!(effect, ProviderEffect::Execute(_)))
}

#[test]
fn p24_no_work_before_the_payment_settles() {
    let (mut desk, id) = before();
    assert_eq!(desk.words(id), ("accepted", "quoted"));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Wallet));
    assert_eq!(desk.invoice_asked().key.as_str(), format!("job/{id}"));
    assert!(desk.invoice_asked().memo.contains(&id.to_string()));
    let paid = desk.make_invoice(id, 7);
    assert_eq!(desk.words(id), ("accepted", "invoiced"));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Buyer));
    assert!(matches!(
        &published(&desk.effects)[0].message,
        Message::PaymentRequired { amount_msat, bolt11 }
            if amount_msat.get() == 500 && Some(bolt11) == desk.job(id).bolt11.as_ref()
    ));
    desk.publish(id, Slot::PaymentRequired);
    desk.later(60);
    assert!(!executes(&desk));
    desk.feed(ProviderInput::Paid(paid));
    assert_eq!(desk.words(id), ("running", "paid"));
    assert!(executes(&desk));
    desk.executed(id, done("{}"));
    desk.publish(id, Slot::Answer);
    let receipt = desk.sign_receipt(id);
    assert_eq!(receipt.check_claims(), Ok(()));
    assert_eq!(receipt.amount_msat, Some(msat(500)));
    assert_eq!(receipt.preimage, Some(paid.preimage));
    assert!(desk.job(id).succeeded());
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn p25_the_invoice_ends_with_the_request_and_its_amount_is_the_price() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&RequestTerms { expires_at_secs: Some(START.as_secs() + 90), ..terms() });
    desk.seen(&seen);
    assert_eq!(desk.invoice_asked().expiry_secs, 90);
    let (wrong, _) = invoice(7, 501, desk.now, 90);
    desk.take();
    desk.feed(ProviderInput::InvoiceMade { request_id: seen.id(), bolt11: wrong });
    assert_eq!(desk.words(seen.id()), ("failed", "expired"));
    assert!(only_error(&desk.take()).contains("no invoice"));
}

#[test]
fn pay_after_the_result_carries_the_invoice() {
    let mut desk = Desk::online(500, PaymentPolicy::After);
    let seen = request(&terms());
    let id = seen.id();
    desk.seen(&seen);
    assert_eq!(desk.words(id), ("running", "quoted"));
    desk.take();
    desk.executed(id, done("{}"));
    assert_eq!(published(&desk.effects).len(), 0, "not before its invoice");
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Wallet));
    let paid = desk.make_invoice(id, 7);
    assert_eq!(desk.words(id), ("executed", "invoiced"));
    assert!(matches!(
        &published(&desk.effects)[0].message,
        Message::Result { amount_msat: Some(_), bolt11: Some(_), .. }
    ));
    desk.publish(id, Slot::Answer);
    assert_eq!(desk.words(id), ("delivered", "invoiced"));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Buyer));
    desk.take();
    desk.feed(ProviderInput::Paid(paid));
    desk.sign_receipt(id);
    assert!(desk.job(id).succeeded());
}

#[test]
fn pay_after_counts_also_when_the_money_is_faster_than_the_relay() {
    let mut desk = Desk::online(500, PaymentPolicy::After);
    let seen = request(&terms());
    let id = seen.id();
    desk.seen(&seen);
    desk.take();
    desk.executed(id, done("{}"));
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    assert_eq!(desk.words(id), ("executed", "paid"));
    desk.take();
    desk.publish(id, Slot::Answer);
    desk.sign_receipt(id);
    assert!(desk.job(id).succeeded());
}

#[test]
fn p28_an_unpaid_invoice_closes_the_job_and_late_money_is_owed_back() {
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    desk.take();
    desk.later(desk.config.invoice_expiry_secs + desk.config.invoice_grace_secs);
    assert_eq!(desk.words(id), ("cancelled", "expired"));
    assert!(only_error(&desk.take()).contains("not paid in time"));
    assert!(desk.job(id).is_over());
    desk.feed(ProviderInput::Paid(paid));
    assert_eq!(desk.words(id), ("cancelled", "refund_due"));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Operator));
    assert_eq!(desk.take(), []);
    assert_eq!(desk.feed(ProviderInput::Paid(paid)).emits, [], "once");
    assert!(!desk.job(id).is_over());
}

#[test]
fn p28_late_money_is_not_swallowed_when_its_job_is_no_longer_hot() {
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    desk.later(desk.config.invoice_expiry_secs + desk.config.invoice_grace_secs);
    for n in 0..=KEEP_CLOSED {
        let kind = RequestTerms { kind: 5_100, unique: Some(n.to_string()), ..terms() };
        desk.now = desk.now.plus_secs(1);
        desk.seen(&request(&kind));
    }
    assert_eq!(desk.provider.job(&id), None);
    let decision = desk.feed(ProviderInput::Paid(paid));
    assert!(matches!(decision.emits[0].event, ProviderEvent::RefundDue(_)));
    assert_eq!(decision.emits[0].stream, StreamId::of("job", id));
    assert_eq!(desk.feed(ProviderInput::Paid(paid)).emits, [], "once");
    assert_eq!(desk.words(id), ("cancelled", "refund_due"), "it is known again, to be given back");
    assert_eq!(desk.job(id).paid_msat, Some(msat(500)));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Operator));
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn p28_late_money_for_a_delivered_job_is_honoured() {
    let mut desk = Desk::online(500, PaymentPolicy::After);
    let seen = request(&terms());
    let id = seen.id();
    desk.seen(&seen);
    desk.take();
    desk.executed(id, done("{}"));
    let paid = desk.make_invoice(id, 7);
    desk.publish(id, Slot::Answer);
    desk.later(desk.config.invoice_expiry_secs + desk.config.invoice_grace_secs);
    assert_eq!(desk.words(id), ("delivered", "unpaid"));
    assert!(desk.job(id).is_over() && !desk.job(id).succeeded());
    desk.take();
    desk.feed(ProviderInput::Paid(paid));
    desk.sign_receipt(id);
    assert!(desk.job(id).succeeded());
}

#[test]
fn p29_the_same_payment_twice_is_credited_once() {
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    for _ in 0..3 {
        assert_eq!(desk.feed(ProviderInput::Paid(paid)).emits, []);
    }
    let count = desk.log.iter().filter(|e| matches!(e.data, ProviderEvent::Paid(_))).count();
    assert_eq!(count, 1);
    assert_eq!(desk.words(id), ("running", "paid"));
}

#[test]
fn a_payment_counts_only_by_its_exact_hash() {
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    let forged = PaidFact { preimage: domain::Preimage([8; 32]), ..paid };
    assert_eq!(desk.feed(ProviderInput::Paid(forged)).emits, []);
    let other = PaidFact {
        payment_hash: forged.preimage.payment_hash(),
        preimage: forged.preimage,
        ..paid
    };
    assert_eq!(desk.feed(ProviderInput::Paid(other)).emits, []);
    assert_eq!(desk.words(id), ("accepted", "invoiced"));
}

#[test]
fn p27_underpayment_starts_nothing_and_is_owed_back_overpayment_is_recorded() {
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    desk.take();
    desk.feed(ProviderInput::Paid(PaidFact { amount_msat: msat(499), ..paid }));
    assert_eq!(desk.words(id), ("failed", "refund_due"));
    assert!(!executes(&desk));
    assert!(only_error(&desk.take()).contains("499 msat"));
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(PaidFact { amount_msat: msat(600), ..paid }));
    assert_eq!(desk.job(id).paid_msat, Some(msat(600)));
}

#[test]
fn p31_failure_after_payment_says_what_is_owed() {
    let (mut desk, id) = before();
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    desk.take();
    let reason = "x".repeat(1_000);
    desk.executed(id, ExecutionOutcome::Failed { reason });
    assert_eq!(desk.words(id), ("failed", "refund_due"));
    let text = only_error(&desk.take()[1..]);
    assert!(text.contains("500 msat") && text.contains(&paid.payment_hash.to_string()), "{text}");
    assert!(text.chars().count() <= 240);
}

#[test]
fn p09_expiry_after_payment_still_delivers() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    desk.config.max_running = 0;
    let seen = request(&RequestTerms { expires_at_secs: Some(START.as_secs() + 90), ..terms() });
    let id = seen.id();
    desk.seen(&seen);
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    desk.later(100);
    assert_eq!(desk.words(id), ("accepted", "paid"));
    desk.config.max_running = 1;
    desk.feed(ProviderInput::Relays { connected: 2 });
    assert_eq!(desk.words(id), ("running", "paid"));
}

#[test]
fn a_wallet_that_does_not_answer_ends_the_job() {
    for policy in [PaymentPolicy::Before, PaymentPolicy::After] {
        let mut desk = Desk::online(500, policy);
        let seen = request(&terms());
        desk.seen(&seen);
        if policy == PaymentPolicy::After {
            desk.executed(seen.id(), done("{}"));
        }
        desk.take();
        desk.later(desk.config.make_invoice_secs);
        assert_eq!(desk.words(seen.id()), ("failed", "expired"));
        assert!(only_error(&desk.take()).contains("no invoice"));
        let (bolt11, _) = invoice(7, 500, desk.now, 60);
        let late = ProviderInput::InvoiceMade { request_id: seen.id(), bolt11 };
        assert_eq!(desk.feed(late).emits, []);
    }
}

#[test]
fn only_the_receipt_that_is_due_is_recorded() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let seen = request(&terms());
    let id = seen.id();
    desk.seen(&seen);
    desk.executed(id, done("{}"));
    desk.take();
    desk.publish(id, Slot::Answer);
    let ProviderEffect::SignReceipt { receipt, .. } = desk.effects[0].clone() else { panic!() };
    let unsigned = ProviderInput::ReceiptSigned { request_id: id, receipt: receipt.clone() };
    assert_eq!(desk.feed(unsigned).emits, []);
    let other = Receipt { amount_msat: Some(msat(1)), sig: Some("00".into()), ..receipt };
    assert_eq!(
        desk.feed(ProviderInput::ReceiptSigned { request_id: id, receipt: other }).emits,
        []
    );
    let receipt = desk.sign_receipt(id);
    assert_eq!(
        desk.feed(ProviderInput::ReceiptSigned { request_id: id, receipt }).emits,
        [],
        "once"
    );
}
