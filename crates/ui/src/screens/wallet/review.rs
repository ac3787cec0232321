//! The review of a payment: what it is, who gets it, what it costs at most, and what it does to
//! the limits, all before the button.

use domain::Msat;
use egui::{Id, Ui};
use engine::{
    Command,
    wire::{LimitsView, Pay, Quote},
};

use crate::{
    courier::Purpose,
    look::{Face, look},
    present::{Tone, approval, job::Fact, wallet, words},
    scene::{Act, Scene},
    state::{PayForm, Read, State},
    widgets::{
        Btn, Field, badge, facts, label,
        meter::{self, Meter},
        notice, panel,
    },
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let Some(Ok(read)) = state.wallet.pay.read.clone() else { return };
    let quote = &read.quote;
    label::colored(ui, words::rail(quote.rail), Face::Caption, look.color.muted);
    let amount = quote.amount_msat.to_string();
    let hero = look.font(Face::Hero);
    let width = label::line(ui.painter(), &amount, hero, look.color.text, f32::INFINITY).size().x;
    let face = if width > ui.available_width() { Face::Heading } else { Face::Hero };
    label::colored(ui, amount, face, look.color.text);
    if let Some((words, explain)) = words::network_badge(scene.view.network) {
        badge::practice(ui, words, explain);
    }
    let chosen = ui.scope(|ui| facts::facts(ui, &rows(&read, scene))).inner;
    if let Some((label, text)) = chosen {
        scene.copy(label, text);
    }
    let form = &mut state.wallet.pay;
    let fee = words::parse_sat(&form.max_fee);
    let fee_field = Field::new("Most in fees").suffix("sat").fault(fee.as_ref().err().cloned());
    let width = look.size.field_short;
    let response = fee_field.width(width).show(ui, Id::unique("pay-fee"), &mut form.max_fee);
    if response.changed() {
        form.key = None;
        form.confirming = false;
    }
    if let Some(refused) = &quote.refused {
        notice::blocker(ui, &words::one_line(&refused.message), refused.hint.as_deref());
        return;
    }
    let Ok(fee) = fee else { return };
    effects(ui, scene, form, quote, fee);
    if let Some(obstacle) = obstacle(quote, fee, scene) {
        notice::blocker(ui, &obstacle, None);
        return;
    }
    confirm(ui, scene, form, &read, fee);
}

fn rows(read: &Read, scene: &Scene<'_>) -> Vec<Fact> {
    let quote = &read.quote;
    let memo = words::one_line(&quote.memo);
    let memo = if memo.is_empty() { "none".to_owned() } else { memo };
    let payee = words::one_line(&quote.payee);
    let known = read.lnurl.as_ref().map(|lnurl| words::one_line(&lnurl.payee));
    let mut rows = vec![Fact::plain("For", memo)];
    rows.extend(known.map(|known| Fact::plain("Payee", known)));
    rows.push(if payee.chars().count() > 40 {
        Fact::long("To", payee)
    } else {
        Fact::plain("To", if payee.is_empty() { words::UNKNOWN.to_owned() } else { payee })
    });
    rows.push(match quote.expires_at {
        Some(at) => Fact::plain("Expires", scene.clock.moment(at)),
        None => Fact::plain("Expires", "never"),
    });
    rows.extend(quote.payment_hash.map(|hash| Fact::long("Payment hash", hash)));
    rows
}

/// Why this can't be paid as it is typed now, in the tone of the house.
fn obstacle(quote: &Quote, fee: Msat, scene: &Scene<'_>) -> Option<String> {
    if quote.expires_at.is_some_and(|at| at <= scene.now()) {
        return Some("This request has expired. Nothing was paid. Ask for a new one.".into());
    }
    let balance = scene.view.wallet.balance_msat?;
    let most = quote.amount_msat.saturating_add(fee);
    (quote.rail.is_lightning() && most > balance).then(|| {
        format!(
            "This takes up to {most} with fees, and the balance is {balance}. Nothing was paid. \
             Receive more first, or lower the most in fees."
        )
    })
}

