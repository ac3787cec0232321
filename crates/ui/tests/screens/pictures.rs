//! The four screens as PNGs into `$UI_PICTURES`, where it is set; else only that drawing works.

use egui::Theme;
use ui::{
    Clock, MarketTab, Screen, Subject,
    headless::{Picture, screenshot},
};

use crate::fixture::{self, FakeDesk, id};

fn draw(name: &str, view: engine::View, picture: &Picture) {
    let folder = std::env::var("UI_PICTURES").map(std::path::PathBuf::from);
    let kept = folder.is_ok();
    let folder = folder.unwrap_or_else(|_| std::env::temp_dir());
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}-{}.png", std::process::id()));
    let path = if kept { folder.join(format!("{name}.png")) } else { path };
    screenshot(FakeDesk::new(view), picture, &path).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 10_000);
    if !kept {
        std::fs::remove_file(&path).unwrap();
    }
}

fn picture(screen: Screen, theme: Theme, size: (f32, f32)) -> Picture {
    Picture::new(screen, theme, size, Clock::fixed(fixture::NOW))
}

#[test]
fn the_desk_in_the_dark_is_drawn() {
    draw("desk-dark-1280", fixture::busy(), &picture(Screen::Desk, Theme::Dark, (1280.0, 800.0)));
}

#[test]
#[ignore = "draws every screen; run with UI_PICTURES to look at them"]
fn every_screen_is_drawn() {
    for (theme, tone) in [(Theme::Dark, "dark"), (Theme::Light, "light")] {
        for size in [(1280.0, 800.0), (900.0, 600.0)] {
            let name = |screen: &str| format!("{screen}-{tone}-{}", size.0);
            for screen in Screen::ALL {
                let title = screen.title().to_lowercase();
                draw(&name(&title), fixture::busy(), &picture(screen, theme, size));
            }
            let trouble = picture(Screen::Desk, theme, size);
            draw(&name("trouble"), fixture::troubled(), &trouble);
            let empty = picture(Screen::Desk, theme, size);
            draw(&name("empty"), fixture::empty(), &empty);
            let job = Picture {
                subject: Some(Subject::Job(id(11))),
                tab: MarketTab::History,
                ..picture(Screen::Market, theme, size)
            };
            draw(&name("job"), fixture::busy(), &job);
            for (tab, word) in [(MarketTab::Inbox, "inbox"), (MarketTab::Buy, "buy")] {
                let market = Picture { tab, ..picture(Screen::Market, theme, size) };
                draw(&name(word), fixture::busy(), &market);
            }
            let event = Picture {
                subject: Some(Subject::Event(1_200)),
                ..picture(Screen::Activity, theme, size)
            };
            draw(&name("event"), fixture::busy(), &event);
            let payment = Picture {
                subject: Some(Subject::Payment(fixture::key("Top up"))),
                ..picture(Screen::Wallet, theme, size)
            };
            draw(&name("payment"), fixture::busy(), &payment);
        }
    }
}

#[test]
#[ignore = "draws every screen zoomed; run with UI_PICTURES to look at them"]
fn every_screen_is_drawn_zoomed() {
    // 900×600 at 200 and 150 %, and at 75 %.
    for (size, scale, percent) in
        [((450.0, 300.0), 2.0, 200), ((600.0, 400.0), 1.5, 150), ((1200.0, 800.0), 0.75, 75)]
    {
        for screen in Screen::ALL {
            let picture = Picture { scale, ..picture(screen, Theme::Dark, size) };
            let name = format!("zoom{percent}-{}", screen.title().to_lowercase());
            draw(&name, fixture::busy(), &picture);
        }
        let job = Picture {
            subject: Some(Subject::Job(id(11))),
            scale,
            ..picture(Screen::Market, Theme::Light, size)
        };
        draw(&format!("zoom{percent}-job"), fixture::busy(), &job);
    }
}

#[test]
#[ignore = "draws forms in their states; run with UI_PICTURES to look at them"]
fn what_forms_show_is_drawn() {
    for size in [(1280.0, 800.0), (900.0, 600.0)] {
        let name = |what: &str| format!("form-{what}-{}", size.0);
        let desk = FakeDesk::new(crate::desk::new_machine());
        let mut window = crate::Window::sized(&desk, Screen::Desk, size);
        keep(&mut window, &name("first"));
        window.retype("Machine name", "Workbench");
        window.click("Keep name");
        window.click("Show the words");
        std::thread::sleep(std::time::Duration::from_millis(50));
        window.run();
        window.click("Uncover");
        keep(&mut window, &name("first-words"));

        let desk = FakeDesk::new(fixture::busy());
        let mut window = crate::Window::sized(&desk, Screen::Desk, size);
        window.click("Change offer repo-index");
        keep(&mut window, &name("offer"));
        window.retype("Price", "a lot of money");
        keep(&mut window, &name("offer-fault"));

        let mut window = crate::Window::sized(&desk, Screen::Market, size);
        desk.behave(|manner| manner.left_out = vec!["/a/b: a link that leads out".into()]);
        window.click("Buy");
        window.click("Choose folder");
        keep(&mut window, &name("packed"));
        desk.behave(|manner| manner.failing = true);
        window.click("Choose folder");
        keep(&mut window, &name("not-packed"));
        desk.behave(|manner| (manner.failing, manner.stuck) = (false, true));
        window.click("Choose folder");
        let progress = desk.progress.lock().unwrap().clone().unwrap();
        progress.note(1_204, 12_400_000);
        window.run();
        keep(&mut window, &name("packing"));

        desk.behave(|manner| {
            manner.stuck = false;
            manner.result = Some(fixture::text(&crate::market::LONG_RESULT.repeat(3)));
        });
        let mut window = crate::Window::sized(&desk, Screen::Market, size);
        window.click("History");
        window.click("Bought repo-index, Delivered, 2,100 sat");
        keep(&mut window, &name("result"));
        let silent = crate::fixture::Manner { silent: true, ..Default::default() };
        let desk = FakeDesk::with(fixture::busy(), silent);
        let mut window = crate::Window::sized(&desk, Screen::Activity, size);
        keep(&mut window, &name("activity-loading"));
        let failing = crate::fixture::Manner { failing: true, ..Default::default() };
        let desk = FakeDesk::with(fixture::busy(), failing);
        let mut window = crate::Window::sized(&desk, Screen::Activity, size);
        keep(&mut window, &name("activity-failed"));
        window.jump(egui::Key::G, egui::Key::H);
        keep(&mut window, &name("history-failed"));
        let desk = FakeDesk::new(fixture::empty());
        for (screen, what) in
            [(Screen::Market, "market"), (Screen::Wallet, "wallet"), (Screen::Activity, "activity")]
        {
            let mut window = crate::Window::sized(&desk, screen, size);
            keep(&mut window, &name(&format!("empty-{what}")));
        }
    }
}

