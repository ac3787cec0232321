//! Spark addresses and invoices: bech32m around a small protobuf message.
//!
//! An address is the receiver's identity key. An invoice adds what is asked for and the receiver's
//! Schnorr signature (BIP 340) over all of it; without a valid one it is refused.

use bitcoin::{
    bech32::Bech32m,
    secp256k1::{Message, PublicKey, Secp256k1, schnorr::Signature},
};
use domain::{Msat, Network, Sha256Hash};

use super::{Kind, Payable, PayableError, at_secs, bech32m, shown};

mod proto;

use proto::{Field, fields};

const ADDRESS: &str = "Spark address";
const INVOICE: &str = "Spark invoice";

/// The networks of Spark, each by its prefix today and by its first one.
///
/// Spark's regtest is a server of its operators, so practice money has no part in it.
const NETWORKS: [SparkNetwork; 5] = [
    SparkNetwork { hrp: "spark", first: "sp", name: "mainnet", magic: 0xd9b4_bef9 },
    SparkNetwork { hrp: "sparkrt", first: "sprt", name: "Spark's regtest", magic: 0xdab5_bffa },
    SparkNetwork { hrp: "sparks", first: "sps", name: "signet", magic: 0x40cf_030a },
    SparkNetwork { hrp: "sparkt", first: "spt", name: "testnet", magic: 0x0709_110b },
    SparkNetwork { hrp: "sparkl", first: "spl", name: "a local network", magic: 0xdab5_bffa },
];

struct SparkNetwork {
    hrp: &'static str,
    first: &'static str,
    name: &'static str,
    /// Of the chain beneath, as an invoice's signature binds it.
    magic: u32,
}

impl SparkNetwork {
    fn is_for(&self, network: Network) -> bool {
        match network {
            Network::Mainnet => self.hrp == "spark",
            Network::Regtest => self.hrp == "sparkrt",
            Network::Signet => self.hrp == "sparks",
            Network::Practice => false,
        }
    }
}

/// Whether lower-case text has a prefix of Spark, or of a silent payment, which shared its first.
pub(super) fn is_spark(lower: &str) -> bool {
    let Some((hrp, _)) = lower.rsplit_once('1') else { return false };
    matches!(hrp, "sp" | "tsp")
        || NETWORKS.iter().any(|network| network.hrp == hrp || network.first == hrp)
}

/// Whether it is a silent payment address (BIP 352): version 0 begins with `q`, and what Spark
/// encodes begins with `p`.
fn is_silent_payment(lower: &str) -> bool {
    lower.starts_with("tsp1") || lower.starts_with("sp1") && !lower.starts_with("sp1p")
}

/// Reads a Spark address or invoice for `network`.
pub(super) fn read(text: &str, network: Network) -> Result<Payable, PayableError> {
    if is_silent_payment(&text.to_ascii_lowercase()) {
        let why = "this wallet does not make silent payments";
        return Err(PayableError::Unsupported { what: "silent payment address", why });
    }
    let malformed = |why: &'static str| PayableError::malformed(ADDRESS, why);
    let (hrp, bytes) = bech32m::decode_m(text).map_err(malformed)?;
    let spark = NETWORKS
        .iter()
        .find(|network| network.hrp == hrp || network.first == hrp)
        .ok_or(PayableError::Unknown)?;
    let message = SparkMessage::read(&bytes).map_err(malformed)?;
    let what = if message.invoice.is_some() { INVOICE } else { ADDRESS };
    if !spark.is_for(network) {
        return Err(PayableError::OtherNetwork { what, found: spark.name, wanted: network });
    }
    let encode = |bytes: &[u8]| {
        bech32m::encode::<Bech32m>(spark.hrp, bytes).ok_or_else(|| malformed("it is too long"))
    };
    let payee = encode(&address_bytes(&message.identity))?;
    let Some(invoice) = &message.invoice else {
        return Ok(Payable::new(Kind::SparkAddress, payee.clone(), payee));
    };
    let invoice = Invoice::read(invoice).map_err(|why| PayableError::malformed(INVOICE, why))?;
    invoice.check(&message, spark.magic)?;
    Ok(Payable {
        amount_msat: invoice.amount()?,
        expires_at: invoice.expiry_secs.map(at_secs),
        memo: invoice.memo.as_deref().and_then(shown).unwrap_or_default(),
        ..Payable::new(Kind::SparkInvoice, encode(&bytes)?, payee)
    })
}

/// An address says nothing but the key: field 1, 33 bytes.
fn address_bytes(identity: &PublicKey) -> Vec<u8> {
    let mut bytes = vec![0x0a, 33];
    bytes.extend(identity.serialize());
    bytes
}

/// What the text encodes: who, what of them, and their signature.
struct SparkMessage {
    identity: PublicKey,
    invoice: Option<Vec<u8>>,
    signature: Option<Signature>,
}

impl SparkMessage {
    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let (mut identity, mut invoice, mut signature) = (None, None, None);
        for field in fields(bytes)? {
            match field {
                (1, Field::Bytes(key)) if identity.is_none() => identity = Some(public_key(key)?),
                (2, Field::Bytes(found)) if invoice.is_none() => invoice = Some(found.to_vec()),
                (3, Field::Bytes(found)) if signature.is_none() => {
                    let found = Signature::from_slice(found);
                    signature = Some(found.map_err(|_| "its signature is none")?);
                }
                _ => return Err("it holds what nobody here knows"),
            }
        }
        let identity = identity.ok_or("it names nobody")?;
        if invoice.is_none() && signature.is_some() {
            return Err("it signs nothing");
        }
        Ok(Self { identity, invoice, signature })
    }
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, &'static str> {
    let key = PublicKey::from_slice(bytes).map_err(|_| "a key of it is none")?;
    if bytes.len() == 33 { Ok(key) } else { Err("a key of it is not compressed") }
}

