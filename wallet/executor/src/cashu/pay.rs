//! Money out: ecash is melted at a mint, which pays the invoice (NUT-05).

use cdk::{
    nuts::{MeltQuoteState, PaymentMethod},
    wallet::{
        MeltConfirmOptions, PreparedMelt,
        types::{MeltQuote, TransactionDirection},
    },
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::oneshot;
use wallet::{
    Fact, Found, Order,
    bolt11::Bolt11,
    wire::{Direction, Rail},
};

use super::{
    book::{self, Record},
    convert::{self, is_final, text},
    mint::{Mint, MintError},
    shared::Shared,
};
use crate::backend::SendAnswer;

/// Who waits for how a payment is taken; nobody once it was said.
type Waiting = Option<oneshot::Sender<SendAnswer>>;

/// Pays, and answers as soon as a mint has been chosen and the intent is on disk.
pub async fn pay(shared: Arc<Shared>, order: Order, answer: oneshot::Sender<SendAnswer>) {
    let mut waiting = Some(answer);
    // It is no more being paid when the answer says that it was not.
    if let Err(stop) = attempt(&shared, &order, &mut waiting).await {
        reply(&mut waiting, stop);
    }
}

async fn attempt(shared: &Shared, order: &Order, waiting: &mut Waiting) -> Result<(), SendAnswer> {
    let invoice = Bolt11::read(&order.request, shared.network)
        .map_err(|error| SendAnswer::Refused(error.to_string()))?;
    let asked = (order.rail, order.amount_msat, order.payment_hash.unwrap_or(invoice.payment_hash));
    if asked != (Rail::Bolt11, invoice.amount_msat, invoice.payment_hash) {
        return Err(SendAnswer::Refused("the invoice is not what was to be paid".to_owned()));
    }
    let Some(_claim) = shared.claim(invoice.payment_hash) else {
        return Err(SendAnswer::Unclear("it is being paid right now".to_owned()));
    };
    if let Some(stop) = earlier(shared, &invoice).await {
        return Err(stop);
    }
    let mut why = Vec::new();
    let mut heard = false;
    for mint in &shared.mints {
        match offer(shared, mint, order, &invoice).await {
            Ok((prepared, quote)) => {
                let taken = Taken { shared, mint, invoice: &invoice, quote };
                return taken.melt(prepared, waiting).await;
            }
            Err(No::Said(text)) => {
                heard = true;
                why.push(text);
            }
            Err(No::Silent(error)) => why.push(error.to_string()),
        }
    }
    let why = why.join("; ");
    Err(if heard { SendAnswer::NotSent(why) } else { SendAnswer::NotNow(why) })
}

/// The caller may have gone; a look-up tells it later.
fn reply(waiting: &mut Waiting, what: SendAnswer) {
    if let Some(answer) = waiting.take() {
        let _gone = answer.send(what);
    }
}

/// Why this must not be paid now: an earlier try has arrived or may still arrive.
async fn earlier(shared: &Shared, invoice: &Bolt11) -> Option<SendAnswer> {
    let unclear = |why: &str| Some(SendAnswer::Unclear(why.to_owned()));
    let record = match shared.book.get(&book::key(Direction::Out, invoice.payment_hash)).await {
        Ok(None) => return None,
        Ok(Some(record)) => record,
        Err(error) => return Some(SendAnswer::NotNow(error.to_string())),
    };
    match judge(shared, &record).await {
        Ok(Found::Failed { .. }) => None,
        Ok(Found::Settled { .. }) => unclear("it has been paid already"),
        Ok(_) => unclear("an earlier try is still on its way"),
        Err(error) => unclear(&format!("an earlier try is not known of: {error}")),
    }
}

/// Why a mint does not pay.
enum No {
    Said(String),
    Silent(MintError),
}

impl From<MintError> for No {
    fn from(error: MintError) -> Self {
        Self::Silent(error)
    }
}

/// What it costs at this mint, with the ecash for it set aside.
async fn offer<'a>(
    shared: &Shared,
    mint: &'a Mint,
    order: &Order,
    invoice: &Bolt11,
) -> Result<(PreparedMelt<'a>, MeltQuote), No> {
    let host = &mint.host;
    if mint.balance().await? < order.amount_msat {
        return Err(No::Said(format!("{host} does not hold enough")));
    }
    mint.ready(&shared.book).await?;
    let asked =
        mint.wallet.melt_quote(PaymentMethod::BOLT11, invoice.text.as_str(), None, None).await;
    let quote = match mint.noted(asked) {
        Ok(quote) => quote,
        Err(MintError::Mint { source, .. }) if is_final(&source) => {
            return Err(No::Said(format!("{host}: {}", text(&source))));
        }
        Err(error) => return Err(error.into()),
    };
    let said = |why: String| No::Said(format!("{host} {why}"));
    let amount = convert::to_msat(quote.amount).unwrap_or_default();
    if amount < order.amount_msat || amount.get() - order.amount_msat.get() >= 1_000 {
        return Err(said(format!("wants {} sat for it, which is wrong", quote.amount)));
    }
    if let Some(fee) = too_dear(order, &quote, cdk::Amount::ZERO) {
        return Err(said(fee));
    }
    let prepared = mint.wallet.prepare_melt(&quote.id, HashMap::new()).await.map_err(|error| {
        said(format!("does not hold enough of what it takes: {}", text(&error)))
    })?;
    if let Some(fee) = too_dear(order, &quote, prepared.input_fee_without_swap()) {
        if let Err(error) = prepared.cancel().await {
            tracing::error!(error = text(&error), "ecash that was set aside is not free yet");
        }
        return Err(said(fee));
    }
    Ok((prepared, quote))
}

