//! One door for everything people pay to: pasted text and links, read and checked.
//!
//! [`Payable::read`] looks at text alone; it fetches nothing and knows no clock. What it returns
//! says what the text is, who gets the money, how much where that is fixed, and until when. What
//! cannot be verified is refused with a reason and with what to do; the text itself, which may be a
//! secret pasted by mistake, never stands in an error.

mod address;
mod bech32m;
mod bip21;
mod error;
pub mod lnurl;
mod offer;
mod spark;
#[cfg(test)]
mod tests;

pub use error::PayableError;

use domain::{Msat, Network, PaymentHash, Timestamp};
use serde::Serialize;

use crate::{
    bolt11::{Bolt11Request, is_hidden, printable},
    wire::Rail,
};

/// Longer text is refused unread. A link may carry an invoice, an offer and more at once.
pub const MAX_TEXT_LEN: usize = 8_192;

/// What a text asks to be paid by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A Lightning invoice (BOLT 11).
    Bolt11,
    /// A Lightning offer (BOLT 12): an invoice is asked for over Lightning itself.
    Bolt12,
    /// An LNURL (LUD-01, LUD-17): an invoice is fetched over HTTPS first.
    Lnurl,
    /// A lightning address (LUD-16): an invoice is fetched over HTTPS first.
    LightningAddress,
    /// An invoice of the Spark network, signed by who gets the money.
    SparkInvoice,
    /// An address of the Spark network.
    SparkAddress,
    /// A bitcoin address.
    Onchain,
}

impl Kind {
    /// What it is called to people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bolt11 => "Lightning invoice",
            Self::Bolt12 => "Lightning offer",
            Self::Lnurl => "LNURL",
            Self::LightningAddress => "lightning address",
            Self::SparkInvoice => "Spark invoice",
            Self::SparkAddress => "Spark address",
            Self::Onchain => "bitcoin address",
        }
    }

    /// The way that the money takes; of what is fetched, the invoice's.
    pub const fn rail(self) -> Rail {
        match self {
            Self::Bolt11 | Self::Lnurl | Self::LightningAddress => Rail::Bolt11,
            Self::Bolt12 => Rail::Bolt12,
            Self::SparkInvoice | Self::SparkAddress => Rail::Spark,
            Self::Onchain => Rail::Onchain,
        }
    }

    /// Whether an invoice must be fetched before anything can be paid.
    pub const fn is_fetched(self) -> bool {
        matches!(self, Self::Lnurl | Self::LightningAddress)
    }

    /// The smallest step of an amount, in millisatoshi.
    pub const fn unit_msat(self) -> u64 {
        match self {
            Self::Onchain | Self::SparkAddress | Self::SparkInvoice => 1_000,
            Self::Bolt11 | Self::Bolt12 | Self::Lnurl | Self::LightningAddress => 1,
        }
    }

    /// Lightning first, then Spark, then the chain: by what it costs and how soon it is final.
    const fn preference(self) -> u8 {
        match self {
            Self::Bolt11 => 0,
            Self::Bolt12 => 1,
            Self::Lnurl | Self::LightningAddress => 2,
            Self::SparkInvoice => 3,
            Self::SparkAddress => 4,
            Self::Onchain => 5,
        }
    }
}

/// One thing that can be paid, as far as its text alone says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payable {
    pub kind: Kind,
    /// The request in its one spelling: what is kept, compared and handed on.
    pub text: String,
    /// Who gets the money, by what can be checked: the node's key, the address, `user@host`, or
    /// the host of an LNURL with what tells it from the host's others.
    pub payee: String,
    /// A name that the request gives itself, which nobody checked; printable.
    pub claims: Option<String>,
    /// The amount, where it is fixed; never zero.
    pub amount_msat: Option<Msat>,
    /// When it can no longer be paid.
    pub expires_at: Option<Timestamp>,
    /// What it is for, in the payee's words; printable.
    pub memo: String,
    /// Of an invoice, by which its payment is known.
    pub payment_hash: Option<PaymentHash>,
    /// Of a [fetched](Kind::is_fetched) kind: where its terms are fetched (LUD-06).
    pub url: Option<String>,
    /// Other ways to pay the same, as its link offers them, in order of preference.
    pub fallbacks: Vec<Payable>,
}

