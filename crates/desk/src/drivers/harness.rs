//! The work driver: executes sold jobs in the sandbox, and checks bought results.

use bytes::Bytes;
use domain::{Body, EffectId, ErrorBody, RequestId};
use engine::{Command, Effect, Fact, Input, Reply};
use harness::{
    CancellationToken,
    kinds::{self, Attachment, Context, Output, Verdict},
    sandbox::{Probe, Sandbox, SandboxConfig},
};
use host::Pending;
use nip90::{
    OfferDraft, PaymentPolicy, ResultRef,
    buyer::{BuyerEffect, BuyerInput},
    codec::{self, InputType, JobRequest, RequestTerms, Template},
    provider::{Backend, ExecutionOutcome, ProviderEffect, ProviderInput, effect::Execute},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;

use super::{blobs, effects, not_ours, ordered, submit::salt};
use crate::process::Inner;

/// More than the machine lets run at once, so that stops and checks always find a place.
const AT_ONCE: usize = 64;
/// Fetching and checking a result; the machine gives up waiting at about the same time.
const CHECK_LIMIT: Duration = Duration::from_secs(600);

/// Executions under way, to be stopped on demand.
type Running = Arc<Mutex<HashMap<(RequestId, u8), CancellationToken>>>;

pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    let committed = effects(desk, "work")?;
    let desk = Arc::clone(desk);
    tasks.spawn(async move {
        let sandbox = Sandbox::detect(SandboxConfig::default()).await;
        let fact = Fact::Backends(backends(sandbox.probe()));
        if desk.tell(Input::Fact(fact)).await.is_err() {
            return;
        }
        if desk.is_first_start {
            for offer in first_offers() {
                if let Ok(Reply::Refused(error)) | Err(error) =
                    desk.command_at_once(Command::OfferSet(offer)).await
                {
                    tracing::warn!(%error, "a first offer was not set");
                }
            }
        }
        // The operator's own word about offers comes after ours.
        desk.backends_known.send_replace(true);
        let running = Running::default();
        ordered::run_with_urgent(committed, AT_ONCE, stops_work, move |pending| {
            act(Arc::clone(&desk), sandbox.clone(), Arc::clone(&running), pending)
        })
        .await;
    });
    Ok(())
}

fn stops_work(effect: &Effect) -> bool {
    matches!(effect, Effect::Provider(ProviderEffect::StopExecution { .. }))
}

/// What this machine's sandbox is, found out by a real run.
pub async fn probe() -> Probe {
    Sandbox::detect(SandboxConfig::default()).await.probe().clone()
}

/// What a new desk offers, until its operator says otherwise. Nothing is sold before going online.
fn first_offers() -> impl Iterator<Item = OfferDraft> {
    kinds::all().into_iter().map(|kind| OfferDraft {
        kind: kind.about().kind,
        price_msat: kind.about().default_price_msat,
        payment: PaymentPolicy::Before,
    })
}

fn backends(probe: &Probe) -> BTreeMap<u16, Backend> {
    let caps = kinds::Caps::default();
    let unable = (!probe.available).then(|| {
        probe.why_not.clone().unwrap_or_else(|| "No sandbox is available here.".to_owned())
    });
    kinds::all()
        .into_iter()
        .map(|kind| {
            let about = kind.about();
            let backend = Backend {
                name: about.name.to_owned(),
                estimate_ms: 500,
                deadline_secs: caps.max_limits.wall_ms / 1_000 + 60,
                max_input_bytes: caps.snapshot.archive_bytes,
                reads_unknown_input_as_text: true,
                unable: unable.clone(),
            };
            (about.kind, backend)
        })
        .collect()
}

