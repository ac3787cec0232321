//! What was given up is kept, done again, or left undone; a payment never is.

use super::*;
use crate::{
    Command, Event, Fact, Input, LogPosition, WalletFact,
    event::{Identity, PaymentChanged},
    view::{PaymentState, View},
};
use domain::{Envelope, EventHash, Machine, Msat, Network, Pubkey, Recorded, event::Link};
use nip90::codec::Template;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// An engine that commits what it decides, through canonical bytes.
#[derive(Default)]
struct Desk {
    state: State,
    log: Vec<Recorded<Event>>,
    effects: Vec<(EffectId, Effect)>,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self::default();
        desk.feed(Input::started("test", Network::Practice));
        let npub = "npub1test".to_owned();
        let kept_in = "file".to_owned();
        let pubkey = Pubkey([7; 32]);
        let identity = Identity { pubkey, npub, kept_in, backed_up: true, name: None };
        desk.feed(Input::Fact(Fact::Identity(identity)));
        desk
    }

    fn feed(&mut self, input: Input) -> Option<Reply> {
        let step = self.state.decide(&input, NOW);
        for emit in step.emits {
            let before = self.log.iter().filter(|event| event.stream == emit.stream).count();
            let seq = before as u64 + 1;
            let link = Link {
                stream: &emit.stream,
                seq,
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
            self.state.apply(&event);
            self.log.push(event);
            for (index, effect) in (0..).zip(emit.effects) {
                self.effects.push((EffectId { stream: emit.stream.clone(), seq, index }, effect));
            }
        }
        let mut replayed = State::default();
        self.log.iter().for_each(|event| replayed.apply(event));
        assert_eq!(replayed, self.state);
        step.reply
    }

    fn give_up(&mut self, effect: &EffectId, what: Effect) {
        let gave_up =
            Box::new(GaveUp { what, tries: 9, why: "no relay\ntook it".into(), may_be_out: true });
        self.feed(Input::Fact(Fact::GaveUp { effect: effect.clone(), gave_up }));
    }

    fn command(&mut self, command: Command) -> Reply {
        self.feed(Input::Command(command)).unwrap()
    }

    fn view(&self) -> View {
        crate::view_of(&self.state, &LogPosition { events: 0, last: None, checkpoint: None }, NOW)
    }

    /// Asks the wallet for an invoice by hand.
    fn receive(&mut self, key: &str) -> (EffectId, Effect) {
        let key = IdempotencyKey::new(key).unwrap();
        let amount_msat = Msat::new(5_000).unwrap();
        let memo = String::new();
        let receive = wallet::wire::Receive::invoice(key, amount_msat, memo, 60);
        self.command(Command::WalletReceive(receive));
        self.effects.pop().unwrap()
    }
}

fn id(text: &str) -> EffectId {
    text.parse().unwrap()
}

fn announcement() -> Effect {
    let template = Template { kind: 31_990, created_at_secs: 5, ..Template::default() };
    Effect::Provider(ProviderEffect::Announce { template })
}

fn cancellation() -> Effect {
    let request_id = RequestId([3; 32]);
    let template = Template { kind: 5, created_at_secs: 5, ..Template::default() };
    Effect::Buyer(BuyerEffect::PublishCancel { request_id, template })
}

