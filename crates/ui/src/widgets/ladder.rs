//! The proof ladder: what is proved is solid and names its source; the rest is hollow.

use egui::{Align, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2};

use super::label;
use crate::{
    icons::{self, Icon},
    look::{Face, look},
    present::job::Rung,
};

pub fn ladder(ui: &mut Ui, rungs: &[Rung]) {
    let look = look(ui.ctx());
    ui.spacing_mut().item_spacing.y = 0.0;
    for (index, rung) in rungs.iter().enumerate() {
        let size = Vec2::new(ui.available_width(), look.size.row_compact);
        let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
        let painter = ui.painter();
        let radius = look.size.icon / 2.0 - 1.0;
        let node = pos2(rect.left() + radius + 1.0, rect.center().y);
        let proved = rung.source.is_some();
        let (ink, face) =
            if proved { (look.color.text, Face::Body) } else { (look.color.faint, Face::Body) };
        let joint = Stroke::new(look.size.hairline, look.color.border_strong);
        if index > 0 {
            painter.vline(node.x, rect.top()..=node.y - radius, joint);
        }
        if index + 1 < rungs.len() {
            painter.vline(node.x, node.y + radius..=rect.bottom(), joint);
        }
        if proved {
            painter.circle_filled(node, radius, look.color.good_soft);
            let mark = Rect::from_center_size(node, Vec2::splat(radius * 1.5));
            icons::paint(painter, mark, Icon::Check, look.size.icon_stroke, look.color.good);
        } else {
            let edge = Stroke::new(look.size.hairline, look.color.faint);
            painter.circle_stroke(node, radius - 1.0, edge);
        }
        let text = Rect::from_min_max(pos2(node.x + radius + look.space.s, rect.top()), rect.max);
        label::paint_line(painter, text, rung.title, look.font(face), ink, Align::Min);
        let source = rung.source.unwrap_or("not proved");
        let font = look.font(Face::Caption);
        let source_ink = if proved { look.color.muted } else { look.color.faint };
        label::paint_line(painter, text, source, font, source_ink, Align::Max);
        let said = format!(
            "{}: {}",
            rung.title,
            rung.source.map_or_else(|| "not proved".into(), |s| format!("proved by {s}"))
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
        response.on_hover_text(rung.explain);
    }
}