/// More than the payment may cost, the mint's own fees included.
fn too_dear(order: &Order, quote: &MeltQuote, input_fee: cdk::Amount) -> Option<String> {
    let most = quote
        .amount
        .checked_add(quote.fee_reserve)
        .and_then(|sum| sum.checked_add(input_fee))
        .and_then(convert::to_msat);
    let dear = most.is_none_or(|most| most.saturating_sub(order.amount_msat) > order.max_fee_msat);
    dear.then(|| format!("may take a fee of {} sat and {input_fee} sat", quote.fee_reserve))
}

/// A payment that a mint is about to make.
struct Taken<'a> {
    shared: &'a Shared,
    mint: &'a Mint,
    invoice: &'a Bolt11,
    quote: MeltQuote,
}

impl Taken<'_> {
    async fn melt(
        self,
        prepared: PreparedMelt<'_>,
        waiting: &mut Waiting,
    ) -> Result<(), SendAnswer> {
        let Self { shared, mint, invoice, quote } = self;
        let mut record = Record {
            direction: Direction::Out,
            payment_hash: invoice.payment_hash,
            mint: mint.url.clone(),
            quote: quote.id,
            amount_msat: invoice.amount_msat,
            at: host::clock::now(),
            expires_at: None,
            refused: None,
        };
        if let Err(error) = shared.book.put(&record).await {
            if let Err(error) = prepared.cancel().await {
                tracing::error!(error = text(&error), "ecash that was set aside is not free yet");
            }
            return Err(SendAnswer::NotNow(error.to_string()));
        }
        shared.await_end(record.clone());
        reply(waiting, SendAnswer::Taken { reference: None });
        // What a mint left open is looked up until it is known: by the worker, from the record.
        // Without a swap before it, all that it costs is in the one record of it.
        let melted = prepared.confirm_prefer_async_with_options(MeltConfirmOptions::skip_swap());
        let Err(error) = melted.await else { return Ok(()) };
        tracing::warn!(mint = mint.host, error = text(&error), "a mint did not pay");
        if !is_final(&error) {
            return Ok(());
        }
        record.refused = Some(text(&error));
        match shared.book.put(&record).await {
            Ok(()) => shared.await_end(record),
            Err(error) => tracing::error!(%error, "a refusal was not written down"),
        }
        Ok(())
    }
}

/// What became of a payment, where this process is not just making it.
pub async fn look(shared: &Shared, record: &Record) -> Result<Found, MintError> {
    if shared.is_paying(record.payment_hash) {
        return Ok(Found::InFlight);
    }
    judge(shared, record).await
}

/// Known only by ecash that was spent for it, or by the mint's word about its quote.
async fn judge(shared: &Shared, record: &Record) -> Result<Found, MintError> {
    let Some(mint) = shared.mint(&record.mint) else { return Ok(Found::InFlight) };
    let _one_at_a_time = mint.looking.lock().await;
    if let Some(found) = spent(mint, record).await? {
        return Ok(found);
    }
    mint.ready(&shared.book).await?;
    let quote = mint.noted(mint.wallet.check_melt_quote_status(&record.quote).await)?;
    if let Some(found) = spent(mint, record).await? {
        return Ok(found);
    }
    let age_ms = host::clock::now().since_ms(record.at);
    let doubted = u128::from(age_ms) < shared.tempo.doubt.as_millis();
    Ok(match quote.state {
        MeltQuoteState::Paid => late(mint, record, &quote).await?,
        _ if quote.used_by_operation.is_some() => Found::InFlight,
        // It may not have heard of it yet, and still do.
        MeltQuoteState::Unpaid | MeltQuoteState::Failed if record.refused.is_some() || !doubted => {
            let gone = || "the mint did not pay it".to_owned();
            Found::Failed { reason: record.refused.clone().unwrap_or_else(gone) }
        }
        _ => Found::InFlight,
    })
}

async fn spent(mint: &Mint, record: &Record) -> Result<Option<Found>, MintError> {
    let done = mint.done(TransactionDirection::Outgoing, &record.quote).await?;
    Ok(done.map(|done| convert::paid(&done, record.amount_msat, record.payment_hash)))
}

/// The mint paid after it had said that it had not, and the ecash was free again meanwhile: it is
/// asked which of it is gone. What it took at most is taken as its fee.
async fn late(mint: &Mint, record: &Record, quote: &MeltQuote) -> Result<Found, MintError> {
    let held = mint.noted(mint.wallet.get_unspent_proofs().await)?;
    mint.noted(mint.wallet.sync_proofs_state(held).await)?;
    let most = quote.amount.checked_add(quote.fee_reserve).unwrap_or(quote.amount);
    let fee = convert::fee(most, record.amount_msat);
    let proof = convert::proof(quote.payment_proof.as_deref(), record.payment_hash);
    Ok(convert::settled(record.amount_msat, fee, proof))
}

/// The fact of an end.
pub fn fact(record: &Record, found: Found) -> Option<Fact> {
    let which = record.payment_hash.into();
    match found {
        Found::Settled { preimage, fee_msat, .. } => {
            Some(Fact::Paid { which, payment_hash: None, preimage, fee_msat })
        }
        Found::Failed { reason } => {
            Some(Fact::PayFailed { which, reason, no_way: true, still_open: false })
        }
        Found::InFlight | Found::Nothing => None,
    }
}
