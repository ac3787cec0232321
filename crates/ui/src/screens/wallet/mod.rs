//! The Wallet: what waits for the operator, the balance, receive, pay, and its parts.

mod account_form;
mod accounts;
pub mod approval;
mod backup;
mod balance;
mod channel_form;
mod channels;
mod connections;
mod history;
pub mod identity;
mod limits;
mod pay;
pub mod receive;
mod review;

use domain::Network;
use egui::{Align, Layout, Ui};

use crate::{
    actions::Subject,
    icons::Icon,
    look::{Face, look},
    present::words,
    scene::{Act, Scene},
    state::{State, WalletPanel, WalletTab},
    widgets::{Btn, button, label, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    state.list.clear();
    panel::column(ui, "wallet", |ui| {
        let look = look(ui.ctx());
        approval::all(ui, scene, state);
        balance::show(ui, scene, state);
        match state.wallet.panel {
            WalletPanel::Closed => {}
            WalletPanel::Receive => {
                ui.add_space(look.space.s);
                receive::show(ui, scene, state);
            }
            WalletPanel::Pay => {
                ui.add_space(look.space.s);
                pay::show(ui, scene, state);
            }
        }
        ui.add_space(look.space.l);
        tabs(ui, scene, state);
        ui.add_space(look.space.xs);
        match state.wallet.tab {
            WalletTab::Payments => {
                history::show(ui, scene, state);
                ui.add_space(look.space.l);
                identity_line(ui, scene);
            }
            WalletTab::Accounts => accounts::show(ui, scene, state),
            WalletTab::Limits => limits::show(ui, scene, state),
            WalletTab::Channels => channels::show(ui, scene, state),
            WalletTab::Connections => connections::show(ui, scene, state),
            WalletTab::Backup => backup::show(ui, scene, state),
        }
    });
}

fn tabs(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    // Coins without value are not worth a reminder; the part itself says how it stands.
    let nags = if scene.view.network == Network::Practice {
        0
    } else {
        let port = scene.courier.port().clone();
        let status = scene.courier.calls.backup.look(&*port);
        status.map_or(0, |status| status.nags.len())
    };
    let channels = words::has_channels(scene.view);
    let shown = WalletTab::ALL.into_iter().filter(|tab| *tab != WalletTab::Channels || channels);
    let all: Vec<_> = shown.map(|tab| (tab, tab.title().to_owned())).collect();
    if let Some(tab) = button::choices(ui, state.wallet.tab, &all, Some((WalletTab::Backup, nags)))
    {
        state.wallet.tab = tab;
    }
}

fn identity_line(ui: &mut Ui, scene: &mut Scene<'_>) {
    let look = look(ui.ctx());
    panel::plain_section(ui, "Identity");
    panel::card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.set_width(
                    (ui.available_width() - look.size.field_short * 1.4).max(look.size.field_short),
                );
                ui.spacing_mut().item_spacing.y = look.space.xs;
                label::mono(ui, &scene.data.frame.identity);
                let words = if scene.view.identity.is_none() {
                    "This machine has no identity yet. It is made on the first run."
                } else if scene.data.frame.backed_up {
                    "Its words are written down. Money has a seed of its own, kept by the wallet."
                } else {
                    "Its words are not written down yet. Without them this name can't be restored."
                };
                label::colored(ui, words, Face::Body, look.color.muted);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.add(Btn::new("Open identity").icon(Icon::Key)).clicked() {
                    scene.act(Act::Inspect(Subject::Identity));
                }
            });
        });
    });
}
