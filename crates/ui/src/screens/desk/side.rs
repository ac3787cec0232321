//! The side of the Desk: today's money, who may buy, our programs and the relays.

use egui::{Align, Id, Layout, Ui, Vec2};
use engine::{
    Command,
    command::{DemandAnswer, DemandRisk},
};

use crate::{
    actions::ActionId,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{desk::Health, words},
    scene::{Act, Scene},
    state::State,
    widgets::{self, Btn, Field, badge, button, label, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    today(ui, scene);
    ui.add_space(look.space.l);
    if !scene.view.provider.demand.is_empty() {
        demand(ui, scene, state);
        ui.add_space(look.space.l);
    }
    panel::plain_section(ui, "Programs");
    panel::card(ui, |ui| {
        if scene.data.desk.services.is_empty() {
            label::muted(ui, "No program of ours has reported yet.");
        }
        for health in &scene.data.desk.services {
            health_ui(ui, health, |_| {});
        }
    });
    ui.add_space(look.space.l);
    relays(ui, scene, state);
}

fn today(ui: &mut Ui, scene: &mut Scene<'_>) {
    let look = look(ui.ctx());
    let desk = &scene.data.desk;
    panel::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = look.space.xs;
        ui.horizontal(|ui| {
            label::muted(ui, "Earned today");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                badge::source(ui, "local", false);
                if let Some((words, explain)) = words::network_badge(scene.view.network) {
                    badge::practice(ui, words, explain);
                }
            });
        });
        label::colored(ui, &desk.earned_today, Face::Hero, look.color.text);
        ui.add_space(look.space.xs);
        panel::rule(ui);
        ui.add_space(look.space.xs);
        figure(ui, "Spent today", &desk.spent_today);
        figure(ui, "Reserved for jobs", &desk.reserved);
    });
}

fn figure(ui: &mut Ui, name: &str, amount: &str) {
    let look = look(ui.ctx());
    ui.horizontal(|ui| {
        label::muted(ui, name);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            label::colored(ui, amount, Face::Body, look.color.text);
        });
    });
}

fn demand(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::plain_section(ui, "Who may buy");
    panel::card(ui, |ui| {
        let rules = scene.view.provider.demand.clone();
        for (index, (risk, answer)) in rules.into_iter().enumerate() {
            if index > 0 {
                ui.add_space(look.space.xs);
            }
            rule(ui, scene, risk, answer);
        }
        scene.error_of(ui, state, &Purpose::Demand);
    });
}

fn rule(ui: &mut Ui, scene: &mut Scene<'_>, risk: DemandRisk, now: DemandAnswer) {
    let look = look(ui.ctx());
    let (title, explain) = words::risk(risk);
    ui.spacing_mut().item_spacing.y = look.space.xs;
    label::text(ui, title).on_hover_text(explain);
    let all = words::ANSWERS.map(|answer| (answer, words::answer(answer).to_owned()));
    let chosen = button::segments(ui, title, now, &all);
    if let Some(answer) = chosen {
        scene.act(Act::Send(Purpose::Demand, Command::DemandPolicySet { risk, answer }));
    }
}

fn relays(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    panel::section(ui, "Relays", |ui| {
        let title = ActionId::AddRelay.title();
        if widgets::icon_button(ui, Icon::Plus, title, "").clicked() {
            scene.acts.push(Act::Run(ActionId::AddRelay));
        }
    });
    panel::card(ui, |ui| {
        if scene.data.desk.relays.is_empty() {
            label::muted(ui, "No relay is set. Jobs are seen and answered through relays.");
        }
        let relays: Vec<(String, Health)> = scene
            .view
            .relays
            .iter()
            .map(|relay| relay.url.clone())
            .zip(scene.data.desk.relays.clone())
            .collect();
        for (url, health) in relays {
            health_ui(ui, &health, |ui| {
                let name = format!("Remove relay {}", health.name);
                if widgets::icon_button(ui, Icon::Cross, &name, "").clicked() {
                    let command = Command::RelayRemove { url: url.clone() };
                    scene.acts.push(Act::Send(Purpose::Relay, command));
                }
            });
        }
        if state.desk.adding_relay {
            add_relay(ui, scene, state);
        }
        scene.error_of(ui, state, &Purpose::Relay);
    });
}

fn add_relay(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let id = Id::unique("relay-url");
    let url = state.desk.relay.trim().to_owned();
    let valid =
        ["wss://", "ws://"].iter().any(|start| url.len() > start.len() && url.starts_with(start));
    let fault = (!url.is_empty() && !valid && !"wss://".starts_with(&url))
        .then(|| "A relay's address starts with wss://".to_owned());
    let field = Field::new("Relay address").hint("wss://relay.example.com").fault(fault);
    let response = field.show(ui, id, &mut state.desk.relay);
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    ui.horizontal(|ui| {
        let busy = scene.courier.busy(&Purpose::Relay).is_some();
        let why = (!valid).then(|| "Write an address that starts with wss://".to_owned());
        let add = ui.add(Btn::new("Add this relay").primary().busy(busy).blocked(why)).clicked();
        if (add || entered) && valid {
            scene.act(Act::Send(Purpose::Relay, Command::RelayAdd { url: url.clone() }));
        }
        if ui.add(Btn::new("Never mind").quiet()).clicked() {
            state.desk.adding_relay = false;
        }
    });
}

/// A shape, a name, and its state on one line; the detail below the name.
fn health_ui(ui: &mut Ui, health: &Health, right: impl FnOnce(&mut Ui)) {
    let look = look(ui.ctx());
    ui.spacing_mut().item_spacing.y = 0.0;
    let line = Vec2::new(ui.available_width(), look.size.control);
    ui.allocate_ui_with_layout(line, Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = look.space.xs;
        right(ui);
        label::colored(ui, health.state, Face::Caption, look.color.muted);
        ui.add_space(look.space.xs);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = look.space.s;
            widgets::dot(ui, health.tone);
            let name = egui::RichText::new(&health.name)
                .font(look.font(Face::Body))
                .color(look.color.text);
            ui.add(egui::Label::new(name).truncate());
        });
    });
    if let Some(detail) = &health.detail {
        ui.horizontal_top(|ui| {
            ui.add_space(look.size.dot + 2.0 + look.space.s);
            let text =
                egui::RichText::new(detail).font(look.font(Face::Caption)).color(look.color.faint);
            ui.add(egui::Label::new(text).wrap());
        });
    }
}
