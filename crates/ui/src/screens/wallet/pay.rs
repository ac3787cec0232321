//! Paying: any text is read by the wallet, shown for review, and sent only after a second yes.

use egui::{Id, Ui};
use engine::{
    view::{PaymentState, PaymentView},
    wire::QuoteQuery,
};

use crate::{
    actions::{ActionId, Subject},
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{Tone, job::Fact, wallet, words},
    scene::{Act, Scene},
    state::{PayForm, State, WalletPanel},
    widgets::{self, Btn, Field, badge, button, facts, label, notice, panel, picker},
};

use super::{approval, review};

/// Longer text is nothing that can be paid; the wallet refuses it too.
const MAX_CHARS: usize = 8_192;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::card(ui, |ui| {
        panel::section(ui, "Pay", |ui| {
            if widgets::icon_button(ui, Icon::Cross, "Close pay", "").clicked() {
                state.wallet.panel = WalletPanel::Closed;
            }
        });
        let started = state.wallet.pay.started.clone();
        let payment = started.as_ref().and_then(|key| wallet::find(scene.view, key)).cloned();
        match (started.is_some(), &payment) {
            (true, Some(payment)) => {
                narrow(ui, look.size.form, |ui| outcome(ui, scene, state, payment));
            }
            (true, None) => notice::loading(ui, "Handing the payment to the wallet"),
            (false, _) => form(ui, scene, state),
        }
        scene.error_of(ui, state, &Purpose::Pay);
    });
}

fn narrow(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    ui.scope(|ui| {
        ui.set_max_width(width.min(ui.available_width()));
        add(ui);
    });
}

/// What the wallet is to be asked, by what is typed now; absent while there is nothing to ask.
fn wanted(form: &PayForm) -> Option<QuoteQuery> {
    let request = form.text.trim();
    if request.is_empty() || request.chars().count() > MAX_CHARS {
        return None;
    }
    let typed = form.needs_amount && !form.amount.trim().is_empty();
    let amount_msat = if typed { Some(words::parse_sat(&form.amount).ok()?) } else { None };
    let account = form.account.clone();
    Some(QuoteQuery { request: request.to_owned(), account, amount_msat, lnurl: None })
}

/// Has the wallet read what is typed now, unless it has or does already.
fn keep_read(form: &mut PayForm, scene: &mut Scene<'_>) {
    let wanted = wanted(form);
    if wanted == form.asked || scene.courier.calls.busy(&Call::Quote) {
        return;
    }
    let same_text = form.asked.as_ref().map(|asked| &asked.request)
        == wanted.as_ref().map(|wanted| &wanted.request);
    if !same_text {
        form.needs_amount = false;
        form.amount.clear();
    }
    form.max_fee.clear();
    (form.read, form.key, form.confirming) = (None, None, false);
    if let Some(query) = &wanted
        && let Ok(params) = serde_json::to_value(query)
    {
        scene.act(Act::Ask(Call::Quote, params));
    }
    form.asked = wanted;
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let wide = ui.available_width() > look.size.form * 1.7;
    if !wide {
        input(ui, scene, state);
        ui.add_space(look.space.s);
        read(ui, scene, state);
        return;
    }
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        let rest = ui.available_width() - look.size.form - look.space.xl;
        ui.vertical(|ui| {
            ui.set_width(look.size.form);
            ui.spacing_mut().item_spacing.x = look.space.s;
            input(ui, scene, state);
        });
        ui.add_space(look.space.xl);
        ui.vertical(|ui| {
            ui.set_width(rest);
            ui.spacing_mut().item_spacing.x = look.space.s;
            read(ui, scene, state);
        });
    });
}

fn input(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let form = &mut state.wallet.pay;
    let too_long = form.text.trim().chars().count() > MAX_CHARS;
    let fault = too_long.then(|| "This is too long to be something that can be paid.".to_owned());
    let field = Field::new("Pay to")
        .hint("An invoice, an offer, an address, name@host, or a lightning: link")
        .fault(fault.or_else(|| form.scan_fault.clone()))
        .rows(3)
        .mono();
    let response = field.show(ui, Id::unique("pay-to"), &mut form.text);
    if std::mem::take(&mut form.focus_text) {
        response.request_focus();
    }
    if response.changed() {
        form.scan_fault = None;
    }
    ui.horizontal_wrapped(|ui| {
        let id = ActionId::ScanImage;
        let busy = scene.courier.scanning();
        let paste = Btn::new("Paste").icon(Icon::Copy).busy(busy);
        let tip = "Paste what was copied: a text, or an image with a QR code";
        if ui.add(paste.tooltip(format!("{tip}  ({})", button_key(id, scene.mac)))).clicked() {
            scene.act(Act::Run(id));
        }
        if !form.text.is_empty() && ui.add(Btn::new("Clear").quiet()).clicked() {
            *form = PayForm { account: form.account.clone(), ..PayForm::default() };
        }
    });
    account(ui, scene, form);
    if form.needs_amount {
        let typed = words::parse_sat(&form.amount);
        let fault = typed.err().filter(|_| !form.amount.trim().is_empty());
        let amount = Field::new("Amount").hint("2,100").suffix("sat").fault(fault);
        let amount = amount.width(look.size.field).help("The request leaves it to you.");
        amount.show(ui, Id::unique("pay-amount"), &mut form.amount);
    }
    keep_read(form, scene);
}

