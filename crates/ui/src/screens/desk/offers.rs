//! The offers: what this machine sells, for how much, editable in place.

use egui::{Align, Align2, Id, Layout, Ui, Vec2};
use engine::{
    Command,
    command::{OfferDraft, PaymentPolicy},
};

use super::super::market::{KINDS, Kind};
use crate::{
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{Tone, desk::OfferRow, words},
    scene::{Act, Scene},
    state::State,
    widgets::{self, Btn, badge, label, notice, panel},
};

/// The kinds that are not offered yet, one click each.
pub fn add(ui: &mut Ui, scene: &mut Scene<'_>) {
    let offered = |kind: u16| scene.data.desk.offers.iter().any(|offer| offer.kind == kind);
    let missing: Vec<&Kind> = KINDS.iter().filter(|kind| !offered(kind.kind)).collect();
    if missing.is_empty() {
        return;
    }
    let response = widgets::icon_button(ui, Icon::Plus, "Add offer", "");
    let mut chosen = None;
    egui::Popup::menu(&response).show(|ui| {
        for kind in missing {
            if ui.button(format!("{} for {}", kind.title, kind.price)).clicked() {
                chosen = Some(kind);
                ui.close();
            }
        }
    });
    if let Some(kind) = chosen {
        scene.act(offer_act(kind));
    }
}

/// Offers a kind at its usual price, paid before the work.
fn offer_act(kind: &Kind) -> Act {
    let payment = PaymentPolicy::Before;
    let draft = OfferDraft { kind: kind.kind, price_msat: kind.price, payment };
    Act::Send(Purpose::Offer(kind.kind), Command::OfferSet(draft))
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let offers = &scene.data.desk.offers;
    if offers.is_empty() {
        panel::card(ui, |ui| {
            let lesson = "An offer is a kind of job with a price. Commands run in a sandbox, \
                          without network, within limits.";
            notice::empty(ui, Icon::Receipt, "Nothing is offered", lesson, |ui| {
                let first = &KINDS[0];
                let words = format!("Offer to {} for {}", first.title.to_lowercase(), first.price);
                let busy = scene.courier.busy(&Purpose::Offer(first.kind)).is_some();
                if ui.add(Btn::new(words).busy(busy)).clicked() {
                    scene.acts.push(offer_act(first));
                }
            });
            scene.error_of(ui, state, &Purpose::Offer(KINDS[0].kind));
        });
        return;
    }
    panel::list_card(ui, |ui| {
        for (index, offer) in offers.iter().enumerate() {
            if index > 0 {
                panel::rule(ui);
            }
            offer_ui(ui, scene, state, offer);
        }
    });
}

fn offer_ui(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, offer: &OfferRow) {
    let look = look(ui.ctx());
    let frame = egui::Frame::new().inner_margin(look.margin(look.space.m, look.space.s));
    frame.show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                let price_room = look.size.field_short * 2.0 + look.size.control;
                ui.set_width((ui.available_width() - price_room).max(look.size.field_short));
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.horizontal(|ui| {
                    label::strong(ui, &offer.name);
                    match (&offer.unavailable, scene.data.desk.online) {
                        (Some(why), _) => {
                            badge::badge(ui, Tone::Danger, "Not available").on_hover_text(why);
                        }
                        (None, true) => {
                            badge::badge(ui, Tone::Good, "Announced");
                        }
                        (None, false) => {
                            badge::badge(ui, Tone::Neutral, "Ready");
                        }
                    }
                });
                let line = match &offer.unavailable {
                    Some(why) => why.clone(),
                    None => format!("Kind {}, {}", offer.kind, offer.terms),
                };
                label::colored(ui, line, Face::Caption, look.color.muted);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                price(ui, scene, state, offer)
            });
        });
        scene.error_of(ui, state, &Purpose::Offer(offer.kind));
    });
}

fn price(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, offer: &OfferRow) {
    let look = look(ui.ctx());
    let purpose = Purpose::Offer(offer.kind);
    let kept = words::edit_sat(offer.price);
    let mut text = state.desk.prices.get(&offer.kind).cloned().unwrap_or_else(|| kept.clone());
    let edited = text != kept;
    let parsed = words::parse_sat(&text);
    let busy = scene.courier.busy(&purpose).is_some();
    let remove = format!("Remove offer {}", offer.name);
    if widgets::icon_button(ui, Icon::Cross, &remove, "").clicked() {
        let command = Command::OfferRemove { kind: offer.kind };
        scene.acts.push(Act::Send(purpose.clone(), command));
    }
    let mut save = false;
    if edited {
        let button = Btn::new("Set price")
            .primary()
            .busy(busy)
            .blocked(parsed.as_ref().err().cloned())
            .name(format!("Set price of {}", offer.name));
        save = ui.add(button).clicked();
    }
    let edit = egui::TextEdit::singleline(&mut text)
        .id(Id::unique(("price", offer.kind)))
        .desired_width(look.size.field_short)
        .align(Align2::RIGHT_CENTER)
        .char_limit(20)
        .suffix(egui::RichText::new("sat").color(look.color.faint))
        .min_size(Vec2::new(look.size.field_short, look.size.control));
    let response = ui.add(edit).accessible_name(format!("Price of {} in sat", offer.name));
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if response.changed() {
        state.desk.prices.insert(offer.kind, text.clone());
    }
    if ui.input(|input| input.key_pressed(egui::Key::Escape)) && response.lost_focus() {
        state.desk.prices.remove(&offer.kind);
    }
    if (save || (entered && edited))
        && let Ok(price_msat) = parsed
    {
        let payment = scene
            .view
            .provider
            .offers
            .iter()
            .find(|known| known.kind == offer.kind)
            .map_or(PaymentPolicy::Before, |known| known.payment);
        let draft = OfferDraft { kind: offer.kind, price_msat, payment };
        scene.act(Act::Send(purpose, Command::OfferSet(draft)));
    }
}
