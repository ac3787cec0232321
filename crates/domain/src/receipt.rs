//! Receipts: signed, canonical records that something of value happened.

use serde::{Deserialize, Serialize};

use crate::{
    canonical::{CanonicalError, canonical_json},
    event::EventHash,
    ids::{PaymentHash, Preimage, Pubkey, RequestId, Sha256Hash},
    money::Msat,
    network::Network,
    time::{Timestamp, rfc3339},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptType {
    /// Written by the provider: work delivered and, if priced, paid for.
    JobSold,
    /// Written by the buyer: work received, checked and, if priced, paid for.
    JobBought,
}

/// A receipt. Fields that don't apply are absent; the signature covers all the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub v: u32,
    #[serde(rename = "type")]
    pub receipt_type: ReceiptType,
    pub id: String,
    /// Practice receipts say so; nothing of value is proved by them.
    pub network: Network,
    pub issuer: Pubkey,
    /// The other side of the trade.
    pub subject: Pubkey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<Msat>,
    /// Routing fee paid by the issuer, apart from the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_msat: Option<Msat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_hash: Option<PaymentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preimage: Option<Preimage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_sha256: Option<Sha256Hash>,
    /// Hash of the job stream's last event before the receipt: binds it to the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_head: Option<EventHash>,
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// BIP-340 signature over [`Receipt::digest`], 64 bytes hex; absent only before signing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<String>,
}

/// What a receipt claims that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    #[error("the preimage does not hash to the payment hash")]
    PreimageMismatch,
    #[error("an amount is claimed without the payment hash and preimage that prove it")]
    UnprovedAmount,
    #[error("receipt version {0} is not known")]
    Version(u32),
}

impl Receipt {
    pub const VERSION: u32 = 1;

    /// SHA-256 of the canonical JSON of everything but the signature: what is signed.
    pub fn digest(&self) -> Result<Sha256Hash, CanonicalError> {
        let unsigned = Self { sig: None, ..self.clone() };
        Ok(Sha256Hash::of(&canonical_json(&unsigned)?))
    }

    /// Checks everything that needs no key: version, and that claimed money is proved.
    pub fn check_claims(&self) -> Result<(), ReceiptFault> {
        if self.v != Self::VERSION {
            return Err(ReceiptFault::Version(self.v));
        }
        match (self.payment_hash, self.preimage) {
            (Some(hash), Some(preimage)) if preimage.payment_hash() != hash => {
                Err(ReceiptFault::PreimageMismatch)
            }
            (Some(_), Some(_)) => Ok(()),
            _ if self.amount_msat.is_some_and(|amount| !amount.is_zero()) => {
                Err(ReceiptFault::UnprovedAmount)
            }
            _ => Ok(()),
        }
    }
}
