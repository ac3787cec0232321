//! Receiving: a rail, an amount and a memo become something to be paid by, shown until it is paid.

use domain::Msat;
use egui::{Id, Ui};
use engine::{
    Command,
    view::{AccountId, PaymentState, PaymentView, Rail},
    wire,
};

use crate::{
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{Tone, approval::left, wallet, words},
    scene::{Act, Scene},
    state::{Expiry, ReceiveForm, State, WalletPanel},
    widgets::{self, Btn, Field, badge, button, label, notice, panel, picker, qr},
};

use super::approval::tick;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::card(ui, |ui| {
        panel::section(ui, "Receive", |ui| {
            if widgets::icon_button(ui, Icon::Cross, "Close receive", "").clicked() {
                state.wallet.panel = WalletPanel::Closed;
            }
        });
        let started = state.wallet.receive.started.clone();
        let payment = started.as_ref().and_then(|key| wallet::find(scene.view, key)).cloned();
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.vertical(|ui| {
                ui.set_width(look.size.field.min(ui.available_width()));
                ui.spacing_mut().item_spacing.x = look.space.s;
                form(ui, scene, state);
            });
            if started.is_some() {
                ui.add_space(look.space.xl);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.x = look.space.s;
                    match &payment {
                        Some(payment) => request(ui, scene, payment),
                        None => notice::loading(ui, "Asking the wallet"),
                    }
                });
            }
        });
    });
}

/// A rail by what is made on it, short enough for one of several choices.
fn short(rail: Rail) -> &'static str {
    match rail {
        Rail::Bolt11 => "Invoice",
        Rail::Bolt12 => "Offer",
        Rail::Onchain => "Address",
        Rail::Spark => "Spark",
        Rail::Keysend => "Keysend",
        Rail::Ecash => "Ecash",
    }
}

/// What is made, as a button and a sentence call it.
fn thing(rail: Rail, amount: bool) -> &'static str {
    match (rail, amount) {
        (Rail::Bolt11, _) => "invoice",
        (Rail::Bolt12, _) => "offer",
        (Rail::Onchain, _) => "address",
        (Rail::Spark, true) => "Spark invoice",
        (Rail::Spark, false) => "Spark address",
        (Rail::Keysend | Rail::Ecash, _) => "request",
    }
}

fn help(rail: Rail) -> &'static str {
    match rail {
        Rail::Bolt11 => "Paid once, over Lightning, in seconds.",
        Rail::Bolt12 => "Paid over Lightning as often as you like; it does not expire.",
        Rail::Onchain => "A Bitcoin transaction: some ten minutes and more, with a miner's fee.",
        Rail::Spark => "From other Spark wallets. With an amount it can be paid once.",
        Rail::Keysend | Rail::Ecash => "",
    }
}

/// What this wallet can make something to be paid by for.
fn offered(scene: &Scene<'_>) -> Vec<(Rail, String)> {
    let makes = |rail: &&Rail| !matches!(rail, Rail::Keysend | Rail::Ecash);
    let rails = scene.view.wallet.receives.iter().filter(makes);
    let all: Vec<_> = rails.map(|rail| (*rail, short(*rail).to_owned())).collect();
    if all.is_empty() { vec![(Rail::Bolt11, short(Rail::Bolt11).to_owned())] } else { all }
}

/// The amount as it is typed; nothing typed leaves it to the payer.
fn amount(form: &ReceiveForm) -> Result<Option<Msat>, String> {
    if form.amount.trim().is_empty() {
        return Ok(None);
    }
    let amount = words::parse_sat(&form.amount)?;
    let whole = matches!(form.rail, Rail::Onchain | Rail::Spark);
    if amount.is_zero() {
        return Err("Ask for at least something, or leave it empty.".into());
    }
    if whole && !amount.get().is_multiple_of(1_000) {
        return Err("Only whole satoshi can be paid that way.".into());
    }
    Ok(Some(amount))
}

