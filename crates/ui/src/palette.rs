//! The command palette: every action, job and payment, found by a few letters and run by Enter.

use egui::{Align, Area, Id, Key, Modal, Role, Sense, Ui, Vec2, WidgetInfo, pos2};
use engine::view::View;
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use crate::{
    actions::{ACTIONS, ActionId, Env, Subject},
    deeds::{self, Deed},
    look::{Face, Look, look},
    present::{job::JobRow, wallet::PaymentRow},
    scene::{Act, Data},
    widgets::{self, label},
};

/// What is typed and which row is selected.
#[derive(Debug, Default)]
pub struct PaletteState {
    pub query: String,
    pub selected: usize,
    /// The field has had the focus once.
    opened: bool,
}

/// Where a row leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Action(ActionId),
    Thing(Subject),
    Deed(Box<Deed>),
}

/// One row of the palette.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub title: String,
    pub group: &'static str,
    pub keys: Option<String>,
    /// Why it can't be run now.
    pub blocked: Option<String>,
    pub target: Target,
    /// Letters of the title that matched, as character indices.
    pub hits: Vec<u32>,
}

/// More rows than this are never shown: type one letter more.
const MOST: usize = 60;

/// The rows for `query`, best first; without a query, the actions that can be run come first.
pub fn rows(query: &str, view: &View, data: &Data, env: &Env<'_>, mac: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = ACTIONS
        .iter()
        .filter(|action| action.id != ActionId::Palette)
        .map(|action| Row {
            title: action.title.into(),
            group: action.group.title(),
            keys: action.keys.first().map(|keys| keys.text(mac)),
            blocked: (action.available)(env).err(),
            target: Target::Action(action.id),
            hits: Vec::new(),
        })
        .collect();
    if query.trim().is_empty() {
        rows.sort_by_key(|row| row.blocked.is_some());
        return rows;
    }
    rows.extend(deeds::of(view).into_iter().map(|deed| Row {
        title: deed.title.clone(),
        group: deed.group.title(),
        keys: None,
        blocked: None,
        target: Target::Deed(Box::new(deed)),
        hits: Vec::new(),
    }));
    let jobs = [&data.jobs.inbox, &data.jobs.active, &data.jobs.over];
    rows.extend(jobs.into_iter().flatten().map(job_row));
    rows.extend(data.wallet.payments.iter().map(payment_row));
    if let Some(identity) = &view.identity {
        rows.push(Row {
            title: format!("Identity {}", identity.npub),
            group: "Identity",
            keys: None,
            blocked: None,
            target: Target::Thing(Subject::Identity),
            hits: Vec::new(),
        });
    }
    rank(query, rows)
}

fn job_row(row: &JobRow) -> Row {
    Row {
        title: format!("{} {}, {}", row.kind, row.request_id.short(), row.amount),
        group: "Job",
        keys: None,
        blocked: None,
        target: Target::Thing(Subject::Job(row.request_id)),
        hits: Vec::new(),
    }
}

fn payment_row(row: &PaymentRow) -> Row {
    Row {
        title: format!("{}, {}", row.memo, row.amount),
        group: "Payment",
        keys: None,
        blocked: None,
        target: Target::Thing(Subject::Payment(row.key.clone())),
        hits: Vec::new(),
    }
}

fn rank(query: &str, rows: Vec<Row>) -> Vec<Row> {
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(query, CaseMatching::Ignore, Normalization::Smart);
    let mut buffer = Vec::new();
    let mut scored: Vec<((bool, bool, u32), Row)> = rows
        .into_iter()
        .filter_map(|mut row| {
            let mut hits = Vec::new();
            let text = Utf32Str::new(&row.title, &mut buffer);
            let score = pattern.indices(text, &mut matcher, &mut hits)?;
            hits.sort_unstable();
            hits.dedup();
            row.hits = hits;
            // An exact title is what the operator means, whatever else matches.
            let exact = row.title.eq_ignore_ascii_case(query.trim());
            let can = row.blocked.is_none();
            Some(((exact, can, score), row))
        })
        .collect();
    // The sort is stable: equals keep the order of the list of actions.
    scored.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    scored.into_iter().map(|(_, row)| row).take(MOST).collect()
}

/// Draws the palette; answers whether it is to be closed.
pub fn show(
    ui: &mut Ui,
    state: &mut PaletteState,
    (view, data, env): (&View, &Data, &Env<'_>),
    mac: bool,
    acts: &mut Vec<Act>,
) -> bool {
    let look = look(ui.ctx());
    let id = Id::unique("palette");
    let (down, up, enter) = ui.input_mut(|input| {
        let none = egui::Modifiers::NONE;
        (
            input.count_and_consume_key(none, Key::ArrowDown),
            input.count_and_consume_key(none, Key::ArrowUp),
            input.consume_key(none, Key::Enter),
        )
    });
    let width = look.size.palette.min(ui.ctx().content_rect().width() - 2.0 * look.space.xl);
    let area = Area::new(id)
        .kind(egui::UiKind::Modal)
        .sense(Sense::hover())
        .anchor(egui::Align2::CENTER_TOP, Vec2::new(0.0, look.size.palette_top))
        .order(egui::Order::Foreground)
        .interactable(true);
    let frame = egui::Frame::popup(ui.style()).inner_margin(look.margin(0.0, 0.0));
    let modal = Modal::new(id).area(area).frame(frame).backdrop_color(look.color.backdrop);
    let mut chosen = None;
    let response = modal.show(ui.ctx(), |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = 0.0;
        if query_field(ui, &look, state) {
            state.selected = 0;
        }
        widgets::panel::rule(ui);
        let rows = rows(&state.query, view, data, env, mac);
        let last = rows.len().saturating_sub(1);
        state.selected = (state.selected + down).saturating_sub(up).min(last);
        if enter {
            chosen = rows.get(state.selected).cloned();
        }
        if let Some(clicked) = list(ui, &look, state, &rows, down + up > 0) {
            chosen = Some(clicked);
        }
        widgets::panel::rule(ui);
        footer(ui, &look, rows.get(state.selected));
    });
    if let Some(row) = chosen {
        acts.push(match row.target {
            Target::Action(action) => Act::Run(action),
            Target::Thing(subject) => Act::Inspect(subject),
            Target::Deed(deed) => deed.act,
        });
        return true;
    }
    response.should_close()
}

