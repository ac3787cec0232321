//! The native window: eframe on wgpu.

use eframe::WgpuConfiguration;
use engine::DeskPort;
use std::{fmt, sync::Arc};

use crate::{app::DeskApp, clock::Clock, graphics, memory::Memory};

/// How the window opens the first time; later it opens as it was.
#[derive(Clone, Debug)]
pub struct WindowOptions {
    pub title: String,
    /// Points, before zoom.
    pub size: (f32, f32),
    pub clock: Clock,
}

impl WindowOptions {
    /// A window of the usual size that tells the time by `clock`.
    pub fn new(clock: Clock) -> Self {
        let size = (1280.0, 800.0);
        Self { title: "Pilothouse".into(), size, clock }
    }
}

/// The smallest window that every screen is made for.
const SMALLEST: [f32; 2] = [900.0, 600.0];

/// Opens the desk and returns when it is closed. Called from the main thread.
///
/// # Errors
/// Where no window can be opened: no display, or no graphics driver. The text is for people.
pub fn run_window(port: Arc<dyn DeskPort>, options: WindowOptions) -> Result<(), String> {
    if let Some(native) = graphics::native() {
        match open(Arc::clone(&port), &options, native) {
            Err(eframe::Error::Wgpu(error)) => {
                tracing::info!(%error, "the window is drawn by OpenGL, if at all");
            }
            opened => return opened.map_err(|error| NoWindow(error).to_string()),
        }
    }
    open(port, &options, WgpuConfiguration::default()).map_err(|error| NoWindow(error).to_string())
}

fn open(
    port: Arc<dyn DeskPort>,
    options: &WindowOptions,
    wgpu_options: WgpuConfiguration,
) -> eframe::Result {
    let place = Memory::of(&*port).window;
    let size = place.map_or(options.size, |place| (place.width, place.height));
    let viewport = egui::ViewportBuilder::default()
        .with_title(&options.title)
        .with_app_id("pilothouse")
        .with_inner_size([size.0, size.1])
        .with_maximized(place.is_some_and(|place| place.maximized))
        .with_min_inner_size(SMALLEST)
        .with_icon(icon());
    let native = eframe::NativeOptions { viewport, wgpu_options, ..Default::default() };
    let clock = options.clock.clone();
    eframe::run_native(
        &options.title,
        native,
        Box::new(move |cc| {
            let app = DeskApp::in_eframe(port, clock, cc).remembering(&cc.egui_ctx);
            Ok(Box::new(app))
        }),
    )
}

struct NoWindow(eframe::Error);

impl fmt::Display for NoWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The desk's window could not be opened: {}. Nothing else is affected: `pilothouse up \
             --headless` runs without one, and `pilothouse doctor` says what is missing.",
            self.0
        )
    }
}

/// The brand mark as a window icon, drawn here so that no picture file is needed.
fn icon() -> egui::IconData {
    const SIDE: u32 = 64;
    let look = crate::tokens::Tokens::embedded();
    let (ground, ink) = (look.dark.accent, look.dark.on_accent);
    let inside = |x: f32, y: f32| {
        // The arrow of the mark: two triangles that share their tip and keel.
        let (x, y) = ((x / SIDE as f32 - 0.5) * 2.0, y / SIDE as f32);
        let reach = (y - 0.14) / 0.72 * 0.78;
        (0.14..=0.86).contains(&y) && x.abs() <= reach && y <= 0.68 + x.abs() * 0.23
    };
    let mut rgba = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let color = if inside(x as f32 + 0.5, y as f32 + 0.5) { ink } else { ground };
            rgba.extend_from_slice(&color.to_array());
        }
    }
    egui::IconData { rgba, width: SIDE, height: SIDE }
}
