//! `status --json` and jobs as the command line shows them: stable names, RFC 3339 times.

use engine::{
    View,
    view::{DeadLetterView, JobView, LogRow, PaymentView},
};
use serde_json::{Value, json};

/// The fields that the command line promises.
pub fn status_json(view: &View) -> Value {
    let identity = view.identity.as_ref();
    json!({
        "network": view.network,
        "at": view.at.to_rfc3339(),
        "relays": view.relays.iter().map(|relay| json!({
            "url": relay.url,
            "state": relay.state,
            "detail": relay.detail,
            "since": relay.since.to_rfc3339(),
        })).collect::<Vec<_>>(),
        "provider": {
            "state": view.provider.state,
            "since": view.provider.since.to_rfc3339(),
            "npub": identity.map(|identity| &identity.npub),
            "pubkey": identity.map(|identity| identity.pubkey),
            "blockers": view.provider.blockers,
            "offers": view.provider.offers,
            "demand": view.provider.demand.iter().map(|(risk, answer)| json!({
                "risk": risk, "answer": answer,
            })).collect::<Vec<_>>(),
        },
        "wallet": {
            "state": view.wallet.state,
            "balance_msat": view.wallet.balance_msat,
            "pending_in_msat": view.wallet.pending_in_msat,
            "pending_out_msat": view.wallet.pending_out_msat,
            "inbound_msat": view.wallet.inbound_msat,
            "reserved_msat": view.reserved_msat,
            "as_of": view.wallet.as_of.map(|at| at.to_rfc3339()),
            "node_id": view.wallet.node_id,
            "fingerprint": view.wallet.fingerprint,
            "other": view.wallet.other,
            "detail": view.wallet.detail,
        },
        "jobs": {
            "running": view.jobs.iter().filter(|job| !job.over).count(),
            "earned_today_msat": view.earned_today_msat,
            "spent_today_msat": view.spent_today_msat,
        },
        "services": view.services,
        "log": {
            "events": view.log.events,
            "checkpoint_size": view.log.checkpoint_size,
            "checkpoint_at": view.log.checkpoint_at.map(|at| at.to_rfc3339()),
            "dead_letters": view.log.dead_letters,
        },
    })
}

/// What was given up, newest first.
pub fn dead_letters_json(view: &View) -> Value {
    let letter = |letter: &DeadLetterView| {
        let mut out = serde_json::to_value(letter).unwrap_or_default();
        out["at"] = json!(letter.at.to_rfc3339());
        out
    };
    json!({ "dead": view.dead_letters.iter().map(letter).collect::<Vec<_>>() })
}

/// One job; times twice where programs subtract them.
pub fn job_json(job: &JobView) -> Value {
    let mut out = serde_json::to_value(job).unwrap_or_default();
    out["created_at"] = json!(job.created_at.to_rfc3339());
    out["updated_at"] = json!(job.updated_at.to_rfc3339());
    if let Some(steps) = out["timeline"].as_array_mut() {
        for (step, source) in steps.iter_mut().zip(&job.timeline) {
            step["at"] = json!(source.at.to_rfc3339());
            step["at_ms"] = json!(source.at.0);
        }
    }
    out
}

/// One payment as the command line shows it.
pub fn payment_json(payment: &PaymentView) -> Value {
    let mut out = serde_json::to_value(payment).unwrap_or_default();
    out["created_at"] = json!(payment.created_at.to_rfc3339());
    out["updated_at"] = json!(payment.updated_at.to_rfc3339());
    out["expires_at"] = json!(payment.expires_at.map(|at| at.to_rfc3339()));
    out
}

/// One row of the log as the command line shows it.
pub fn row_json(row: &LogRow) -> Value {
    let mut out = serde_json::to_value(row).unwrap_or_default();
    out["at"] = json!(row.at.to_rfc3339());
    out
}
