//! Buttons: one look, with an icon, a shortcut and a reason where they can't be used.

use egui::{
    Align, Color32, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2, Widget, WidgetInfo,
    pos2,
};

use super::label;
use crate::{
    actions::{ActionId, Env},
    icons::{self, Icon},
    look::{Face, Look, look},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Plain,
    Primary,
    Danger,
    Quiet,
}

/// A button with words on it.
pub struct Btn {
    words: String,
    icon: Option<Icon>,
    /// The icon stands after the words.
    icon_last: bool,
    weight: Weight,
    large: bool,
    full_width: bool,
    busy: bool,
    blocked: Option<String>,
    tooltip: Option<String>,
    name: Option<String>,
}

impl Btn {
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            icon: None,
            icon_last: false,
            weight: Weight::Plain,
            large: false,
            full_width: false,
            busy: false,
            blocked: None,
            tooltip: None,
            name: None,
        }
    }

    /// A button for an action of the list: its title, its tooltip with its key, its availability.
    pub fn action(id: ActionId, env: &Env<'_>, mac: bool) -> Self {
        let action = id.action();
        let mut button = Self::new(action.title);
        button.tooltip = Some(tooltip(id, mac));
        button.blocked = (action.available)(env).err();
        button
    }

    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// Leads to another place: an arrow after the words.
    #[must_use]
    pub fn leads(mut self) -> Self {
        self.icon = Some(Icon::ChevronRight);
        self.icon_last = true;
        self
    }

    /// The one thing this place is for.
    #[must_use]
    pub fn primary(mut self) -> Self {
        self.weight = Weight::Primary;
        self
    }

    /// What can't be taken back.
    #[must_use]
    pub fn danger(mut self) -> Self {
        self.weight = Weight::Danger;
        self
    }

    /// No edge until it is pointed at.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.weight = Weight::Quiet;
        self
    }

    #[must_use]
    pub fn large(mut self) -> Self {
        self.large = true;
        self
    }

    #[must_use]
    pub fn full_width(mut self) -> Self {
        self.full_width = true;
        self
    }

    /// The answer is on its way: shown, and not to be pressed again.
    #[must_use]
    pub fn busy(mut self, busy: bool) -> Self {
        self.busy = busy;
        self
    }

    /// Can't be used, and why.
    #[must_use]
    pub fn blocked(mut self, why: Option<String>) -> Self {
        self.blocked = why;
        self
    }

    #[must_use]
    pub fn tooltip(mut self, words: impl Into<String>) -> Self {
        self.tooltip = Some(words.into());
        self
    }

    /// What a reader calls it, where the words alone don't say what it is for.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// `Announce the offers and take jobs  (o)`
pub fn tooltip(id: ActionId, mac: bool) -> String {
    let action = id.action();
    match id.shortcut(mac) {
        Some(keys) => format!("{}  ({keys})", action.tooltip),
        None => action.tooltip.into(),
    }
}

fn colors(look: &Look, weight: Weight, response: &Response) -> (Color32, Color32, Color32) {
    let color = &look.color;
    let down = response.is_pointer_button_down_on();
    let over = response.hovered();
    let pick = |rest, hover, press| match (down, over) {
        (true, _) => press,
        (false, true) => hover,
        (false, false) => rest,
    };
    match weight {
        Weight::Primary => {
            let fill = pick(color.accent, color.accent_hover, color.accent_pressed);
            (fill, fill, color.on_accent)
        }
        Weight::Danger => {
            let fill = pick(color.danger_fill, color.danger_fill_hover, color.danger_fill_hover);
            (fill, fill, color.on_accent)
        }
        Weight::Plain => {
            let fill = pick(color.raised, color.hover, color.pressed);
            (fill, color.border_strong, color.text)
        }
        Weight::Quiet => {
            let fill = pick(Color32::TRANSPARENT, color.hover, color.pressed);
            (fill, Color32::TRANSPARENT, color.muted)
        }
    }
}

/// The ring around what has the keyboard.
pub fn focus_ring(ui: &Ui, look: &Look, rect: Rect) {
    let ring = Stroke::new(look.size.icon_stroke, look.color.focus);
    let rect = rect.expand(look.size.icon_stroke);
    ui.painter().rect_stroke(rect, look.radius(), ring, StrokeKind::Outside);
}

