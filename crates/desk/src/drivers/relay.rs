//! The relay driver: publishes what was committed, and brings in what relays deliver.

use domain::{ErrorBody, EventId, Timestamp};
use engine::{Effect, Fact, GaveUp, Input, View, view::ProviderState};
use host::Pending;
use nip90::{
    buyer::{BuyerEffect, BuyerInput, SeenAnswer, effect::PublishRequest},
    codec::{self, Deletion, Template},
    provider::{ProviderEffect, ProviderInput, SeenRequest, effect::Publish},
};
use nostr::{
    event::{Event, Kind},
    filter::{Filter, SingleLetterTag},
};
use relay::{
    NostrClient, Outgoing, Pool, PoolConfig, PublishOptions, RelayFact, RelaySpec, Targets,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    backoff::Backoff, blobs, effects, given_up, guests::Guests, harness, not_ours, ordered, sign,
    submit::salt,
};
use crate::process::Inner;

/// Publications under way at once.
const AT_ONCE: usize = 256;
const FACTS: usize = 4_096;
const PUBLISH_WITHIN: Duration = Duration::from_secs(20);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How long an event that may leave at any time is tried.
const GIVE_UP_AFTER: Duration = Duration::from_secs(900);

/// The practice relay is a process of our own on this computer, back as soon as it is restarted.
const PRACTICE_BACKOFF_MOST: Duration = Duration::from_secs(2);

/// Requests to us, and deletions of requests.
const DEMAND: &str = "demand";
/// Answers to our own requests.
const ANSWERS: &str = "answers";
/// The same of one request, from the beginning: what was passed over is brought once more.
const AGAIN: &str = "again";

pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    let (facts, seen) = mpsc::channel(FACTS);
    let mut config = PoolConfig::new(Arc::new(desk.egress.clone()), Arc::new(host::clock::now));
    if desk.network == domain::Network::Practice {
        config.timing.backoff_most = PRACTICE_BACKOFF_MOST;
    }
    let vault = Arc::clone(&desk.vault);
    config.auth_signer =
        Some(Arc::new(move |draft: nostr::event::EventBuilder| sign::sign_draft(&vault, draft)));
    let pool = Pool::new(config, facts)
        .map_err(|error| ErrorBody::new("no_relay_client", error.to_string()))?;
    let pool: Arc<dyn NostrClient> = Arc::new(pool);
    let guests = Arc::<Guests>::default();
    let committed = effects(desk, "relay")?;
    tasks.spawn(follow_settings(Arc::clone(desk), Arc::clone(&pool), Arc::clone(&guests)));
    tasks.spawn(listen(Arc::clone(desk), seen));
    let desk = Arc::clone(desk);
    tasks.spawn(ordered::run(committed, AT_ONCE, move |pending| {
        publish(Arc::clone(&desk), Arc::clone(&pool), Arc::clone(&guests), pending)
    }));
    Ok(())
}

