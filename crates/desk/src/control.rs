//! The control API: what the command line (and nothing else) may ask of the running desk.

use domain::{ErrorBody, IdempotencyKey, Msat, RequestId};
use engine::{
    Command, Query, Reply, View,
    view::{JobRole, JobView, PaymentView, RefundView},
    wire,
};
use host::ipc::Handler;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::HashSet, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    condition::Condition,
    drivers::resolve,
    process::Inner,
    status::{dead_letters_json, job_json, payment_json, status_json},
    submit::Submission,
};

/// Name of the control socket of a home.
pub const SOCKET: &str = "control";

/// The longest a `wait` holds its answer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Answers the control socket.
pub struct Control {
    desk: Arc<Inner>,
}

impl Control {
    pub fn new(desk: Arc<Inner>) -> Self {
        Self { desk }
    }

    async fn answer(&self, method: &str, params: Value) -> Result<Value, ErrorBody> {
        match method {
            "status" => Ok(status_json(&self.view())),
            "view" => to_json(self.view().as_ref()),
            "command" => to_json(&self.command(parse(params)?).await?),
            "query" => to_json(&self.desk.query(parse::<Query>(params)?).await),
            "wait" => self.wait(parse(params)?).await,
            "job.submit" => self.submit(parse(params)?).await,
            "job.list" => self.jobs(parse(params)?).await,
            "job.show" => self.job(parse(params)?).await,
            "wallet.refresh" => self.refresh().await,
            "wallet.receive" => self.receive(parse(params)?).await,
            "wallet.history" => self.history(parse(params)?).await,
            "wallet.pay" => self.pay(parse(params)?).await,
            "wallet.answer" => self.answer_payment(parse(params)?).await,
            "wallet.ask" => {
                let WalletAsk { method, params } = parse(params)?;
                crate::drivers::wallet::pass_on(&self.desk, &method, params).await
            }
            "provider.refund" => self.refund(parse(params)?).await,
            "events.dead" => Ok(dead_letters_json(&self.view())),
            "receipts.list" => self.receipts().await,
            "identity.words_written" => {
                to_json(&self.desk.change_identity(crate::identity::words_written).await?)
            }
            "identity.name" => {
                let Name { name } = parse(params)?;
                let named = move |vault: &vault::Vault| crate::identity::name_machine(vault, &name);
                to_json(&self.desk.change_identity(named).await?)
            }
            "shutdown" => {
                self.desk.ask_shutdown();
                Ok(json!({}))
            }
            _ => Err(ErrorBody::new("unknown_method", format!("{method} is not known here"))),
        }
    }

    fn view(&self) -> Arc<View> {
        self.desk.view()
    }

    /// Sends a command; a refusal becomes an error.
    async fn command(&self, command: Command) -> Result<Reply, ErrorBody> {
        match self.desk.command(command).await? {
            Reply::Refused(error) => Err(error),
            reply => Ok(reply),
        }
    }

    async fn wait(&self, wait: Wait) -> Result<Value, ErrorBody> {
        let condition: Condition = wait.condition.parse()?;
        let within = Duration::from_millis(wait.timeout_ms).min(LONGEST_WAIT);
        let mut views = self.desk.views();
        let met = tokio::time::timeout(within, views.wait_for(|view| condition.holds(view))).await;
        match met {
            Err(_) => Ok(json!({ "condition": wait.condition, "met": false })),
            Ok(Ok(_)) => Ok(json!({ "condition": wait.condition, "met": true })),
            Ok(Err(_)) => Err(host::core::Stopped.into()),
        }
    }

    async fn submit(&self, submission: Submission) -> Result<Value, ErrorBody> {
        let draft = submission.prepare(&self.desk).await?;
        match self.command(Command::JobSubmit(draft)).await? {
            Reply::JobSubmitted { request_id } => Ok(json!({ "request_id": request_id })),
            reply => to_json(&reply),
        }
    }

