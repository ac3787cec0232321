//! Who this machine is, and its recovery words: covered until asked for twice.

use egui::{Align, Rect, Sense, Ui, Vec2, WidgetInfo, pos2};

use engine::port::MACHINE_NAME_CHARS;

use crate::{
    actions::ActionId,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::wallet,
    scene::{Act, Scene},
    state::{State, WordsState},
    widgets::{Btn, Field, facts, label, notice},
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
    name(ui, scene, state);
    ui.add_space(look.space.m);
    label::colored(ui, "Recovery words", Face::CaptionStrong, look.color.faint);
    words(ui, scene, state);
}

/// The field for what the operator calls this machine, and what keeps it.
pub fn name(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let kept = scene.view.identity.as_ref().and_then(|known| known.name.clone());
    let kept = kept.unwrap_or_default();
    let mut typed = state.name.clone().unwrap_or_else(|| kept.clone());
    let long = typed.trim().chars().count() > MACHINE_NAME_CHARS;
    let fault = long.then(|| format!("At most {MACHINE_NAME_CHARS} characters."));
    let button = look.size.field_short;
    let mut save = false;
    ui.horizontal_top(|ui| {
        let width = (ui.available_width() - button - look.space.s).min(look.size.field);
        let field = Field::new("Machine name").hint("Workbench").width(width);
        let field = field.help("Only this desk shows it.").fault(fault.clone());
        let response = field.show(ui, ui.scope_id().with("machine-name"), &mut typed);
        if std::mem::take(&mut state.focus_name) {
            response.request_focus();
        }
        if response.changed() {
            state.name = Some(typed.clone());
        }
        save = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let same = typed.trim() == kept;
        ui.vertical(|ui| {
            // The button stands on the line of the field, below its label.
            let label =
                label::line(ui.painter(), "x", look.font(Face::Caption), look.color.muted, 99.0);
            ui.add_space(label.size().y + look.space.xs);
            let why = fault.or_else(|| same.then(|| "This is its name already.".to_owned()));
            let busy = scene.courier.busy(&Purpose::Name).is_some();
            save |= ui.add(Btn::new("Keep name").blocked(why).busy(busy)).clicked();
        });
        save &= !same && !long;
    });
    if save {
        scene.act(Act::Name(typed));
    }
    scene.error_of(ui, state, &Purpose::Name);
}

fn words(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let written = scene.view.identity.as_ref().is_some_and(|identity| identity.backed_up);
    scene.error_of(ui, state, &Purpose::Written);
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
            ui.horizontal_wrapped(|ui| {
                if *shown {
                    if !written {
                        let id = ActionId::WordsWritten;
                        let busy = scene.courier.busy(&Purpose::Written).is_some();
                        let done = Btn::new("I have written them down").primary().busy(busy);
                        if ui.add(done.tooltip(id.action().tooltip)).clicked() {
                            scene.acts.push(Act::Run(id));
                        }
                    }
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
