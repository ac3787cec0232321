//! Connections: apps that pay from this wallet (NIP-47), each within a budget of its own.

use egui::{Align, Id, Layout, Ui};
use engine::{
    Renewal,
    wire::{AccountQuery, Budget, ConnectionCreate, ConnectionList, ConnectionView, OnLimit},
};

use crate::{
    actions::ActionId,
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::look,
    present::{Tone, words},
    scene::{Act, Scene, env},
    state::{ConnectionForm, State},
    widgets::{
        self, Btn, Field, badge, label,
        meter::{self, Meter},
        notice, panel, qr,
    },
};

use super::account_form::{RENEWALS, choose};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let port = scene.courier.port().clone();
    let list = scene.courier.calls.connections.look(&*port);
    let env = env(scene.view, state);
    let connect = Btn::action(ActionId::ConnectApp, &env, scene.mac).icon(Icon::Plus);
    if ui.add(connect).clicked() {
        scene.acts.push(Act::Run(ActionId::ConnectApp));
    }
    if state.wallet.shared.is_some() {
        shared(ui, scene, state);
        ui.add_space(look.space.s);
    }
    if state.wallet.connection.is_some() {
        form(ui, scene, state);
        ui.add_space(look.space.s);
    }
    if let Some(error) = scene.courier.calls.connections.failed().cloned() {
        match notice::error(ui, "The connections could not be read", &error, true) {
            Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                scene.courier.calls.connections.changed();
            }
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            None => {}
        }
    }
    match &list {
        None if scene.courier.calls.connections.failed().is_none() => {
            panel::card(ui, |ui| notice::loading(ui, "Reading the connections"));
        }
        None => {}
        Some(list) => all(ui, scene, state, list),
    }
}

fn all(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, list: &ConnectionList) {
    let look = look(ui.ctx());
    if let Some(trouble) = &list.trouble {
        notice::blocker(ui, &words::one_line(trouble), Some("Apps wait until it is over."));
    }
    if list.connections.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "An app that speaks Nostr Wallet Connect pays from a budget here, \
                          without holding any money itself.";
            notice::empty(ui, Icon::Key, "No app is connected", lesson, |_| {});
        });
    }
    for one in &list.connections {
        card(ui, scene, state, one);
        ui.add_space(look.space.xs);
    }
    if !list.relays.is_empty() {
        let relays: Vec<String> = list.relays.iter().map(|relay| words::one_line(relay)).collect();
        label::caption(ui, format!("Apps meet this wallet on {}.", relays.join(", ")));
    }
}

fn card(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, one: &ConnectionView) {
    let look = look(ui.ctx());
    let view = &one.account;
    let name = words::one_line(&view.account.name);
    panel::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = look.space.xs;
        ui.horizontal(|ui| {
            label::title(ui, &name);
            if view.closed {
                badge::badge(ui, Tone::Neutral, "Closed");
                return;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let close = Btn::new("Close").quiet().name(format!("Close connection {name}"));
                if ui.add(close).clicked() {
                    state.wallet.confirm_close = Some(view.account.id.clone());
                }
            });
        });
        match view.account.budget {
            Some(budget) => {
                let left = words::amount_or_unknown(view.left_msat);
                let renews = words::renewal(budget.renews);
                let (spent, whole) = (view.spent_msat, budget.amount_msat);
                let text = format!("{spent} of {whole} {renews} used, {left} left");
                label::text(ui, &text);
                let parts = Meter::of(spent.get(), whole.get());
                meter::meter(ui, parts, &format!("Budget of {name}: {text}"));
            }
            None => {
                label::text(ui, format!("No budget. {} spent or on its way", view.spent_msat));
            }
        }
        let used = match one.used_at {
            Some(at) => format!("Last asked {}.", scene.clock.moment(at)),
            None => "Not asked anything since the wallet was started.".into(),
        };
        label::caption(ui, used);
        if state.wallet.confirm_close.as_ref() == Some(&view.account.id) {
            closing(ui, scene, state, one, &name);
        }
        let purpose = Purpose::Call(Call::CloseConnection(view.account.id.clone()));
        scene.error_of(ui, state, &purpose);
    });
}

