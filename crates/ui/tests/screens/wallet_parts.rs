//! The parts of the Wallet by label: rails, sub-wallets, limits, history, channels, connections.

use domain::{ErrorBody, Msat, Preimage};
use egui::Key;
use engine::{
    Command, Renewal,
    channels::{CloseChannel, FORCE_CONFIRM},
    view::Rail,
    wire,
};
use serde_json::json;
use std::sync::Arc;
use ui::Screen;

use crate::{
    Window,
    fake_wallet::{URI, rich},
    fixture::{self, FakeDesk, Manner},
};

/// All of the screen, without scrolling.
fn tall(desk: &Arc<FakeDesk>) -> Window {
    Window::sized(desk, Screen::Wallet, (1280.0, 2000.0))
}

fn open(label: &str) -> (Arc<FakeDesk>, Window) {
    let desk = FakeDesk::new(rich());
    let mut window = tall(&desk);
    window.click(label);
    (desk, window)
}

#[test]
fn the_balance_is_split_and_what_is_unknown_is_not_zero() {
    let desk = FakeDesk::new(rich());
    let mut window = tall(&desk);
    window.must_say("Yours to spend");
    window.must_say("1,184,350.250 sat");
    window.must_say("310,000 sat");
    desk.change(|view| view.wallet.onchain_msat = None);
    window.run();
    window.must_say("unknown");
}

#[test]
fn a_long_amount_is_shown_whole() {
    let desk = FakeDesk::new(rich());
    desk.change(|view| {
        view.wallet.balance_msat = Some(Msat::new(2_100_000_000_000_001).unwrap());
    });
    let window = Window::sized(&desk, Screen::Wallet, (900.0, 600.0));
    window.must_say("2,100,000,000,000.001 sat");
}

#[test]
fn each_rail_makes_its_own_and_the_amount_may_be_left_out() {
    let (desk, mut window) = open("Receive");
    window.click("Paid by: Offer");
    window.click("Make offer");
    window.click("Paid by: Address");
    window.type_into("Amount", "1.5");
    window.click("Make address");
    window.must_say("Only whole satoshi can be paid that way.");
    let commands = desk.commands();
    let [Command::WalletReceive(receive)] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!((receive.rail, receive.amount_msat), (Rail::Bolt12, None));
}

#[test]
fn a_sub_wallet_is_made_with_its_terms() {
    let (desk, mut window) = open("Sub-wallets");
    window.must_say("Research agent");
    window.must_say("3,700 sat of 5,000 sat a day used, 1,300 sat left");
    window.must_say("20,000 sat");
    window.click("Make sub-wallet");
    window.click("Make it");
    window.must_say("A name of up to 80 letters.");
    window.type_into("Name", "Night bot");
    window.click("Money: Has its own money");
    window.type_into("Budget", "2,000");
    window.click("The budget is for: a week");
    window.click("Above a limit: Refuse");
    window.click("Make it");
    let asked = desk.asked_of_wallet("set_account");
    let account: wire::Account = serde_json::from_value(asked[0].clone()).unwrap();
    let budget = wire::Budget { amount_msat: Msat::from_sat(2_000), renews: Renewal::Weekly };
    assert_eq!((account.id.as_str(), account.isolated), ("night-bot", true));
    assert_eq!((account.budget, account.on_limit), (Some(budget), wire::OnLimit::Refuse));
    window.must_say("Sub-wallet kept");
}

#[test]
fn a_sub_wallet_is_changed_and_closed_with_its_effect_first() {
    let (desk, mut window) = open("Sub-wallets");
    window.click("Change sub-wallet Research agent");
    window.retype("Budget", "9,000");
    window.click("Keep changes");
    let asked = desk.asked_of_wallet("set_account");
    assert_eq!(asked[0]["id"], "research");
    assert_eq!(asked[0]["budget"], json!({ "amount_msat": 9_000_000, "renews": "daily" }));
    window.click("Close sub-wallet Shop");
    window.must_say("Its 20,000 sat become yours again.");
    assert!(desk.asked_of_wallet("close_account").is_empty());
    window.click("Close Shop for good");
    assert_eq!(desk.asked_of_wallet("close_account"), [json!({ "id": "shop" })]);
}

