//! The timeline: steps down the left with time and duration; each opens its event.

use egui::{Align, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2};

use super::{badge, label};
use crate::{
    look::{Face, look},
    present::job::Step,
};

/// Shows `steps`, oldest first; answers the one that was clicked.
pub fn timeline<'a>(ui: &mut Ui, steps: &'a [Step]) -> Option<&'a Step> {
    let look = look(ui.ctx());
    let mut clicked = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    let last = steps.len().saturating_sub(1);
    for (index, step) in steps.iter().enumerate() {
        let lines = if step.detail.is_some() { 2.0 } else { 1.0 };
        let line = look.size.row_compact - look.space.xs;
        let height = lines * line + look.space.s;
        let (rect, response) =
            ui.allocate_exact_size(Vec2::new(ui.available_width(), height), Sense::click());
        let said = format!("{}, {}", step.title, step.time);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
        if response.hovered() {
            let ground = rect.expand2(Vec2::new(look.space.xs, 0.0));
            ui.painter().rect_filled(ground, look.radius_small(), look.color.hover);
        }
        let spine = rect.left() + look.size.dot / 2.0 + 1.0;
        let node = pos2(spine, rect.top() + look.space.xs + line / 2.0);
        let stroke = Stroke::new(look.size.hairline, look.color.border_strong);
        let reach = look.size.dot / 2.0 + 3.0;
        if index > 0 {
            ui.painter().vline(spine, rect.top()..=node.y - reach, stroke);
        }
        if index < last {
            ui.painter().vline(spine, node.y + reach..=rect.bottom(), stroke);
        }
        badge::paint_dot(ui, &look, node, step.tone);
        let left = rect.left() + look.size.dot + look.space.m;
        let first = Rect::from_min_max(
            pos2(left, rect.top() + look.space.xs),
            pos2(rect.right(), rect.top() + look.space.xs + line),
        );
        let painter = ui.painter();
        let time = look.font(Face::MonoCaption);
        let mut right = first;
        let width = label::paint_line(
            painter,
            right,
            &step.time,
            time.clone(),
            look.color.faint,
            Align::Max,
        );
        right.set_right(right.right() - width - look.space.s);
        if let Some(after) = &step.after {
            let width =
                label::paint_line(painter, right, after, time, look.color.faint, Align::Max);
            right.set_right(right.right() - width - look.space.s);
        }
        let face = if index == last { Face::Strong } else { Face::Body };
        label::paint_line(
            painter,
            right,
            &step.title,
            look.font(face),
            look.color.text,
            Align::Min,
        );
        if let Some(detail) = &step.detail {
            let second = first.translate(Vec2::new(0.0, line));
            let font = look.font(Face::Caption);
            label::paint_line(painter, second, detail, font, look.color.muted, Align::Min);
        }
        if response.has_focus() {
            super::button::focus_ring(ui, &look, rect);
        }
        let hint = format!("Open event {} of the {} machine", step.seq, step.machine);
        if response.on_hover_text(hint).clicked() {
            clicked = Some(step);
        }
    }
    clicked
}
