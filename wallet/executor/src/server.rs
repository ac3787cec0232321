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
        AccountQuery, AccountView, EventsQuery, HistoryQuery, Info, Invoice, LimitsView, NodeState,
        Notice, Pay, Payment, PaymentQuery, PaymentState, QuoteQuery, Rail, Receive,
        SHOW_SEED_CONFIRM, SeedWords, SetLimits, ShowSeed, method,
    },
};
use zeroize::Zeroizing;

use crate::{
    backend::{Backend, Capabilities},
    backup::{self, keeper::Keeper},
    channel_calls,
    custody::Guard,
    house::House,
};

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
    /// Keeps the node's state and the log at another place, where the backend has such a state.
    pub keeper: Option<Arc<Keeper>>,
    /// The log and where copies of it go, where the log is all that there is.
    pub backup: Option<(backup::Sources, PathBuf)>,
    /// What only the operator may do.
    pub custody: Guard,
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
    async fn answer(&self, name: &str, mut params: Value) -> Result<Value, ErrorBody> {
        let backend = self.house.backend.get();
        let known_by =
            backend.map(|backend| wallet::custody::fingerprint(self.network, &backend.node_id()));
        if let Some(answer) = self.custody.answer(name, &mut params, known_by).await {
            return answer;
        }
        self.custody.check(&self.house, name, &params).await?;
        match name {
            method::INFO => json(&self.info().await?),
            method::REFRESH => json(&self.refresh().await?),
            method::RECEIVE => json(&self.receive(read(params)?).await?),
            method::QUOTE => json(&self.quote(read(params)?).await?),
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
            method::APPROVE => {
                let PaymentQuery { key } = read(params)?;
                json(&self.decided(Input::Approve { key: key.clone() }, key).await?)
            }
            method::DENY => {
                let PaymentQuery { key } = read(params)?;
                json(&self.decided(Input::Deny { key: key.clone() }, key).await?)
            }
            method::ACCOUNTS => json(&self.accounts().await?),
            method::SET_ACCOUNT => {
                self.house.ask(Input::SetAccount(read(params)?)).await?;
                json(&self.accounts().await?)
            }
            method::CLOSE_ACCOUNT => {
                let AccountQuery { id } = read(params)?;
                self.house.ask(Input::CloseAccount { id }).await?;
                json(&self.accounts().await?)
            }
            method::MOVE => {
                self.house.ask(Input::Move(read(params)?)).await?;
                json(&self.accounts().await?)
            }
            method::LIMITS => json(&self.limits().await?),
            method::SET_LIMITS => {
                let SetLimits { limits } = read(params)?;
                self.house.ask(Input::SetLimits { limits }).await?;
                json(&self.limits().await?)
            }
            method::BACKUP
            | method::BACKUP_SET
            | method::BACKUP_STATUS
            | method::REHEARSE
            | method::CHECK_WORDS => self.backup_call(name, params).await,
            method::SHOW_SEED => json(&self.show_seed(&read(params)?)?),
            method::SHUTDOWN => {
                self.house.end();
                Ok(Value::Bool(true))
            }
            other => {
                let answer = channel_calls::answer(&self.house, other, params).await;
                answer.unwrap_or_else(|| Err(unknown(other)))
            }
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
                    receives: Vec::new(),
                    pays: Vec::new(),
                    listening_address: None,
                });
            }
        };
        let can = backend.map(|backend| backend.capabilities());
        let rails = |which: fn(&Capabilities) -> &'static [Rail]| {
            can.as_ref().map_or_else(Vec::new, |can| which(can).to_vec())
        };
        Ok(Info {
            receives: rails(|can| can.receives),
            pays: rails(|can| can.pays),
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

    /// What would be paid; what this backend cannot pay is refused.
    async fn quote(&self, query: QuoteQuery) -> Result<wallet::wire::Quote, ErrorBody> {
        let pays = self.house.backend()?.capabilities().pays;
        match self.house.ask(Input::Quote(query)).await? {
            Reply::Quote(mut quote) => {
                if !pays.contains(&quote.rail) {
                    quote.refused = Some(ErrorBody::refused(
                        "unsupported_rail",
                        "This wallet cannot pay that way. Nothing was sent.",
                    ));
                }
                Ok(*quote)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Approves or denies, and gives the payment as it is then.
    async fn decided(
        &self,
        input: Input,
        key: domain::IdempotencyKey,
    ) -> Result<Payment, ErrorBody> {
        self.house.ask(input).await?;
        self.payment(Input::Payment { key }).await
    }

    async fn accounts(&self) -> Result<Vec<AccountView>, ErrorBody> {
        match self.house.ask(Input::Accounts).await? {
            Reply::Accounts(accounts) => Ok(accounts),
            other => Err(unexpected(&other)),
        }
    }

    async fn limits(&self) -> Result<LimitsView, ErrorBody> {
        match self.house.ask(Input::Limits).await? {
            Reply::Limits(limits) => Ok(limits),
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
    let Some(text) = payment.request else {
        return Err(ErrorBody::new(
            "payment_over",
            "This payment is over; its invoice is not kept.",
        ));
    };
    Ok(Invoice {
        key: payment.key,
        rail: payment.rail,
        text,
        payment_hash: payment.payment_hash,
        amount_msat: Some(payment.amount_msat).filter(|amount| !amount.is_zero()),
        expires_at: payment.expires_at,
    })
}

pub(crate) fn read<T: DeserializeOwned>(params: Value) -> Result<T, ErrorBody> {
    serde_json::from_value(params).map_err(|error| {
        ErrorBody::new("invalid_params", format!("{error}; nothing was done."))
            .exit(ExitCode::Usage)
    })
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Value, ErrorBody> {
    serde_json::to_value(value).map_err(|error| ErrorBody::new("internal", error.to_string()))
}

fn unknown(method: &str) -> ErrorBody {
    let text = format!("The wallet has no method {method:?}; nothing was done.");
    ErrorBody::new("unknown_method", text)
}

fn unexpected(reply: &Reply) -> ErrorBody {
    ErrorBody::new("internal", format!("the machine answered something else: {reply:?}"))
}
