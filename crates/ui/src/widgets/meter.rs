//! A bar that says how much of something is used, and its words beside it for those who can't see.

use egui::{Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::look::look;

/// What the bar shows, in the same unit; what would be used next stands after what is used.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    pub used: u64,
    pub next: u64,
    pub whole: u64,
}

impl Meter {
    pub fn of(used: u64, whole: u64) -> Self {
        Self { used, next: 0, whole }
    }
}

/// Where the parts end, from 0 to 1.
fn parts(meter: Meter) -> (f32, f32) {
    let share = |part: u64| match meter.whole {
        0 => 1.0,
        whole => (part as f64 / whole as f64).min(1.0) as f32,
    };
    (share(meter.used), share(meter.used.saturating_add(meter.next)))
}

/// Draws the bar over the width there is; `name` is what a reader says.
pub fn meter(ui: &mut Ui, meter: Meter, name: &str) -> Response {
    let look = look(ui.ctx());
    let size = Vec2::new(ui.available_width(), look.space.s);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, name));
    let color = &look.color;
    let radius = look.radius_small();
    let painter = ui.painter();
    painter.rect_filled(rect, radius, color.neutral_soft);
    let (used, next) = parts(meter);
    let part = |to: f32| {
        let width = (rect.width() * to).max(if to > 0.0 { rect.height() } else { 0.0 });
        Rect::from_min_size(rect.min, Vec2::new(width, rect.height()))
    };
    let over = meter.used.saturating_add(meter.next) > meter.whole;
    let (ink, after) =
        if over { (color.danger, color.danger) } else { (color.accent, color.waiting) };
    if next > used {
        painter.rect_filled(part(next), radius, after);
    }
    if used > 0.0 {
        painter.rect_filled(part(used), radius, ink);
    }
    response.on_hover_text(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_longer_than_itself() {
        assert_eq!(parts(Meter::of(1, 4)), (0.25, 0.25));
        assert_eq!(parts(Meter { used: 3, next: 9, whole: 4 }), (0.75, 1.0));
        assert_eq!(parts(Meter::of(u64::MAX, u64::MAX)), (1.0, 1.0));
        assert_eq!(parts(Meter { used: 0, next: 0, whole: 0 }), (1.0, 1.0));
    }
}