/// What it does to the day's limit and to the budget of whose money it is.
fn effects(ui: &mut Ui, scene: &mut Scene<'_>, form: &PayForm, quote: &Quote, fee: Msat) {
    let look = look(ui.ctx());
    let most = quote.amount_msat.saturating_add(fee);
    let port = scene.courier.port().clone();
    let limits = scene.courier.calls.limits.look(&*port);
    let account = wallet::account(scene.view, &form.account);
    ui.add_space(look.space.xs);
    panel::rule(ui);
    ui.add_space(look.space.xs);
    match &limits {
        Some(limits) => day(ui, limits, most),
        None if scene.courier.calls.limits.failed().is_some() => {
            label::muted(ui, "What it does to your limits is unknown: the wallet didn't say.");
        }
        None => notice::loading(ui, "Reading your limits"),
    }
    let budget = account.and_then(|known| Some((known, known.account.budget?)));
    if let Some((known, budget)) = budget {
        let name = words::one_line(&known.account.name);
        let text = format!(
            "Budget of {name}: {} of {} used, then {}",
            known.spent_msat,
            budget.amount_msat,
            known.spent_msat.saturating_add(most)
        );
        bar(ui, known.spent_msat, most, budget.amount_msat, &text);
    }
    if let Some(waits) = &quote.waits_for {
        ui.horizontal_wrapped(|ui| {
            badge::badge(ui, Tone::You, "Waits for you");
            let over = approval::over(quote.amount_msat, account, limits.as_deref());
            if let Some(over) = over {
                label::strong(ui, format!("{} above {}.", over.by, over.limit));
            }
        });
        label::text(ui, words::one_line(&waits.message));
        label::muted(ui, "It is sent only after you approve it above its limit.");
    }
}

fn day(ui: &mut Ui, view: &LimitsView, most: Msat) {
    let whole = view.limits.per_day_msat;
    let after = view.spent_msat.saturating_add(most);
    let text = format!("Last 24 hours: {} of {whole} used, then {after}", view.spent_msat);
    bar(ui, view.spent_msat, most, whole, &text);
}

fn bar(ui: &mut Ui, used: Msat, next: Msat, whole: Msat, text: &str) {
    label::caption(ui, text);
    let parts = Meter { used: used.get(), next: next.get(), whole: whole.get() };
    meter::meter(ui, parts, text);
}

fn confirm(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut PayForm, read: &Read, fee: Msat) {
    let quote = &read.quote;
    let amount = quote.amount_msat;
    let busy = scene.courier.busy(&Purpose::Pay).is_some();
    let waits = quote.waits_for.is_some();
    if !form.confirming {
        let words = if waits { format!("Ask to pay {amount}") } else { format!("Pay {amount}") };
        if ui.add(Btn::new(words).primary().full_width().busy(busy)).clicked() {
            form.confirming = true;
        }
        return;
    }
    let question = if waits {
        format!("Pay {amount}, and at most {fee} in fees, once you approve it?")
    } else {
        format!("Pay {amount}, and at most {fee} in fees? It can't be taken back.")
    };
    label::text(ui, question);
    ui.horizontal_wrapped(|ui| {
        let yes = if waits { "Ask for approval".to_owned() } else { format!("Pay {amount} now") };
        if ui.add(Btn::new(yes).primary().busy(busy)).clicked() {
            let key = form.key.get_or_insert_with(|| scene.keys.payment()).clone();
            let pay = Pay {
                key,
                account: form.account.clone(),
                request: quote.request.clone(),
                amount_msat: amount,
                max_fee_msat: fee,
                lnurl: read.lnurl.clone(),
            };
            scene.act(Act::Send(Purpose::Pay, Command::WalletPay(pay)));
        }
        if ui.add(Btn::new("Not now")).clicked() {
            form.confirming = false;
        }
    });
}