/// Keeps the pool's relays and subscriptions as the view says.
async fn follow_settings(desk: Arc<Inner>, pool: Arc<dyn NostrClient>, guests: Arc<Guests>) {
    let mut views = desk.views();
    let mut relays = BTreeSet::new();
    let mut kinds: Option<Vec<u16>> = None;
    if let Err(error) = pool.subscribe(ANSWERS, vec![answers(&desk)]) {
        tracing::error!(%error, "answers cannot be followed");
    }
    loop {
        let view = views.borrow_and_update().clone();
        let wanted: BTreeSet<_> = view.relays.iter().map(|relay| relay.url.clone()).collect();
        for url in wanted.difference(&relays) {
            if let Err(error) = desk.egress.trust(url) {
                tracing::warn!(url, %error, "a relay's address is not understood");
            }
            guests.adopt(url);
            if let Err(error) = pool.add_relay(&RelaySpec::full(url.clone())) {
                tracing::warn!(url, %error, "a relay was not added");
            }
        }
        for url in relays.difference(&wanted) {
            let _was_gone = pool.remove_relay(url);
            let _not_understood = desk.egress.distrust(url);
        }
        relays = wanted;
        let offered = wanted_kinds(&view);
        if kinds != offered {
            match &offered {
                Some(kinds) => subscribe_demand(pool.as_ref(), kinds),
                None => pool.unsubscribe(DEMAND),
            }
            kinds = offered;
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// What is answered to us.
fn answers(desk: &Inner) -> Filter {
    let since = host::clock::now().as_secs().saturating_sub(codec::LOOK_BACK_SECS);
    Filter::new()
        .kinds((6_000..=7_000).map(Kind::from))
        .pubkey(sign::public_key(desk.vault.pubkey()))
        .since(nostr::types::Timestamp::from_secs(since))
}

/// The kinds we sell, while requests for them are taken.
fn wanted_kinds(view: &View) -> Option<Vec<u16>> {
    if !matches!(view.provider.state, ProviderState::Online | ProviderState::Degraded) {
        return None;
    }
    let kinds: Vec<_> = view.provider.offers.iter().map(|offer| offer.kind).collect();
    if kinds.is_empty() { None } else { Some(kinds) }
}

fn subscribe_demand(pool: &dyn NostrClient, kinds: &[u16]) {
    let since = host::clock::now().as_secs().saturating_sub(codec::LOOK_BACK_SECS);
    let since = nostr::types::Timestamp::from_secs(since);
    let requests = Filter::new().kinds(kinds.iter().copied().map(Kind::from)).since(since);
    let deletions = Filter::new()
        .kind(Kind::from(codec::KIND_DELETION))
        .custom_tags(SingleLetterTag::LOWERCASE_K, kinds.iter().map(ToString::to_string))
        .since(since);
    if let Err(error) = pool.subscribe(DEMAND, vec![requests, deletions]) {
        tracing::error!(%error, "requests cannot be followed");
    }
}

/// Brings what relays say to the loop; new demand waits at the door.
async fn listen(desk: Arc<Inner>, mut seen: mpsc::Receiver<RelayFact>) {
    while let Some(fact) = seen.recv().await {
        let delivered = match fact {
            RelayFact::State { url, state, detail, .. } => {
                let state = match state {
                    relay::RelayState::Connecting => engine::view::RelayState::Connecting,
                    relay::RelayState::Connected => engine::view::RelayState::Connected,
                    relay::RelayState::Disconnected => engine::view::RelayState::Disconnected,
                };
                let fact = Fact::Relay { url: url.to_string(), state, detail };
                desk.tell(Input::Fact(fact)).await
            }
            RelayFact::Event { url, event, .. } => on_event(&desk, &url, &event).await,
            RelayFact::BadEvents { url, latest, total, .. } => {
                tracing::warn!(%url, %latest, total, "a relay sent events that do not hold");
                Ok(())
            }
            RelayFact::Notice { url, text } => {
                tracing::info!(%url, text, "a relay gave notice");
                Ok(())
            }
            RelayFact::Closed { url, subscription, reason } => {
                tracing::warn!(%url, %subscription, reason, "a relay ended a subscription");
                Ok(())
            }
            RelayFact::Eose { .. } => Ok(()),
        };
        if delivered.is_err() {
            return;
        }
    }
}

/// An event whose id and signature were verified by the relay client.
async fn on_event(desk: &Inner, url: &str, event: &Event) -> Result<(), ErrorBody> {
    let kind = event.kind.as_u16();
    if codec::is_request(kind) {
        match SeenRequest::check_event(event, salt()?, url) {
            Ok(request) => {
                let objection =
                    request.request().and_then(|asked| harness::objection(kind, &asked.terms));
                let request = request.with_objection(objection);
                let input = ProviderInput::RequestSeen(Box::new(request));
                desk.core.admit(Input::Fact(Fact::Provider(input))).await?;
            }
            Err(fault) => tracing::debug!(%url, %fault, "a request does not hold"),
        }
    } else if kind == codec::KIND_FEEDBACK || codec::is_result(kind) {
        match SeenAnswer::check_event(event, salt()?) {
            Ok(answer) => {
                let input = BuyerInput::AnswerSeen(Box::new(answer));
                desk.tell(Input::Fact(Fact::Buyer(input))).await?;
            }
            Err(fault) => tracing::debug!(%url, %fault, "an answer does not read"),
        }
    } else if let Ok(deletion) = Deletion::parse(event) {
        let input = ProviderInput::DeletionSeen(deletion);
        desk.tell(Input::Fact(Fact::Provider(input))).await?;
    }
    Ok(())
}

async fn publish(
    desk: Arc<Inner>,
    pool: Arc<dyn NostrClient>,
    guests: Arc<Guests>,
    pending: Pending<Effect>,
) {
    if let Effect::Buyer(BuyerEffect::HearAgain { request_id }) = &pending.effect {
        let filter = answers(&desk).event(nostr::event::EventId::from_byte_array(request_id.0));
        if let Err(error) = pool.subscribe(AGAIN, vec![filter]) {
            tracing::error!(%error, "answers cannot be asked for again");
        }
        let asked = Input::of_effect(pending.id, Fact::Tick);
        let _stopping = desk.core.deliver(asked).await;
        return;
    }
    let not_after = not_after(&pending.effect);
    let built = match &pending.effect {
        _ if is_too_late(not_after) => Err(ErrorBody::new("too_late", TOO_LATE)),
        Effect::Provider(ProviderEffect::Publish(publish)) => job_template(&desk, publish).await,
        Effect::Provider(
            ProviderEffect::Announce { template } | ProviderEffect::Withdraw { template },
        )
        | Effect::Buyer(BuyerEffect::PublishCancel { template, .. }) => Ok(template.clone()),
        Effect::Buyer(BuyerEffect::PublishRequest(request)) => {
            request_template(&desk, request).await
        }
        _ => return not_ours(&desk, pending).await,
    };
    // What a former run of this program did with it, nobody knows.
    let resumed = pending.resumed;
    let signed = built.and_then(|template| sign::sign_template(&desk.vault, &template));
    let outcome = match signed {
        Ok(event) => {
            let targets = targets(&desk, pool.as_ref(), &guests, &pending.effect);
            send(pool.as_ref(), &event, targets, not_after).await
        }
        Err(error) => Err(NotSent { tries: 0, why: error.message, may_be_out: false }),
    };
    match outcome {
        Ok(sent) => report(&desk, pending, sent).await,
        Err(NotSent { tries, why, may_be_out }) => {
            let may_be_out = may_be_out || resumed;
            let gave_up = GaveUp { what: pending.effect, tries, why, may_be_out };
            given_up(&desk, pending.id, gave_up).await;
        }
    }
}

const TOO_LATE: &str = "no relay took it while it was of use";

/// From when on an event must not leave any more, where it has such a time.
const fn not_after(effect: &Effect) -> Option<Timestamp> {
    match effect {
        Effect::Provider(ProviderEffect::Publish(publish)) => publish.not_after,
        Effect::Buyer(BuyerEffect::PublishRequest(request)) => Some(request.not_after),
        _ => None,
    }
}

fn is_too_late(not_after: Option<Timestamp>) -> bool {
    not_after.is_some_and(|end| host::clock::now() >= end)
}

/// The event that relays have, and which do.
type Sent = (EventId, Vec<String>);

/// How often an event was tried, and why no relay has it.
struct NotSent {
    tries: u32,
    why: String,
    /// A relay may have it all the same.
    may_be_out: bool,
}

async fn job_template(desk: &Arc<Inner>, publish: &Publish) -> Result<Template, ErrorBody> {
    let (request, content) = publish.needs();
    let request = body(desk, request).await?;
    let content = body(desk, content).await?;
    publish
        .template(request.as_deref(), content.as_deref())
        .map_err(|error| ErrorBody::new("not_built", error.to_string()))
}

/// The blobs a request names are on the server before the request is out.
async fn request_template(
    desk: &Arc<Inner>,
    request: &PublishRequest,
) -> Result<Template, ErrorBody> {
    blobs::upload_kept(desk, &request.blobs).await?;
    serde_json::from_slice(&desk.body(&request.request).await?)
        .map_err(|error| ErrorBody::new("not_built", error.to_string()))
}

/// The bytes of a body, where one is needed.
async fn body(
    desk: &Arc<Inner>,
    reference: Option<&domain::BodyRef>,
) -> Result<Option<Arc<[u8]>>, ErrorBody> {
    match reference {
        None => Ok(None),
        Some(reference) => desk.body(reference).await.map(Some),
    }
}

/// Our relays, and those that the buyer named for this job.
fn targets(desk: &Inner, pool: &dyn NostrClient, guests: &Guests, effect: &Effect) -> Targets {
    let Effect::Provider(ProviderEffect::Publish(publish)) = effect else { return Targets::All };
    if publish.extra_relays.is_empty() {
        return Targets::All;
    }
    let mut urls: Vec<_> = desk.view().relays.iter().map(|relay| relay.url.clone()).collect();
    for url in &publish.extra_relays {
        let Ok(name) = relay::normal_name(url) else { continue };
        if !urls.contains(&name) && guests.admit(pool, &name) {
            urls.push(name);
        }
    }
    Targets::Only(urls)
}

/// Sends until a relay has it, or nobody will take it, or time is up: its own, where it has one.
async fn send(
    pool: &dyn NostrClient,
    event: &Event,
    targets: Targets,
    not_after: Option<Timestamp>,
) -> Result<Sent, NotSent> {
    let id = EventId(event.id.to_bytes());
    let started = tokio::time::Instant::now();
    let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
    let mut may_be_out = false;
    loop {
        if is_too_late(not_after) {
            let (tries, why) = (backoff.tries(), TOO_LATE.to_owned());
            return Err(NotSent { tries, why, may_be_out });
        }
        let options = PublishOptions { timeout: PUBLISH_WITHIN, enough: 1 };
        let report = pool.publish(Outgoing::from(event), targets.clone(), options).await;
        if report.is_published() {
            let accepted = report.accepted.iter().map(|relay| relay.url.to_string()).collect();
            return Ok((id, accepted));
        }
        may_be_out |= report.may_be_out();
        let over = not_after.is_none() && started.elapsed() > GIVE_UP_AFTER;
        if over || !report.is_retryable() {
            let why: Vec<_> =
                report.rejected.iter().map(|r| format!("{}: {}", r.url, r.reason)).collect();
            let (tries, why) = (backoff.tries() + 1, why.join("; "));
            return Err(NotSent { tries, why, may_be_out });
        }
        tokio::time::sleep(backoff.failed()).await;
    }
}

async fn report(desk: &Inner, pending: Pending<Effect>, (event_id, accepted): Sent) {
    let fact = match pending.effect {
        Effect::Provider(ProviderEffect::Publish(publish)) => {
            Fact::Provider(ProviderInput::Published {
                request_id: publish.request_id,
                slot: publish.slot,
                event_id,
                accepted,
            })
        }
        Effect::Buyer(BuyerEffect::PublishRequest(request)) => {
            let request_id = request.request_id;
            Fact::Buyer(BuyerInput::RequestPublished { request_id, relays: accepted })
        }
        // Of an announcement or a deletion nobody waits for more than its acknowledgement.
        _ => Fact::Tick,
    };
    // It is out: the record of it may share a flush with what comes next.
    let sent = Input::of_effect(pending.id, fact).patient();
    let _stopping = desk.core.deliver(sent).await;
}