impl Payable {
    /// Reads what was pasted or clicked, for a wallet on `network`.
    pub fn read(text: &str, network: Network) -> Result<Self, PayableError> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || is_hidden(c));
        if text.is_empty() {
            return Err(PayableError::Empty);
        }
        if text.len() > MAX_TEXT_LEN {
            return Err(PayableError::TooLong);
        }
        let Some((scheme, rest)) = known_scheme(text) else {
            return read_bare(text, network);
        };
        match scheme {
            Scheme::Bitcoin => bip21::read(rest, network),
            Scheme::Spark => bip21::read_spark(rest, network),
            Scheme::Lightning => match read_bare(rest, network)? {
                found if matches!(found.kind.preference(), 0..=2) => Ok(found),
                _ => Err(PayableError::malformed(
                    "lightning: link",
                    "what it holds is not a Lightning request",
                )),
            },
            Scheme::Lnurl => lnurl::read_bech32(rest, network),
            Scheme::LnurlPay => lnurl::read_scheme(rest, network),
            Scheme::Web => lnurl::read_web_link(text, network),
            Scheme::Withdraw => Err(PayableError::NotToPay { what: "a link to withdraw money" }),
            Scheme::Channel => Err(PayableError::NotToPay { what: "a request to open a channel" }),
            Scheme::Login => Err(PayableError::NotToPay { what: "a login" }),
            Scheme::Cashu => read_cashu(rest).ok_or_else(|| {
                PayableError::malformed("cashu: link", "what it holds is not a Cashu token")
            })?,
            Scheme::WalletConnect => Err(PayableError::WalletSecret),
        }
    }

    /// This and its fallbacks, in order of preference.
    pub fn ways(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.fallbacks)
    }

    /// The way that is preferred among those which have not expired and which the wallet can pay.
    pub fn choose(
        &self,
        now: Timestamp,
        can_pay: impl Fn(Kind) -> bool,
    ) -> Result<&Self, PayableError> {
        let mut is_expired = false;
        for way in self.ways().filter(|way| can_pay(way.kind)) {
            match way.expires_at {
                Some(at) if at <= now => is_expired = true,
                _ => return Ok(way),
            }
        }
        if is_expired {
            return Err(PayableError::Expired { what: self.kind.name() });
        }
        Err(PayableError::CannotPay { what: self.kind.name() })
    }

    /// The amount to pay, where the payer named `given`: exactly the one that is asked for.
    pub fn amount_to_pay(&self, given: Option<Msat>) -> Result<Msat, PayableError> {
        let amount = match (self.amount_msat, given) {
            (Some(asked), Some(given)) if asked != given => {
                return Err(PayableError::OtherAmount { asked, given });
            }
            (Some(asked), _) => asked,
            (None, Some(given)) => given,
            (None, None) => return Err(PayableError::NoAmount { what: self.kind.name() }),
        };
        if amount.is_zero() {
            return Err(PayableError::BadAmount("it is zero"));
        }
        if !amount.get().is_multiple_of(self.kind.unit_msat()) {
            return Err(PayableError::BadAmount("only whole satoshi can be paid there"));
        }
        Ok(amount)
    }

    fn new(kind: Kind, text: String, payee: String) -> Self {
        Self {
            kind,
            text,
            payee,
            claims: None,
            amount_msat: None,
            expires_at: None,
            memo: String::new(),
            payment_hash: None,
            url: None,
            fallbacks: Vec::new(),
        }
    }
}

impl From<Bolt11Request> for Payable {
    fn from(read: Bolt11Request) -> Self {
        Self {
            amount_msat: read.amount_msat,
            expires_at: Some(read.expires_at),
            memo: read.memo,
            payment_hash: Some(read.payment_hash),
            ..Self::new(Kind::Bolt11, read.text, read.payee)
        }
    }
}

