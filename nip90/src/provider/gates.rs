//! The gates a request passes, in order; each refusal names its reason.

use domain::{Msat, Timestamp};

use super::{
    Provider,
    config::{Backend, Context},
    event::Gate,
    input::SeenRequest,
};
use crate::{
    codec::{self, InputType, JobRequest, LOOK_BACK_SECS, MAX_FUTURE_SECS},
    types::{DemandAnswer, DemandRisk, OfferDraft, ProviderState},
};

/// Why a request is not served, and whether the buyer hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub gate: Gate,
    pub reason: String,
    /// Send one `error` feedback and record it; else pass it over in silence.
    pub say: bool,
}

/// What the gates decide of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Ask,
    Refuse(Refusal),
}

/// What the later gates look at; known also when the operator answers.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub kind: u16,
    /// Someone who named us, or whose offer we would have taken, hears why not.
    pub aimed: bool,
    pub bid_msat: Option<Msat>,
    pub expires_at_secs: Option<u64>,
}

fn refuse(gate: Gate, say: bool, reason: impl Into<String>) -> Verdict {
    Verdict::Refuse(Refusal { gate, reason: reason.into(), say })
}

/// How exposed accepting it makes us.
pub fn risk(ctx: &Context<'_>, seen: &SeenRequest) -> DemandRisk {
    match () {
        () if ctx.starter == Some(seen.author) => DemandRisk::Starter,
        () if seen.named.contains(&ctx.us) => DemandRisk::Aimed,
        () => DemandRisk::Open,
    }
}

/// Mode, validity, expiry, demand risk, then [`terms`].
pub fn admit(
    provider: &Provider,
    ctx: &Context<'_>,
    seen: &SeenRequest,
    now: Timestamp,
) -> Verdict {
    let aimed = seen.named.contains(&ctx.us);
    if matches!(provider.mode().state, ProviderState::Offline | ProviderState::Connecting) {
        return refuse(Gate::Mode, false, "this provider is not online");
    }
    if let Some(verdict) = validity(provider, ctx, seen, now, aimed) {
        return verdict;
    }
    let expires_at_secs =
        seen.request.as_ref().ok().and_then(|request| request.terms.expires_at_secs);
    if expires_at_secs.is_some_and(|expires_at| expires_at <= now.as_secs()) {
        return refuse(Gate::Expiry, false, "the request has expired");
    }
    let answer = provider.demand_answer(risk(ctx, seen));
    if answer == DemandAnswer::Refuse {
        return refuse(Gate::Demand, aimed, "this provider does not take such requests now");
    }
    let asked = Asked {
        kind: seen.kind,
        aimed,
        bid_msat: seen.request.as_ref().ok().and_then(|request| request.terms.bid_msat),
        expires_at_secs,
    };
    match terms(provider, ctx, &asked, now) {
        Err(refusal) => Verdict::Refuse(refusal),
        Ok(()) => match &seen.objection {
            Some(reason) => refuse(Gate::Backend, aimed, reason.as_str()),
            None if answer == DemandAnswer::Ask => Verdict::Ask,
            None => Verdict::Accept,
        },
    }
}

/// Price, time left, backend and blockers: what may have changed while the operator was asked.
pub fn terms(
    provider: &Provider,
    ctx: &Context<'_>,
    asked: &Asked,
    now: Timestamp,
) -> Result<(), Refusal> {
    let refuse = |gate, say, reason: String| Err(Refusal { gate, reason, say });
    let Some(offer) = provider.offer(asked.kind) else {
        return refuse(Gate::Validity, asked.aimed, no_offer(asked.kind));
    };
    if let Some(reason) = price_above_bid(offer, asked.bid_msat) {
        return refuse(Gate::Price, true, reason);
    }
    let Some(backend) = ctx.backends.get(&asked.kind) else {
        let reason = format!("nothing here can execute kind {}", asked.kind);
        return refuse(Gate::Backend, asked.aimed, reason);
    };
    if let Some(reason) = too_late(backend, asked.expires_at_secs, now) {
        return refuse(Gate::TimeLeft, asked.aimed, reason);
    }
    if backend.unable.is_some() {
        let reason = format!("kind {} can't be executed here now", asked.kind);
        return refuse(Gate::Backend, asked.aimed, reason);
    }
    if provider.open_jobs() >= ctx.config.max_open {
        return refuse(Gate::Backend, asked.aimed, "this provider is busy; try later".to_owned());
    }
    if provider.mode().state == ProviderState::Degraded {
        let reason = "this provider can't take work at the moment; try later".to_owned();
        return refuse(Gate::Blockers, asked.aimed, reason);
    }
    Ok(())
}

