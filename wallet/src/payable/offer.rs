//! BOLT 12 offers (`lno1…`), read strictly.
//!
//! An offer has neither checksum nor signature: what it says is checked for form here, and whom it
//! pays when its invoice comes back signed. A pure crate cannot link the node's own reader, which
//! brings randomness along; a test of the executor shows that both read the same.

use bitcoin::{bech32::NoChecksum, constants::ChainHash, hex::DisplayHex, secp256k1::PublicKey};
use domain::{Msat, Network};

use super::{Kind, Payable, PayableError, at_secs, bech32m, shown};

const WHAT: &str = "Lightning offer";
const HRP: &str = "lno";
/// More paths than any node uses, and a bound for what is read.
const MOST_PATHS: usize = 64;

fn malformed(why: &'static str) -> PayableError {
    PayableError::malformed(WHAT, why)
}

/// Whether lower-case text begins as an offer does, also where `+` splits it (BOLT 12).
pub(super) fn is_offer(lower: &str) -> bool {
    let mut letters = lower.chars().filter(|c| *c != '+' && !c.is_whitespace());
    !lower.contains('@') && "lno1".chars().all(|wanted| letters.next() == Some(wanted))
}

/// Joins what `+`, and white space after it, splits: only between two characters of the offer.
fn join(text: &str) -> Result<String, PayableError> {
    let mut parts = text.split('+').enumerate();
    let mut out = String::with_capacity(text.len());
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parts.try_for_each(|(index, part)| {
        let part = if index == 0 { part } else { part.trim_start() };
        if !is_plain(part) {
            return Err(malformed("it is split where it must not be"));
        }
        out.push_str(part);
        Ok(())
    })?;
    Ok(out)
}

/// Reads an offer for `network`.
pub(super) fn read(text: &str, network: Network) -> Result<Payable, PayableError> {
    let (hrp, bytes) = bech32m::decode_bare(&join(text)?).map_err(malformed)?;
    if hrp != HRP {
        return Err(malformed("it does not begin as an offer does"));
    }
    let fields = Fields::read(&bytes)?;
    fields.check_chain(network)?;
    if fields.currency {
        let why = "it asks for an amount in a currency, which nobody here can check";
        return Err(PayableError::Unsupported { what: WHAT, why });
    }
    let text = bech32m::encode::<NoChecksum>(HRP, &bytes)
        .ok_or_else(|| malformed("it can't be written again"))?;
    let payee = fields.payee.ok_or_else(|| malformed("it names nobody to pay"))?;
    let payee = payee.serialize().to_lower_hex_string();
    Ok(Payable {
        claims: fields.issuer.as_deref().and_then(shown),
        amount_msat: fields.amount,
        expires_at: fields.absolute_expiry.map(at_secs),
        memo: fields.description.as_deref().and_then(shown).unwrap_or_default(),
        ..Payable::new(Kind::Bolt12, text, payee)
    })
}

/// The fields of an offer that say something to who pays.
#[derive(Default)]
struct Fields {
    chains: Option<Vec<[u8; 32]>>,
    currency: bool,
    amount: Option<Msat>,
    description: Option<String>,
    absolute_expiry: Option<u64>,
    issuer: Option<String>,
    /// Who signs the invoice: the issuer, else the end of the first path.
    payee: Option<PublicKey>,
}

impl Fields {
    fn read(bytes: &[u8]) -> Result<Self, PayableError> {
        let mut fields = Self::default();
        let (mut amount, mut path_end) = (None, None);
        let mut rest = Reader(bytes);
        let mut last = None;
        while !rest.0.is_empty() {
            let number = rest.big_size()?;
            let length = rest.big_size()?;
            let length = usize::try_from(length).map_err(|_| malformed("a field is cut short"))?;
            let value = rest.take(length)?;
            if last.is_some_and(|last| number <= last) {
                return Err(malformed("its fields are out of order"));
            }
            last = Some(number);
            match number {
                2 => fields.chains = Some(chains(value)?),
                6 => fields.currency = is_currency(value)?,
                8 => amount = Some(number_of(value)?),
                10 => fields.description = Some(text_of(value)?),
                12 => check_features(value)?,
                14 => fields.absolute_expiry = Some(number_of(value)?),
                // An empty list of paths is none: the issuer is found by its key.
                16 if value.is_empty() => {}
                16 => path_end = Some(paths(value)?),
                18 => fields.issuer = Some(text_of(value)?),
                20 => drop(number_of(value)?),
                22 => fields.payee = Some(key(value)?),
                1..=79 | 1_000_000_000..=1_999_999_999 if number % 2 == 1 => {}
                4 => {}
                _ => return Err(malformed("it has a field that nobody knows")),
            }
        }
        fields.set_amount(amount)?;
        fields.payee = fields.payee.or(path_end);
        Ok(fields)
    }

