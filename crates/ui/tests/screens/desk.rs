//! The Desk by label: the switch, blockers, offers, rules, relays and what happens.

use domain::{ErrorBody, Msat};
use egui::{Key, Modifiers};
use engine::{
    Command, DeskPort as _,
    command::{DemandAnswer, DemandRisk, OfferDraft, PaymentPolicy},
    view::ProviderState,
};
use ui::Screen;

use crate::{
    Window,
    fixture::{self, FakeDesk, Manner},
};

fn offline_but_able() -> engine::View {
    let mut view = fixture::busy();
    view.provider.state = ProviderState::Offline;
    view
}

#[test]
fn goes_online_and_offline_by_keyboard() {
    let desk = FakeDesk::new(offline_but_able());
    let mut window = Window::open(&desk, Screen::Desk);
    window.must_say("You are offline");
    window.press(Key::O);
    assert_eq!(desk.commands(), [Command::ProviderOnline]);
    window.must_say("You are online");
    window.press_with(Modifiers::SHIFT, Key::O);
    assert_eq!(desk.commands()[1..], [Command::ProviderOffline]);
    window.must_say("You are offline");
}

#[test]
fn the_switch_is_reached_and_pressed_without_a_pointer() {
    use egui_kittest::kittest::Queryable as _;
    let desk = FakeDesk::new(offline_but_able());
    let mut window = Window::open(&desk, Screen::Desk);
    for _ in 0..40 {
        window.press(Key::Tab);
        if window.harness.get_by_label("Go online").is_focused() {
            window.press(Key::Enter);
            assert_eq!(desk.commands(), [Command::ProviderOnline]);
            return;
        }
    }
    panic!("Tab never reached the switch");
}

#[test]
fn what_is_in_the_way_is_said_and_blocks_the_switch() {
    let desk = FakeDesk::new(fixture::troubled());
    let mut window = Window::open(&desk, Screen::Desk);
    window.must_say("2 things stand in the way");
    window.must_say("No sandbox works on this machine");
    window.must_say("Install bubblewrap");
    window.press(Key::O);
    assert_eq!(desk.commands(), []);
    window.must_say("so commands of strangers can't run.");
}

#[test]
fn a_refused_switch_says_why_with_details_folded() {
    let error = ErrorBody::refused("no_offer", "No offer can be announced. You are still offline.")
        .hint("Set a price first.");
    let manner = Manner { refusal: Some(error), ..Manner::default() };
    let desk = FakeDesk::with(offline_but_able(), manner);
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Go online");
    window.must_say("The switch was not turned");
    window.must_say("Set a price first.");
    window.must_not_say("\"code\"");
    window.click("Show details");
    window.must_say("\"code\": \"no_offer\"");
    window.click("Copy details");
    window.must_say("Details copied");
    window.click("Dismiss");
    window.must_not_say("The switch was not turned");
}

#[test]
fn a_click_is_sent_once_while_its_answer_is_on_its_way() {
    let manner = Manner { stuck: true, ..Manner::default() };
    let desk = FakeDesk::with(offline_but_able(), manner);
    let mut window = Window::open(&desk, Screen::Desk);
    window.press(Key::O);
    window.press(Key::O);
    window.press(Key::O);
    assert_eq!(desk.commands().len(), 1);
}

#[test]
fn every_term_of_an_offer_is_edited() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.must_say("Announced");
    window.must_say("The text extractor did not start.");
    window.click("Change offer sandbox-run");
    window.retype("Price", "2,500.5");
    window.must_say("who doesn't pay has it for nothing");
    window.click("Paid: Before work");
    window.must_say("No work starts before the invoice is paid.");
    window.click("Set terms");
    let draft = OfferDraft {
        kind: 5930,
        price_msat: Msat::new(2_500_500).unwrap(),
        payment: PaymentPolicy::Before,
    };
    assert_eq!(desk.commands(), [Command::OfferSet(draft)]);
    window.must_say("Offers changed");
    window.must_not_say("Set terms");
    window.click("Change offer repo-index");
    window.retype("Price", "a lot");
    window.must_say("Write an amount in sat");
    window.click("Set terms");
    assert_eq!(desk.commands().len(), 1, "a price that doesn't read is not sent");
    window.click("Never mind");
    window.must_not_say("Write an amount in sat");
}

#[test]
fn refused_terms_stay_open_with_the_reason() {
    let error = ErrorBody::refused("price_too_low", "The price is below the least.");
    let manner = Manner { refusal: Some(error), ..Manner::default() };
    let desk = FakeDesk::with(fixture::busy(), manner);
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Change offer sandbox-run");
    window.press(Key::Enter);
    assert_eq!(desk.commands().len(), 1, "Enter in the price field sets the terms");
    window.must_say("The price is below the least.");
    window.must_say("Set terms");
}

#[test]
fn offers_are_added_and_removed() {
    let desk = FakeDesk::new(fixture::busy());
    desk.change(|view| view.provider.offers.truncate(2));
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Remove offer repo-index");
    assert_eq!(desk.commands(), [Command::OfferRemove { kind: 5931 }]);
    window.click("Add offer");
    window.click("Extract text");
    assert_eq!(desk.commands().len(), 1, "its terms are seen before it is offered");
    window.click("Paid: On delivery");
    window.click("Offer it");
    let draft =
        OfferDraft { kind: 5000, price_msat: Msat::from_sat(1), payment: PaymentPolicy::After };
    assert_eq!(desk.commands()[1..], [Command::OfferSet(draft)]);
}

