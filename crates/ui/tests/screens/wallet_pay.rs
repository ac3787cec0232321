//! Paying by label: what waits for the operator, what a text asks, and what may not be paid.

use domain::{ErrorBody, Msat};
use egui::{Key, Modifiers};
use engine::{Command, view::PaymentState, wire};
use serde_json::json;
use std::sync::Arc;
use ui::{Screen, Subject};

use crate::{
    Window,
    fake_wallet::{self, rich},
    fixture::{self, FakeDesk, key},
};

pub fn paste(window: &mut Window, text: &str) {
    use egui_kittest::kittest::Queryable as _;
    let role = egui::accesskit::Role::MultilineTextInput;
    window.harness.get_by_role_and_label(role, "Pay to").set_text_value_accesskit(text);
    window.run();
}

/// A window on the Wallet, about to pay what was pasted.
pub fn reviewing(desk: &Arc<FakeDesk>, size: (f32, f32)) -> Window {
    let mut window = Window::sized(desk, Screen::Wallet, size);
    window.press(Key::P);
    paste(&mut window, "lnbcrt50u1coffee");
    window
}

#[test]
fn what_waits_says_what_to_whom_and_by_how_much_and_is_paid_all_the_same() {
    let desk = FakeDesk::new(rich());
    let mut window = Window::open(&desk, Screen::Wallet);
    window.must_say("Wallet, 1 waiting for you");
    window.must_say("Pay 2,500 sat to alice@example.com?");
    window.must_say("above the limit of 1,000 sat for one payment");
    window.must_say("1,500 sat above the limit of Research agent for one payment.");
    window.must_say("Asked by: Research agent");
    window.must_say("1 h 0 min left");
    window.must_say("Data set, lightning invoice");
    window.click("Pay 2,500 sat all the same");
    let answer = Command::WalletAnswer { key: key("waiting"), approve: true };
    assert_eq!(desk.commands(), [answer]);
    window.must_not_say("Pay 2,500 sat to alice@example.com?");
    window.must_not_say("Wallet, 1 waiting for you");
}

#[test]
fn what_waits_is_refused_by_keys_and_found_in_the_palette() {
    let desk = FakeDesk::new(rich());
    let mut window = Window::open(&desk, Screen::Desk);
    window.press_with(Modifiers::COMMAND, Key::K);
    window.harness.event(egui::Event::Text("alice all the same".into()));
    window.run();
    window.must_say("Pay 2,500 sat to alice@example.com all the same");
    window.press(Key::Escape);
    window.harness.state_mut().select(Subject::Payment(key("waiting")));
    window.run();
    window.press_with(Modifiers::SHIFT, Key::X);
    let answer = Command::WalletAnswer { key: key("waiting"), approve: false };
    assert_eq!(desk.commands(), [answer]);
}

#[test]
fn a_refused_answer_is_said_where_it_was_given_and_the_payment_still_waits() {
    let desk = FakeDesk::new(rich());
    let mut window = Window::open(&desk, Screen::Wallet);
    let error = ErrorBody::refused("insufficient_balance", "It still waits.");
    desk.behave(|manner| manner.refusal = Some(error));
    window.click("Don't pay");
    window.must_say("The payment was not answered");
    window.must_say("Pay 2,500 sat to alice@example.com?");
}

#[test]
fn paying_shows_what_is_asked_and_asks_once_more() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = reviewing(&desk, (1280.0, 800.0));
    let asked = desk.asked_of_wallet("quote");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["request"], "lnbcrt50u1coffee");
    window.must_say("5,000 sat");
    window.must_say("For: 1 cup coffee");
    window.must_say("Copy to");
    window.must_say("Last 24 hours: 42,000 sat of 50,000 sat used, then 47,060 sat");
    window.click("Pay 5,000 sat");
    assert_eq!(desk.commands(), []);
    window.must_say("and at most 60 sat in fees? It can't be taken back.");
    window.click("Pay 5,000 sat now");
    let commands = desk.commands();
    let [Command::WalletPay(pay)] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!(
        (pay.request.as_str(), pay.amount_msat),
        ("lnbcrt50u1coffee", Msat::from_sat(5_000))
    );
    assert_eq!((pay.max_fee_msat, &pay.lnurl), (Msat::from_sat(60), &None));
    window.must_say("On its way");
    window.desk.change(|view| Arc::make_mut(&mut view.payments[0]).state = PaymentState::Unknown);
    window.run();
    window.must_say("Don't pay it again.");
    window.desk.change(|view| {
        let payment = Arc::make_mut(&mut view.payments[0]);
        payment.state = PaymentState::Settled;
        payment.preimage = Some(domain::Preimage([3; 32]));
    });
    window.run();
    window.must_say("Paid 5,000 sat");
    window.must_say("Copy preimage");
    window.click("Copy receipt");
    window.must_say("Receipt copied");
}

