//! Facts: label and value in two columns; long values are copied by a click.

use egui::{Align, Color32, Rect, Role, Sense, Ui, Vec2, WidgetInfo, pos2};

use super::label;
use crate::{
    icons::{self, Icon},
    look::{Face, look},
    present::job::Fact,
};

/// Shows `facts`; answers the label and whole value of the one that was clicked to be copied.
pub fn facts(ui: &mut Ui, facts: &[Fact]) -> Option<(&'static str, String)> {
    let look = look(ui.ctx());
    let mut copied = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    for fact in facts {
        let size = Vec2::new(ui.available_width(), look.size.row_compact);
        let sense = if fact.copy.is_some() { Sense::click() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(size, sense);
        let split = rect.left() + (rect.width() * 0.34).min(look.size.field_short);
        let name = Rect::from_min_max(rect.min, pos2(split, rect.bottom()));
        let mut value = Rect::from_min_max(pos2(split, rect.top()), rect.max);
        let painter = ui.painter();
        let face = if fact.copy.is_some() { Face::Mono } else { Face::Body };
        if response.hovered() && fact.copy.is_some() {
            let ground = rect.expand2(Vec2::new(look.space.xs, 0.0));
            painter.rect_filled(ground, look.radius_small(), look.color.hover);
            let place = Rect::from_center_size(
                pos2(rect.right() - look.size.icon / 2.0, rect.center().y),
                Vec2::splat(look.size.icon - 2.0),
            );
            icons::paint(painter, place, Icon::Copy, look.size.icon_stroke, look.color.muted);
            value.set_right(place.left() - look.space.xs);
        }
        let font = look.font(Face::Body);
        label::paint_line(painter, name, fact.label, font, look.color.muted, Align::Min);
        let ink: Color32 = if fact.shown == crate::present::words::UNKNOWN {
            look.color.waiting
        } else {
            look.color.text
        };
        label::paint_line(painter, value, &fact.shown, look.font(face), ink, Align::Min);
        match &fact.copy {
            Some(whole) => {
                let said = format!("Copy {}", fact.label.to_lowercase());
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
                if response.has_focus() {
                    super::button::focus_ring(ui, &look, rect);
                }
                if response.on_hover_text(whole).clicked() {
                    copied = Some((fact.label, whole.clone()));
                }
            }
            None => {
                let said = format!("{}: {}", fact.label, fact.shown);
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
                let font = look.font(face);
                let whole = label::line(ui.painter(), &fact.shown, font, ink, f32::INFINITY);
                if whole.size().x > value.width() {
                    response.on_hover_text(&fact.shown);
                }
            }
        }
    }
    copied
}