/// What is asked for.
enum Asked {
    /// Bitcoin, in satoshi; the payer names the amount where it is absent.
    Sats(Option<u64>),
    Token,
}

/// An invoice's fields.
struct Invoice {
    version: u64,
    id: [u8; 16],
    asked: Asked,
    memo: Option<String>,
    sender: Option<PublicKey>,
    expiry_secs: Option<u64>,
}

impl Invoice {
    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let (mut version, mut id, mut asked) = (None, None, None);
        let (mut memo, mut sender, mut expiry_secs) = (None, None, None);
        for field in fields(bytes)? {
            match field {
                (1, Field::Number(found)) if version.is_none() => version = Some(found),
                (2, Field::Bytes(found)) if id.is_none() => {
                    id = Some(found.try_into().map_err(|_| "its id is none")?);
                }
                (3, Field::Bytes(_)) if asked.is_none() => asked = Some(Asked::Token),
                (4, Field::Bytes(found)) if asked.is_none() => {
                    asked = Some(Asked::Sats(number_in(found)?));
                }
                (5, Field::Bytes(found)) if memo.is_none() => {
                    let text = String::from_utf8(found.to_vec());
                    memo = Some(text.map_err(|_| "its words are not text")?);
                }
                (6, Field::Bytes(found)) if sender.is_none() => sender = Some(public_key(found)?),
                (7, Field::Bytes(found)) if expiry_secs.is_none() => {
                    expiry_secs = Some(seconds_in(found)?);
                }
                _ => return Err("it holds what nobody here knows"),
            }
        }
        Ok(Self {
            version: version.unwrap_or(0),
            id: id.ok_or("it has no id")?,
            asked: asked.ok_or("it asks for nothing")?,
            memo,
            sender,
            expiry_secs,
        })
    }

    fn amount(&self) -> Result<Option<Msat>, PayableError> {
        let too_much = || PayableError::BadAmount("it is more than can be kept exactly");
        match self.asked {
            Asked::Token => {
                let why = "it asks for a token and not for bitcoin";
                Err(PayableError::Unsupported { what: INVOICE, why })
            }
            Asked::Sats(None | Some(0)) => Ok(None),
            Asked::Sats(Some(sats)) => {
                let msat = sats.checked_mul(1_000).ok_or_else(too_much)?;
                Ok(Some(Msat::new(msat).map_err(|_| too_much())?))
            }
        }
    }

    /// Whether the receiver signed exactly this.
    fn check(&self, message: &SparkMessage, magic: u32) -> Result<(), PayableError> {
        let bad = |why: &'static str| PayableError::malformed(INVOICE, why);
        let Asked::Sats(sats) = self.asked else { return self.amount().map(drop) };
        if self.version != 1 {
            return Err(bad("it is of a version that nobody here knows"));
        }
        let signature = message.signature.as_ref().ok_or_else(|| bad("nobody signed it"))?;
        let digest = Message::from_digest(self.digest(&message.identity, sats, magic));
        let (key, _) = message.identity.x_only_public_key();
        Secp256k1::verification_only()
            .verify_schnorr(signature, &digest, &key)
            .map_err(|_| bad("its signature does not hold"))
    }

    /// What is signed: the hash over the hashes of each field, with zeros for what is absent.
    fn digest(&self, identity: &PublicKey, sats: Option<u64>, magic: u32) -> [u8; 32] {
        const SATS: u8 = 2;
        let sender = self.sender.map_or([0; 33], |key| key.serialize());
        let chain = Sha256Hash::of(&magic.to_be_bytes());
        let parts: [&[u8]; 9] = [
            &1_u32.to_be_bytes(),
            &self.id,
            chain.as_bytes(),
            &identity.serialize(),
            &[SATS],
            &sats.unwrap_or(0).to_be_bytes(),
            self.memo.as_deref().unwrap_or_default().as_bytes(),
            &sender,
            &self.expiry_secs.unwrap_or(0).to_be_bytes(),
        ];
        let hashes: Vec<u8> =
            parts.into_iter().flat_map(|part| *Sha256Hash::of(part).as_bytes()).collect();
        *Sha256Hash::of(&hashes).as_bytes()
    }
}

/// A message whose one field is a number (`SatsPayment`).
fn number_in(bytes: &[u8]) -> Result<Option<u64>, &'static str> {
    match fields(bytes)?.as_slice() {
        [] => Ok(None),
        [(1, Field::Number(number))] => Ok(Some(*number)),
        _ => Err("its amount is none"),
    }
}

/// Protobuf's `Timestamp`: whole seconds; parts of one are not signed, and count for nothing.
fn seconds_in(bytes: &[u8]) -> Result<u64, &'static str> {
    let mut secs = None;
    for field in fields(bytes)? {
        match field {
            (1, Field::Number(found)) if secs.is_none() && found < 1 << 62 => secs = Some(found),
            (2, Field::Number(nanos)) if nanos < 1_000_000_000 => {}
            _ => return Err("its expiry is none"),
        }
    }
    Ok(secs.unwrap_or(0))
}
