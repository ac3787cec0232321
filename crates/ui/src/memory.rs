//! What the window remembers of itself from one start to the next: a small file per network.

use egui::{Context, Pos2, ThemePreference, Vec2, ViewportCommand, pos2};
use engine::DeskPort;
use serde::{Deserialize, Serialize};

use crate::state::{MarketTab, Screen, State};

/// The zooms there are, in percent.
pub const ZOOMS: [u16; 10] = [75, 80, 90, 100, 110, 125, 140, 150, 175, 200];

/// Written when nothing has changed for so long.
const SETTLED_SECS: f64 = 0.8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    #[default]
    System,
    Dark,
    Light,
}

/// Everything that is remembered. What a file lacks is as on the first start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    pub theme: Theme,
    pub zoom_percent: u16,
    pub reduced_motion: bool,
    pub screen: Screen,
    pub market_tab: MarketTab,
    pub inspector_width: Option<f32>,
    /// The first steps are done or were put away.
    pub welcomed: bool,
    pub window: Option<Place>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            theme: Theme::default(),
            zoom_percent: 100,
            reduced_motion: false,
            screen: Screen::default(),
            market_tab: MarketTab::default(),
            inspector_width: None,
            welcomed: false,
            window: None,
        }
    }
}

/// Where the window stood, in points without zoom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub width: f32,
    pub height: f32,
    /// Where a window system says it.
    pub at: Option<(f32, f32)>,
    pub maximized: bool,
}

/// No screen is larger, and no window of ours is smaller.
const LARGEST: f32 = 16_384.0;
const SMALLEST: f32 = 200.0;

impl Place {
    fn is_sane(&self) -> bool {
        let sizes = [self.width, self.height];
        let edges = self.at.map_or([0.0, 0.0], |(x, y)| [x, y]);
        sizes.iter().all(|side| (SMALLEST..=LARGEST).contains(side))
            && edges.iter().all(|edge| edge.abs() <= LARGEST)
    }
}

impl Memory {
    /// Reads what was kept. A file that can't be read means a first start, and a line in the log.
    pub fn of(port: &dyn DeskPort) -> Self {
        let Some(text) = port.memory() else { return Self::default() };
        match serde_json::from_str::<Self>(&text) {
            Ok(memory) => memory.checked(),
            Err(error) => {
                tracing::warn!(%error, "what the window remembered is not readable; starting anew");
                Self::default()
            }
        }
    }

    /// Only what a window can be: a file may have been written by hand.
    fn checked(mut self) -> Self {
        self.zoom_percent = nearest(self.zoom_percent);
        self.inspector_width = self.inspector_width.filter(|width| (1.0..LARGEST).contains(width));
        self.window = self.window.filter(Place::is_sane);
        self
    }

    /// What is to be remembered of the window as it is now.
    pub fn now(state: &State, ctx: &Context, before: &Self) -> Self {
        Self {
            theme: match state.theme {
                ThemePreference::System => Theme::System,
                ThemePreference::Dark => Theme::Dark,
                ThemePreference::Light => Theme::Light,
            },
            zoom_percent: percent(ctx),
            reduced_motion: state.reduced_motion,
            screen: state.screen,
            market_tab: state.market.tab,
            inspector_width: state.inspector_width,
            welcomed: state.welcomed,
            window: place(ctx, before.window).or(before.window),
        }
    }

    /// Puts the state and the context as they were.
    pub fn restore(&self, state: &mut State, ctx: &Context) {
        state.theme = match self.theme {
            Theme::System => ThemePreference::System,
            Theme::Dark => ThemePreference::Dark,
            Theme::Light => ThemePreference::Light,
        };
        if self.theme != Theme::System {
            ctx.set_theme(state.theme);
        }
        ctx.set_zoom_factor(f32::from(self.zoom_percent) / 100.0);
        state.reduced_motion = self.reduced_motion;
        state.screen = self.screen;
        state.market.tab = self.market_tab;
        state.inspector_width = self.inspector_width;
        state.welcomed = self.welcomed;
    }
}

/// The zoom in force, in percent.
pub fn percent(ctx: &Context) -> u16 {
    nearest((ctx.zoom_factor() * 100.0).round().clamp(0.0, 1_000.0) as u16)
}

/// The zoom nearest to `percent`.
fn nearest(percent: u16) -> u16 {
    ZOOMS.into_iter().min_by_key(|zoom| zoom.abs_diff(percent)).unwrap_or(100)
}

/// The next zoom up or down; the same at either end.
pub fn next_zoom(percent: u16, up: bool) -> u16 {
    let at = ZOOMS.iter().position(|zoom| *zoom == nearest(percent)).unwrap_or_default();
    let next = if up { at + 1 } else { at.saturating_sub(1) };
    ZOOMS[next.min(ZOOMS.len() - 1)]
}

fn place(ctx: &Context, before: Option<Place>) -> Option<Place> {
    let zoom = ctx.zoom_factor();
    ctx.input(|input| {
        let view = input.viewport();
        if view.minimized == Some(true) || view.fullscreen == Some(true) {
            return None;
        }
        let maximized = view.maximized.unwrap_or(false);
        let inner = view.inner_rect?;
        if maximized && let Some(before) = before {
            return Some(Place { maximized, ..before });
        }
        let whole = |length: f32| (length * zoom).round();
        let at = view.outer_rect.map(|outer| (whole(outer.min.x), whole(outer.min.y)));
        let (width, height) = (whole(inner.width()), whole(inner.height()));
        Some(Place { width, height, at, maximized }).filter(Place::is_sane)
    })
}

