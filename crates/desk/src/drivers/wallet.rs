//! The wallet driver: asks the executor by key, and follows its notices by cursor.

use domain::{EffectId, ErrorBody, IdempotencyKey, Msat, Timestamp};
use engine::{Effect, Fact, Input, WalletEffect, WalletFact, view::WalletState};
use host::{Pending, ipc::Client};
use nip90::{buyer::BuyerEffect, provider::ProviderEffect};
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use wallet::{
    channels::method as channels,
    wire::{self, method, refusal},
};

use super::{backoff::Backoff, effects, give_up, not_ours, ordered, resolve};
use crate::process::Inner;

/// Invoices asked for at once. Payments have places of their own: strangers can have invoices made.
const INVOICES_AT_ONCE: usize = 128;
const PAYMENTS_AT_ONCE: usize = 128;
const RECONNECT: Duration = Duration::from_millis(200);
/// The executor is a process of ours on this machine, soon back.
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// After so many tries, about a minute, a payment that gets no answer is shown as unknown. It is
/// asked for further, by its key: it never counts as given up.
const UNKNOWN_AFTER: u32 = 30;
/// So often, about ten minutes, an invoice is asked for before it is given up.
const INVOICE_TRIES: u32 = 300;
/// Until then a silent executor counts as starting.
const STARTS_WITHIN: Duration = Duration::from_secs(15);
/// How long a poll for notices may wait; the executor answers as soon as there is one.
const POLL_MS: u32 = 20_000;

/// The connection while there is one.
type Link = watch::Receiver<Option<Arc<Client>>>;

pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    let (connected, link) = watch::channel(None);
    tasks.spawn(stay_connected(Arc::clone(desk), connected));
    for (adapter, at_once) in
        [(engine::WALLET, INVOICES_AT_ONCE), (engine::PAYMENTS, PAYMENTS_AT_ONCE)]
    {
        let (desk, link) = (Arc::clone(desk), link.clone());
        tasks.spawn(ordered::run(effects(&desk, adapter)?, at_once, move |pending| {
            act(Arc::clone(&desk), link.clone(), pending)
        }));
    }
    Ok(())
}

