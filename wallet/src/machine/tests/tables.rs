//! Single steps and short stories, each with its law in the name.

use domain::{IdempotencyKey, Machine, Msat, Network, Timestamp};
use lightning_invoice::Currency;

use super::support::{Bench, NODE_ID, OPENING, asked, code, hash, key, preimage, sat, signed};
use crate::{
    event::Observed,
    io::{Effect, Fact, Found, Input, Made, Reply},
    machine::MAX_COMING,
    state::{KEPT_UNPAID, KEPT_WHOLE},
    wire::{
        AccountId, Direction, HistoryQuery, NodeState, NoticeKind, PaymentState, QuoteQuery,
        Receive,
    },
};

#[test]
fn nothing_is_done_before_the_start() {
    let mut bench = Bench::unstarted();
    assert_eq!(code(bench.receive("a", sat(10))), "starting");
    assert!(bench.log.is_empty() && bench.effects.is_empty());
}

#[test]
fn a_home_stays_with_its_node_and_network() {
    let mut bench = Bench::new();
    for (network, node_id) in [(Network::Practice, "02bb"), (Network::Regtest, NODE_ID)] {
        let events = bench.log.len();
        let other = bench.input(Input::Start {
            network,
            backend: "fake".into(),
            node_id: node_id.into(),
            limits: super::support::LIMITS,
        });
        assert_eq!(code(other), "other_wallet");
        assert_eq!(bench.log.len(), events);
    }
}

/// As of a backend without channels that was not heard yet.
#[test]
fn what_nobody_knows_is_neither_shown_nor_spent() {
    let mut bench = Bench::unstarted();
    assert_eq!(bench.start(), Some(Reply::Done));
    let seen = |spendable_msat: Option<Msat>| {
        Fact::Observed(Observed {
            state: NodeState::Degraded,
            detail: None,
            inbound_msat: Msat::ZERO,
            onchain_msat: Msat::ZERO,
            spendable_msat,
            unknown: spendable_msat.is_none(),
        })
    };
    let invoice = bench.bolt11(sat(5), 7);
    for (spendable, answer) in
        [(None, "balance_unknown"), (Some(Msat::ZERO), "insufficient_balance")]
    {
        bench.fact(seen(spendable));
        assert_eq!(bench.wallet.balance().map(|balance| balance.spendable_msat), spendable);
        assert_eq!(code(bench.pay("a", &invoice, sat(5))), answer);
    }
    bench.fact(seen(Some(sat(2_000))));
    assert_eq!(bench.wallet.balance().unwrap().spendable_msat, sat(2_000));
    assert!(matches!(bench.pay("a", &invoice, sat(5)), Some(Reply::Payment(_) | Reply::Done)));
    bench.fact(seen(None));
    assert_eq!(bench.wallet.balance(), None);
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn money_in_goes_from_request_to_credit_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive("in", sat(100)), Some(Reply::Done));
    assert_eq!(bench.payment("in").state, PaymentState::Requested);
    assert!(matches!(bench.effects.as_slice(), [Effect::MakeInvoice(_)]));
    bench.fact(Fact::InvoiceMade {
        key: key("in"),
        made: Made {
            text: bench.bolt11(sat(100), 1),
            payment_hash: Some(hash(1)),
            expires_at: Some(bench.now.plus_secs(600)),
        },
    });
    assert_eq!(bench.payment("in").state, PaymentState::Pending);
    for _ in 0..2 {
        bench.fact(Fact::Claimable { payment_hash: hash(1), amount_msat: sat(100) });
    }
    let claims = bench.effects.iter().filter(|effect| matches!(effect, Effect::Claim { .. }));
    assert_eq!(claims.count(), 1);
    assert_eq!(bench.wallet.balance().unwrap().pending_in_msat, sat(100));
    for _ in 0..3 {
        bench.received(1, sat(100));
    }
    let payment = bench.payment("in");
    assert_eq!((payment.state, payment.preimage), (PaymentState::Settled, Some(preimage(1))));
    assert_eq!(bench.in_channels(), sat(5_100));
    assert_eq!(bench.wallet.balance().unwrap().pending_in_msat, Msat::ZERO);
}