#[test]
#[ignore = "draws the parts of the Wallet; run with UI_PICTURES to look at them"]
fn the_parts_of_the_wallet_are_drawn() {
    for size in [(1280.0, 800.0), (900.0, 600.0)] {
        let name = |what: &str| format!("wallet-{what}-{}", size.0);
        let desk = FakeDesk::new(crate::fake_wallet::rich());
        let mut window = crate::Window::sized(&desk, Screen::Wallet, size);
        keep(&mut window, &name("waiting"));
        window.click("Open payment that waits");
        keep(&mut window, &name("waiting-open"));
        window.press(egui::Key::Escape);
        window.click("Don't pay");
        let mut window = crate::Window::sized(&desk, Screen::Wallet, (size.0, 1200.0));
        for (tab, word) in [
            ("Backup", "backup"),
            ("Sub-wallets", "accounts"),
            ("Limits", "limits"),
            ("Channels", "channels"),
            ("Connections", "connections"),
        ] {
            window.click(tab);
            keep(&mut window, &name(word));
        }
        window.click("Connect app");
        keep(&mut window, &name("connect"));
        window.type_into("Name", "Amethyst");
        window.click("Connect it");
        keep(&mut window, &name("connected"));
        window.click("Channels");
        window.click("Close channel with Peer 2");
        keep(&mut window, &name("channel-close"));
        window.click("Sub-wallets");
        window.click("Make sub-wallet");
        window.click("Light theme");
        keep(&mut window, &name("account-form"));
        let mut window = crate::wallet_pay::paying((size.0, 1200.0));
        keep(&mut window, &name("review"));
        window.click("Light theme");
        keep(&mut window, &name("review-light"));
        let mut window = crate::Window::sized(&desk, Screen::Wallet, (size.0, 1200.0));
        window.click("Receive");
        window.type_into("Amount", "2,100");
        window.click("Make invoice");
        keep(&mut window, &name("receive"));
    }
}

/// Draws what a window shows after its keys were pressed.
fn keep(window: &mut crate::Window, name: &str) {
    let folder = std::env::var("UI_PICTURES").unwrap_or_else(|_| ".".into());
    let image = window.harness.render().unwrap();
    image.save(std::path::Path::new(&folder).join(format!("{name}.png"))).unwrap();
}

#[test]
#[ignore = "draws what opens above the screens; run with UI_PICTURES to look at it"]
fn what_opens_above_the_screens_is_drawn() {
    use egui::{Key, Modifiers};
    use egui_kittest::kittest::Queryable as _;
    let desk = FakeDesk::new(fixture::busy());
    let mut window = crate::Window::open(&desk, Screen::Desk);
    window.press_with(Modifiers::COMMAND, Key::K);
    keep(&mut window, "palette");
    window.harness.event(egui::Event::Text("job".into()));
    window.run();
    keep(&mut window, "palette-job");
    window.press(Key::Escape);
    window.press_with(Modifiers::SHIFT, Key::Questionmark);
    keep(&mut window, "keys");
    window.press(Key::Escape);
    window.click("Menu");
    window.click("Sell");
    keep(&mut window, "menu");
    window.press(Key::Escape);
    window.press(Key::R);
    window.click("Make invoice");
    keep(&mut window, "receive-fault");
    window.type_into("Amount", "2,100");
    window.click("Make invoice");
    keep(&mut window, "receive");
    window.click("Identity npub10elf…jptg");
    window.click("Show the words");
    std::thread::sleep(std::time::Duration::from_millis(50));
    window.run();
    keep(&mut window, "words");
    window.press(Key::Escape);
    window.harness.get_by_label("Close receive").click();
    window.run();
    window.press(Key::P);
    keep(&mut window, "pay");
    let error = domain::ErrorBody::refused(
        "over_limit",
        "The provider's invoice asks 5,000 sat, your limit for this job is 2,100. Nothing was paid.",
    )
    .hint("Raise the limit or choose another provider.");
    desk.behave(|manner| manner.refusal = Some(error));
    window.press(Key::Escape);
    window.jump(Key::G, Key::D);
    window.press_with(Modifiers::SHIFT, Key::O);
    window.click("Show details");
    keep(&mut window, "error");
    window.jump(Key::G, Key::A);
    for _ in 0..3 {
        window.press(Key::K);
    }
    keep(&mut window, "activity-selected");
    let mut window = crate::wallet_pay::paying((1280.0, 800.0));
    keep(&mut window, "pay-confirm");
}
