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
