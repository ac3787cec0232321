//! The Desk: the switch, what is in its way, offers, what happens now, and today's money.

mod first;
pub mod letters;
mod offers;
mod side;

use crate::{
    actions::{ActionId, Subject},
    courier::{Load, Purpose},
    icons::Icon,
    look::{Face, Look, look},
    present::words,
    scene::{Act, Scene, env},
    state::{Screen, State},
    widgets::{
        self, Btn, label,
        list::{Cell, Column, List},
        notice, panel,
    },
};
use egui::{Align, Id, Layout, Ui, Vec2};

/// Events shown on the Desk.
const LATEST: u64 = 6;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    state.list.clear();
    panel::column(ui, "desk", |ui| {
        let look = look(ui.ctx());
        let wide = ui.available_width() >= look.size.form + look.size.side_column;
        if wide {
            let side = look.size.side_column;
            let main = ui.available_width() - side - look.space.l;
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                part(ui, main, |ui| main_column(ui, scene, state));
                ui.add_space(look.space.l);
                part(ui, side, |ui| side::show(ui, scene, state));
            });
        } else {
            main_column(ui, scene, state);
            ui.add_space(look.space.l);
            side::show(ui, scene, state);
        }
    });
}

fn part(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    ui.allocate_ui_with_layout(Vec2::new(width, 0.0), Layout::top_down(Align::Min), |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.x = look(ui.ctx()).space.s;
        add(ui);
    });
}

fn main_column(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    if first::is_due(scene, state) {
        first::show(ui, scene, state);
    } else {
        switch(ui, &look, scene, state);
    }
    letters::show(ui, scene, state);
    ui.add_space(look.space.l);
    panel::section(ui, "Offers", |ui| offers::add(ui, scene));
    offers::show(ui, scene, state);
    ui.add_space(look.space.l);
    happening(ui, &look, scene, state);
    ui.add_space(look.space.l);
    latest(ui, &look, scene, state);
}

fn switch(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State) {
    let desk = &scene.data.desk;
    panel::card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.set_width(
                    (ui.available_width() - look.size.field_short * 1.4).max(look.size.field_short),
                );
                ui.spacing_mut().item_spacing.y = look.space.xs;
                ui.horizontal(|ui| {
                    widgets::dot(ui, desk.tone);
                    label::heading(ui, desk.headline);
                });
                label::colored(ui, &desk.lead, Face::Body, look.color.muted);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                switch_button(ui, scene, state);
            });
        });
        scene.error_of(ui, state, &Purpose::Switch);
        let desk = &scene.data.desk;
        if !desk.blockers.is_empty() {
            ui.add_space(look.space.xs);
            panel::rule(ui);
            ui.add_space(look.space.xs);
            let words = if desk.online { "What is wrong" } else { "What is in the way" };
            label::colored(ui, words, Face::CaptionStrong, look.color.faint);
            for blocker in &desk.blockers {
                notice::blocker(ui, &blocker.message, blocker.hint.as_deref());
            }
        }
    });
}

fn switch_button(ui: &mut Ui, scene: &mut Scene<'_>, state: &State) {
    let look = look(ui.ctx());
    let busy = scene.courier.busy(&Purpose::Switch).is_some();
    let env = env(scene.view, state);
    let id = if scene.data.desk.online { ActionId::GoOffline } else { ActionId::GoOnline };
    let mut button = Btn::action(id, &env, scene.mac).large().icon(Icon::Power).busy(busy);
    if id == ActionId::GoOnline {
        button = button.primary();
    }
    if ui.add(button).clicked() {
        scene.act(Act::Run(id));
    }
    if scene.slow(&Purpose::Switch, look.motion.slow_after_ms) {
        label::caption(ui, "Still waiting for the desk");
    }
}

const RUNNING: [Column; 5] = [
    Column::grow("Job", 140.0),
    Column::fixed("State", 150.0, 1),
    Column::fixed("Waiting for", 110.0, 2),
    Column::fixed("Amount", 96.0, 0).right(),
    Column::fixed("Updated", 76.0, 3).right(),
];

fn happening(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State) {
    let inbox = scene.data.desk.inbox;
    panel::section(ui, "Happening now", |ui| {
        if inbox > 0 {
            let words = words::count(inbox as u64, "job") + " waiting for you";
            if ui.add(Btn::new(words).quiet().leads()).clicked() {
                scene.acts.push(Act::Run(ActionId::GoMarket));
            }
        }
    });
    let desk = &scene.data.desk;
    if desk.running.is_empty() {
        panel::card(ui, |ui| {
            let lesson = if desk.online {
                "Your offers are out. Jobs show up here as buyers ask for them."
            } else {
                "Jobs show up here while they run, sold or bought."
            };
            notice::empty(ui, Icon::Hourglass, "No job is running", lesson, |ui| {
                let env = env(scene.view, state);
                if ui.add(Btn::action(ActionId::BuyJob, &env, scene.mac)).clicked() {
                    scene.acts.push(Act::Run(ActionId::BuyJob));
                }
            });
        });
        return;
    }
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &RUNNING);
        list.head(ui);
        for row in &desk.running {
            let subject = Subject::Job(row.request_id);
            let selected = state.subject.as_ref() == Some(&subject);
            let mark = super::market::role_icon(row.role);
            let cells = [
                Cell::Mark(mark, look.color.faint, &row.kind),
                Cell::Badge(row.tone, &row.state),
                Cell::Text(&row.waiting_for, Face::Body, look.color.muted),
                Cell::Text(&row.amount, Face::Body, look.color.text),
                Cell::Text(&row.updated, Face::Caption, look.color.faint),
            ];
            let id = Id::unique(("running", row.request_id));
            if list.row(ui, id, &row.name, selected, &cells).clicked() {
                scene.acts.push(Act::Inspect(subject.clone()));
            }
            state.list.push(subject);
        }
    });
}

const EVENTS: [Column; 2] = [Column::fixed("Time", 64.0, 0), Column::grow("Event", 120.0)];

fn latest(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State) {
    panel::section(ui, "Latest events", |ui| {
        let open = Btn::new("Open Activity").quiet().leads();
        if ui.add(open).clicked() {
            scene.acts.push(Act::Go(Screen::Activity));
        }
    });
    let events = scene.view.log.events;
    if events == 0 {
        panel::card(ui, |ui| {
            let lesson = "Everything that happens here is written to a log that can be checked.";
            notice::empty(ui, Icon::Activity, "Nothing has happened yet", lesson, |_| {});
        });
        return;
    }
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &EVENTS);
        let port = scene.courier.port().clone();
        scene.courier.latest.total(&*port, events);
        for back in 0..LATEST.min(events) {
            let index = events - 1 - back;
            let id = Id::unique(("latest", index));
            let position = index + 1;
            let known = match scene.courier.latest.row(&*port, index) {
                Load::Ready(row) => Some(row.clone()),
                Load::Waiting | Load::Failed(_) => None,
            };
            let Some(row) = known else {
                let cells = [Cell::Text("…", Face::Caption, look.color.faint)];
                list.row(ui, id, &format!("Event {position}, on its way"), false, &cells);
                continue;
            };
            let subject = Subject::Event(row.position);
            let selected = state.subject.as_ref() == Some(&subject);
            let (time, summary) = (scene.clock.time(row.at), words::one_line(&row.summary));
            let cells = [
                Cell::Text(&time, Face::Caption, look.color.faint),
                Cell::Text(&summary, Face::Body, look.color.muted),
            ];
            if list.row(ui, id, &format!("{summary}, {time}"), selected, &cells).clicked() {
                scene.acts.push(Act::Inspect(subject));
            }
        }
    });
}
