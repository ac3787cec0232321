//! Sub-wallets: what agents and apps may spend, how much of it is used, and money of their own.

use domain::Msat;
use egui::{Align, Layout, Ui};
use engine::{
    view::{AccountId, AccountView},
    wire::{AccountKind, AccountQuery, Move, OnLimit},
};

use crate::{
    actions::ActionId,
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{Tone, wallet, words},
    scene::{Act, Scene, env},
    state::{MoveForm, State},
    widgets::{
        self, Btn, Field, badge, label,
        meter::{self, Meter},
        notice, panel, picker,
    },
};

use super::account_form;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    ui.horizontal_wrapped(|ui| {
        for id in [ActionId::NewAccount, ActionId::MoveMoney] {
            let env = env(scene.view, state);
            let button = Btn::action(id, &env, scene.mac);
            let button = match id {
                ActionId::NewAccount => button.icon(Icon::Plus),
                _ => button.icon(Icon::Market),
            };
            if ui.add(button).clicked() {
                scene.acts.push(Act::Run(id));
            }
        }
    });
    if state.wallet.account.is_some() {
        account_form::show(ui, scene, state);
    }
    if state.wallet.moving.is_some() {
        moving(ui, scene, state);
    }
    // Connections have a part of their own.
    let mut all = scene.view.wallet.accounts.clone();
    all.retain(|one| one.account.kind != AccountKind::Connection);
    all.sort_by_key(|one| one.closed);
    if all.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "An agent or an app pays from its own budget here, and never more.";
            notice::empty(ui, Icon::Wallet, "No sub-wallet yet", lesson, |_| {});
        });
        return;
    }
    for one in &all {
        card(ui, scene, state, one);
        ui.add_space(look.space.xs);
    }
}

pub fn kind(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Agent => "Agent",
        AccountKind::App => "App",
        AccountKind::Connection => "Connection",
    }
}

fn card(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, one: &AccountView) {
    let look = look(ui.ctx());
    panel::card(ui, |ui| {
        let name = words::one_line(&one.account.name);
        ui.horizontal(|ui| {
            label::title(ui, &name);
            label::muted(ui, kind(one.account.kind));
            let expired = one.account.expires_at.is_some_and(|at| at <= scene.now());
            if one.closed {
                badge::badge(ui, Tone::Neutral, "Closed");
            } else if expired {
                badge::badge(ui, Tone::Neutral, "Its time is over");
            }
            if !one.closed {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    buttons(ui, scene, &name, &one.account.id);
                });
            }
        });
        money(ui, one);
        budget(ui, one, &name);
        label::caption(ui, terms(one, scene));
        if state.wallet.confirm_close.as_ref() == Some(&one.account.id) {
            closing(ui, scene, state, one, &name);
        }
        let purpose = Purpose::Call(Call::CloseAccount(one.account.id.clone()));
        scene.error_of(ui, state, &purpose);
        ui.spacing_mut().item_spacing.y = look.space.xs;
    });
}

fn buttons(ui: &mut Ui, scene: &mut Scene<'_>, name: &str, id: &AccountId) {
    let close = Btn::new("Close").quiet().name(format!("Close sub-wallet {name}"));
    if ui.add(close).clicked() {
        scene.act(Act::ConfirmClose(id.clone()));
    }
    let change = Btn::new("Change").name(format!("Change sub-wallet {name}"));
    if ui.add(change).clicked() {
        scene.act(Act::EditAccount(id.clone()));
    }
}

fn money(ui: &mut Ui, one: &AccountView) {
    let look = look(ui.ctx());
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = look.space.xs;
        match (one.account.isolated, one.balance_msat) {
            (true, Some(balance)) => {
                label::colored(ui, balance.to_string(), Face::Heading, look.color.text);
                label::muted(ui, "of its own");
            }
            (true, None) if one.closed => {
                label::muted(ui, "What it had is yours again");
            }
            (true, None) => {
                label::colored(ui, words::UNKNOWN, Face::Heading, look.color.waiting);
                label::muted(ui, "of its own; the wallet's next word says it");
            }
            (false, _) => {
                label::muted(ui, "Spends from yours");
            }
        }
    });
}

fn budget(ui: &mut Ui, one: &AccountView, name: &str) {
    let Some(budget) = one.account.budget else {
        let text = format!("No budget. {} spent or on its way", one.spent_msat);
        label::text(ui, text);
        return;
    };
    let renews = words::renewal(budget.renews);
    let left = words::amount_or_unknown(one.left_msat);
    let text = format!("{} of {} {renews} used, {left} left", one.spent_msat, budget.amount_msat);
    label::text(ui, &text);
    let parts = Meter::of(one.spent_msat.get(), budget.amount_msat.get());
    meter::meter(ui, parts, &format!("Budget of {name}: {text}"));
}

