//! LNURL-pay and lightning addresses (LUD-01, 06, 09, 12, 16, 17): the pure part.
//!
//! [`read_terms`] reads what the server answers first, [`Terms::callback_url`] says what to fetch
//! next, [`read_answer`] reads the invoice out of that, and [`check_invoice`] tells whether it is
//! the one that was asked for. Fetching is somebody else's.

mod target;
#[cfg(test)]
mod tests;

pub(super) use target::{read_address, read_bech32, read_scheme, read_web_link};

use domain::{ErrorBody, Msat, Network, Sha256Hash, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::shown;
use crate::bolt11::{Bolt11Error, Bolt11Request};

/// Longer answers are refused unread, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The longest comment that is sent, in characters, whatever a server allows.
pub const MAX_COMMENT_CHARS: usize = 500;
/// LUD-09: the longest message of a success action, in characters.
const MAX_ACTION_CHARS: usize = 144;

/// Why LNURL did not lead to an invoice that may be paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LnurlError {
    #[error("The server's answer can't be used: {0}.")]
    Malformed(&'static str),
    #[error("The server refuses: {reason}")]
    Refused { reason: String },
    #[error("This LNURL is {what}, not something to pay.")]
    NotToPay { what: &'static str },
    #[error("It takes {least} to {most} at once, not {given}.")]
    OutOfRange { least: Msat, most: Msat, given: Msat },
    #[error("It takes no comment of more than {most} characters.")]
    CommentTooLong { most: usize },
    #[error("The comment holds characters that can't be seen.")]
    BadComment,
    #[error("The server's address is not one that may be fetched: {0}.")]
    BadUrl(&'static str),
    #[error("The server's invoice can't be used: {0}")]
    Invoice(#[from] Bolt11Error),
    #[error("The server's invoice asks for {found}, and {asked} was to be paid.")]
    OtherAmount { asked: Msat, found: Msat },
    #[error("The server's invoice names no amount, and {asked} was to be paid.")]
    NoAmount { asked: Msat },
    #[error("The server's invoice is not for what the server said that it is for.")]
    OtherDescription,
    #[error("The server's invoice has expired.")]
    Expired,
}

impl LnurlError {
    /// Its stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "bad_lnurl",
            Self::Refused { .. } => "lnurl_refused",
            Self::NotToPay { .. } => "not_payable",
            Self::OutOfRange { .. } => "amount_out_of_range",
            Self::CommentTooLong { .. } | Self::BadComment => "bad_comment",
            Self::BadUrl(_) => "bad_lnurl_address",
            Self::Invoice(Bolt11Error::OtherNetwork { .. }) => "wrong_network",
            Self::Invoice(_) => "bad_invoice",
            Self::OtherAmount { .. } | Self::NoAmount { .. } => "amount_differs",
            Self::OtherDescription => "description_differs",
            Self::Expired => "expired",
        }
    }

    const fn hint(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "Name an amount within that range.",
            Self::CommentTooLong { .. } | Self::BadComment => {
                "Shorten the comment, or leave it out."
            }
            Self::NotToPay { .. } => "Ask the payee for an invoice or a lightning address.",
            Self::Expired | Self::Refused { .. } => "Try again; where it stays, ask the payee.",
            Self::OtherAmount { .. } | Self::NoAmount { .. } | Self::OtherDescription => {
                "The server is broken or lies: tell the payee, and ask for an invoice."
            }
            Self::Malformed(_) | Self::BadUrl(_) | Self::Invoice(_) => {
                "Tell the payee, and ask for an invoice."
            }
        }
    }

    /// As it crosses a process.
    pub fn to_error(&self) -> ErrorBody {
        ErrorBody::refused(self.code(), format!("{self} Nothing was sent.")).hint(self.hint())
    }
}

/// What an LNURL-pay server takes (LUD-06 `payRequest`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Where the invoice is fetched.
    pub callback: String,
    pub min_msat: Msat,
    pub max_msat: Msat,
    /// Exactly as it came: its hash is what the invoice must commit to.
    pub metadata: String,
    /// What is paid for, in the payee's words; printable.
    pub description: String,
    /// Who the server says that it pays to (`text/identifier` or `text/email`); printable.
    pub identifier: Option<String>,
    /// LUD-12: how many characters of comment are taken; none where zero.
    pub comment_chars: usize,
}

#[derive(Deserialize)]
struct WireTerms {
    #[serde(default)]
    tag: Option<String>,
    callback: Option<String>,
    #[serde(rename = "minSendable")]
    min_msat: Option<Value>,
    #[serde(rename = "maxSendable")]
    max_msat: Option<Value>,
    metadata: Option<String>,
    #[serde(rename = "commentAllowed", default)]
    comment: Option<Value>,
}