    fn set_amount(&mut self, amount: Option<u64>) -> Result<(), PayableError> {
        let Some(amount) = amount else {
            return match self.currency {
                true => Err(malformed("it names a currency and no amount")),
                false => Ok(()),
            };
        };
        if amount == 0 {
            return Err(malformed("its amount is zero"));
        }
        if self.description.is_none() {
            return Err(malformed("it asks for an amount and does not say for what"));
        }
        if !self.currency {
            let too_much = |_| malformed("its amount is more than can be kept exactly");
            self.amount = Some(Msat::new(amount).map_err(too_much)?);
        }
        Ok(())
    }

    /// Without chains an offer is for bitcoin's main network.
    fn check_chain(&self, network: Network) -> Result<(), PayableError> {
        let wanted = match network {
            Network::Practice | Network::Regtest => ChainHash::REGTEST,
            Network::Signet => ChainHash::SIGNET,
            Network::Mainnet => ChainHash::BITCOIN,
        };
        let mainnet = [ChainHash::BITCOIN.to_bytes()];
        let chains = self.chains.as_deref().unwrap_or(&mainnet);
        if chains.contains(&wanted.to_bytes()) {
            return Ok(());
        }
        let found = match chains {
            [chain] if *chain == ChainHash::BITCOIN.to_bytes() => "mainnet",
            [chain] if *chain == ChainHash::TESTNET3.to_bytes() => "testnet",
            [chain] if *chain == ChainHash::SIGNET.to_bytes() => "signet",
            [chain] if *chain == ChainHash::REGTEST.to_bytes() => "a regtest or practice network",
            _ => "another chain",
        };
        Err(PayableError::OtherNetwork { what: WHAT, found, wanted: network })
    }
}

fn chains(value: &[u8]) -> Result<Vec<[u8; 32]>, PayableError> {
    let (chains, rest) = value.as_chunks::<32>();
    if chains.is_empty() || !rest.is_empty() {
        return Err(malformed("its chains are cut short"));
    }
    Ok(chains.to_vec())
}

/// Three capital letters (ISO 4217).
fn is_currency(value: &[u8]) -> Result<bool, PayableError> {
    if value.len() != 3 || !value.iter().all(u8::is_ascii_uppercase) {
        return Err(malformed("its currency is none"));
    }
    Ok(true)
}

fn text_of(value: &[u8]) -> Result<String, PayableError> {
    String::from_utf8(value.to_vec()).map_err(|_| malformed("its words are not text"))
}

/// A truncated integer (BOLT 1): big-endian without leading zeros.
fn number_of(value: &[u8]) -> Result<u64, PayableError> {
    if value.len() > 8 || value.first() == Some(&0) {
        return Err(malformed("a number of it is not written as it must be"));
    }
    Ok(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn key(value: &[u8]) -> Result<PublicKey, PayableError> {
    if value.len() != 33 {
        return Err(malformed("a key of it is cut short"));
    }
    PublicKey::from_slice(value).map_err(|_| malformed("a key of it is none"))
}

/// Even bits must be understood (BOLT 9), and no bit of an offer has a meaning yet.
fn check_features(value: &[u8]) -> Result<(), PayableError> {
    if value.iter().any(|byte| byte & 0b0101_0101 != 0) {
        return Err(malformed("it needs a feature that nobody here knows"));
    }
    Ok(())
}

/// The last node of the first path, after all paths were read to their end.
fn paths(value: &[u8]) -> Result<PublicKey, PayableError> {
    let mut rest = Reader(value);
    let mut end = None;
    for _ in 0..MOST_PATHS {
        if rest.0.is_empty() {
            break;
        }
        // The first node by its key, or by one of its channels: direction and short id.
        match rest.0.first() {
            Some(0 | 1) => drop(rest.take(9)?),
            _ => drop(key(rest.take(33)?)?),
        }
        key(rest.take(33)?)?;
        let [hops] = *rest.take(1)? else { return Err(malformed("a path of it is cut short")) };
        let mut last = None;
        for _ in 0..hops {
            last = Some(key(rest.take(33)?)?);
            let [high, low] = *rest.take(2)? else {
                return Err(malformed("a path of it is cut short"));
            };
            rest.take(usize::from(u16::from_be_bytes([high, low])))?;
        }
        let last = last.ok_or_else(|| malformed("a path of it leads nowhere"))?;
        end = end.or(Some(last));
    }
    match end {
        Some(end) if rest.0.is_empty() => Ok(end),
        _ => Err(malformed("its paths are too many, or none")),
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PayableError> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| malformed("a field is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// BOLT 1's variable number, in its shortest form only.
    fn big_size(&mut self) -> Result<u64, PayableError> {
        let (length, least) = match self.take(1)? {
            [0xfd] => (2, 0xfd),
            [0xfe] => (4, 0x1_0000),
            [0xff] => (8, 0x1_0000_0000),
            small => return Ok(small.first().copied().map_or(0, u64::from)),
        };
        let number =
            self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if number < least {
            return Err(malformed("a number of it is not written as it must be"));
        }
        Ok(number)
    }
}
