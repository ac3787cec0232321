//! The history of payments: the hot ones, then older pages on request.

use egui::{Id, Ui};

use crate::{
    actions::Subject,
    icons::Icon,
    look::{Face, look},
    present::wallet::PaymentRow,
    scene::{Act, Scene},
    state::State,
    widgets::{
        Btn,
        list::{Cell, Column, List},
        notice, panel,
    },
};

const COLUMNS: [Column; 5] = [
    Column::grow("Payment", 150.0),
    Column::fixed("State", 160.0, 1),
    Column::fixed("Fee", 96.0, 3).right(),
    Column::fixed("Amount", 112.0, 0).right(),
    Column::fixed("Updated", 96.0, 2).right(),
];

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let port = scene.courier.port().clone();
    if !scene.courier.payments.started() {
        scene.courier.payments.more(&*port);
    }
    panel::plain_section(ui, "History");
    let mut rows = scene.data.wallet.payments.clone();
    for payment in scene.courier.payments.items() {
        if scene.view.payments.iter().all(|hot| hot.key != payment.key) {
            rows.push(PaymentRow::of(payment, scene.view, scene.clock));
        }
    }
    if let Some(error) = scene.courier.payments.failed().cloned() {
        match notice::error(ui, "Older payments could not be read", &error, true) {
            Some(notice::ErrorAnswer::Retry) => scene.courier.payments.more(&*port),
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            Some(notice::ErrorAnswer::Dismiss) | None => {}
        }
    }
    if rows.is_empty() {
        panel::card(ui, |ui| {
            if scene.courier.payments.loading() {
                notice::loading(ui, "Reading the history");
            } else {
                let lesson = "Payments in and out are kept here, each with its proof.";
                notice::empty(ui, Icon::Receipt, "No payment yet", lesson, |_| {});
            }
        });
        return;
    }
    panel::list_card(ui, |ui| {
        let list = List::new(ui, &COLUMNS);
        list.head(ui);
        for row in &rows {
            let subject = Subject::Payment(row.key.clone());
            let selected = state.subject.as_ref() == Some(&subject);
            let mark = match row.direction {
                engine::view::Direction::In => Icon::In,
                engine::view::Direction::Out => Icon::Out,
            };
            let cells = [
                Cell::Mark(mark, look.color.faint, &row.memo),
                Cell::Badge(row.tone, row.state),
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
    if scene.courier.payments.loading() {
        notice::loading(ui, "Reading older payments");
    } else if !scene.courier.payments.at_end() && ui.add(Btn::new("Show older payments")).clicked()
    {
        scene.courier.payments.more(&*port);
    }
}
