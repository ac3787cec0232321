//! The offers: what this machine sells and on which terms, each opened to be changed.

use egui::{Align, Id, Layout, Ui};
use engine::{
    Command,
    command::{OfferDraft, PaymentPolicy},
};

use super::super::market::KINDS;
use crate::{
    courier::Purpose,
    deeds,
    icons::Icon,
    look::{Face, look},
    present::{Tone, desk::OfferRow, words},
    scene::{Act, Scene},
    state::State,
    widgets::{self, Btn, Field, badge, button, label, notice, panel},
};

/// The kinds that are not offered yet; each opens its terms.
pub fn add(ui: &mut Ui, scene: &mut Scene<'_>) {
    if deeds::missing(scene.view).next().is_none() {
        return;
    }
    let response = widgets::icon_button(ui, Icon::Plus, "Add offer", "");
    let mut chosen = None;
    egui::Popup::menu(&response).show(|ui| {
        for kind in deeds::missing(scene.view) {
            if ui.button(kind.title).clicked() {
                chosen = Some(kind.kind);
                ui.close();
            }
        }
    });
    if let Some(kind) = chosen {
        scene.act(Act::EditOffer(kind));
    }
}

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let offers = &scene.data.desk.offers;
    let new = state.desk.offer.as_ref().is_some_and(|form| form.is_new);
    if offers.is_empty() && !new {
        panel::card(ui, |ui| {
            let lesson = "An offer is a kind of job with a price. Commands run in a sandbox, \
                          without network, within limits.";
            notice::empty(ui, Icon::Receipt, "Nothing is offered", lesson, |ui| {
                let first = &KINDS[0];
                let words = format!("Offer to {}", first.title.to_lowercase());
                if ui.add(Btn::new(words)).clicked() {
                    scene.acts.push(Act::EditOffer(first.kind));
                }
            });
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
        if new {
            if !offers.is_empty() {
                panel::rule(ui);
            }
            row(ui, |ui| terms(ui, scene, state, None));
        }
    });
}

fn row(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    let look = look(ui.ctx());
    let frame = egui::Frame::new().inner_margin(look.margin(look.space.m, look.space.s));
    frame.show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        add(ui);
    });
}

fn offer_ui(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, offer: &OfferRow) {
    let look = look(ui.ctx());
    row(ui, |ui| {
        if ui.available_width() < look.size.form * 0.8 {
            about(ui, scene, offer);
            ui.horizontal(|ui| {
                label::strong(ui, offer.price.to_string());
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    change(ui, scene, offer);
                });
            });
        } else {
            ui.horizontal(|ui| {
                ui.vertical(|ui| {
                    let right = look.size.field_short * 1.75 + look.size.control;
                    ui.set_width((ui.available_width() - right).max(look.size.field_short));
                    about(ui, scene, offer);
                });
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    change(ui, scene, offer);
                    ui.add_space(look.space.xs);
                    label::strong(ui, offer.price.to_string());
                });
            });
        }
        if state.desk.offer.as_ref().is_some_and(|form| form.kind == offer.kind) {
            terms(ui, scene, state, Some(&offer.name));
        }
        scene.error_of(ui, state, &Purpose::Offer(offer.kind));
    });
}

/// What is offered, whether it is announced, and on which terms.
fn about(ui: &mut Ui, scene: &Scene<'_>, offer: &OfferRow) {
    let look = look(ui.ctx());
    ui.vertical(|ui| {
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
}

/// What can be done to an offer, from the right.
fn change(ui: &mut Ui, scene: &mut Scene<'_>, offer: &OfferRow) {
    let remove = format!("Remove offer {}", offer.name);
    if widgets::icon_button(ui, Icon::Cross, &remove, "").clicked() {
        scene.acts.push(deeds::remove(offer.kind));
    }
    let change = Btn::new("Change")
        .name(format!("Change offer {}", offer.name))
        .tooltip("Its price, and when it is paid");
    if ui.add(change).clicked() {
        scene.acts.push(Act::EditOffer(offer.kind));
    }
}

/// What each way to be paid means for the one who sells.
fn explain(payment: PaymentPolicy) -> &'static str {
    match payment {
        PaymentPolicy::Before => "No work starts before the invoice is paid.",
        PaymentPolicy::After => {
            "The result carries the invoice: who doesn't pay has it for nothing."
        }
    }
}

/// The terms of one offer: its price, when it is paid, and what sets or leaves them.
fn terms(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, offered: Option<&str>) {
    let look = look(ui.ctx());
    let Some(form) = &mut state.desk.offer else { return };
    let purpose = Purpose::Offer(form.kind);
    let parsed = words::parse_sat(&form.price);
    let kind = KINDS.iter().find(|kind| kind.kind == form.kind);
    ui.add_space(look.space.s);
    if offered.is_none() {
        let title = kind.map_or("New offer", |kind| kind.title);
        label::strong(ui, title);
        label::colored(ui, format!("Kind {}", form.kind), Face::Caption, look.color.muted);
        ui.add_space(look.space.xs);
    }
    let mut entered = false;
    ui.horizontal_top(|ui| {
        let field = Field::new("Price").suffix("sat").width(look.size.field_short);
        let response = field.show(ui, Id::unique("offer-price"), &mut form.price);
        if !form.opened {
            form.opened = true;
            response.request_focus();
        }
        entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        ui.add_space(look.space.s);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = look.space.xs;
            ui.set_max_width(look.size.field.min(ui.available_width()));
            label::colored(ui, "Paid", Face::Caption, look.color.muted);
            let all = [PaymentPolicy::Before, PaymentPolicy::After];
            let all = all.map(|payment| (payment, words::paid_when(payment).to_owned()));
            if let Some(payment) = button::segments(ui, "Paid", form.payment, &all) {
                form.payment = payment;
            }
            label::caption(ui, explain(form.payment));
        });
    });
    if let Err(fault) = &parsed {
        label::colored(ui, fault, Face::Caption, look.color.danger);
    }
    ui.add_space(look.space.xs);
    let draft = parsed.as_ref().ok().map(|price_msat| OfferDraft {
        kind: form.kind,
        price_msat: *price_msat,
        payment: form.payment,
    });
    let busy = scene.courier.busy(&purpose).is_some();
    let mut close = false;
    ui.horizontal(|ui| {
        let price = parsed.as_ref().map_or_else(|_| String::new(), |price| format!(" for {price}"));
        let words = if form.is_new { format!("Offer it{price}") } else { "Set terms".into() };
        let set = Btn::new(words).primary().busy(busy).blocked(parsed.as_ref().err().cloned());
        let set = ui.add(set.name(if form.is_new { "Offer it" } else { "Set terms" })).clicked();
        if let Some(draft) = draft.filter(|_| set || entered) {
            scene.act(Act::Send(purpose.clone(), Command::OfferSet(draft)));
        }
        close = ui.add(Btn::new("Never mind").quiet()).clicked();
        if scene.data.desk.online {
            label::caption(ui, "Announced at once");
        }
    });
    if close {
        state.desk.offer = None;
    }
    if offered.is_none() {
        scene.error_of(ui, state, &purpose);
    }
}
