//! The Wallet: balance with its source, receive, pay, history, and who this machine is.

mod history;
pub mod identity;
mod pay;
mod receive;

use egui::{Align, Layout, Ui, Vec2};

use crate::{
    actions::{ActionId, Subject},
    courier::Purpose,
    icons::Icon,
    look::{Face, Look, look},
    present::{wallet::WalletData, words},
    scene::{Act, Scene, env},
    state::{State, WalletPanel},
    widgets::{self, Btn, badge, button, label, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    state.list.clear();
    panel::column(ui, "wallet", |ui| {
        let look = look(ui.ctx());
        balance(ui, &look, scene, state);
        match state.wallet.panel {
            WalletPanel::Closed => {}
            WalletPanel::Receive => {
                ui.add_space(look.space.s);
                receive::show(ui, scene, state);
            }
            WalletPanel::Pay => {
                ui.add_space(look.space.s);
                pay::show(ui, scene, state);
            }
        }
        ui.add_space(look.space.l);
        history::show(ui, scene, state);
        ui.add_space(look.space.l);
        identity_line(ui, scene);
    });
}

fn balance(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State) {
    panel::card(ui, |ui| {
        let data = &scene.data.wallet;
        let stacked = ui.available_width() < look.size.form * 1.25;
        if stacked {
            figures(ui, look, scene, data);
            ui.add_space(look.space.xs);
            ui.horizontal(|ui| buttons(ui, scene, state, &[ActionId::Receive, ActionId::Pay]));
            ui.add_space(look.space.xs);
        } else {
            ui.horizontal(|ui| {
                ui.vertical(|ui| {
                    let buttons = look.size.field_short * 2.6;
                    ui.set_width((ui.available_width() - buttons).max(look.size.field_short));
                    figures(ui, look, scene, data);
                });
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    buttons(ui, scene, state, &[ActionId::Pay, ActionId::Receive]);
                });
            });
        }
        ui.horizontal(|ui| {
            badge::badge(ui, scene.data.wallet.tone, scene.data.wallet.state);
            badge::source(ui, &scene.data.wallet.source, scene.data.wallet.stale);
        });
        if let Some(detail) = &scene.data.wallet.detail {
            label::colored(ui, detail, Face::Body, look.color.muted);
        }
        scene.error_of(ui, state, &Purpose::Refresh);
        ui.add_space(look.space.xs);
        panel::rule(ui);
        ui.add_space(look.space.xs);
        cells(ui, look, scene, stacked);
    });
}

fn figures(ui: &mut Ui, look: &Look, scene: &Scene<'_>, data: &WalletData) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = look.space.xs;
        ui.horizontal(|ui| {
            label::muted(ui, "Balance");
            if let Some((words, explain)) = words::network_badge(scene.view.network) {
                badge::practice(ui, words, explain);
            }
        });
        figure(ui, look, data);
    });
}

fn figure(ui: &mut Ui, look: &Look, data: &WalletData) {
    match &data.balance {
        Some(balance) => {
            let ink = if data.stale { look.color.muted } else { look.color.text };
            let hero = look.font(Face::Hero);
            let width = label::line(ui.painter(), balance, hero, ink, f32::INFINITY).size().x;
            let face = if width > ui.available_width() { Face::Heading } else { Face::Hero };
            label::colored(ui, balance, face, ink);
        }
        None => {
            label::colored(ui, words::UNKNOWN, Face::Hero, look.color.waiting);
        }
    }
}

fn buttons(ui: &mut Ui, scene: &mut Scene<'_>, state: &State, order: &[ActionId]) {
    let env = env(scene.view, state);
    for id in order {
        let mut button = Btn::action(*id, &env, scene.mac).large();
        button = match id {
            ActionId::Receive => button.primary().icon(Icon::In),
            _ => button.icon(Icon::Out),
        };
        if ui.add(button).clicked() {
            scene.acts.push(Act::Run(*id));
        }
    }
    let id = ActionId::RefreshWallet;
    let busy = scene.courier.busy(&Purpose::Refresh).is_some();
    let tip = if busy { "Asking the wallet…".into() } else { button::tooltip(id, scene.mac) };
    if widgets::icon_button(ui, Icon::Refresh, id.title(), &tip).clicked() {
        scene.acts.push(Act::Run(id));
    }
}

/// Small figures in a row, or two by two where there is no room for four.
fn cells(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, stacked: bool) {
    let data = &scene.data.wallet;
    let figures = [
        ("Coming in", data.pending_in.clone()),
        ("Going out", data.pending_out.clone()),
        ("Can receive", data.inbound.clone()),
    ];
    let columns = if stacked { 2.0 } else { 4.0 };
    let width = (ui.available_width() - (columns - 1.0) * look.space.l) / columns;
    let amounts = |ui: &mut Ui, figures: &[(&str, String)]| {
        for (name, amount) in figures {
            cell(ui, look, width, name, |ui| {
                let unknown = amount == words::UNKNOWN;
                let ink = if unknown { look.color.waiting } else { look.color.text };
                label::colored(ui, amount, Face::Strong, ink);
            });
        }
    };
    let (first, rest) = figures.split_at(if stacked { 2 } else { 3 });
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = look.space.l;
        amounts(ui, first);
        if !stacked {
            node(ui, look, scene, width);
        }
    });
    if stacked {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = look.space.l;
            amounts(ui, rest);
            node(ui, look, scene, width);
        });
    }
}

fn node(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, width: f32) {
    let node = scene.data.wallet.node.clone();
    cell(ui, look, width, "Node", |ui| match node {
        Some(fact) => {
            let shown = words::middle(fact.copy.as_deref().unwrap_or_default(), 6, 4);
            let text =
                egui::RichText::new(shown).font(look.font(Face::Mono)).color(look.color.text);
            let link = egui::Label::new(text).sense(egui::Sense::click());
            let response = ui.add(link);
            response.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::Button, true, "Copy node id")
            });
            if response.on_hover_text("Copy node id").clicked() {
                scene.copy("Node id", fact.copy.unwrap_or_default());
            }
        }
        None => {
            label::colored(ui, words::UNKNOWN, Face::Strong, look.color.waiting);
        }
    });
}

fn cell(ui: &mut Ui, look: &Look, width: f32, name: &str, value: impl FnOnce(&mut Ui)) {
    ui.allocate_ui_with_layout(Vec2::new(width, 0.0), Layout::top_down(Align::Min), |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = 2.0;
        label::colored(ui, name, Face::Caption, look.color.faint);
        value(ui);
    });
}

fn identity_line(ui: &mut Ui, scene: &mut Scene<'_>) {
    let look = look(ui.ctx());
    panel::plain_section(ui, "Identity");
    panel::card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.set_width(
                    (ui.available_width() - look.size.field_short * 1.4).max(look.size.field_short),
                );
                ui.spacing_mut().item_spacing.y = look.space.xs;
                label::mono(ui, &scene.data.frame.identity);
                let words = if scene.view.identity.is_none() {
                    "This machine has no identity yet. It is made on the first run."
                } else if scene.data.frame.backed_up {
                    "Its words are written down. Money has a seed of its own, kept by the wallet."
                } else {
                    "Its words are not written down yet. Without them this name can't be restored."
                };
                label::colored(ui, words, Face::Body, look.color.muted);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.add(Btn::new("Open identity").icon(Icon::Key)).clicked() {
                    scene.act(Act::Inspect(Subject::Identity));
                }
            });
        });
    });
}