#[test]
fn the_same_key_is_the_same_payment_or_an_error() {
    let mut bench = Bench::new();
    bench.invoice("k", sat(100), 1);
    let again = bench.receive("k", sat(100));
    assert!(
        matches!(again, Some(Reply::Payment(payment)) if payment.payment_hash == Some(hash(1)))
    );
    assert_eq!(code(bench.receive("k", sat(101))), "key_reused");
    let other_memo =
        Receive { amount_msat: Some(sat(100)), memo: "other".into(), ..asked(key("k")) };
    assert_eq!(code(bench.input(Input::Receive(other_memo))), "key_reused");
    let bolt11 = bench.bolt11(sat(100), 2);
    assert_eq!(code(bench.pay("k", &bolt11, sat(100))), "key_reused");
    bench.sending("out", sat(100), 3);
    let same = bench.bolt11(sat(100), 3);
    assert!(matches!(bench.pay("out", &same, sat(100)), Some(Reply::Payment(_))));
    let upper = same.to_uppercase();
    assert!(matches!(
        bench.pay("out", &format!("lightning:{upper}"), sat(100)),
        Some(Reply::Payment(_))
    ));
    assert_eq!(code(bench.pay("out", &bolt11, sat(100))), "key_reused");
    let sends = bench.effects.iter().filter(|effect| matches!(effect, Effect::Send(_)));
    assert_eq!(sends.count(), 1);
}

#[test]
fn money_out_counts_amount_and_fee_exactly() {
    let mut bench = Bench::new();
    bench.sending("out", Msat::new(100_001).unwrap(), 1);
    let balance = bench.wallet.balance().unwrap();
    assert_eq!(balance.pending_out_msat.get(), 100_001);
    assert_eq!(balance.spendable_msat.get(), OPENING.get() - 100_001);
    bench.paid(1, Msat::new(7).unwrap());
    bench.paid(1, Msat::new(7).unwrap());
    let payment = bench.payment("out");
    assert_eq!(payment.state, PaymentState::Settled);
    assert_eq!(payment.fee_msat.map(Msat::get), Some(7));
    assert_eq!(bench.in_channels().get(), OPENING.get() - 100_008);
    assert_eq!(bench.wallet.balance().unwrap().pending_out_msat, Msat::ZERO);
}

#[test]
fn one_payment_per_hash_ever() {
    let mut bench = Bench::new();
    bench.sending("a", sat(100), 1);
    let bolt11 = bench.bolt11(sat(100), 1);
    assert_eq!(code(bench.pay("b", &bolt11, sat(100))), "already_paid");
    bench.fact(Fact::PayFailed {
        which: hash(1).into(),
        reason: "no route".into(),
        no_way: false,
        still_open: false,
    });
    assert_eq!(bench.payment("a").state, PaymentState::Failed);
    assert_eq!(code(bench.pay("c", &bolt11, sat(100))), "already_paid");
    bench.invoice("own", sat(50), 2);
    let own = bench.bolt11(sat(50), 2);
    assert_eq!(code(bench.pay("d", &own, sat(50))), "already_paid");
}

#[test]
fn a_request_is_checked_before_money_follows_it() {
    let mut bench = Bench::new();
    let now = bench.now;
    let cases = [
        ("no invoice".to_owned(), sat(1), "bad_request"),
        ("l".repeat(5_000), sat(1), "bad_request"),
        (signed(Currency::Bitcoin, Some(sat(9)), 1, now, 600, ""), sat(9), "wrong_network"),
        (signed(Currency::Signet, Some(sat(9)), 1, now, 600, ""), sat(9), "wrong_network"),
        (
            signed(Currency::Regtest, Some(Msat::ZERO), 1, now, 600, ""),
            sat(9),
            "unsupported_amount",
        ),
        (bench.bolt11(sat(9), 1), sat(8), "amount_mismatch"),
        (signed(Currency::Regtest, Some(sat(9)), 1, now, 1, ""), sat(9), "invoice_expired"),
    ];
    for (bolt11, amount, expected) in cases {
        assert_eq!(code(bench.pay("x", &bolt11, amount)), expected);
    }
    let mut tampered = bench.bolt11(sat(9), 1);
    tampered.replace_range(20..21, if &tampered[20..21] == "q" { "p" } else { "q" });
    assert_eq!(code(bench.pay("x", &tampered, sat(9))), "bad_invoice");
    assert!(bench.effects.is_empty(), "nothing was sent");
    assert_eq!(code(bench.input(Input::Payment { key: key("x") })), "no_such_payment");
}

