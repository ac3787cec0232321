//! What was given up: effects that no adapter could do, until the operator tries again or drops them.

use egui::{Align, Layout, Ui};
use engine::{Command, view::DeadLetterView};

use crate::{
    courier::Purpose,
    look::{Face, look},
    present::words,
    scene::{Act, Scene},
    state::State,
    widgets::{Btn, label, notice, panel},
};

/// So many are shown; the command line has the rest.
const SHOWN: usize = 5;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let letters = &scene.view.clone().dead_letters;
    if letters.is_empty() {
        return;
    }
    ui.add_space(look.space.l);
    panel::plain_section(ui, "Given up");
    panel::list_card(ui, |ui| {
        for (index, letter) in letters.iter().take(SHOWN).enumerate() {
            if index > 0 {
                panel::rule(ui);
            }
            row(ui, scene, letter);
        }
        if letters.len() > SHOWN {
            panel::rule(ui);
            ui.horizontal(|ui| {
                ui.set_min_height(look.size.row);
                ui.add_space(look.space.m);
                let more = letters.len() - SHOWN;
                label::caption(ui, format!("and {more} more: pilothouse events dead list"));
            });
        }
    });
    scene.error_of(ui, state, &Purpose::Letter);
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, letter: &DeadLetterView) {
    let look = look(ui.ctx());
    let what = words::one_line(&letter.what);
    let frame = egui::Frame::new().inner_margin(look.margin(look.space.m, look.space.s));
    frame.show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let why = words::one_line(&letter.why);
        let why = if why.is_empty() { "no reason was given".to_owned() } else { why };
        let tried = words::count(letter.tries.into(), "try").replace("trys", "tries");
        let line = format!("{why}; {tried}, {}", scene.clock.moment(letter.at));
        notice::blocker(ui, &what, Some(&line));
        ui.horizontal(|ui| {
            let busy = scene.courier.busy(&Purpose::Letter).is_some();
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let again = Btn::new("Try again").busy(busy).name(format!("Try again: {what}"));
                if ui.add(again).clicked() {
                    scene.act(retry(letter));
                }
                let drop = Btn::new("Leave undone").quiet().busy(busy);
                let drop = drop.name(format!("Leave undone: {what}"));
                if ui.add(drop.tooltip("Payments and receipts are never dropped")).clicked() {
                    let command = Command::EffectDrop { effect: letter.effect.clone() };
                    scene.act(Act::Send(Purpose::Letter, command));
                }
                let id = words::middle(&letter.effect.to_string(), 9, 7);
                label::colored(ui, id, Face::MonoCaption, look.color.faint);
            });
        });
    });
}

pub fn retry(letter: &DeadLetterView) -> Act {
    Act::Send(Purpose::Letter, Command::EffectRetry { effect: letter.effect.clone() })
}