/// Keeps the memory written: once it has been still for a moment, and when the window closes.
#[derive(Debug, Default)]
pub struct Keeper {
    written: Memory,
    newest: Memory,
    changed_at: f64,
    /// Where the window is still to be moved to.
    to: Option<(f32, f32)>,
}

impl Keeper {
    pub fn new(memory: Memory) -> Self {
        let to = memory.window.filter(|place| !place.maximized).and_then(|place| place.at);
        Self { written: memory.clone(), newest: memory, changed_at: 0.0, to }
    }

    /// Looks once a frame whether there is something to write.
    pub fn look(&mut self, port: &dyn DeskPort, state: &State, ctx: &Context) {
        self.put_back(ctx);
        let now = Memory::now(state, ctx, &self.newest);
        let time = ctx.input(|input| input.time);
        if now != self.newest {
            self.newest = now;
            self.changed_at = time;
        }
        if self.newest != self.written {
            let rest = SETTLED_SECS - (time - self.changed_at);
            if rest > 0.0 {
                ctx.request_repaint_after(std::time::Duration::from_secs_f64(rest));
            } else {
                self.write(port);
            }
        }
    }

    /// Writes what is not written yet.
    pub fn write(&mut self, port: &dyn DeskPort) {
        if self.newest != self.written
            && let Ok(text) = serde_json::to_string_pretty(&self.newest)
        {
            port.remember(text);
            self.written = self.newest.clone();
        }
    }

    /// Moves the window to where it stood, only if all of it is on the screen it opened on: a
    /// screen that is gone must not take the window with it.
    fn put_back(&mut self, ctx: &Context) {
        let Some((x, y)) = self.to else { return };
        let zoom = ctx.zoom_factor();
        let known = ctx.input(|input| {
            let view = input.viewport();
            Some((view.monitor_size?, view.outer_rect?.size()))
        });
        if let Some((monitor, size)) = known {
            self.to = None;
            let at = pos2(x, y) / zoom;
            if fits(at, size, monitor) {
                ctx.send_viewport_cmd(ViewportCommand::OuterPosition(at));
            }
        }
    }
}

fn fits(at: Pos2, size: Vec2, monitor: Vec2) -> bool {
    at.x >= 0.0 && at.y >= 0.0 && at.x + size.x <= monitor.x && at.y + size.y <= monitor.y
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zoom_goes_in_steps_between_its_ends() {
        let mut seen = vec![75];
        while seen.last() != Some(&200) {
            seen.push(next_zoom(seen[seen.len() - 1], true));
        }
        assert_eq!(seen, ZOOMS);
        assert_eq!((next_zoom(200, true), next_zoom(75, false)), (200, 75));
        assert_eq!((next_zoom(100, true), next_zoom(100, false)), (110, 90));
        // Egui's own steps may stand between ours.
        assert_eq!(next_zoom(93, true), 100);
    }

    #[test]
    fn a_window_is_put_back_only_where_it_can_be_seen() {
        let (size, monitor) = (Vec2::new(900.0, 600.0), Vec2::new(1_920.0, 1_080.0));
        assert!(fits(pos2(100.0, 100.0), size, monitor));
        assert!(!fits(pos2(1_900.0, 100.0), size, monitor));
        assert!(!fits(pos2(-2_000.0, 0.0), size, monitor));
    }

    #[test]
    fn a_window_is_as_the_last_one_was() {
        let (ctx, mut state) = (Context::default(), State::default());
        let memory = Memory {
            theme: Theme::Light,
            zoom_percent: 150,
            screen: Screen::Activity,
            reduced_motion: true,
            welcomed: true,
            inspector_width: Some(400.0),
            ..Memory::default()
        };
        memory.restore(&mut state, &ctx);
        let mut output = ctx.run_ui(egui::RawInput::default(), |_| {});
        output.textures_delta.clear();
        assert_eq!((ctx.theme(), percent(&ctx)), (egui::Theme::Light, 150));
        assert_eq!(Memory::now(&state, &ctx, &memory), memory);
    }

    #[test]
    fn what_a_file_says_is_checked() {
        let read = |text: &str| serde_json::from_str::<Memory>(text).map(Memory::checked);
        let memory = read(
            r#"{"theme":"light","zoom_percent":5000,"inspector_width":-3.0,
            "window":{"width":1e9,"height":2.0,"at":null,"maximized":false},"later":1}"#,
        );
        let memory = memory.unwrap();
        assert_eq!((memory.theme, memory.zoom_percent), (Theme::Light, 200));
        assert_eq!((memory.inspector_width, memory.window), (None, None));
        assert_eq!(read("{}").unwrap(), Memory::default());
        assert!(read(r#"{"theme":"pink"}"#).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}", zoom in any::<u16>(), width in any::<f32>()) {
            let _read = serde_json::from_str::<Memory>(&text).map(Memory::checked);
            let place = Some(Place { width, height: width, at: Some((width, width)), maximized: false });
            let memory = Memory {
                zoom_percent: zoom, inspector_width: Some(width), window: place, ..Memory::default()
            };
            let checked = memory.checked();
            prop_assert!(ZOOMS.contains(&checked.zoom_percent));
            let text = serde_json::to_string(&checked).unwrap();
            prop_assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), checked);
        }
    }
}