impl Widget for Btn {
    fn ui(self, ui: &mut Ui) -> Response {
        let look = look(ui.ctx());
        let enabled = self.blocked.is_none() && !self.busy;
        let face =
            if self.weight == Weight::Primary || self.large { Face::Strong } else { Face::Body };
        let words = if self.busy { format!("{}…", self.words) } else { self.words.clone() };
        let room = ui.available_width().max(look.space.xxl);
        let galley = label::line(ui.painter(), &words, look.font(face), Color32::PLACEHOLDER, room);
        let height = if self.large { look.size.control_large } else { look.size.control };
        let pad = match (self.large, self.icon_last) {
            (true, _) => look.space.l,
            (false, true) => look.space.xs,
            (false, false) => look.space.m,
        };
        let icon = if self.icon.is_some() { look.size.icon + look.space.s } else { 0.0 };
        let natural = galley.size().x + icon + 2.0 * pad;
        let width = if self.full_width { ui.available_width().max(natural) } else { natural };
        let sense = if enabled { Sense::click() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(Vec2::new(width, height), sense);
        let name = self.name.as_deref().unwrap_or(&self.words);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
        if ui.is_rect_visible(rect) {
            let (fill, edge, mut ink) = colors(&look, self.weight, &response);
            let (mut fill, mut edge) = (fill, edge);
            if !enabled {
                (fill, edge, ink) =
                    (look.color.neutral_soft, look.color.neutral_soft, look.color.muted);
                if self.weight == Weight::Quiet {
                    fill = Color32::TRANSPARENT;
                    edge = Color32::TRANSPARENT;
                }
            }
            let edge = Stroke::new(look.size.hairline, edge);
            ui.painter().rect(rect, look.radius(), fill, edge, StrokeKind::Inside);
            let left = rect.center().x - (galley.size().x + icon) / 2.0;
            let (mark_at, text_at) = match self.icon_last {
                true => (left + galley.size().x + look.space.xs, left),
                false => (left, left + icon),
            };
            if let Some(mark) = self.icon {
                let place = Rect::from_center_size(
                    pos2(mark_at + look.size.icon / 2.0, rect.center().y),
                    Vec2::splat(look.size.icon),
                );
                icons::paint(ui.painter(), place, mark, look.size.icon_stroke, ink);
            }
            let top = rect.center().y - galley.size().y / 2.0;
            ui.painter().galley_with_override_text_color(pos2(text_at, top), galley, ink);
            if response.has_focus() {
                focus_ring(ui, &look, rect);
            }
        }
        let hover = match (self.blocked, self.tooltip) {
            (Some(why), _) => Some(why),
            (None, tooltip) => tooltip,
        };
        match hover {
            Some(words) => response.on_hover_text(words),
            None => response,
        }
    }
}

/// A square button that is only an icon; `name` is what a reader says and the tooltip shows.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: &str, tooltip: &str) -> Response {
    let look = look(ui.ctx());
    let side = look.size.control;
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
    if ui.is_rect_visible(rect) {
        let (fill, _, _) = colors(&look, Weight::Quiet, &response);
        let ink = if response.hovered() { look.color.text } else { look.color.muted };
        ui.painter().rect_filled(rect, look.radius(), fill);
        let place = Rect::from_center_size(rect.center(), Vec2::splat(look.size.icon));
        icons::paint(ui.painter(), place, icon, look.size.icon_stroke, ink);
        if response.has_focus() {
            focus_ring(ui, &look, rect);
        }
    }
    response.on_hover_text(if tooltip.is_empty() { name } else { tooltip })
}

/// A row of choices of which one holds. Answers the choice that was made, if one was.
pub fn choices<T: Copy + PartialEq>(
    ui: &mut Ui,
    now: T,
    all: &[(T, String)],
    badge: Option<(T, usize)>,
) -> Option<T> {
    let look = look(ui.ctx());
    let mut chosen = None;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = look.space.xs;
        for (value, words) in all {
            let selected = *value == now;
            let count = badge.filter(|(at, n)| at == value && *n > 0).map(|(_, n)| n);
            if choice(ui, &look, words, selected, count).clicked() && !selected {
                chosen = Some(*value);
            }
        }
    });
    chosen
}