    async fn jobs(&self, page: Page) -> Result<Value, ErrorBody> {
        let view = self.view();
        let mut jobs: Vec<_> = view.jobs.iter().map(|job| job_json(job)).collect();
        if jobs.len() < page.count as usize {
            let known: HashSet<_> =
                view.jobs.iter().map(|job| (job.request_id, job.role)).collect();
            let older: Vec<JobView> = self.desk.page(engine::table::JOBS, page.count).await?;
            let not_shown = |job: &&JobView| !known.contains(&(job.request_id, job.role));
            jobs.extend(older.iter().filter(not_shown).map(job_json));
        }
        jobs.truncate(page.count as usize);
        Ok(json!({ "jobs": jobs }))
    }

    async fn job(&self, which: JobId) -> Result<Value, ErrorBody> {
        let view = self.view();
        let hot = view.jobs.iter().find(|job| job.request_id == which.request_id);
        let mut job = match hot {
            Some(job) => job_json(job),
            None => self.desk.job_row(which.request_id).await?.ok_or_else(|| {
                ErrorBody::new("no_such_job", format!("No job {} is known here.", which.request_id))
            })?,
        };
        if let Some(result) = self.desk.result_text(which.request_id).await {
            job["result"] = Value::String(result);
        }
        Ok(job)
    }

    async fn history(&self, page: Page) -> Result<Value, ErrorBody> {
        let view = self.view();
        let known: HashSet<_> = view.payments.iter().map(|payment| &payment.key).collect();
        let older: Vec<PaymentView> = self.desk.page(engine::table::PAYMENTS, page.count).await?;
        let mut payments: Vec<_> = view
            .payments
            .iter()
            .map(AsRef::as_ref)
            .chain(older.iter().filter(|payment| !known.contains(&payment.key)))
            .collect();
        payments.sort_by_key(|payment| std::cmp::Reverse(payment.updated_at));
        payments.truncate(page.count as usize);
        let payments: Vec<_> = payments.into_iter().map(payment_json).collect();
        Ok(json!({ "payments": payments }))
    }

    async fn refresh(&self) -> Result<Value, ErrorBody> {
        self.desk.refresh_wallet().await?;
        Ok(status_json(&self.view())["wallet"].clone())
    }

    async fn receive(&self, receive: wire::Receive) -> Result<Value, ErrorBody> {
        let key = receive.key.clone();
        self.command(Command::WalletReceive(receive)).await?;
        let ready = |view: &View| payment(view, &key).is_some_and(|p| p["state"] != "requested");
        self.follow(ready, Duration::from_secs(30)).await?;
        let invoice = payment(&self.view(), &key).unwrap_or(Value::Null);
        match invoice["state"].as_str() {
            Some("pending" | "settled") => Ok(invoice),
            _ => Err(ErrorBody::new(
                "no_invoice",
                invoice["detail"].as_str().unwrap_or("The wallet made no invoice.").to_owned(),
            )),
        }
    }

    async fn pay(&self, pay: PayParams) -> Result<Value, ErrorBody> {
        let (order, success) = resolve::order(&self.desk, pay.order).await?;
        let key = order.key.clone();
        self.command(Command::WalletPay(order)).await?;
        let mut payment = self.outcome(key, pay.timeout_secs).await?;
        if payment["state"] == "settled" {
            payment["success_action"] = to_json(&success)?;
        }
        Ok(payment)
    }

    async fn answer_payment(&self, answer: AnswerParams) -> Result<Value, ErrorBody> {
        let AnswerParams { key, approve, timeout_secs } = answer;
        self.command(Command::WalletAnswer { key: key.clone(), approve }).await?;
        let before = payment(&self.view(), &key);
        let answered = |view: &View| payment(view, &key) != before;
        let _still_waits = self.follow(answered, Duration::from_secs(timeout_secs)).await;
        self.outcome(key, timeout_secs).await
    }

    /// Until the payment is over or waits for the operator; what is known then.
    async fn outcome(&self, key: IdempotencyKey, timeout_secs: u64) -> Result<Value, ErrorBody> {
        let over = |view: &View| {
            payment(view, &key).is_some_and(|payment| {
                let state = payment["state"].as_str();
                matches!(state, Some("settled" | "failed" | "expired" | "awaiting_approval"))
            })
        };
        let _still_open = self.follow(over, Duration::from_secs(timeout_secs)).await;
        payment(&self.view(), &key).ok_or_else(|| {
            ErrorBody::new("outcome_unknown", "The payment was begun; nothing more is known yet.")
                .hint("Follow it with `pilothouse wallet history`; do not pay it another way.")
                .exit(domain::ExitCode::OutcomeUnknown)
        })
    }