fn closing(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    state: &mut State,
    one: &ConnectionView,
    name: &str,
) {
    label::text(ui, format!("{name} can ask for nothing more. To use it again, connect it anew."));
    let id = one.account.account.id.clone();
    let call = Call::CloseConnection(id.clone());
    let busy = scene.courier.calls.busy(&call);
    ui.horizontal(|ui| {
        let yes = Btn::new("Close it").danger().busy(busy).name(format!("Close {name} for good"));
        if ui.add(yes).clicked()
            && let Ok(params) = serde_json::to_value(AccountQuery { id })
        {
            scene.act(Act::Ask(call, params));
        }
        if ui.add(Btn::new("Keep it")).clicked() {
            state.wallet.confirm_close = None;
        }
    });
}

/// What the app is given: once, as a code and to be copied.
fn shared(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let Some(shared) = &state.wallet.shared else { return };
    let mut done = false;
    panel::card(ui, |ui| {
        label::title(ui, format!("Give this to {}", shared.name));
        label::text(ui, "Whoever has it pays from its budget. It is shown once and kept nowhere.");
        qr::once(ui, &shared.uri, "Connection as a QR code");
        ui.horizontal_wrapped(|ui| {
            if ui.add(Btn::new("Copy connection").icon(Icon::Copy)).clicked() {
                scene.copy("Connection", shared.uri.clone());
            }
            done = ui.add(Btn::new("The app has it").primary()).clicked();
        });
    });
    if done {
        state.wallet.shared = None;
    }
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::form_card(ui, |ui| {
        let mut close = false;
        panel::section(ui, "Connect an app", |ui| {
            close = widgets::icon_button(ui, Icon::Cross, "Close form", "").clicked();
        });
        let Some(form) = &mut state.wallet.connection else { return };
        let checked = check(form);
        let (name_fault, budget_fault) = match &checked {
            Err((name, budget)) if form.tried => (name.clone(), budget.clone()),
            _ => (None, None),
        };
        let name = Field::new("Name").hint("Damus").fault(name_fault);
        let response = name.show(ui, Id::unique("connection-name"), &mut form.name);
        if !std::mem::replace(&mut form.opened, true) {
            response.request_focus();
        }
        let budget = Field::new("Budget").hint("none").suffix("sat").fault(budget_fault);
        let budget = budget.help("Amounts and fees together; empty for none.");
        let budget = budget.width(look.size.field);
        budget.show(ui, Id::unique("connection-budget"), &mut form.budget);
        let renewals = RENEWALS.map(|one| (one, words::renewal(one)));
        choose(ui, "The budget is for", &mut form.renews, &renewals);
        let all = [(false, "Spends from yours"), (true, "Has its own money")];
        choose(ui, "Money", &mut form.isolated, &all);
        let all = [(OnLimit::Refuse, "Refuse"), (OnLimit::Ask, "Ask me")];
        choose(ui, "Above a limit", &mut form.on_limit, &all);
        if form.budget.trim().is_empty() && !form.isolated {
            label::muted(ui, "Without a budget only the wallet's own limits hold for it.");
        }
        ui.add_space(look.space.xs);
        let busy = scene.courier.calls.busy(&Call::CreateConnection);
        if ui.add(Btn::new("Connect it").primary().busy(busy)).clicked() {
            form.tried = true;
            if let Ok(create) = checked
                && let Ok(params) = serde_json::to_value(create)
            {
                scene.act(Act::Ask(Call::CreateConnection, params));
            }
        }
        scene.error_of(ui, state, &Purpose::Call(Call::CreateConnection));
        if close {
            state.wallet.connection = None;
        }
    });
}

fn check(form: &ConnectionForm) -> Result<ConnectionCreate, (Option<String>, Option<String>)> {
    let name = words::one_line(&form.name);
    let name_fault = name.is_empty() || name.len() > 80;
    let name_fault = name_fault.then(|| "A name of up to 80 letters.".to_owned());
    let budget = match form.budget.trim() {
        "" => Ok(None),
        text => words::parse_sat(text).map(Some),
    };
    match (name_fault, budget) {
        (None, Ok(budget)) => Ok(ConnectionCreate {
            name,
            methods: None,
            isolated: form.isolated,
            budget: budget.map(|amount_msat| budget_of(amount_msat, form.renews)),
            per_payment_msat: None,
            allow: Vec::new(),
            expires_at: None,
            on_limit: form.on_limit,
            lud16: None,
        }),
        (name, budget) => Err((name, budget.err())),
    }
}

fn budget_of(amount_msat: domain::Msat, renews: Renewal) -> Budget {
    Budget { amount_msat, renews }
}
