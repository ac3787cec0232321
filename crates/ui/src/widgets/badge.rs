//! Badges and dots: a meaning as a shape and a colour, never a colour alone.

use egui::{
    Color32, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo, pos2,
};

use super::label;
use crate::{
    look::{Face, Look, look},
    present::Tone,
};

/// The ink of a meaning and the soft ground under it.
pub fn inks(look: &Look, tone: Tone) -> (Color32, Color32) {
    let color = &look.color;
    match tone {
        Tone::Neutral => (color.muted, color.neutral_soft),
        Tone::Good => (color.good, color.good_soft),
        Tone::Running | Tone::You => (color.accent_text, color.selected),
        Tone::Waiting => (color.waiting, color.waiting_soft),
        Tone::Danger => (color.danger, color.danger_soft),
        Tone::Practice => (color.practice, color.practice_soft),
    }
}

/// How far the quiet pulse is, from 0 to 1. It steps a few times a second, and only while the
/// window has the operator's attention; with reduced motion it stands still.
fn pulse(ui: &Ui, look: &Look) -> f32 {
    let focused = ui.input(|input| input.viewport().focused).unwrap_or(false);
    if look.reduced_motion || !focused {
        return 0.0;
    }
    let step = std::time::Duration::from_millis(look.motion.pulse_step_ms.into());
    ui.ctx().request_repaint_after(step);
    let steps = f64::from(look.motion.pulse_steps.max(1));
    let at = (ui.input(|input| input.time) / step.as_secs_f64()).floor() % steps / steps;
    (1.0 - (at * std::f64::consts::TAU).cos()) as f32 / 2.0
}

/// The shape of a meaning, about as large as a small letter.
fn shape(painter: &Painter, look: &Look, center: Pos2, tone: Tone, ink: Color32, pulse: f32) {
    let r = look.size.dot / 2.0;
    let stroke = Stroke::new(look.size.icon_stroke, ink);
    let path = |points: &[(f32, f32)]| -> Vec<Pos2> {
        points.iter().map(|(x, y)| pos2(center.x + x * r, center.y + y * r)).collect()
    };
    match tone {
        Tone::Neutral => {
            painter.circle_stroke(center, r * 0.8, stroke);
        }
        Tone::Good => {
            painter.circle_filled(center, r, ink);
        }
        Tone::Running => {
            let ring = look.size.pulse_ring;
            if pulse > 0.0 {
                let glow = ink.gamma_multiply(0.45 * (1.0 - pulse));
                painter.circle_filled(center, r * 0.8 + ring * pulse, glow);
            }
            painter.circle_filled(center, r * 0.8, ink);
        }
        Tone::Waiting => {
            painter.circle_stroke(center, r * 0.8, stroke);
            painter.circle_filled(center, r * 0.3, ink);
        }
        Tone::You => {
            let diamond = path(&[(0.0, -1.1), (1.1, 0.0), (0.0, 1.1), (-1.1, 0.0)]);
            painter.add(Shape::convex_polygon(diamond, ink, Stroke::NONE));
        }
        Tone::Danger => {
            let triangle = path(&[(0.0, -1.1), (1.15, 0.9), (-1.15, 0.9)]);
            painter.add(Shape::convex_polygon(triangle, ink, Stroke::NONE));
        }
        Tone::Practice => {
            let square = Rect::from_center_size(center, Vec2::splat(r * 1.6));
            painter.rect_filled(square, 1.0, ink);
        }
    }
}

/// The bare shape of a meaning.
pub fn dot(ui: &mut Ui, tone: Tone) -> Response {
    let look = look(ui.ctx());
    let (rect, response) =
        ui.allocate_exact_size(Vec2::new(look.size.dot + 2.0, look.size.badge), Sense::hover());
    paint_dot(ui, &look, rect.center(), tone);
    response
}

/// Paints the shape of a meaning at a place.
pub fn paint_dot(ui: &Ui, look: &Look, center: Pos2, tone: Tone) {
    let (ink, _) = inks(look, tone);
    let pulse = if tone == Tone::Running { pulse(ui, look) } else { 0.0 };
    shape(ui.painter(), look, center, tone, ink, pulse);
}

/// How wide a badge with this text is.
fn width(look: &Look, galley_width: f32) -> f32 {
    galley_width + look.size.dot + 2.0 * look.space.s + look.space.xs + 2.0
}

/// A soft pill with the shape and the word of a meaning.
pub fn badge(ui: &mut Ui, tone: Tone, words: &str) -> Response {
    let look = look(ui.ctx());
    let (ink, _) = inks(&look, tone);
    let font = look.font(Face::Caption);
    let galley = label::line(ui.painter(), words, font, ink, f32::INFINITY);
    let size = Vec2::new(width(&look, galley.size().x), look.size.badge);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    paint_badge(ui, &look, rect, tone, words);
    response
}

/// Paints a badge at the left of `rect`, as wide as it needs to be and `rect` allows.
pub fn paint_badge(ui: &Ui, look: &Look, rect: Rect, tone: Tone, words: &str) {
    let (ink, soft) = inks(look, tone);
    let room = rect.width() - width(look, 0.0);
    let galley = label::line(ui.painter(), words, look.font(Face::Caption), ink, room);
    let height = look.size.badge.min(rect.height());
    let pill = Rect::from_min_size(
        pos2(rect.left(), rect.center().y - height / 2.0),
        Vec2::new(width(look, galley.size().x).min(rect.width()), height),
    );
    ui.painter().rect_filled(pill, look.radius_small(), soft);
    let center = pos2(pill.left() + look.space.s + look.size.dot / 2.0, pill.center().y);
    paint_dot(ui, look, center, tone);
    let left = center.x + look.size.dot / 2.0 + look.space.xs + 2.0;
    let top = pill.center().y - galley.size().y / 2.0;
    ui.painter().galley(pos2(left, top), galley, ink);
}

/// Where a figure comes from: a hairline pill in small type.
pub fn source(ui: &mut Ui, words: &str, stale: bool) -> Response {
    let look = look(ui.ctx());
    let ink = if stale { look.color.waiting } else { look.color.faint };
    let room = (ui.available_width() - 2.0 * look.space.s).max(look.space.xxl);
    let galley = label::line(ui.painter(), words, look.font(Face::Caption), ink, room);
    let size = Vec2::new(galley.size().x + 2.0 * look.space.s, look.size.badge);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let edge = Stroke::new(look.size.hairline, look.color.border_strong);
    ui.painter().rect_stroke(rect, look.radius_small(), edge, egui::StrokeKind::Inside);
    let at = rect.center() - galley.size() / 2.0;
    ui.painter().galley(at, galley, ink);
    let name = format!("Source: {words}");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
    response.on_hover_text(if stale { "This figure may be out of date" } else { "Source and age" })
}

/// The badge of a network without value, in amber.
pub fn practice(ui: &mut Ui, words: &str, explain: &str) -> Response {
    let look = look(ui.ctx());
    let color = &look.color;
    let font = look.font(Face::CaptionStrong);
    let galley = label::line(ui.painter(), words, font, color.practice, f32::INFINITY);
    let size = Vec2::new(galley.size().x + 2.0 * look.space.s, look.size.badge);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let edge = Stroke::new(look.size.hairline, color.practice);
    let kind = egui::StrokeKind::Inside;
    ui.painter().rect(rect, look.radius_small(), color.practice_soft, edge, kind);
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, color.practice);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    response.on_hover_text(explain)
}