fn form(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let purpose = Purpose::Receive;
    let rails = offered(scene);
    let form = &mut state.wallet.receive;
    if !rails.iter().any(|(rail, _)| *rail == form.rail) {
        form.rail = rails[0].0;
    }
    let mut changed = false;
    if rails.len() > 1 {
        label::colored(ui, "What to be paid by", Face::Caption, look.color.muted);
        if let Some(rail) = button::segments(ui, "Paid by", form.rail, &rails) {
            form.rail = rail;
            changed = true;
        }
    }
    label::caption(ui, help(form.rail));
    let asked = amount(form);
    let fault = asked.as_ref().err().filter(|_| form.tried).cloned();
    let field = Field::new("Amount").hint("2,100").suffix("sat").fault(fault);
    let field = field.help("Left empty, the payer chooses.");
    let amount_field = field.show(ui, Id::unique("receive-amount"), &mut form.amount);
    let memo = Field::new("Memo").hint("What it is for").help("The payer sees it.");
    let memo_field = memo.show(ui, Id::unique("receive-memo"), &mut form.memo);
    let expires = matches!(form.rail, Rail::Bolt11 | Rail::Spark);
    if expires {
        label::colored(ui, "Can be paid for", Face::Caption, look.color.muted);
        let all = Expiry::ALL.map(|expiry| (expiry, expiry.words().to_owned()));
        if let Some(expiry) = button::segments(ui, "Can be paid for", form.expiry, &all) {
            form.expiry = expiry;
            changed = true;
        }
    }
    changed |= account(ui, scene, form);
    if amount_field.changed() || memo_field.changed() || changed {
        form.key = None;
    }
    let busy = scene.courier.busy(&purpose).is_some();
    let what = thing(form.rail, matches!(asked, Ok(Some(_))));
    let words = match &asked {
        Ok(Some(amount)) => format!("Make {what} for {amount}"),
        _ => format!("Make {what}"),
    };
    ui.add_space(look.space.xs);
    let make = Btn::new(words).primary().full_width().busy(busy).name(format!("Make {what}"));
    let make = ui.add(make);
    let entered = amount_field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
    if make.clicked() || entered {
        form.tried = true;
        if let Ok(amount_msat) = asked {
            let command = command(form, scene, amount_msat);
            scene.act(Act::Send(purpose.clone(), command));
        }
    }
    scene.error_of(ui, state, &purpose);
}

/// Into whose money it goes, where sub-wallets have their own.
fn account(ui: &mut Ui, scene: &Scene<'_>, form: &mut ReceiveForm) -> bool {
    let own = scene.view.wallet.accounts.iter();
    let own = own.filter(|one| one.account.isolated && !one.closed);
    let mut all = vec![(AccountId::operator(), "Yours".to_owned())];
    all.extend(own.map(|one| (one.account.id.clone(), words::one_line(&one.account.name))));
    let width = ui.available_width();
    if all.len() > 1
        && let Some(chosen) = picker::picker(ui, "Into", width, &form.account, &all)
    {
        form.account = chosen;
        return true;
    }
    false
}

fn command(form: &mut ReceiveForm, scene: &mut Scene<'_>, amount_msat: Option<Msat>) -> Command {
    let key = form.key.get_or_insert_with(|| scene.keys.payment()).clone();
    Command::WalletReceive(wire::Receive {
        key,
        account: form.account.clone(),
        rail: form.rail,
        amount_msat,
        memo: words::one_line(&form.memo),
        expiry_secs: form.expiry.secs(),
    })
}

fn request(ui: &mut Ui, scene: &mut Scene<'_>, payment: &PaymentView) {
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
            let detail = payment.detail.as_deref().map(words::one_line);
            label::text(ui, detail.unwrap_or_else(|| "Nothing was received.".into()));
        }
        (_, Some(text)) => code(ui, scene, payment, text),
        (_, None) => notice::loading(ui, "Asking the wallet"),
    }
    if payment.rail == Rail::Onchain && payment.state != PaymentState::Settled {
        label::colored(
            ui,
            "It counts once the network has confirmed it.",
            Face::Caption,
            look.color.faint,
        );
    }
}

/// The code to be scanned, the text to be copied, and how long it holds.
pub fn code(ui: &mut Ui, scene: &mut Scene<'_>, payment: &PaymentView, text: &str) {
    let look = look(ui.ctx());
    let thing = thing(payment.rail, !payment.amount_msat.is_zero());
    let what = words::sentence(thing);
    if qr::qr(ui, text, &format!("{what} as a QR code")).is_none() {
        label::caption(ui, "It is too long for a QR code; copy it instead.");
    }
    label::colored(ui, words::middle(text, 18, 8), Face::Mono, look.color.muted);
    match payment.expires_at {
        Some(at) => {
            if let Some(left) = left(at, scene.clock) {
                let until = scene.clock.moment(at);
                label::caption(ui, format!("Can be paid for {left} more, until {until}"));
                tick(ui, scene, at);
            } else {
                label::caption(ui, "Its time is over; the wallet says so in a moment.");
            }
        }
        None => {
            label::caption(ui, "It does not expire.");
        }
    }
    if ui.add(Btn::new(format!("Copy {thing}")).icon(Icon::Copy)).clicked() {
        scene.copy(&what, text);
    }
}
