//! A payment that waits for the operator: said at the top of the screen and in the inspector.

use egui::{Align, Frame, Layout, Ui};
use engine::{Command, view::PaymentView};
use std::time::Duration;

use crate::{
    actions::{ActionId, Subject},
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{
        approval::{self, Approval},
        job::Fact,
        wallet, words,
    },
    scene::{Act, Scene},
    state::State,
    widgets::{Btn, badge, button, facts, label, notice},
};

/// Cards for the first few; the rest stand in the history.
const CARDS: usize = 3;

pub fn all(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let waiting: Vec<_> = approval::waiting(scene.view).take(CARDS).cloned().collect();
    let more = scene.data.wallet.waiting.len().saturating_sub(waiting.len());
    for payment in &waiting {
        card(ui, scene, state, payment);
        ui.add_space(look.space.s);
    }
    if more > 0 {
        let words = words::count(more as u64, "more payment");
        label::muted(ui, format!("{words} below: waiting for you."));
        ui.add_space(look.space.s);
    }
}

fn card(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, payment: &PaymentView) {
    let look = look(ui.ctx());
    let (ink, _) = badge::inks(&look, crate::present::Tone::You);
    Frame::new()
        .fill(look.color.raised)
        .stroke(egui::Stroke::new(look.size.hairline, ink))
        .corner_radius(look.radius())
        .inner_margin(look.margin(look.space.l, look.space.l))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            let one = Approval::of(payment, scene.view);
            ui.horizontal(|ui| {
                label::title(ui, &one.question);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let open = Btn::new("Open").quiet().leads().name("Open payment that waits");
                    if ui.add(open).clicked() {
                        scene.act(Act::Inspect(Subject::Payment(payment.key.clone())));
                    }
                });
            });
            body(ui, scene, state, payment);
        });
}

/// What happens, why it waits, who asks, how long there is, and the two answers.
pub fn body(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, payment: &PaymentView) {
    let look = look(ui.ctx());
    let one = Approval::of(payment, scene.view);
    ui.horizontal_wrapped(|ui| {
        badge::badge(ui, crate::present::Tone::You, "Waiting for you");
        if let Some((words, explain)) = words::network_badge(scene.view.network) {
            badge::practice(ui, words, explain);
        }
        countdown(ui, scene, &one);
    });
    label::text(ui, &one.why);
    let limits = {
        let port = scene.courier.port().clone();
        scene.courier.calls.limits.look(&*port)
    };
    let account = wallet::account(scene.view, &payment.account);
    let over = approval::over(payment.amount_msat, account, limits.as_deref());
    if let Some(over) = over {
        let words = format!("{} above {}.", over.by, over.limit);
        label::colored(ui, words, Face::Strong, look.color.text);
    }
    let known = [
        Fact::plain("What", one.what.clone()),
        match payment.payee.as_ref().or(payment.request.as_ref()) {
            Some(whole) => Fact { label: "To", shown: one.to.clone(), copy: Some(whole.clone()) },
            None => Fact::plain("To", one.to.clone()),
        },
        Fact::plain("Asked by", one.asks.clone()),
    ];
    let chosen = ui.scope(|ui| facts::facts(ui, &known)).inner;
    if let Some((label, text)) = chosen {
        scene.copy(label, text);
    }
    ui.add_space(look.space.xs);
    answers(ui, scene, &one);
    let purpose = Purpose::Approve(one.key.clone());
    scene.error_of(ui, state, &purpose);
    if let Some(detail) = &payment.detail {
        notice::blocker(ui, &words::one_line(detail), None);
    }
}

fn answers(ui: &mut Ui, scene: &mut Scene<'_>, one: &Approval) {
    let purpose = Purpose::Approve(one.key.clone());
    let busy = scene.courier.busy(&purpose).is_some();
    let late = approval::left(one.until, scene.clock).is_none();
    let late = late.then(|| "Its time is over; nothing was sent.".to_owned());
    let tips =
        [ActionId::ApprovePayment, ActionId::DenyPayment].map(|id| button::tooltip(id, scene.mac));
    let mut answer = None;
    ui.horizontal_wrapped(|ui| {
        let pay = Btn::new(&one.pay).primary().busy(busy).blocked(late).tooltip(&tips[0]);
        if ui.add(pay).clicked() {
            answer = Some(true);
        }
        if ui.add(Btn::new("Don't pay").busy(busy).tooltip(&tips[1])).clicked() {
            answer = Some(false);
        }
    });
    if let Some(approve) = answer {
        let command = Command::WalletAnswer { key: one.key.clone(), approve };
        scene.act(Act::Send(purpose, command));
    }
    label::caption(ui, "Paying can't be taken back. Nothing is sent until you say so.");
}

fn countdown(ui: &mut Ui, scene: &Scene<'_>, one: &Approval) {
    let look = look(ui.ctx());
    match approval::left(one.until, scene.clock) {
        Some(left) => {
            label::colored(ui, format!("{left} left"), Face::Body, look.color.muted);
            tick(ui, scene, one.until);
        }
        None => {
            notice::icon(ui, Icon::Hourglass, look.color.faint);
            label::muted(ui, "Its time is over");
        }
    }
}

/// Draws again when what is left reads otherwise: each second in the last hour, else each minute.
pub fn tick(ui: &Ui, scene: &Scene<'_>, until: domain::Timestamp) {
    let left_ms = until.since_ms(scene.now());
    let step = if left_ms < 3_600_000 { 1_000 } else { 60_000 };
    ui.ctx().request_repaint_after(Duration::from_millis((left_ms % step).max(200)));
}
