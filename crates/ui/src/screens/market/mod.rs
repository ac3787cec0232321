//! The Market: jobs that wait for the operator, running, over, and the form that buys one.

pub mod attach;
mod buy;
mod inbox;

use egui::{Id, Ui};
use engine::view::JobRole;

pub use buy::{KINDS, Kind};

use crate::{
    actions::{ActionId, Subject},
    icons::Icon,
    look::{Face, Look, look},
    present::job::JobRow,
    scene::{Act, Scene, env},
    state::{MarketTab, State},
    widgets::{
        Btn, button, label,
        list::{Cell, Column, List},
        notice, panel,
    },
};

pub fn role_icon(role: JobRole) -> Icon {
    match role {
        JobRole::Provider => Icon::Out,
        JobRole::Buyer => Icon::In,
    }
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    state.list.clear();
    let margin = look.margin(look.space.xl, look.space.l);
    egui::Frame::new().inner_margin(margin).show(ui, |ui| {
        let jobs = &scene.data.jobs;
        let tabs = [
            (MarketTab::Inbox, "Inbox".to_owned()),
            (MarketTab::Active, "Active".to_owned()),
            (MarketTab::History, "History".to_owned()),
            (MarketTab::Buy, "Buy".to_owned()),
        ];
        let waiting = Some((MarketTab::Inbox, jobs.inbox.len()));
        if let Some(tab) = button::choices(ui, state.market.tab, &tabs, waiting) {
            scene.act(Act::Tab(tab));
        }
        ui.add_space(look.space.s);
        match state.market.tab {
            MarketTab::Inbox => inbox::show(ui, scene, state),
            MarketTab::Active => active(ui, &look, scene, state),
            MarketTab::History => history(ui, &look, scene, state),
            MarketTab::Buy => buy::show(ui, scene, state),
        }
    });
}

const COLUMNS: [Column; 6] = [
    Column::grow("Job", 150.0),
    Column::fixed("State", 160.0, 1),
    Column::fixed("Waiting for", 112.0, 3),
    Column::fixed("With", 128.0, 4),
    Column::fixed("Amount", 100.0, 0).right(),
    Column::fixed("Updated", 96.0, 2).right(),
];

const OVER: [Column; 5] = [
    Column::grow("Job", 150.0),
    Column::fixed("Outcome", 160.0, 1),
    Column::fixed("With", 128.0, 3),
    Column::fixed("Amount", 100.0, 0).right(),
    Column::fixed("Ended", 96.0, 2).right(),
];

fn active(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State) {
    let rows = &scene.data.jobs.active;
    if rows.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "Jobs you sell and buy run here, each with who must move next.";
            notice::empty(ui, Icon::Market, "No job is running", lesson, |ui| {
                let env = env(scene.view, state);
                if ui.add(Btn::action(ActionId::BuyJob, &env, scene.mac).primary()).clicked() {
                    scene.acts.push(Act::Run(ActionId::BuyJob));
                }
            });
        });
        return;
    }
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &COLUMNS);
        list.head(ui);
        let total = rows.len() as u64;
        list.rows(ui, "active-jobs", total, None, false, |ui, list, index| {
            if let Some(row) = rows.get(index as usize) {
                active_row(ui, list, look, state, scene.acts, row);
            }
        });
        state.list = rows.iter().map(|row| Subject::Job(row.request_id)).collect();
    });
}

fn active_row(
    ui: &mut Ui,
    list: &List<'_>,
    look: &Look,
    state: &State,
    acts: &mut Vec<Act>,
    row: &JobRow,
) {
    let subject = Subject::Job(row.request_id);
    let selected = state.subject.as_ref() == Some(&subject);
    let cells = [
        Cell::Mark(role_icon(row.role), look.color.faint, &row.kind),
        Cell::Badge(row.tone, &row.state),
        Cell::Text(&row.waiting_for, Face::Body, look.color.muted),
        Cell::Text(&row.peer, Face::MonoCaption, look.color.faint),
        Cell::Text(&row.amount, Face::Body, look.color.text),
        Cell::Text(&row.updated, Face::Caption, look.color.faint),
    ];
    let id = Id::unique(("job", row.request_id));
    if list.row(ui, id, &row.name, selected, &cells).on_hover_text(&row.name).clicked() {
        acts.push(Act::Inspect(subject));
    }
}

/// What is over: the hot ones, then the pages read so far, each once.
fn over(scene: &Scene<'_>) -> Vec<JobRow> {
    let mut rows = scene.data.jobs.over.clone();
    for job in scene.courier.jobs.items() {
        if scene.view.jobs.iter().all(|hot| hot.request_id != job.request_id) {
            rows.push(JobRow::of(job, scene.clock));
        }
    }
    rows
}

fn history(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State) {
    let port = scene.courier.port().clone();
    if !scene.courier.jobs.started() {
        scene.courier.jobs.more(&*port);
    }
    let rows = over(scene);
    if let Some(error) = scene.courier.jobs.failed().cloned() {
        let title = "Older jobs could not be read";
        match notice::error(ui, title, &error, true) {
            Some(notice::ErrorAnswer::Retry) => scene.courier.jobs.more(&*port),
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            Some(notice::ErrorAnswer::Dismiss) | None => {}
        }
    }
    if rows.is_empty() {
        panel::card(ui, |ui| {
            if scene.courier.jobs.loading() {
                notice::loading(ui, "Reading the history");
            } else {
                let lesson = "Finished jobs are kept here with their proofs and receipts.";
                notice::empty(ui, Icon::Receipt, "No job is over yet", lesson, |_| {});
            }
        });
        return;
    }
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &OVER);
        list.head(ui);
        let total = rows.len() as u64;
        let shown =
            list.rows(ui, "over-jobs", total + 1, None, false, |ui, list, index| {
                match rows.get(index as usize) {
                    Some(row) => over_row(ui, list, look, state, scene.acts, row),
                    None => tail(ui, look, scene),
                }
            });
        if shown.at_end && scene.courier.jobs.failed().is_none() {
            scene.courier.jobs.more(&*port);
        }
        state.list = rows.iter().map(|row| Subject::Job(row.request_id)).collect();
    });
}

fn over_row(
    ui: &mut Ui,
    list: &List<'_>,
    look: &Look,
    state: &State,
    acts: &mut Vec<Act>,
    row: &JobRow,
) {
    let subject = Subject::Job(row.request_id);
    let selected = state.subject.as_ref() == Some(&subject);
    let cells = [
        Cell::Mark(role_icon(row.role), look.color.faint, &row.kind),
        Cell::Badge(row.tone, &row.state),
        Cell::Text(&row.peer, Face::MonoCaption, look.color.faint),
        Cell::Text(&row.amount, Face::Body, look.color.text),
        Cell::Text(&row.updated, Face::Caption, look.color.faint),
    ];
    let id = Id::unique(("over", row.request_id));
    if list.row(ui, id, &row.name, selected, &cells).on_hover_text(&row.name).clicked() {
        acts.push(Act::Inspect(subject));
    }
}

/// The line after the last: more on its way, or the end.
fn tail(ui: &mut Ui, look: &Look, scene: &Scene<'_>) {
    let words = if scene.courier.jobs.loading() {
        "Reading older jobs…"
    } else if scene.courier.jobs.at_end() {
        "This is the first job."
    } else {
        ""
    };
    ui.horizontal(|ui| {
        ui.set_min_height(look.size.row);
        ui.add_space(look.space.m);
        label::caption(ui, words);
    });
}
