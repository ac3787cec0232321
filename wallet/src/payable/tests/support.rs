//! Requests of every form, made here so that each part of them can be varied.

use bitcoin::{
    bech32::{Bech32m, NoChecksum},
    hashes::{Hash, sha256},
    secp256k1::{Keypair, Message, PublicKey, Secp256k1, SecretKey},
};
use domain::{Msat, Network, Sha256Hash};
use lightning_invoice::{
    Bolt11InvoiceDescription, Currency, Description, InvoiceBuilder, PaymentSecret,
};
use std::time::Duration;

use crate::payable::{Payable, PayableError, bech32m};

/// A time at which everything made here is valid, in seconds.
pub const NOW_SECS: u64 = 1_790_000_000;

pub fn read(text: &str) -> Result<Payable, PayableError> {
    Payable::read(text, Network::Mainnet)
}

/// The stable name of why it is refused.
pub fn code(read: Result<Payable, PayableError>) -> &'static str {
    read.expect_err("must be refused").code()
}

pub fn secret(n: u8) -> SecretKey {
    SecretKey::from_slice(&[n.max(1); 32]).unwrap()
}

pub fn key(n: u8) -> PublicKey {
    secret(n).public_key(&Secp256k1::new())
}

/// A Lightning invoice; the description stands in it, or only its hash.
pub fn invoice(currency: Currency, amount: Option<Msat>, what: &str, by_hash: bool) -> String {
    let description = if by_hash {
        Bolt11InvoiceDescription::Hash(lightning_invoice::Sha256(sha256::Hash::hash(
            what.as_bytes(),
        )))
    } else {
        Bolt11InvoiceDescription::Direct(Description::new(what.to_owned()).unwrap())
    };
    let builder = InvoiceBuilder::new(currency)
        .invoice_description(description)
        .payment_hash(sha256::Hash::hash(what.as_bytes()))
        .payment_secret(PaymentSecret([3; 32]))
        .duration_since_epoch(Duration::from_secs(NOW_SECS))
        .expiry_time(Duration::from_secs(3_600))
        .min_final_cltv_expiry_delta(18);
    let builder = match amount {
        Some(amount) => builder.amount_milli_satoshis(amount.get()),
        None => builder,
    };
    let secp = Secp256k1::new();
    let sign = |digest: &Message| secp.sign_ecdsa_recoverable(digest, &secret(41));
    builder.build_signed(sign).unwrap().to_string()
}

/// An offer of these fields, in their order.
pub fn offer(fields: &[(u64, &[u8])]) -> String {
    let mut bytes = Vec::new();
    for (number, value) in fields {
        big_size(*number, &mut bytes);
        big_size(value.len() as u64, &mut bytes);
        bytes.extend_from_slice(value);
    }
    bech32m::encode::<NoChecksum>("lno", &bytes).unwrap()
}

pub fn big_size(number: u64, out: &mut Vec<u8>) {
    match number {
        0..0xfd => out.push(number as u8),
        0xfd..0x1_0000 => {
            out.push(0xfd);
            out.extend((number as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(0xfe);
            out.extend((number as u32).to_be_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend(number.to_be_bytes());
        }
    }
}

/// What a Spark invoice says.
#[derive(Clone, Debug, Default)]
pub struct SparkFields {
    pub sats: Option<u64>,
    pub memo: Option<String>,
    pub expiry_secs: Option<u64>,
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes_field(number: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

pub fn spark_address(hrp: &str, n: u8) -> String {
    let mut bytes = Vec::new();
    bytes_field(1, &key(n).serialize(), &mut bytes);
    bech32m::encode::<Bech32m>(hrp, &bytes).unwrap()
}

/// An invoice that `n` signed for the mainnet; `spoil` may change what is signed before it is.
pub fn spark_invoice(n: u8, fields: &SparkFields, signed: &SparkFields) -> String {
    let id = [7; 16];
    let mut inner = vec![1 << 3, 1];
    bytes_field(2, &id, &mut inner);
    if let Some(memo) = &fields.memo {
        bytes_field(5, memo.as_bytes(), &mut inner);
    }
    if let Some(secs) = fields.expiry_secs {
        let mut time = vec![1 << 3];
        varint(secs, &mut time);
        bytes_field(7, &time, &mut inner);
    }
    let mut sats = Vec::new();
    if let Some(amount) = fields.sats {
        sats.push(1 << 3);
        varint(amount, &mut sats);
    }
    bytes_field(4, &sats, &mut inner);

    let of = |bytes: &[u8]| *Sha256Hash::of(bytes).as_bytes();
    let digest = of(&[
        of(&1_u32.to_be_bytes()),
        of(&id),
        of(&of(&0xd9b4_bef9_u32.to_be_bytes())),
        of(&key(n).serialize()),
        of(&[2]),
        of(&signed.sats.unwrap_or(0).to_be_bytes()),
        of(signed.memo.as_deref().unwrap_or_default().as_bytes()),
        of(&[0; 33]),
        of(&signed.expiry_secs.unwrap_or(0).to_be_bytes()),
    ]
    .concat());
    let secp = Secp256k1::new();
    let pair = Keypair::from_secret_key(&secp, &secret(n));
    let signature = secp.sign_schnorr_no_aux_rand(&Message::from_digest(digest), &pair);
    let mut bytes = Vec::new();
    bytes_field(1, &key(n).serialize(), &mut bytes);
    bytes_field(2, &inner, &mut bytes);
    bytes_field(3, &signature.serialize(), &mut bytes);
    bech32m::encode::<Bech32m>("spark", &bytes).unwrap()
}
