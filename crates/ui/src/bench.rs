//! CPU per frame of the real app with a large log: input, layout and tessellation, without a GPU.

use domain::{ErrorBody, EventHash, Msat, StreamId, Timestamp};
use egui::{
    Context, Event, Modifiers, MouseWheelUnit, Pos2, RawInput, Rect, Vec2, epaint::ClippedShape,
    pos2,
};
use engine::{
    Command, DeskPort, Query, Reply,
    port::Packing,
    view::{Answer, EventDetail, JobResult, LogRow, LogView, View},
};
use serde::Serialize;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use crate::{DeskApp, Screen, clock::Clock};

/// What to measure.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BenchOptions {
    pub rows: u64,
    pub frames: u32,
    /// Points scrolled per frame.
    pub scroll: f32,
    pub width: f32,
    pub height: f32,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self { rows: 100_000, frames: 600, scroll: 137.0, width: 1280.0, height: 800.0 }
    }
}

/// CPU time per frame in milliseconds, from input to triangles.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BenchReport {
    pub options: BenchOptions,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// The same without tessellation.
    pub layout_p50_ms: f64,
    pub vertices: u64,
    /// Different rows whose text was drawn, so that nothing empty and nothing still is measured.
    pub rows_drawn: u64,
    /// Frames that were drawn after input stopped until the window was still.
    pub frames_to_rest: u32,
}

/// Scrolls the Activity through its rows and measures each frame.
pub fn run(options: BenchOptions) -> BenchReport {
    let ctx = Context::default();
    let port = Arc::new(LogPort::new(options.rows));
    let mut app = DeskApp::new(port, Clock::fixed(NOW), &ctx);
    app.open(Screen::Activity);
    let drawn = HashSet::new();
    let mut bench = Bench { ctx, app, options, time: 0.0, vertices: 0, drawn };
    for _ in 0..WARM_UP {
        bench.frame(0.0);
    }
    let mut whole = Vec::with_capacity(options.frames as usize);
    let mut layout = Vec::with_capacity(options.frames as usize);
    for number in 0..options.frames {
        // Up from the newest and back, so that pages are read in both directions.
        let up = number < options.frames / 2;
        let (laid, done) = bench.frame(if up { options.scroll } else { -options.scroll });
        layout.push(laid);
        whole.push(done);
    }
    let rows_drawn = bench.drawn.len() as u64;
    let frames_to_rest = bench.rest();
    whole.sort_unstable();
    layout.sort_unstable();
    BenchReport {
        options,
        p50_ms: at(&whole, 0.5),
        p90_ms: at(&whole, 0.9),
        p99_ms: at(&whole, 0.99),
        max_ms: at(&whole, 1.0),
        layout_p50_ms: at(&layout, 0.5),
        vertices: bench.vertices,
        rows_drawn,
        frames_to_rest,
    }
}

const NOW: Timestamp = Timestamp(1_795_183_062_000);
const WARM_UP: u32 = 30;
const FRAME_SECS: f64 = 1.0 / 60.0;
/// After this many still frames the window counts as never resting.
const REST_LIMIT: u32 = 600;

fn at(sorted: &[Duration], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * part).round() as usize;
    sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

struct Bench {
    ctx: Context,
    app: DeskApp,
    options: BenchOptions,
    time: f64,
    vertices: u64,
    drawn: HashSet<String>,
}

impl Bench {
    fn input(&mut self, scroll: f32) -> RawInput {
        self.time += FRAME_SECS;
        let size = Vec2::new(self.options.width, self.options.height);
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, size)),
            time: Some(self.time),
            focused: true,
            ..Default::default()
        };
        if scroll != 0.0 {
            input.events.push(Event::PointerMoved(pos2(size.x / 2.0, size.y / 2.0)));
            input.events.push(Event::MouseWheel {
                unit: MouseWheelUnit::Point,
                delta: Vec2::new(0.0, scroll),
                phase: egui::TouchPhase::Move,
                source: egui::MouseWheelSource::Wheel,
                modifiers: Modifiers::NONE,
            });
        }
        input
    }

    /// Layout, and layout with tessellation.
    fn frame(&mut self, scroll: f32) -> (Duration, Duration) {
        let input = self.input(scroll);
        let app = &mut self.app;
        let started = Instant::now();
        let mut output = self.ctx.run_ui(input, |ui| {
            app.update(ui.ctx());
            app.draw(ui);
        });
        let laid = started.elapsed();
        output.textures_delta.clear();
        let shapes = output.shapes.clone();
        let tessellating = Instant::now();
        let triangles = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        let done = laid + tessellating.elapsed();
        self.note_rows(&shapes);
        self.vertices = triangles
            .iter()
            .map(|clipped| match &clipped.primitive {
                egui::epaint::Primitive::Mesh(mesh) => mesh.vertices.len() as u64,
                egui::epaint::Primitive::Callback(_) => 0,
            })
            .sum();
        (laid, done)
    }

    fn note_rows(&mut self, shapes: &[ClippedShape]) {
        for clipped in shapes {
            if let egui::Shape::Text(text) = &clipped.shape
                && text.galley.text().starts_with(SUMMARY)
            {
                self.drawn.insert(text.galley.text().to_owned());
            }
        }
    }

    /// Frames until nothing asks for another one at once.
    fn rest(&mut self) -> u32 {
        for number in 0..REST_LIMIT {
            let input = self.input(0.0);
            let app = &mut self.app;
            let mut output = self.ctx.run_ui(input, |ui| {
                app.update(ui.ctx());
                app.draw(ui);
            });
            output.textures_delta.clear();
            let delay = output.viewport_output.values().map(|v| v.repaint_delay).min();
            if delay.is_none_or(|delay| delay > Duration::ZERO) {
                return number;
            }
        }
        REST_LIMIT
    }
}

