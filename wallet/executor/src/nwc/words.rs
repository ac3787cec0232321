//! The words of NIP-47: methods, requests, answers, notifications. Read strictly where money
//! depends on it, and leniently where wallets differ in what they leave out.

use domain::{Msat, PaymentHash};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt;

mod answer;

pub use answer::*;

/// The longest text of a request or an answer that is read, in bytes, before encryption.
pub const MAX_TEXT: usize = 256 * 1024;
/// The most invoices of one `multi_pay_invoice`.
pub const MAX_INVOICES: usize = 64;
/// The longest name that an app may give one of them.
pub const MAX_ID: usize = 64;
/// The longest message that is signed or described.
const MAX_MESSAGE: usize = 4_096;
/// The longest payment request.
const MAX_INVOICE: usize = 8_192;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As NIP-47 writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

names! {
    /// What an app can ask for.
    Method {
        PayInvoice = "pay_invoice",
        MultiPayInvoice = "multi_pay_invoice",
        PayKeysend = "pay_keysend",
        MakeInvoice = "make_invoice",
        LookupInvoice = "lookup_invoice",
        ListTransactions = "list_transactions",
        GetBalance = "get_balance",
        GetInfo = "get_info",
        /// An extension of Alby's, which wallets and apps share.
        GetBudget = "get_budget",
        SignMessage = "sign_message",
    }
}

names! {
    /// Why a request was not done.
    Code {
        RateLimited = "RATE_LIMITED",
        NotImplemented = "NOT_IMPLEMENTED",
        InsufficientBalance = "INSUFFICIENT_BALANCE",
        QuotaExceeded = "QUOTA_EXCEEDED",
        Restricted = "RESTRICTED",
        Unauthorized = "UNAUTHORIZED",
        Internal = "INTERNAL",
        PaymentFailed = "PAYMENT_FAILED",
        NotFound = "NOT_FOUND",
        UnsupportedEncryption = "UNSUPPORTED_ENCRYPTION",
        /// Also every code that we do not know.
        Other = "OTHER",
    }
}

names! {
    /// What a wallet tells of itself.
    Told {
        PaymentReceived = "payment_received",
        PaymentSent = "payment_sent",
    }
}

impl Method {
    /// Whether money leaves by it.
    pub const fn pays(self) -> bool {
        matches!(self, Self::PayInvoice | Self::MultiPayInvoice | Self::PayKeysend)
    }
}

/// An error as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    pub code: Code,
    pub message: String,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// One invoice that is to be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// In `multi_pay_invoice`: what the answer is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub invoice: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Msat>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub amount: Msat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub payment_hash: Option<PaymentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub invoice: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Seconds, inclusive, as all times of this protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaid: Option<bool>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
}

/// One request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    PayInvoice(Order),
    MultiPayInvoice(Vec<Order>),
    /// Never done here, so nothing of it is read.
    PayKeysend,
    MakeInvoice(Wish),
    LookupInvoice(Lookup),
    ListTransactions(Listing),
    GetBalance,
    GetInfo,
    GetBudget,
    SignMessage(String),
}

/// A request that was not understood: the method it named, as far as it did, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub method: String,
    pub why: Refusal,
}

#[derive(Deserialize)]
struct RawRequest {
    method: String,
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
struct Orders {
    invoices: Vec<Order>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

impl Call {
    pub const fn method(&self) -> Method {
        match self {
            Self::PayInvoice(_) => Method::PayInvoice,
            Self::MultiPayInvoice(_) => Method::MultiPayInvoice,
            Self::PayKeysend => Method::PayKeysend,
            Self::MakeInvoice(_) => Method::MakeInvoice,
            Self::LookupInvoice(_) => Method::LookupInvoice,
            Self::ListTransactions(_) => Method::ListTransactions,
            Self::GetBalance => Method::GetBalance,
            Self::GetInfo => Method::GetInfo,
            Self::GetBudget => Method::GetBudget,
            Self::SignMessage(_) => Method::SignMessage,
        }
    }

    /// Reads a decrypted request.
    pub fn read(text: &str) -> Result<Self, Unread> {
        let unread = |method: &str, code, message: String| Unread {
            method: shown(method),
            why: Refusal::new(code, message),
        };
        if text.len() > MAX_TEXT {
            return Err(unread("", Code::Other, "The request is too long.".into()));
        }
        let raw: RawRequest = serde_json::from_str(text)
            .map_err(|_| unread("", Code::Other, "The request is not one of NIP-47.".into()))?;
        let Some(method) = Method::parse(&raw.method) else {
            let message = "This wallet does not know the method.".into();
            return Err(unread(&raw.method, Code::NotImplemented, message));
        };
        let bad = |message: String| unread(method.as_str(), Code::Other, message);
        Self::of(method, raw.params).map_err(bad)
    }

