//! The history of payments: the hot ones, then older pages on request; filtered, and written out.

use egui::{Id, Ui};
use engine::view::{AccountId, Direction};

use crate::{
    actions::{ActionId, Subject},
    icons::Icon,
    look::{Face, look},
    present::{
        history::{Filter, Standing},
        wallet::PaymentRow,
        words,
    },
    scene::{Act, Scene, env},
    state::State,
    widgets::{
        Btn,
        list::{Cell, Column, List},
        notice, panel, picker,
    },
};

const COLUMNS: [Column; 6] = [
    Column::grow("Payment", 150.0),
    Column::fixed("State", 150.0, 1),
    Column::fixed("Sub-wallet", 96.0, 4),
    Column::fixed("Fee", 88.0, 3).right(),
    Column::fixed("Amount", 120.0, 0).right(),
    Column::fixed("Updated", 96.0, 2).right(),
];

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let port = scene.courier.port().clone();
    if !scene.courier.payments.started() {
        scene.courier.payments.more(&*port);
    }
    filters(ui, scene, state);
    let rows = rows(scene, &state.wallet.filter);
    if let Some(error) = scene.courier.payments.failed().cloned() {
        match notice::error(ui, "Older payments could not be read", &error, true) {
            Some(notice::ErrorAnswer::Retry) => scene.courier.payments.more(&*port),
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            Some(notice::ErrorAnswer::Dismiss) | None => {}
        }
    }
    if rows.is_empty() {
        return nothing(ui, scene, state);
    }
    list(ui, scene, state, &rows);
    if scene.courier.payments.loading() {
        notice::loading(ui, "Reading older payments");
    } else if !scene.courier.payments.at_end() && ui.add(Btn::new("Show older payments")).clicked()
    {
        scene.courier.payments.more(&*port);
    }
}

/// What is hot and then what was read, each once, as far as the filter lets it through.
fn rows(scene: &Scene<'_>, filter: &Filter) -> Vec<PaymentRow> {
    let hot = &scene.view.payments;
    let of_hot = hot.iter().zip(&scene.data.wallet.payments);
    let mut rows: Vec<PaymentRow> =
        of_hot.filter(|(payment, _)| filter.lets(payment)).map(|(_, row)| row.clone()).collect();
    for payment in scene.courier.payments.items() {
        if filter.lets(payment) && hot.iter().all(|known| known.key != payment.key) {
            rows.push(PaymentRow::of(payment, scene.view, scene.clock));
        }
    }
    rows
}

fn nothing(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    panel::card(ui, |ui| {
        if scene.courier.payments.loading() {
            notice::loading(ui, "Reading the history");
        } else if state.wallet.filter.is_empty() {
            let lesson = "Payments in and out are kept here, each with its proof.";
            notice::empty(ui, Icon::Receipt, "No payment yet", lesson, |ui| {
                let env = env(scene.view, state);
                let receive = Btn::action(ActionId::Receive, &env, scene.mac);
                if ui.add(receive.name("Receive the first payment")).clicked() {
                    scene.acts.push(Act::Run(ActionId::Receive));
                }
            });
        } else {
            let lesson = "Older payments are looked through once they are shown.";
            notice::empty(ui, Icon::Search, "No payment fits", lesson, |ui| {
                let port = scene.courier.port().clone();
                let more = !scene.courier.payments.at_end();
                ui.horizontal(|ui| {
                    if ui.add(Btn::new("Show all")).clicked() {
                        state.wallet.filter = Filter::default();
                    }
                    if more && ui.add(Btn::new("Show older payments")).clicked() {
                        scene.courier.payments.more(&*port);
                    }
                });
            });
        }
    });
}

fn list(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, rows: &[PaymentRow]) {
    let look = look(ui.ctx());
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &COLUMNS);
        list.head(ui);
        for row in rows {
            let subject = Subject::Payment(row.key.clone());
            let selected = state.subject.as_ref() == Some(&subject);
            let mark = match row.direction {
                Direction::In => Icon::In,
                Direction::Out => Icon::Out,
            };
            let cells = [
                Cell::Mark(mark, look.color.faint, &row.memo),
                Cell::Badge(row.tone, row.state),
                Cell::Text(&row.account, Face::Caption, look.color.muted),
                Cell::Text(&row.fee, Face::Caption, look.color.faint),
                Cell::Text(&row.amount, Face::Body, look.color.text),
                Cell::Text(&row.updated, Face::Caption, look.color.faint),
            ];
            let id = Id::unique(("payment", &row.key));
            if list.row(ui, id, &row.name, selected, &cells).clicked() {
                scene.acts.push(Act::Inspect(subject.clone()));
            }
            state.list.push(subject);
        }
    });
}

/// Text, state, direction and sub-wallet; and the way out of here, as a file.
fn filters(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    ui.horizontal_wrapped(|ui| {
        search(ui, scene, state);
        let filter = &mut state.wallet.filter;
        let states = Standing::ALL.map(|one| (one, one.words().to_owned()));
        let short = look.size.field_short;
        if let Some(one) = picker::bare(ui, "State", short * 1.3, &filter.standing, &states, None) {
            filter.standing = one;
        }
        let ways = [
            (None, "In and out".to_owned()),
            (Some(Direction::In), "In".to_owned()),
            (Some(Direction::Out), "Out".to_owned()),
        ];
        if let Some(way) = picker::bare(ui, "Direction", short, &filter.direction, &ways, None) {
            filter.direction = way;
        }
        let accounts = accounts(scene);
        if accounts.len() > 2
            && let Some(one) =
                picker::bare(ui, "Sub-wallet", short * 1.3, &filter.account, &accounts, None)
        {
            filter.account = one;
        }
        if !filter.is_empty() && ui.add(Btn::new("Clear").quiet().name("Clear filter")).clicked() {
            *filter = Filter::default();
        }
        let busy = scene.courier.exporting();
        for (id, words) in [(ActionId::ExportCsv, "CSV"), (ActionId::ExportJson, "JSON")] {
            let button = Btn::new(words).icon(Icon::Tail).name(id.title()).busy(busy);
            let tip = match words::network_badge(scene.view.network) {
                Some((word, _)) => format!("{}, marked {word}", id.action().tooltip),
                None => id.action().tooltip.to_owned(),
            };
            if ui.add(button.tooltip(tip)).clicked() {
                scene.act(Act::Run(id));
            }
        }
    });
}

fn accounts(scene: &Scene<'_>) -> Vec<(Option<AccountId>, String)> {
    let mut all = vec![
        (None, "Every sub-wallet".to_owned()),
        (Some(AccountId::operator()), "Yours".to_owned()),
    ];
    all.extend(scene.view.wallet.accounts.iter().map(|one| {
        let name = words::one_line(&one.account.name);
        (Some(one.account.id.clone()), name)
    }));
    all
}

fn search(ui: &mut Ui, scene: &Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let id = Id::unique("payments-filter");
    let tip = crate::widgets::button::tooltip(ActionId::Filter, scene.mac);
    let edit = egui::TextEdit::singleline(&mut state.wallet.filter.text)
        .id(id)
        .hint_text("Search payments")
        .align(egui::Align2::LEFT_CENTER)
        .char_limit(200)
        .min_size(egui::Vec2::new(0.0, look.size.control))
        .desired_width(look.size.field_short * 1.6);
    let response = ui.add(edit).accessible_name("Search payments").on_hover_text(tip);
    if std::mem::take(&mut state.wallet.focus_filter) {
        response.request_focus();
    }
}
