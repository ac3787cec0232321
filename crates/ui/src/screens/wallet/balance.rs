//! The balance: what can be spent and what is on its way, each with its source; never a guessed 0.

use egui::{Align, Layout, Ui, Vec2};

use crate::{
    actions::ActionId,
    courier::Purpose,
    icons::Icon,
    look::{Face, Look, look},
    present::{wallet::WalletData, words},
    scene::{Act, Scene, env},
    state::State,
    widgets::{self, Btn, badge, button, label, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    balance(ui, &look, scene, state);
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

/// What each figure is called, what it is, and what it means.
fn split(data: &WalletData) -> Vec<(&'static str, String, &'static str)> {
    let mut all = Vec::new();
    if let (Some(yours), Some(apart)) = (&data.yours, &data.set_apart) {
        all.push(("Yours to spend", yours.clone(), "The balance without what is set apart"));
        all.push(("Set apart", apart.clone(), "Money of sub-wallets that have their own"));
    }
    all.push(("Coming in", data.pending_in.clone(), "On its way to you, not settled yet"));
    all.push(("Going out", data.pending_out.clone(), "On its way out, or held for it"));
    all.push(("Can receive", data.inbound.clone(), "What your channels can take in now"));
    all.push(("On-chain", data.onchain.clone(), "Bitcoin outside of channels; not in the balance"));
    all
}

/// Small figures in rows of as many as there is room for.
fn cells(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, stacked: bool) {
    let figures = split(&scene.data.wallet);
    // The node stands after the last figure.
    let count = figures.len() + 1;
    let most = if stacked { 2.0 } else { 7.0 };
    let least = look.size.field_short * 1.1 + look.space.l;
    let fit = ((ui.available_width() + look.space.l) / least).floor().clamp(2.0, most);
    // As many in each row as in the others.
    let columns = count.div_ceil(count.div_ceil(fit as usize));
    let gaps = (columns - 1) as f32 * look.space.l;
    let width = (ui.available_width() - gaps) / columns as f32;
    for first in (0..count).step_by(columns) {
        if first > 0 {
            ui.add_space(look.space.xs);
        }
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = look.space.l;
            for at in first..(first + columns).min(count) {
                match figures.get(at) {
                    Some((name, amount, explain)) => {
                        cell(ui, look, width, name, |ui| {
                            let unknown = amount == words::UNKNOWN;
                            let ink = if unknown { look.color.waiting } else { look.color.text };
                            let shown = label::colored(ui, amount, Face::Strong, ink);
                            shown.on_hover_text(*explain);
                        });
                    }
                    None => node(ui, look, scene, width),
                }
            }
        });
    }
}

fn node(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, width: f32) {
    let node = scene.data.wallet.node.clone();
    let backend = scene.data.wallet.backend.clone();
    let name = if backend == words::UNKNOWN { "Wallet".to_owned() } else { backend };
    cell(ui, look, width, &name, |ui| match node {
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