#[test]
fn money_is_moved_into_a_sub_wallet() {
    let (desk, mut window) = open("Sub-wallets");
    window.click("Move money");
    window.type_into("Amount", "500");
    window.must_say("500 sat from Yours to Shop.");
    window.click("Move it");
    let asked = desk.asked_of_wallet("move");
    assert_eq!((&asked[0]["to"], &asked[0]["amount_msat"]), (&json!("shop"), &json!(500_000)));
    window.must_say("Money moved");
}

#[test]
fn limits_say_what_is_used_and_what_a_change_does() {
    let (desk, mut window) = open("Limits");
    window.must_say("42,000 sat of 50,000 sat used, 8,000 sat left");
    window.click("Change limits");
    window.retype("24 hours", "40,000");
    window.must_say("every payment waits for you then");
    window.retype("24 hours", "80,000");
    window.must_say("up to 10,000 sat a payment and 80,000 sat in 24 hours");
    window.click("Keep limits");
    let asked = desk.asked_of_wallet("set_limits");
    assert_eq!(asked[0]["limits"]["per_day_msat"], 80_000_000);
    window.must_say("Limits changed");
}

#[test]
fn a_locked_wallet_says_why_nothing_was_changed() {
    let (desk, mut window) = open("Limits");
    let locked = ErrorBody::refused("locked", "The wallet is locked. Nothing was done.");
    desk.behave(|manner| manner.wallet_refusal = Some(locked));
    window.click("Change limits");
    window.retype("24 hours", "80,000");
    window.click("Keep limits");
    window.must_say("The limits were not changed");
    window.must_say("The wallet is locked. Nothing was done.");
}

#[test]
fn what_cannot_be_read_says_so_and_can_be_tried_again() {
    for (tab, said) in [
        ("Limits", "The limits could not be read"),
        ("Channels", "The channels could not be read"),
        ("Connections", "The connections could not be read"),
        ("Backup", "The backup's state could not be read"),
    ] {
        let desk = FakeDesk::with(rich(), Manner { failing: true, ..Manner::default() });
        let mut window = tall(&desk);
        window.click(tab);
        window.must_say(said);
        desk.behave(|manner| manner.failing = false);
        window.click("Try again");
        window.must_not_say(said);
    }
}

#[test]
fn what_is_read_is_said_while_it_is_read() {
    for (tab, said) in [
        ("Limits", "Reading the limits"),
        ("Channels", "Reading the channels"),
        ("Connections", "Reading the connections"),
    ] {
        let desk = FakeDesk::with(rich(), Manner { silent: true, ..Manner::default() });
        let mut window = tall(&desk);
        window.click(tab);
        window.must_say(said);
    }
}

#[test]
fn the_history_is_searched_by_text_from_the_keyboard() {
    let desk = FakeDesk::new(rich());
    let mut window = tall(&desk);
    window.must_say("An older payment, Received, +700 sat");
    window.press(Key::Slash);
    window.type_into("Search payments", "older");
    window.must_say("An older payment, Received, +700 sat");
    window.must_not_say("text-extraction, Outcome unknown");
    window.retype("Search payments", "no such thing");
    window.must_say("No payment fits");
    window.click("Show all");
    window.must_say("text-extraction, Outcome unknown");
}