fn no_offer(kind: u16) -> String {
    format!("kind {kind} is not offered here")
}

fn price_above_bid(offer: &OfferDraft, bid: Option<Msat>) -> Option<String> {
    let bid = bid.filter(|bid| *bid < offer.price_msat)?;
    Some(format!(
        "the price is {} msat, the bid {} msat (amounts are in msat, thousandths of a satoshi)",
        offer.price_msat.get(),
        bid.get()
    ))
}

fn too_late(backend: &Backend, expires_at_secs: Option<u64>, now: Timestamp) -> Option<String> {
    let expires_at = Timestamp::from_secs(expires_at_secs?);
    let left_ms = expires_at.since_ms(now);
    (left_ms < backend.estimate_ms).then(|| {
        format!(
            "too little time: {} s are left, the job takes about {} s",
            left_ms / 1_000,
            backend.estimate_ms.div_ceil(1_000)
        )
    })
}

/// Who is asked, whether it can be read, how old it is, and what it brings.
fn validity(
    provider: &Provider,
    ctx: &Context<'_>,
    seen: &SeenRequest,
    now: Timestamp,
    aimed: bool,
) -> Option<Verdict> {
    let gate = Gate::Validity;
    if seen.author == ctx.us {
        return Some(refuse(gate, false, "the request is our own"));
    }
    if !aimed && !seen.named.is_empty() {
        return Some(refuse(gate, false, "the request names other providers"));
    }
    if !codec::is_request(seen.kind) {
        return Some(refuse(gate, false, "the event is not a job request"));
    }
    // Ids older than the look-back may be forgotten, so nothing is said to them: not even once.
    if seen.created_at_secs < provider.horizon_secs(now) {
        let reason = format!("the request is older than {LOOK_BACK_SECS} s");
        return Some(refuse(gate, false, reason));
    }
    if seen.created_at_secs > now.as_secs().saturating_add(MAX_FUTURE_SECS) {
        return Some(refuse(gate, false, "the request is dated in the future"));
    }
    if provider.offer(seen.kind).is_none() {
        return Some(refuse(gate, aimed, no_offer(seen.kind)));
    }
    let request = match &seen.request {
        Ok(request) => request,
        Err(fault) => return Some(refuse(gate, aimed, fault.to_string())),
    };
    if request.terms.encrypted {
        return Some(refuse(
            gate,
            aimed,
            "encrypted requests can't be read here; ask in the clear",
        ));
    }
    inputs(ctx, request).map(|reason| refuse(gate, true, reason))
}

fn inputs(ctx: &Context<'_>, request: &JobRequest) -> Option<String> {
    let terms = &request.terms;
    let backend = ctx.backends.get(&terms.kind)?;
    if terms.input_bytes() > backend.max_input_bytes {
        return Some(format!(
            "the input has {} bytes, at most {} are taken",
            terms.input_bytes(),
            backend.max_input_bytes
        ));
    }
    let unknown = terms.inputs.iter().any(|input| input.input_type == InputType::Other);
    if unknown && !backend.reads_unknown_input_as_text {
        return Some("an input's type must be url, event, job or text".to_owned());
    }
    let chained = terms.inputs.iter().any(|input| input.input_type == InputType::Job);
    chained.then(|| "inputs of type job are not taken here".to_owned())
}
