//! The Activity: the whole log, row by row, filtered by text, each row opening its event.

use egui::{Align, Id, Key, Layout, Ui};

use crate::{
    actions::{ActionId, Subject},
    courier::Load,
    icons::Icon,
    look::{Face, Look, look},
    pages::FOUND_MOST,
    present::words,
    scene::{Act, Scene},
    state::State,
    widgets::{
        Btn, button, label,
        list::{Cell, Column, List},
        notice, panel,
    },
};

const COLUMNS: [Column; 5] = [
    Column::fixed("#", 72.0, 2).right(),
    Column::fixed("Time", 104.0, 0),
    Column::fixed("Type", 168.0, 1),
    Column::grow("Event", 180.0),
    Column::fixed("Stream", 150.0, 3),
];

/// The id of the filter field, for the key that goes there.
pub fn filter_id() -> Id {
    Id::unique("activity-filter")
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    state.list.clear();
    let margin = look.margin(look.space.xl, look.space.l);
    egui::Frame::new().inner_margin(margin).show(ui, |ui| {
        let port = scene.courier.port().clone();
        let live = scene.courier.log.total(&*port, scene.view.log.events);
        if let Some(again) = scene.courier.log.looks_again(scene.view.log.events) {
            ui.ctx().request_repaint_after(again);
        }
        let total = match state.activity.held_at {
            Some(held) => live.map(|live| held.min(live)),
            None => live,
        };
        head(ui, &look, scene, state, live, total);
        ui.add_space(look.space.xs);
        if let Some(error) = scene.courier.log.failed().cloned() {
            match notice::error(ui, "The log could not be read", &error, true) {
                Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                    scene.courier.log.retry();
                }
                Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
                None => {}
            }
        }
        match total {
            None => {
                panel::card(ui, |ui| notice::loading(ui, "Looking through the log"));
            }
            Some(0) => nothing(ui, scene, state),
            Some(total) => rows(ui, &look, scene, state, total),
        }
    });
}

fn head(
    ui: &mut Ui,
    look: &Look,
    scene: &mut Scene<'_>,
    state: &mut State,
    live: Option<u64>,
    total: Option<u64>,
) {
    let tight = ui.available_width() < look.size.field * 2.0;
    ui.horizontal(|ui| {
        let width = if tight { ui.available_width() * 0.45 } else { look.size.field };
        let edit = egui::TextEdit::singleline(&mut state.activity.filter)
            .id(filter_id())
            .hint_text("Filter by stream, type or text")
            .align(egui::Align2::LEFT_CENTER)
            .desired_width(width)
            .char_limit(200)
            .min_size(egui::Vec2::new(0.0, look.size.control));
        let tip = button::tooltip(ActionId::Filter, scene.mac);
        let response = ui.add(edit).accessible_name("Filter activity").on_hover_text(tip);
        if state.activity.focus_filter {
            state.activity.focus_filter = false;
            response.request_focus();
        }
        let cleared = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape));
        if cleared {
            state.activity.filter.clear();
        }
        if response.changed() || cleared {
            scene.courier.log.set_filter(&state.activity.filter);
            state.activity.held_at = None;
            state.activity.selected_row = None;
        }
        if !state.activity.filter.is_empty()
            && crate::widgets::icon_button(ui, Icon::Cross, "Clear filter", "").clicked()
        {
            state.activity.filter.clear();
            scene.courier.log.set_filter("");
            state.activity.held_at = None;
        }
        if ui.available_width() > look.size.field {
            label::muted(ui, counted(scene, state, total));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            follow(ui, scene, state, (live.unwrap_or(0), total.unwrap_or(0)), tight);
        });
    });
}

fn counted(scene: &Scene<'_>, state: &State, total: Option<u64>) -> String {
    match total {
        None => "Looking…".into(),
        Some(n) if state.activity.filter.trim().is_empty() => words::count(n, "event"),
        Some(n) if n >= u64::from(FOUND_MOST) => {
            format!("the newest {} that match", words::grouped(n))
        }
        Some(n) => {
            format!("{} of {}", words::grouped(n), words::count(scene.view.log.events, "event"))
        }
    }
}

