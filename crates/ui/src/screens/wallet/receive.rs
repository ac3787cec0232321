//! Receiving: an amount and a memo become an invoice, shown as a QR code until it is paid.

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
    present::{Tone, wallet, words},
    scene::{Act, Scene},
    state::{ReceiveForm, State, WalletPanel},
    widgets::{self, Btn, Field, badge, label, notice, panel, qr},
};

/// How long an invoice can be paid: an hour.
const EXPIRY_SECS: u32 = 3_600;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::card(ui, |ui| {
        panel::section(ui, "Receive", |ui| {
            if widgets::icon_button(ui, Icon::Cross, "Close receive", "").clicked() {
                state.wallet.panel = WalletPanel::Closed;
            }
        });
        let payment = state
            .wallet
            .receive
            .started
            .as_ref()
            .and_then(|key| wallet::find(scene.view, key))
            .cloned();
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.vertical(|ui| {
                ui.set_width(look.size.field.min(ui.available_width()));
                ui.spacing_mut().item_spacing.x = look.space.s;
                form(ui, scene, state);
            });
            if state.wallet.receive.started.is_some() {
                ui.add_space(look.space.xl);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.x = look.space.s;
                    match &payment {
                        Some(payment) => invoice(ui, scene, payment),
                        None => notice::loading(ui, "Asking the wallet for an invoice"),
                    }
                });
            }
        });
    });
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let purpose = Purpose::Receive;
    let form = &mut state.wallet.receive;
    let amount = words::parse_sat(&form.amount).and_then(|amount| match amount {
        Msat::ZERO => Err("Ask for at least something.".to_owned()),
        amount => Ok(amount),
    });
    let fault = amount.as_ref().err().filter(|_| form.tried).cloned();
    let field = Field::new("Amount").hint("2,100").suffix("sat").fault(fault);
    let amount_field = field.show(ui, Id::unique("receive-amount"), &mut form.amount);
    let memo = Field::new("Memo").hint("What it is for").help("The payer sees it.");
    let memo_field = memo.show(ui, Id::unique("receive-memo"), &mut form.memo);
    if amount_field.changed() || memo_field.changed() {
        form.key = None;
    }
    let busy = scene.courier.busy(&purpose).is_some();
    let words = amount.as_ref().map_or("Make invoice".into(), |a| format!("Make invoice for {a}"));
    let make = ui.add(Btn::new(words).primary().full_width().busy(busy).name("Make invoice"));
    let entered = amount_field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
    if make.clicked() || entered {
        form.tried = true;
        if let Ok(amount_msat) = amount {
            let command = command(form, scene, amount_msat);
            scene.act(Act::Send(purpose.clone(), command));
        }
    }
    scene.error_of(ui, state, &purpose);
}

fn command(form: &mut ReceiveForm, scene: &mut Scene<'_>, amount_msat: Msat) -> Command {
    let key = form.key.get_or_insert_with(|| scene.keys.payment()).clone();
    let memo = words::one_line(&form.memo);
    Command::WalletReceive(wire::Receive::invoice(key, amount_msat, memo, EXPIRY_SECS))
}

fn invoice(ui: &mut Ui, scene: &mut Scene<'_>, payment: &PaymentView) {
    let look = look(ui.ctx());
    let row = wallet::PaymentRow::of(payment, scene.view, scene.clock);
    ui.horizontal(|ui| {
        badge::badge(ui, row.tone, row.state);
        if let Some((words, explain)) = words::network_badge(scene.view.network) {
            badge::practice(ui, words, explain);
        }
    });
    match (payment.state, &payment.request) {
        (PaymentState::Settled, _) => {
            ui.horizontal(|ui| {
                widgets::dot(ui, Tone::Good);
                label::heading(ui, format!("Received {}", payment.amount_msat));
            });
        }
        (PaymentState::Failed | PaymentState::Expired, _) => {
            let detail = payment.detail.clone();
            label::text(ui, detail.unwrap_or_else(|| "Nothing was received.".into()));
        }
        (_, Some(bolt11)) => {
            qr::qr(ui, bolt11, "Invoice as a QR code");
            label::colored(ui, words::middle(bolt11, 18, 8), Face::Mono, look.color.muted);
            if let Some(at) = payment.expires_at {
                label::caption(ui, format!("Can be paid until {}", scene.clock.moment(at)));
            }
            if ui.add(Btn::new("Copy invoice").icon(Icon::Copy)).clicked() {
                scene.copy("Invoice", bolt11.clone());
            }
        }
        (_, None) => notice::loading(ui, "Asking the wallet for an invoice"),
    }
}
