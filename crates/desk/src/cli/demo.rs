//! `demo`: two desks on the practice network sell and buy one job of each kind, with receipts.

use clap::Args;
use domain::{ErrorBody, ExitCode};
use host::{
    Home,
    ipc::Client,
    supervise::{Program, Supervisor},
};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Context,
    job::job_line,
    status::{command, items, wait_for},
    wallet::msat_text,
};

const READY_WITHIN: Duration = Duration::from_secs(90);
const JOB_WITHIN: Duration = Duration::from_secs(120);
const BUYER_HOME: &str = "demo-buyer";
/// What a desk of the demo prints goes here, below its home.
const OUTPUT: &str = "demo-output.log";
/// Starts of a desk that may fail.
const TRIES: u32 = 2;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The folder that the buyer packs as a snapshot
    #[arg(long, default_value = ".")]
    path: PathBuf,
}

/// One desk of the demo: a process of its own and the connection to it.
pub(crate) struct Side {
    pub running: Supervisor,
    pub client: Client,
    pub npub: String,
    pub pubkey: String,
    balance_before: Value,
}

impl Demo {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let started = Instant::now();
        let home = context.home()?;
        let path = std::path::absolute(&self.path)
            .map_err(|error| ErrorBody::new("bad_path", error.to_string()))?;
        let (provider, buyer) = start_both(&home, context).await?;
        let outcome = trade(&provider, &buyer, &path, context).await;
        let balances = (balance(&provider).await, balance(&buyer).await);
        let receipts = receipts(&provider, &buyer).await;
        buyer.running.stop().await;
        provider.running.stop().await;
        let jobs = outcome?;
        let receipts = receipts?;
        let report = json!({
            "network": context.network(),
            "jobs": jobs,
            "provider": side_json(&provider.npub, &provider.balance_before, &balances.0?),
            "buyer": side_json(&buyer.npub, &buyer.balance_before, &balances.1?),
            "receipts": receipts,
            "fees": "fee_msat of a job is the routing fee that the buyer's wallet paid to the practice counterparty, on top of amount_msat; the provider receives amount_msat whole.",
            "home": home.root(),
            "elapsed_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        context.out.result(&report, || report_text(&report));
        all_paid(&report)
    }
}

fn side_json(npub: &str, before: &Value, after: &Value) -> Value {
    json!({ "npub": npub, "balance_before_msat": before, "balance_after_msat": after })
}

pub(crate) async fn start_both(home: &Home, context: &Context) -> Result<(Side, Side), ErrorBody> {
    context.out.note("Starting the practice network and the provider's desk …");
    let provider = start(home.clone(), &[], "provider").await?;
    let address = home.join("practice").join("practice.json");
    context.out.note("Starting the buyer's desk …");
    let buyer_home = home.sub(BUYER_HOME).map_err(super::home_error)?;
    let buyer = start(buyer_home, &["--practice-join".into(), address.into()], "buyer").await?;
    let (provider, buyer) = tokio::try_join!(ready(provider), ready(buyer))?;
    command(&provider.client, json!({ "command": "provider_online" })).await?;
    wait_for(&provider.client, "provider=online", READY_WITHIN).await?;
    context
        .out
        .note(format!("Provider {} is online. Both wallets hold practice money.", provider.npub));
    Ok((provider, buyer))
}

/// Starts one desk as its own process and waits until it answers.
pub(crate) async fn start(
    home: Home,
    arguments: &[OsString],
    name: &'static str,
) -> Result<Side, ErrorBody> {
    let path =
        std::env::current_exe().map_err(|error| ErrorBody::new("internal", error.to_string()))?;
    let mut args: Vec<OsString> = vec![
        "--home".into(),
        home.root().into(),
        "up".into(),
        "--headless".into(),
        "--exit-with-parent".into(),
    ];
    args.extend_from_slice(arguments);
    let output = home.join(OUTPUT);
    let running = Supervisor::start(Program { name, path, args, output, env: Vec::new() });
    let deadline = Instant::now() + READY_WITHIN;
    let client = loop {
        match Client::connect(home.root(), crate::control::SOCKET).await {
            Ok(client) => break client,
            Err(_) if running.status().borrow().restarts > TRIES => return Err(kept_ending(&home)),
            Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    };
    Ok(Side {
        running,
        client,
        npub: String::new(),
        pubkey: String::new(),
        balance_before: Value::Null,
    })
}

fn kept_ending(home: &Home) -> ErrorBody {
    let said = std::fs::read_to_string(home.join(OUTPUT)).unwrap_or_default();
    let last: Vec<_> = said.lines().rev().take(2).collect();
    let message = match last.iter().rev().copied().collect::<Vec<_>>().join(" ") {
        said if said.is_empty() => "A desk of the demo ended as soon as it was started.".to_owned(),
        said => format!("A desk of the demo ended as soon as it was started: {said}"),
    };
    ErrorBody::new("desk_ended", message).hint("`pilothouse doctor` says what is missing.")
}

async fn ready(mut side: Side) -> Result<Side, ErrorBody> {
    wait_for(&side.client, "wallet=ready", READY_WITHIN).await?;
    wait_for(&side.client, "balance>=1", READY_WITHIN).await?;
    let status = side.client.call("status", Value::Null).await?;
    side.npub = status["provider"]["npub"].as_str().unwrap_or_default().to_owned();
    side.pubkey = status["provider"]["pubkey"].as_str().unwrap_or_default().to_owned();
    side.balance_before = balance(&side).await?;
    Ok(side)
}

async fn balance(side: &Side) -> Result<Value, ErrorBody> {
    Ok(side.client.call("wallet.refresh", Value::Null).await?["balance_msat"].clone())
}

/// One job of each kind, one after the other.
async fn trade(
    provider: &Side,
    buyer: &Side,
    path: &Path,
    context: &Context,
) -> Result<Vec<Value>, ErrorBody> {
    let mut jobs = Vec::new();
    for (name, mut draft) in drafts(path) {
        context.out.note(format!("Buying {name} …"));
        draft["provider"] = json!(provider.pubkey);
        let submitted = buyer.client.call("job.submit", draft).await?;
        let id = submitted["request_id"].as_str().unwrap_or_default();
        wait_for(&buyer.client, &format!("job={id}:over"), JOB_WITHIN).await?;
        wait_for(&provider.client, &format!("job={id}:over"), JOB_WITHIN).await?;
        let job = buyer.client.call("job.show", json!({ "request_id": id })).await?;
        context.out.note(job_line(&job));
        jobs.push(demo_job(&job));
    }
    Ok(jobs)
}

fn drafts(path: &Path) -> Vec<(&'static str, Value)> {
    let limits =
        json!({ "bid_msat": 100_000, "max_fee_msat": 20_000, "timeout_secs": 120, "params": [] });
    let with = |fields: Value| {
        let mut draft = limits.clone();
        if let (Some(draft), Some(fields)) = (draft.as_object_mut(), fields.as_object()) {
            draft.extend(fields.clone());
        }
        draft
    };
    vec![
        (
            "sandbox-run: count and hash the files of the snapshot",
            with(json!({
                "kind": 5930, "path": path,
                "text": "find . -type f | wc -l > files.txt && find . -type f ! -name files.txt -print0 | sort -z | xargs -0 sha256sum | sha256sum && cat files.txt",
            })),
        ),
        ("repo-index of the snapshot", with(json!({ "kind": 5931, "path": path }))),
        (
            "text extraction from HTML",
            with(json!({
                "kind": 5000,
                "text": "<!doctype html><html><body><h1>Pilothouse</h1><p>This machine <b>sold</b> its work.</p></body></html>",
                "params": ["media_type=text/html"],
            })),
        ),
    ]
}

/// The fields that the demo promises, of one job as the buyer sees it.
fn demo_job(job: &Value) -> Value {
    let mut timings = serde_json::Map::new();
    let at = |step: &Value| step["at_ms"].as_u64();
    let steps: Vec<_> = items(&job["timeline"]).collect();
    if let Some(start) = steps.first().and_then(|step| at(step)) {
        for step in &steps {
            let (Some(at), Some(state)) = (at(step), step["state"].as_str()) else { continue };
            timings.insert(state.to_owned(), json!(at.saturating_sub(start)));
        }
    }
    let mut out = json!({ "timings_ms": timings });
    for field in [
        "request_id",
        "kind",
        "state",
        "amount_msat",
        "fee_msat",
        "payment_hash",
        "preimage",
        "bolt11",
        "result_sha256",
        "succeeded",
    ] {
        out[field] = job[field].clone();
    }
    out
}

async fn receipts(provider: &Side, buyer: &Side) -> Result<Vec<Value>, ErrorBody> {
    let mut receipts = Vec::new();
    for side in [provider, buyer] {
        let answer = side.client.call("receipts.list", Value::Null).await?;
        receipts.extend(items(&answer["receipts"]).cloned());
    }
    Ok(receipts)
}

fn report_text(report: &Value) -> String {
    let mut lines: Vec<_> = items(&report["jobs"])
        .map(|job| {
            format!(
                "{} {}  {} + fee {}  paid {}",
                job["kind"],
                job["state"].as_str().unwrap_or_default(),
                msat_text(&job["amount_msat"]),
                msat_text(&job["fee_msat"]),
                job["payment_hash"].as_str().unwrap_or("nothing"),
            )
        })
        .collect();
    for side in ["provider", "buyer"] {
        lines.push(format!(
            "{side}: {} → {} (PRACTICE)",
            msat_text(&report[side]["balance_before_msat"]),
            msat_text(&report[side]["balance_after_msat"]),
        ));
    }
    lines.push(format!(
        "{} receipts. See them with `pilothouse receipts list`.",
        items(&report["receipts"]).count()
    ));
    lines.join("\n")
}

/// Every job paid, with its preimage, and with a receipt of each side.
fn all_paid(report: &Value) -> Result<(), ErrorBody> {
    let unpaid = items(&report["jobs"]).find(|job| {
        let receipts = items(&report["receipts"])
            .filter(|receipt| receipt["request_id"] == job["request_id"])
            .count();
        job["succeeded"] != true || job["preimage"].is_null() || receipts != 2
    });
    match unpaid {
        None => Ok(()),
        Some(job) => Err(ErrorBody::new(
            "demo_failed",
            format!("Job {} did not reach a paid receipt on both sides.", job["request_id"]),
        )
        .exit(ExitCode::Failed)),
    }
}
