//! The first run: name this machine, write down its words, go online. Put away once it is done.

use domain::{Msat, Network};
use egui::{Align, Layout, Rect, Role, Sense, Ui, Vec2, WidgetInfo};
use engine::view::ProviderState;

use crate::{
    actions::{ActionId, Subject},
    icons::{self, Icon},
    look::{Face, look},
    scene::{Act, Scene},
    screens::wallet::identity,
    state::State,
    widgets::{Btn, button, label, notice, panel},
};

/// Whether this is a first run: nothing was sold or bought yet, and nobody put the steps away.
pub fn is_due(scene: &Scene<'_>, state: &State) -> bool {
    !state.welcomed
        && scene.view.identity.is_some()
        && scene.view.jobs.is_empty()
        && scene.view.earned_today_msat == Msat::ZERO
        && scene.view.provider.state == ProviderState::Offline
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let (named, written) = scene
        .view
        .identity
        .as_ref()
        .map_or((false, false), |known| (known.name.is_some(), known.backed_up));
    panel::card(ui, |ui| {
        ui.horizontal(|ui| {
            label::heading(ui, "Three steps to the first job");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let tip = "All of it stays on the Desk and under Identity";
                if ui.add(Btn::new("Put away").quiet().tooltip(tip)).clicked() {
                    state.welcomed = true;
                }
            });
        });
        ui.add_space(look.space.xs);
        step(ui, 1, "Name this machine", named, |ui| identity::name(ui, scene, state));
        step(ui, 2, "Write down its words", written, |ui| words_step(ui, scene, written));
        let ready = scene.data.desk.can_switch;
        step(ui, 3, "Go online", false, |ui| online_step(ui, scene, state, ready));
    });
}

fn words_step(ui: &mut Ui, scene: &mut Scene<'_>, written: bool) {
    let look = look(ui.ctx());
    if written {
        label::colored(ui, "They are written down.", Face::Body, look.color.muted);
        return;
    }
    let why = if scene.view.network == Network::Practice {
        "Twelve words restore who this machine is. In practice nothing is lost without them: this \
         step can wait."
    } else {
        "Twelve words restore who this machine is. Without them, what it is worth to others is \
         gone with this disk."
    };
    label::colored(ui, why, Face::Body, look.color.muted);
    ui.add_space(look.space.xs);
    let id = ActionId::ShowWords;
    let open = Btn::new(id.title()).icon(Icon::Eye).tooltip(button::tooltip(id, scene.mac));
    if ui.add(open).clicked() {
        scene.act(Act::Inspect(Subject::Identity));
        scene.act(Act::Run(id));
    }
}

fn online_step(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, ready: bool) {
    let look = look(ui.ctx());
    label::colored(ui, &scene.data.desk.lead, Face::Body, look.color.muted);
    if !ready {
        for blocker in &scene.data.desk.blockers {
            notice::blocker(ui, &blocker.message, blocker.hint.as_deref());
        }
    }
    ui.add_space(look.space.xs);
    ui.horizontal(|ui| super::switch_button(ui, scene, state));
    scene.error_of(ui, state, &crate::courier::Purpose::Switch);
}

/// A step: its number or a check mark, its title, and what is to be done.
fn step(ui: &mut Ui, number: u32, title: &str, done: bool, add: impl FnOnce(&mut Ui)) {
    let look = look(ui.ctx());
    ui.add_space(look.space.s);
    panel::rule(ui);
    ui.add_space(look.space.s);
    ui.horizontal_top(|ui| {
        let side = look.size.row_compact;
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
        let said = format!("Step {number}{}", if done { ", done" } else { "" });
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
        let (ground, ink) = match done {
            true => (look.color.good_soft, look.color.good),
            false => (look.color.neutral_soft, look.color.text),
        };
        ui.painter().circle_filled(rect.center(), side / 2.0, ground);
        if done {
            let mark = Rect::from_center_size(rect.center(), Vec2::splat(look.size.icon));
            icons::paint(ui.painter(), mark, Icon::Check, look.size.icon_stroke, ink);
        } else {
            let font = look.font(Face::CaptionStrong);
            label::paint_line(ui.painter(), rect, &number.to_string(), font, ink, Align::Center);
        }
        ui.add_space(look.space.xs);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = look.space.xs;
            ui.allocate_ui_with_layout(
                Vec2::new(ui.available_width(), side),
                Layout::left_to_right(Align::Center),
                |ui| label::strong(ui, title),
            );
            add(ui);
        });
    });
}
