//! What the buyer asks of the world, and what a crash may do with each.

use domain::{
    BodyRef, IdempotencyKey, Msat, PaymentHash, Receipt, RepeatClass, RequestId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::Template,
    types::{Blob, ResultRef},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum BuyerEffect {
    PublishRequest(PublishRequest),
    /// Publish the deletion (NIP-09) that cancels the request.
    PublishCancel {
        request_id: RequestId,
        template: Template,
    },
    /// Have the relays say again what was answered to the request: of whom we did not deal with,
    /// nothing was kept.
    HearAgain {
        request_id: RequestId,
    },
    Pay(Pay),
    /// Fetch the result into our own store; refuse what is not of that hash and size.
    FetchBlob {
        request_id: RequestId,
        blob: Blob,
    },
    /// Check by the rules of the kind that the result is what was asked for.
    CheckResult {
        request_id: RequestId,
        kind: u16,
        request: BodyRef,
        result: ResultRef,
    },
    SignReceipt {
        request_id: RequestId,
        receipt: Receipt,
    },
}

impl BuyerEffect {
    pub const fn repeat_class(&self) -> RepeatClass {
        match self {
            Self::Pay(_) => RepeatClass::LookUpFirst,
            _ => RepeatClass::Repeat,
        }
    }

    /// Which adapter takes it: `relay`, `payments`, `blob`, `work` or `sign`.
    pub const fn adapter(&self) -> &'static str {
        match self {
            Self::PublishRequest(_) | Self::PublishCancel { .. } | Self::HearAgain { .. } => {
                "relay"
            }
            Self::Pay(_) => "payments",
            Self::FetchBlob { .. } => "blob",
            Self::CheckResult { .. } => "work",
            Self::SignReceipt { .. } => "sign",
        }
    }
}

/// Upload the blobs, then sign and publish the request. The body is a [`Template`] as JSON; signed
/// by us it has the id `request_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishRequest {
    pub request_id: RequestId,
    pub request: BodyRef,
    pub blobs: Vec<Blob>,
    /// No try begins at this time or later, also not after a restart: nobody is asked to work for
    /// a purchase that failed.
    pub not_after: Timestamp,
}

/// Pay exactly this invoice, under this key, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pay {
    pub request_id: RequestId,
    /// `buy/<request id>`.
    pub key: IdempotencyKey,
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
}