/// What else holds, in one line.
fn terms(one: &AccountView, scene: &Scene<'_>) -> String {
    let account = &one.account;
    let mut terms = Vec::new();
    if let Some(limit) = account.per_payment_msat {
        terms.push(format!("at most {limit} for one payment"));
    }
    terms.push(match account.on_limit {
        OnLimit::Ask => "above a limit you are asked".into(),
        OnLimit::Refuse => "above a limit it is refused".into(),
    });
    match account.allow.len() {
        0 => terms.push("may pay anyone".into()),
        n => terms.push(format!("may pay {} only", words::count(n as u64, "payee"))),
    }
    if let Some(at) = account.expires_at {
        terms.push(format!("until {}", scene.clock.moment(at)));
    }
    words::sentence(&terms.join(", ")) + "."
}

fn closing(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, one: &AccountView, name: &str) {
    let back = match one.balance_msat.filter(|own| !own.is_zero()) {
        Some(own) => format!(" Its {own} become yours again."),
        None => String::new(),
    };
    let text = format!("{name} can pay nothing more, and can't be opened again.{back}");
    label::text(ui, text);
    let call = Call::CloseAccount(one.account.id.clone());
    let busy = scene.courier.calls.busy(&call);
    ui.horizontal(|ui| {
        let yes = Btn::new("Close it").danger().busy(busy).name(format!("Close {name} for good"));
        if ui.add(yes).clicked()
            && let Ok(params) = serde_json::to_value(AccountQuery { id: one.account.id.clone() })
        {
            scene.act(Act::Ask(call, params));
        }
        if ui.add(Btn::new("Keep it")).clicked() {
            state.wallet.confirm_close = None;
        }
    });
}

fn moving(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let own = scene.view.wallet.accounts.iter().filter(|one| one.account.isolated);
    let mut all = vec![(AccountId::operator(), "Yours".to_owned())];
    all.extend(own.filter(|one| !one.closed).map(|one| {
        let has = words::amount_or_unknown(one.balance_msat);
        (one.account.id.clone(), format!("{} ({has})", words::one_line(&one.account.name)))
    }));
    panel::form_card(ui, |ui| {
        panel::section(ui, "Move money", |ui| {
            if widgets::icon_button(ui, Icon::Cross, "Close move", "").clicked() {
                state.wallet.moving = None;
            }
        });
        let Some(form) = &mut state.wallet.moving else { return };
        let half = (ui.available_width() - look.space.s) / 2.0;
        let mut changed = false;
        ui.horizontal_top(|ui| {
            let mut side = |ui: &mut Ui, name: &str, value: &mut AccountId| {
                if let Some(chosen) = picker::picker(ui, name, half, value, &all) {
                    *value = chosen;
                    changed = true;
                }
            };
            side(ui, "From", &mut form.from);
            side(ui, "To", &mut form.to);
        });
        let checked = check(form);
        let fault = checked.as_ref().err().filter(|_| form.tried).cloned();
        let field = Field::new("Amount").hint("2,100").suffix("sat").fault(fault);
        let field = field.help("Nothing leaves the wallet.").width(look.size.field);
        changed |= field.show(ui, egui::Id::unique("move-amount"), &mut form.amount).changed();
        if changed {
            form.key = None;
        }
        let names = [&form.from, &form.to].map(|id| wallet::account_name(scene.view, id));
        if let Ok(amount) = &checked {
            label::text(ui, format!("{amount} from {} to {}.", names[0], names[1]));
        }
        let busy = scene.courier.calls.busy(&Call::Move);
        if ui.add(Btn::new("Move").primary().busy(busy).name("Move it")).clicked() {
            form.tried = true;
            if let Ok(amount_msat) = checked {
                let key = form.key.get_or_insert_with(|| scene.keys.payment()).clone();
                let moved = Move { key, from: form.from.clone(), to: form.to.clone(), amount_msat };
                if let Ok(params) = serde_json::to_value(moved) {
                    scene.act(Act::Ask(Call::Move, params));
                }
            }
        }
        scene.error_of(ui, state, &Purpose::Call(Call::Move));
    });
}

fn check(form: &MoveForm) -> Result<Msat, String> {
    if form.from == form.to {
        return Err("Choose two different ones.".into());
    }
    match words::parse_sat(&form.amount)? {
        Msat::ZERO => Err("Move at least something.".into()),
        amount => Ok(amount),
    }
}