/// The link schemes that mean something here.
#[derive(Clone, Copy)]
enum Scheme {
    Bitcoin,
    Spark,
    Lightning,
    Lnurl,
    LnurlPay,
    Web,
    Withdraw,
    Channel,
    Login,
    Cashu,
    WalletConnect,
}

/// A known scheme in any case, and what follows it; `://` counts as `:`, as both are in use.
fn known_scheme(text: &str) -> Option<(Scheme, &str)> {
    let (name, rest) = text.split_once(':')?;
    let scheme = match name.to_ascii_lowercase().as_str() {
        "bitcoin" => Scheme::Bitcoin,
        "spark" => Scheme::Spark,
        "lightning" => Scheme::Lightning,
        "lnurl" => Scheme::Lnurl,
        "lnurlp" => Scheme::LnurlPay,
        "http" | "https" => Scheme::Web,
        "lnurlw" => Scheme::Withdraw,
        "lnurlc" => Scheme::Channel,
        "keyauth" => Scheme::Login,
        "cashu" => Scheme::Cashu,
        "nostr+walletconnect" | "nostrwalletconnect" | "nostr+walletauth" => Scheme::WalletConnect,
        _ => return None,
    };
    Some((scheme, rest.strip_prefix("//").unwrap_or(rest).trim_start()))
}

/// Text without a scheme: told apart by how it begins.
fn read_bare(text: &str, network: Network) -> Result<Payable, PayableError> {
    let lower = text.to_ascii_lowercase();
    // An offer may be split anywhere by `+` (BOLT 12), even inside its first letters.
    if offer::is_offer(&lower) {
        return offer::read(text, network);
    }
    if let Some(found) = read_cashu(text) {
        return found;
    }
    if is_node(&lower) {
        return Err(PayableError::KeysendOff);
    }
    if text.contains('@') {
        return lnurl::read_address(text, network);
    }
    if lower.starts_with("lnurl1") {
        return lnurl::read_bech32(text, network);
    }
    for (start, what) in [
        ("lni1", "a BOLT 12 invoice without the request it answers"),
        ("lnr1", "a BOLT 12 request for an invoice, which asks to be invoiced"),
    ] {
        if lower.starts_with(start) {
            return Err(PayableError::NotToPay { what });
        }
    }
    if ["lnbc", "lntb", "lnsb"].iter().any(|start| lower.starts_with(start)) {
        return Ok(Bolt11Request::read(text, network)?.into());
    }
    if lower.starts_with("npub1") || lower.starts_with("nprofile1") {
        return Err(PayableError::NotToPay { what: "a Nostr identity" });
    }
    if spark::is_spark(&lower) {
        return spark::read(text, network);
    }
    address::read(text, network)
}

/// Cashu ecash (NUT-00) and requests for it (NUT-18), by their first letters.
fn read_cashu(text: &str) -> Option<Result<Payable, PayableError>> {
    let start = text.get(..6)?.to_ascii_lowercase();
    let what = match start.as_str() {
        "cashua" | "cashub" => return Some(Err(PayableError::CashuToken)),
        _ if start.starts_with("creqa") || start.starts_with("creqb") => {
            "a Cashu payment request, which asks for ecash"
        }
        _ => return None,
    };
    Some(Err(PayableError::NotToPay { what }))
}

/// A node's public key, alone or with its address: what keysend would pay to.
fn is_node(lower: &str) -> bool {
    let key = lower.split_once('@').map_or(lower, |(key, _)| key);
    key.len() == 66
        && (key.starts_with("02") || key.starts_with("03"))
        && key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A stranger's words as people may see them; nothing where nothing is left.
fn shown(text: &str) -> Option<String> {
    let text = printable(text.trim());
    (!text.is_empty()).then_some(text)
}

/// Seconds since the epoch from outside, kept below 2^53 ms.
fn at_secs(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs.min(1 << 42))
}