fn code(reply: &Reply) -> &str {
    match reply {
        Reply::Refused(error) => &error.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_was_given_up_is_kept_and_done_again_as_often_as_it_takes() {
    let mut desk = Desk::new();
    let first = id("provider#7.0");
    desk.give_up(&first, announcement());
    let view = desk.view();
    assert_eq!((view.log.dead_letters, view.dead_letters.len()), (1, 1));
    let letter = &view.dead_letters[0];
    assert_eq!((&letter.effect, letter.adapter, letter.tries), (&first, "relay", 9));
    assert_eq!(letter.why, "no relay took it");
    assert_eq!(letter.what, "publish the announcement");
    assert_eq!(desk.command(Command::EffectRetry { effect: first.clone() }), Reply::Done);
    let (again, what) = desk.effects.pop().unwrap();
    assert_eq!((again.to_string().as_str(), &what), ("effect/provider#7.0#2.0", &announcement()));
    assert_eq!(desk.view().log.dead_letters, 0);
    assert_eq!(code(&desk.command(Command::EffectRetry { effect: first })), "no_such_effect");
    desk.give_up(&again, what);
    assert_eq!(desk.command(Command::EffectRetry { effect: again.clone() }), Reply::Done);
    let (third, _) = desk.effects.pop().unwrap();
    assert_eq!(third.stream, again.stream, "its story is one stream");
    assert_eq!(third.seq, 4);
}

#[test]
fn what_is_dropped_is_not_done_and_said_to_who_waits() {
    let mut desk = Desk::new();
    let notice = id("buy/aa#3.0");
    desk.give_up(&notice, cancellation());
    assert_eq!(desk.command(Command::EffectDrop { effect: notice.clone() }), Reply::Done);
    assert_eq!(code(&desk.command(Command::EffectDrop { effect: notice })), "no_such_effect");
    let (invoice, what) = desk.receive("op/1");
    desk.give_up(&invoice, what);
    assert_eq!(desk.view().payments[0].state, PaymentState::Requested);
    assert_eq!(desk.command(Command::EffectDrop { effect: invoice }), Reply::Done);
    assert_eq!(desk.view().payments[0].state, PaymentState::Failed);
    assert_eq!(desk.view().log.dead_letters, 0);
    assert!(desk.effects.is_empty());
}

#[test]
fn money_and_receipts_are_never_dropped() {
    let mut desk = Desk::new();
    let pay = WalletEffect::Pay(wallet::wire::Pay::invoice(
        IdempotencyKey::new("op/1").unwrap(),
        "lnbcrt1".into(),
        Msat::new(1).unwrap(),
        Msat::ZERO,
    ));
    desk.give_up(&id("payment/op/1#1.0"), Effect::Wallet(pay.clone()));
    let effect = id("payment/op/1#1.0");
    assert_eq!(code(&desk.command(Command::EffectDrop { effect: effect.clone() })), "owed");
    assert_eq!(desk.command(Command::EffectRetry { effect }), Reply::Done);
    assert_eq!(desk.effects.pop().unwrap().1, Effect::Wallet(pay));
}

#[test]
fn letters_are_bounded() {
    let mut desk = Desk::new();
    for n in 0..KEPT as u64 + 3 {
        let effect = EffectId { stream: StreamId::named("buy/aa"), seq: n + 1, index: 0 };
        let what = cancellation();
        let gave_up = Box::new(GaveUp { what, tries: 1, why: "no".into(), may_be_out: true });
        let step = desk.state.decide(&Input::Fact(Fact::GaveUp { effect, gave_up }), NOW);
        for emit in step.emits {
            let Event::Desk(event) = emit.event else { panic!("not the desk's") };
            desk.state.letters.apply(&event, NOW);
        }
    }
    assert_eq!(desk.state.letters.len(), KEPT);
}

#[test]
fn a_payment_that_nobody_answers_for_is_unknown_until_somebody_does() {
    let mut desk = Desk::new();
    let key = IdempotencyKey::new("op/1").unwrap();
    let requested = wallet::wire::Payment::requested(
        key.clone(),
        wallet::wire::Direction::Out,
        Msat::new(1_000).unwrap(),
        NOW,
    );
    let changed = PaymentChanged { payment: requested.clone(), cursor: None, noticed_at: NOW };
    desk.state.wallet.apply(&DeskEvent::PaymentChanged(changed), NOW);
    let unanswered = || {
        let why = "the wallet is starting".to_owned();
        Input::Fact(Fact::Wallet(WalletFact::Unanswered { key: key.clone(), why }))
    };
    let step = desk.state.decide(&unanswered(), NOW);
    let Event::Desk(DeskEvent::PaymentChanged(told)) = &step.emits[0].event else { panic!() };
    assert_eq!(told.payment.state, PaymentState::Unknown);
    desk.state.wallet.apply(&DeskEvent::PaymentChanged(told.clone()), NOW);
    assert!(desk.state.decide(&unanswered(), NOW).emits.is_empty(), "once");
    let settled = wallet::wire::Payment { state: PaymentState::Settled, ..requested };
    let step = desk.state.decide(&Input::Fact(Fact::Wallet(WalletFact::Accepted(settled))), NOW);
    let Event::Desk(DeskEvent::PaymentChanged(told)) = &step.emits[0].event else { panic!() };
    assert_eq!(told.payment.state, PaymentState::Settled);
}
