//! The executor's calls, as `wallet::wire` declares them.

use domain::{ErrorBody, ExitCode};
use host::ipc::Handler;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};
use wallet::{
    Input, Reply,
    wire::{
        EventsQuery, HistoryQuery, Info, Invoice, NodeState, Notice, Pay, Payment, PaymentQuery,
        PaymentState, QuoteQuery, Receive, SHOW_SEED_CONFIRM, SeedWords, ShowSeed, method,
    },
};
use zeroize::Zeroizing;

use crate::{backend::Backend, backup, house::House};

/// Longer than an invoice waits for a channel.
const INVOICE_WITHIN: Duration = Duration::from_secs(40);
const SYNC_WITHIN: Duration = Duration::from_secs(30);
const LONGEST_WAIT_MS: u32 = 60_000;
const NOTICES_AT_ONCE: u32 = 200;

/// What the words alone do not bring back, said wherever words or backups are given.
pub const SEED_WARNING: &str = "The words alone bring back the node's identity and its keys, not the money in its channels: \
     for that the newest channel state is needed as well. Never start an older copy of it.";

/// What the money's words come from, asked for on demand.
pub type Words = Box<dyn Fn() -> Zeroizing<String> + Send + Sync>;

/// Answers the desk.
pub struct Calls<B> {
    pub house: Arc<House<B>>,
    pub network: domain::Network,
    pub words: Words,
    pub backup: backup::Sources,
    /// Where backups go.
    pub backups: PathBuf,
}

impl<B: Backend> Handler for Calls<B> {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
        Box::pin(self.answer(method, params))
    }
}

impl<B: Backend> Calls<B> {
    async fn answer(&self, name: &str, params: Value) -> Result<Value, ErrorBody> {
        match name {
            method::INFO => json(&self.info().await?),
            method::REFRESH => json(&self.refresh().await?),
            method::RECEIVE => json(&self.receive(read(params)?).await?),
            method::QUOTE => {
                let QuoteQuery { bolt11 } = read(params)?;
                match self.house.ask(Input::Quote { bolt11 }).await? {
                    Reply::Quote(quote) => json(&quote),
                    other => Err(unexpected(&other)),
                }
            }
            method::PAY => json(&self.pay(read(params)?).await?),
            method::PAYMENT => {
                let PaymentQuery { key } = read(params)?;
                json(&self.payment(Input::Payment { key }).await?)
            }
            method::HISTORY => {
                let query: HistoryQuery = read(params)?;
                match self.house.ask(Input::History(query)).await? {
                    Reply::Payments(payments) => json(&payments),
                    other => Err(unexpected(&other)),
                }
            }
            method::EVENTS => json(&self.events(read(params)?).await?),
            method::BACKUP => json(&self.back_up().await?),
            method::SHOW_SEED => json(&self.show_seed(&read(params)?)?),
            method::SHUTDOWN => {
                self.house.end();
                Ok(Value::Bool(true))
            }
            other => Err(ErrorBody::new(
                "unknown_method",
                format!("The wallet has no method {other:?}; nothing was done."),
            )),
        }
    }

    async fn info(&self) -> Result<Info, ErrorBody> {
        let backend = self.house.backend.get();
        let summary = match self.house.core.ask(Input::Summary).await? {
            Some(Reply::Summary(summary)) if backend.is_some() => *summary,
            _ => {
                let detail = self.house.trouble.borrow().clone();
                return Ok(Info {
                    network: self.network,
                    backend: String::new(),
                    node_id: String::new(),
                    state: if detail.is_some() { NodeState::Degraded } else { NodeState::Starting },
                    balance: None,
                    cursor: self.house.core.view().borrow().cursor,
                    detail,
                    listening_address: None,
                });
            }
        };
        Ok(Info {
            network: summary.network,
            backend: summary.backend,
            node_id: summary.node_id,
            state: summary.state,
            balance: summary.balance,
            cursor: summary.cursor,
            detail: summary.detail,
            listening_address: backend.and_then(|backend| backend.listening_address()),
        })
    }

    async fn refresh(&self) -> Result<Info, ErrorBody> {
        let synced =
            timeout(SYNC_WITHIN, self.house.with(Backend::sync)).await.map_err(|_| {
                ErrorBody::new("timed_out", "The chain source did not answer in time.")
                    .retryable()
                    .exit(ExitCode::TimedOut)
            })??;
        synced.map_err(|error| ErrorBody::new("not_synced", error.to_string()).retryable())?;
        self.house.look.notify_one();
        self.info().await
    }