async fn act(desk: Arc<Inner>, sandbox: Sandbox, running: Running, pending: Pending<Effect>) {
    let Pending { id, effect, resumed } = pending;
    match effect {
        Effect::Provider(ProviderEffect::Execute(execute)) => {
            execute_job(&desk, sandbox, &running, id, execute, resumed).await;
        }
        Effect::Provider(ProviderEffect::StopExecution { request_id, attempt }) => {
            let token = lock(&running).get(&(request_id, attempt)).cloned();
            if let Some(token) = token {
                token.cancel();
            }
            finish(&desk, id, Fact::Tick).await;
        }
        Effect::Buyer(BuyerEffect::CheckResult { request_id, kind, request, result }) => {
            let check = check(&desk, sandbox, kind, &request, &result);
            let late = |_| Err(ErrorBody::new("not_checked", "checking the result took too long"));
            let verdict = tokio::time::timeout(CHECK_LIMIT, check).await.unwrap_or_else(late);
            let sha256 = result.sha256();
            let fact = match verdict {
                Ok(Verdict::Holds { .. }) => BuyerInput::ResultVerified { request_id, sha256 },
                Ok(Verdict::Fails { why }) => {
                    BuyerInput::ResultRejected { request_id, sha256, reason: why }
                }
                Ok(Verdict::Unchecked { why }) => BuyerInput::ResultRejected {
                    request_id,
                    sha256,
                    reason: format!("the result could not be checked: {why}"),
                },
                Err(error) => {
                    BuyerInput::ResultRejected { request_id, sha256, reason: error.message }
                }
            };
            finish(&desk, id, Fact::Buyer(fact)).await;
        }
        effect => not_ours(&desk, Pending { id, effect, resumed }).await,
    }
}

fn lock(
    running: &Running,
) -> std::sync::MutexGuard<'_, HashMap<(RequestId, u8), CancellationToken>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn finish(desk: &Inner, effect: EffectId, fact: Fact) {
    let _stopping = desk.core.deliver(Input::of_effect(effect, fact)).await;
}

/// Runs one job once. What a crash has hidden is reported as unknown, never run again from here.
async fn execute_job(
    desk: &Arc<Inner>,
    sandbox: Sandbox,
    running: &Running,
    effect: EffectId,
    execute: Execute,
    resumed: bool,
) {
    let (request_id, attempt) = (execute.request_id, execute.attempt);
    let outcome = if resumed {
        ExecutionOutcome::Unknown
    } else {
        let token = CancellationToken::new();
        lock(running).insert((request_id, attempt), token.clone());
        let left_ms = execute.stop_at.since_ms(host::clock::now());
        let limit = tokio::time::sleep(Duration::from_millis(left_ms));
        let work = run(desk, sandbox, token.clone(), &execute);
        tokio::pin!(work, limit);
        let outcome = tokio::select! {
            outcome = &mut work => outcome,
            () = &mut limit => {
                token.cancel();
                work.await
            }
        };
        lock(running).remove(&(request_id, attempt));
        outcome.unwrap_or_else(|error| ExecutionOutcome::Failed { reason: error.message })
    };
    let fact = ProviderInput::Executed { request_id, attempt, outcome };
    finish(desk, effect, Fact::Provider(fact)).await;
}

async fn run(
    desk: &Arc<Inner>,
    sandbox: Sandbox,
    cancel: CancellationToken,
    execute: &Execute,
) -> Result<ExecutionOutcome, ErrorBody> {
    let failed = |message: String| ErrorBody::new("job_failed", message);
    let kind = kinds::find(execute.kind)
        .ok_or_else(|| failed(format!("kind {} is not known here", execute.kind)))?;
    let json = desk.body(&execute.request).await?;
    let event = codec::parse_kept(&json).map_err(|fault| failed(fault.to_string()))?;
    let request = JobRequest::parse(&event).map_err(|fault| failed(fault.to_string()))?;
    let plain = request_without_blobs(&request.terms)?;
    kind.validate(&plain, &kinds::Caps::default()).map_err(|refusal| failed(refusal.message))?;
    // Whoever serves the inputs may take for ever over it: a stop is heard meanwhile.
    let request = unless_stopped(&cancel, request_of(desk, &request.terms)).await?;
    let context = Context { cancel, ..Context::new(sandbox) };
    let output =
        kind.execute(&context, &request).await.map_err(|error| failed(error.to_string()))?;
    deliverable(desk, output).await
}

/// What `work` comes to, or that it was stopped before.
async fn unless_stopped<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, ErrorBody>>,
) -> Result<T, ErrorBody> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => {
            Err(ErrorBody::new("job_stopped", "It was stopped while its inputs were fetched."))
        }
    }
}

/// The output as the machine takes it: small ones inline, large ones and attachments as blobs.
async fn deliverable(desk: &Arc<Inner>, output: Output) -> Result<ExecutionOutcome, ErrorBody> {
    for attachment in output.attachments {
        blobs::upload(desk, attachment.bytes, &attachment.media_type).await?;
    }
    if std::str::from_utf8(&output.payload).is_ok_and(codec::fits_inline) {
        let body = Body::new(salt()?, output.media_type, output.payload);
        return Ok(ExecutionOutcome::Inline(body));
    }
    let blob = blobs::upload(desk, output.payload.into(), output.media_type).await?;
    Ok(ExecutionOutcome::Blob(blob))
}