/// Reads what an LNURL or a lightning address answers, for a wallet on `network`.
pub fn read_terms(bytes: &[u8], network: Network) -> Result<Terms, LnurlError> {
    let wire: WireTerms = from_json(bytes)?;
    match wire.tag.as_deref() {
        Some("payRequest") => {}
        Some("withdrawRequest") => {
            return Err(LnurlError::NotToPay { what: "a way to withdraw money" });
        }
        Some("login") => return Err(LnurlError::NotToPay { what: "a login" }),
        Some("channelRequest" | "hostedChannelRequest") => {
            return Err(LnurlError::NotToPay { what: "a request to open a channel" });
        }
        _ => return Err(LnurlError::Malformed("it is no request for a payment")),
    }
    let callback = wire.callback.ok_or(LnurlError::Malformed("it has no callback"))?;
    let callback = target::admit(&callback, network).map_err(LnurlError::BadUrl)?;
    let min_msat = read_msat(wire.min_msat.as_ref())?
        .and_then(|msat| Msat::new(msat).ok())
        .ok_or(LnurlError::Malformed("its least amount is none"))?;
    let most = read_msat(wire.max_msat.as_ref())?
        .ok_or(LnurlError::Malformed("its greatest amount is none"))?;
    // A greater bound than can be kept is as good as none.
    let max_msat = Msat::new(most.min(domain::money::MAX_MSAT)).unwrap_or_default();
    if min_msat.is_zero() || min_msat > max_msat {
        return Err(LnurlError::Malformed("its least amount is zero or above its greatest"));
    }
    let metadata = wire.metadata.ok_or(LnurlError::Malformed("it has no metadata"))?;
    let (description, identifier) = read_metadata(&metadata)?;
    let comment = wire.comment.as_ref().and_then(Value::as_u64).unwrap_or(0);
    let comment_chars =
        usize::try_from(comment).unwrap_or(MAX_COMMENT_CHARS).min(MAX_COMMENT_CHARS);
    let callback = callback.to_string();
    Ok(Terms { callback, min_msat, max_msat, metadata, description, identifier, comment_chars })
}

/// An amount as JSON: a whole number that is not negative.
fn read_msat(value: Option<&Value>) -> Result<Option<u64>, LnurlError> {
    const BAD: LnurlError = LnurlError::Malformed("an amount of it is not a whole number");
    value.map(|value| value.as_u64().ok_or(BAD)).transpose()
}

