//! BOLT 11 payment requests: read, then checked before money follows them.

use domain::{ErrorBody, Msat, Network, PaymentHash, Sha256Hash, Timestamp};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency};

/// Longer payment requests are refused unread.
pub const MAX_LEN: usize = 4_096;
/// The longest description BOLT 11 can carry (field `d`), in bytes.
pub const MAX_MEMO_LEN: usize = 639;

/// What a payment request asks for; its signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bolt11 {
    /// The request as it is kept and compared: lower case, without a `lightning:` prefix.
    pub text: String,
    pub payment_hash: PaymentHash,
    /// The node that signed, as hex.
    pub payee: String,
    pub amount_msat: Msat,
    pub expires_at: Timestamp,
    pub memo: String,
}

/// A payment request that may leave the amount to who pays; its signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bolt11Request {
    /// The request as it is kept and compared: lower case, without a `lightning:` prefix.
    pub text: String,
    pub payment_hash: PaymentHash,
    /// The node that signed, as hex.
    pub payee: String,
    /// Nothing where the payer names the amount; never zero.
    pub amount_msat: Option<Msat>,
    pub expires_at: Timestamp,
    pub memo: String,
    /// The SHA-256 of what is paid for: the request's own field `h`, or that of its description.
    pub description_hash: Sha256Hash,
}

/// Why a payment request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bolt11Error {
    #[error("The payment request is longer than {MAX_LEN} characters.")]
    TooLong,
    #[error("This is not a Lightning payment request: {0}.")]
    Malformed(String),
    #[error("The payment request is for {found}, and this wallet is on {wanted}.")]
    OtherNetwork { found: &'static str, wanted: Network },
    #[error("The payment request names no amount.")]
    NoAmount,
    #[error("The payment request asks for nothing: its amount is zero.")]
    ZeroAmount,
    #[error("The payment request asks for more than can be kept exactly.")]
    AmountTooLarge,
}

impl Bolt11Error {
    pub fn to_error(&self) -> ErrorBody {
        let code = match self {
            Self::TooLong | Self::Malformed(_) => "bad_invoice",
            Self::OtherNetwork { .. } => "wrong_network",
            Self::NoAmount | Self::ZeroAmount | Self::AmountTooLarge => "unsupported_amount",
        };
        ErrorBody::refused(code, format!("{self} Nothing was sent."))
            .hint("Ask the payee for a new invoice.")
    }
}

impl Bolt11 {
    /// Reads a payment request for `network` that names its amount.
    pub fn read(text: &str, network: Network) -> Result<Self, Bolt11Error> {
        let read = Bolt11Request::read(text, network)?;
        let amount_msat = read.amount_msat.ok_or(Bolt11Error::NoAmount)?;
        let Bolt11Request { text, payment_hash, payee, expires_at, memo, .. } = read;
        Ok(Self { text, payment_hash, payee, amount_msat, expires_at, memo })
    }
}

impl Bolt11Request {
    /// Reads a payment request for `network`.
    pub fn read(text: &str, network: Network) -> Result<Self, Bolt11Error> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(Bolt11Error::TooLong);
        }
        let text = text.to_ascii_lowercase();
        let text = text.strip_prefix("lightning:").unwrap_or(&text);
        let invoice: Bolt11Invoice =
            text.parse().map_err(|error| Bolt11Error::Malformed(format!("{error:?}")))?;
        let found = invoice.currency();
        if found != currency(network) {
            return Err(Bolt11Error::OtherNetwork { found: name(found), wanted: network });
        }
        let amount_msat = match invoice.amount_milli_satoshis() {
            None => None,
            Some(0) => return Err(Bolt11Error::ZeroAmount),
            Some(msat) => Some(Msat::new(msat).map_err(|_| Bolt11Error::AmountTooLarge)?),
        };
        let expires_at = invoice.expires_at().map_or(u64::MAX, |since| since.as_secs());
        Ok(Self {
            text: text.to_owned(),
            payment_hash: payment_hash(&invoice),
            payee: invoice.get_payee_pub_key().to_string(),
            amount_msat,
            // Kept below 2^53 ms, which every date that a person can mean is.
            expires_at: Timestamp::from_secs(expires_at.min(1 << 42)),
            memo: memo(&invoice),
            description_hash: description_hash(&invoice),
        })
    }
}

fn payment_hash(invoice: &Bolt11Invoice) -> PaymentHash {
    let bytes: &[u8; 32] = invoice.payment_hash().as_ref();
    PaymentHash(*bytes)
}

/// The description without control characters: it comes from a stranger and is shown to people.
fn memo(invoice: &Bolt11Invoice) -> String {
    match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => printable(&text.to_string()),
        Bolt11InvoiceDescriptionRef::Hash(_) => String::new(),
    }
}

fn description_hash(invoice: &Bolt11Invoice) -> Sha256Hash {
    match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => Sha256Hash::of(text.as_inner().0.as_bytes()),
        Bolt11InvoiceDescriptionRef::Hash(hash) => {
            let bytes: &[u8; 32] = hash.0.as_ref();
            Sha256Hash(*bytes)
        }
    }
}

/// Whether a character shows nothing of itself, yet may change how what is around it reads.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` without control characters and invisible marks, at most [`MAX_MEMO_LEN`] bytes.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_MEMO_LEN));
    for c in text.chars().filter(|c| !is_hidden(*c)) {
        if out.len() + c.len_utf8() > MAX_MEMO_LEN {
            break;
        }
        out.push(c);
    }
    out
}

const fn currency(network: Network) -> Currency {
    match network {
        Network::Practice | Network::Regtest => Currency::Regtest,
        Network::Signet => Currency::Signet,
        Network::Mainnet => Currency::Bitcoin,
    }
}

const fn name(currency: Currency) -> &'static str {
    match currency {
        Currency::Bitcoin => "mainnet",
        Currency::BitcoinTestnet => "testnet",
        Currency::Regtest => "a regtest or practice network",
        Currency::Simnet => "simnet",
        Currency::Signet => "signet",
    }
}
