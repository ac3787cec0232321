//! Which notices count, and what a cursor from another log is worth.

use super::*;
use crate::{Event, Fact, Input};
use domain::{Envelope, EventHash, Machine, Msat, Network, Recorded, event::Link};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Decides, writes and reads each event as the log would, and applies it.
fn feed(state: &mut State, input: Input) -> Vec<Event> {
    let step = state.decide(&input, NOW);
    step.emits
        .into_iter()
        .map(|emit| {
            let link = Link {
                stream: &emit.stream,
                seq: 1,
                prev: EventHash::GENESIS,
                at: NOW,
                bodies: &[],
                cause: None,
                data: &emit.event,
            };
            let canonical = link.canonical().unwrap();
            let hash = EventHash::of(&canonical);
            let event: Recorded<Event> = Envelope::parse(&canonical).unwrap().typed(hash).unwrap();
            assert_eq!(event.data, emit.event, "it reads back as it was written");
            state.apply(&event);
            event.data
        })
        .collect()
}

fn tell(state: &mut State, fact: WalletFact) -> Vec<Event> {
    feed(state, Input::Fact(Fact::Wallet(fact)))
}

fn notice(state: &mut State, cursor: u64, key: &str, payment_state: PaymentState) {
    let payment = wire::Payment {
        state: payment_state,
        fee_msat: Some(Msat::ZERO),
        ..wire::Payment::requested(
            IdempotencyKey::new(key).unwrap(),
            Direction::In,
            Msat::from_sat(5),
            NOW,
        )
    };
    let what = NoticeKind::Payment(payment);
    tell(state, WalletFact::Notice(wire::Notice { cursor, at: NOW, what }));
}

fn state_of(state: &State, key: &str) -> Option<PaymentState> {
    state.wallet.payment(&IdempotencyKey::new(key).unwrap()).map(|payment| payment.state)
}

fn begun() -> State {
    let mut state = State::default();
    feed(&mut state, Input::started("test", Network::Practice));
    notice(&mut state, 50, "op/a", PaymentState::Pending);
    state
}

#[test]
fn a_notice_that_was_taken_is_not_taken_again() {
    let mut state = begun();
    assert!(tell(&mut state, WalletFact::Connected { newest: 50 }).is_empty());
    notice(&mut state, 45, "op/a", PaymentState::Settled);
    assert_eq!(state_of(&state, "op/a"), Some(PaymentState::Pending));
}

/// The executor came back with an older copy of its log, and counts on from there.
#[test]
fn notices_of_an_older_log_are_read_anew() {
    let mut state = begun();
    notice(&mut state, 52, "op/b", PaymentState::Settled);
    let events = tell(&mut state, WalletFact::Connected { newest: 44 });
    let behind = WalletBehind { newest: 44, known: 52 };
    assert_eq!(events, [Event::Desk(DeskEvent::WalletBehind(behind))]);
    notice(&mut state, 44, "op/b", PaymentState::Pending);
    assert_eq!(state_of(&state, "op/b"), Some(PaymentState::Settled), "what moved has moved");
    notice(&mut state, 45, "op/a", PaymentState::Settled);
    assert_eq!(state_of(&state, "op/a"), Some(PaymentState::Settled));
    assert_eq!(state.wallet.cursor, 45);
    notice(&mut state, 45, "op/a", PaymentState::Failed);
    assert_eq!(state_of(&state, "op/a"), Some(PaymentState::Settled), "taken once again");
}

fn info(node_id: &str) -> wire::Info {
    wire::Info {
        network: Network::Practice,
        backend: "model".into(),
        node_id: node_id.into(),
        state: NodeState::Ready,
        balance: None,
        cursor: 0,
        detail: None,
        receives: Vec::new(),
        pays: Vec::new(),
        listening_address: None,
    }
}

/// The refusal of a command, or none.
fn refusal(state: &mut State, command: crate::Command) -> Option<String> {
    let reply = state.decide(&Input::Command(command.clone()), NOW).reply;
    feed(state, Input::Command(command));
    match reply {
        Some(crate::Reply::Refused(error)) => Some(error.code.to_string()),
        _ => None,
    }
}

#[test]
fn another_wallet_stops_everything_until_the_operator_accepts_it_or_the_old_one_is_back() {
    use crate::Command;
    let mut state = State::default();
    feed(&mut state, Input::started("test", Network::Practice));
    tell(&mut state, WalletFact::Info(info("old")));
    assert_eq!(state.wallet.state, WalletState::Ready);
    let old = state.wallet.fingerprint.clone().unwrap();
    let new = wallet::custody::fingerprint(Network::Practice, "new");
    let pay = |key: &str| {
        let key = IdempotencyKey::new(key).unwrap();
        Command::WalletPay(wire::Pay::invoice(key, "lnbcrt1".into(), Msat::from_sat(5), Msat::ZERO))
    };
    let accept = |fingerprint: &str| Command::WalletAccept { fingerprint: fingerprint.into() };
    assert_eq!(refusal(&mut state, pay("op/open")), None);
    assert_eq!(refusal(&mut state, accept(&old)).as_deref(), Some("no_other_wallet"));

    let events = tell(&mut state, WalletFact::Info(info("new")));
    assert!(matches!(events[0], Event::Desk(DeskEvent::WalletOther(_))), "{events:?}");
    assert_eq!(state.wallet.state, WalletState::OtherWallet);
    assert!(state.wallet.detail.as_ref().is_some_and(|why| why.contains(&new)));
    assert_eq!(state.wallet.fingerprint.as_ref(), Some(&old), "it is not ours");
    assert_eq!((state.wallet.balance, state.wallet.node_id.as_deref()), (None, Some("old")));
    assert!(tell(&mut state, WalletFact::Info(info("new"))).is_empty(), "told once");
    assert_eq!(refusal(&mut state, pay("op/b")).as_deref(), Some("other_wallet"));
    assert_eq!(refusal(&mut state, accept(&old)).as_deref(), Some("other_fingerprint"));
    assert_eq!(refusal(&mut state, accept(&new)).as_deref(), Some("payments_open"));

    tell(&mut state, WalletFact::Info(info("old")));
    assert_eq!((state.wallet.state, state.wallet.other.is_none()), (WalletState::Ready, true));
    assert_eq!(refusal(&mut state, pay("op/c")), None);
    for key in ["op/open", "op/c"] {
        let error = ErrorBody::refused("over_limit", "Nothing was sent.");
        tell(&mut state, WalletFact::Refused { key: IdempotencyKey::new(key).unwrap(), error });
    }
    tell(&mut state, WalletFact::Info(info("new")));
    assert_eq!(refusal(&mut state, accept(&new)), None);
    assert_eq!(state.wallet.fingerprint.as_ref(), Some(&new));
    tell(&mut state, WalletFact::Info(info("new")));
    assert_eq!(state.wallet.state, WalletState::Ready);
    assert_eq!(refusal(&mut state, pay("op/d")), None);
}
