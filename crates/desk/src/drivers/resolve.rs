//! From what was pasted to what the executor pays: one way is chosen, and what must be fetched is.
//!
//! An invoice that was fetched goes into the payment's own record before anything is sent. Whoever
//! pays again by the same key gets that payment: no second invoice is fetched for it.

use domain::{ErrorBody, IdempotencyKey, Msat, Timestamp};
use host::ipc::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wallet::{
    payable::{
        Kind, Payable,
        lnurl::{SuccessAction, Terms},
    },
    wire::{self, AccountId, LnurlProof, method, refusal},
};

use crate::process::Inner;

/// What is to be paid, in the operator's words.
#[derive(Clone, Debug, Deserialize)]
pub struct Wish {
    /// What was pasted: an invoice, an offer, an address, a link.
    request: String,
    #[serde(default)]
    account: AccountId,
    /// Needed where what was pasted names no amount.
    #[serde(default)]
    amount_msat: Option<Msat>,
    /// Of an invoice that was fetched before, as a quote gave it.
    #[serde(default)]
    lnurl: Option<LnurlProof>,
    /// To the payee, where its server takes one (LUD-12).
    #[serde(default)]
    comment: Option<String>,
    /// The server that the text names may be on this machine or in a private network.
    #[serde(default)]
    local_server: bool,
}

/// A payment that is to be made once, by its key.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    key: IdempotencyKey,
    max_fee_msat: Msat,
    #[serde(flatten)]
    wish: Wish,
}

/// What the executor is asked to pay, and what else is known of it.
#[derive(Debug, Serialize)]
pub struct Resolved {
    #[serde(skip)]
    request: String,
    #[serde(skip)]
    amount_msat: Option<Msat>,
    /// What was pasted, or the way of it that was chosen.
    kind: Kind,
    /// A name that the request gives itself, which nobody checked.
    claims: Option<String>,
    /// Ways of a link that were not chosen although they come first, and why.
    passed_over: Vec<PassedOver>,
    /// What an LNURL server takes at once.
    takes: Option<Takes>,
    /// Checked by the executor again; part of the payment.
    lnurl: Option<LnurlProof>,
    /// What the server wants shown once it is paid. Text only.
    success_action: Option<SuccessAction>,
}

