//! Limits of the whole wallet: what holds, how much of the day is used, and changing them.

use egui::{Id, Ui};
use engine::{
    SpendLimits,
    wire::{LimitsView, SetLimits},
};

use crate::{
    actions::ActionId,
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::words,
    scene::{Act, Scene, env},
    state::{LimitsForm, State},
    widgets::{
        self, Btn, Field, label,
        meter::{self, Meter},
        notice, panel,
    },
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let port = scene.courier.port().clone();
    let limits = scene.courier.calls.limits.look(&*port);
    if let Some(error) = scene.courier.calls.limits.failed().cloned() {
        match notice::error(ui, "The limits could not be read", &error, true) {
            Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                scene.courier.calls.limits.changed();
            }
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            None => {}
        }
    }
    panel::card(ui, |ui| match &limits {
        Some(limits) => holds(ui, scene, state, limits),
        None if scene.courier.calls.limits.failed().is_some() => {
            label::colored(ui, words::UNKNOWN, Face::Heading, look(ui.ctx()).color.waiting);
            label::muted(ui, "The wallet keeps to its limits all the same.");
        }
        None => notice::loading(ui, "Reading the limits"),
    });
    if state.wallet.limits.is_some() {
        form(ui, scene, state, limits.as_deref());
    }
}

fn holds(ui: &mut Ui, scene: &mut Scene<'_>, state: &State, view: &LimitsView) {
    let look = look(ui.ctx());
    let limits = &view.limits;
    let left = limits.per_day_msat.saturating_sub(view.spent_msat);
    let text = format!("{} of {} used, {left} left", view.spent_msat, limits.per_day_msat);
    label::colored(ui, "In any 24 hours", Face::Caption, look.color.faint);
    label::title(ui, &text);
    let parts = Meter::of(view.spent_msat.get(), limits.per_day_msat.get());
    meter::meter(ui, parts, &format!("Last 24 hours: {text}"));
    label::caption(ui, "Fees, and what is on its way or unknown, count in full.");
    ui.add_space(look.space.xs);
    panel::rule(ui);
    ui.add_space(look.space.xs);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = look.space.xxl;
        for (name, amount) in
            [("One payment", limits.per_payment_msat), ("One fee", limits.max_fee_msat)]
        {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                label::colored(ui, name, Face::Caption, look.color.faint);
                label::strong(ui, format!("at most {amount}"));
            });
        }
    });
    label::muted(ui, "A payment above a limit waits for you; nothing is sent before.");
    let env = env(scene.view, state);
    if ui.add(Btn::action(ActionId::ChangeLimits, &env, scene.mac)).clicked() {
        scene.acts.push(Act::Run(ActionId::ChangeLimits));
    }
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, now: Option<&LimitsView>) {
    let look = look(ui.ctx());
    ui.add_space(look.space.s);
    panel::form_card(ui, |ui| {
        let mut close = false;
        panel::section(ui, "Change limits", |ui| {
            close = widgets::icon_button(ui, Icon::Cross, "Close form", "").clicked();
        });
        let Some(form) = &mut state.wallet.limits else { return };
        let Some(now) = now else { return notice::loading(ui, "Reading the limits") };
        fill(form, &now.limits);
        let parsed =
            [&form.per_payment, &form.per_day, &form.max_fee].map(|text| words::parse_sat(text));
        let third = (ui.available_width() - 2.0 * look.space.s) / 3.0;
        ui.horizontal_top(|ui| {
            let fields = [
                ("One payment", &mut form.per_payment),
                ("24 hours", &mut form.per_day),
                ("One fee", &mut form.max_fee),
            ];
            for ((name, text), parsed) in fields.into_iter().zip(&parsed) {
                let fault = parsed.as_ref().err().map(|_| "An amount in sat.".to_owned());
                let field = Field::new(name).suffix("sat").fault(fault).width(third);
                field.show(ui, Id::unique(("limits", name)), text);
            }
        });
        let chosen = match parsed {
            [Ok(per_payment_msat), Ok(per_day_msat), Ok(max_fee_msat)] => {
                Some(SpendLimits { per_payment_msat, per_day_msat, max_fee_msat })
            }
            _ => None,
        };
        label::text(ui, effect(chosen.as_ref(), now));
        let same = chosen == Some(now.limits);
        let why = match (chosen.is_none(), same) {
            (true, _) => Some("An amount is missing.".to_owned()),
            (false, true) => Some("These hold already.".to_owned()),
            _ => None,
        };
        let busy = scene.courier.calls.busy(&Call::SetLimits);
        let keep = ui.add(Btn::new("Keep limits").primary().busy(busy).blocked(why));
        if keep.clicked()
            && let Some(limits) = chosen
            && let Ok(params) = serde_json::to_value(SetLimits { limits })
        {
            scene.act(Act::Ask(Call::SetLimits, params));
        }
        scene.error_of(ui, state, &Purpose::Call(Call::SetLimits));
        if close {
            state.wallet.limits = None;
        }
    });
}

fn fill(form: &mut LimitsForm, limits: &SpendLimits) {
    if !std::mem::replace(&mut form.filled, true) {
        form.per_payment = words::edit_sat(limits.per_payment_msat);
        form.per_day = words::edit_sat(limits.per_day_msat);
        form.max_fee = words::edit_sat(limits.max_fee_msat);
    }
}

/// What the change does, before it is done.
fn effect(chosen: Option<&SpendLimits>, now: &LimitsView) -> String {
    match chosen {
        None => "Nothing changes until every amount is there.".into(),
        Some(chosen) if chosen.per_day_msat <= now.spent_msat => format!(
            "{} of the last 24 hours are used already: every payment waits for you then.",
            now.spent_msat
        ),
        Some(chosen) => format!(
            "From now on up to {} a payment and {} in 24 hours go without asking you.",
            chosen.per_payment_msat, chosen.per_day_msat
        ),
    }
}
