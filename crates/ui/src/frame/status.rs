//! The status line: last event, what runs, what is reserved, and whether the log is signed.

use egui::{Align, Color32, Rect, Role, Sense, Ui, Vec2, WidgetInfo, pos2};

use crate::{
    look::{Face, Look, Room, look},
    present::Tone,
    scene::{Act, Scene},
    state::Screen,
    widgets::{badge, button, label},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, window: Room) {
    let look = look(ui.ctx());
    let frame = &scene.data.frame;
    let (rect, _) = ui.allocate_exact_size(ui.available_size(), Sense::hover());
    let mut room = rect.shrink2(Vec2::new(look.space.m, 0.0));
    let quiet = look.color.faint;
    let log_ink = if frame.log_tone == Tone::Danger { look.color.danger } else { quiet };
    part(ui, &look, &mut room, &frame.log, log_ink, Some(frame.log_tone));
    if window > Room::Tight {
        part(ui, &look, &mut room, &frame.budget, quiet, None);
        part(ui, &look, &mut room, &frame.running, quiet, None);
    }
    let response = ui.interact(room, ui.scope_id().with("last-event"), Sense::click());
    let said = format!("Last event: {}", frame.last_event);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &said));
    let ink = if response.hovered() { look.color.text } else { look.color.muted };
    let font = look.font(Face::Caption);
    label::paint_line(ui.painter(), room, &frame.last_event, font, ink, Align::Min);
    if response.has_focus() {
        button::focus_ring(ui, &look, room.shrink(look.space.xs));
    }
    if response.on_hover_text("Open Activity").clicked() {
        scene.act(Act::Go(Screen::Activity));
    }
}

/// One part at the right end of what is left of the line.
fn part(ui: &mut Ui, look: &Look, room: &mut Rect, words: &str, ink: Color32, tone: Option<Tone>) {
    let galley =
        label::line(ui.painter(), words, look.font(Face::Caption), ink, room.width() * 0.6);
    let dot = if tone.is_some() { look.size.dot + look.space.s } else { 0.0 };
    let left = room.right() - galley.size().x - dot;
    let rect = Rect::from_min_max(pos2(left, room.top()), room.max);
    let response = ui.interact(rect, ui.scope_id().with(words), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    if let Some(tone) = tone {
        badge::paint_dot(ui, look, pos2(left + look.size.dot / 2.0, rect.center().y), tone);
    }
    ui.painter().galley(pos2(left + dot, rect.center().y - galley.size().y / 2.0), galley, ink);
    room.set_right(left - look.space.xl);
}