fn follow(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    state: &State,
    (live, shown): (u64, u64),
    tight: bool,
) {
    let words = match (state.activity.follow, tight) {
        (true, false) => "Following newest",
        (false, false) => "Follow newest",
        (true, true) => "Following",
        (false, true) => "Follow",
    };
    let button = Btn::new(words)
        .icon(Icon::Tail)
        .name(ActionId::FollowTail.title())
        .tooltip(button::tooltip(ActionId::FollowTail, scene.mac));
    let button = if state.activity.follow { button } else { button.quiet() };
    if ui.add(button).clicked() {
        scene.act(Act::Run(ActionId::FollowTail));
    }
    if live > shown {
        let new = words::count(live - shown, "new event");
        label::caption(ui, format!("{new}, held while you read"));
    }
}

fn nothing(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    panel::card(ui, |ui| {
        if state.activity.filter.trim().is_empty() {
            let lesson = "Everything that happens here is written to a log that can be checked: \
                          each event names the one before it.";
            notice::empty(ui, Icon::Activity, "Nothing has happened yet", lesson, |_| {});
        } else {
            let lesson = "No event holds this text in its stream, type or data.";
            notice::empty(ui, Icon::Search, "Nothing matches", lesson, |ui| {
                if ui.add(Btn::new("Show everything")).clicked() {
                    state.activity.filter.clear();
                    scene.courier.log.set_filter("");
                }
            });
        }
    });
}

fn rows(ui: &mut Ui, look: &Look, scene: &mut Scene<'_>, state: &mut State, total: u64) {
    let port = scene.courier.port().clone();
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &COLUMNS);
        list.head(ui);
        let follow = state.activity.follow;
        let to = state.activity.scroll_to.take().map(|row| row.min(total.saturating_sub(1)));
        let shown = list.rows(ui, "log", total, to, follow, |ui, list, index| {
            let row = match scene.courier.log.row(&*port, index) {
                Load::Ready(row) => row.clone(),
                Load::Waiting | Load::Failed(_) => {
                    let cells = [
                        Cell::Text("", Face::Caption, look.color.faint),
                        Cell::Text("…", Face::Caption, look.color.faint),
                    ];
                    list.row(
                        ui,
                        row_id(index),
                        &format!("Row {}, on its way", index + 1),
                        false,
                        &cells,
                    );
                    return;
                }
            };
            let selected = state.subject == Some(Subject::Event(row.position));
            let position = words::grouped(row.position);
            let stream = words::middle(row.stream.as_str(), 13, 6);
            let (time, summary) = (scene.clock.moment(row.at), words::one_line(&row.summary));
            let cells = [
                Cell::Text(&position, Face::Caption, look.color.faint),
                Cell::Text(&time, Face::Caption, look.color.muted),
                Cell::Text(&row.type_name, Face::MonoCaption, look.color.muted),
                Cell::Text(&summary, Face::Body, look.color.text),
                Cell::Text(&stream, Face::MonoCaption, look.color.faint),
            ];
            let name = format!("{position} {summary}");
            if list.row(ui, row_id(index), &name, selected, &cells).clicked() {
                state.activity.selected_row = Some(index);
                scene.acts.push(Act::Inspect(Subject::Event(row.position)));
            }
        });
        let scrolled = ui.input(|input| input.smooth_scroll_delta().y > 0.0) && shown.hovered;
        if scrolled && follow && !shown.at_end {
            state.activity.follow = false;
        }
        // What is read stands still: new events wait until the pointer leaves the rows.
        state.activity.held_at = match (shown.hovered && follow, state.activity.held_at) {
            (true, None) => Some(total),
            (true, held) => held,
            (false, _) => None,
        };
    });
}

fn row_id(index: u64) -> Id {
    Id::unique(("log-row", index))
}

/// Moves the selection by one row and answers the event that is selected then.
pub fn step(scene: &mut Scene<'_>, state: &mut State, down: bool) -> Option<Subject> {
    let port = scene.courier.port().clone();
    let total = scene.courier.log.total(&*port, scene.view.log.events)?;
    let last = total.checked_sub(1)?;
    let next = match (state.activity.selected_row, down) {
        (None, _) => last,
        (Some(at), true) => (at + 1).min(last),
        (Some(at), false) => at.saturating_sub(1),
    };
    state.activity.selected_row = Some(next);
    state.activity.scroll_to = Some(next);
    state.activity.follow = false;
    match scene.courier.log.row(&*port, next) {
        Load::Ready(row) => Some(Subject::Event(row.position)),
        Load::Waiting | Load::Failed(_) => None,
    }
}
