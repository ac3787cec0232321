//! `bench jobs`: three processes as in the open network: relay, provider with its journal, buyer.

use clap::Args;
use domain::{ErrorBody, EventId, Pubkey};
use host::{
    Home,
    supervise::{self, Program, Supervisor},
};
use net::Egress;
use nip90::codec::{Input, RequestTerms};
use nostr::{
    event::{Event, Kind, Signature},
    filter::Filter,
};
use relay::{
    NostrClient, Outgoing, Pool, PoolConfig, PublishOptions, RelayFact, RelaySpec, RelayState,
    Targets,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use vault::Identity;

use super::failed;
use crate::{
    cli::{
        Context,
        demo::{Side, start, start_both},
        status::{command, wait_for},
    },
    practice,
};

const JOB_WITHIN: Duration = Duration::from_secs(30);
const WARM_UP: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// Jobs of each cell
    #[arg(long, default_value_t = 1_000)]
    jobs: usize,
    /// Jobs in flight, one cell each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    in_flight: Vec<usize>,
    /// Paid over practice Lightning, by a second desk; else free, by a plain client
    #[arg(long)]
    paid: bool,
}

impl Jobs {
    pub async fn run(&self, context: &Context) -> Result<Value, ErrorBody> {
        let home = context.home()?.sub("bench-jobs").map_err(crate::cli::home_error)?;
        let cells = if self.paid {
            self.paid(&home, context).await
        } else {
            self.free(&home, context).await
        };
        let cells = cells?;
        std::fs::remove_dir_all(home.root()).map_err(failed)?;
        Ok(json!({ "paid": self.paid, "kind": 5000, "cells": cells }))
    }

    async fn free(&self, home: &Home, context: &Context) -> Result<Vec<Value>, ErrorBody> {
        let dir = home.dir(practice::DIR).map_err(crate::cli::home_error)?;
        let network = Supervisor::start(Program {
            name: "practice",
            path: supervise::find("pilothouse-practice")?,
            args: vec![
                "--dir".into(),
                dir.clone().into(),
                "--without-lightning".into(),
                "--relay-no-fsync".into(),
                "--exit-with-parent".into(),
            ],
            output: dir.join("practice.out"),
            env: Vec::new(),
        });
        let relay_url = loop {
            match practice::read(&dir.join("practice.json")) {
                Ok(network) => break network.relay_url,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let arguments = ["--relay".into(), relay_url.clone().into()];
        let provider = start(home.clone(), &arguments, "provider").await?;
        sell(&provider, 0).await?;
        let status = provider.client.call("status", Value::Null).await?;
        let seller: Pubkey =
            serde_json::from_value(status["provider"]["pubkey"].clone()).map_err(failed)?;
        let buyer = Buyer::connect(&relay_url, seller).await?;
        let mut cells = Vec::new();
        buyer.buy(WARM_UP, 4).await?;
        for in_flight in &self.in_flight {
            context.out.note(format!("{} free jobs, {in_flight} in flight …", self.jobs));
            cells.push(buyer.buy(self.jobs, *in_flight).await?);
        }
        provider.running.stop().await;
        network.stop().await;
        Ok(cells)
    }

    async fn paid(&self, home: &Home, context: &Context) -> Result<Vec<Value>, ErrorBody> {
        let (provider, buyer) = start_both(home, context).await?;
        sell(&provider, 1_000).await?;
        let client = Arc::new(buyer.client);
        let mut cells = Vec::new();
        for in_flight in &self.in_flight {
            context.out.note(format!("{} paid jobs, {in_flight} in flight …", self.jobs));
            let (client, seller) = (Arc::clone(&client), provider.pubkey.clone());
            cells.push(
                cell(self.jobs, *in_flight, move |n| {
                    let (client, seller) = (Arc::clone(&client), seller.clone());
                    async move {
                        let draft = json!({
                            "kind": 5000, "text": format!("job {n}"), "params": [],
                            "bid_msat": 10_000, "max_fee_msat": 20_000, "timeout_secs": 120,
                            "provider": seller,
                        });
                        let submitted = client.call("job.submit", draft).await?;
                        let id = submitted["request_id"].as_str().unwrap_or_default();
                        wait_for(&client, &format!("job={id}:succeeded"), JOB_WITHIN).await?;
                        Ok(())
                    }
                })
                .await,
            );
        }
        drop(client);
        buyer.running.stop().await;
        provider.running.stop().await;
        Ok(cells)
    }
}

/// Offers kind 5000 at one price and goes online.
async fn sell(provider: &Side, price_msat: u64) -> Result<(), ErrorBody> {
    for kind in [5930, 5931] {
        command(&provider.client, json!({ "command": "offer_remove", "kind": kind })).await?;
    }
    let offer = json!({
        "command": "offer_set", "kind": 5000, "price_msat": price_msat, "payment": "before",
    });
    command(&provider.client, offer).await?;
    command(&provider.client, json!({ "command": "provider_online" })).await?;
    wait_for(&provider.client, "provider=online", JOB_WITHIN).await.map(|_| ())
}

/// Runs `jobs` of them, `in_flight` at once, and says how long they took.
async fn cell<F, Fut>(jobs: usize, in_flight: usize, one: F) -> Value
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), ErrorBody>> + Send,
{
    let one = Arc::new(one);
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let started = Instant::now();
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (one, next) = (Arc::clone(&one), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut took_ms, mut lost) = (Vec::new(), 0_u64);
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= jobs {
                        return (took_ms, lost);
                    }
                    let began = Instant::now();
                    match one(n).await {
                        Ok(()) => took_ms.push(began.elapsed().as_secs_f64() * 1_000.0),
                        Err(error) => {
                            tracing::warn!(%error, "a job was lost");
                            lost += 1;
                        }
                    }
                }
            })
        })
        .collect();
    let (mut took_ms, mut lost) = (Vec::new(), 0);
    for worker in workers {
        if let Ok((took, missed)) = worker.await {
            took_ms.extend(took);
            lost += missed;
        }
    }
    let elapsed = started.elapsed().as_secs_f64();
    took_ms.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (took_ms.len() as f64 * share).ceil() as usize;
        took_ms.get(index.saturating_sub(1)).copied()
    };
    json!({
        "in_flight": in_flight,
        "jobs": took_ms.len(),
        "lost": lost,
        "jobs_per_s": took_ms.len() as f64 / elapsed,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    })
}

