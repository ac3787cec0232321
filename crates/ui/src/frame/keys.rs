//! The list of keys: every action with its key and how to say it on the command line.

use egui::{Align, Id, Modal, Rect, Role, Sense, Ui, Vec2, WidgetInfo, pos2};

use crate::{
    actions::{ACTIONS, Group},
    look::{Face, look},
    widgets::{label, panel},
};

/// Draws the list; answers whether it is to be closed.
pub fn show(ui: &mut Ui, mac: bool) -> bool {
    let look = look(ui.ctx());
    let screen = ui.ctx().content_rect();
    let width = look.size.palette.min(screen.width() - 2.0 * look.space.xl);
    let frame =
        egui::Frame::popup(ui.style()).inner_margin(look.margin(look.space.l, look.space.m));
    let modal = Modal::new(Id::unique("keys")).frame(frame).backdrop_color(look.color.backdrop);
    modal
        .show(ui.ctx(), |ui| {
            ui.set_width(width);
            panel::section(ui, "Keys", |ui| {
                if super::super::widgets::icon_button(
                    ui,
                    crate::icons::Icon::Cross,
                    "Close keys",
                    "",
                )
                .clicked()
                {
                    ui.close();
                }
            });
            let height = (screen.height() * 0.7).max(look.size.row * 4.0);
            egui::ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(
                ui,
                |ui| {
                    ui.spacing_mut().item_spacing.y = 0.0;
                    for group in Group::ALL {
                        ui.add_space(look.space.s);
                        label::caption(ui, group.title());
                        ui.add_space(look.space.xs);
                        for action in ACTIONS.iter().filter(|action| action.group == group) {
                            let keys: Vec<String> =
                                action.keys.iter().map(|keys| keys.text(mac)).collect();
                            line(ui, action.title, &keys.join(" or "), action.cli.unwrap_or(""));
                        }
                    }
                },
            );
        })
        .should_close()
}

fn line(ui: &mut Ui, title: &str, keys: &str, cli: &str) {
    let look = look(ui.ctx());
    let size = Vec2::new(ui.available_width(), look.size.row_compact);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let said =
        if keys.is_empty() { format!("{title}, no key") } else { format!("{title}: {keys}") };
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
    let painter = ui.painter();
    // A title, its keys, and the rest for how the command line says it.
    let (keys_at, cli_at) = (rect.width() * 0.38, rect.width() * 0.53);
    let at = |left: f32, right: f32| {
        Rect::from_min_max(
            pos2(rect.left() + left, rect.top()),
            pos2(rect.left() + right - look.space.s, rect.bottom()),
        )
    };
    let place = at(0.0, keys_at);
    label::paint_line(painter, place, title, look.font(Face::Body), look.color.text, Align::Min);
    label::paint_line(
        painter,
        at(keys_at, cli_at),
        keys,
        look.font(Face::Body),
        look.color.accent_text,
        Align::Min,
    );
    let rest = at(cli_at, rect.width());
    label::paint_line(
        painter,
        rest,
        cli,
        look.font(Face::MonoCaption),
        look.color.faint,
        Align::Min,
    );
}
