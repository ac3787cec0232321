//! What the window remembers, by label: theme, zoom, place; and a file that can't be read.

use egui::{Key, Modifiers, Vec2, os::OperatingSystem};
use egui_kittest::Harness;
use std::sync::Arc;
use ui::{Clock, DeskApp, Screen};

use crate::{
    Window,
    fixture::{self, FakeDesk, Manner},
};

/// A window that remembers, over a desk that has this memory.
fn remembering(desk: &Arc<FakeDesk>) -> Window {
    let port = desk.clone();
    let harness = Harness::builder()
        .with_size(Vec2::new(1280.0, 800.0))
        .with_os(OperatingSystem::Nix)
        .with_max_steps(16)
        .with_step_dt(1.0 / 60.0)
        .build_eframe(move |cc| {
            DeskApp::in_eframe(port, Clock::fixed(fixture::NOW), cc).remembering(&cc.egui_ctx)
        });
    let mut window = Window { desk: desk.clone(), harness };
    window.run();
    window
}

fn settle(window: &mut Window) {
    for _ in 0..70 {
        window.harness.step();
    }
}

#[test]
fn what_is_changed_is_kept_and_comes_back() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = remembering(&desk);
    window.press_with(Modifiers::COMMAND, Key::Plus);
    window.must_say("Zoom 110 %");
    window.press_with(Modifiers::COMMAND, Key::Plus);
    window.click("Light theme");
    window.jump(Key::G, Key::W);
    settle(&mut window);
    let kept = desk.remembered.lock().unwrap().last().cloned().unwrap();
    drop(window);

    let next =
        FakeDesk::with(fixture::busy(), Manner { memory: Some(kept.clone()), ..Manner::default() });
    let mut window = remembering(&next);
    let ctx = window.harness.ctx.clone();
    assert_eq!(ctx.zoom_factor(), 1.25);
    assert!(kept.contains("\"theme\": \"light\""), "{kept}");
    assert_eq!(window.harness.state().screen(), Screen::Wallet);
    settle(&mut window);
    let written = next.remembered.lock().unwrap().clone();
    assert!(written.iter().all(|text| *text == kept), "nothing changed: {written:?}");
    window.press_with(Modifiers::COMMAND, Key::Num0);
    settle(&mut window);
    let kept = next.remembered.lock().unwrap().last().cloned().unwrap();
    assert!(kept.contains("\"zoom_percent\": 100"), "{kept}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_first_start() {
    for bad in ["", "{", "[]", "{\"zoom_percent\":\"large\"}", "\u{0}\u{1}"] {
        let manner = Manner { memory: Some(bad.into()), ..Manner::default() };
        let desk = FakeDesk::with(fixture::busy(), manner);
        let window = remembering(&desk);
        assert_eq!(window.harness.ctx.zoom_factor(), 1.0);
        assert_eq!(window.harness.state().screen(), Screen::Desk);
    }
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    let desk = FakeDesk::new(fixture::busy());
    let mut window = remembering(&desk);
    settle(&mut window);
    let before = desk.remembered.lock().unwrap().len();
    window.jump(Key::G, Key::W);
    window.jump(Key::G, Key::D);
    settle(&mut window);
    let written = desk.remembered.lock().unwrap().len();
    assert_eq!(written, before, "where it was is where it is");
}
