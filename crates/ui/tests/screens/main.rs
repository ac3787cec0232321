//! The screens by accessible label, over a fake desk, without a renderer.
#![expect(clippy::unwrap_used, reason = "a test fails where a fixture cannot be made")]

mod activity;
mod desk;
mod fake_wallet;
mod fixture;
mod frame;
mod market;
mod memory;
#[cfg(feature = "headless")]
mod pictures;
mod texts;
mod wallet;
mod wallet_parts;
mod wallet_pay;

use egui::{Key, Modifiers, Vec2, os::OperatingSystem};
use egui_kittest::{Harness, kittest::Queryable as _};
use fixture::FakeDesk;
use std::{cell::RefCell, path::PathBuf, sync::Arc};
use ui::{
    Clock, DeskApp, Screen,
    chooser::{Chooser, Wanted},
};

/// A window over `desk`, on one screen.
struct Window {
    desk: Arc<FakeDesk>,
    harness: Harness<'static, DeskApp>,
}

thread_local! {
    /// Where the operator of this test writes files to.
    static SAVE_TO: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// A dialog in which the operator has chosen a folder already.
fn at_once() -> Chooser {
    Chooser::new(|wanted, wake| {
        let (send, chosen) = std::sync::mpsc::sync_channel(1);
        let path = match wanted {
            // Nothing is written where a test did not say where to.
            Wanted::Save(name) => SAVE_TO.with_borrow(|dir| dir.as_ref().map(|dir| dir.join(name))),
            Wanted::Folder | Wanted::File => Some("/chosen/folder".into()),
        };
        send.send(path).unwrap();
        wake();
        chosen
    })
}

impl Window {
    fn open(desk: &Arc<FakeDesk>, screen: Screen) -> Self {
        Self::sized(desk, screen, (1280.0, 800.0))
    }

    fn sized(desk: &Arc<FakeDesk>, screen: Screen, (width, height): (f32, f32)) -> Self {
        let port = desk.clone();
        let harness = Harness::builder()
            .with_size(Vec2::new(width, height))
            .with_theme(egui::Theme::Dark)
            .with_os(OperatingSystem::Nix)
            .with_max_steps(16)
            .with_step_dt(1.0 / 60.0)
            .build_eframe(move |cc| {
                let clock = Clock::fixed(fixture::NOW);
                let mut app = DeskApp::in_eframe(port, clock, cc).choosing_by(at_once());
                app.open(screen);
                app
            });
        let mut window = Self { desk: desk.clone(), harness };
        window.run();
        window
    }

    /// Draws until the window is still, also where it waits for the next frame it may draw.
    #[track_caller]
    fn run(&mut self) {
        const SOON: std::time::Duration = std::time::Duration::from_millis(100);
        for _ in 0..40 {
            self.harness.run();
            let output = self.harness.output();
            let delay = output.viewport_output.values().map(|v| v.repaint_delay).min();
            if delay.is_none_or(|delay| delay > SOON) {
                return;
            }
        }
        panic!("the window never rests");
    }

    #[track_caller]
    fn press(&mut self, key: Key) {
        self.press_with(Modifiers::NONE, key);
    }

    #[track_caller]
    fn press_with(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.run();
    }

    /// Presses keys one after the other, as a two-key jump wants it.
    #[track_caller]
    fn jump(&mut self, first: Key, second: Key) {
        self.press(first);
        self.press(second);
    }

    #[track_caller]
    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.run();
    }

    /// Types into the field with this name.
    #[track_caller]
    fn type_into(&mut self, label: &str, text: &str) {
        let field = self.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, label);
        field.focus();
        self.run();
        let field = self.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, label);
        field.type_text(text);
        self.run();
    }

    /// Replaces what is in the field with this name.
    #[track_caller]
    fn retype(&mut self, label: &str, text: &str) {
        let field = self.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, label);
        field.set_text_value_accesskit(text);
        self.run();
    }

    fn shows(&self, label: &str) -> bool {
        self.harness.query_all_by_label(label).next().is_some() || self.says(label)
    }

    /// Whether any label holds this text.
    fn says(&self, text: &str) -> bool {
        use egui_kittest::kittest::NodeT as _;
        self.harness.root().children_recursive().any(|node| {
            let node = node.accesskit_node();
            let label = node.label().unwrap_or_default();
            let value = node.value().unwrap_or_default();
            label.contains(text) || value.contains(text)
        })
    }

    #[track_caller]
    fn must_say(&self, text: &str) {
        assert!(self.says(text), "nothing says {text:?}");
    }

    #[track_caller]
    fn must_not_say(&self, text: &str) {
        assert!(!self.says(text), "something says {text:?}");
    }
}
