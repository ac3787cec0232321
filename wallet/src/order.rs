//! What a payment request asks for, whatever its form; read once, checked before money follows it.

use domain::{ErrorBody, Msat, Network, PaymentHash, Timestamp};

use crate::{
    bolt11::printable,
    payable::{Payable, lnurl},
    wire::{LnurlProof, Rail},
};

/// A request that was read and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub rail: Rail,
    /// As it is kept and compared.
    pub text: String,
    pub payment_hash: Option<PaymentHash>,
    /// Whom the backend pays: a node id, an address.
    pub payee: String,
    /// Whom people think they pay, where a server spoke for them.
    pub known_as: Option<String>,
    /// The smallest step of its amount.
    pub unit_msat: u64,
    /// None where the payer chooses.
    pub amount_msat: Option<Msat>,
    pub expires_at: Option<Timestamp>,
    pub memo: String,
}

impl Asked {
    /// Reads a request for `network`. What a server said of it is checked apart.
    pub fn read(
        request: &str,
        proof: Option<&LnurlProof>,
        network: Network,
    ) -> Result<Self, ErrorBody> {
        let payable = Payable::read(request, network).map_err(|error| error.to_error())?;
        if payable.kind.is_fetched() {
            let what = payable.kind.name();
            return Err(ErrorBody::refused(
                "not_fetched",
                format!("The invoice of this {what} is not fetched yet. Nothing was sent."),
            )
            .hint("The desk fetches it: pay it with `pilothouse wallet pay`."));
        }
        // An invoice that commits to a server's words has none of its own.
        let memo = match proof {
            Some(proof) if payable.memo.is_empty() => lnurl::description(&proof.metadata),
            _ => payable.memo,
        };
        Ok(Self {
            rail: payable.kind.rail(),
            unit_msat: payable.kind.unit_msat(),
            text: payable.text,
            payment_hash: payable.payment_hash,
            payee: payable.payee,
            known_as: proof.map(|proof| printable(&proof.payee)),
            amount_msat: payable.amount_msat,
            expires_at: payable.expires_at,
            memo,
        })
    }

    /// Whether an invoice that a server made is the one that was asked for.
    pub fn check_proof(
        &self,
        proof: &LnurlProof,
        amount: Msat,
        network: Network,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        lnurl::check_invoice(&self.text, amount, &proof.metadata, network, now)
            .map(drop)
            .map_err(|error| error.to_error())
    }

    /// Who gets it, as people know them.
    pub fn shown_payee(&self) -> &str {
        self.known_as.as_deref().unwrap_or(&self.payee)
    }

    /// Whether an allow-list with `payee` lets it pass.
    pub fn goes_to(&self, payee: &str) -> bool {
        payee.eq_ignore_ascii_case(&self.payee)
            || self.known_as.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(payee))
    }
}