/// Choices in one box, each as wide as the others. Answers the choice that was made.
pub fn segments<T: Copy + PartialEq>(
    ui: &mut Ui,
    name: &str,
    now: T,
    all: &[(T, String)],
) -> Option<T> {
    let look = look(ui.ctx());
    let mut chosen = None;
    let size = Vec2::new(ui.available_width(), look.size.control);
    let (whole, _) = ui.allocate_exact_size(size, Sense::hover());
    let edge = Stroke::new(look.size.hairline, look.color.border);
    ui.painter().rect(whole, look.radius(), look.color.field, edge, StrokeKind::Inside);
    let inner = whole.shrink(2.0);
    let width = inner.width() / all.len().max(1) as f32;
    for (index, (value, words)) in all.iter().enumerate() {
        let left = inner.left() + width * index as f32;
        let rect = Rect::from_min_size(pos2(left, inner.top()), Vec2::new(width, inner.height()));
        let response = ui.interact(rect, ui.scope_id().with((name, index)), Sense::click());
        let selected = *value == now;
        let said = format!("{name}: {words}");
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, selected, &said));
        let color = &look.color;
        let (fill, ink) = match (selected, response.hovered()) {
            (true, _) => (color.pressed, color.text),
            (false, true) => (color.hover, color.text),
            (false, false) => (Color32::TRANSPARENT, color.muted),
        };
        ui.painter().rect_filled(rect, look.radius_small(), fill);
        let face = if selected { Face::Strong } else { Face::Body };
        label::paint_line(ui.painter(), rect, words, look.font(face), ink, Align::Center);
        if response.has_focus() {
            focus_ring(ui, &look, rect.shrink(look.size.icon_stroke));
        }
        if response.clicked() && !selected {
            chosen = Some(*value);
        }
    }
    chosen
}

fn choice(ui: &mut Ui, look: &Look, words: &str, selected: bool, count: Option<usize>) -> Response {
    let color = &look.color;
    let ink = if selected { color.text } else { color.muted };
    let face = if selected { Face::Strong } else { Face::Body };
    // Both weights are measured, so that selecting one doesn't move its neighbours.
    let widest = [Face::Strong, Face::Body]
        .map(|face| label::line(ui.painter(), words, look.font(face), ink, f32::INFINITY).size().x);
    let text_width = widest[0].max(widest[1]);
    let count_text = count.map(|n| n.to_string());
    let count_width = count_text.as_ref().map_or(0.0, |_| look.size.badge + look.space.xs);
    let size = Vec2::new(text_width + count_width + 2.0 * look.space.m, look.size.control);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let name = count.map_or_else(|| words.to_owned(), |n| format!("{words}, {n} waiting"));
    response.widget_info(|| WidgetInfo::selected(Role::Tab, true, selected, &name));
    let fill = match (selected, response.hovered()) {
        (true, _) => color.neutral_soft,
        (false, true) => color.hover,
        (false, false) => Color32::TRANSPARENT,
    };
    ui.painter().rect_filled(rect, look.radius(), fill);
    let mut inner = rect.shrink2(Vec2::new(look.space.m, 0.0));
    if let Some(count) = count_text {
        let pill = Rect::from_center_size(
            pos2(inner.right() - look.size.badge / 2.0, inner.center().y),
            Vec2::new(look.size.badge, look.size.badge - 4.0),
        );
        count_pill(ui, look, pill, &count);
        inner.set_right(inner.right() - count_width);
    }
    label::paint_line(ui.painter(), inner, words, look.font(face), ink, Align::Center);
    if response.has_focus() {
        focus_ring(ui, look, rect);
    }
    response
}

/// How many things wait for the operator.
pub fn count_pill(ui: &Ui, look: &Look, rect: Rect, count: &str) {
    ui.painter().rect_filled(rect, rect.height() / 2.0, look.color.accent);
    let font = look.font(Face::CaptionStrong);
    label::paint_line(ui.painter(), rect, count, font, look.color.on_accent, Align::Center);
}
