//! Surfaces: cards, section heads, hairlines and the centred column of a screen.

use egui::{Frame, Margin, Response, Ui, Vec2};

use super::label;
use crate::look::{Face, look};

/// A raised card with an edge.
pub fn card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let look = look(ui.ctx());
    Frame::new()
        .fill(look.color.raised)
        .stroke(look.hairline())
        .corner_radius(look.radius())
        .inner_margin(look.margin(look.space.l, look.space.l))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            add(ui)
        })
        .inner
}

/// A card whose content is as narrow as a form, whatever room there is.
pub fn form_card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let form = look(ui.ctx()).size.form;
    card(ui, |ui| {
        ui.scope(|ui| {
            ui.set_max_width(form.min(ui.available_width()));
            add(ui)
        })
        .inner
    })
}

/// A card without inner space, for lists whose rows reach its edges.
pub fn list_card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let look = look(ui.ctx());
    Frame::new()
        .fill(look.color.raised)
        .stroke(look.hairline())
        .corner_radius(look.radius())
        .inner_margin(Margin::same(1))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 0.0;
            add(ui)
        })
        .inner
}

/// The head of a section, with what belongs to it at the right.
pub fn section(ui: &mut Ui, words: &str, right: impl FnOnce(&mut Ui)) {
    let look = look(ui.ctx());
    ui.allocate_ui_with_layout(
        Vec2::new(ui.available_width(), look.size.row_compact),
        egui::Layout::left_to_right(egui::Align::Center),
        |ui| {
            label::colored(ui, words, Face::Strong, look.color.text);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), right);
        },
    );
}

/// The head of a section with nothing at its right.
pub fn plain_section(ui: &mut Ui, words: &str) {
    section(ui, words, |_| {});
}

/// A line across, one hairline high.
pub fn rule(ui: &mut Ui) -> Response {
    let look = look(ui.ctx());
    let size = Vec2::new(ui.available_width(), look.size.hairline);
    let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
    ui.painter().rect_filled(rect, 0.0, look.color.border);
    response
}

/// The scrolling, centred column of a screen.
pub fn column<R>(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui) -> R) -> R {
    let look = look(ui.ctx());
    egui::ScrollArea::vertical()
        .id_salt(name)
        .auto_shrink([false, false])
        .show(ui, |ui| {
            let room = ui.available_width();
            let width = (room - 2.0 * look.space.xl).min(look.size.content_max);
            ui.horizontal_top(|ui| {
                ui.add_space(((room - width) / 2.0).max(look.space.l));
                ui.vertical(|ui| {
                    ui.set_width(width);
                    ui.add_space(look.space.xl);
                    let inner = add(ui);
                    ui.add_space(look.space.xl);
                    inner
                })
                .inner
            })
            .inner
        })
        .inner
}