fn query_field(ui: &mut Ui, look: &Look, state: &mut PaletteState) -> bool {
    let id = Id::unique("palette-query");
    let edit = egui::TextEdit::singleline(&mut state.query)
        .id(id)
        .hint_text("Search commands, jobs, payments")
        .frame(egui::Frame::new().inner_margin(look.margin(look.space.l, look.space.m)))
        .font(egui::FontId::proportional(look.text.title))
        .desired_width(f32::INFINITY)
        .char_limit(200);
    let response = ui.add(edit).accessible_name("Search commands");
    if !state.opened {
        response.request_focus();
        state.opened = true;
    }
    response.changed()
}

fn list(
    ui: &mut Ui,
    look: &Look,
    state: &mut PaletteState,
    rows: &[Row],
    moved: bool,
) -> Option<Row> {
    let mut clicked = None;
    let most = (look.size.row * 12.0).min(ui.ctx().content_rect().height() * 0.55);
    let lines = (rows.len() as f32).max(2.0);
    let height = (look.size.row * lines + 2.0 * look.space.xs).min(most);
    egui::ScrollArea::vertical()
        .max_height(height)
        .min_scrolled_height(height)
        .auto_shrink([false, false])
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.add_space(look.space.xs);
            if rows.is_empty() {
                ui.add_space(look.space.l);
                ui.vertical_centered(|ui| {
                    label::muted(ui, "Nothing matches. Try fewer letters.");
                });
            }
            for (index, row) in rows.iter().enumerate() {
                let response = row_ui(ui, look, row, index == state.selected);
                if response.clicked() {
                    clicked = Some(row.clone());
                }
                if response.hovered() && ui.input(|i| i.pointer.is_moving()) {
                    state.selected = index;
                }
                if index == state.selected && moved {
                    response.scroll_to_me(None);
                }
            }
            ui.add_space(look.space.xs);
        });
    clicked
}

fn row_ui(ui: &mut Ui, look: &Look, row: &Row, selected: bool) -> egui::Response {
    let size = Vec2::new(ui.available_width(), look.size.row);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let enabled = row.blocked.is_none();
    response
        .widget_info(|| WidgetInfo::selected(Role::ListBoxOption, enabled, selected, &row.title));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let ground = rect.shrink2(Vec2::new(look.space.xs, 0.0));
    if selected {
        ui.painter().rect_filled(ground, look.radius_small(), look.color.selected);
    }
    let mut inner = rect.shrink2(Vec2::new(look.space.l, 0.0));
    let painter = ui.painter();
    let small = look.font(Face::Caption);
    if let Some(keys) = &row.keys {
        let width =
            label::paint_line(painter, inner, keys, small.clone(), look.color.muted, Align::Max);
        inner.set_right(inner.right() - width - look.space.l);
    }
    let width = label::paint_line(painter, inner, row.group, small, look.color.faint, Align::Max);
    inner.set_right(inner.right() - width - look.space.l);
    let ink = if enabled { look.color.text } else { look.color.faint };
    title(ui, look, inner, row, ink);
    response
}

/// The title with the letters that matched in a stronger ink.
fn title(ui: &Ui, look: &Look, rect: egui::Rect, row: &Row, ink: egui::Color32) {
    use egui::text::{LayoutJob, TextFormat, TextWrapping};
    let mut job = LayoutJob::default();
    for (index, letter) in (0_u32..).zip(row.title.chars()) {
        let hit = row.hits.binary_search(&index).is_ok();
        let face = if hit { Face::Strong } else { Face::Body };
        let color = if hit { look.color.accent_text } else { ink };
        let mut bytes = [0; 4];
        job.append(letter.encode_utf8(&mut bytes), 0.0, TextFormat::simple(look.font(face), color));
    }
    job.wrap = TextWrapping::truncate_at_width(rect.width());
    let galley = ui.painter().layout_job(job);
    let top = rect.center().y - galley.size().y / 2.0;
    ui.painter().galley(pos2(rect.left(), top), galley, ink);
}

/// What the selected row does, or why it can't, and how to say it on the command line.
fn footer(ui: &mut Ui, look: &Look, row: Option<&Row>) {
    let size = Vec2::new(ui.available_width(), look.size.row);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    let mut inner = rect.shrink2(Vec2::new(look.space.l, 0.0));
    let Some(row) = row else { return };
    let painter = ui.painter();
    let (words, ink, cli) = match (&row.blocked, &row.target) {
        (Some(why), _) => (why.as_str(), look.color.waiting, None),
        (None, Target::Action(id)) => (id.action().tooltip, look.color.muted, id.action().cli),
        (None, Target::Thing(_)) => ("Open in the inspector", look.color.muted, None),
        (None, Target::Deed(deed)) => (deed.what, look.color.muted, Some(deed.cli.as_str())),
    };
    if let Some(cli) = cli {
        let font = look.font(Face::MonoCaption);
        let width = label::paint_line(painter, inner, cli, font, look.color.faint, Align::Max);
        inner.set_right(inner.right() - width - look.space.l);
    }
    label::paint_line(painter, inner, words, look.font(Face::Caption), ink, Align::Min);
}
