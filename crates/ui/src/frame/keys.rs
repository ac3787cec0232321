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
    let column = (rect.width() / 3.0).min(look.size.form / 2.0);
    let painter = ui.painter();
    let at = |index: f32| {
        Rect::from_min_max(
            pos2(rect.left() + column * index, rect.top()),
            pos2(rect.left() + column * (index + 1.0) - look.space.s, rect.bottom()),
        )
    };
    label::paint_line(painter, at(0.0), title, look.font(Face::Body), look.color.text, Align::Min);
    label::paint_line(
        painter,
        at(1.0),
        keys,
        look.font(Face::Body),
        look.color.accent_text,
        Align::Min,
    );
    let mut rest = at(2.0);
    rest.set_right(rect.right());
    label::paint_line(
        painter,
        rest,
        cli,
        look.font(Face::MonoCaption),
        look.color.faint,
        Align::Min,
    );
}
