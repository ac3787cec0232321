//! `status`, `wait` and `stop`, and the helpers that other nouns share.

use clap::Args;
use domain::{ErrorBody, ExitCode};
use host::ipc::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::{Context, provider::provider_text, wallet::msat_text};

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// provider=online, job=ID:STATE, payment=KEY:STATE, balance>=MSAT, idle
    condition: String,
    /// Seconds
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

impl Wait {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let started = Instant::now();
        let desk = connect_patiently(context, Duration::from_secs(self.timeout)).await?;
        let left = Duration::from_secs(self.timeout).saturating_sub(started.elapsed());
        let answer = wait_for(&desk, &self.condition, left).await?;
        context.out.result(&answer, || format!("{} holds", self.condition));
        Ok(())
    }
}

/// A desk that is still starting is waited for as well.
async fn connect_patiently(context: &Context, within: Duration) -> Result<Client, ErrorBody> {
    let started = Instant::now();
    loop {
        match context.desk().await {
            Ok(desk) => return Ok(desk),
            Err(error) if started.elapsed() >= within => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Waits until a condition of the view holds; the desk wakes us, nothing is polled.
pub(crate) async fn wait_for(
    desk: &Client,
    condition: &str,
    within: Duration,
) -> Result<Value, ErrorBody> {
    let timeout_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let params = json!({ "condition": condition, "timeout_ms": timeout_ms });
    let answer = desk.call("wait", params).await?;
    if answer["met"] == true {
        return Ok(answer);
    }
    Err(ErrorBody::new("timed_out", format!("{condition} did not come true in time."))
        .hint("Look at `pilothouse status`.")
        .retryable()
        .exit(ExitCode::TimedOut))
}

/// Sends an engine command; a refusal is an error.
pub(crate) async fn command(desk: &Client, command: Value) -> Result<Value, ErrorBody> {
    let reply = desk.call("command", command).await?;
    if reply["reply"] == "refused" {
        return Err(serde_json::from_value(reply)
            .unwrap_or_else(|_| ErrorBody::refused("refused", "The desk refused the command.")));
    }
    Ok(reply)
}

pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

pub(crate) async fn status(context: &Context) -> Result<(), ErrorBody> {
    let status = context.desk().await?.call("status", Value::Null).await?;
    context.out.result(&status, || status_text(&status));
    Ok(())
}

pub(crate) async fn stop(context: &Context) -> Result<(), ErrorBody> {
    let desk = context.desk().await?;
    desk.call("shutdown", Value::Null).await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while desk.is_open() {
        if Instant::now() > deadline {
            return Err(ErrorBody::new("timed_out", "The desk did not stop within 30 s.")
                .exit(ExitCode::TimedOut));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    context.out.result(&json!({ "stopped": true }), || "Stopped.".into());
    Ok(())
}

fn status_text(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut lines = vec![format!("network: {}", text(&status["network"]))];
    lines.extend(
        items(&status["relays"])
            .map(|relay| format!("relay: {} {}", text(&relay["url"]), text(&relay["state"]))),
    );
    lines.push(provider_text(&status["provider"]));
    let wallet = &status["wallet"];
    lines.push(format!(
        "wallet: {} {}",
        text(&wallet["state"]),
        msat_text(&wallet["balance_msat"])
    ));
    lines.push(format!("jobs: {} running", status["jobs"]["running"]));
    lines.push(format!("log: {} events", status["log"]["events"]));
    if status["log"]["dead_letters"].as_u64().is_some_and(|dead| dead > 0) {
        lines.push(format!(
            "given up: {} effects; see `pilothouse events dead list`",
            status["log"]["dead_letters"]
        ));
    }
    lines.join("\n")
}
