//! BOLT 11 invoices as both sides must read them: to the msat, by hash, on the right network.

use domain::{Msat, Network, PaymentHash, Timestamp};
use lightning_invoice::{Bolt11Invoice, Currency};
use serde::{Deserialize, Serialize};

/// The longest invoice that is read at all.
pub const MAX_BOLT11_BYTES: usize = 4_096;

/// What matters of an invoice whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub expires_at: Timestamp,
    /// The payee's node id, hex.
    pub payee: String,
}

/// Why an invoice is not paid, or not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceFault {
    #[error("the invoice is longer than {MAX_BOLT11_BYTES} bytes")]
    TooLong,
    #[error("the invoice is not a signed BOLT 11 invoice")]
    Malformed,
    #[error("the invoice leaves the amount open; only exact amounts are paid")]
    NoAmount,
    #[error("the invoice is for another network than {0}")]
    OtherNetwork(Network),
    #[error("the invoice has expired")]
    Expired,
    #[error("the invoice asks {invoice} msat, but the event says {said} msat", invoice = .invoice.get(), said = .said.get())]
    OtherAmount { invoice: Msat, said: Msat },
}

const fn currency(network: Network) -> Currency {
    match network {
        Network::Practice | Network::Regtest => Currency::Regtest,
        Network::Signet => Currency::Signet,
        Network::Mainnet => Currency::Bitcoin,
    }
}

impl Invoice {
    /// Reads an invoice and checks its signature, network and that it names an exact amount.
    ///
    /// Expiry is apart ([`Invoice::check`]): an expired invoice still says what it was.
    pub fn parse(bolt11: &str, network: Network) -> Result<Self, InvoiceFault> {
        if bolt11.len() > MAX_BOLT11_BYTES {
            return Err(InvoiceFault::TooLong);
        }
        let invoice: Bolt11Invoice = bolt11.parse().map_err(|_| InvoiceFault::Malformed)?;
        if invoice.currency() != currency(network) {
            return Err(InvoiceFault::OtherNetwork(network));
        }
        let msat = invoice.amount_milli_satoshis().ok_or(InvoiceFault::NoAmount)?;
        let amount_msat = Msat::new(msat).map_err(|_| InvoiceFault::Malformed)?;
        let expires = invoice
            .expires_at()
            .filter(|at| at.as_secs() <= crate::codec::tags::LATEST_SECS)
            .ok_or(InvoiceFault::Malformed)?;
        let payment_hash: &[u8] = invoice.payment_hash().as_ref();
        Ok(Self {
            bolt11: bolt11.to_owned(),
            payment_hash: PaymentHash(
                payment_hash.try_into().map_err(|_| InvoiceFault::Malformed)?,
            ),
            amount_msat,
            expires_at: Timestamp::from_secs(expires.as_secs()),
            payee: invoice.get_payee_pub_key().to_string(),
        })
    }

    /// Whether it asks exactly `said` and can still be paid at `now`.
    pub fn check(&self, said: Msat, now: Timestamp) -> Result<(), InvoiceFault> {
        if self.amount_msat != said {
            return Err(InvoiceFault::OtherAmount { invoice: self.amount_msat, said });
        }
        if self.expires_at <= now {
            return Err(InvoiceFault::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn reads_hash_amount_and_expiry() {
        let (bolt11, preimage) = testing::invoice(7, 2_100_001, NOW, 600);
        let invoice = Invoice::parse(&bolt11, Network::Practice).unwrap();
        assert_eq!(invoice.payment_hash, preimage.payment_hash());
        assert_eq!(invoice.amount_msat.get(), 2_100_001);
        assert_eq!(invoice.expires_at, NOW.plus_secs(600));
        assert_eq!(invoice.check(invoice.amount_msat, NOW), Ok(()));
        assert_eq!(
            invoice.check(invoice.amount_msat, NOW.plus_secs(600)),
            Err(InvoiceFault::Expired)
        );
        assert!(matches!(invoice.check(Msat::ZERO, NOW), Err(InvoiceFault::OtherAmount { .. })));
        for other in [Network::Mainnet, Network::Signet] {
            assert_eq!(Invoice::parse(&bolt11, other), Err(InvoiceFault::OtherNetwork(other)));
        }
    }

    #[test]
    fn refuses_an_invoice_whose_text_was_changed() {
        let (bolt11, _) = testing::invoice(7, 1_000, NOW, 600);
        let last = if bolt11.ends_with('q') { "p" } else { "q" };
        let changed = format!("{}{last}", &bolt11[..bolt11.len() - 1]);
        assert_eq!(Invoice::parse(&changed, Network::Practice), Err(InvoiceFault::Malformed));
        let long = "l".repeat(MAX_BOLT11_BYTES + 1);
        assert_eq!(Invoice::parse(&long, Network::Practice), Err(InvoiceFault::TooLong));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(lnbcrt)?[0-9]{0,24}[munp]?1?[02-9ac-hj-np-z]{0,400}", junk in ".*") {
            let _ = Invoice::parse(&text, Network::Practice);
            let _ = Invoice::parse(&junk, Network::Practice);
        }

        #[test]
        fn never_panics_on_changed_invoices(at in 0_usize..200, with in "[a-z0-9]", amount in 1_u64..1_000_000_000) {
            let (bolt11, _) = testing::invoice(3, amount, NOW, 60);
            let at = at.min(bolt11.len() - 1);
            let mut changed = bolt11.clone();
            changed.replace_range(at..=at, &with);
            let read = Invoice::parse(&changed, Network::Practice);
            prop_assert!(changed == bolt11 || read.is_err());
        }
    }
}
