//! Toasts: a short word in the corner that goes by itself.

use egui::{Align2, Area, Frame, Id, Order, Ui, Vec2};

use crate::{
    look::{Face, look},
    present::Tone,
    state::{State, Toast},
    widgets::{badge, label},
};

/// Says `text` for a while.
pub fn say(ctx: &egui::Context, state: &mut State, text: String, good: bool) {
    let stays = f64::from(look(ctx).motion.toast_ms) / 1_000.0;
    let until = ctx.input(|input| input.time) + stays;
    state.toast = Some(Toast { text, good, until });
}

pub fn show(ui: &mut Ui, state: &mut State) {
    let look = look(ui.ctx());
    let now = ui.input(|input| input.time);
    let Some(toast) = &state.toast else { return };
    if toast.until <= now {
        state.toast = None;
        return;
    }
    let left = std::time::Duration::from_secs_f64(toast.until - now);
    ui.ctx().request_repaint_after(left);
    let offset = Vec2::new(-look.space.l, -look.size.status_line - look.space.l);
    Area::new(Id::unique("toast"))
        .order(Order::Tooltip)
        .anchor(Align2::RIGHT_BOTTOM, offset)
        .interactable(false)
        .show(ui.ctx(), |ui| {
            Frame::popup(ui.style()).inner_margin(look.margin(look.space.m, look.space.s)).show(
                ui,
                |ui| {
                    ui.set_max_width(look.size.toast);
                    ui.horizontal(|ui| {
                        badge::dot(ui, if toast.good { Tone::Good } else { Tone::Waiting });
                        label::colored(ui, &toast.text, Face::Body, look.color.text);
                    });
                },
            );
        });
}
