//! What a pasted BOLT 11 invoice asks for, read before anything is paid.

use domain::{Msat, Network, PaymentHash, Timestamp};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency};
use serde::Serialize;

/// An invoice in the words of the pay dialog. Its signature has been checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InvoiceFacts {
    pub bolt11: String,
    pub amount_msat: Msat,
    pub description: String,
    pub payee: String,
    pub payment_hash: PaymentHash,
    pub expires_at: Timestamp,
}

/// Longer text is not an invoice; reading it would only cost time.
const MAX_CHARS: usize = 7_089;

/// Reads `text` as an invoice that can be paid on `network` at `now`; else says what is wrong.
pub fn read(text: &str, network: Network, now: Timestamp) -> Result<InvoiceFacts, String> {
    let text = text.trim();
    let text = text
        .get(..10)
        .filter(|head| head.eq_ignore_ascii_case("lightning:"))
        .map_or(text, |head| &text[head.len()..]);
    let refused = || {
        "This is not a complete Lightning invoice. It starts with lnbc, lntb or lnbcrt.".to_owned()
    };
    if text.chars().count() > MAX_CHARS {
        return Err(refused());
    }
    let invoice: Bolt11Invoice = text.parse().map_err(|_| refused())?;
    let wanted = match network {
        Network::Practice | Network::Regtest => Currency::Regtest,
        Network::Signet => Currency::Signet,
        Network::Mainnet => Currency::Bitcoin,
    };
    if invoice.currency() != wanted {
        return Err(format!(
            "This invoice is for {}, and this desk is on {network}. It can't be paid here.",
            chain(&invoice.currency())
        ));
    }
    let expires_at =
        invoice.expires_at().map_or(Timestamp(u64::MAX), |at| Timestamp::from_secs(at.as_secs()));
    if expires_at <= now {
        return Err("This invoice has expired. Ask for a new one.".into());
    }
    let amount_msat = invoice
        .amount_milli_satoshis()
        .and_then(|msat| Msat::new(msat).ok())
        .filter(|amount| !amount.is_zero())
        .ok_or("This invoice names no amount. Ask for one that does.")?;
    let description = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => super::words::one_line(&text.as_inner().0),
        Bolt11InvoiceDescriptionRef::Hash(_) => String::new(),
    };
    let payment_hash = invoice.payment_hash().to_string().parse().map_err(|_| refused())?;
    Ok(InvoiceFacts {
        amount_msat,
        description,
        payee: invoice.get_payee_pub_key().to_string(),
        payment_hash,
        expires_at,
        bolt11: text.to_lowercase(),
    })
}

fn chain(currency: &Currency) -> &'static str {
    match currency {
        Currency::Bitcoin => "mainnet",
        Currency::BitcoinTestnet => "testnet",
        Currency::Regtest => "a regtest network",
        Currency::Simnet => "simnet",
        Currency::Signet => "signet",
    }
}

/// What is offered as the most to pay in routing fees: one percent, and at least ten sat.
pub fn usual_max_fee(amount: Msat) -> Msat {
    Msat::new(amount.get() / 100).map_or(Msat::ZERO, |percent| percent.max(Msat::from_sat(10)))
}

#[cfg(test)]
mod tests;
