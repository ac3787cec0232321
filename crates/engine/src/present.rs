//! From the state to the view: what screens and the command line read.

use domain::{EventData, Msat, Recorded, Timestamp, machine::Effect as _};
use std::sync::Arc;
use wallet::wire;

use crate::{
    event::Event,
    letters::{self, Letter},
    state::State,
    timeline::JobKey,
    view::{
        DeadLetterView, IdentityView, JobRole, JobView, LogRow, LogView, OfferView, PaymentView,
        ProofSource, Proofs, ProviderView, ReceiptRow, RefundView, RelayView, ServiceView, View,
        WalletView,
    },
    wallet_facts::job_of,
};
use nip90::{DemandRisk, provider};

/// Rows of each list in the view; the rest is asked for by page.
const LIST: usize = 200;

/// Where the log stands, as the host knows it.
#[derive(Clone, Copy, Debug)]
pub struct LogPosition<'a> {
    /// Position of the newest event.
    pub events: u64,
    pub last: Option<&'a Recorded<Event>>,
    /// Size and time of the newest signed checkpoint.
    pub checkpoint: Option<(u64, Timestamp)>,
}

/// The view of `state`, whose log stands at `log`.
pub fn view_of(state: &State, log: &LogPosition<'_>, now: Timestamp) -> View {
    let (earned_today_msat, spent_today_msat) = state.totals.today(now);
    View {
        network: state.network,
        at: now,
        identity: state.identity.as_ref().map(|identity| IdentityView {
            npub: identity.npub.clone(),
            pubkey: identity.pubkey,
            kept_in: identity.kept_in.clone(),
            backed_up: identity.backed_up,
            name: identity.name.clone(),
        }),
        relays: relays(state),
        provider: provider(state),
        wallet: wallet(state),
        jobs: jobs(state),
        payments: payments(state),
        receipts: state
            .receipts
            .iter()
            .map(|receipt| {
                Arc::new(ReceiptRow { id: receipt.id.clone(), receipt: receipt.clone() })
            })
            .collect(),
        log: LogView {
            events: log.events,
            last: log.last.map(|event| row(log.events, event)),
            checkpoint_at: log.checkpoint.map(|(_, at)| at),
            checkpoint_size: log.checkpoint.map(|(size, _)| size),
            dead_letters: u32::try_from(state.letters.len()).unwrap_or(u32::MAX),
        },
        dead_letters: dead_letters(state),
        services: state
            .services
            .values()
            .map(|service| ServiceView {
                name: service.name.clone(),
                state: service.state,
                restarts: service.restarts,
                detail: service.detail.clone(),
            })
            .collect(),
        earned_today_msat,
        spent_today_msat,
        reserved_msat: state.buyer.reserved_msat(),
        wallet_cursor: state.wallet.cursor,
    }
}

fn dead_letters(state: &State) -> Vec<DeadLetterView> {
    let view = |(effect, letter): (&domain::EffectId, &Letter)| {
        let (what, job) = letters::in_words(&letter.what);
        DeadLetterView {
            effect: effect.clone(),
            adapter: letter.what.adapter(),
            what,
            job,
            tries: letter.tries,
            why: letter.why.clone(),
            at: letter.at,
        }
    };
    let mut dead: Vec<_> = state.letters.iter().map(view).collect();
    dead.sort_by_key(|letter| std::cmp::Reverse(letter.at));
    dead.truncate(LIST);
    dead
}

fn row(position: u64, event: &Recorded<Event>) -> LogRow {
    let data = event.data.to_json().unwrap_or_default();
    LogRow {
        position,
        stream: event.stream.clone(),
        seq: event.seq,
        at: event.at,
        type_name: event.data.type_name().to_owned(),
        summary: crate::summary::line(event.data.type_name(), &data),
    }
}

fn relays(state: &State) -> Vec<RelayView> {
    let view = |(url, relay): (&String, &crate::state::RelayStatus)| RelayView {
        url: url.clone(),
        state: relay.state,
        detail: relay.detail.clone(),
        since: relay.since,
    };
    state.relays.iter().map(view).collect()
}

