//! The result of a bought job in the inspector: asked for by itself, bounded, copied by a button.

use egui::{Label, Ui, text::LayoutJob};
use engine::view::{JobResult, JobRole, JobView};
use std::sync::Arc;

use crate::{
    actions::ActionId,
    courier::Load,
    icons::Icon,
    look::{Face, look},
    present::{result::ResultText, words},
    scene::{Act, Scene},
    state::State,
    widgets::{Btn, button, label, notice},
};

/// Lines of each part that are shown until all are asked for.
const FEW: usize = 12;
/// The most that is laid out, in characters: the rest is copied, not drawn.
const DRAWN: usize = 20_000;

/// Whether this job has a result that people can be shown.
pub fn has(job: &JobView) -> bool {
    job.role == JobRole::Buyer && job.result_sha256.is_some()
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, job: &JobView) {
    match scene.courier.result(job) {
        Load::Waiting => notice::loading(ui, "Reading the result"),
        Load::Failed(error) => {
            match notice::error(ui, "The result could not be read", &error, true) {
                Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                    scene.courier.forget_result(job);
                }
                Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
                None => {}
            }
        }
        Load::Ready(result) => match &*result {
            JobResult::NotHere => {
                label::muted(
                    ui,
                    "Its content is not on this machine: it is on its way, or deleted.",
                );
            }
            JobResult::NotText { size_bytes, media_type } => {
                let kind = words::one_line(media_type);
                label::muted(ui, format!("{} of {kind}, not text.", words::bytes(*size_bytes)));
            }
            JobResult::Text { text, cut, size_bytes, media_type } => {
                let read = read(ui, job, text);
                let about = (*size_bytes, media_type.as_str(), *cut);
                text_ui(ui, scene, state, (job, &read), about);
            }
        },
    }
}

/// The text made ready, once for each result that is looked at.
fn read(ui: &Ui, job: &JobView, text: &str) -> Arc<ResultText> {
    let id = egui::Id::unique(("result-text", job.request_id, job.updated_at));
    if let Some(read) = ui.data(|data| data.get_temp::<Arc<ResultText>>(id)) {
        return read;
    }
    let read = Arc::new(ResultText::of(text));
    ui.data_mut(|data| data.insert_temp(id, read.clone()));
    read
}

fn text_ui(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    state: &mut State,
    (job, read): (&JobView, &ResultText),
    (size_bytes, media_type, cut): (u64, &str, bool),
) {
    let look = look(ui.ctx());
    let all = state.whole_result == Some(job.request_id);
    let mut more = read.whole.is_some();
    match (&read.whole, all) {
        (Some(whole), true) => {
            part(ui, "Everything", whole, true);
        }
        _ => {
            for (name, text) in &read.parts {
                more |= part(ui, name, text, all);
            }
        }
    }
    let mut about = format!("{}, {}", words::bytes(size_bytes), words::one_line(media_type));
    if cut {
        about += "; only its beginning is shown";
    }
    label::colored(ui, about, Face::Caption, look.color.faint);
    ui.horizontal(|ui| {
        let id = ActionId::CopyResult;
        let copy = Btn::new(id.title()).icon(Icon::Copy).tooltip(button::tooltip(id, scene.mac));
        if ui.add(copy).clicked() {
            scene.act(Act::Run(id));
        }
        let words = if all { "Show less" } else { "Show everything" };
        if (more || all) && ui.add(Btn::new(words).quiet()).clicked() {
            state.whole_result = (!all).then_some(job.request_id);
        }
    });
}

/// One part with its name; answers whether lines of it are left out.
fn part(ui: &mut Ui, name: &str, text: &str, all: bool) -> bool {
    let look = look(ui.ctx());
    let lines = text.lines().count();
    let most = if all { usize::MAX } else { FEW };
    let mut shown: String = text.lines().take(most).collect::<Vec<_>>().join("\n");
    let cut = shown.char_indices().nth(DRAWN).map(|(at, _)| at);
    if let Some(at) = cut {
        shown.truncate(at);
    }
    let hidden = lines.saturating_sub(most);
    let data = shown.starts_with(['{', '[']);
    let said = if shown.is_empty() { "nothing".to_owned() } else { shown };
    label::caption(ui, name);
    egui::Frame::new()
        .fill(look.color.field)
        .stroke(look.hairline())
        .corner_radius(look.radius())
        .inner_margin(look.margin(look.space.m, look.space.s))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            let mut job = LayoutJob::simple(
                said,
                look.font(Face::Mono),
                look.color.text,
                ui.available_width(),
            );
            // Hashes and the like have no place of their own to break at.
            job.wrap.break_anywhere = data;
            ui.add(Label::new(job).wrap().selectable(true));
            let rest = match (hidden, cut.is_some()) {
                (0, false) => return,
                (0, true) => "and more; copy it to read it whole".to_owned(),
                (lines, _) => format!("and {}", words::count(lines as u64, "more line")),
            };
            label::caption(ui, rest);
        });
    hidden > 0
}
