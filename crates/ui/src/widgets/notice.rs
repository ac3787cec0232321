//! Notices: errors with their fold, blockers with their hint, empty and loading states.

use domain::ErrorBody;
use egui::{Align, Frame, Layout, Rect, Role, Sense, Ui, Vec2, WidgetInfo};

use super::{Btn, badge, label};
use crate::{
    icons::{self, Icon},
    look::{Face, look},
    present::Tone,
};

/// What the operator did with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorAnswer {
    Dismiss,
    Retry,
    Copy(String),
}

/// An error: what happened, what is safe, what to do; the technical part folded below.
pub fn error(ui: &mut Ui, title: &str, error: &ErrorBody, retry: bool) -> Option<ErrorAnswer> {
    let look = look(ui.ctx());
    let mut answer = None;
    let fold = ui.scope_id().with(("details", title));
    Frame::new()
        .fill(look.color.danger_soft)
        .corner_radius(look.radius())
        .inner_margin(look.margin(look.space.m, look.space.m))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = look.space.xs;
            ui.horizontal(|ui| {
                icon(ui, Icon::Stop, look.color.danger);
                label::colored(ui, title, Face::Strong, look.color.text);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let dismiss = super::icon_button(ui, Icon::Cross, "Dismiss", "");
                    if dismiss.clicked() {
                        answer = Some(ErrorAnswer::Dismiss);
                    }
                });
            });
            let body: &str = &error.message;
            label::colored(ui, body, Face::Body, look.color.text);
            if let Some(hint) = &error.hint {
                label::colored(ui, hint, Face::Body, look.color.text);
            }
            ui.horizontal(|ui| {
                if retry && ui.add(Btn::new("Try again")).clicked() {
                    answer = Some(ErrorAnswer::Retry);
                }
                let open = ui.data(|data| data.get_temp::<bool>(fold)).unwrap_or(false);
                let words = if open { "Hide details" } else { "Show details" };
                if ui.add(Btn::new(words).quiet()).clicked() {
                    ui.data_mut(|data| data.insert_temp(fold, !open));
                }
            });
            if ui.data(|data| data.get_temp::<bool>(fold)).unwrap_or(false) {
                let text = technical(error);
                Frame::new()
                    .fill(look.color.field)
                    .corner_radius(look.radius_small())
                    .inner_margin(look.margin(look.space.s, look.space.s))
                    .show(ui, |ui| {
                        ui.set_min_width(ui.available_width());
                        ui.add(
                            egui::Label::new(
                                egui::RichText::new(&text)
                                    .font(look.font(Face::Mono))
                                    .color(look.color.muted),
                            )
                            .wrap(),
                        );
                        if ui.add(Btn::new("Copy details").icon(Icon::Copy).quiet()).clicked() {
                            answer = Some(ErrorAnswer::Copy(text.clone()));
                        }
                    });
            }
        });
    answer
}

fn technical(error: &ErrorBody) -> String {
    serde_json::to_string_pretty(error).unwrap_or_else(|_| error.to_string())
}

/// An icon on the line of text beside it.
pub fn icon(ui: &mut Ui, icon: Icon, color: egui::Color32) {
    let look = look(ui.ctx());
    let (rect, _) =
        ui.allocate_exact_size(Vec2::new(look.size.icon, look.size.badge), Sense::hover());
    icons::paint(ui.painter(), rect, icon, look.size.icon_stroke, color);
}

/// One thing in the way: a shape, what it is, and what clears it.
pub fn blocker(ui: &mut Ui, message: &str, hint: Option<&str>) {
    let look = look(ui.ctx());
    ui.horizontal_top(|ui| {
        let (rect, _) =
            ui.allocate_exact_size(Vec2::new(look.size.icon, look.size.badge), Sense::hover());
        let place = Rect::from_center_size(rect.center(), Vec2::splat(look.size.icon));
        let stroke = look.size.icon_stroke;
        icons::paint(ui.painter(), place, Icon::Warning, stroke, look.color.danger);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            label::text(ui, message);
            if let Some(hint) = hint {
                label::colored(ui, hint, Face::Body, look.color.muted);
            }
        });
    });
}

/// Nothing here yet: one thing to know, and room for one thing to do.
pub fn empty(ui: &mut Ui, mark: Icon, title: &str, lesson: &str, action: impl FnOnce(&mut Ui)) {
    let look = look(ui.ctx());
    ui.vertical_centered(|ui| {
        ui.add_space(look.space.m);
        let side = look.size.icon * 1.75;
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
        icons::paint(ui.painter(), rect, mark, look.size.icon_stroke, look.color.faint);
        label::title(ui, title);
        ui.set_max_width(look.size.form.min(ui.available_width()));
        label::colored(ui, lesson, Face::Body, look.color.muted);
        ui.add_space(look.space.xs);
        action(ui);
        ui.add_space(look.space.m);
    });
}

/// Something is on its way.
pub fn loading(ui: &mut Ui, words: &str) {
    let look = look(ui.ctx());
    ui.horizontal(|ui| {
        badge::dot(ui, Tone::Running);
        let response = label::colored(ui, words, Face::Body, look.color.muted);
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    });
}
