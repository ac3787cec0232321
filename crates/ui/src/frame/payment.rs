//! A payment in the inspector: what it waits for, what is proved of it, its timeline and facts.

use domain::IdempotencyKey;
use egui::Ui;
use engine::view::{Direction, PaymentState, PaymentView};

use super::inspector::{copied, find_payment, gone, section};
use crate::{
    actions::{ActionId, Subject},
    courier::Load,
    icons::Icon,
    present::{payment as present, wallet, words},
    scene::{Act, Scene},
    screens::wallet::{approval, receive},
    state::State,
    widgets::{Btn, badge, button, facts, label, ladder, notice, timeline},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, key: &IdempotencyKey) {
    let Some(payment) = find_payment(scene.view, scene.courier, key) else {
        return gone(ui, "payment");
    };
    let row = wallet::PaymentRow::of(&payment, scene.view, scene.clock);
    label::heading(ui, &row.amount);
    label::text(ui, &row.memo);
    if payment.state == PaymentState::AwaitingApproval {
        approval::body(ui, scene, state, &payment);
    } else {
        ui.horizontal_wrapped(|ui| {
            badge::badge(ui, row.tone, row.state);
            if let Some((words, explain)) = words::network_badge(scene.view.network) {
                badge::practice(ui, words, explain);
            }
        });
        if let Some(detail) = &payment.detail {
            label::muted(ui, words::one_line(detail));
        }
    }
    if payment.state == PaymentState::Unknown {
        notice::blocker(
            ui,
            "Money may have moved.",
            Some("The wallet is looking the payment up by its exact key. Don't pay it again."),
        );
    }
    let waits = payment.direction == Direction::In && payment.state == PaymentState::Pending;
    if let Some(text) = payment.request.as_ref().filter(|_| waits) {
        receive::code(ui, scene, &payment, text);
    }
    if let Some(job) = payment.job
        && ui.add(Btn::new("Open its job").leads()).clicked()
    {
        scene.act(Act::Inspect(Subject::Job(job)));
    }
    section(ui, "Proofs");
    ui.scope(|ui| ladder::ladder(ui, &present::rungs(&payment)));
    if payment.state == PaymentState::Settled {
        let id = ActionId::CopyReceipt;
        let tip = button::tooltip(id, scene.mac);
        if ui.add(Btn::new(id.title()).icon(Icon::Receipt).tooltip(tip)).clicked() {
            scene.copy("Receipt", present::receipt(&payment, scene.view.network));
        }
    }
    section(ui, "Timeline");
    steps(ui, scene, &payment);
    section(ui, "Facts");
    let known = wallet::facts(&payment, scene.view, scene.clock);
    let chosen = ui.scope(|ui| facts::facts(ui, &known)).inner;
    copied(scene, chosen);
}

/// What the log says of it; each step opens its event.
fn steps(ui: &mut Ui, scene: &mut Scene<'_>, payment: &PaymentView) {
    match scene.courier.steps(payment) {
        Load::Waiting => notice::loading(ui, "Reading its timeline"),
        Load::Failed(error) => {
            match notice::error(ui, "Its timeline could not be read", &error, true) {
                Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                    scene.courier.forget_steps(payment);
                }
                Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
                None => {}
            }
        }
        Load::Ready(rows) => {
            let steps = present::steps(payment, &rows, scene.clock);
            if steps.is_empty() {
                label::muted(ui, "The log has no step of its own for it; its job's log has.");
            }
            let at = ui.scope(|ui| timeline::timeline(ui, &steps).map(|step| step.seq)).inner;
            if let Some(position) = at {
                scene.act(Act::Inspect(Subject::Event(position)));
            }
        }
    }
}