fn button_key(id: ActionId, mac: bool) -> String {
    id.shortcut(mac).unwrap_or_default()
}

/// Whose money it is, where there is more than one.
fn account(ui: &mut Ui, scene: &Scene<'_>, form: &mut PayForm) {
    let look = look(ui.ctx());
    let open = scene.view.wallet.accounts.iter().filter(|one| !one.closed);
    let mut all = vec![(engine::view::AccountId::operator(), "Yours".to_owned())];
    all.extend(open.map(|one| (one.account.id.clone(), words::one_line(&one.account.name))));
    if all.len() > 1
        && let Some(chosen) = picker::picker(ui, "From", look.size.field, &form.account, &all)
    {
        form.account = chosen;
    }
}

/// What the wallet read, or why it could not.
fn read(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let form = &state.wallet.pay;
    match &form.read {
        Some(Ok(_)) => review::show(ui, scene, state),
        Some(Err(error)) if error.code == "amount_needed" => {
            label::text(ui, words::one_line(&error.message));
        }
        Some(Err(error)) => {
            let error = error.clone();
            match notice::error(ui, Call::Quote.title(), &error, error.retryable) {
                Some(notice::ErrorAnswer::Retry) => state.wallet.pay.asked = None,
                Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
                Some(notice::ErrorAnswer::Dismiss) => state.wallet.pay = PayForm::default(),
                None => {}
            }
        }
        None if form.asked.is_some() => notice::loading(ui, "The wallet reads it"),
        None => {
            label::caption(ui, "What it asks is shown before anything is paid.");
        }
    }
}

fn outcome(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, payment: &PaymentView) {
    let look = look(ui.ctx());
    let row = wallet::PaymentRow::of(payment, scene.view, scene.clock);
    if payment.state == PaymentState::AwaitingApproval {
        approval::body(ui, scene, state, payment);
    } else {
        ui.horizontal(|ui| {
            badge::badge(ui, row.tone, row.state);
            if let Some((words, explain)) = words::network_badge(scene.view.network) {
                badge::practice(ui, words, explain);
            }
        });
    }
    match payment.state {
        PaymentState::Settled => proof(ui, scene, payment),
        PaymentState::Failed | PaymentState::Expired => {
            label::text(ui, "Nothing was paid.");
            if let Some(detail) = &payment.detail {
                label::colored(ui, words::one_line(detail), Face::Body, look.color.muted);
            }
        }
        PaymentState::Unknown => notice::blocker(
            ui,
            "Money may have moved.",
            Some("The wallet is looking the payment up by its exact key. Don't pay it again."),
        ),
        PaymentState::AwaitingApproval => {}
        PaymentState::Requested | PaymentState::Pending => {
            notice::loading(ui, &format!("{} is on its way", payment.amount_msat));
        }
    }
    let over = !matches!(payment.state, PaymentState::Requested | PaymentState::Pending);
    ui.horizontal_wrapped(|ui| {
        if over && ui.add(Btn::new("Pay something else")).clicked() {
            state.wallet.pay = PayForm { focus_text: true, ..PayForm::default() };
        }
        let details = Btn::new("Open payment").quiet().leads();
        if payment.state != PaymentState::AwaitingApproval && ui.add(details).clicked() {
            scene.act(Act::Inspect(Subject::Payment(payment.key.clone())));
        }
    });
}

/// Paid: how much, the fee apart, and what proves it.
fn proof(ui: &mut Ui, scene: &mut Scene<'_>, payment: &PaymentView) {
    ui.horizontal(|ui| {
        widgets::dot(ui, Tone::Good);
        label::heading(ui, format!("Paid {}", payment.amount_msat));
    });
    let mut known = vec![Fact::plain("Fee", words::amount_or_unknown(payment.fee_msat))];
    known.extend(payment.preimage.map(|preimage| Fact::long("Preimage", preimage)));
    known.extend(payment.reference.as_ref().map(|known| Fact::long("Reference", known)));
    let chosen = ui.scope(|ui| facts::facts(ui, &known)).inner;
    if let Some((label, text)) = chosen {
        scene.copy(label, text);
    }
    let id = ActionId::CopyReceipt;
    let tip = button::tooltip(id, scene.mac);
    if ui.add(Btn::new(id.title()).icon(Icon::Receipt).tooltip(tip)).clicked() {
        let receipt = crate::present::payment::receipt(payment, scene.view.network);
        scene.copy("Receipt", receipt);
    }
}