#[test]
fn the_palette_changes_offers_rules_and_relays() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Wallet);
    let mut find = |text: &str| {
        window.press_with(Modifiers::COMMAND, Key::K);
        window.harness.event(egui::Event::Text(text.into()));
        window.run();
        window.press(Key::Enter);
    };
    find("change offer sandbox");
    find("remove offer repo");
    find("open to anyone: refuse");
    find("remove relay wss://relay.example");
    window.must_say("Set terms");
    let url = "wss://relay.example.com".to_owned();
    let risk = DemandRisk::Open;
    let expected = [
        Command::OfferRemove { kind: 5931 },
        Command::DemandPolicySet { risk, answer: DemandAnswer::Refuse },
        Command::RelayRemove { url },
    ];
    assert_eq!(desk.commands(), expected);
}

#[test]
fn rules_for_buyers_are_chosen() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Starter demand: Refuse");
    let rule = Command::DemandPolicySet { risk: DemandRisk::Starter, answer: DemandAnswer::Refuse };
    assert_eq!(desk.commands(), [rule]);
}

#[test]
fn relays_are_added_and_removed() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::sized(&desk, Screen::Desk, (1280.0, 1400.0));
    window.must_say("refused the connection; next try in 40 s");
    window.click("Add relay");
    window.retype("Relay address", "https://relay.example.org");
    window.must_say("A relay's address starts with wss://");
    window.retype("Relay address", "wss://relay.example.org");
    window.click("Add this relay");
    let url = "wss://relay.example.org".to_owned();
    assert_eq!(desk.commands(), [Command::RelayAdd { url }]);
    window.click("Remove relay relay.example.com");
    let url = "wss://relay.example.com".to_owned();
    assert_eq!(desk.commands()[1..], [Command::RelayRemove { url }]);
}

#[test]
fn running_jobs_and_latest_events_open_in_the_inspector() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Sold sandbox-run, Running, waiting for this machine, 2,100 sat");
    window.must_say("Waiting for: this machine");
    window.must_say("Work accepted: proved by local");
    window.must_say("Paid: not proved");
    window.press(Key::Escape);
    window.must_not_say("Work accepted: proved by local");
    window.must_say("Invoice made for 2,100 sat");
}

#[test]
fn an_empty_home_teaches_and_offers_one_thing() {
    let desk = FakeDesk::new(fixture::empty());
    let window = Window::open(&desk, Screen::Desk);
    window.must_say("Nothing is offered");
    window.must_say("Offer to run a command");
    window.must_say("No job is running");
    window.must_say("Nothing has happened yet");
    window.must_say("No relay is set");
}

#[test]
fn events_that_do_not_come_are_awaited_without_blocking() {
    let desk = FakeDesk::with(fixture::busy(), Manner { silent: true, ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Desk);
    window.must_say("Event 1204, on its way");
    window.jump(Key::G, Key::W);
    window.must_say("Balance");
}

/// A machine on its first start: it has an identity, and nothing was done with it yet.
pub fn new_machine() -> engine::View {
    let mut view = offline_but_able();
    view.jobs.clear();
    view.payments.clear();
    view.earned_today_msat = Msat::ZERO;
    view
}

#[test]
fn the_first_run_is_three_steps() {
    let desk = FakeDesk::new(new_machine());
    let mut window = Window::open(&desk, Screen::Desk);
    window.must_say("Three steps to the first job");
    window.must_not_say("You are offline");
    window.retype("Machine name", "Workbench");
    window.click("Keep name");
    window.must_say("Step 1, done");
    window.must_say("Identity Workbench");
    window.must_say("this step can wait");
    window.click("Show the words");
    std::thread::sleep(std::time::Duration::from_millis(50));
    window.run();
    window.click("Uncover");
    window.must_say("1 leader");
    window.click("I have written them down");
    window.must_not_say("leader");
    window.must_say("Step 2, done");
    window.must_say("Written down: yes");
    window.press(Key::O);
    assert_eq!(desk.commands(), [Command::ProviderOnline]);
    window.must_not_say("Three steps to the first job");
    // Going offline later is no first run again.
    window.press_with(Modifiers::SHIFT, Key::O);
    window.must_not_say("Three steps to the first job");
    window.must_say("You are offline");
}

#[test]
fn the_first_steps_can_be_put_away() {
    let desk = FakeDesk::new(new_machine());
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Put away");
    window.must_not_say("Three steps to the first job");
    window.must_say("You are offline");
}

#[test]
fn a_name_that_is_refused_says_why() {
    let error = ErrorBody::new("vault_not_usable", "The vault could not be written.");
    let desk = FakeDesk::with(new_machine(), Manner { refusal: Some(error), ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Desk);
    window.retype("Machine name", &"long ".repeat(20));
    window.must_say("At most 40 characters.");
    window.retype("Machine name", "Workbench");
    window.click("Keep name");
    window.must_say("The vault could not be written.");
    window.must_say("This machine was not named");
}

#[test]
fn what_was_given_up_is_shown_tried_again_or_left() {
    let desk = FakeDesk::new(fixture::troubled());
    let mut window = Window::sized(&desk, Screen::Desk, (1280.0, 1200.0));
    window.must_say("Given up");
    window.must_say("relay.example.com refused the connection; 40 tries, 13:56:12");
    window.click("Try again: Publish the result of job 08080801");
    window.click("Leave undone: Publish the result of job 08080802");
    let effects: Vec<_> =
        desk.view().dead_letters.iter().map(|letter| letter.effect.clone()).collect();
    let expected = [
        Command::EffectRetry { effect: effects[0].clone() },
        Command::EffectDrop { effect: effects[1].clone() },
    ];
    assert_eq!(desk.commands(), expected);
}
