//! Sub-wallets, budgets and approvals, each law in its name.

use domain::Msat;
use proptest::prelude::*;
use safety::{Renewal, SpendLimits};

use super::support::{Bench, OPENING, asked, code, hash, key, preimage, sat};
use crate::{
    account::{Account, AccountId, AccountKind, AccountView, Budget, OnLimit},
    io::{Effect, Fact, Input, Made, Reply, Which},
    wire::{Move, PaymentState, Rail, Receive},
};

fn id(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn account(name: &str) -> Account {
    Account {
        id: id(name),
        name: name.to_owned(),
        kind: AccountKind::Connection,
        isolated: false,
        budget: None,
        per_payment_msat: None,
        allow: Vec::new(),
        expires_at: None,
        on_limit: OnLimit::Refuse,
        connection: None,
    }
}

fn budget(amount: Msat) -> Option<Budget> {
    Some(Budget { amount_msat: amount, renews: Renewal::Daily })
}

fn set(bench: &mut Bench, account: Account) {
    assert_eq!(bench.input(Input::SetAccount(account)), Some(Reply::Done));
}

fn view(bench: &mut Bench, name: &str) -> AccountView {
    match bench.input(Input::Accounts) {
        Some(Reply::Accounts(views)) => {
            views.into_iter().find(|view| view.account.id == id(name)).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn give(bench: &mut Bench, name: &str, amount: Msat) -> Option<Reply> {
    bench.input(Input::Move(Move {
        key: key(&format!("give-{name}")),
        from: AccountId::operator(),
        to: id(name),
        amount_msat: amount,
    }))
}

fn wide(bench: &mut Bench) {
    let limits = SpendLimits { per_day_msat: sat(1_000_000), ..super::support::LIMITS };
    assert_eq!(bench.input(Input::SetLimits { limits }), Some(Reply::Done));
}

/// 100 at once against a budget for 37, fees held: 37 go, 63 are refused by name, whatever follows.
#[test]
fn a_burst_never_oversubscribes_a_budget() {
    let mut bench = Bench::new();
    wide(&mut bench);
    set(&mut bench, Account { budget: budget(sat(37 * 20)), ..account("burst") });
    let (mut began, mut refused) = (0, 0);
    for n in 0..100 {
        let bolt11 = bench.bolt11(sat(10), n);
        match bench.pay_as(&id("burst"), &format!("b{n}"), &bolt11, sat(10)) {
            Some(Reply::Done) => began += 1,
            other => {
                assert_eq!(code(other), "over_budget");
                refused += 1;
            }
        }
    }
    assert_eq!((began, refused), (37, 63));
    let sends = bench.effects.iter().filter(|effect| matches!(effect, Effect::Send(_)));
    assert_eq!(sends.count(), 37);
    assert_eq!(view(&mut bench, "burst").left_msat, Some(Msat::ZERO));
    // What cost less than it could gives the rest back; what is unknown keeps all of it.
    bench.fact(Fact::SendTaken { key: key("b0"), reference: None });
    bench.paid(0, sat(1));
    bench.fact(Fact::SendUnclear { key: key("b1"), reason: "timed out".into() });
    assert_eq!(view(&mut bench, "burst").left_msat, Some(sat(9)));
}

#[test]
fn an_account_that_asks_waits_and_goes_once_when_it_is_approved() {
    let mut bench = Bench::new();
    let asks = Account { budget: budget(sat(100)), on_limit: OnLimit::Ask, ..account("agent") };
    set(&mut bench, asks);
    let bolt11 = bench.bolt11(sat(200), 1);
    assert_eq!(bench.pay_as(&id("agent"), "a", &bolt11, sat(200)), Some(Reply::Done));
    let payment = bench.payment("a");
    assert_eq!(payment.state, PaymentState::AwaitingApproval);
    assert_eq!(payment.waits_for.unwrap().code, "over_budget");
    assert!(bench.effects.is_empty(), "nothing is asked of the backend");
    let spent = |bench: &mut Bench| view(bench, "agent").spent_msat;
    assert_eq!(spent(&mut bench), Msat::ZERO, "what waits is not spent");
    assert_eq!(code(bench.pay("other", &bolt11, sat(200))), "already_paid");
    bench.start();
    assert!(bench.effects.is_empty());
    bench.pass(500);
    assert_eq!(bench.input(Input::Approve { key: key("a") }), Some(Reply::Done));
    assert!(matches!(bench.input(Input::Approve { key: key("a") }), Some(Reply::Payment(_))));
    assert!(matches!(bench.effects.as_slice(), [Effect::Send(order)] if order.request == bolt11));
    assert_eq!(spent(&mut bench), sat(210));
    bench.fact(Fact::SendTaken { key: key("a"), reference: None });
    bench.paid(1, sat(2));
    assert_eq!(bench.payment("a").state, PaymentState::Settled);
    assert_eq!(spent(&mut bench), sat(202));
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn what_is_denied_or_comes_too_late_is_over_and_cost_nothing() {
    let mut bench = Bench::new();
    for (n, name) in [(1, "denied"), (2, "late"), (3, "expired")] {
        let bolt11 = bench.bolt11(sat(1_500), n);
        assert_eq!(bench.pay(name, &bolt11, sat(1_500)), Some(Reply::Done));
    }
    assert_eq!(bench.input(Input::Deny { key: key("denied") }), Some(Reply::Done));
    bench.now = bench.now.plus_secs(599);
    assert_eq!(code(bench.input(Input::Approve { key: key("late") })), "approval_expired");
    bench.pass(1);
    for name in ["denied", "late", "expired"] {
        let payment = bench.payment(name);
        assert_eq!((payment.state, payment.waits_for), (PaymentState::Failed, None), "{name}");
        assert!(matches!(bench.input(Input::Approve { key: key(name) }), Some(Reply::Payment(_))));
    }
    assert!(bench.effects.is_empty());
    assert_eq!(bench.wallet.window.total(bench.now), Msat::ZERO);
    assert_eq!(bench.wallet.balance().unwrap().spendable_msat, OPENING);
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn an_isolated_account_spends_its_own_and_nobody_elses() {
    let mut bench = Bench::new();
    wide(&mut bench);
    set(&mut bench, Account { isolated: true, ..account("app") });
    let bolt11 = bench.bolt11(sat(100), 1);
    assert_eq!(code(bench.pay_as(&id("app"), "p", &bolt11, sat(100))), "insufficient_balance");
    assert_eq!(give(&mut bench, "app", sat(600)), Some(Reply::Done));
    assert_eq!(give(&mut bench, "app", sat(600)), Some(Reply::Done), "the same move is made once");
    assert_eq!(code(give(&mut bench, "app", sat(601))), "key_reused");
    assert_eq!(view(&mut bench, "app").balance_msat, Some(sat(600)));
    assert_eq!(bench.wallet.set_apart(), sat(600));
    // The operator cannot spend what is set apart, under way or not.
    assert_eq!(bench.pay_as(&id("app"), "p", &bolt11, sat(100)), Some(Reply::Done));
    for (n, amount) in [(2, sat(990)), (3, sat(990)), (4, sat(990)), (5, sat(990))] {
        let bolt11 = bench.bolt11(amount, n);
        assert_eq!(bench.pay(&format!("op{n}"), &bolt11, amount), Some(Reply::Done), "{n}");
    }
    let bolt11 = bench.bolt11(sat(990), 6);
    assert_eq!(code(bench.pay("op6", &bolt11, sat(990))), "insufficient_balance");
    bench.fact(Fact::SendTaken { key: key("p"), reference: None });
    bench.paid(1, sat(3));
    assert_eq!(view(&mut bench, "app").balance_msat, Some(sat(497)));
    // What is paid to it is its own.
    let receive = Receive { account: id("app"), amount_msat: Some(sat(50)), ..asked(key("in")) };
    assert_eq!(bench.input(Input::Receive(receive)), Some(Reply::Done));
    let made = Made {
        text: bench.bolt11(sat(50), 9),
        payment_hash: Some(hash(9)),
        expires_at: Some(bench.now.plus_secs(600)),
    };
    bench.fact(Fact::InvoiceMade { key: key("in"), made });
    bench.received(9, sat(50));
    assert_eq!(view(&mut bench, "app").balance_msat, Some(sat(547)));
    // Closed, its money is the operator's again, and nothing more is paid from it.
    assert_eq!(bench.input(Input::CloseAccount { id: id("app") }), Some(Reply::Done));
    assert_eq!(bench.wallet.set_apart(), Msat::ZERO);
    let bolt11 = bench.bolt11(sat(10), 10);
    assert_eq!(code(bench.pay_as(&id("app"), "q", &bolt11, sat(10))), "account_closed");
    assert_eq!(code(bench.input(Input::SetAccount(account("app")))), "account_closed");
    assert_eq!(bench.replayed(), bench.wallet);
}

#[test]
fn an_account_keeps_to_its_payees_its_time_and_its_largest_payment() {
    let mut bench = Bench::new();
    let until = bench.now.plus_secs(100);
    let terms = Account {
        allow: vec!["02ffff".into()],
        expires_at: Some(until),
        per_payment_msat: Some(sat(50)),
        ..account("tight")
    };
    set(&mut bench, terms.clone());
    let bolt11 = bench.bolt11(sat(60), 1);
    let pay = |bench: &mut Bench| code(bench.pay_as(&id("tight"), "t", &bolt11, sat(60)));
    assert_eq!(pay(&mut bench), "not_allowed");
    let payee = crate::bolt11::Bolt11::read(&bolt11, domain::Network::Practice).unwrap().payee;
    set(&mut bench, Account { allow: vec![payee.to_uppercase()], ..terms.clone() });
    assert_eq!(pay(&mut bench), "over_limit");
    bench.pass(100);
    assert_eq!(pay(&mut bench), "account_expired");
    let receive = Receive { account: id("tight"), amount_msat: None, ..asked(key("in")) };
    assert_eq!(code(bench.input(Input::Receive(receive))), "account_expired");
    assert_eq!(code(bench.pay_as(&id("nobody"), "n", &bolt11, sat(60))), "no_such_account");
    assert_eq!(code(bench.input(Input::SetAccount(account("operator")))), "bad_account");
    let isolated = Account { isolated: true, ..terms };
    assert_eq!(code(bench.input(Input::SetAccount(isolated))), "bad_account");
}

#[test]
fn an_offer_can_be_paid_often_and_each_payment_is_credited_once() {
    let mut bench = Bench::new();
    set(&mut bench, Account { isolated: true, ..account("shop") });
    let receive = Receive { account: id("shop"), rail: Rail::Onchain, ..asked(key("addr")) };
    assert_eq!(bench.input(Input::Receive(receive)), Some(Reply::Done));
    let made = Made { text: "bcrt1qshop".into(), payment_hash: None, expires_at: None };
    bench.fact(Fact::InvoiceMade { key: key("addr"), made });
    for reference in ["tx1:0", "tx2:1", "tx1:0", "tx2:1"] {
        bench.fact(Fact::Received {
            which: Which::Reference(reference.into()),
            rail: Rail::Onchain,
            to: Some("bcrt1qshop".into()),
            amount_msat: sat(70),
            preimage: None,
        });
    }
    assert_eq!(view(&mut bench, "shop").balance_msat, Some(sat(140)));
    assert_eq!(bench.in_channels(), OPENING, "what is on chain is in no channel");
    assert_eq!(bench.payment("addr").state, PaymentState::Pending, "it can be paid again");
    bench.effects.clear();
    bench.start();
    assert!(bench.effects.is_empty(), "and has no outcome to look up");
    assert_eq!(bench.replayed(), bench.wallet);
}

proptest! {
    /// Whatever is asked, held, paid and failed: what a budget and an own balance allow is never
    /// passed, and the accounts and the operator together have what the wallet has.
    #[test]
    fn no_order_of_events_passes_a_budget_or_a_balance(
        acts in prop::collection::vec((0..4_u8, 0..3_u8, 1..80_u32, 0..40_u64), 1..120),
    ) {
        let mut bench = Bench::new();
        wide(&mut bench);
        set(&mut bench, Account { budget: budget(sat(300)), ..account("a0") });
        set(&mut bench, Account { isolated: true, ..account("a1") });
        give(&mut bench, "a1", sat(200));
        let mut spent = [0_u64; 3];
        let mut got = 0;
        for (n, (act, who, amount, which)) in acts.into_iter().enumerate() {
            let (n, who) = (n as u64, usize::from(who));
            match act {
                0 | 1 => {
                    let owner = if who == 2 { AccountId::operator() } else { id(&format!("a{who}")) };
                    let bolt11 = bench.bolt11(sat(amount), n);
                    bench.pay_as(&owner, &format!("p{n}"), &bolt11, sat(amount));
                }
                2 => {
                    let name = format!("p{which}");
                    let known = bench.wallet.payments.get(&key(&name)).cloned();
                    if let Some(entry) = known.filter(|e| !e.payment.state.is_over()) {
                        bench.paid(which, sat(5));
                        let who = match entry.payment.account.as_str() { "a0" => 0, "a1" => 1, _ => 2 };
                        spent[who] += entry.payment.amount_msat.get() + 5_000;
                    }
                }
                _ => {
                    bench.fact(Fact::SendRefused { key: key(&format!("p{which}")), reason: "no".into() });
                    if who == 1 {
                        let receive = Receive { account: id("a1"), amount_msat: Some(sat(amount)), ..asked(key(&format!("r{n}"))) };
                        bench.input(Input::Receive(receive));
                        let made = Made { text: "lnbcrt1".into(), payment_hash: Some(hash(900 + n)), expires_at: Some(bench.now.plus_secs(600)) };
                        bench.fact(Fact::InvoiceMade { key: key(&format!("r{n}")), made });
                        bench.fact(Fact::Received { which: Which::Key(key(&format!("r{n}"))), rail: Rail::Bolt11, to: None, amount_msat: sat(amount), preimage: Some(preimage(900 + n)) });
                        got += u64::from(amount) * 1_000;
                    }
                }
            }
            prop_assert!(view(&mut bench, "a0").spent_msat <= sat(300));
            prop_assert!(spent[0] <= 300_000);
            prop_assert!(spent[1] <= 200_000 + got);
            let own = view(&mut bench, "a1").balance_msat.unwrap();
            prop_assert_eq!(own.get(), 200_000 + got - spent[1]);
            prop_assert_eq!(bench.in_channels().get(), OPENING.get() + got - spent.iter().sum::<u64>());
        }
        prop_assert_eq!(bench.replayed(), bench.wallet);
    }
}
