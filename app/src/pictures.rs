//! Pictures of the running desk: each screen, both themes, two sizes, without a display.

use desk::DeskPort;
use std::{path::Path, sync::Arc};
use ui::{
    Clock, MarketTab, Screen, Subject,
    headless::{Picture, Theme, screenshot},
};

const SIZES: [(f32, f32); 2] = [(1280.0, 800.0), (900.0, 600.0)];
const THEMES: [(Theme, &str); 2] = [(Theme::Dark, "dark"), (Theme::Light, "light")];
const SCREENS: [(Screen, &str); 4] = [
    (Screen::Desk, "desk"),
    (Screen::Market, "market"),
    (Screen::Wallet, "wallet"),
    (Screen::Activity, "activity"),
];

/// Writes `<screen>-<theme>-<width>x<height>.png` for each into `dir`.
pub fn draw(port: Arc<dyn DeskPort>, dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let newest = port.view().jobs.first().map(|job| job.request_id);
    for (screen, name) in SCREENS {
        for (theme, theme_name) in THEMES {
            for size in SIZES {
                let clock = Clock::utc(host::clock::now);
                let mut picture = Picture::new(screen, theme, size, clock);
                picture.tab = MarketTab::History;
                if screen == Screen::Market && size.0 > 1000.0 {
                    picture.subject = newest.map(Subject::Job);
                }
                let file = format!("{name}-{theme_name}-{}x{}.png", size.0, size.1);
                screenshot(Arc::clone(&port), &picture, &dir.join(file))?;
            }
        }
    }
    Ok(())
}