    fn of(method: Method, params: Value) -> Result<Self, String> {
        let call = match method {
            Method::PayInvoice => Self::PayInvoice(typed(params)?),
            Method::MultiPayInvoice => Self::MultiPayInvoice(typed::<Orders>(params)?.invoices),
            Method::PayKeysend => Self::PayKeysend,
            Method::MakeInvoice => Self::MakeInvoice(typed(params)?),
            Method::LookupInvoice => Self::LookupInvoice(typed(params)?),
            Method::ListTransactions => Self::ListTransactions(typed_or_default(params)?),
            Method::GetBalance => Self::GetBalance,
            Method::GetInfo => Self::GetInfo,
            Method::GetBudget => Self::GetBudget,
            Method::SignMessage => Self::SignMessage(typed::<Message>(params)?.message),
        };
        call.check()?;
        Ok(call)
    }

    /// The bounds of everything that is kept or shown.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::PayInvoice(order) => order.check(),
            Self::MultiPayInvoice(orders) => {
                if !(1..=MAX_INVOICES).contains(&orders.len()) {
                    return Err(format!("One request pays 1 to {MAX_INVOICES} invoices."));
                }
                orders.iter().try_for_each(Order::check)
            }
            Self::MakeInvoice(wish) => {
                let long = |text: &Option<String>| {
                    text.as_ref().is_some_and(|text| text.len() > MAX_MESSAGE)
                };
                if long(&wish.description) || long(&wish.description_hash) {
                    return Err("The description is too long.".into());
                }
                Ok(())
            }
            Self::LookupInvoice(lookup) => match lookup {
                Lookup { payment_hash: None, invoice: None } => {
                    Err("A payment_hash or an invoice is needed.".into())
                }
                Lookup { invoice: Some(invoice), .. } if invoice.len() > MAX_INVOICE => {
                    Err("The invoice is too long.".into())
                }
                _ => Ok(()),
            },
            Self::SignMessage(message) if message.len() > MAX_MESSAGE => {
                Err("The message is too long.".into())
            }
            _ => Ok(()),
        }
    }

    /// The request as JSON, for the other side.
    pub fn to_json(&self) -> String {
        let params = match self {
            Self::PayInvoice(order) => json!(order),
            Self::MultiPayInvoice(orders) => json!({ "invoices": orders }),
            Self::MakeInvoice(wish) => json!(wish),
            Self::LookupInvoice(lookup) => json!(lookup),
            Self::ListTransactions(listing) => json!(listing),
            Self::SignMessage(message) => json!({ "message": message }),
            Self::PayKeysend | Self::GetBalance | Self::GetInfo | Self::GetBudget => json!({}),
        };
        json!({ "method": self.method().as_str(), "params": params }).to_string()
    }
}

impl Order {
    fn check(&self) -> Result<(), String> {
        if self.invoice.len() > MAX_INVOICE {
            return Err("The invoice is too long.".into());
        }
        let is_name = |id: &String| {
            (1..=MAX_ID).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if !self.id.as_ref().is_none_or(is_name) {
            return Err(format!(
                "An id has 1 to {MAX_ID} letters, digits, dots, hyphens and underscores."
            ));
        }
        Ok(())
    }
}

/// A stranger's name of a method, fit to be echoed.
fn shown(method: &str) -> String {
    method.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}

fn typed<T: DeserializeOwned>(params: Value) -> Result<T, String> {
    serde_json::from_value(params).map_err(|error| format!("The parameters do not fit: {error}."))
}

fn typed_or_default<T: DeserializeOwned + Default>(params: Value) -> Result<T, String> {
    if params.is_null() { Ok(T::default()) } else { typed(params) }
}

/// A wallet's words for people: one line, bounded, nothing that reorders it.
pub fn tamed(text: &str) -> String {
    wallet::bolt11::printable(text).chars().take(300).collect()
}

/// Absent, `null` and the empty text are the same: wallets write all three.
fn filled_or_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        value => serde_json::from_value(value).map(Some).map_err(serde::de::Error::custom),
    }
}

/// A state that we do not know is none that we act on.
fn known_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Standing>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

fn null_is_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
