//! The Activity by label: pages, filter, follow, selection and the event in the inspector.

use egui::Key;
use engine::Query;
use ui::Screen;

use crate::{
    Window,
    fixture::{self, FakeDesk, Manner},
};

fn pages(desk: &FakeDesk) -> Vec<u64> {
    let asked = desk.asked.lock().unwrap();
    let pages = asked.iter().filter_map(|query| match query {
        Query::Log { from, .. } => Some(*from),
        _ => None,
    });
    pages.collect()
}

#[test]
fn a_hundred_thousand_rows_are_read_by_the_page() {
    let desk = FakeDesk::new(fixture::empty());
    desk.change(|view| view.log.events = 100_000);
    let window = Window::open(&desk, Screen::Activity);
    window.must_say("100,000 events");
    window.must_say("100,000 Invoice made");
    let read = pages(&desk);
    assert!(read.iter().all(|from| *from > 99_000), "only the end is read: {read:?}");
    assert!(read.len() <= 4, "{read:?}");
}

#[test]
fn rows_are_walked_by_keyboard_into_older_pages() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Activity);
    window.press(Key::K);
    window.must_say("Position: 1,204");
    for _ in 0..6 {
        window.press(Key::K);
    }
    window.must_say("Position: 1,198");
    window.press(Key::J);
    window.must_say("Position: 1,199");
    window.press(Key::Y);
    window.must_say("Copied as JSON");
}

#[test]
fn a_row_opens_its_event_with_hash_and_cause() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Activity);
    window.click("1,204 Invoice made for 2,100 sat");
    window.must_say("Type: payment.invoice_made");
    window.must_say("\"amount_msat\": 2100000");
    window.click("Copy hash");
    window.must_say("Hash copied");
    window.must_say("Copy cause");
    window.must_say("Copy previous");
}

#[test]
fn the_filter_is_reached_by_slash_and_narrows_the_rows() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Activity);
    window.press(Key::Slash);
    window.harness.event(egui::Event::Text("settled".into()));
    window.run();
    window.must_say("200 of 1,204 events");
    window.must_say("Received 2,100 sat for sandbox-run");
    window.must_not_say("Went online with 3 offers");
    window.press(Key::Escape);
    window.must_say("1,204 events");
    window.press(Key::Slash);
    window.harness.event(egui::Event::Text("zzz".into()));
    window.run();
    window.must_say("Nothing matches");
    window.click("Show everything");
    window.must_say("1,204 events");
}

#[test]
fn a_filter_that_finds_too_much_says_so_and_looks_again_for_what_is_new() {
    let desk = FakeDesk::new(fixture::empty());
    desk.change(|view| view.log.events = 90_000);
    let mut window = Window::open(&desk, Screen::Activity);
    window.press(Key::Slash);
    window.harness.event(egui::Event::Text("settled".into()));
    window.run();
    window.must_say("the newest 1,000 that match");
    window.must_say("89,999 Received");
    desk.change(|view| view.log.events = 90_005);
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    window.run();
    window.must_say("90,005 Received");
}

#[test]
fn letters_typed_into_the_filter_run_nothing() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Activity);
    window.press(Key::Slash);
    window.press(Key::O);
    window.press(Key::B);
    assert_eq!(desk.commands(), []);
    assert_eq!(window.harness.state().screen(), Screen::Activity);
}

#[test]
fn new_events_come_while_following_and_wait_while_being_read() {
    use egui_kittest::kittest::Queryable as _;
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Activity);
    desk.change(|view| view.log.events = 1_205);
    window.run();
    window.must_say("1,205 Received 2,100 sat for sandbox-run");
    window.harness.get_by_label("1,205 Received 2,100 sat for sandbox-run").hover();
    window.run();
    desk.change(|view| view.log.events = 1_208);
    window.run();
    window.must_say("3 new events, held while you read");
    window.must_not_say("1,208 Accepted");
    window.harness.hover_at(egui::pos2(2.0, 2.0));
    window.run();
    window.must_say("1,208 Accepted");
}

#[test]
fn follow_is_switched_by_key() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Activity);
    window.press(Key::F);
    desk.change(|view| view.log.events = 1_300);
    window.run();
    window.must_not_say("1,300 Invoice");
    window.press(Key::F);
    window.must_say("1,300 Invoice");
}

#[test]
fn a_log_that_cannot_be_read_says_so_and_tries_again() {
    let desk = FakeDesk::with(fixture::busy(), Manner { failing: true, ..Manner::default() });
    let mut window = Window::open(&desk, Screen::Activity);
    window.must_say("The log could not be read");
    desk.behave(|manner| manner.failing = false);
    window.click("Try again");
    window.must_not_say("The log could not be read");
    window.must_say("1,204 Invoice made");
}

#[test]
fn rows_on_their_way_keep_their_place() {
    let desk = FakeDesk::with(fixture::busy(), Manner { silent: true, ..Manner::default() });
    let window = Window::open(&desk, Screen::Activity);
    window.must_say("Row 1204, on its way");
}

#[test]
fn an_empty_log_teaches_what_it_is() {
    let desk = FakeDesk::new(fixture::empty());
    let window = Window::open(&desk, Screen::Activity);
    window.must_say("Nothing has happened yet");
    window.must_say("each event names the one before it");
}
