//! The real app drawn into PNG files without a display. Behind a feature, never shipped.

pub use egui::Theme;
use egui::Vec2;
use egui_kittest::Harness;
use engine::DeskPort;
use std::{path::Path, sync::Arc, time::Duration};

use crate::{DeskApp, MarketTab, Screen, Subject, clock::Clock};

/// What to draw.
#[derive(Clone, Debug)]
pub struct Picture {
    pub screen: Screen,
    /// The tab of the Market.
    pub tab: MarketTab,
    pub theme: Theme,
    /// Points; the picture has `scale` pixels for each.
    pub size: (f32, f32),
    pub scale: f32,
    pub subject: Option<Subject>,
    pub clock: Clock,
}

impl Picture {
    pub fn new(screen: Screen, theme: Theme, size: (f32, f32), clock: Clock) -> Self {
        Self { screen, tab: MarketTab::Active, theme, size, scale: 1.0, subject: None, clock }
    }
}

/// Rounds of frames given to answers that come from other threads.
const ROUNDS: u32 = 25;
const ROUND: Duration = Duration::from_millis(20);

/// Draws one picture into a PNG file.
///
/// # Errors
/// Where there is no graphics driver (lavapipe will do) or the file can't be written.
pub fn screenshot(port: Arc<dyn DeskPort>, picture: &Picture, path: &Path) -> Result<(), String> {
    let picture = picture.clone();
    let mut harness = Harness::builder()
        .with_size(Vec2::new(picture.size.0, picture.size.1))
        .with_pixels_per_point(picture.scale)
        .with_theme(picture.theme)
        .allow_missing_glyphs()
        .wgpu()
        .build_eframe(move |cc| {
            let mut app = DeskApp::in_eframe(port, picture.clock.clone(), cc);
            app.open(picture.screen);
            if picture.screen == Screen::Market {
                app.open_market(picture.tab);
            }
            if let Some(subject) = picture.subject.clone() {
                app.select(subject);
            }
            app
        });
    for _ in 0..ROUNDS {
        std::thread::sleep(ROUND);
        harness.step();
    }
    harness.run_ok();
    let image = harness.render()?;
    image.save(path).map_err(|error| format!("{} was not written: {error}", path.display()))
}
