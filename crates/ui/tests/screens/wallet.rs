//! The Wallet by label: balance and its source, receive, pay, history, and the words.

use domain::{ErrorBody, Msat};
use egui::Key;
use engine::{Command, view::PaymentState, wire};
use std::sync::Arc;
use ui::Screen;

use crate::{
    Window,
    fixture::{self, FakeDesk, Manner},
};

#[test]
fn the_balance_says_its_source_and_age() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Wallet);
    window.must_say("1,204,350.250 sat");
    window.must_say("Source: wallet, as of 13:57:30");
    window.must_say("PRACTICE");
    window.must_say("480,000 sat");
    desk.change(|view| view.at = view.at.plus_secs(600));
    window.run();
    window.must_say("Source: wallet, as of 13:57:30 (10 min 12 s old)");
}

#[test]
fn an_unknown_balance_is_never_a_number() {
    let desk = FakeDesk::with(fixture::troubled(), Manner { new: true, ..Manner::default() });
    let window = Window::open(&desk, Screen::Wallet);
    window.must_say("unknown");
    window.must_say("The wallet program is not running; it is being restarted.");
    window.must_say("The wallet program ended with signal 9");
    window.must_not_say("0 sat in");
    window.must_say("No payment yet");
}

#[test]
fn receiving_makes_an_invoice_and_sees_it_paid() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.press(Key::R);
    window.type_into("Amount", "a lot");
    window.click("Make invoice");
    window.must_say("Write an amount in sat");
    window.retype("Amount", "2,100");
    window.type_into("Memo", "Lunch");
    window.click("Make invoice");
    let commands = desk.commands();
    let [Command::WalletReceive(wire::Receive { key, amount_msat: Some(amount_msat), memo, .. })] =
        commands.as_slice()
    else {
        panic!("{commands:?}")
    };
    assert_eq!((*amount_msat, memo.as_str()), (Msat::from_sat(2_100), "Lunch"));
    window.must_say("Invoice as a QR code");
    window.must_say("Can be paid for 50 min 0 s more");
    window.click("Copy invoice");
    window.must_say("Invoice copied");
    let key = key.clone();
    desk.change(|view| {
        for payment in &mut view.payments {
            if payment.key == key {
                Arc::make_mut(payment).state = PaymentState::Settled;
            }
        }
    });
    window.run();
    window.must_say("Received 2,100 sat");
    window.must_not_say("Invoice as a QR code");
}

#[test]
fn sent_again_the_same_form_is_the_same_payment() {
    let error = ErrorBody::new("not_reachable", "The wallet did not answer. No invoice was made.");
    let manner = Manner { refusal: Some(error), ..Manner::default() };
    let desk = FakeDesk::with(fixture::busy(), manner);
    let mut window = Window::open(&desk, Screen::Wallet);
    window.press(Key::R);
    window.type_into("Amount", "5");
    window.click("Make invoice");
    window.must_say("No invoice was made");
    window.click("Make invoice");
    window.type_into("Memo", "x");
    window.click("Make invoice");
    let keys: Vec<_> = desk
        .commands()
        .into_iter()
        .map(|command| match command {
            Command::WalletReceive(receive) => receive.key,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2], "a changed form is another payment");
}

#[test]
fn history_holds_hot_and_older_payments_and_opens_them() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Wallet);
    window.must_say("An older payment, Received, +700 sat");
    window.click("text-extraction, Outcome unknown, −1,500 sat");
    window.must_say("Money may have moved.");
    window.click("sandbox-run 0b0b0b0b, Received, +2,100 sat");
    window.must_say("Copy preimage");
    window.click("Open its job");
    window.must_say("Proofs");
    window.must_say("Settled: proved by wallet");
}

#[test]
fn older_payments_that_cannot_be_read_do_not_hide_the_others() {
    let desk = FakeDesk::with(fixture::busy(), Manner { failing: true, ..Manner::default() });
    let window = Window::open(&desk, Screen::Wallet);
    window.must_say("Older payments could not be read");
    window.must_say("sandbox-run 0b0b0b0b, Received, +2,100 sat");
}

fn wait_for(window: &mut Window, text: &str) {
    for _ in 0..200 {
        window.harness.run_ok();
        if window.says(text) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("nothing came to say {text:?}");
}

#[test]
fn the_words_are_covered_until_uncovered_and_gone_when_left() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Wallet);
    window.click("Open identity");
    window.must_say("Written down: not yet");
    window.click("Show the words");
    wait_for(&mut window, "Word 12, covered");
    window.must_not_say("leader");
    window.click("Uncover");
    window.must_say("1 leader");
    window.must_say("12 bean");
    window.press(Key::Escape);
    window.must_not_say("leader");
    window.click("Open identity");
    window.must_not_say("leader");
}

#[test]
fn words_that_cannot_be_fetched_say_why() {
    let desk = FakeDesk::with(fixture::busy(), Manner { failing: true, ..Manner::default() });
    let mut window = Window::sized(&desk, Screen::Wallet, (1280.0, 1200.0));
    window.click("Open identity");
    window.click("Show the words");
    wait_for(&mut window, "The vault is locked. No word was shown.");
}
