//! Going on- and offline, and the announcement that follows it.

use domain::Timestamp;
use std::collections::BTreeMap;

use super::{
    effect::ProviderEffect,
    event::{Announced, ModeChanged, Readiness, Withdrawn},
    mode,
    plan::Plan,
};
use crate::{
    codec::{Announcement, OfferLine, deletion},
    types::{Blocker, OfferDraft, ProviderState},
};

/// The `d` tag of our announcement: there is one, and it replaces itself.
pub const ANNOUNCEMENT_D: &str = "pilothouse";

type Offers = BTreeMap<u16, OfferDraft>;

/// Never online by itself: what the log says of an earlier run is over.
pub(super) fn started(plan: &mut Plan<'_>) {
    let mode = plan.provider.mode();
    if mode.relays != 0 || !mode.blockers.is_empty() {
        plan.note(Readiness { relays: 0, blockers: Vec::new() }, Vec::new());
    }
    if mode.state != ProviderState::Offline {
        let reason = "started".to_owned();
        plan.note(ModeChanged { state: ProviderState::Offline, reason }, Vec::new());
    }
    withdraw(plan);
}

/// The operator's switch.
pub(super) fn switch(plan: &mut Plan<'_>, online: bool) {
    let mode = plan.provider.mode();
    let (relays, blockers) = (mode.relays, mode.blockers.clone());
    change(plan, online, relays, &blockers, plan.provider.offers(), "operator", false);
    if !online {
        withdraw(plan);
    }
    plan.done();
}

/// What changed outside: goes on as the operator's switch stands.
pub(super) fn follow(
    plan: &mut Plan<'_>,
    relays: u32,
    blockers: &[Blocker],
    offers: &Offers,
    offers_changed: bool,
) {
    let wanted = plan.provider.mode().state != ProviderState::Offline;
    change(plan, wanted, relays, blockers, offers, "ready", offers_changed);
}

fn change(
    plan: &mut Plan<'_>,
    wanted: bool,
    relays: u32,
    blockers: &[Blocker],
    offers: &Offers,
    why: &str,
    offers_changed: bool,
) {
    let in_the_way = match () {
        () if relays == 0 => Some("no_relay"),
        () if !offers.keys().any(|kind| is_able(plan, *kind)) => Some("no_offer"),
        () => blockers.first().map(|blocker| blocker.code.as_str()),
    };
    let before = plan.provider.mode().state;
    let mut state = before;
    while let Some(next) = mode::next(state, wanted, in_the_way.is_none()) {
        let reason = match next {
            ProviderState::Degraded => in_the_way.unwrap_or(why),
            _ => why,
        };
        plan.note(ModeChanged { state: next, reason: reason.to_owned() }, Vec::new());
        state = next;
    }
    let came_online = state == ProviderState::Online && before != ProviderState::Online;
    if came_online || (offers_changed && state == ProviderState::Online) {
        announce(plan, offers);
    }
}

pub(super) fn is_able(plan: &Plan<'_>, kind: u16) -> bool {
    plan.ctx.backends.get(&kind).is_some_and(|backend| backend.unable.is_none())
}

/// Renews the announcement while online.
pub(super) fn heartbeat(plan: &mut Plan<'_>) {
    let period = plan.ctx.config.heartbeat_secs;
    let due = plan
        .provider
        .announced_at_secs
        .is_none_or(|at| at.saturating_add(period) <= plan.now.as_secs());
    if plan.provider.mode().state == ProviderState::Online && due {
        announce(plan, plan.provider.offers());
    }
}

/// Later than the one before, so that relays take it as the newer one.
fn next_secs(plan: &Plan<'_>, now: Timestamp) -> u64 {
    now.as_secs().max(plan.provider.last_announcement_secs.saturating_add(1))
}

fn announce(plan: &mut Plan<'_>, offers: &Offers) {
    let created_at_secs = next_secs(plan, plan.now);
    let expires_at_secs = created_at_secs.saturating_add(3 * plan.ctx.config.heartbeat_secs);
    let able = offers.values().filter(|offer| is_able(plan, offer.kind));
    let lines: Vec<OfferLine> = able
        .map(|offer| OfferLine {
            kind: offer.kind,
            price_msat: Some(offer.price_msat),
            payment: Some(offer.payment),
            max_input_bytes: plan.ctx.backends.get(&offer.kind).map(|b| b.max_input_bytes),
        })
        .collect();
    let kinds = lines.iter().map(|line| line.kind).collect();
    let announcement = Announcement {
        d: ANNOUNCEMENT_D.to_owned(),
        name: plan.ctx.config.name.clone(),
        about: plan.ctx.config.about.clone(),
        offers: lines,
        encryption: false,
        expires_at_secs: Some(expires_at_secs),
    };
    match announcement.template(created_at_secs) {
        Ok(template) => plan.note(
            Announced { created_at_secs, expires_at_secs, kinds },
            vec![ProviderEffect::Announce { template }],
        ),
        Err(error) => plan.ignore(error.to_string()),
    }
}

fn withdraw(plan: &mut Plan<'_>) {
    if plan.provider.announced_at_secs.is_some() {
        let created_at_secs = next_secs(plan, plan.now);
        let template = deletion::of_announcement(plan.ctx.us, ANNOUNCEMENT_D, created_at_secs);
        plan.note(Withdrawn { created_at_secs }, vec![ProviderEffect::Withdraw { template }]);
    }
}