fn provider(state: &State) -> ProviderView {
    let lane = &state.provider;
    let offers = lane.offers().values().map(|offer| {
        let backend = state.backends.get(&offer.kind);
        OfferView {
            kind: offer.kind,
            name: kind_name(state, offer.kind),
            price_msat: offer.price_msat,
            payment: offer.payment,
            unavailable: match backend {
                None => Some("This machine has no backend for this kind.".to_owned()),
                Some(backend) => backend.unable.clone(),
            },
        }
    });
    ProviderView {
        state: lane.mode().state,
        since: lane.mode().since,
        blockers: state.provider_blockers(),
        offers: offers.collect(),
        demand: DemandRisk::ALL.iter().map(|risk| (*risk, lane.demand_answer(*risk))).collect(),
    }
}

fn kind_name(state: &State, kind: u16) -> String {
    state.backends.get(&kind).map_or_else(|| kind.to_string(), |backend| backend.name.clone())
}

fn wallet(state: &State) -> WalletView {
    let mirror = &state.wallet;
    let balance = mirror.balance.as_ref();
    WalletView {
        state: mirror.state,
        balance_msat: balance.map(|balance| balance.spendable_msat),
        pending_in_msat: balance.map(|balance| balance.pending_in_msat),
        pending_out_msat: balance.map(|balance| balance.pending_out_msat),
        inbound_msat: balance.map(|balance| balance.inbound_msat),
        as_of: balance.map(|balance| balance.as_of),
        onchain_msat: balance.map(|balance| balance.onchain_msat),
        backend: mirror.backend.clone(),
        receives: mirror.receives.clone(),
        pays: mirror.pays.clone(),
        node_id: mirror.node_id.clone(),
        fingerprint: mirror.fingerprint.clone(),
        other: mirror.other.as_ref().map(|other| other.fingerprint.clone()),
        detail: mirror.detail.clone(),
        accounts: mirror.accounts.clone(),
    }
}

fn payments(state: &State) -> Vec<Arc<PaymentView>> {
    let mut payments: Vec<_> = state.wallet.payments().map(payment).map(Arc::new).collect();
    payments.sort_by_key(|payment| std::cmp::Reverse(payment.updated_at));
    payments.truncate(LIST);
    payments
}

/// One payment in the view's words.
pub fn payment(payment: &wire::Payment) -> PaymentView {
    PaymentView {
        key: payment.key.clone(),
        direction: payment.direction,
        state: payment.state,
        amount_msat: payment.amount_msat,
        fee_msat: payment.fee_msat,
        memo: payment.memo.clone(),
        payment_hash: payment.payment_hash,
        preimage: payment.preimage,
        account: payment.account.clone(),
        rail: payment.rail,
        request: payment.request.clone(),
        reference: payment.reference.clone(),
        payee: payment.payee.clone(),
        waits_for: payment.waits_for.clone(),
        expires_at: payment.expires_at,
        job: job_of(&payment.key),
        detail: payment.detail.clone(),
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    }
}

fn jobs(state: &State) -> Vec<Arc<JobView>> {
    let mut keys: Vec<_> = state.timelines.keys().copied().collect();
    let rank = |key: &JobKey| {
        (state.timelines.is_over(key), std::cmp::Reverse(state.timelines.updated_at(key)))
    };
    keys.sort_by_cached_key(rank);
    keys.iter().filter_map(|key| job(state, key)).take(LIST).map(Arc::new).collect()
}

/// Whether nothing is expected of anybody for this job any more.
pub fn is_over(state: &State, key: &JobKey) -> bool {
    match key.role {
        JobRole::Provider => {
            state.provider.job(&key.request_id).is_some_and(provider::Job::is_over)
        }
        JobRole::Buyer => {
            state.buyer.job(&key.request_id).is_some_and(nip90::buyer::Purchase::is_over)
        }
    }
}

/// One job in the view's words.
pub fn job(state: &State, key: &JobKey) -> Option<JobView> {
    let mut view = match key.role {
        JobRole::Provider => sold(state, state.provider.job(&key.request_id)?),
        JobRole::Buyer => bought(state, state.buyer.job(&key.request_id)?),
    };
    view.timeline = state.timelines.steps(key).to_vec();
    Some(view)
}

