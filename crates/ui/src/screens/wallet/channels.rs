//! Channels: what each can send and receive, opening one with its cost first, and closing one.

use egui::{Align, Layout, Ui};
use engine::channels::{Channel, ChannelState, Channels, CloseChannel, FORCE_CONFIRM};

use crate::{
    actions::ActionId,
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{Tone, job::Fact, words},
    scene::{Act, Scene, env},
    state::{CloseForm, State},
    widgets::{
        Btn, Field, badge, facts, label,
        meter::{self, Meter},
        notice, panel,
    },
};

use super::channel_form;

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let look = look(ui.ctx());
    let port = scene.courier.port().clone();
    let channels = scene.courier.calls.channels.look(&*port);
    ui.horizontal_wrapped(|ui| {
        let env = env(scene.view, state);
        let open = Btn::action(ActionId::OpenChannel, &env, scene.mac).icon(Icon::Plus);
        if ui.add(open).clicked() {
            scene.acts.push(Act::Run(ActionId::OpenChannel));
        }
        if ui.add(Btn::new("Read again").quiet().name("Read channels again")).clicked() {
            scene.courier.calls.channels.changed();
        }
    });
    if state.wallet.channel.is_some() {
        channel_form::show(ui, scene, state);
        ui.add_space(look.space.s);
    }
    if let Some(error) = scene.courier.calls.channels.failed().cloned() {
        match notice::error(ui, "The channels could not be read", &error, true) {
            Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                scene.courier.calls.channels.changed();
            }
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            None => {}
        }
    }
    match &channels {
        None if scene.courier.calls.channels.failed().is_none() => {
            panel::card(ui, |ui| notice::loading(ui, "Reading the channels"));
        }
        None => {}
        Some(all) => list(ui, scene, state, all),
    }
}

fn list(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, all: &Channels) {
    let look = look(ui.ctx());
    if all.channels.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "A channel is what Lightning payments go through. \
                          Opening one costs a Bitcoin transaction.";
            notice::empty(ui, Icon::Market, "No channel yet", lesson, |_| {});
        });
    }
    for channel in &all.channels {
        card(ui, scene, state, channel);
        ui.add_space(look.space.xs);
    }
    if !all.closing.is_empty() {
        panel::plain_section(ui, "On its way to the chain");
        panel::card(ui, |ui| {
            for closing in &all.closing {
                label::strong(ui, closing.amount_msat.to_string());
                label::muted(ui, words::one_line(&closing.waits_for));
            }
        });
    }
    onchain(ui, all);
}

fn onchain(ui: &mut Ui, all: &Channels) {
    let look = look(ui.ctx());
    panel::plain_section(ui, "On-chain");
    panel::card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = look.space.xxl;
            for (name, amount) in [
                ("Can be spent", all.onchain.spendable_msat),
                ("Kept for closing channels", all.onchain.reserved_msat),
                ("Not confirmed yet", all.onchain.pending_msat),
                ("Together", all.onchain.total_msat),
            ] {
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    label::colored(ui, name, Face::Caption, look.color.faint);
                    label::strong(ui, amount.to_string());
                });
            }
        });
        label::caption(ui, format!("As of block {}.", words::grouped(all.height.into())));
    });
}

fn name(channel: &Channel) -> String {
    let alias = channel.alias.as_deref().map(words::one_line).filter(|alias| !alias.is_empty());
    alias.unwrap_or_else(|| words::middle(&channel.peer, 8, 6))
}

fn state_words(state: &ChannelState) -> (String, Tone) {
    match state {
        ChannelState::Opening { confirmations, needed } => {
            let of = needed.map(|needed| format!(" of {needed}")).unwrap_or_default();
            (format!("Opening, {confirmations}{of} confirmations"), Tone::Waiting)
        }
        ChannelState::Ready => ("Ready".into(), Tone::Good),
        ChannelState::PeerAway => ("Peer is away".into(), Tone::Waiting),
    }
}

