//! What can be done to one offer, rule or relay: made from the view, for the palette.
//!
//! The same acts as the buttons on the Desk send, each with its way on the command line.

use engine::{Command, command::PaymentPolicy, view::View};

use crate::{
    actions::Group,
    courier::Purpose,
    present::{approval, words},
    scene::Act,
    screens::{
        desk::letters,
        market::{KINDS, Kind},
    },
    state::OfferForm,
};

/// One thing that can be done now.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    pub title: String,
    pub group: Group,
    pub what: &'static str,
    pub cli: String,
    pub act: Act,
}

/// Everything that can be done to what the view holds.
pub fn of(view: &View) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for offer in &view.provider.offers {
        let name = words::one_line(&offer.name);
        deeds.push(Deed {
            group: Group::Sell,
            title: format!("Change offer {name}"),
            what: "Its price, and when it is paid",
            cli: format!("pilothouse provider offers set --kind {} --price-msat MSAT", offer.kind),
            act: Act::EditOffer(offer.kind),
        });
        deeds.push(Deed {
            group: Group::Sell,
            title: format!("Remove offer {name}"),
            what: "Sell it no more; running jobs are finished",
            cli: format!("pilothouse provider offers remove --kind {}", offer.kind),
            act: remove(offer.kind),
        });
    }
    for kind in missing(view) {
        deeds.push(Deed {
            group: Group::Sell,
            title: format!("Offer to {}", kind.title.to_lowercase()),
            what: "Set its price and when it is paid, then offer it",
            cli: format!("pilothouse provider offers set --kind {} --price-msat MSAT", kind.kind),
            act: Act::EditOffer(kind.kind),
        });
    }
    for (risk, now) in &view.provider.demand {
        let (title, _) = words::risk(*risk);
        for answer in words::ANSWERS.into_iter().filter(|one| one != now) {
            deeds.push(Deed {
                group: Group::Sell,
                title: format!("{title}: {}", words::answer(answer).to_lowercase()),
                what: "What becomes of such requests, before you see them",
                cli: format!("pilothouse provider offers demand {} {}", word(risk), word(&answer)),
                act: Act::Send(Purpose::Demand, Command::DemandPolicySet { risk: *risk, answer }),
            });
        }
    }
    deeds.extend(view.dead_letters.iter().map(|letter| Deed {
        group: Group::Sell,
        title: format!("Try again: {}", words::one_line(&letter.what)),
        what: "Do what was given up",
        cli: format!("pilothouse events dead retry {}", letter.effect),
        act: letters::retry(letter),
    }));
    deeds.extend(view.relays.iter().map(|relay| Deed {
        group: Group::Sell,
        title: format!("Remove relay {}", words::one_line(&relay.url)),
        what: "Neither read there nor publish there",
        cli: format!("pilothouse provider relays remove {}", words::one_line(&relay.url)),
        act: Act::Send(Purpose::Relay, Command::RelayRemove { url: relay.url.clone() }),
    }));
    wallet_deeds(view, &mut deeds);
    deeds
}

/// Payments that wait for the operator, and the sub-wallets.
fn wallet_deeds(view: &View, deeds: &mut Vec<Deed>) {
    for payment in approval::waiting(view) {
        let (amount, to) = (payment.amount_msat, approval::payee(payment));
        let answer = |approve| {
            let key = payment.key.clone();
            Act::Send(Purpose::Approve(key.clone()), Command::WalletAnswer { key, approve })
        };
        deeds.push(Deed {
            title: format!("Pay {amount} to {to} all the same"),
            group: Group::Wallet,
            what: "It is above a limit and waits for you; it can't be taken back",
            cli: format!("pilothouse wallet approve {}", payment.key),
            act: answer(true),
        });
        deeds.push(Deed {
            title: format!("Don't pay {amount} to {to}"),
            group: Group::Wallet,
            what: "It is above a limit and waits for you; nothing is sent",
            cli: format!("pilothouse wallet deny {}", payment.key),
            act: answer(false),
        });
    }
    for known in view.wallet.accounts.iter().filter(|known| !known.closed) {
        let id = &known.account.id;
        let name = words::one_line(&known.account.name);
        deeds.push(Deed {
            title: format!("Change sub-wallet {name}"),
            group: Group::Wallet,
            what: "Its budget, its limits and whom it may pay",
            cli: format!("pilothouse wallet accounts set {id}"),
            act: Act::EditAccount(id.clone()),
        });
        deeds.push(Deed {
            title: format!("Close sub-wallet {name}"),
            group: Group::Wallet,
            what: "What it does is shown before it is done",
            cli: format!("pilothouse wallet accounts close {id}"),
            act: Act::ConfirmClose(id.clone()),
        });
    }
}

/// Kinds that this machine could offer and does not.
pub fn missing(view: &View) -> impl Iterator<Item = &'static Kind> {
    let offered = |kind: u16| view.provider.offers.iter().any(|offer| offer.kind == kind);
    KINDS.iter().filter(move |kind| !offered(kind.kind))
}

pub fn remove(kind: u16) -> Act {
    Act::Send(Purpose::Offer(kind), Command::OfferRemove { kind })
}

/// The form for the terms of `kind`: those in force, else the usual ones.
pub fn form(view: &View, kind: u16) -> Option<OfferForm> {
    let offer = view.provider.offers.iter().find(|offer| offer.kind == kind);
    let usual = KINDS.iter().find(|known| known.kind == kind);
    let (price, payment) = match (offer, usual) {
        (Some(offer), _) => (offer.price_msat, offer.payment),
        (None, Some(usual)) => (usual.price, PaymentPolicy::Before),
        (None, None) => return None,
    };
    let price = words::edit_sat(price);
    Some(OfferForm { kind, price, payment, is_new: offer.is_none(), opened: false })
}

/// A unit variant's word, as the command line spells it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => words::UNKNOWN.into(),
    }
}