/// The words and the name in LUD-06's metadata; pictures and the rest are left alone.
fn read_metadata(text: &str) -> Result<(String, Option<String>), LnurlError> {
    const BAD: LnurlError = LnurlError::Malformed("its metadata is no list of pairs");
    let entries: Vec<Vec<Value>> = serde_json::from_str(text).map_err(|_| BAD)?;
    let of_type = |wanted: &str| {
        entries
            .iter()
            .filter_map(move |entry| match entry.as_slice() {
                [Value::String(kind), Value::String(value), ..] if kind == wanted => {
                    Some(value.as_str())
                }
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let [description] = *of_type("text/plain") else {
        return Err(LnurlError::Malformed("it does not say once and plainly what it is for"));
    };
    let identifier = of_type("text/identifier").first().copied().and_then(shown);
    let email = || of_type("text/email").first().copied().and_then(shown);
    Ok((shown(description).unwrap_or_default(), identifier.or_else(email)))
}

/// What is paid for, as a server's metadata says it; printable, empty where it says nothing.
pub fn description(metadata: &str) -> String {
    read_metadata(metadata).map(|(description, _)| description).unwrap_or_default()
}

impl Terms {
    /// Whether `amount` is one that the server takes.
    pub fn check_amount(&self, amount: Msat) -> Result<(), LnurlError> {
        let (least, most) = (self.min_msat, self.max_msat);
        if amount < least || amount > most {
            return Err(LnurlError::OutOfRange { least, most, given: amount });
        }
        Ok(())
    }

    /// What to fetch for an invoice over `amount` (LUD-06), with a comment (LUD-12).
    pub fn callback_url(&self, amount: Msat, comment: Option<&str>) -> Result<String, LnurlError> {
        self.check_amount(amount)?;
        let mut url = Url::parse(&self.callback)
            .map_err(|_| LnurlError::Malformed("its callback is no address"))?;
        if url.query_pairs().any(|(key, _)| key == "amount" || key == "comment") {
            return Err(LnurlError::Malformed("its callback names an amount of its own"));
        }
        url.query_pairs_mut().append_pair("amount", &amount.get().to_string());
        if let Some(comment) = comment.filter(|comment| !comment.is_empty()) {
            if comment.chars().count() > self.comment_chars {
                return Err(LnurlError::CommentTooLong { most: self.comment_chars });
            }
            if comment.chars().any(crate::bolt11::is_hidden) {
                return Err(LnurlError::BadComment);
            }
            url.query_pairs_mut().append_pair("comment", comment);
        }
        Ok(url.into())
    }
}

/// An invoice as the server sent it, unchecked, and what it wants shown after the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub invoice: String,
    pub success: Option<SuccessAction>,
}

/// What is shown once the payment succeeded (LUD-09). Text only: nothing of it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SuccessAction {
    Message {
        text: String,
    },
    Url {
        description: String,
        url: String,
    },
    /// Encrypted to the preimage (LUD-10); it is not decrypted here.
    Encrypted {
        description: String,
    },
}

#[derive(Deserialize)]
struct WireAnswer {
    pr: Option<String>,
    #[serde(rename = "successAction", default)]
    success: Option<Value>,
}

/// Reads what the callback answered. `callback` is the address that was fetched.
pub fn read_answer(bytes: &[u8], callback: &str) -> Result<Answer, LnurlError> {
    let wire: WireAnswer = from_json(bytes)?;
    let invoice = wire.pr.ok_or(LnurlError::Malformed("it has no invoice"))?;
    let success = wire.success.as_ref().and_then(|action| read_action(action, callback));
    Ok(Answer { invoice, success })
}

/// A success action that holds to LUD-09; any other is nothing, as the payment does not hang on it.
fn read_action(action: &Value, callback: &str) -> Option<SuccessAction> {
    let text = |key: &str| {
        let text: String = action.get(key)?.as_str()?.chars().take(MAX_ACTION_CHARS).collect();
        shown(&text)
    };
    match action.get("tag")?.as_str()? {
        "message" => Some(SuccessAction::Message { text: text("message")? }),
        "url" => {
            let url = Url::parse(action.get("url")?.as_str()?).ok()?;
            let from = Url::parse(callback).ok()?;
            let is_theirs = url.scheme() == from.scheme() && url.host() == from.host();
            let url = (is_theirs && url.as_str().len() <= 512).then(|| url.to_string())?;
            Some(SuccessAction::Url { description: text("description").unwrap_or_default(), url })
        }
        "aes" => {
            Some(SuccessAction::Encrypted { description: text("description").unwrap_or_default() })
        }
        _ => None,
    }
}

/// Whether an invoice is the one that was asked for: exactly this amount, for exactly these words,
/// on this network, and not expired. The executor asks this again before it pays.
pub fn check_invoice(
    invoice: &str,
    amount: Msat,
    metadata: &str,
    network: Network,
    now: Timestamp,
) -> Result<Bolt11Request, LnurlError> {
    let read = Bolt11Request::read(invoice, network)?;
    match read.amount_msat {
        None => return Err(LnurlError::NoAmount { asked: amount }),
        Some(found) if found != amount => {
            return Err(LnurlError::OtherAmount { asked: amount, found });
        }
        Some(_) => {}
    }
    if read.description_hash != Sha256Hash::of(metadata.as_bytes()) {
        return Err(LnurlError::OtherDescription);
    }
    if read.expires_at <= now {
        return Err(LnurlError::Expired);
    }
    Ok(read)
}

/// JSON of bounded size, or the server's own refusal (LUD-06 `status: ERROR`).
fn from_json<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, LnurlError> {
    if bytes.len() > MAX_ANSWER_BYTES {
        return Err(LnurlError::Malformed("it is too long"));
    }
    if let Some(refusal) = read_refusal(bytes) {
        return Err(refusal);
    }
    serde_json::from_slice(bytes).map_err(|_| LnurlError::Malformed("it is not what LNURL answers"))
}

/// The server's own words for why it does not answer, where it has any.
pub fn read_refusal(bytes: &[u8]) -> Option<LnurlError> {
    #[derive(Deserialize)]
    struct Refusal {
        status: String,
        #[serde(default)]
        reason: Option<String>,
    }
    let bounded = Some(bytes).filter(|bytes| bytes.len() <= MAX_ANSWER_BYTES)?;
    let refusal: Refusal = serde_json::from_slice(bounded).ok()?;
    if !refusal.status.eq_ignore_ascii_case("error") {
        return None;
    }
    let reason: String = refusal.reason.unwrap_or_default().chars().take(200).collect();
    let reason = shown(&reason).unwrap_or_else(|| "it gives no reason.".to_owned());
    Some(LnurlError::Refused { reason })
}
