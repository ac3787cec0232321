//! What the Desk screen says: whether work is sold, what is in the way, and what happens now.

use domain::Msat;
use engine::view::{Blocker, OfferView, ProviderState, View};
use serde::Serialize;

use super::{Tone, job::JobRow, words};
use crate::clock::Clock;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeskData {
    pub headline: &'static str,
    pub tone: Tone,
    /// One sentence under the headline: what this state means, and since when.
    pub lead: String,
    pub online: bool,
    /// The switch can be used now.
    pub can_switch: bool,
    pub blockers: Vec<Blocker>,
    pub offers: Vec<OfferRow>,
    pub earned_today: String,
    pub spent_today: String,
    pub reserved: String,
    pub inbox: usize,
    pub running: Vec<JobRow>,
    pub services: Vec<Health>,
    pub relays: Vec<Health>,
    pub demand: Vec<DemandRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfferRow {
    pub kind: u16,
    pub name: String,
    pub price: Msat,
    pub terms: &'static str,
    pub unavailable: Option<String>,
}

/// One thing that must run: a program of ours or a relay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    pub name: String,
    pub state: &'static str,
    pub tone: Tone,
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemandRow {
    pub title: &'static str,
    pub explain: &'static str,
    pub answer: &'static str,
}

impl DeskData {
    pub fn of(view: &View, clock: &Clock) -> Self {
        let provider = &view.provider;
        let (_, tone) = words::provider(provider.state);
        let online = provider.state != ProviderState::Offline;
        let jobs: Vec<JobRow> =
            view.jobs.iter().filter(|job| !job.over).map(|job| JobRow::of(job, clock)).collect();
        Self {
            headline: headline(provider.state),
            tone,
            lead: lead(view, clock),
            online,
            can_switch: online || provider.blockers.is_empty(),
            blockers: provider.blockers.clone(),
            offers: provider.offers.iter().map(offer).collect(),
            earned_today: view.earned_today_msat.to_string(),
            spent_today: view.spent_today_msat.to_string(),
            reserved: view.reserved_msat.to_string(),
            inbox: view.jobs.iter().filter(|job| words::waits_for_operator(job)).count(),
            running: jobs,
            services: view.services.iter().map(service).collect(),
            relays: view.relays.iter().map(|relay| health_of_relay(relay, clock)).collect(),
            demand: provider
                .demand
                .iter()
                .map(|(risk, answer)| {
                    let (title, explain) = words::risk(*risk);
                    DemandRow { title, explain, answer: words::answer(*answer) }
                })
                .collect(),
        }
    }
}

fn headline(state: ProviderState) -> &'static str {
    match state {
        ProviderState::Offline => "You are offline",
        ProviderState::Connecting => "Going online",
        ProviderState::Online => "You are online",
        ProviderState::Degraded => "You are online, with trouble",
    }
}

fn lead(view: &View, clock: &Clock) -> String {
    let provider = &view.provider;
    let since = clock.moment(provider.since);
    match provider.state {
        ProviderState::Offline if provider.blockers.is_empty() => {
            "Nothing is in the way. Going online announces your offers and takes jobs.".into()
        }
        ProviderState::Offline => {
            let things = words::count(provider.blockers.len() as u64, "thing");
            let verb = if provider.blockers.len() == 1 { "stands" } else { "stand" };
            format!("{things} {verb} in the way. No job is taken and nothing is announced.")
        }
        ProviderState::Connecting => {
            format!("Since {since}. Offers are announced once a relay has taken them.")
        }
        ProviderState::Online => {
            let offers = view.provider.offers.iter().filter(|o| o.unavailable.is_none()).count();
            format!("Since {since}. {} announced.", words::count(offers as u64, "offer"))
        }
        ProviderState::Degraded => {
            format!("Since {since}. Running jobs go on; see below what is wrong.")
        }
    }
}

fn offer(offer: &OfferView) -> OfferRow {
    OfferRow {
        kind: offer.kind,
        name: words::one_line(&offer.name),
        price: offer.price_msat,
        terms: words::policy(offer.payment),
        unavailable: offer.unavailable.clone(),
    }
}

fn service(service: &engine::view::ServiceView) -> Health {
    let (state, tone) = words::service(service.state);
    let restarts = (service.restarts > 0)
        .then(|| format!("restarted {}", words::count(service.restarts.into(), "time")));
    let detail = match (service.detail.clone(), restarts) {
        (Some(detail), Some(restarts)) => Some(format!("{detail}; {restarts}")),
        (detail, restarts) => detail.or(restarts),
    };
    Health { name: words::service_name(&service.name), state, tone, detail }
}

fn health_of_relay(relay: &engine::view::RelayView, clock: &Clock) -> Health {
    let (state, tone) = words::relay(relay.state);
    let since = format!("since {}", clock.moment(relay.since));
    let detail = Some(match &relay.detail {
        Some(detail) => format!("{}; {since}", words::one_line(detail)),
        None => since,
    });
    let shown = relay.url.trim_start_matches("wss://").trim_start_matches("ws://");
    Health { name: words::one_line(shown.trim_end_matches('/')), state, tone, detail }
}
