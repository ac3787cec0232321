//! The rail: one entry per screen, the menu of all actions, and the theme.

use egui::{Align, Rect, Response, Role, Sense, Theme, Ui, Vec2, WidgetInfo, pos2};

use crate::{
    actions::{ACTIONS, ActionId, Env, Group},
    icons::{self, Icon},
    look::{Face, Look, look},
    scene::{Act, Scene},
    state::{Screen, State},
    widgets::{button, label},
};

fn icon(screen: Screen) -> Icon {
    match screen {
        Screen::Desk => Icon::Desk,
        Screen::Market => Icon::Market,
        Screen::Wallet => Icon::Wallet,
        Screen::Activity => Icon::Activity,
    }
}

fn action(screen: Screen) -> ActionId {
    match screen {
        Screen::Desk => ActionId::GoDesk,
        Screen::Market => ActionId::GoMarket,
        Screen::Wallet => ActionId::GoWallet,
        Screen::Activity => ActionId::GoActivity,
    }
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &State, narrow: bool) {
    let look = look(ui.ctx());
    ui.spacing_mut().item_spacing.y = 2.0;
    brand(ui, &look, narrow);
    ui.add_space(look.space.m);
    for screen in Screen::ALL {
        let waiting = match screen {
            Screen::Market => scene.data.frame.waiting,
            Screen::Wallet => scene.data.wallet.waiting.len(),
            Screen::Desk | Screen::Activity => 0,
        };
        let selected = state.screen == screen;
        let entry = Entry { icon: icon(screen), words: screen.title(), selected, waiting, narrow };
        let tip = button::tooltip(action(screen), scene.mac);
        if entry.show(ui, &look).on_hover_text(tip).clicked() {
            scene.act(Act::Run(action(screen)));
        }
    }
    ui.with_layout(egui::Layout::bottom_up(Align::Min), |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.add_space(look.space.xs);
        let dark = ui.ctx().theme() == Theme::Dark;
        let (mark, words, id) = if dark {
            (Icon::Sun, "Light theme", ActionId::ThemeLight)
        } else {
            (Icon::Moon, "Dark theme", ActionId::ThemeDark)
        };
        let theme = Entry { icon: mark, words, selected: false, waiting: 0, narrow };
        if theme.show(ui, &look).on_hover_text(id.action().title).clicked() {
            scene.act(Act::Run(id));
        }
        let keys =
            Entry { icon: Icon::Keyboard, words: "Keys", selected: false, waiting: 0, narrow };
        let tip = button::tooltip(ActionId::Keys, scene.mac);
        if keys.show(ui, &look).on_hover_text(tip).clicked() {
            scene.act(Act::Run(ActionId::Keys));
        }
        let menu = Entry { icon: Icon::Menu, words: "Menu", selected: false, waiting: 0, narrow };
        let response = menu.show(ui, &look);
        let env = crate::scene::env(scene.view, state);
        let mut chosen = None;
        egui::Popup::menu(&response).width(look.size.rail).show(|ui| {
            chosen = menu_ui(ui, &env, scene.mac);
        });
        if let Some(id) = chosen {
            scene.act(Act::Run(id));
        }
    });
}

/// The menu: every action by its group, with the same words and keys as everywhere.
fn menu_ui(ui: &mut Ui, env: &Env<'_>, mac: bool) -> Option<ActionId> {
    let mut chosen = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    for group in Group::ALL {
        ui.menu_button(group.title(), |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.set_min_width(look(ui.ctx()).size.rail);
            for action in ACTIONS.iter().filter(|action| action.group == group) {
                let mut entry = egui::Button::new(action.title);
                if let Some(keys) = action.keys.first() {
                    entry = entry.shortcut_text(keys.text(mac));
                }
                let blocked = (action.available)(env).err();
                let response = ui.add_enabled(blocked.is_none(), entry);
                let response = match blocked {
                    Some(why) => response.on_disabled_hover_text(why),
                    None => response.on_hover_text(action.tooltip),
                };
                if response.clicked() {
                    chosen = Some(action.id);
                    ui.close();
                }
            }
        });
    }
    chosen
}

fn brand(ui: &mut Ui, look: &Look, narrow: bool) {
    let size = Vec2::new(ui.available_width(), look.size.top_bar - look.space.s);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, "Pilothouse"));
    let side = look.size.icon + 2.0;
    let left = if narrow { rect.center().x - side / 2.0 } else { rect.left() + look.space.s };
    let mark = Rect::from_min_size(pos2(left, rect.center().y - side / 2.0), Vec2::splat(side));
    icons::paint(ui.painter(), mark, Icon::Mark, look.size.icon_stroke, look.color.accent_text);
    if !narrow {
        let text = Rect::from_min_max(pos2(mark.right() + look.space.s, rect.top()), rect.max);
        let font = look.font(Face::Title);
        label::paint_line(ui.painter(), text, "Pilothouse", font, look.color.text, Align::Min);
    }
}

struct Entry {
    icon: Icon,
    words: &'static str,
    selected: bool,
    waiting: usize,
    narrow: bool,
}

impl Entry {
    fn show(&self, ui: &mut Ui, look: &Look) -> Response {
        let size = Vec2::new(ui.available_width(), look.size.rail_item);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let name = match self.waiting {
            0 => self.words.to_owned(),
            n => format!("{}, {n} waiting for you", self.words),
        };
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, self.selected, &name));
        let color = &look.color;
        let over = response.hovered();
        let (fill, ink) = match (self.selected, over) {
            (true, _) => (Some(color.neutral_soft), color.text),
            (false, true) => (Some(color.hover), color.text),
            (false, false) => (None, color.muted),
        };
        let painter = ui.painter();
        if let Some(fill) = fill {
            painter.rect_filled(rect, look.radius(), fill);
        }
        let side = look.size.icon;
        let left =
            if self.narrow { rect.center().x - side / 2.0 } else { rect.left() + look.space.s };
        let place =
            Rect::from_min_size(pos2(left, rect.center().y - side / 2.0), Vec2::splat(side));
        let mark_ink = if self.selected { color.accent_text } else { ink };
        icons::paint(painter, place, self.icon, look.size.icon_stroke, mark_ink);
        if !self.narrow {
            let text = Rect::from_min_max(pos2(place.right() + look.space.m, rect.top()), rect.max);
            let face = if self.selected { Face::Strong } else { Face::Body };
            label::paint_line(painter, text, self.words, look.font(face), ink, Align::Min);
        }
        if self.waiting > 0 {
            let side = look.size.badge - 4.0;
            let center = if self.narrow {
                pos2(place.right() + look.space.xs, place.top())
            } else {
                pos2(rect.right() - look.space.s - side / 2.0, rect.center().y)
            };
            let pill = Rect::from_center_size(center, Vec2::splat(side));
            button::count_pill(ui, look, pill, &self.waiting.to_string());
        }
        if response.has_focus() {
            button::focus_ring(ui, look, rect.shrink(look.size.icon_stroke));
        }
        response
    }
}