#[test]
fn limits_count_what_is_pending_unknown_and_spent_today() {
    let mut bench = Bench::new();
    bench.sending("a", sat(900), 1);
    bench.sending("b", sat(900), 2);
    let bolt11 = bench.bolt11(sat(900), 3);
    assert_eq!(bench.pay("c", &bolt11, sat(900)), Some(Reply::Done));
    bench.fact(Fact::SendUnclear { key: key("c"), reason: "timed out".into() });
    let next = bench.bolt11(sat(300), 4);
    let waits = |bench: &mut Bench, name: &str, bolt11: &str| {
        assert_eq!(bench.pay(name, bolt11, sat(300)), Some(Reply::Done));
        let payment = bench.payment(name);
        assert_eq!(payment.state, PaymentState::AwaitingApproval);
        assert_eq!(payment.waits_for.unwrap().code, "over_limit");
        bench.input(Input::Deny { key: key(name) });
    };
    waits(&mut bench, "w", &next);
    let next = bench.bolt11(sat(300), 5);
    bench.fact(Fact::PayFailed {
        which: hash(2).into(),
        reason: "no route".into(),
        no_way: false,
        still_open: false,
    });
    bench.paid(1, Msat::ZERO);
    assert_eq!(bench.pay("d", &next, sat(300)), Some(Reply::Done));
    bench.pass(24 * 60 * 60);
    let total = bench.wallet.window.total(bench.now);
    assert_eq!(
        total,
        sat(910 + 310),
        "the unknown and the unsent one still count, the paid one not"
    );
}

#[test]
fn more_than_the_balance_is_refused() {
    let mut bench = Bench::new();
    for n in 0..5 {
        bench.sending(&format!("p{n}"), sat(980), n);
        bench.paid(n, sat(10));
        bench.pass(13 * 60 * 60);
    }
    assert_eq!(bench.in_channels(), sat(50));
    let bolt11 = bench.bolt11(sat(45), 9);
    assert_eq!(code(bench.pay("x", &bolt11, sat(45))), "insufficient_balance");
}

#[test]
fn an_unclear_send_is_looked_up_and_never_repeated() {
    let mut bench = Bench::new();
    let bolt11 = bench.bolt11(sat(100), 1);
    bench.pay("a", &bolt11, sat(100));
    bench.fact(Fact::SendUnclear { key: key("a"), reason: "the backend broke off".into() });
    assert_eq!(bench.payment("a").state, PaymentState::Unknown);
    assert!(matches!(bench.effects.as_slice(), [Effect::Send(_), Effect::LookUp(_)]));
    bench.fact(Fact::LookedUp { key: key("a"), found: Found::Nothing });
    assert_eq!(bench.payment("a").state, PaymentState::Unknown);
    let mut settled = Bench { wallet: bench.wallet.clone(), ..Bench::unstarted() };
    settled.now = bench.now;
    settled.fact(Fact::LookedUp {
        key: key("a"),
        found: Found::Settled {
            amount_msat: sat(100),
            fee_msat: Msat::ZERO,
            preimage: Some(preimage(1)),
            payment_hash: None,
            reference: None,
        },
    });
    assert_eq!(settled.payment("a").state, PaymentState::Settled);
    bench.pass(600 + 24 * 60 * 60);
    bench.fact(Fact::LookedUp { key: key("a"), found: Found::Nothing });
    assert_eq!(bench.payment("a").state, PaymentState::Failed);
    let sends = bench.effects.iter().filter(|effect| matches!(effect, Effect::Send(_)));
    assert_eq!(sends.count(), 1);
}

