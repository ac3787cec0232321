//! `bitcoin:` links (BIP 21, BIP 321) with their other ways to pay, and `spark:` links.

use domain::{Msat, Network};

use super::{Kind, Payable, PayableError, address, lnurl, read_bare, shown, spark};

const LINK: &str = "bitcoin: link";
/// A link that offers more ways than this is none that a wallet made.
const MOST_WAYS: usize = 8;
const MSAT_PER_BTC_DIGIT: u64 = 1_000;

fn malformed(why: &'static str) -> PayableError {
    PayableError::malformed(LINK, why)
}

/// Reads what follows `bitcoin:`.
pub(super) fn read(rest: &str, network: Network) -> Result<Payable, PayableError> {
    let link = Link::read(rest)?;
    let mut ways = Vec::new();
    if !link.address.is_empty() {
        ways.push(address::read(&link.address, network).map_err(|error| match error {
            PayableError::Unknown => malformed("its address is none"),
            other => other,
        })?);
    }
    for (key, value) in &link.ways {
        ways.extend(read_way(key, value, network)?);
        if ways.len() > MOST_WAYS {
            return Err(malformed("it offers too many ways"));
        }
    }
    link.join(ways)
}

/// Reads what follows `spark:`: an address or invoice, with BIP 21's amount and words.
pub(super) fn read_spark(rest: &str, network: Network) -> Result<Payable, PayableError> {
    let link = Link::read(rest)?;
    if !spark::is_spark(&link.address.to_ascii_lowercase()) {
        return Err(PayableError::malformed("spark: link", "it holds no Spark address"));
    }
    let way = spark::read(&link.address, network)?;
    link.join(vec![way])
}

/// One more way that the link offers; nothing where it is one that this wallet does not know.
fn read_way(key: &str, value: &str, network: Network) -> Result<Option<Payable>, PayableError> {
    let wants = |kinds: &[Kind]| match read_bare(value, network) {
        Ok(way) if kinds.contains(&way.kind) => Ok(Some(way)),
        Ok(_) | Err(PayableError::Unknown) => Err(malformed("a way to pay in it is another kind")),
        Err(error) => Err(error),
    };
    match key {
        "lightning" if value.contains('@') => Ok(Some(lnurl::read_address(value, network)?)),
        "lightning" => wants(&[Kind::Bolt11, Kind::Bolt12, Kind::Lnurl]),
        "lno" => wants(&[Kind::Bolt12]),
        "spark" => wants(&[Kind::SparkAddress, Kind::SparkInvoice]),
        "bc" | "tb" => wants(&[Kind::Onchain]),
        // A silent payment; the first Spark wallets put their address here.
        "sp" => match wants(&[Kind::SparkAddress, Kind::SparkInvoice]) {
            Err(PayableError::Unsupported { .. }) => Ok(None),
            other => other,
        },
        _ => Ok(None),
    }
}

/// A link's parts, percent-decoded.
struct Link {
    address: String,
    amount: Option<Msat>,
    label: Option<String>,
    message: Option<String>,
    /// Keys that offer ways to pay, in their order.
    ways: Vec<(String, String)>,
}

impl Link {
    fn read(rest: &str) -> Result<Self, PayableError> {
        let rest = rest.split('#').next().unwrap_or_default();
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut link = Self {
            address: percent_decode(address)?.trim_matches('/').to_owned(),
            amount: None,
            label: None,
            message: None,
            ways: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            link.take(&percent_decode(key)?.to_ascii_lowercase(), &percent_decode(value)?)?;
        }
        Ok(link)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), PayableError> {
        let (name, is_required) = key.strip_prefix("req-").map_or((key, false), |key| (key, true));
        let is_new = match name {
            "amount" => self.amount.replace(read_btc(value)?).is_none(),
            "label" => self.label.replace(value.to_owned()).is_none(),
            "message" => self.message.replace(value.to_owned()).is_none(),
            "lightning" | "lno" | "spark" | "sp" | "bc" | "tb" => {
                self.ways.push((name.to_owned(), value.to_owned()));
                true
            }
            _ if is_required => {
                return Err(PayableError::Required { name: shown(key).unwrap_or_default() });
            }
            _ => true,
        };
        if is_new { Ok(()) } else { Err(PayableError::Contradiction("something twice")) }
    }

    /// One payable of all ways: the amount and words of the link hold for each.
    fn join(self, mut ways: Vec<Payable>) -> Result<Payable, PayableError> {
        ways.sort_by_key(|way| way.kind.preference());
        ways.dedup_by(|later, earlier| later.text == earlier.text);
        for way in &mut ways {
            match (way.amount_msat, self.amount) {
                (Some(asked), Some(named)) if asked != named => {
                    return Err(PayableError::Contradiction("two amounts"));
                }
                (None, named) => way.amount_msat = named,
                _ => {}
            }
            if way.memo.is_empty() {
                way.memo = self.message.as_deref().and_then(shown).unwrap_or_default();
            }
            if way.claims.is_none() {
                way.claims = self.label.as_deref().and_then(shown);
            }
        }
        if ways.iter().any(|way| way.amount_msat != ways.first().and_then(|way| way.amount_msat)) {
            return Err(PayableError::Contradiction("two amounts"));
        }
        let mut ways = ways.into_iter();
        let first = ways.next().ok_or_else(|| malformed("it holds no way to pay"))?;
        Ok(Payable { fallbacks: ways.collect(), ..first })
    }
}

/// An amount in bitcoin as BIP 21 writes it: digits, and at most eight after the point.
fn read_btc(text: &str) -> Result<Msat, PayableError> {
    const BAD: PayableError = PayableError::BadAmount("the link does not write it as bitcoin");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !(whole.is_empty() && part.is_empty());
    if !has_digits || whole.len() > 8 || part.len() > 8 || !is_number(whole) || !is_number(part) {
        return Err(BAD);
    }
    let sats: u64 = format!("{whole}{part:0<8}").parse().map_err(|_| BAD)?;
    if sats == 0 {
        return Err(PayableError::BadAmount("it is zero"));
    }
    let msat = sats.checked_mul(MSAT_PER_BTC_DIGIT).ok_or(BAD)?;
    Msat::new(msat).map_err(|_| PayableError::BadAmount("it is more than can be kept exactly"))
}

/// RFC 3986: `%` and two hex digits. A plus sign is itself.
fn percent_decode(text: &str) -> Result<String, PayableError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(malformed("a character of it is not encoded as it must be"));
        };
        let byte = u8::try_from(high << 4 | low);
        bytes.push(byte.map_err(|_| malformed("a character of it is none"))?);
    }
    String::from_utf8(bytes).map_err(|_| malformed("a character of it is none"))
}
