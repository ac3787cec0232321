//! The top bar: where am I, how the lanes are, which network, search, and who this machine is.

use egui::{
    Align, Layout, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2,
};

use crate::{
    actions::{ActionId, Subject},
    icons::{self, Icon},
    look::{Face, Look, Room, look},
    present::{Tone, frame::LaneChip},
    scene::{Act, Scene},
    state::State,
    widgets::{badge, button, label},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &State, room: Room) {
    let look = look(ui.ctx());
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = look.space.xs;
        label::title(ui, state.screen.title());
        ui.add_space(look.space.s);
        for lane in &scene.data.frame.lanes {
            let response = chip(ui, &look, lane, room);
            let tip = format!("{}: {}\n{}", lane.name, lane.state, lane.reason);
            if response.on_hover_text(tip).clicked() {
                scene.acts.push(Act::Go(lane.screen));
            }
        }
        if let Some((words, explain)) = scene.data.frame.badge {
            ui.add_space(look.space.xs);
            badge::practice(ui, words, explain);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = look.space.s;
            if identity(ui, &look, scene, room).clicked() {
                scene.act(Act::Inspect(Subject::Identity));
            }
            if search(ui, &look, scene.mac, room).clicked() {
                scene.act(Act::Run(ActionId::Palette));
            }
        });
    });
}

/// A lane: shape, name and state. The words give way where there is no room; the shape stays.
fn chip(ui: &mut Ui, look: &Look, lane: &LaneChip, room: Room) -> Response {
    let font = look.font(Face::Caption);
    let ink = look.color.muted;
    let shown = if room == Room::Tight { "" } else { lane.name };
    let name = label::line(ui.painter(), shown, font.clone(), ink, f32::INFINITY);
    let calm = lane.tone == Tone::Good;
    let worded = room == Room::Wide || (room == Room::Narrow && !calm);
    let state = worded.then(|| {
        let ink = if calm { look.color.faint } else { badge::inks(look, lane.tone).0 };
        label::line(ui.painter(), &lane.state, font, ink, f32::INFINITY)
    });
    let state_width = state.as_ref().map_or(0.0, |galley| galley.size().x + look.space.xs);
    let words = if room == Room::Tight { 0.0 } else { look.space.s - 2.0 };
    let width = look.size.dot + 2.0 * look.space.s + words + name.size().x + state_width;
    let (rect, response) =
        ui.allocate_exact_size(Vec2::new(width, look.size.row_compact), Sense::click());
    let said = format!("{}: {}", lane.name, lane.state);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
    if response.hovered() {
        ui.painter().rect_filled(rect, look.radius(), look.color.hover);
    }
    let dot = pos2(rect.left() + look.space.s + look.size.dot / 2.0, rect.center().y);
    badge::paint_dot(ui, look, dot, lane.tone);
    let mut left = dot.x + look.size.dot / 2.0 + look.space.s - 2.0;
    let middle = rect.center().y;
    let height = name.size().y;
    ui.painter().galley(pos2(left, middle - height / 2.0), name.clone(), ink);
    left += name.size().x + look.space.xs;
    if let Some(state) = state {
        ui.painter().galley(pos2(left, middle - height / 2.0), state, ink);
    }
    if response.has_focus() {
        button::focus_ring(ui, look, rect);
    }
    response
}

fn search(ui: &mut Ui, look: &Look, mac: bool, room: Room) -> Response {
    if room == Room::Tight {
        let id = ActionId::Palette;
        return button::icon_button(ui, Icon::Search, id.title(), &button::tooltip(id, mac));
    }
    let keys = ActionId::Palette.shortcut(mac).unwrap_or_default();
    let font = look.font(Face::Caption);
    let hint = label::line(ui.painter(), &keys, font.clone(), look.color.faint, f32::INFINITY);
    let least = look.size.icon + hint.size().x + 4.0 * look.space.s;
    let width = look.size.search.min(ui.available_width() - look.space.l).max(least);
    let (rect, response) =
        ui.allocate_exact_size(Vec2::new(width, look.size.control), Sense::click());
    let title = ActionId::Palette.title();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, title));
    let over = response.hovered();
    let edge = if over { look.color.border_strong } else { look.color.border };
    let fill = if over { look.color.hover } else { look.color.raised };
    let stroke = Stroke::new(look.size.hairline, edge);
    ui.painter().rect(rect, look.radius(), fill, stroke, StrokeKind::Inside);
    let inner = rect.shrink2(Vec2::new(look.space.s, 0.0));
    let mark = Rect::from_min_size(
        pos2(inner.left(), inner.center().y - look.size.icon / 2.0 + 1.0),
        Vec2::splat(look.size.icon - 2.0),
    );
    icons::paint(ui.painter(), mark, Icon::Search, look.size.icon_stroke, look.color.faint);
    let hint_at = pos2(inner.right() - hint.size().x, inner.center().y - hint.size().y / 2.0);
    let text = Rect::from_min_max(
        pos2(mark.right() + look.space.s, inner.top()),
        pos2(hint_at.x - look.space.s, inner.bottom()),
    );
    ui.painter().galley(hint_at, hint, look.color.faint);
    if text.width() > look.size.rail_narrow {
        let font = look.font(Face::Body);
        label::paint_line(ui.painter(), text, title, font, look.color.faint, Align::Min);
    }
    if response.has_focus() {
        button::focus_ring(ui, look, rect);
    }
    response.on_hover_text(ActionId::Palette.action().tooltip)
}

fn identity(ui: &mut Ui, look: &Look, scene: &Scene<'_>, room: Room) -> Response {
    let frame = &scene.data.frame;
    let (shown, font) = match &frame.machine {
        Some(name) => (name, look.font(Face::Caption)),
        None => (&frame.identity, look.font(Face::MonoCaption)),
    };
    let tight = room == Room::Tight;
    let words = if tight { "" } else { shown };
    let galley = label::line(ui.painter(), words, font, look.color.muted, look.size.rail);
    let gaps = if tight { 2.0 } else { 3.0 };
    let width = galley.size().x + look.size.icon + gaps * look.space.s;
    let (rect, response) =
        ui.allocate_exact_size(Vec2::new(width, look.size.control), Sense::click());
    let said = format!("Identity {shown}");
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
    if response.hovered() {
        ui.painter().rect_filled(rect, look.radius(), look.color.hover);
    }
    let mark = Rect::from_min_size(
        pos2(rect.left() + look.space.s, rect.center().y - look.size.icon / 2.0),
        Vec2::splat(look.size.icon),
    );
    icons::paint(ui.painter(), mark, Icon::Person, look.size.icon_stroke, look.color.muted);
    if !frame.backed_up {
        let at = pos2(mark.right(), mark.top() + 2.0);
        ui.painter().circle_filled(at, look.size.dot / 2.0 - 0.5, look.color.waiting);
    }
    let at = pos2(mark.right() + look.space.s, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, look.color.muted);
    if response.has_focus() {
        button::focus_ring(ui, look, rect);
    }
    response.on_hover_text(if frame.backed_up {
        "Who this machine is"
    } else {
        "Who this machine is. Its words are not written down yet"
    })
}