/// Who waits for the result of which request.
type Waiting = Arc<Mutex<HashMap<EventId, oneshot::Sender<()>>>>;

/// A plain buyer without a journal, as any outside client is.
struct Buyer {
    pool: Arc<dyn NostrClient>,
    identity: Arc<Identity>,
    seller: Pubkey,
    waiting: Waiting,
}

impl Buyer {
    async fn connect(relay_url: &str, seller: Pubkey) -> Result<Self, ErrorBody> {
        let secret = host::entropy::random_32().map_err(failed)?;
        let identity = Identity::from_secret(&secret).ok_or_else(|| failed("no key"))?;
        let egress = Egress::default();
        egress.trust(relay_url).map_err(failed)?;
        let (facts, mut seen) = mpsc::channel(4_096);
        let config = PoolConfig::new(Arc::new(egress), Arc::new(host::clock::now));
        let pool = Pool::new(config, facts).map_err(failed)?;
        let us = crate::drivers::sign::public_key(identity.pubkey());
        let results = Filter::new().kind(Kind::from(6_000)).pubkey(us);
        pool.subscribe("results", vec![results]).map_err(failed)?;
        pool.add_relay(&RelaySpec::full(relay_url)).map_err(failed)?;
        let waiting = Waiting::default();
        let (connected, ready) = oneshot::channel();
        let asked = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut connected = Some(connected);
            while let Some(fact) = seen.recv().await {
                match fact {
                    RelayFact::State { state: RelayState::Connected, .. } => {
                        if let Some(connected) = connected.take() {
                            let _gone = connected.send(());
                        }
                    }
                    RelayFact::Event { event, .. } => answered(&asked, &event),
                    _ => {}
                }
            }
        });
        ready.await.map_err(failed)?;
        Ok(Self { pool: Arc::new(pool), identity: Arc::new(identity), seller, waiting })
    }

    async fn buy(&self, jobs: usize, in_flight: usize) -> Result<Value, ErrorBody> {
        let (pool, identity) = (Arc::clone(&self.pool), Arc::clone(&self.identity));
        let (seller, waiting) = (self.seller, Arc::clone(&self.waiting));
        let round = hex::encode(host::entropy::random_32().map_err(failed)?);
        let one = move |n: usize| {
            let (pool, identity, waiting) =
                (Arc::clone(&pool), Arc::clone(&identity), Arc::clone(&waiting));
            let text = format!("job {n} of {round}");
            async move {
                let event = request(&identity, seller, text)?;
                let id = EventId(event.id.to_bytes());
                let (done, result) = oneshot::channel();
                waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, done);
                let options = PublishOptions { timeout: JOB_WITHIN, enough: 1 };
                let report = pool.publish(Outgoing::from(&event), Targets::All, options).await;
                if !report.is_published() {
                    return Err(failed("no relay took the request"));
                }
                match tokio::time::timeout(JOB_WITHIN, result).await {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(failed("no result came")),
                }
            }
        };
        Ok(cell(jobs, in_flight, one).await)
    }
}

/// A result came whose id and signature the relay client has verified.
fn answered(waiting: &Waiting, event: &Event) {
    let Ok(result) = nip90::codec::JobResult::parse(event) else { return };
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(done) = waiting.remove(&result.terms.request_id.into()) {
        let _gave_up = done.send(());
    }
}

fn request(identity: &Identity, seller: Pubkey, text: String) -> Result<Event, ErrorBody> {
    let terms = RequestTerms {
        kind: 5_000,
        inputs: vec![Input::text(text)],
        providers: vec![seller],
        ..RequestTerms::default()
    };
    let unsigned = terms
        .template(host::clock::now().as_secs())
        .and_then(|template| template.unsigned(identity.pubkey()))
        .map_err(failed)?;
    let digest = unsigned.compute_id().to_bytes();
    let signature = Signature::from_byte_array(identity.sign_digest(&digest));
    unsigned.add_signature(signature).map_err(failed)
}