#[test]
fn a_late_proof_of_payment_corrects_a_failure() {
    let mut bench = Bench::new();
    bench.sending("a", sat(100), 1);
    bench.fact(Fact::PayFailed {
        which: hash(1).into(),
        reason: "timed out".into(),
        no_way: false,
        still_open: false,
    });
    bench.paid(1, Msat::new(3).unwrap());
    assert_eq!(bench.payment("a").state, PaymentState::Settled);
    assert_eq!(bench.in_channels().get(), OPENING.get() - 100_003);
    bench.fact(Fact::PayFailed {
        which: hash(1).into(),
        reason: "again".into(),
        no_way: false,
        still_open: false,
    });
    assert_eq!(bench.payment("a").state, PaymentState::Settled);
}

#[test]
fn a_proof_that_does_not_fit_proves_nothing() {
    let mut bench = Bench::new();
    bench.sending("a", sat(100), 1);
    bench.fact(Fact::Paid {
        which: (hash(1)).into(),
        payment_hash: None,
        preimage: Some(preimage(2)),
        fee_msat: Msat::ZERO,
    });
    assert_eq!(bench.payment("a").state, PaymentState::Unknown);
    assert_eq!(bench.in_channels(), OPENING);
}

#[test]
fn an_invoice_expires_and_what_comes_later_goes_back() {
    let mut bench = Bench::new();
    bench.invoice("in", sat(100), 1);
    bench.pass(605);
    assert_eq!(bench.payment("in").state, PaymentState::Pending, "a short grace");
    bench.pass(5);
    assert_eq!(bench.payment("in").state, PaymentState::Expired);
    bench.fact(Fact::Claimable { payment_hash: hash(1), amount_msat: sat(100) });
    assert!(matches!(bench.effects.last(), Some(Effect::TurnAway { .. })));
    assert_eq!(bench.in_channels(), OPENING);
}

#[test]
fn too_little_for_an_invoice_goes_back() {
    let mut bench = Bench::new();
    bench.invoice("in", sat(100), 1);
    bench.fact(Fact::Claimable { payment_hash: hash(1), amount_msat: sat(99) });
    assert!(matches!(bench.effects.last(), Some(Effect::TurnAway { .. })));
}

#[test]
fn what_has_arrived_is_claimed_again_after_a_restart() {
    let mut bench = Bench::new();
    bench.invoice("in", sat(100), 1);
    bench.fact(Fact::Claimable { payment_hash: hash(1), amount_msat: sat(100) });
    bench.effects.clear();
    bench.start();
    assert!(matches!(bench.effects.as_slice(), [Effect::LookUp(_)]));
    bench.fact(Fact::LookedUp { key: key("in"), found: Found::InFlight });
    assert!(matches!(bench.effects.last(), Some(Effect::Claim { .. })));
}

