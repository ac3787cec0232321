//! The counterparty pays invoices and makes them, so that outside clients can complete a job.

use super::{Counterparty, CounterpartyError};
use ldk_node::{
    Event, NodeError,
    bitcoin::hashes::{Hash, sha256},
    lightning::ln::channelmanager::PaymentId,
    lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Currency, Description, Sha256},
    lightning_types::payment::PaymentHash,
    payment::{PaymentDetails, PaymentKind, PaymentStatus},
};
use serde::Serialize;
use std::time::Duration;
use tokio::sync::broadcast;

const PAID_WITHIN: Duration = Duration::from_secs(60);
const INVOICE_EXPIRES_SECS: u32 = 3_600;
const MAX_MEMO_CHARS: usize = 600;

#[derive(Debug, thiserror::Error)]
pub enum PayError {
    #[error("this is not a BOLT 11 invoice: {0}")]
    NotAnInvoice(String),
    #[error("this invoice is for another network; only practice (regtest) invoices are paid here")]
    OtherNetwork,
    #[error("this invoice names no amount")]
    NoAmount,
    #[error("this invoice has expired; nothing was paid")]
    Expired,
    #[error("a memo has at most {MAX_MEMO_CHARS} characters")]
    Memo,
    #[error("an invoice is for at least one millisatoshi")]
    Zero,
    #[error("the payment failed, nothing was paid: {0}")]
    Failed(String),
    #[error("the payment did not end in {} seconds; it may still succeed", PAID_WITHIN.as_secs())]
    Unknown,
    #[error("the counterparty node refused: {0}")]
    Node(#[from] NodeError),
    #[error(transparent)]
    Counterparty(#[from] CounterpartyError),
}

impl From<tokio::task::JoinError> for PayError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Counterparty(error.into())
    }
}

/// A payment that reached its payee.
#[derive(Clone, Debug, Serialize)]
pub struct PaymentMade {
    pub payment_hash: String,
    pub preimage: String,
    pub amount_msat: u64,
    pub fee_msat: u64,
}

/// A fresh invoice of the counterparty.
#[derive(Clone, Debug, Serialize)]
pub struct InvoiceMade {
    pub bolt11: String,
    pub payment_hash: String,
    pub amount_msat: u64,
    pub expires_in_secs: u32,
}

impl Counterparty {
    /// Pays an invoice and waits for the preimage. One that was paid before is not paid again: its
    /// preimage is told again.
    ///
    /// # Errors
    /// [`PayError::Unknown`] where the payment may still succeed; after every other one nothing
    /// was paid.
    pub async fn pay(&self, bolt11: &str) -> Result<PaymentMade, PayError> {
        let made = self.pay_once(bolt11).await?;
        self.settled_on_disk().await?;
        Ok(made)
    }

    async fn pay_once(&self, bolt11: &str) -> Result<PaymentMade, PayError> {
        let invoice: Bolt11Invoice =
            bolt11.trim().parse().map_err(|error| PayError::NotAnInvoice(format!("{error}")))?;
        if invoice.currency() != Currency::Regtest {
            return Err(PayError::OtherNetwork);
        }
        if invoice.amount_milli_satoshis().is_none() {
            return Err(PayError::NoAmount);
        }
        let hash = PaymentHash(*invoice.payment_hash().as_ref());
        let mut events = self.events.subscribe();
        // Before the expiry: what was paid in time stays paid.
        if let Some(known) = self.known(hash)
            && known.status == PaymentStatus::Succeeded
        {
            return made(hash, &known);
        }
        if invoice.is_expired() {
            return Err(PayError::Expired);
        }
        match self.on_node(move |node| node.bolt11_payment().send(&invoice, None)).await? {
            Ok(_) | Err(NodeError::DuplicatePayment) => {}
            Err(NodeError::PaymentSendingFailed) => {
                return Err(PayError::Failed("no route with enough funds was found".into()));
            }
            Err(error) => return Err(error.into()),
        }
        let ended = tokio::time::timeout(PAID_WITHIN, self.outcome(hash, &mut events)).await;
        ended.map_err(|_| PayError::Unknown)?
    }

    fn known(&self, hash: PaymentHash) -> Option<PaymentDetails> {
        self.node.payment(&PaymentId(hash.0))
    }

    async fn outcome(
        &self,
        hash: PaymentHash,
        events: &mut broadcast::Receiver<Event>,
    ) -> Result<PaymentMade, PayError> {
        let mut why = None;
        loop {
            match self.known(hash) {
                Some(known) if known.status == PaymentStatus::Succeeded => {
                    return made(hash, &known);
                }
                Some(known) if known.status == PaymentStatus::Failed => {
                    return Err(PayError::Failed(why.unwrap_or_else(|| "no way was found".into())));
                }
                _ => {}
            }
            match events.recv().await {
                Ok(Event::PaymentFailed { payment_hash, reason: Some(reason), .. })
                    if payment_hash == Some(hash) =>
                {
                    why = Some(format!("{reason:?}"));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(PayError::Unknown),
            }
        }
    }

    /// Makes an invoice.
    ///
    /// # Errors
    /// If the memo is too long, the amount is zero, or the node can't store it.
    pub async fn invoice(&self, amount_msat: u64, memo: &str) -> Result<InvoiceMade, PayError> {
        if memo.chars().count() > MAX_MEMO_CHARS {
            return Err(PayError::Memo);
        }
        let description = Description::new(memo.to_owned()).map_err(|_| PayError::Memo)?;
        self.invoice_for(amount_msat, Bolt11InvoiceDescription::Direct(description)).await
    }

    /// Makes an invoice that holds only the hash of what it is for, as an LNURL server's does
    /// (LUD-06).
    ///
    /// # Errors
    /// If the amount is zero, or the node can't store it.
    pub async fn invoice_by_hash(
        &self,
        amount_msat: u64,
        memo: &str,
    ) -> Result<InvoiceMade, PayError> {
        let hash = Sha256(sha256::Hash::hash(memo.as_bytes()));
        self.invoice_for(amount_msat, Bolt11InvoiceDescription::Hash(hash)).await
    }

    async fn invoice_for(
        &self,
        amount_msat: u64,
        description: Bolt11InvoiceDescription,
    ) -> Result<InvoiceMade, PayError> {
        if amount_msat == 0 {
            return Err(PayError::Zero);
        }
        let making = self.on_node(move |node| {
            node.bolt11_payment().receive(amount_msat, &description, INVOICE_EXPIRES_SECS)
        });
        let invoice = making.await??;
        self.settled_on_disk().await?;
        Ok(InvoiceMade {
            bolt11: invoice.to_string(),
            payment_hash: hex::encode(AsRef::<[u8]>::as_ref(invoice.payment_hash())),
            amount_msat,
            expires_in_secs: INVOICE_EXPIRES_SECS,
        })
    }
}

fn made(hash: PaymentHash, details: &PaymentDetails) -> Result<PaymentMade, PayError> {
    let PaymentKind::Bolt11 { preimage: Some(preimage), .. } = &details.kind else {
        return Err(PayError::Unknown);
    };
    Ok(PaymentMade {
        payment_hash: hex::encode(hash.0),
        preimage: hex::encode(preimage.0),
        amount_msat: details.amount_msat.unwrap_or(0),
        fee_msat: details.fee_paid_msat.unwrap_or(0),
    })
}
