//! Random histories: requests, facts, duplicates, reorderings, restarts and lies of the backend.

use domain::{IdempotencyKey, Msat, PaymentHash, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use super::support::{Bench, LIMITS, OPENING, hash, key, preimage, sat};
use crate::{
    bolt11::{Bolt11, MAX_MEMO_LEN, printable},
    event::{Failed, OutcomeUnknown, Settled, WalletEvent},
    io::{Effect, Fact, Found, Input, Made, Reply},
    wire::{Direction, PaymentState},
};

#[derive(Clone, Debug)]
enum Act {
    Receive(u8, u32),
    Made(u8),
    Claimable(u8, u32),
    Received(u8, u32),
    Pay(u8, u8, u32),
    Taken(u8),
    Approve(u8),
    Deny(u8),
    Refused(u8),
    NotSent(u8),
    Unclear(u8),
    Paid(u8, u32, bool),
    PayFailed(u8, bool, bool),
    LookedUp(u8, u8),
    Pass(u32),
    Restart,
    Repeat,
}

fn act() -> impl Strategy<Value = Act> {
    let id = 0..12_u8;
    let amount = 1..1_200_u32;
    prop_oneof![
        3 => (id.clone(), amount.clone()).prop_map(|(k, a)| Act::Receive(k, a)),
        3 => id.clone().prop_map(Act::Made),
        3 => (id.clone(), amount.clone()).prop_map(|(k, a)| Act::Claimable(k, a)),
        3 => (id.clone(), amount.clone()).prop_map(|(k, a)| Act::Received(k, a)),
        5 => (id.clone(), id.clone(), amount.clone()).prop_map(|(k, h, a)| Act::Pay(k, h, a)),
        3 => id.clone().prop_map(Act::Taken),
        3 => id.clone().prop_map(Act::Approve),
        1 => id.clone().prop_map(Act::Deny),
        1 => id.clone().prop_map(Act::Refused),
        3 => id.clone().prop_map(Act::NotSent),
        1 => id.clone().prop_map(Act::Unclear),
        3 => (id.clone(), 0..30_u32, prop::bool::weighted(0.9))
            .prop_map(|(k, f, honest)| Act::Paid(k, f, honest)),
        2 => (id.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(k, no_way, still_open)| Act::PayFailed(k, no_way, still_open)),
        2 => (id, 0..4_u8).prop_map(|(k, f)| Act::LookedUp(k, f)),
        2 => (0..50_000_u32).prop_map(Act::Pass),
        6 => (0..12_u32).prop_map(Act::Pass),
        1 => Just(Act::Restart),
        2 => Just(Act::Repeat),
    ]
}

fn run(bench: &mut Bench, act: &Act, last: Option<&Act>) {
    let name = |k: u8| format!("k{k}");
    match act {
        Act::Receive(k, a) => drop(bench.receive(&name(*k), sat(*a))),
        Act::Made(k) => bench.fact(Fact::InvoiceMade {
            key: key(&name(*k)),
            made: Made {
                text: "lnbcrt1".into(),
                payment_hash: Some(hash(100 + u64::from(*k))),
                expires_at: Some(bench.now.plus_secs(600)),
            },
        }),
        Act::Claimable(k, a) => bench.fact(Fact::Claimable {
            payment_hash: hash(100 + u64::from(*k)),
            amount_msat: sat(*a),
        }),
        Act::Received(k, a) => bench.received(100 + u64::from(*k), sat(*a)),
        Act::Pay(k, h, a) => {
            let bolt11 = bench.bolt11(sat(*a), u64::from(*h));
            bench.pay(&name(*k), &bolt11, sat(*a));
        }
        Act::Taken(k) => bench.fact(Fact::SendTaken { key: key(&name(*k)), reference: None }),
        Act::Approve(k) => drop(bench.input(Input::Approve { key: key(&name(*k)) })),
        Act::Deny(k) => drop(bench.input(Input::Deny { key: key(&name(*k)) })),
        Act::Refused(k) => {
            bench.fact(Fact::SendRefused { key: key(&name(*k)), reason: "no".into() });
        }
        Act::NotSent(k) => {
            bench.fact(Fact::NotSent { key: key(&name(*k)), reason: "no way".into() });
        }
        Act::Unclear(k) => {
            bench.fact(Fact::SendUnclear { key: key(&name(*k)), reason: "?".into() });
        }
        Act::Paid(h, fee, honest) => bench.fact(Fact::Paid {
            which: (hash(u64::from(*h))).into(),
            payment_hash: None,
            preimage: Some(preimage(u64::from(*h) + u64::from(!*honest))),
            fee_msat: Msat::new(u64::from(*fee)).unwrap(),
        }),
        Act::PayFailed(h, no_way, still_open) => bench.fact(Fact::PayFailed {
            which: hash(u64::from(*h)).into(),
            reason: "no".into(),
            no_way: *no_way,
            still_open: *still_open,
        }),
        Act::LookedUp(k, found) => {
            let found = match found {
                0 => Found::Nothing,
                1 => Found::InFlight,
                2 => Found::Failed { reason: "no".into() },
                _ => Found::Settled {
                    amount_msat: sat(5),
                    fee_msat: sat(1),
                    preimage: None,
                    payment_hash: None,
                    reference: None,
                },
            };
            bench.fact(Fact::LookedUp { key: key(&name(*k)), found });
        }
        Act::Pass(secs) => bench.pass(u64::from(*secs)),
        Act::Restart => drop(bench.start()),
        Act::Repeat => {
            if let Some(last) = last {
                run(bench, last, None);
            }
        }
    }
}

/// The laws, from the log alone where they are about money.
fn check(bench: &Bench) -> Result<(), TestCaseError> {
    let (mut entered, mut left) = (OPENING.get(), 0);
    let mut settled: BTreeSet<PaymentHash> = BTreeSet::new();
    let mut requested: BTreeMap<&IdempotencyKey, usize> = BTreeMap::new();
    for event in &bench.log {
        match &event.data {
            WalletEvent::Settled(e) => {
                prop_assert!(settled.insert(e.payment_hash.unwrap()), "settled twice: {:?}", e.key);
                match e.direction {
                    Direction::In => entered += e.amount_msat.get(),
                    Direction::Out => left += e.amount_msat.get() + e.fee_msat.get(),
                }
                if let Some(preimage) = e.preimage {
                    prop_assert_eq!(Some(preimage.payment_hash()), e.payment_hash);
                }
            }
            WalletEvent::Requested(e) => *requested.entry(&e.key).or_default() += 1,
            _ => {}
        }
    }
    prop_assert_eq!(bench.wallet.ledger.total_msat().map(Msat::get), entered.checked_sub(left));
    prop_assert!(requested.values().all(|times| *times == 1), "a key was requested twice");
    check_tries(bench)?;
    for (key, entry) in &bench.wallet.payments {
        let under_way = match entry.payment.direction {
            Direction::In => &bench.wallet.coming,
            Direction::Out => &bench.wallet.going,
        };
        let waits = entry.payment.state == PaymentState::AwaitingApproval;
        prop_assert_eq!(under_way.contains(key), !entry.payment.state.is_over() && !waits);
        prop_assert_eq!(entry.approve_by.is_some(), waits);
        prop_assert_eq!(entry.payment.waits_for.is_some(), waits);
        if entry.payment.state == PaymentState::Settled {
            prop_assert!(entry.payment.fee_msat.is_some() && entry.payment.payment_hash.is_some());
        }
    }
    prop_assert_eq!(
        bench.wallet.changes.last_key_value().map_or(0, |(c, _)| *c),
        bench.wallet.cursor
    );
    Ok(())
}

/// A payment is sent once for its request and once for each try that was planned, and it is planned
/// only while nothing of it is on its way: never once its outcome was unknown, or it was over.
fn check_tries(bench: &Bench) -> Result<(), TestCaseError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Try {
        Waits,
        Out,
        Planned(Timestamp),
        Closed,
    }
    let mut tries: BTreeMap<&IdempotencyKey, (Try, Timestamp, usize)> = BTreeMap::new();
    for event in &bench.log {
        match &event.data {
            WalletEvent::Requested(e) if e.waits_for.is_some() => {
                tries.insert(&e.key, (Try::Waits, event.at, 0));
            }
            WalletEvent::Requested(e) => {
                tries.insert(&e.key, (Try::Out, event.at, 1));
            }
            WalletEvent::Approved(e) => {
                let known = tries.insert(&e.key, (Try::Out, event.at, 1));
                prop_assert!(matches!(known, Some((Try::Waits, ..))), "approved without waiting");
            }
            WalletEvent::RetryPlanned(e) => {
                let (now, begun, _) = tries.get_mut(&e.key).unwrap();
                prop_assert!(*now == Try::Out, "planned again while nothing was out, or too late");
                prop_assert!(e.at > event.at && e.at <= begun.plus_secs(30));
                *now = Try::Planned(e.at);
            }
            WalletEvent::TriedAgain(e) => {
                let (now, begun, sends) = tries.get_mut(&e.key).unwrap();
                let Try::Planned(due) = *now else { panic!("a try that was not planned") };
                prop_assert!(event.at >= due && event.at <= begun.plus_secs(60));
                (*now, *sends) = (Try::Out, *sends + 1);
            }
            // The backend has it, so it is out after all.
            WalletEvent::Sent(e) => tries.get_mut(&e.key).unwrap().0 = Try::Out,
            WalletEvent::OutcomeUnknown(OutcomeUnknown { key, .. })
            | WalletEvent::Failed(Failed { key, .. })
            | WalletEvent::Settled(Settled { key, .. }) => {
                if let Some((now, ..)) = tries.get_mut(key) {
                    *now = Try::Closed;
                }
            }
            _ => {}
        }
    }
    let mut sent: BTreeMap<&IdempotencyKey, usize> = BTreeMap::new();
    for effect in &bench.effects {
        if let Effect::Send(order) = effect {
            *sent.entry(&order.key).or_default() += 1;
        }
    }
    for (key, times) in sent {
        prop_assert_eq!(times, tries[key].2, "{}", key);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn money_adds_up_and_nothing_is_sent_or_credited_twice(
        acts in prop::collection::vec(act(), 1..80),
    ) {
        let mut bench = Bench::new();
        let mut last = None;
        for act in &acts {
            let sends = bench.effects.len();
            run(&mut bench, act, last);
            for effect in &bench.effects[sends..] {
                if let Effect::Send(order) = effect {
                    let approved = bench.log.iter().any(
                        |event| matches!(&event.data, WalletEvent::Approved(e) if e.key == order.key),
                    );
                    prop_assert!(approved || order.amount_msat <= LIMITS.per_payment_msat);
                    // A next try is held since the first; a late proof of another may come between.
                    let first = matches!(&bench.log.last().unwrap().data, WalletEvent::Requested(_))
                        && !bench.log.iter().any(|e| matches!(&e.data, WalletEvent::Approved(_)));
                    let total = bench.wallet.window.total(bench.now);
                    prop_assert!(!first || total <= LIMITS.per_day_msat, "over the daily limit");
                }
            }
            check(&bench)?;
            last = Some(act);
        }
        prop_assert_eq!(bench.replayed(), bench.wallet);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,300}") {
        let _refused = Bolt11::read(&text, domain::Network::Practice);
        let shown = printable(&text);
        prop_assert!(shown.len() <= MAX_MEMO_LEN && !shown.chars().any(char::is_control));
    }

    /// One changed character in a valid request is noticed.
    #[test]
    fn no_changed_request_is_read_as_another(at in 0..200_usize, to in 0..32_usize) {
        let bench = Bench::new();
        let valid = bench.bolt11(sat(9), 1);
        let at = at % valid.len();
        let mut changed = valid.clone().into_bytes();
        changed[at] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"[to];
        let changed = String::from_utf8(changed).unwrap();
        let read = Bolt11::read(&changed, domain::Network::Practice);
        prop_assert!(changed == valid || read.is_err());
    }
}

#[test]
fn a_reply_is_always_given_to_who_asks() {
    let mut bench = Bench::new();
    assert!(matches!(bench.receive("a", sat(1)), Some(Reply::Done)));
    assert!(matches!(bench.receive("a", sat(1)), Some(Reply::Payment(_))));
}
