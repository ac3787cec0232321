//! The Wallet by label: balance and its source, receive, pay, history, and the words.

use domain::{ErrorBody, Msat, Network};
use egui::Key;
use engine::{Command, view::PaymentState, wire};
use std::sync::Arc;
use ui::Screen;

use crate::{
    Window,
    fixture::{self, FakeDesk, Manner},
};

/// "Please send $3 for a cup of coffee" (BOLT 11), on mainnet.
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

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
    window.click("Make invoice");
    window.must_say("Write an amount in sat");
    window.type_into("Amount", "2,100");
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

fn paste(window: &mut Window, text: &str) {
    use egui_kittest::kittest::Queryable as _;
    let role = egui::accesskit::Role::MultilineTextInput;
    window.harness.get_by_role_and_label(role, "Invoice").set_text_value_accesskit(text);
    window.run();
}

fn mainnet_in_2017() -> (Arc<FakeDesk>, Window) {
    let mut view = fixture::busy();
    view.network = Network::Mainnet;
    let desk = FakeDesk::new(view);
    let port = desk.clone();
    let harness = egui_kittest::Harness::builder()
        .with_size(egui::Vec2::new(1280.0, 800.0))
        .with_os(egui::os::OperatingSystem::Nix)
        .build_eframe(move |cc| {
            let clock = ui::Clock::fixed(domain::Timestamp::from_secs(1_496_314_660));
            let mut app = ui::DeskApp::in_eframe(port, clock, cc);
            app.open(Screen::Wallet);
            app
        });
    let window = Window { desk: desk.clone(), harness };
    (desk, window)
}

#[test]
fn paying_shows_what_is_asked_and_asks_once_more() {
    let (desk, mut window) = mainnet_in_2017();
    window.press(Key::P);
    paste(&mut window, COFFEE);
    window.must_say("250,000 sat");
    window.must_say("For: 1 cup coffee");
    window.must_not_say("PRACTICE");
    window.click("Pay 250,000 sat");
    assert_eq!(desk.commands(), []);
    window.must_say("and at most 2,500 sat in fees? It can't be taken back.");
    window.click("Pay 250,000 sat now");
    let commands = desk.commands();
    let [Command::WalletPay(wire::Pay { request: bolt11, max_fee_msat, .. })] = commands.as_slice()
    else {
        panic!("{commands:?}")
    };
    assert_eq!((bolt11.as_str(), *max_fee_msat), (COFFEE, Msat::from_sat(2_500)));
    window.must_say("On its way");
    window.desk.change(|view| Arc::make_mut(&mut view.payments[0]).state = PaymentState::Unknown);
    window.run();
    window.must_say("Don't pay it again.");
}

#[test]
fn what_cannot_be_paid_is_refused_before_anything_moves() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Wallet);
    window.press(Key::P);
    paste(&mut window, "hello");
    window.must_say("This is not a complete Lightning invoice.");
    paste(&mut window, COFFEE);
    window.must_say("This invoice is for mainnet, and this desk is on practice.");
    let (desk, mut window) = mainnet_in_2017();
    desk.change(|view| view.wallet.balance_msat = Some(Msat::from_sat(250_100)));
    window.press(Key::P);
    paste(&mut window, COFFEE);
    window.must_say("This takes up to 252,500 sat with fees, and the balance is 250,100 sat.");
    window.must_not_say("Pay 250,000 sat now");
    window.retype("Most in fees", "100");
    window.click("Pay 250,000 sat");
    assert_eq!(desk.commands(), []);
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
    let mut window = Window::open(&desk, Screen::Wallet);
    window.click("Open identity");
    window.click("Show the words");
    wait_for(&mut window, "The vault is locked. No word was shown.");
}

/// A window that asks for the second yes.
#[cfg(feature = "headless")]
pub fn paying() -> Window {
    let (_, mut window) = mainnet_in_2017();
    window.press(Key::P);
    paste(&mut window, COFFEE);
    window.click("Pay 250,000 sat");
    window
}