    /// Gives back what a job owes, and waits until the wallet knows what became of it.
    async fn refund(&self, refund: RefundParams) -> Result<Value, ErrorBody> {
        let id = refund.request_id;
        let command = Command::JobRefund {
            request_id: id,
            bolt11: refund.bolt11,
            amount_msat: refund.amount_msat,
            max_fee_msat: refund.max_fee_msat,
        };
        let Reply::PaymentStarted { key } = self.command(command).await? else {
            return Err(ErrorBody::new("internal", "BUG: a refund has no key"));
        };
        let over = |view: &View| sold(view, id).is_some_and(|job| refund_is_over(job, &key));
        let _still_open = self.follow(over, Duration::from_secs(refund.timeout_secs)).await;
        self.job(JobId { request_id: id }).await
    }

    async fn follow(
        &self,
        holds: impl Fn(&View) -> bool,
        within: Duration,
    ) -> Result<(), ErrorBody> {
        let mut views = self.desk.views();
        match tokio::time::timeout(within, views.wait_for(|view| holds(view))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(host::core::Stopped.into()),
            Err(_) => Err(ErrorBody::new("timed_out", "The wallet did not answer in time.")
                .exit(domain::ExitCode::TimedOut)
                .retryable()),
        }
    }

    async fn receipts(&self) -> Result<Value, ErrorBody> {
        let receipts: Vec<Value> = self.desk.page(engine::table::RECEIPTS, 1_000).await?;
        Ok(json!({ "receipts": receipts }))
    }
}

impl Handler for Control {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
        Box::pin(self.answer(method, params))
    }
}

#[derive(Deserialize)]
struct Wait {
    condition: String,
    timeout_ms: u64,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(deserialize_with = "rows_asked")]
    count: u32,
}

/// A page stays far below the longest answer, whatever is asked.
fn rows_asked<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    u32::deserialize(deserializer).map(|count| count.min(crate::storage::MOST_ROWS))
}

#[derive(Deserialize)]
struct JobId {
    request_id: RequestId,
}

#[derive(Deserialize)]
struct PayParams {
    #[serde(flatten)]
    order: resolve::Order,
    timeout_secs: u64,
}

#[derive(Deserialize)]
struct AnswerParams {
    key: IdempotencyKey,
    approve: bool,
    timeout_secs: u64,
}

#[derive(Deserialize)]
struct WalletAsk {
    method: String,
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
struct RefundParams {
    request_id: RequestId,
    bolt11: String,
    #[serde(default)]
    amount_msat: Option<Msat>,
    max_fee_msat: Msat,
    timeout_secs: u64,
}

fn sold(view: &View, id: RequestId) -> Option<&JobView> {
    let is_it = |job: &&Arc<JobView>| job.request_id == id && job.role == JobRole::Provider;
    view.jobs.iter().find(is_it).map(AsRef::as_ref)
}

/// The view shows this attempt, and the wallet knows what became of it.
fn refund_is_over(job: &JobView, attempt: &IdempotencyKey) -> bool {
    let is_it = matches!(&job.refund, Some(RefundView::Wallet { key, .. }) if key == attempt);
    is_it && !matches!(job.payment_state.as_str(), "refunding" | "refund_unknown")
}

fn payment(view: &View, key: &IdempotencyKey) -> Option<Value> {
    let payment = view.payments.iter().find(|payment| payment.key == *key)?;
    Some(payment_json(payment))
}

fn parse<T: DeserializeOwned>(params: Value) -> Result<T, ErrorBody> {
    serde_json::from_value(params).map_err(|error| {
        ErrorBody::new("invalid_params", format!("The parameters do not fit: {error}"))
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Value, ErrorBody> {
    serde_json::to_value(value).map_err(|error| ErrorBody::new("internal", error.to_string()))
}
