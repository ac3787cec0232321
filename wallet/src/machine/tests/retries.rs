//! When a payment is tried again, and when it never is.

use super::support::{Bench, OPENING, code, hash, key, preimage, sat, signed};
use crate::{
    io::{Effect, Fact, Found, Input, Reply},
    wire::PaymentState,
};
use domain::Msat;
use lightning_invoice::Currency;

fn not_sent(bench: &mut Bench) {
    bench.fact(Fact::NotSent { key: key("a"), reason: "no way".into() });
}

fn failed(bench: &mut Bench, no_way: bool) {
    let reason = "it did not work".into();
    bench.fact(Fact::PayFailed { which: hash(1).into(), reason, no_way, still_open: false });
}

/// The same, while the backend's record says that it is on its way.
fn failed_with_an_open_record(bench: &mut Bench) {
    let reason = "it did not work".into();
    bench.fact(Fact::PayFailed { which: hash(1).into(), reason, no_way: true, still_open: true });
}

fn state(bench: &mut Bench) -> PaymentState {
    bench.payment("a").state
}

fn sends(bench: &Bench) -> usize {
    bench.effects.iter().filter(|effect| matches!(effect, Effect::Send(_))).count()
}

fn may_send(bench: &mut Bench) -> bool {
    bench.input(Input::MaySend { key: key("a") }) == Some(Reply::Done)
}

/// A payment of which the first try was begun.
fn begun() -> Bench {
    let mut bench = Bench::new();
    let bolt11 = bench.bolt11(sat(100), 1);
    assert_eq!(bench.pay("a", &bolt11, sat(100)), Some(Reply::Done));
    bench
}

#[test]
fn what_was_not_sent_is_tried_again_with_longer_pauses_until_its_time_is_over() {
    let mut bench = begun();
    let begun = bench.now;
    let mut at = Vec::new();
    while state(&mut bench) == PaymentState::Requested {
        assert!(may_send(&mut bench));
        not_sent(&mut bench);
        not_sent(&mut bench);
        assert!(!may_send(&mut bench), "between two tries nothing is sent");
        let before = sends(&bench);
        while sends(&bench) == before && state(&mut bench) == PaymentState::Requested {
            bench.pass(1);
        }
        at.push(bench.now.as_secs() - begun.as_secs());
    }
    assert_eq!(at, [1, 3, 7, 15, 23, 23], "the last one has no next");
    assert_eq!(sends(&bench), 6);
    let payment = bench.payment("a");
    assert_eq!((payment.state, payment.detail.as_deref()), (PaymentState::Failed, Some("no way")));
    assert_eq!(bench.wallet.window.total(bench.now), Msat::ZERO);
    assert_eq!(bench.wallet.balance().unwrap().spendable_msat, OPENING);
}

