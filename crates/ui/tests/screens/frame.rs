//! The frame: every action by palette, keys and menu; sizes, zoom, themes, and rest.

use domain::Network;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use ui::{
    Screen,
    actions::{ACTIONS, ActionId},
};

use crate::{
    Window,
    fixture::{self, FakeDesk, id},
};

fn palette(window: &mut Window, text: &str) {
    window.press_with(Modifiers::COMMAND, Key::K);
    window.harness.event(egui::Event::Text(text.into()));
    window.run();
}

#[test]
fn the_palette_finds_and_runs_each_action() {
    for action in ACTIONS.iter().filter(|action| action.id != ActionId::Palette) {
        let desk = FakeDesk::new(fixture::busy());
        let mut window = Window::open(&desk, Screen::Activity);
        let before = window.harness.state().screen();
        palette(&mut window, action.title);
        assert!(window.shows(action.title), "{} is not found", action.title);
        window.harness.key_press(Key::Enter);
        window.harness.run_ok();
        assert!(!window.shows("Search commands, jobs, payments"), "{}", action.title);
        let after = window.harness.state();
        let moved = after.screen() != before || after.selected().is_some();
        let sent = !desk.commands().is_empty();
        // What changes neither screen, selection nor desk says or shows something.
        let quiet = [
            ActionId::GoActivity,
            ActionId::Open,
            ActionId::Back,
            ActionId::SelectNext,
            ActionId::SelectPrevious,
            ActionId::Filter,
            ActionId::FollowTail,
            ActionId::ThemeDark,
            ActionId::ThemeLight,
            ActionId::ThemeSystem,
            ActionId::Quit,
        ];
        let told = ["Select", "copied", "Close keys", "already", "Motion is", "Zoom ", "Noted"]
            .iter()
            .any(|word| window.says(word));
        assert!(
            moved || sent || told || quiet.contains(&action.id),
            "{} did nothing that can be seen",
            action.title
        );
    }
}

#[test]
fn the_palette_finds_jobs_and_payments_too() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    palette(&mut window, "0b0b0b0b");
    window.press(Key::Enter);
    assert_eq!(window.harness.state().selected(), Some(&ui::Subject::Job(id(11))));
    palette(&mut window, "Top up");
    window.press(Key::Enter);
    assert_eq!(window.harness.state().screen(), Screen::Wallet);
    window.must_say("Waiting for payer");
    palette(&mut window, "qqqqq");
    window.must_say("Nothing matches. Try fewer letters.");
    window.press(Key::Escape);
    assert!(!window.shows("Search commands, jobs, payments"));
}

#[test]
fn jumps_and_back_work_from_every_screen() {
    let desk = FakeDesk::new(fixture::empty());
    let mut window = Window::open(&desk, Screen::Desk);
    let jumps = [
        (Key::M, Screen::Market),
        (Key::W, Screen::Wallet),
        (Key::A, Screen::Activity),
        (Key::D, Screen::Desk),
    ];
    for (key, screen) in jumps {
        window.jump(Key::G, key);
        assert_eq!(window.harness.state().screen(), screen);
    }
    window.press(Key::Escape);
    assert_eq!(window.harness.state().screen(), Screen::Activity);
    window.press(Key::Escape);
    assert_eq!(window.harness.state().screen(), Screen::Wallet);
}

#[test]
fn the_key_list_holds_every_action() {
    let desk = FakeDesk::new(fixture::empty());
    let mut window = Window::sized(&desk, Screen::Desk, (1280.0, 1600.0));
    window.press_with(Modifiers::SHIFT, Key::Questionmark);
    for action in ACTIONS {
        window.must_say(action.title);
    }
    window.must_say("Go online: o");
    window.must_say("Search commands: Ctrl K");
    window.press(Key::Escape);
    window.must_not_say("Search commands: Ctrl K");
}

