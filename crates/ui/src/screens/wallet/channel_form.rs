//! Opening a channel: with whom, for how much, and what it costs, before anything is opened.

use egui::{Id, Ui};
use engine::channels::{ChannelQuote, LEAST_SAT, OpenChannel};

use crate::{
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::look,
    present::{job::Fact, words},
    scene::{Act, Scene},
    state::{ChannelForm, State},
    widgets::{self, Btn, Field, facts, label, notice, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    panel::form_card(ui, |ui| {
        let mut close = false;
        panel::section(ui, "Open a channel", |ui| {
            close = widgets::icon_button(ui, Icon::Cross, "Close form", "").clicked();
        });
        let Some(form) = &mut state.wallet.channel else { return };
        let checked = check(form);
        let (peer_fault, amount_fault) = match &checked {
            Err((peer, amount)) if form.tried => (peer.clone(), amount.clone()),
            _ => (None, None),
        };
        let peer = Field::new("Peer").hint("node id@host:port").mono().fault(peer_fault);
        let peer = peer.show(ui, Id::unique("channel-peer"), &mut form.peer);
        if !std::mem::replace(&mut form.opened, true) {
            peer.request_focus();
        }
        let amount = Field::new("Amount").hint("1,000,000").suffix("sat").fault(amount_fault);
        let amount = amount.help("What you put in; it stays yours.").width(look.size.field);
        let amount = amount.show(ui, Id::unique("channel-amount"), &mut form.amount);
        if peer.changed() || amount.changed() {
            (form.quote, form.key) = (None, None);
        }
        match form.quote.clone() {
            None => ask_cost(ui, scene, form, checked),
            Some(quote) => open(ui, scene, form, &quote),
        }
        scene.error_of(ui, state, &Purpose::Call(Call::QuoteChannel));
        scene.error_of(ui, state, &Purpose::Call(Call::OpenChannel));
        if close {
            state.wallet.channel = None;
        }
    });
}

type Faults = (Option<String>, Option<String>);

fn check(form: &ChannelForm) -> Result<(String, domain::Msat), Faults> {
    let peer = form.peer.trim();
    let fits = peer.split_once('@').is_some_and(|(id, at)| id.len() == 66 && at.contains(':'));
    let peer_fault = (!fits).then(|| "A node id, an @, and host:port.".to_owned());
    let amount = words::parse_sat(&form.amount).and_then(|amount| {
        let whole = amount.get().is_multiple_of(1_000) && amount.get() / 1_000 >= LEAST_SAT;
        let least = words::grouped(LEAST_SAT);
        whole.then_some(amount).ok_or_else(|| format!("Whole satoshi, at least {least}."))
    });
    match (peer_fault, amount) {
        (None, Ok(amount)) => Ok((peer.to_owned(), amount)),
        (peer, amount) => Err((peer, amount.err())),
    }
}

fn params(
    form: &mut ChannelForm,
    scene: &mut Scene<'_>,
    (peer, amount_msat): (String, domain::Msat),
) -> Option<serde_json::Value> {
    let key = form.key.get_or_insert_with(|| scene.keys.payment()).clone();
    serde_json::to_value(OpenChannel { key, peer, amount_msat }).ok()
}

fn ask_cost(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    form: &mut ChannelForm,
    checked: Result<(String, domain::Msat), Faults>,
) {
    let busy = scene.courier.calls.busy(&Call::QuoteChannel);
    if ui.add(Btn::new("Show what it costs").primary().busy(busy)).clicked() {
        form.tried = true;
        if let Ok(asked) = checked
            && let Some(params) = params(form, scene, asked)
        {
            scene.act(Act::Ask(Call::QuoteChannel, params));
        }
    }
    label::caption(ui, "Nothing is opened yet.");
}

fn open(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ChannelForm, quote: &ChannelQuote) {
    let known = [
        Fact::plain("Into the channel", quote.amount_msat.to_string()),
        Fact::plain("Miner's fee", format!("about {}", quote.fee_msat)),
        Fact::plain("Kept to close it", quote.reserve_msat.to_string()),
        Fact::plain("On-chain now", quote.spendable_msat.to_string()),
    ];
    ui.scope(|ui| facts::facts(ui, &known));
    if let Some(refused) = &quote.refused {
        notice::blocker(ui, &words::one_line(&refused.message), refused.hint.as_deref());
        return;
    }
    let busy = scene.courier.calls.busy(&Call::OpenChannel);
    let words = format!("Open channel for {}", quote.amount_msat);
    if ui.add(Btn::new(words).primary().busy(busy)).clicked()
        && let Ok(asked) = check(form)
        && let Some(params) = params(form, scene, asked)
    {
        scene.act(Act::Ask(Call::OpenChannel, params));
    }
    label::caption(ui, "The fee can't be taken back; closing costs another one.");
}
