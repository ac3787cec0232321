//! Money in: a mint's invoice, and ecash for it once it is paid (NUT-04).

use cdk::{
    Error,
    amount::SplitTarget,
    nuts::PaymentMethod,
    wallet::types::{MintQuote, TransactionDirection},
};
use domain::Msat;
use wallet::{
    Fact, Found, InvoiceOrder, Made,
    bolt11::Bolt11,
    wire::{Direction, Rail},
};

use super::{
    book::Record,
    convert::{self, to_msat, to_sat},
    mint::{Mint, MintError},
    shared::Shared,
};
use crate::backend::BackendError;

/// Asks the mints, in their order, for an invoice.
pub async fn make_invoice(shared: &Shared, order: &InvoiceOrder) -> Result<Made, BackendError> {
    let refused = |why: &str| Err(BackendError::Refused(why.to_owned()));
    if order.rail != Rail::Bolt11 {
        return refused("a mint gives Lightning invoices only");
    }
    let Some(amount) = order.amount_msat.filter(|amount| !amount.is_zero()) else {
        return refused("an invoice of a mint needs an amount");
    };
    if to_sat(amount).is_none() {
        return refused("a mint counts whole satoshi");
    }
    let mut why = Vec::new();
    let mut later = false;
    for mint in &shared.mints {
        match at_mint(shared, mint, order, amount).await {
            Ok(made) => return Ok(made),
            Err(At::Full) => why.push(format!("{} holds as much as it may", mint.host)),
            Err(At::Said(text)) => why.push(text),
            Err(At::Silent(error)) => {
                later = true;
                why.push(error.to_string());
            }
        }
    }
    let why = why.join("; ");
    Err(if later { BackendError::NotNow(why) } else { BackendError::Refused(why) })
}

/// Why a mint gives no invoice.
enum At {
    Full,
    Said(String),
    Silent(MintError),
}

impl From<MintError> for At {
    fn from(error: MintError) -> Self {
        Self::Silent(error)
    }
}

async fn at_mint(
    shared: &Shared,
    mint: &Mint,
    order: &InvoiceOrder,
    amount: Msat,
) -> Result<Made, At> {
    mint.ready(&shared.book).await?;
    if shared.room(mint, mint.balance().await?) < amount {
        return Err(At::Full);
    }
    let memo = Some(order.memo.clone()).filter(|memo| !memo.is_empty());
    let quote = match ask(mint, amount, memo).await {
        Err(Error::InvoiceDescriptionUnsupported) => ask(mint, amount, None).await,
        other => other,
    };
    let quote = mint.noted(quote)?;
    let invoice = checked(shared, &quote, amount)
        .map_err(|why| At::Said(format!("{} gave a bad invoice: {why}", mint.host)))?;
    let by_mint = (quote.expiry > 0).then(|| domain::Timestamp::from_secs(quote.expiry));
    let expires_at = by_mint.map_or(invoice.expires_at, |end| end.min(invoice.expires_at));
    let record = Record {
        direction: Direction::In,
        payment_hash: invoice.payment_hash,
        mint: mint.url.clone(),
        quote: quote.id,
        amount_msat: amount,
        at: host::clock::now(),
        expires_at: Some(expires_at),
        refused: None,
    };
    // Nobody was given the invoice before its record is on disk.
    shared.book.put(&record).await.map_err(MintError::from)?;
    let payment_hash = Some(record.payment_hash);
    shared.await_end(record);
    Ok(Made { text: invoice.text, payment_hash, expires_at: Some(expires_at) })
}

async fn ask(mint: &Mint, amount: Msat, memo: Option<String>) -> Result<MintQuote, Error> {
    mint.wallet.mint_quote(PaymentMethod::BOLT11, to_sat(amount), memo, None).await
}

/// A mint's invoice is given to nobody before it is what was asked for.
fn checked(shared: &Shared, quote: &MintQuote, amount: Msat) -> Result<Bolt11, String> {
    let invoice =
        Bolt11::read(&quote.request, shared.network).map_err(|error| error.to_string())?;
    if invoice.amount_msat != amount {
        return Err(format!("it asks for {} msat", invoice.amount_msat.get()));
    }
    if invoice.expires_at <= host::clock::now() {
        return Err("it has expired".to_owned());
    }
    Ok(invoice)
}

/// What came for an invoice; takes the ecash where the mint says that it was paid.
pub async fn look(shared: &Shared, record: &Record) -> Result<Found, MintError> {
    let Some(mint) = shared.mint(&record.mint) else { return Ok(Found::Nothing) };
    let _one_at_a_time = mint.looking.lock().await;
    if let Some(found) = received(mint, record).await? {
        return Ok(found);
    }
    mint.ready(&shared.book).await?;
    let quote = mint.noted(mint.wallet.check_mint_quote_status(&record.quote).await)?;
    if quote.amount_mintable() > cdk::Amount::ZERO {
        let minted = mint.wallet.mint(&record.quote, SplitTarget::default(), None).await;
        // Without the signatures there is no money: it stays unpaid here, and is tried again.
        mint.noted(minted)?;
    }
    Ok(received(mint, record).await?.unwrap_or(Found::Nothing))
}

async fn received(mint: &Mint, record: &Record) -> Result<Option<Found>, MintError> {
    let done = mint.done(TransactionDirection::Incoming, &record.quote).await?;
    Ok(done.and_then(|done| to_msat(done.amount)).map(|amount| {
        // What counts is the ecash that is here.
        convert::settled(amount, Msat::ZERO, None)
    }))
}

/// The fact of ecash that is here.
pub fn fact(record: &Record, found: Found) -> Option<Fact> {
    let Found::Settled { amount_msat, .. } = found else { return None };
    let (which, rail) = (record.payment_hash.into(), Rail::Bolt11);
    Some(Fact::Received { which, rail, to: None, amount_msat, preimage: None })
}