fn card(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, channel: &Channel) {
    let look = look(ui.ctx());
    let name = name(channel);
    panel::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = look.space.xs;
        ui.horizontal(|ui| {
            label::title(ui, &name);
            let (words, tone) = state_words(&channel.state);
            badge::badge(ui, tone, &words);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let close = Btn::new("Close").quiet().name(format!("Close channel with {name}"));
                if ui.add(close).clicked() {
                    let channel = channel.id.clone();
                    state.wallet.closing = Some(CloseForm { channel, ..CloseForm::default() });
                }
            });
        });
        let text = format!(
            "{} of {} are yours. Can send {}, can receive {}.",
            channel.ours_msat,
            channel.capacity_msat,
            channel.can_send_msat,
            channel.can_receive_msat
        );
        let parts = Meter::of(channel.ours_msat.get(), channel.capacity_msat.get());
        meter::meter(ui, parts, &format!("Channel with {name}: {text}"));
        label::text(ui, text);
        let opener = if channel.we_opened { "You opened it" } else { "The peer opened it" };
        let reserve = channel.reserve_msat;
        label::caption(ui, format!("{opener}. {reserve} stay reserved while it is open."));
        let known = [Fact::long("Peer", &channel.peer), Fact::long("Channel", &channel.id)];
        let chosen = ui.scope(|ui| facts::facts(ui, &known)).inner;
        if let Some((label, text)) = chosen {
            scene.copy(label, text);
        }
        if state.wallet.closing.as_ref().is_some_and(|form| form.channel == channel.id) {
            closing(ui, scene, state, channel, &name);
        }
        let purpose = Purpose::Call(Call::CloseChannel(channel.id.clone()));
        scene.error_of(ui, state, &purpose);
    });
}

/// What closing costs and how long it takes, before it is done.
fn effect(channel: &Channel, force: bool) -> String {
    let ours = channel.ours_msat;
    if !force {
        return format!(
            "The peer agrees, and {ours} less a miner's fee come to your chain address, in some \
             ten minutes and more. It can't be taken back."
        );
    }
    let wait = channel.force_close_blocks.map_or_else(
        || "for an unknown number of blocks".to_owned(),
        |blocks| format!("for {blocks} blocks, about {} hours", u32::from(blocks).div_ceil(6)),
    );
    format!(
        "Without the peer: {ours} less higher miner's fees can't be spent {wait}. \
         It can't be taken back."
    )
}

fn closing(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, channel: &Channel, name: &str) {
    let look = look(ui.ctx());
    let Some(form) = &mut state.wallet.closing else { return };
    panel::rule(ui);
    label::text(ui, effect(channel, form.force));
    let call = Call::CloseChannel(channel.id.clone());
    let busy = scene.courier.calls.busy(&call);
    let mut blocked = None;
    if form.force {
        let help = format!("Type: {FORCE_CONFIRM}");
        let field = Field::new("To be sure").help(&help).width(look.size.field);
        field.show(ui, egui::Id::unique("force-words"), &mut form.words);
        if form.words.trim() != FORCE_CONFIRM {
            blocked = Some("Type the words below the field first.".to_owned());
        }
    }
    let mut keep = false;
    ui.horizontal_wrapped(|ui| {
        let words = if form.force { "Close by force" } else { "Close together" };
        let yes = Btn::new(words).danger().busy(busy).blocked(blocked);
        if ui.add(yes.name(format!("{words} with {name}"))).clicked() {
            let force = form.force.then(|| form.words.trim().to_owned());
            let close = CloseChannel { channel: channel.id.clone(), force };
            if let Ok(params) = serde_json::to_value(close) {
                scene.act(Act::Ask(call.clone(), params));
            }
        }
        keep = ui.add(Btn::new("Keep it")).clicked();
        if !form.force && ui.add(Btn::new("The peer doesn't answer").quiet()).clicked() {
            form.force = true;
        }
    });
    if keep {
        state.wallet.closing = None;
    }
}