/// Connects, tells what the node is, follows its notices, and begins again when it went away.
async fn stay_connected(desk: Arc<Inner>, connected: watch::Sender<Option<Arc<Client>>>) {
    let started = tokio::time::Instant::now();
    loop {
        let error = match Client::connect(desk.services.wallet_dir(), wire::SERVICE).await {
            Ok(client) => {
                let client = Arc::new(client);
                let lost = follow(&desk, &client, &connected).await;
                connected.send_replace(None);
                lost
            }
            Err(error) => error,
        };
        let fact = match ended_again(&desk) {
            None if started.elapsed() < STARTS_WITHIN => {
                WalletFact::State { state: WalletState::Starting, detail: None }
            }
            why => {
                let detail = Some(why.unwrap_or(error.message));
                WalletFact::State { state: WalletState::NotReachable, detail }
            }
        };
        if tell(&desk, fact).await.is_err() {
            return;
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Waits until the desk's own wallet answers here, and gives the cursor of its newest notice.
/// Another wallet is told of, and waits for the operator: nothing is asked of it until then.
async fn own_wallet(desk: &Inner, client: &Client) -> Result<u64, ErrorBody> {
    let mut views = desk.views();
    loop {
        let info: wire::Info = client.request(method::INFO, &Value::Null).await?;
        let (newest, node_id) = (info.cursor, info.node_id.clone());
        tell(desk, WalletFact::Info(info)).await?;
        let is_ours = {
            let view = views.borrow_and_update();
            view.wallet.node_id.as_ref().is_none_or(|ours| *ours == node_id)
        };
        if is_ours && !node_id.is_empty() {
            return Ok(newest);
        }
        let _looked_at_again = tokio::time::timeout(RECONNECT, views.changed()).await;
        tokio::time::sleep(RECONNECT).await;
    }
}

/// What the executor said when it ended, where it does so again and again.
fn ended_again(desk: &Inner) -> Option<String> {
    let view = desk.view();
    let executor = view.services.iter().find(|service| service.name == "executor")?;
    (executor.restarts > 1).then(|| executor.detail.clone()).flatten()
}

/// Follows one connection until it is lost; gives why.
async fn follow(
    desk: &Inner,
    client: &Arc<Client>,
    connected: &watch::Sender<Option<Arc<Client>>>,
) -> ErrorBody {
    let outcome = async {
        let newest = own_wallet(desk, client).await?;
        connected.send_replace(Some(Arc::clone(client)));
        tell(desk, WalletFact::Connected { newest }).await?;
        // The machine forgets a cursor that is ahead of the executor's: everything is read anew.
        let known = desk.view().wallet_cursor;
        let mut after = if known > newest { 0 } else { known };
        loop {
            let query = wire::EventsQuery { after, wait_ms: POLL_MS };
            let notices: Vec<wire::Notice> = client.request(method::EVENTS, &query).await?;
            for notice in notices {
                after = after.max(notice.cursor);
                tell(desk, WalletFact::Notice(notice)).await?;
            }
        }
    };
    let outcome: Result<(), ErrorBody> = outcome.await;
    outcome.err().unwrap_or_else(|| ErrorBody::new("not_reachable", "The executor went away."))
}

async fn tell(desk: &Inner, fact: WalletFact) -> Result<(), ErrorBody> {
    desk.tell(Input::Fact(Fact::Wallet(fact))).await
}

/// What an effect asks of the executor.
enum Ask {
    Receive(wire::Receive),
    Pay(wire::Pay),
    Answer { key: IdempotencyKey, approve: bool },
}

impl Ask {
    fn of(effect: &Effect, network_memo: &str) -> Option<Self> {
        Some(match effect.clone() {
            Effect::Provider(ProviderEffect::MakeInvoice(make)) => Self::Receive(
                wire::Receive::invoice(make.key, make.amount_msat, make.memo, make.expiry_secs),
            ),
            Effect::Provider(ProviderEffect::PayRefund(pay)) => Self::Pay(wire::Pay::invoice(
                pay.key,
                pay.bolt11,
                pay.amount_msat,
                pay.max_fee_msat,
            )),
            Effect::Buyer(BuyerEffect::Pay(pay)) => Self::Pay(wire::Pay::invoice(
                pay.key,
                pay.bolt11,
                pay.amount_msat,
                pay.max_fee_msat,
            )),
            Effect::Wallet(WalletEffect::Receive(mut receive)) => {
                if receive.memo.is_empty() {
                    network_memo.clone_into(&mut receive.memo);
                }
                Self::Receive(receive)
            }
            Effect::Wallet(WalletEffect::Pay(pay)) => Self::Pay(pay),
            Effect::Wallet(WalletEffect::Answer { key, approve }) => Self::Answer { key, approve },
            _ => return None,
        })
    }

    fn key(&self) -> &IdempotencyKey {
        match self {
            Self::Answer { key, .. } => key,
            Self::Receive(receive) => &receive.key,
            Self::Pay(pay) => &pay.key,
        }
    }

    async fn put(&self, client: &Client, now: Timestamp) -> Said {
        let error = match self.send(client, now).await {
            Ok(payment) => return Said::Accepted(payment),
            Err(error) => error,
        };
        match self {
            _ if error.retryable => Said::Nothing(error),
            Self::Pay(pay) if error.code != refusal::KEY_REUSED => {
                taken_on(client, pay, error).await
            }
            Self::Receive(_) | Self::Pay(_) | Self::Answer { .. } => Said::Refused(error),
        }
    }

    async fn send(&self, client: &Client, now: Timestamp) -> Result<wire::Payment, ErrorBody> {
        match self {
            Self::Receive(receive) => {
                let invoice: wire::Invoice = client.request(method::RECEIVE, receive).await?;
                Ok(invoiced(receive, invoice, now))
            }
            Self::Pay(pay) => client.request(method::PAY, pay).await,
            Self::Answer { key, approve } => {
                let method = if *approve { method::APPROVE } else { method::DENY };
                client.request(method, &wire::PaymentQuery { key: key.clone() }).await
            }
        }
    }
}

/// What the executor said of an invoice or a payment.
#[derive(Debug, PartialEq)]
enum Said {
    Accepted(wire::Payment),
    /// Nothing was taken on.
    Refused(ErrorBody),
    /// Nothing that holds: it may have been taken on.
    Nothing(ErrorBody),
}

/// A payment is refused only where the executor's log has none of this key: after an error it may
/// have been taken on all the same.
async fn taken_on(client: &Client, pay: &wire::Pay, error: ErrorBody) -> Said {
    let query = wire::PaymentQuery { key: pay.key.clone() };
    match client.request(method::PAYMENT, &query).await {
        Ok(payment) => Said::Accepted(payment),
        Err(unknown) if unknown.code == refusal::NO_SUCH_PAYMENT => Said::Refused(error),
        Err(_) => Said::Nothing(error),
    }
}

/// Counts a payment that was not answered for.
struct Waiting(Arc<Inner>);

impl Waiting {
    fn new(desk: Arc<Inner>) -> Self {
        desk.payments_waiting.fetch_add(1, Relaxed);
        Self(desk)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.payments_waiting.fetch_sub(1, Relaxed);
    }
}

/// Asks until the executor has answered. Asking again is safe: the key makes it the same payment.
async fn act(desk: Arc<Inner>, mut link: Link, pending: Pending<Effect>) {
    let Some(ask) = Ask::of(&pending.effect, "Pilothouse") else {
        return not_ours(&desk, pending).await;
    };
    let Pending { id, effect, .. } = pending;
    let _counted = matches!(ask, Ask::Pay(_)).then(|| Waiting::new(Arc::clone(&desk)));
    let mut backoff = Backoff::new(RECONNECT, LONGEST_RETRY);
    loop {
        let client = match link.wait_for(Option::is_some).await {
            Ok(client) => client.clone(),
            Err(_) => return,
        };
        let Some(client) = client else { continue };
        match ask.put(&client, host::clock::now()).await {
            Said::Accepted(payment) => {
                return report(&desk, id, WalletFact::Accepted(payment)).await;
            }
            Said::Nothing(error) => {
                let wait = backoff.failed();
                match &ask {
                    Ask::Pay(_) if backoff.tries() == UNKNOWN_AFTER => {
                        let (key, why) = (ask.key().clone(), error.message);
                        if tell(&desk, WalletFact::Unanswered { key, why }).await.is_err() {
                            return;
                        }
                    }
                    Ask::Receive(_) | Ask::Answer { .. } if backoff.tries() == INVOICE_TRIES => {
                        return give_up(&desk, id, effect, INVOICE_TRIES, error.message).await;
                    }
                    _ => {}
                }
                tokio::time::sleep(wait).await;
            }
            Said::Refused(error) => {
                let key = ask.key().clone();
                let fact = match ask {
                    Ask::Answer { .. } => WalletFact::NotAnswered { key, error },
                    Ask::Receive(_) | Ask::Pay(_) => WalletFact::Refused { key, error },
                };
                return report(&desk, id, fact).await;
            }
        }
    }
}

async fn report(desk: &Inner, effect: EffectId, fact: WalletFact) {
    let _stopping = desk.core.deliver(Input::of_effect(effect, Fact::Wallet(fact))).await;
}

fn invoiced(asked: &wire::Receive, invoice: wire::Invoice, now: Timestamp) -> wire::Payment {
    let amount_msat = invoice.amount_msat.unwrap_or(Msat::ZERO);
    wire::Payment {
        account: asked.account.clone(),
        rail: invoice.rail,
        state: wire::PaymentState::Pending,
        payment_hash: invoice.payment_hash,
        request: Some(invoice.text),
        memo: asked.memo.clone(),
        expires_at: invoice.expires_at,
        ..wire::Payment::requested(invoice.key, wire::Direction::In, amount_msat, now)
    }
}

/// Calls that the operator may make of the executor through the desk. None of them pays: what pays
/// is logged here first.
const PASSED_ON: &[&str] = &[
    channels::CHANNELS,
    channels::QUOTE_CHANNEL,
    channels::OPEN_CHANNEL,
    channels::CLOSE_CHANNEL,
    method::RECEIVE,
    method::QUOTE,
    method::ACCOUNTS,
    method::SET_ACCOUNT,
    method::CLOSE_ACCOUNT,
    method::MOVE,
    method::LIMITS,
    method::SET_LIMITS,
    method::CONNECTIONS,
    method::CONNECTION_CREATE,
    method::CONNECTION_CLOSE,
    method::CONNECTION_RELAYS,
    method::BACKUP,
    method::CUSTODY,
    method::UNLOCK,
    method::LOCK,
    method::BACKUP_SET,
    method::BACKUP_STATUS,
    method::REHEARSE,
    method::CHECK_WORDS,
];

/// What another wallet than the desk's own may be asked.
const OF_ANY_WALLET: &[&str] = &[method::CUSTODY, method::UNLOCK, method::LOCK];

/// Asks the executor, and gives its answer as it is. Nothing of it is logged here.
pub async fn pass_on(desk: &Inner, asked: &str, params: Value) -> Result<Value, ErrorBody> {
    if !PASSED_ON.contains(&asked) {
        return Err(ErrorBody::new(
            "unknown_method",
            format!("The wallet is not asked {asked:?} this way; nothing was done."),
        ));
    }
    if asked == method::QUOTE {
        let wish = serde_json::from_value(params).map_err(|error| {
            ErrorBody::new("invalid_params", format!("The parameters do not fit: {error}"))
        })?;
        return resolve::quote(desk, wish).await;
    }
    let client = if OF_ANY_WALLET.contains(&asked) {
        Client::connect(desk.services.wallet_dir(), wire::SERVICE).await?
    } else {
        own_executor(desk).await?
    };
    client.request(asked, &params).await
}

/// The executor of the desk's own wallet; while another wallet answers, nobody.
pub async fn own_executor(desk: &Inner) -> Result<Client, ErrorBody> {
    if desk.view().wallet.other.is_some() {
        return Err(ErrorBody::refused(
            "other_wallet",
            "Another wallet answers than the one of this desk. It was not asked.",
        )
        .hint("Bring the old wallet back, or accept this one: `pilothouse wallet accept`."));
    }
    Client::connect(desk.services.wallet_dir(), wire::SERVICE).await
}

/// Asks the executor for its newest balance and waits until the view has it.
pub async fn refresh(desk: &Inner) -> Result<(), ErrorBody> {
    let client = Client::connect(desk.services.wallet_dir(), wire::SERVICE).await?;
    let info: wire::Info = client.request(method::REFRESH, &json!({})).await?;
    let Some(balance) = info.balance else { return tell(desk, WalletFact::Info(info)).await };
    tell(desk, WalletFact::Info(info)).await?;
    let mut views = desk.views();
    let shown = views.wait_for(|view| view.wallet.balance_msat == Some(balance.spendable_msat));
    let _superseded = tokio::time::timeout(Duration::from_secs(2), shown).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::ipc::{self, Handler};
    use std::{future::Future, pin::Pin};

    /// Answers `pay` and `payment` as it was told.
    struct Executor {
        pay: ErrorBody,
        payment: Result<wire::Payment, ErrorBody>,
    }

    impl Handler for Executor {
        fn call<'a>(
            &'a self,
            method: &'a str,
            _params: Value,
        ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
            Box::pin(async move {
                match method {
                    method::PAY => Err(self.pay.clone()),
                    method::PAYMENT => self.payment.clone().map(|payment| json!(payment)),
                    other => panic!("{other} was asked"),
                }
            })
        }
    }

    fn pay() -> wire::Pay {
        wire::Pay::invoice(
            IdempotencyKey::new("refund/1").unwrap(),
            "lnbcrt1".into(),
            Msat::from_sat(5),
            Msat::ZERO,
        )
    }

    fn taken_on() -> wire::Payment {
        wire::Payment {
            request: Some(pay().request),
            ..wire::Payment::requested(
                pay().key,
                wire::Direction::Out,
                pay().amount_msat,
                Timestamp::from_secs(9),
            )
        }
    }

    /// What the driver makes of an executor that answers so.
    async fn said(pay_error: &ErrorBody, payment: Result<wire::Payment, ErrorBody>) -> Said {
        let dir = tempfile::tempdir().unwrap();
        let executor = Executor { pay: pay_error.clone(), payment };
        let _server = ipc::serve(dir.path(), wire::SERVICE, Arc::new(executor)).unwrap();
        let client = Client::connect(dir.path(), wire::SERVICE).await.unwrap();
        Ask::Pay(pay()).put(&client, Timestamp::from_secs(9)).await
    }

    #[tokio::test]
    async fn only_a_log_without_the_payment_proves_that_it_was_refused() {
        let absent = || Err(ErrorBody::new(refusal::NO_SUCH_PAYMENT, "no such payment"));
        let stopped: ErrorBody = host::core::Stopped.into();
        let over_limit = ErrorBody::refused("over_limit", "Nothing was sent.");
        let broken = ErrorBody::new("internal", "a call broke off");
        assert_eq!(said(&over_limit, absent()).await, Said::Refused(over_limit.clone()));
        for error in [&over_limit, &broken] {
            assert_eq!(said(error, Ok(taken_on())).await, Said::Accepted(taken_on()));
            for silent in [&stopped, &broken] {
                let nothing = Said::Nothing((*error).clone());
                assert_eq!(said(error, Err(silent.clone())).await, nothing, "{error}, {silent}");
            }
        }
        assert_eq!(said(&stopped, absent()).await, Said::Nothing(stopped.clone()));
        let reused = ErrorBody::refused(refusal::KEY_REUSED, "The key belongs to another payment.");
        assert_eq!(said(&reused, Ok(taken_on())).await, Said::Refused(reused.clone()));
    }
}