#[test]
fn a_request_without_an_amount_asks_for_one() {
    let desk = FakeDesk::new(fixture::busy());
    let needed = ErrorBody::refused("amount_needed", "The request names no amount.");
    desk.behave(|manner| manner.quote = Some(Err(needed)));
    let mut window = reviewing(&desk, (1280.0, 800.0));
    window.must_say("The request names no amount.");
    desk.behave(|manner| manner.quote = None);
    window.type_into("Amount", "5000");
    let asked = desk.asked_of_wallet("quote");
    assert_eq!(asked.last().unwrap()["amount_msat"], 5_000_000);
    window.must_say("For: 1 cup coffee");
}

#[test]
fn what_an_lnurl_server_said_goes_with_the_payment_to_be_checked_again() {
    let desk = FakeDesk::new(fixture::busy());
    let mut quote = fake_wallet::quote(&json!({ "request": "lnbcrt1fetched" }));
    let proof = wire::LnurlProof { payee: "alice@example.com".into(), metadata: "[]".into() };
    quote["lnurl"] = json!(proof);
    desk.behave(|manner| manner.quote = Some(Ok(quote)));
    let mut window = reviewing(&desk, (1280.0, 800.0));
    window.must_say("Payee: alice@example.com");
    window.click("Pay 5,000 sat");
    window.click("Pay 5,000 sat now");
    let commands = desk.commands();
    let [Command::WalletPay(pay)] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!((pay.request.as_str(), &pay.lnurl), ("lnbcrt1fetched", &Some(proof)));
}

#[test]
fn what_cannot_be_paid_is_refused_before_anything_moves() {
    let desk = FakeDesk::new(fixture::busy());
    let unread = ErrorBody::refused("not_payable", "This is nothing that can be paid.");
    desk.behave(|manner| manner.quote = Some(Err(unread)));
    let mut window = reviewing(&desk, (1280.0, 800.0));
    window.must_say("This is nothing that can be paid.");
    let mut quote = fake_wallet::quote(&json!({ "request": "x" }));
    quote["refused"] = json!(ErrorBody::refused("own_invoice", "This is the wallet's own."));
    desk.behave(|manner| manner.quote = Some(Ok(quote)));
    paste(&mut window, "lnbcrt1own");
    window.must_say("This is the wallet's own.");
    assert!(!window.shows("Pay 5,000 sat"));
    desk.behave(|manner| manner.quote = None);
    desk.change(|view| view.wallet.balance_msat = Some(Msat::from_sat(5_010)));
    paste(&mut window, "lnbcrt1dear");
    window.must_say("This takes up to 5,060 sat with fees, and the balance is 5,010 sat.");
    window.retype("Most in fees", "10");
    window.must_not_say("This takes up to");
    assert_eq!(desk.commands(), []);
}

#[test]
fn above_a_limit_it_says_so_before_the_button() {
    let desk = FakeDesk::new(fixture::busy());
    let mut quote = fake_wallet::quote(&json!({ "request": "x" }));
    quote["amount_msat"] = json!(12_000_000);
    let why = "The payment of 12,000 sat is above the limit of 10,000 sat for one payment.";
    quote["waits_for"] = json!(ErrorBody::refused("over_limit", why));
    desk.behave(|manner| manner.quote = Some(Ok(quote)));
    let mut window = reviewing(&desk, (1280.0, 800.0));
    window.must_say("2,000 sat above your limit for one payment.");
    window.must_say(why);
    window.click("Ask to pay 12,000 sat");
    window.click("Ask for approval");
    assert!(matches!(desk.commands().as_slice(), [Command::WalletPay(_)]));
}

#[test]
fn a_code_in_a_pasted_image_is_read_and_a_picture_without_one_says_so() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Wallet);
    let blank = egui::ColorImage::filled([64, 64], egui::Color32::WHITE);
    window.harness.event(egui::Event::PasteImage(Arc::new(blank)));
    window.run();
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        window.harness.run_ok();
        if window.says("No QR code was found in the image.") {
            return;
        }
    }
    panic!("nothing says that there is no code");
}

/// A window that asks for the second yes.
#[cfg(feature = "headless")]
pub fn paying(size: (f32, f32)) -> Window {
    let mut window = reviewing(&FakeDesk::new(rich()), size);
    window.click("Pay 5,000 sat");
    window
}