fn sold(state: &State, job: &provider::Job) -> JobView {
    use provider::execution::Execution;
    let delivered = job.execution == Execution::Delivered;
    let accepted = !matches!(job.execution, Execution::Received | Execution::Refused);
    // Where nothing is promised yet, what is offered now is what accepting it would mean.
    let offer = state.provider.offer(job.kind);
    let asks = offer.map_or(Msat::ZERO, |offer| offer.price_msat);
    JobView {
        request_id: job.request_id,
        role: JobRole::Provider,
        kind: job.kind,
        kind_name: kind_name(state, job.kind),
        peer: Some(job.author),
        state: word(&job.execution),
        payment_state: word(&job.payment),
        over: job.is_over(),
        succeeded: job.succeeded(),
        waiting_for: job.waiting_for().map(|mover| mover.to_string()),
        amount_msat: if accepted { job.price_msat } else { asks },
        // Routing is paid by who pays: a sold job costs us none.
        fee_msat: job.paid_msat.map(|_| Msat::ZERO),
        bid_msat: job.bid_msat,
        payment: if accepted { Some(job.policy) } else { offer.map(|offer| offer.payment) },
        payment_hash: job.payment_hash,
        preimage: job.preimage,
        bolt11: job.bolt11.clone(),
        result_sha256: job.result.as_ref().map(nip90::ResultRef::sha256),
        reason: job.reason.clone(),
        created_at: job.received_at,
        updated_at: job.updated_at,
        refund: refund(job),
        timeline: Vec::new(),
        proofs: Proofs {
            request_seen: Some(ProofSource::Relay),
            work_accepted: accepted.then_some(ProofSource::Local),
            result_delivered: delivered.then_some(ProofSource::Relay),
            invoice_seen: job.bolt11.as_ref().map(|_| ProofSource::Wallet),
            paid: job.preimage.map(|_| ProofSource::Wallet),
            settled: job.paid_msat.map(|_| ProofSource::Wallet),
        },
    }
}

fn refund(job: &provider::Job) -> Option<RefundView> {
    // What a wallet proved is shown before anybody's word.
    if let Some(note) = &job.handed_back
        && job.given_back().next().is_none()
    {
        return Some(RefundView::Operator { note: note.clone() });
    }
    job.refund.as_ref().map(|refund| RefundView::Wallet {
        key: provider::effect::refund_key(job.request_id, refund.attempt),
        amount_msat: refund.amount_msat,
        fee_msat: refund.fee_msat,
        payment_hash: refund.payment_hash,
        preimage: refund.preimage,
    })
}

fn bought(state: &State, job: &nip90::buyer::Purchase) -> JobView {
    let key = domain::IdempotencyKey::of("buy", job.request_id);
    let paying = state.wallet.payment(&key);
    let accepted = job.provider.is_some() && job.result.is_some();
    let bolt11 = paying.and_then(|payment| payment.request.clone());
    JobView {
        request_id: job.request_id,
        role: JobRole::Buyer,
        kind: job.kind,
        kind_name: kind_name(state, job.kind),
        peer: job.provider,
        state: word(&job.stage),
        payment_state: word(&job.spending),
        over: job.is_over(),
        succeeded: job.succeeded(),
        waiting_for: job.waiting_for().map(|mover| mover.to_string()),
        amount_msat: job.amount_msat.unwrap_or_default(),
        fee_msat: job.fee_msat,
        bid_msat: Some(job.bid_msat),
        payment: job.policy,
        payment_hash: job.payment_hash,
        preimage: job.preimage,
        bolt11: bolt11.clone(),
        result_sha256: job.result.as_ref().map(nip90::ResultRef::sha256),
        reason: job.reason.clone(),
        created_at: job.submitted_at,
        updated_at: job.updated_at,
        refund: None,
        timeline: Vec::new(),
        proofs: Proofs {
            request_seen: (job.stage != nip90::buyer::Stage::Submitted)
                .then_some(ProofSource::Relay),
            work_accepted: accepted.then_some(ProofSource::Relay),
            result_delivered: job.result.as_ref().map(|_| ProofSource::Relay),
            invoice_seen: job.payment_hash.map(|_| ProofSource::Relay),
            paid: job.preimage.map(|_| ProofSource::Wallet),
            settled: job.preimage.map(|_| ProofSource::Wallet),
        },
    }
}

/// The word of a unit enum, as JSON writes it.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}