#[derive(Debug, Serialize)]
struct PassedOver {
    kind: Kind,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct Takes {
    min_msat: Msat,
    max_msat: Msat,
    comment_chars: usize,
}

/// What paying `wish` would be: the executor's quote, and what this desk found out for it.
pub async fn quote(desk: &Inner, wish: Wish) -> Result<Value, ErrorBody> {
    let client = super::wallet::own_executor(desk).await?;
    quoted(desk, &client, &wish).await.map(|(quote, _)| quote)
}

/// The payment that `order` asks for; of one that was begun by its key, that one again.
pub async fn order(
    desk: &Inner,
    order: Order,
) -> Result<(wire::Pay, Option<SuccessAction>), ErrorBody> {
    let client = super::wallet::own_executor(desk).await?;
    let Order { key, max_fee_msat, wish } = order;
    let account = wish.account.clone();
    if let Some(begun) = begun(desk, &client, &key).await? {
        let request = begun.same_as(&wish, desk)?;
        let amount_msat = begun.amount_msat;
        let pay = wire::Pay { key, account, request, amount_msat, max_fee_msat, lnurl: wish.lnurl };
        return Ok((pay, None));
    }
    let (quote, resolved) = quoted(desk, &client, &wish).await?;
    let quote: wire::Quote = serde_json::from_value(quote)
        .map_err(|error| ErrorBody::new("internal", format!("The wallet's quote: {error}")))?;
    // The executor would say no: nothing is begun. It decides again what is begun.
    if let Some(error) = quote.refused {
        return Err(error);
    }
    let Resolved { lnurl, success_action, .. } = resolved;
    let amount_msat = quote.amount_msat;
    let pay = wire::Pay { key, account, request: quote.request, amount_msat, max_fee_msat, lnurl };
    Ok((pay, success_action))
}

async fn quoted(
    desk: &Inner,
    client: &Client,
    wish: &Wish,
) -> Result<(Value, Resolved), ErrorBody> {
    let resolved = resolve(desk, client, wish).await?;
    let query = wire::QuoteQuery {
        request: resolved.request.clone(),
        account: wish.account.clone(),
        amount_msat: resolved.amount_msat,
        lnurl: resolved.lnurl.clone(),
    };
    let mut quote: Value = client.request(method::QUOTE, &query).await?;
    if let (Some(quote), Value::Object(more)) = (quote.as_object_mut(), json!(resolved)) {
        quote.extend(more);
    }
    Ok((quote, resolved))
}

async fn resolve(desk: &Inner, client: &Client, wish: &Wish) -> Result<Resolved, ErrorBody> {
    let read = read(desk, &wish.request)?;
    let info: wire::Info = client.request(method::INFO, &Value::Null).await?;
    if info.pays.is_empty() {
        return Err(ErrorBody::new(
            "wallet_not_ready",
            "The wallet does not know yet what it can pay. Nothing was sent.",
        )
        .hint("Try again when `pilothouse wallet balance` says that it is ready.")
        .retryable());
    }
    let now = host::clock::now();
    let can_pay = |kind: Kind| info.pays.contains(&kind.rail());
    let way = read.choose(now, can_pay).map_err(|error| error.to_error())?;
    let passed_over = read
        .ways()
        .take_while(|other| *other != way)
        .map(|other| PassedOver {
            kind: other.kind,
            why: if can_pay(other.kind) { "expired" } else { "this wallet does not pay it" },
        })
        .collect();
    let amount_msat = match (way.amount_msat, wish.amount_msat) {
        (None, None) => None,
        (_, given) => Some(way.amount_to_pay(given).map_err(|error| error.to_error())?),
    };
    if wish.comment.is_some() && !way.kind.is_fetched() {
        return Err(ErrorBody::refused(
            "bad_comment",
            format!("A {} takes no comment. Nothing was sent.", way.kind.name()),
        ));
    }
    let resolved = Resolved {
        request: way.text.clone(),
        amount_msat,
        kind: way.kind,
        claims: way.claims.clone(),
        passed_over,
        takes: None,
        lnurl: wish.lnurl.clone(),
        success_action: None,
    };
    match &way.url {
        Some(url) => fetch(desk, way, url, wish, resolved, now).await,
        None => Ok(resolved),
    }
}

/// Asks an LNURL server for its terms and for an invoice over exactly the amount.
async fn fetch(
    desk: &Inner,
    way: &Payable,
    url: &str,
    wish: &Wish,
    resolved: Resolved,
    now: Timestamp,
) -> Result<Resolved, ErrorBody> {
    let egress = match wish.local_server {
        true => desk.egress.also_trusting(url).map_err(|error| {
            ErrorBody::refused("lnurl_blocked", format!("{error}. Nothing was sent."))
        })?,
        false => desk.egress.clone(),
    };
    let network = desk.network;
    let terms = egress.lnurl_terms(url, network).await.map_err(|error| error.to_error())?;
    let amount = match resolved.amount_msat {
        Some(amount) => amount,
        None if terms.min_msat == terms.max_msat => terms.min_msat,
        None => return Err(amount_needed(&way.payee, &terms)),
    };
    let comment = wish.comment.as_deref();
    let fetched = egress
        .lnurl_invoice(url, &terms, amount, comment, network, now)
        .await
        .map_err(|error| error.to_error())?;
    let Terms { min_msat, max_msat, comment_chars, metadata, identifier, .. } = terms;
    Ok(Resolved {
        request: fetched.invoice.text,
        amount_msat: Some(amount),
        claims: resolved.claims.or(identifier),
        takes: Some(Takes { min_msat, max_msat, comment_chars }),
        lnurl: Some(LnurlProof { payee: way.payee.clone(), metadata }),
        success_action: fetched.success,
        ..resolved
    })
}

fn amount_needed(payee: &str, terms: &Terms) -> ErrorBody {
    ErrorBody::refused(
        "amount_missing",
        format!(
            "{payee} takes {} to {} at once, and no amount was named. Nothing was sent.",
            terms.min_msat, terms.max_msat
        ),
    )
    .hint("Name an amount within that range.")
}

fn read(desk: &Inner, request: &str) -> Result<Payable, ErrorBody> {
    Payable::read(request, desk.network).map_err(|error| error.to_error())
}

/// A payment that was begun before.
struct Begun {
    is_out: bool,
    account: AccountId,
    amount_msat: Msat,
    request: Option<String>,
    payee: Option<String>,
}

/// What is known by this key: here, else by the executor. Only its word that it knows none counts.
async fn begun(
    desk: &Inner,
    client: &Client,
    key: &IdempotencyKey,
) -> Result<Option<Begun>, ErrorBody> {
    let view = desk.view();
    if let Some(payment) = view.payments.iter().find(|payment| payment.key == *key) {
        return Ok(Some(Begun {
            is_out: payment.direction == wire::Direction::Out,
            account: payment.account.clone(),
            amount_msat: payment.amount_msat,
            request: payment.request.clone(),
            payee: payment.payee.clone(),
        }));
    }
    let query = wire::PaymentQuery { key: key.clone() };
    let asked: Result<wire::Payment, ErrorBody> = client.request(method::PAYMENT, &query).await;
    match asked {
        Ok(payment) => Ok(Some(Begun {
            is_out: payment.direction == wire::Direction::Out,
            account: payment.account,
            amount_msat: payment.amount_msat,
            request: payment.request,
            payee: payment.payee,
        })),
        Err(error) if error.code == refusal::NO_SUCH_PAYMENT => Ok(None),
        Err(error) => Err(error),
    }
}

impl Begun {
    /// The request that this payment has, if it is what `wish` asks for.
    fn same_as(&self, wish: &Wish, desk: &Inner) -> Result<String, ErrorBody> {
        let read = read(desk, &wish.request)?;
        let is_same = |way: &Payable| match way.kind.is_fetched() {
            true => self.payee.as_deref() == Some(&*way.payee),
            false => self.request.as_deref() == Some(&*way.text),
        };
        let is_amount = wish.amount_msat.is_none_or(|amount| amount == self.amount_msat);
        let fits = self.is_out && self.account == wish.account && is_amount;
        match &self.request {
            Some(request) if fits && read.ways().any(is_same) => Ok(request.clone()),
            _ => Err(ErrorBody::refused(
                refusal::KEY_REUSED,
                "This key already stands for another payment; nothing was paid.",
            )
            .hint("Look at it with `pilothouse wallet history`, or pay without `--key`.")),
        }
    }
}