#[test]
fn a_restart_looks_up_what_is_open_and_nothing_else() {
    let mut bench = Bench::new();
    bench.invoice("in", sat(100), 1);
    bench.sending("out", sat(100), 2);
    bench.sending("done", sat(100), 3);
    bench.paid(3, Msat::ZERO);
    let bolt11 = bench.bolt11(sat(100), 4);
    bench.pay("requested", &bolt11, sat(100));
    bench.effects.clear();
    bench.start();
    let asked: Vec<_> = bench
        .effects
        .iter()
        .map(|effect| match effect {
            Effect::LookUp(sought) => sought.key.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(asked, ["in", "out"], "what was only requested has its own effect in the outbox");
}

#[test]
fn money_without_an_invoice_is_counted_once_under_its_hash() {
    let mut bench = Bench::new();
    bench.received(8, sat(7));
    bench.received(8, sat(7));
    assert_eq!(bench.in_channels(), sat(5_007));
    let name = IdempotencyKey::of("uninvited", hash(8));
    assert_eq!(bench.payment(name.as_str()).direction, Direction::In);
    assert_eq!(code(bench.receive(name.as_str(), sat(7))), "key_reused");
    assert_eq!(code(bench.receive("uninvited/x", sat(7))), "bad_key");
}

#[test]
fn an_invoice_with_a_used_hash_is_never_given_out() {
    let mut bench = Bench::new();
    bench.received(1, sat(7));
    assert_eq!(bench.receive("in", sat(100)), Some(Reply::Done));
    bench.fact(Fact::InvoiceMade {
        key: key("in"),
        made: Made {
            text: bench.bolt11(sat(100), 1),
            payment_hash: Some(hash(1)),
            expires_at: Some(bench.now.plus_secs(600)),
        },
    });
    assert_eq!(bench.payment("in").state, PaymentState::Failed);
}

#[test]
fn channels_open_once_and_close_once() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.fact(Fact::ChannelReady { channel: "c2".into(), ours_msat: sat(300) });
    }
    assert_eq!(bench.in_channels(), sat(5_300));
    for _ in 0..2 {
        bench.fact(Fact::ChannelClosed {
            channel: "c1".into(),
            remaining_msat: sat(300),
            reason: "agreed".into(),
        });
    }
    assert_eq!(bench.in_channels(), sat(300));
    assert_eq!(bench.wallet.ledger.closed_msat, OPENING);
}

#[test]
fn a_reader_gets_each_newest_state_once_and_in_order() {
    let mut bench = Bench::new();
    bench.invoice("in", sat(100), 1);
    let Some(Reply::Notices(all)) = bench.input(Input::Notices { after: 0, count: 100 }) else {
        panic!("no notices");
    };
    assert!(all.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
    let payments = all.iter().filter(|notice| matches!(notice.what, NoticeKind::Payment(_)));
    assert_eq!(payments.count(), 1, "requested and invoiced are one newest state");
    let seen = all.last().unwrap().cursor;
    bench.received(1, sat(100));
    let Some(Reply::Notices(new)) = bench.input(Input::Notices { after: seen, count: 100 }) else {
        panic!("no notices");
    };
    assert!(
        matches!(&new[0].what, NoticeKind::Payment(payment) if payment.state == PaymentState::Settled)
    );
    assert!(
        matches!(&new[1].what, NoticeKind::Balance(balance) if balance.spendable_msat == sat(5_100))
    );
    assert_eq!(new.len(), 2);
    assert_eq!(code(bench.input(Input::Notices { after: 10_000, count: 1 })), "unknown_cursor");
}

#[test]
fn history_pages_skip_nothing() {
    let mut bench = Bench::new();
    for n in 0..10 {
        if n % 3 == 0 {
            bench.pass(1);
        }
        bench.receive(&format!("k{n}"), sat(10));
    }
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = bench.input(Input::History(HistoryQuery { before, count: 2 }));
        let Some(Reply::Payments(page)) = page else { panic!("no page") };
        let Some(last) = page.last() else { break };
        before = Some(last.created_at);
        seen.extend(page.iter().map(|payment| payment.key.clone()));
    }
    assert_eq!(seen.len(), 10);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10);
}

#[test]
fn old_payments_keep_their_figures_and_stay_idempotent() {
    let mut bench = Bench::new();
    for n in 0..=KEPT_WHOLE as u64 {
        bench.invoice(&format!("k{n}"), sat(1), n);
        bench.received(n, sat(1));
    }
    let first = bench.payment("k0");
    assert_eq!((first.request, first.state), (None, PaymentState::Settled));
    assert_eq!(first.preimage, Some(preimage(0)));
    assert!(bench.payment("k1").request.is_some());
    assert!(matches!(bench.receive("k0", sat(1)), Some(Reply::Payment(_))));
    assert_eq!(code(bench.receive("k0", sat(2))), "key_reused");
}

