//! Paying: what an invoice asks is shown before anything is sent, and asked once more.

use domain::Msat;
use egui::{Id, Ui};
use engine::{
    Command,
    view::{PaymentState, PaymentView},
    wire,
};

use crate::{
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{
        Tone,
        invoice::{self, InvoiceFacts},
        job::Fact,
        wallet, words,
    },
    scene::{Act, Scene},
    state::{PayForm, State, WalletPanel},
    widgets::{self, Btn, Field, badge, facts, label, notice, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::card(ui, |ui| {
        panel::section(ui, "Pay", |ui| {
            if widgets::icon_button(ui, Icon::Cross, "Close pay", "").clicked() {
                state.wallet.panel = WalletPanel::Closed;
            }
        });
        let payment = state
            .wallet
            .pay
            .started
            .as_ref()
            .and_then(|key| wallet::find(scene.view, key))
            .cloned();
        ui.scope(|ui| {
            ui.set_width(look.size.form.min(ui.available_width()));
            if state.wallet.pay.started.is_some() {
                match &payment {
                    Some(payment) => outcome(ui, scene, state, payment),
                    None => notice::loading(ui, "Handing the payment to the wallet"),
                }
            } else {
                form(ui, scene, state);
            }
        });
        scene.error_of(ui, state, &Purpose::Pay);
    });
}

/// Reads the pasted text again only when it has changed.
fn read<'a>(form: &'a mut PayForm, scene: &Scene<'_>) -> Option<&'a Result<InvoiceFacts, String>> {
    if form.text.trim().is_empty() {
        form.read = None;
        return None;
    }
    let known = form.read.as_ref().is_some_and(|(text, _)| *text == form.text);
    if !known {
        let facts = invoice::read(&form.text, scene.view.network, scene.now());
        if let Ok(facts) = &facts {
            form.max_fee = words::edit_sat(invoice::usual_max_fee(facts.amount_msat));
        }
        form.read = Some((form.text.clone(), facts));
        form.key = None;
        form.confirming = false;
    }
    form.read.as_ref().map(|(_, facts)| facts)
}

/// Why this can't be paid, in the tone of the house.
fn obstacle(facts: &InvoiceFacts, fee: Msat, scene: &Scene<'_>) -> Option<String> {
    if facts.expires_at <= scene.now() {
        return Some("This invoice has expired. Nothing was paid. Ask for a new one.".into());
    }
    let balance = scene.view.wallet.balance_msat?;
    let most = facts.amount_msat.saturating_add(fee);
    (most > balance).then(|| {
        format!(
            "This takes up to {most} with fees, and the balance is {balance}. Nothing was paid. \
             Receive more first, or lower the most in fees."
        )
    })
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let form = &mut state.wallet.pay;
    let field = Field::new("Invoice").hint("Paste lnbc…, lntb… or lnbcrt…").rows(3).mono();
    let fault = match read(form, scene) {
        Some(Err(fault)) => Some(fault.clone()),
        _ => None,
    };
    field.fault(fault).show(ui, Id::unique("pay-invoice"), &mut form.text);
    let facts = match read(form, scene) {
        Some(Ok(facts)) => facts.clone(),
        _ => {
            label::caption(ui, "What it asks is shown before anything is paid.");
            return;
        }
    };
    ui.add_space(look.space.xs);
    label::colored(ui, facts.amount_msat.to_string(), Face::Hero, look.color.text);
    if let Some((words, explain)) = words::network_badge(scene.view.network) {
        badge::practice(ui, words, explain);
    }
    let chosen = ui.scope(|ui| facts::facts(ui, &rows(&facts, scene))).inner;
    if let Some((label, text)) = chosen {
        scene.copy(label, text);
    }
    let fee = words::parse_sat(&form.max_fee);
    let fee_field = Field::new("Most in fees").suffix("sat").fault(fee.as_ref().err().cloned());
    let width = look.size.field_short;
    let response = fee_field.width(width).show(ui, Id::unique("pay-fee"), &mut form.max_fee);
    if response.changed() {
        form.key = None;
        form.confirming = false;
    }
    confirm(ui, scene, form, &facts, fee.ok());
}

fn rows(facts: &InvoiceFacts, scene: &Scene<'_>) -> Vec<Fact> {
    let description = if facts.description.is_empty() { "none" } else { &facts.description };
    vec![
        Fact::plain("For", description),
        Fact::long("To", &facts.payee),
        Fact::plain("Expires", scene.clock.moment(facts.expires_at)),
        Fact::long("Payment hash", facts.payment_hash),
    ]
}

fn confirm(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    form: &mut PayForm,
    facts: &InvoiceFacts,
    fee: Option<Msat>,
) {
    let amount = facts.amount_msat;
    let Some(fee) = fee else { return };
    if let Some(obstacle) = obstacle(facts, fee, scene) {
        notice::blocker(ui, &obstacle, None);
        return;
    }
    let busy = scene.courier.busy(&Purpose::Pay).is_some();
    if !form.confirming {
        if ui.add(Btn::new(format!("Pay {amount}")).primary().full_width().busy(busy)).clicked() {
            form.confirming = true;
        }
        return;
    }
    label::text(ui, format!("Pay {amount}, and at most {fee} in fees? It can't be taken back."));
    ui.horizontal(|ui| {
        if ui.add(Btn::new(format!("Pay {amount} now")).primary().busy(busy)).clicked() {
            let key = form.key.get_or_insert_with(|| scene.keys.payment()).clone();
            let pay = wire::Pay::invoice(key, facts.bolt11.clone(), amount, fee);
            scene.act(Act::Send(Purpose::Pay, Command::WalletPay(pay)));
        }
        if ui.add(Btn::new("Not now")).clicked() {
            form.confirming = false;
        }
    });
}

fn outcome(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, payment: &PaymentView) {
    let look = look(ui.ctx());
    let row = wallet::PaymentRow::of(payment, scene.view, scene.clock);
    badge::badge(ui, row.tone, row.state);
    match payment.state {
        PaymentState::Settled => {
            ui.horizontal(|ui| {
                widgets::dot(ui, Tone::Good);
                label::heading(ui, format!("Paid {}", payment.amount_msat));
            });
            label::muted(ui, row.fee);
        }
        PaymentState::Failed | PaymentState::Expired => {
            label::text(ui, "Nothing was paid.");
            if let Some(detail) = &payment.detail {
                label::colored(ui, words::one_line(detail), Face::Body, look.color.muted);
            }
        }
        PaymentState::Unknown => notice::blocker(
            ui,
            "Money may have moved.",
            Some("The wallet is looking the payment up by its hash. Don't pay it again."),
        ),
        PaymentState::AwaitingApproval => approval(ui, scene, payment),
        PaymentState::Requested | PaymentState::Pending => {
            notice::loading(ui, &format!("{} is on its way", payment.amount_msat));
        }
    }
    let over = !matches!(payment.state, PaymentState::Requested | PaymentState::Pending);
    if over && ui.add(Btn::new("Pay another invoice")).clicked() {
        state.wallet.pay = PayForm::default();
    }
}

/// Nothing was sent: the operator lets it go above its limit, or does not.
fn approval(ui: &mut Ui, scene: &mut Scene<'_>, payment: &PaymentView) {
    let why = payment.waits_for.as_ref().map_or("It is above a limit.", |error| &error.message);
    notice::blocker(ui, why, None);
    let busy = scene.courier.busy(&Purpose::Pay).is_some();
    ui.horizontal(|ui| {
        let pay = format!("Pay {} all the same", payment.amount_msat);
        for (label, approve) in [(pay.as_str(), true), ("Don't pay", false)] {
            let button = Btn::new(label).busy(busy);
            if ui.add(if approve { button.primary() } else { button }).clicked() {
                let command = Command::WalletAnswer { key: payment.key.clone(), approve };
                scene.act(Act::Send(Purpose::Pay, command));
            }
        }
    });
}