    async fn payment(&self, input: Input) -> Result<Payment, ErrorBody> {
        match self.house.ask(input).await? {
            Reply::Payment(payment) => Ok(*payment),
            other => Err(unexpected(&other)),
        }
    }

    /// Logs the wish, waits until the node has made the invoice, and gives it.
    async fn receive(&self, receive: Receive) -> Result<Invoice, ErrorBody> {
        let key = receive.key.clone();
        let mut tide = self.house.core.view();
        let _asked = self.house.ask(Input::Receive(receive)).await?;
        let until = Instant::now() + INVOICE_WITHIN;
        loop {
            tide.borrow_and_update();
            let payment = self.payment(Input::Payment { key: key.clone() }).await?;
            match payment.state {
                PaymentState::Requested => {}
                PaymentState::Failed => {
                    let why = payment.detail.unwrap_or_else(|| "No invoice was made.".into());
                    return Err(ErrorBody::new("no_invoice", why)
                        .hint("Ask again with a new key once the wallet is ready."));
                }
                _ => return invoice(payment),
            }
            match timeout_at(until, tide.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(host::core::Stopped.into()),
                Err(_) => {
                    return Err(ErrorBody::new(
                        "timed_out",
                        "The node has not made the invoice yet; asking again with the same key \
                         gives the same invoice.",
                    )
                    .retryable()
                    .exit(ExitCode::TimedOut));
                }
            }
        }
    }

    /// Logs the wish; the outcome comes as notices.
    async fn pay(&self, pay: Pay) -> Result<Payment, ErrorBody> {
        let key = pay.key.clone();
        match self.house.ask(Input::Pay(pay)).await? {
            Reply::Payment(payment) => Ok(*payment),
            _ => self.payment(Input::Payment { key }).await,
        }
    }

    /// Notices after a cursor; where there are none, waits for the first.
    async fn events(&self, query: EventsQuery) -> Result<Vec<Notice>, ErrorBody> {
        let wait = Duration::from_millis(query.wait_ms.min(LONGEST_WAIT_MS).into());
        let until = Instant::now() + wait;
        let mut tide = self.house.core.view();
        loop {
            tide.borrow_and_update();
            let input = Input::Notices { after: query.after, count: NOTICES_AT_ONCE };
            let notices = match self.house.core.ask(input).await? {
                Some(Reply::Notices(notices)) => notices,
                Some(Reply::Refused(error)) if error.code != "starting" => return Err(error),
                _ => Vec::new(),
            };
            if !notices.is_empty() {
                return Ok(notices);
            }
            match timeout_at(until, tide.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(host::core::Stopped.into()),
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    async fn back_up(&self) -> Result<wallet::wire::BackupReport, ErrorBody> {
        let (sources, to) = (self.backup.clone(), self.backups.clone());
        let now = host::clock::now();
        self.house.with(move |backend| backup::write(backend, &sources, &to, now)).await?
    }

    fn show_seed(&self, asked: &ShowSeed) -> Result<SeedWords, ErrorBody> {
        if asked.confirm != SHOW_SEED_CONFIRM {
            return Err(ErrorBody::refused("not_confirmed", "The words were not shown.").hint(
                "Whoever has the words has the money: confirm that they are meant to be shown.",
            ));
        }
        tracing::warn!("the words of the money seed were shown");
        let words = (self.words)();
        Ok(SeedWords {
            words: words.split_whitespace().map(str::to_owned).collect(),
            warning: SEED_WARNING.into(),
        })
    }
}

fn invoice(payment: Payment) -> Result<Invoice, ErrorBody> {
    match payment {
        Payment {
            key,
            bolt11: Some(bolt11),
            payment_hash: Some(payment_hash),
            expires_at: Some(expires_at),
            amount_msat,
            ..
        } => Ok(Invoice { key, bolt11, payment_hash, amount_msat, expires_at }),
        _ => Err(ErrorBody::new("payment_over", "This payment is over; its invoice is not kept.")),
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, ErrorBody> {
    serde_json::from_value(params).map_err(|error| {
        ErrorBody::new("invalid_params", format!("{error}; nothing was done."))
            .exit(ExitCode::Usage)
    })
}

fn json<T: Serialize>(value: &T) -> Result<Value, ErrorBody> {
    serde_json::to_value(value).map_err(|error| ErrorBody::new("internal", error.to_string()))
}

fn unexpected(reply: &Reply) -> ErrorBody {
    ErrorBody::new("internal", format!("the machine answered something else: {reply:?}"))
}