#[test]
fn the_menu_has_every_group() {
    let desk = FakeDesk::new(fixture::empty());
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Menu");
    for group in ["Go to", "Sell", "Buy", "Identity", "Lists", "Window"] {
        window.must_say(group);
    }
    window.click("Window");
    window.must_say("Show keys");
}

#[test]
fn lanes_badge_and_status_line_say_how_it_is() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Market);
    window.must_say("Selling: Online");
    window.must_say("Relays: 1 of 2");
    window.must_say("Wallet: Ready");
    window.must_say("PRACTICE");
    window.must_say("5 jobs running");
    window.must_say("1,521 sat reserved");
    window.must_say("1,204 events, log signed 13:53:42");
    window.must_say("Market, 2 waiting for you");
    desk.change(|view| {
        view.network = Network::Mainnet;
        view.log.dead_letters = 2;
    });
    window.run();
    window.must_not_say("PRACTICE");
    window.must_say("2 effects gave up");
    window.click("Wallet: Ready");
    assert_eq!(window.harness.state().screen(), Screen::Wallet);
}

#[test]
fn every_screen_fits_from_small_to_ultrawide_and_names_its_widgets() {
    for view in [fixture::busy(), fixture::troubled(), fixture::empty()] {
        for size in [(900.0, 600.0), (1280.0, 800.0), (3440.0, 1440.0)] {
            let desk = FakeDesk::new(view.clone());
            for screen in Screen::ALL {
                let mut window = Window::sized(&desk, screen, size);
                window.press(Key::J);
                window.run();
                // Nothing that can be pressed lies outside of the window.
                let bounds = egui::Rect::from_min_size(egui::Pos2::ZERO, size.into()).expand(1.0);
                for role in [egui::accesskit::Role::Button, egui::accesskit::Role::Tab] {
                    for node in window.harness.query_all_by_role(role) {
                        let rect = node.rect();
                        let across = rect.left() >= bounds.left() && rect.right() <= bounds.right();
                        assert!(across, "{screen:?} at {size:?}: {node:?} at {rect:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn zoom_stays_within_its_limits() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    for _ in 0..20 {
        window.press_with(Modifiers::COMMAND, Key::Plus);
    }
    assert!((window.harness.ctx.zoom_factor() - 2.0).abs() < 0.01);
    for _ in 0..40 {
        window.press_with(Modifiers::COMMAND, Key::Minus);
    }
    assert!((window.harness.ctx.zoom_factor() - 0.75).abs() < 0.01);
    window.press_with(Modifiers::COMMAND, Key::Num0);
    assert!((window.harness.ctx.zoom_factor() - 1.0).abs() < 0.01);
}

#[test]
fn the_theme_is_switched_and_follows_the_system_again() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = Window::open(&desk, Screen::Desk);
    window.click("Light theme");
    assert_eq!(window.harness.ctx.theme(), egui::Theme::Light);
    window.click("Dark theme");
    assert_eq!(window.harness.ctx.theme(), egui::Theme::Dark);
}

#[test]
fn a_still_desk_asks_for_no_frame() {
    for screen in Screen::ALL {
        let desk = FakeDesk::new(fixture::busy());
        let mut window = Window::open(&desk, screen);
        window.harness.run_steps(3);
        let output = window.harness.output();
        let delay = output.viewport_output.values().map(|v| v.repaint_delay).min().unwrap();
        assert!(delay > std::time::Duration::from_secs(3_600), "{screen:?} wakes after {delay:?}");
    }
}

#[test]
fn text_of_strangers_is_shown_on_one_line_without_tricks() {
    let desk = FakeDesk::new(fixture::busy());
    desk.change(|view| {
        let job = std::sync::Arc::make_mut(&mut view.jobs[0]);
        job.kind_name = "evil\u{202e}gnp.exe\nsecond line".into();
    });
    let window = Window::open(&desk, Screen::Desk);
    window.must_say("Sold evil gnp.exe second line, Running");
}
