//! Who this machine is, and its recovery words: covered until asked for twice.

use egui::{Align, Rect, Sense, Ui, Vec2, WidgetInfo, pos2};

use crate::{
    actions::ActionId,
    icons::Icon,
    look::{Face, look},
    present::wallet,
    scene::{Act, Scene},
    state::{State, WordsState},
    widgets::{Btn, facts, label, notice},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let known = wallet::identity(scene.view);
    if known.is_empty() {
        let lesson = "It is made on the first run, with twelve words that restore it.";
        notice::empty(ui, Icon::Key, "No identity yet", lesson, |_| {});
        return;
    }
    label::colored(
        ui,
        "The name under which this machine sells and buys on Nostr.",
        Face::Body,
        look.color.muted,
    );
    let chosen = ui.scope(|ui| facts::facts(ui, &known)).inner;
    if let Some((label, text)) = chosen {
        scene.copy(label, text);
    }
    ui.add_space(look.space.m);
    label::colored(ui, "Recovery words", Face::CaptionStrong, look.color.faint);
    words(ui, scene, state);
}

fn words(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    match &mut state.words {
        WordsState::Hidden => {
            label::muted(
                ui,
                "Whoever has these words is this machine. Write them on paper; \
                 don't photograph or paste them.",
            );
            if ui.add(Btn::new(ActionId::ShowWords.title()).icon(Icon::Eye)).clicked() {
                scene.act(Act::Run(ActionId::ShowWords));
            }
        }
        WordsState::Fetching => notice::loading(ui, "Opening the vault"),
        WordsState::Failed(error) => {
            let error = error.clone();
            match notice::error(ui, "The words could not be shown", &error, true) {
                Some(notice::ErrorAnswer::Retry) => scene.act(Act::Run(ActionId::ShowWords)),
                Some(notice::ErrorAnswer::Dismiss) => state.hide_words(),
                Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
                None => {}
            }
        }
        WordsState::Here { words, shown } => {
            grid(ui, words, *shown);
            ui.add_space(look.space.xs);
            let mut hide = false;
            ui.horizontal(|ui| {
                if *shown {
                    hide = ui.add(Btn::new("Hide the words").icon(Icon::EyeOff)).clicked();
                } else if ui.add(Btn::new("Uncover").primary().icon(Icon::Eye)).clicked() {
                    *shown = true;
                } else {
                    hide = ui.add(Btn::new("Not now")).clicked();
                }
            });
            if !*shown {
                label::caption(ui, "Make sure that nobody looks over your shoulder.");
            }
            if hide {
                state.hide_words();
            }
        }
    }
}

/// The words in numbered places; covered ones are drawn, read and copied by nobody.
fn grid(ui: &mut Ui, words: &[String], shown: bool) {
    let look = look(ui.ctx());
    let columns = 3;
    let gap = look.space.xs;
    let width = (ui.available_width() - gap * (columns as f32 - 1.0)) / columns as f32;
    ui.spacing_mut().item_spacing = Vec2::splat(gap);
    for (row, chunk) in words.chunks(columns).enumerate() {
        ui.horizontal(|ui| {
            for (column, word) in chunk.iter().enumerate() {
                let number = row * columns + column + 1;
                let size = Vec2::new(width, look.size.control);
                let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
                let said = if shown {
                    format!("{number} {word}")
                } else {
                    format!("Word {number}, covered")
                };
                response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, &said));
                let painter = ui.painter();
                painter.rect_filled(rect, look.radius_small(), look.color.field);
                let inner = rect.shrink2(Vec2::new(look.space.s, 0.0));
                let digits = number.to_string();
                let font = look.font(Face::Caption);
                label::paint_line(painter, inner, &digits, font, look.color.faint, Align::Min);
                let place =
                    Rect::from_min_max(pos2(inner.left() + look.space.xl, inner.top()), inner.max);
                if shown {
                    let font = look.font(Face::Mono);
                    label::paint_line(painter, place, word, font, look.color.text, Align::Min);
                } else {
                    let bar = Rect::from_center_size(
                        place.center(),
                        Vec2::new(place.width(), look.space.s),
                    );
                    painter.rect_filled(bar, look.radius_small(), look.color.neutral_soft);
                }
            }
        });
    }
}
