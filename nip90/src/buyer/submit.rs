//! Ordering a job: its budget is set aside before anything leaves.

use domain::{Body, CommandId, ErrorBody, Msat, RequestId, Sha256Hash};

use super::{
    effect::{BuyerEffect, PublishRequest},
    event::{Cancelled, Submitted},
    input::{Context, SpendLimits},
    plan::{Plan, reservation},
    stage::Spending,
};
use crate::{
    codec::{Input, RequestTerms, Template, request::blob_url},
    machine::Reply,
    types::{Blob, JobDraft, JobInput},
};

/// The shortest and longest time a request may live: at most the providers' look-back.
const TIMEOUT_SECS: std::ops::RangeInclusive<u32> = 5..=86_400;

pub(super) fn submit(plan: &mut Plan<'_>, draft: &JobDraft, salt: &[u8; 32], limits: &SpendLimits) {
    if let Some(request_id) = plan.buyer.submitted_under(&draft.key) {
        return plan.reply(Reply::Submitted { request_id });
    }
    match order(plan, draft, salt, limits) {
        Ok(request_id) => plan.reply(Reply::Submitted { request_id }),
        Err(error) => plan.refuse(error),
    }
}

fn order(
    plan: &mut Plan<'_>,
    draft: &JobDraft,
    salt: &[u8; 32],
    limits: &SpendLimits,
) -> Result<RequestId, ErrorBody> {
    if plan.buyer.open_jobs() >= plan.ctx.config.max_open {
        let text = format!("{} jobs are open; no more are started.", plan.buyer.open_jobs());
        return Err(ErrorBody::refused("too_many_jobs", text).retryable());
    }
    if !TIMEOUT_SECS.contains(&draft.timeout_secs) {
        let text = format!(
            "A job may take {} to {} seconds, not {}.",
            TIMEOUT_SECS.start(),
            TIMEOUT_SECS.end(),
            draft.timeout_secs
        );
        return Err(ErrorBody::refused("bad_timeout", text));
    }
    let reserved_msat = affordable(plan, draft, limits)?;
    let blobs = blobs(plan.ctx, draft)?;
    let created_at_secs = plan.now.as_secs();
    let terms = terms(plan.ctx, draft, &blobs, salt, created_at_secs);
    let refused = |error: &dyn std::fmt::Display| {
        ErrorBody::refused("bad_request", format!("The request can't be built: {error}."))
    };
    let template = terms.template(created_at_secs).map_err(|error| refused(&error))?;
    let request_id: RequestId = template.id(plan.ctx.us).map_err(|error| refused(&error))?.into();
    if plan.job(&request_id).is_some() {
        return Err(ErrorBody::refused("same_salt", "The same salt was used for another job."));
    }
    let json = serde_json::to_vec::<Template>(&template).map_err(|error| refused(&error))?;
    let body = Body::new(*salt, "application/json", json);
    let not_after = plan.now.plus_secs(plan.ctx.config.publish_secs);
    let event = Submitted {
        key: draft.key.clone(),
        kind: draft.kind,
        bid_msat: draft.bid_msat,
        max_fee_msat: draft.max_fee_msat,
        reserved_msat,
        provider: draft.provider,
        created_at_secs,
        expires_at_secs: created_at_secs + u64::from(draft.timeout_secs),
        request: body.reference.clone(),
        end_by: not_after.plus_secs(plan.ctx.config.publish_grace_secs),
    };
    let request = body.reference.clone();
    let publish = PublishRequest { request_id, request, blobs, not_after };
    let effect = BuyerEffect::PublishRequest(publish);
    plan.record(request_id, event, vec![body], vec![effect]);
    Ok(request_id)
}

/// The reservation, if every limit allows it.
fn affordable(plan: &Plan<'_>, draft: &JobDraft, limits: &SpendLimits) -> Result<Msat, ErrorBody> {
    let needed = reservation(draft.bid_msat, draft.max_fee_msat)
        .ok_or_else(|| ErrorBody::refused("over_limit", "The bid and fee are too large."))?;
    let held = plan.buyer.reserved_msat();
    let rules = [
        (limits.per_job_msat, "the limit for one job"),
        (limits.left_today_msat.saturating_sub(held), "what is left of today's limit"),
        (limits.spendable_msat.saturating_sub(held), "what the wallet can send"),
    ];
    for (limit, name) in rules {
        if needed > limit {
            let text = format!(
                "This job may cost {needed}, fees included; {name} is {limit}. Nothing was sent."
            );
            let error = ErrorBody::refused("over_limit", text);
            return Err(error.hint("Lower the bid, or raise the limit."));
        }
    }
    Ok(needed)
}

fn blobs(ctx: &Context<'_>, draft: &JobDraft) -> Result<Vec<Blob>, ErrorBody> {
    let mut blobs = Vec::new();
    for input in &draft.inputs {
        if let JobInput::Blob { sha256, len, media_type } = input {
            let server = ctx.blob_server.ok_or_else(|| {
                ErrorBody::refused("no_blob_server", "No blob server is set for large inputs.")
            })?;
            blobs.push(Blob {
                url: blob_url(server, *sha256),
                sha256: *sha256,
                size_bytes: *len,
                media_type: media_type.clone(),
            });
        }
    }
    Ok(blobs)
}

fn terms(
    ctx: &Context<'_>,
    draft: &JobDraft,
    blobs: &[Blob],
    salt: &[u8; 32],
    now_secs: u64,
) -> RequestTerms {
    let mut uploaded = blobs.iter();
    let inputs = draft.inputs.iter().filter_map(|input| match input {
        JobInput::Text { text } => Some(Input::text(text.as_str())),
        JobInput::Url { url } => Some(Input::url(url.as_str())),
        JobInput::Blob { .. } => uploaded.next().map(|blob| Input::blob(blob.clone())),
    });
    RequestTerms {
        kind: draft.kind,
        inputs: inputs.collect(),
        params: draft
            .params
            .iter()
            .map(|(name, value)| (name.clone(), vec![value.clone()]))
            .collect(),
        bid_msat: Some(draft.bid_msat),
        relays: ctx.own_relays.to_vec(),
        providers: draft.provider.into_iter().collect(),
        client: Some("pilothouse".to_owned()),
        expires_at_secs: Some(now_secs + u64::from(draft.timeout_secs)),
        unique: Some(unique(salt, &draft.key)),
        ..RequestTerms::default()
    }
}

/// Tells nothing of the key, since the salt stays here.
fn unique(salt: &[u8; 32], key: &CommandId) -> String {
    let mut bytes = salt.to_vec();
    bytes.extend_from_slice(key.as_str().as_bytes());
    hex::encode(&Sha256Hash::of(&bytes).0[..8])
}

/// Until money moves or a result is here, the job can be taken back.
pub(super) fn cancel(plan: &mut Plan<'_>, id: RequestId) {
    let open = plan
        .job(&id)
        .filter(|job| job.stage.waits_for_result() && job.spending == Spending::Reserved);
    let Some(job) = open else {
        let text = format!(
            "Job {} can't be cancelled: it is over, its result is here, or its payment is on its way.",
            id.short()
        );
        return plan.refuse(ErrorBody::refused("too_late", text));
    };
    let event = Cancelled { released_msat: job.reserved_msat };
    let effects = vec![plan.cancel_effect(job)];
    plan.record(id, event, Vec::new(), effects);
    plan.reply(Reply::Done);
}