/// A request in the harness's words, with the bytes of its blobs.
async fn request_of(desk: &Inner, terms: &RequestTerms) -> Result<kinds::Request, ErrorBody> {
    let mut request = request_without_blobs(terms)?;
    for (input, source) in request.inputs.iter_mut().zip(&terms.inputs) {
        if let (kinds::Input::Blob { bytes, .. }, Some(blob)) = (input, &source.blob) {
            *bytes = Some(blobs::obtain(desk, blob).await?);
        }
    }
    Ok(request)
}

fn request_without_blobs(terms: &RequestTerms) -> Result<kinds::Request, ErrorBody> {
    let refused = |message: &str| ErrorBody::refused("bad_input", message);
    let mut inputs = Vec::new();
    for input in &terms.inputs {
        inputs.push(match (&input.input_type, &input.blob) {
            (_, Some(blob)) => kinds::Input::Blob {
                sha256: blob.sha256,
                len: blob.size_bytes,
                media_type: blob.media_type.clone(),
                bytes: None,
            },
            (InputType::Text | InputType::Other, None) => kinds::Input::Text(input.data.clone()),
            (InputType::Url, None) => {
                return Err(refused(
                    "a url input is taken only with its hash and size (imeta tag)",
                ));
            }
            (InputType::Event | InputType::Job, None) => {
                return Err(refused("event and job inputs are not taken by this kind"));
            }
        });
    }
    let params = terms
        .params
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())))
        .collect();
    Ok(kinds::Request { inputs, params })
}

/// Why a request would fail before any work, where it would: told before an invoice is made.
pub fn objection(kind: u16, terms: &RequestTerms) -> Option<String> {
    let request = match request_without_blobs(terms) {
        Ok(request) => request,
        Err(error) => return Some(error.message),
    };
    let refused = kinds::find(kind)?.validate(&request, &kinds::Caps::default()).err()?;
    Some(refused.message)
}

/// Checks a bought result by the rules of its kind, with our own copy of the inputs.
async fn check(
    desk: &Arc<Inner>,
    sandbox: Sandbox,
    kind: u16,
    request: &domain::BodyRef,
    result: &ResultRef,
) -> Result<Verdict, ErrorBody> {
    let bad = |message: String| ErrorBody::new("not_checked", message);
    let template: Template = serde_json::from_slice(&desk.body(request).await?)
        .map_err(|error| bad(error.to_string()))?;
    let event = super::sign::sign_template(&desk.vault, &template)?;
    let parsed = JobRequest::parse(&event).map_err(|fault| bad(fault.to_string()))?;
    let payload: Bytes = match result {
        ResultRef::Event { body, .. } => Bytes::from(desk.body(body).await?.to_vec()),
        ResultRef::Blob(blob) => blobs::obtain(desk, blob).await?,
    };
    let kind = kinds::find(kind).ok_or_else(|| bad(format!("kind {kind} is not known here")))?;
    let request = request_of(desk, &parsed.terms).await?;
    let mut output = Output {
        payload: payload.to_vec(),
        media_type: kind.about().media_type,
        attachments: Vec::new(),
    };
    let context = Context::new(sandbox);
    let attached = match kind.attached(&request, &context.caps, &output.payload) {
        Ok(attached) => attached,
        Err(why) => return Ok(Verdict::Fails { why }),
    };
    for named in attached {
        let bytes = blobs::obtain_attached(desk, result, &named).await?;
        output.attachments.push(Attachment::new(named.name, "application/octet-stream", bytes));
    }
    Ok(kind.verify(&context, &request, &output).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_is_heard_while_inputs_are_on_their_way() {
        let cancel = CancellationToken::new();
        let never = std::future::pending::<Result<(), ErrorBody>>();
        let (stopped, ()) = tokio::join!(unless_stopped(&cancel, never), async { cancel.cancel() });
        assert_eq!(stopped.unwrap_err().code, "job_stopped");
        let done = unless_stopped(&CancellationToken::new(), async { Ok(7) }).await;
        assert_eq!(done.unwrap(), 7);
    }
}
