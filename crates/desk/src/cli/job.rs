//! `job submit|list|show|cancel`.

use clap::{Args, Subcommand};
use domain::ErrorBody;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

use super::{
    Context,
    status::{command, items, wait_for},
    wallet::{amount, msat_text},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Buy a job
    Submit(Submit),
    /// Jobs, newest first
    List {
        #[arg(long, default_value_t = 50)]
        count: u32,
    },
    /// One job: states, proofs, who must move next
    Show { request_id: String },
    /// Cancel a job of ours
    Cancel { request_id: String },
    /// Take a job that waits for the operator
    Accept { request_id: String },
    /// Decline a job that waits for the operator
    Refuse { request_id: String },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Submit {
    /// 5930 sandbox-run, 5931 repo-index, 5000 text extraction
    #[arg(long)]
    pub kind: u16,
    /// Text input; for 5930 the shell command
    #[arg(long)]
    pub text: Option<String>,
    /// A file or folder: packed, hashed and sent by hash
    #[arg(long)]
    pub path: Option<PathBuf>,
    /// A parameter of the kind: name=value
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// The most to pay for the work
    #[arg(long, default_value_t = 100_000)]
    pub bid_msat: u64,
    /// The most to pay in routing fees
    #[arg(long, default_value_t = 20_000)]
    pub max_fee_msat: u64,
    /// npub or hex key of the one provider to ask
    #[arg(long)]
    pub provider: Option<String>,
    /// Seconds until the request expires
    #[arg(long, default_value_t = 300)]
    pub timeout: u32,
    /// Return once submitted
    #[arg(long)]
    pub no_wait: bool,
}

impl Submit {
    pub fn params(&self) -> Result<Value, ErrorBody> {
        let path = match &self.path {
            Some(path) => Some(std::path::absolute(path).map_err(|error| {
                ErrorBody::new("bad_path", format!("{}: {error}", path.display()))
            })?),
            None => None,
        };
        Ok(json!({
            "kind": self.kind, "text": self.text, "path": path, "params": self.params,
            "bid_msat": amount(self.bid_msat)?, "max_fee_msat": amount(self.max_fee_msat)?,
            "provider": self.provider, "timeout_secs": self.timeout,
        }))
    }
}

impl Job {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let desk = context.desk().await?;
        match self {
            Self::Submit(submit) => {
                let submitted = desk.call("job.submit", submit.params()?).await?;
                let id = submitted["request_id"].as_str().unwrap_or_default().to_owned();
                if submit.no_wait {
                    context.out.result(&submitted, || id.clone());
                    return Ok(());
                }
                context.out.note(format!("submitted {id}"));
                let within = Duration::from_secs(u64::from(submit.timeout) + 30);
                wait_for(&desk, &format!("job={id}:over"), within).await?;
                let job = desk.call("job.show", json!({ "request_id": id })).await?;
                context.out.result(&job, || job_text(&job));
                if job["succeeded"] != true {
                    let why = job["reason"].as_str().unwrap_or("no reason was given");
                    return Err(ErrorBody::new(
                        "job_failed",
                        format!("The job ended without its result: {why}."),
                    ));
                }
            }
            Self::List { count } => {
                let answer = desk.call("job.list", json!({ "count": count })).await?;
                context.out.result(&answer, || {
                    let rows: Vec<_> = items(&answer["jobs"]).map(job_line).collect();
                    if rows.is_empty() { "No jobs yet.".into() } else { rows.join("\n") }
                });
            }
            Self::Show { request_id } => {
                let job = desk.call("job.show", json!({ "request_id": request_id })).await?;
                context.out.result(&job, || job_text(&job));
            }
            Self::Cancel { request_id } => {
                let cancel = json!({ "command": "job_cancel", "request_id": request_id });
                let reply = command(&desk, cancel).await?;
                context.out.result(&reply, || "Cancelled.".into());
            }
            Self::Accept { request_id } => {
                let accept = json!({ "command": "job_accept", "request_id": request_id });
                let reply = command(&desk, accept).await?;
                context.out.result(&reply, || "Accepted.".into());
            }
            Self::Refuse { request_id } => {
                let refuse = json!({ "command": "job_refuse", "request_id": request_id });
                let reply = command(&desk, refuse).await?;
                context.out.result(&reply, || "Refused.".into());
            }
        }
        Ok(())
    }
}

pub(crate) fn job_line(job: &Value) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or("-").to_owned();
    format!(
        "{}  {:<8} {:<12} {:<10} {:<10} {:>14}  {}",
        text("updated_at"),
        text("role"),
        text("kind_name"),
        text("state"),
        text("payment_state"),
        msat_text(&job["amount_msat"]),
        text("request_id"),
    )
}

fn job_text(job: &Value) -> String {
    let mut lines = vec![job_line(job)];
    if let Some(who) = job["waiting_for"].as_str() {
        lines.push(format!("waiting for: {who}"));
    }
    if let Some(reason) = job["reason"].as_str() {
        lines.push(format!("reason: {reason}"));
    }
    if !job["refund"].is_null() || job["payment_state"] == "refund_due" {
        lines.push(super::provider::refund_text(job));
    }
    lines.extend(items(&job["timeline"]).map(|step| {
        format!(
            "  {}  {:<10} {:<12} {}",
            step["at"].as_str().unwrap_or_default(),
            step["machine"].as_str().unwrap_or_default(),
            step["state"].as_str().unwrap_or_default(),
            step["detail"].as_str().unwrap_or_default(),
        )
    }));
    if let Some(result) = job["result"].as_str() {
        lines.push(result.to_owned());
    }
    lines.join("\n")
}