#[test]
fn each_try_pays_the_same_invoice_and_is_held_against_the_limits_once() {
    let mut bench = begun();
    let held = bench.wallet.window.total(bench.now);
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    failed(&mut bench, true);
    assert_eq!(bench.wallet.window.total(bench.now), held);
    assert_eq!(bench.wallet.balance().unwrap().pending_out_msat, sat(100));
    bench.pass(1);
    assert_eq!(bench.effects[0], bench.effects[1]);
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    bench.paid(1, Msat::new(5).unwrap());
    assert_eq!(state(&mut bench), PaymentState::Settled);
    assert_eq!(bench.in_channels().get(), OPENING.get() - 100_005);
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn what_the_payee_refused_is_not_tried_again() {
    let mut bench = begun();
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    failed(&mut bench, false);
    assert_eq!(state(&mut bench), PaymentState::Failed);
    let mut bench = begun();
    bench.fact(Fact::SendRefused { key: key("a"), reason: "never".into() });
    assert_eq!(state(&mut bench), PaymentState::Failed);
}

#[test]
fn what_was_unknown_once_is_never_sent_again() {
    for ends in 0..3 {
        let mut bench = begun();
        not_sent(&mut bench);
        bench.pass(1);
        bench.fact(Fact::SendUnclear { key: key("a"), reason: "the answer was lost".into() });
        assert_eq!(state(&mut bench), PaymentState::Unknown);
        match ends {
            0 => failed(&mut bench, true),
            1 => not_sent(&mut bench),
            _ => bench.fact(Fact::LookedUp {
                key: key("a"),
                found: Found::Failed { reason: "it failed".into() },
            }),
        }
        assert_eq!(state(&mut bench), PaymentState::Failed);
        bench.pass(100);
        assert_eq!(sends(&bench), 2);
    }
}

#[test]
fn an_unclear_answer_between_two_tries_stops_them() {
    let mut bench = begun();
    failed(&mut bench, true);
    bench.fact(Fact::SendUnclear { key: key("a"), reason: "the answer was lost".into() });
    assert_eq!(state(&mut bench), PaymentState::Unknown);
    bench.pass(100);
    assert_eq!((sends(&bench), state(&mut bench)), (1, PaymentState::Unknown));
}

#[test]
fn no_try_is_planned_past_the_invoice() {
    let mut bench = Bench::new();
    let bolt11 = signed(Currency::Regtest, Some(sat(100)), 1, bench.now, 5, "");
    assert_eq!(bench.pay("a", &bolt11, sat(100)), Some(Reply::Done));
    not_sent(&mut bench);
    bench.pass(1);
    not_sent(&mut bench);
    bench.pass(2);
    assert_eq!(sends(&bench), 3);
    not_sent(&mut bench);
    assert_eq!(state(&mut bench), PaymentState::Failed);
}

#[test]
fn a_planned_try_outlives_a_restart_but_not_a_long_one() {
    for (away_secs, ends, tried) in
        [(20, PaymentState::Requested, 2), (100, PaymentState::Failed, 1)]
    {
        let mut bench = begun();
        not_sent(&mut bench);
        let text = serde_json::to_string(&bench.wallet).unwrap();
        bench.wallet = serde_json::from_str(&text).unwrap();
        bench.now = bench.now.plus_secs(away_secs);
        bench.start();
        assert_eq!(bench.effects.len(), 1, "what is not on its way is not looked up");
        bench.pass(1);
        assert_eq!((state(&mut bench), sends(&bench)), (ends, tried), "after {away_secs} s");
    }
}

/// Its send was in the outbox when the process ended, or waited for the node.
#[test]
fn a_next_try_that_was_held_up_is_over_instead_of_late() {
    let mut bench = begun();
    bench.now = bench.now.plus_secs(100);
    assert!(may_send(&mut bench), "the first try is as the operator wanted it");
    let mut bench = begun();
    not_sent(&mut bench);
    bench.pass(1);
    bench.now = bench.now.plus_secs(59);
    assert!(may_send(&mut bench));
    bench.now = bench.now.plus_secs(1);
    assert!(!may_send(&mut bench));
    let payment = bench.payment("a");
    assert_eq!((payment.state, payment.detail.as_deref()), (PaymentState::Failed, Some("no way")));
    assert_eq!(bench.replayed(), bench.wallet);
}

/// The node's record of a payment may be written after the failure that it should have had.
#[test]
fn a_failure_counts_though_the_record_stayed_open() {
    let mut bench = begun();
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    failed_with_an_open_record(&mut bench);
    assert_eq!(state(&mut bench), PaymentState::Failed, "nothing is sent over an open record");
    let mut bench = begun();
    not_sent(&mut bench);
    bench.pass(1);
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    failed_with_an_open_record(&mut bench);
    assert_eq!(state(&mut bench), PaymentState::Failed, "in one run no failure is told twice");
}

#[test]
fn a_failure_told_once_more_says_nothing_of_a_later_try() {
    let mut bench = begun();
    failed(&mut bench, true);
    bench.pass(1);
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    bench.start();
    failed_with_an_open_record(&mut bench);
    assert_eq!(state(&mut bench), PaymentState::Pending);
    failed(&mut bench, false);
    assert_eq!(state(&mut bench), PaymentState::Failed);
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn old_answers_between_two_tries_change_nothing() {
    let mut bench = begun();
    failed(&mut bench, true);
    let events = bench.log.len();
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    failed(&mut bench, true);
    failed(&mut bench, false);
    let found = Found::Failed { reason: "of the try before".into() };
    bench.fact(Fact::LookedUp { key: key("a"), found });
    bench.fact(Fact::LookedUp { key: key("a"), found: Found::Nothing });
    assert_eq!(bench.log.len(), events);
    bench.fact(Fact::LookedUp { key: key("a"), found: Found::InFlight });
    assert_eq!(state(&mut bench), PaymentState::Pending, "it is out after all");
    bench.pass(100);
    assert_eq!(sends(&bench), 1);
}

#[test]
fn a_proof_of_payment_ends_the_tries() {
    let mut bench = begun();
    failed(&mut bench, true);
    bench.paid(1, Msat::ZERO);
    assert_eq!(bench.payment("a").preimage, Some(preimage(1)));
    bench.pass(100);
    assert_eq!((sends(&bench), state(&mut bench)), (1, PaymentState::Settled));
    assert_eq!(code(bench.input(Input::MaySend { key: key("a") })), "not_wanted");
}

/// After a restart the failed record of a payment and the fact of its failure both come: the fact
/// decides, while a next try is possible; after that the record is enough.
#[test]
fn a_failed_record_leaves_the_next_try_to_the_fact() {
    let look = |bench: &mut Bench| {
        let found = Found::Failed { reason: "it failed".into() };
        bench.fact(Fact::LookedUp { key: key("a"), found });
    };
    let mut bench = begun();
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    bench.start();
    look(&mut bench);
    assert_eq!(state(&mut bench), PaymentState::Pending);
    failed(&mut bench, true);
    bench.pass(1);
    assert_eq!(sends(&bench), 2);
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    bench.pass(60);
    look(&mut bench);
    assert_eq!(state(&mut bench), PaymentState::Failed);
}
