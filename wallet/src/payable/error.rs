//! Why a text is not paid: what happened, what is safe, what to do.

use domain::{ErrorBody, Msat, Network};

use crate::bolt11::Bolt11Error;

/// Why a text cannot be paid. Nothing of the text itself stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayableError {
    #[error("There is nothing to read.")]
    Empty,
    #[error("The text is longer than {} characters.", super::MAX_TEXT_LEN)]
    TooLong,
    #[error("This is nothing that can be paid.")]
    Unknown,
    #[error("This {what} can't be read: {why}.")]
    Malformed { what: &'static str, why: String },
    #[error(transparent)]
    Bolt11(#[from] Bolt11Error),
    #[error("This {what} is for {found}, and this wallet is on {wanted}.")]
    OtherNetwork { what: &'static str, found: &'static str, wanted: Network },
    #[error("This {what} can't be paid: {why}.")]
    Unsupported { what: &'static str, why: &'static str },
    #[error("This is {what}, not something to pay.")]
    NotToPay { what: &'static str },
    #[error("This is a Cashu token: money to receive, not something to pay.")]
    CashuToken,
    #[error("This is the connection secret of a wallet, not something to pay.")]
    WalletSecret,
    #[error("This is a node's public key: paying to it unasked (keysend) is off.")]
    KeysendOff,
    #[error("The link requires {name:?}, which this wallet does not know.")]
    Required { name: String },
    #[error("The link contradicts itself: it names {0}.")]
    Contradiction(&'static str),
    #[error("The amount can't be paid: {0}.")]
    BadAmount(&'static str),
    #[error("The {what} names no amount.")]
    NoAmount { what: &'static str },
    #[error("It asks for {asked}, not for {given}.")]
    OtherAmount { asked: Msat, given: Msat },
    #[error("The {what} has expired.")]
    Expired { what: &'static str },
    #[error("This wallet can't pay to a {what}.")]
    CannotPay { what: &'static str },
}

impl PayableError {
    pub(super) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }

    /// Its stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty | Self::TooLong | Self::Unknown | Self::Malformed { .. } => "bad_request",
            Self::Bolt11(Bolt11Error::OtherNetwork { .. }) | Self::OtherNetwork { .. } => {
                "wrong_network"
            }
            Self::Bolt11(Bolt11Error::TooLong | Bolt11Error::Malformed(_)) => "bad_invoice",
            Self::Bolt11(
                Bolt11Error::NoAmount | Bolt11Error::ZeroAmount | Bolt11Error::AmountTooLarge,
            ) => "unsupported_amount",
            Self::Unsupported { .. } | Self::Required { .. } | Self::CannotPay { .. } => {
                "unsupported_request"
            }
            Self::NotToPay { .. } | Self::CashuToken | Self::WalletSecret => "not_payable",
            Self::KeysendOff => "keysend_off",
            Self::Contradiction(_) => "contradiction",
            Self::BadAmount(_) => "bad_amount",
            Self::NoAmount { .. } => "amount_missing",
            Self::OtherAmount { .. } => "amount_differs",
            Self::Expired { .. } => "expired",
        }
    }

    const fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::Unknown => {
                "Paste an invoice, an offer, an LNURL, a lightning address, a bitcoin or a Spark address."
            }
            Self::TooLong | Self::Malformed { .. } | Self::Contradiction(_) => {
                "Copy it again, whole; where that does not help, ask the payee for a new one."
            }
            Self::Bolt11(_) | Self::Expired { .. } => "Ask the payee for a new one.",
            Self::OtherNetwork { .. } => "Ask the payee for one on this wallet's network.",
            Self::Unsupported { .. } | Self::Required { .. } | Self::CannotPay { .. } => {
                "Ask the payee for a Lightning invoice."
            }
            Self::NotToPay { .. } | Self::KeysendOff => {
                "Ask the payee for an invoice or a lightning address."
            }
            Self::CashuToken => "Receive it instead; who sees it can take it.",
            Self::WalletSecret => "Who sees it can spend from that wallet: show it to nobody.",
            Self::BadAmount(_) | Self::NoAmount { .. } => "Name an amount that can be paid.",
            Self::OtherAmount { .. } => "Pay what is asked, or ask the payee for another one.",
        }
    }

    /// As it crosses a process.
    pub fn to_error(&self) -> ErrorBody {
        ErrorBody::refused(self.code(), format!("{self} Nothing was sent.")).hint(self.hint())
    }
}