#[test]
fn unpaid_invoices_do_not_stand_in_the_way_of_a_payment() {
    let mut bench = Bench::new();
    for n in 0..MAX_COMING {
        assert_eq!(bench.receive(&format!("k{n}"), sat(1)), Some(Reply::Done));
    }
    assert_eq!(code(bench.receive("one-more", sat(1))), "busy");
    let bolt11 = bench.bolt11(sat(9), 1);
    assert_eq!(bench.pay("out", &bolt11, sat(9)), Some(Reply::Done));
}

#[test]
fn unpaid_invoices_are_forgotten_in_time_and_money_for_them_is_not() {
    let mut bench = Bench::new();
    bench.invoice("first", sat(100), 1);
    bench.invoice("second", sat(100), 2);
    bench.invoice("arrived", sat(100), 3);
    bench.fact(Fact::Claimable { payment_hash: hash(3), amount_msat: sat(100) });
    bench.pass(3 * 60 * 60);
    for name in ["first", "second", "arrived"] {
        assert_eq!(bench.payment(name).state, PaymentState::Expired);
    }
    for n in 0..KEPT_UNPAID {
        let name = format!("k{n}");
        bench.receive(&name, sat(1));
        bench.fact(Fact::InvoiceRefused { key: key(&name), reason: "no channel".into() });
    }
    for name in ["first", "second"] {
        assert_eq!(code(bench.input(Input::Payment { key: key(name) })), "no_such_payment");
    }
    assert_eq!(bench.wallet.payments.len(), KEPT_UNPAID + 1);
    assert_eq!(bench.wallet.by_time.len(), KEPT_UNPAID + 1);
    assert_eq!(bench.wallet.by_hash.len(), 1);
    bench.fact(Fact::Claimable { payment_hash: hash(1), amount_msat: sat(100) });
    assert!(matches!(bench.effects.last(), Some(Effect::TurnAway { .. })));
    for _ in 0..2 {
        bench.received(2, sat(100));
        bench.received(3, sat(100));
    }
    let uninvited = IdempotencyKey::of("uninvited", hash(2));
    assert_eq!(bench.payment(uninvited.as_str()).state, PaymentState::Settled);
    assert_eq!(bench.payment("arrived").state, PaymentState::Settled);
    assert_eq!(bench.in_channels(), sat(5_200));
    assert_eq!(bench.receive("first", sat(100)), Some(Reply::Done), "the key is free again");
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn a_quote_says_why_it_would_be_refused() {
    let mut bench = Bench::new();
    let mut quote = |amount: Msat| match bench.input(quote_of(&bench.bolt11(amount, 1))) {
        Some(Reply::Quote(quote)) => *quote,
        other => panic!("{other:?}"),
    };
    let fine = quote(sat(200));
    assert_eq!((fine.amount_msat, fine.refused), (sat(200), None));
    assert_eq!(fine.max_fee_msat, sat(12));
    assert_eq!(fine.memo, "coffee");
    let above = quote(sat(2_000));
    assert_eq!((above.waits_for.unwrap().code.as_ref(), above.refused), ("over_limit", None));
    assert_eq!(quote(sat(9_000)).refused.unwrap().code, "insufficient_balance");
}

fn quote_of(request: &str) -> Input {
    Input::Quote(QuoteQuery {
        request: request.into(),
        account: AccountId::operator(),
        amount_msat: None,
        lnurl: None,
    })
}

#[test]
fn state_survives_a_snapshot() {
    let mut bench = Bench::new();
    bench.invoice("in", sat(100), 1);
    bench.sending("out", sat(100), 2);
    bench.paid(2, sat(1));
    let text = serde_json::to_string(&bench.wallet).unwrap();
    assert_eq!(serde_json::from_str::<crate::Wallet>(&text).unwrap(), bench.wallet);
}

#[test]
fn expiry_far_away_stays_an_exact_integer() {
    let far =
        signed(Currency::Regtest, Some(sat(1)), 1, Timestamp::from_secs(1), u64::MAX >> 20, "");
    let read = crate::bolt11::Bolt11::read(&far, Network::Practice).unwrap();
    assert!(read.expires_at.0 < 1 << 53);
    let _decides = Bench::new().wallet.decide(&quote_of(&far), Timestamp(0));
}