#[test]
fn what_is_written_out_says_that_it_is_practice() {
    let dir = std::env::temp_dir().join(format!("pilothouse-export-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    crate::SAVE_TO.set(Some(dir.clone()));
    let desk = FakeDesk::new(rich());
    let mut window = tall(&desk);
    for (button, name) in [("Export as CSV", "payments.csv"), ("Export as JSON", "payments.json")] {
        window.click(button);
        let mut said = false;
        for _ in 0..200 {
            window.harness.run_ok();
            said = window.says("payments written to");
            if said {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(said, "{name} was not written");
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        assert!(text.contains("PRACTICE") && text.contains("An older payment"), "{text}");
        window.press(Key::Escape);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_payment_shows_what_is_proved_of_it() {
    let desk = FakeDesk::new(rich());
    let preimage = Preimage([5; 32]);
    desk.change(|view| {
        let payment = Arc::make_mut(&mut view.payments[4]);
        payment.preimage = Some(preimage);
        payment.payment_hash = Some(preimage.payment_hash());
    });
    let mut window = tall(&desk);
    window.click("repo-index 0c0c0c0c, Paid, −4,000 sat");
    window.must_say("Paid: proved by preimage");
    window.must_say("Settled: proved by wallet");
    desk.change(|view| {
        Arc::make_mut(&mut view.payments[4]).preimage = Some(Preimage([6; 32]));
    });
    window.run();
    window.must_say("Paid: not proved");
}

#[test]
fn channels_show_what_goes_through_them_and_close_with_the_cost_first() {
    let (desk, mut window) = open("Channels");
    window.must_say("620,000 sat of 1,000,000 sat are yours.");
    window.must_say("Opening, 1 of 3 confirmations");
    window.must_say("Spendable after block 262.");
    window.click("Close channel with Peer 2");
    window.must_say("50,000 sat less a miner's fee come to your chain address");
    window.click("The peer doesn't answer");
    window.must_say("can't be spent for 144 blocks, about 24 hours");
    window.click("Close by force with Peer 2");
    assert!(desk.asked_of_wallet("close_channel").is_empty());
    window.type_into("To be sure", FORCE_CONFIRM);
    window.click("Close by force with Peer 2");
    let asked = desk.asked_of_wallet("close_channel");
    let close: CloseChannel = serde_json::from_value(asked[0].clone()).unwrap();
    assert_eq!(close.is_by_force(), Ok(true));
}

#[test]
fn opening_a_channel_shows_what_it_costs_first() {
    let (desk, mut window) = open("Channels");
    window.click("Open channel");
    window.click("Show what it costs");
    window.must_say("A node id, an @, and host:port.");
    window.type_into("Peer", &format!("{}@127.0.0.1:9735", "02".repeat(33)));
    window.type_into("Amount", "100,000");
    window.click("Show what it costs");
    window.must_say("Miner's fee: about 310 sat");
    assert!(desk.asked_of_wallet("open_channel").is_empty());
    window.click("Open channel for 100,000 sat");
    let asked = desk.asked_of_wallet("open_channel");
    assert_eq!(asked[0]["amount_msat"], 100_000_000);
    assert_eq!(asked[0]["key"], desk.asked_of_wallet("quote_channel")[0]["key"]);
}

#[test]
fn an_app_is_given_its_connection_once() {
    let (desk, mut window) = open("Connections");
    window.must_say("Damus");
    window.click("Connect app");
    window.type_into("Name", "Amethyst");
    window.click("Connect it");
    let asked = desk.asked_of_wallet("connection_create");
    assert_eq!(asked[0]["budget"], json!({ "amount_msat": 10_000_000, "renews": "daily" }));
    window.must_say("Connection as a QR code");
    window.must_not_say(URI);
    window.click("The app has it");
    window.must_not_say("Connection as a QR code");
    window.click("Close connection Damus");
    window.click("Close Damus for good");
    assert_eq!(desk.asked_of_wallet("connection_close"), [json!({ "id": "nwc-1" })]);
}

#[test]
fn the_backup_nags_until_it_is_safe_and_is_rehearsed() {
    let desk = FakeDesk::new(rich());
    desk.change(|view| view.network = domain::Network::Mainnet);
    let mut window = tall(&desk);
    window.click("Backup, 3 waiting");
    window.must_say("3 things to do");
    window.must_say("The words of the money are not written down.");
    window.must_say("one broken disk takes both");
    window.must_say("It was never rehearsed.");
    window.click("Rehearse backup");
    assert_eq!(desk.asked_of_wallet("rehearse").len(), 1);
    window.must_say("Passed");
    window.must_say("0 channels with 670,000 sat, 310,000 sat on-chain, 41 payments.");
}

#[test]
fn every_part_fits_a_small_window_and_teaches_when_it_is_empty() {
    let empty = [
        ("Sub-wallets", "No sub-wallet yet"),
        ("Channels", "No channel yet"),
        ("Connections", "No app is connected"),
    ];
    let desk = FakeDesk::with(fixture::busy(), Manner { new: true, ..Manner::default() });
    let mut window = Window::sized(&desk, Screen::Wallet, (900.0, 600.0));
    for (tab, lesson) in empty {
        window.click(tab);
        window.must_say(lesson);
    }
    let desk = FakeDesk::new(rich());
    let mut window = Window::sized(&desk, Screen::Wallet, (900.0, 600.0));
    let bounds = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(900.0, 600.0)).expand(1.0);
    for tab in ["Sub-wallets", "Limits", "Channels", "Connections", "Backup", "Payments"] {
        use egui_kittest::kittest::Queryable as _;
        window.click(tab);
        for node in window.harness.query_all_by_role(egui::accesskit::Role::Button) {
            let rect = node.rect();
            assert!(rect.left() >= bounds.left() && rect.right() <= bounds.right(), "{node:?}");
        }
    }
}
