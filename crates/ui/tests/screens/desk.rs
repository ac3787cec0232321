//! The Desk by label: the switch, blockers, offers, rules, relays and what happens.

use domain::{ErrorBody, Msat};
use egui::{Key, Modifiers};
use engine::{
    Command,
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
fn a_price_is_edited_in_place() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.must_say("Announced");
    window.must_say("The text extractor did not start.");
    window.retype("Price of sandbox-run in sat", "2,500.5");
    window.click("Set price of sandbox-run");
    let draft = OfferDraft {
        kind: 5930,
        price_msat: Msat::new(2_500_500).unwrap(),
        payment: PaymentPolicy::After,
    };
    assert_eq!(desk.commands(), [Command::OfferSet(draft)]);
    window.must_say("Offer changed");
    window.retype("Price of repo-index in sat", "a lot");
    window.click("Set price of repo-index");
    assert_eq!(desk.commands().len(), 1, "a price that doesn't read is not sent");
}

#[test]
fn offers_are_added_and_removed() {
    let desk = FakeDesk::new(fixture::busy());
    desk.change(|view| view.provider.offers.truncate(2));
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Remove offer repo-index");
    assert_eq!(desk.commands(), [Command::OfferRemove { kind: 5931 }]);
    window.click("Add offer");
    window.click("Extract text for 1 sat");
    let draft =
        OfferDraft { kind: 5000, price_msat: Msat::from_sat(1), payment: PaymentPolicy::Before };
    assert_eq!(desk.commands()[1..], [Command::OfferSet(draft)]);
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
    window.must_say("Offer to run a command for 2 sat");
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
