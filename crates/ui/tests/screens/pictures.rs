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