const SUMMARY: &str = "Job accepted for";

fn view(rows: u64) -> View {
    let log = LogView { events: rows, last: Some(row(rows)), ..Default::default() };
    View { at: NOW, log, ..Default::default() }
}

fn row(position: u64) -> LogRow {
    LogRow {
        position,
        stream: StreamId::of("job", format_args!("{position:064x}")),
        seq: position % 12 + 1,
        at: Timestamp(NOW.0 - (1 << 20) + position),
        type_name: "provider.job_accepted".into(),
        summary: format!("{SUMMARY} {}", Msat::from_sat((position % 9_000) as u32 + 1)),
    }
}

/// A desk that is only a long log.
struct LogPort {
    view: Arc<View>,
    rows: Vec<LogRow>,
}

impl LogPort {
    fn new(rows: u64) -> Self {
        Self { view: Arc::new(view(rows)), rows: (1..=rows).map(row).collect() }
    }
}

fn answered<T>(value: T) -> Receiver<T> {
    let (send, receive) = sync_channel(1);
    // The receiver is alive: it is returned below.
    let _sent = send.send(value);
    receive
}

impl DeskPort for LogPort {
    fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    fn send(&self, _command: Command) -> Receiver<Reply> {
        answered(Reply::Done)
    }

    fn ask(&self, query: Query) -> Receiver<Answer> {
        let total = self.view.log.events;
        answered(match query {
            Query::Log { from, count, .. } => {
                let from = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
                let page = self.rows.iter().skip(from).take(count as usize);
                Answer::Log { total, rows: page.cloned().collect() }
            }
            Query::Event { position } => Answer::Event(EventDetail {
                row: row(position),
                hash: EventHash::GENESIS,
                prev: EventHash::GENESIS,
                cause: None,
                pending_effects: Vec::new(),
                json: "{}".into(),
            }),
            Query::Jobs { .. } => Answer::Jobs { jobs: Vec::new() },
            Query::Payments { .. } => Answer::Payments { payments: Vec::new() },
            Query::Wallet { .. } => Answer::Wallet { value: serde_json::Value::Null },
            Query::JobResult { .. } => Answer::JobResult(JobResult::NotHere),
        })
    }

    fn words_written(&self) -> Receiver<Reply> {
        answered(Reply::Done)
    }

    fn name_machine(&self, _name: String) -> Receiver<Reply> {
        answered(Reply::Done)
    }

    fn pack(&self, _path: std::path::PathBuf) -> Packing {
        let error = ErrorBody::new("not_here", "Nothing is packed in a measurement.");
        Packing { progress: Arc::default(), outcome: answered(Err(error)) }
    }

    fn memory(&self) -> Option<String> {
        None
    }

    fn remember(&self, _memory: String) {}

    fn on_change(&self, _wake: Arc<dyn Fn() + Send + Sync>) {}

    fn seed_words(&self) -> Result<Vec<String>, ErrorBody> {
        Err(ErrorBody::new("no_identity", "A measured desk has no identity."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_really_drawn_and_the_window_comes_to_rest() {
        let options = BenchOptions { frames: 40, ..BenchOptions::default() };
        let report = run(options);
        assert!(report.rows_drawn > 100, "{report:?}");
        assert!(report.frames_to_rest < 60, "{report:?}");
        assert!(report.p50_ms > 0.0 && report.p50_ms <= report.max_ms);
    }
}
