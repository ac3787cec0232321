//! The pure reader of BOLT 12 offers says what the node's own reader says.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use domain::Network;
use ldk_node::{
    bitcoin::{
        constants::ChainHash,
        secp256k1::{Secp256k1, SecretKey},
    },
    lightning::offers::offer::{Amount, Offer},
};
use proptest::prelude::*;
use wallet::payable::{Kind, Payable};

const CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// BOLT 12's text: bech32 without a checksum.
fn text_of(bytes: &[u8]) -> String {
    let mut out = String::from("lno1");
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            out.push(char::from(CHARACTERS[(bits >> count) as usize & 31]));
        }
    }
    if count > 0 {
        out.push(char::from(CHARACTERS[(bits << (5 - count)) as usize & 31]));
    }
    out
}

fn key(n: u8) -> [u8; 33] {
    SecretKey::from_slice(&[n.max(1); 32]).unwrap().public_key(&Secp256k1::new()).serialize()
}

/// One path over some hops, as an offer's field holds it.
fn path(hops: u8) -> Vec<u8> {
    let mut out = key(7).to_vec();
    out.extend(key(8));
    out.push(hops);
    for hop in 0..hops {
        out.extend(key(20 + hop));
        out.extend([0, 3, 1, 2, 3]);
    }
    out
}

/// A field's number with a value that fits it, or nearly.
fn field() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let bytes = prop::collection::vec(any::<u8>(), 0..12);
    let words = "[ -~ä]{0,12}".prop_map(String::into_bytes);
    let chain = prop::sample::select(vec![
        ChainHash::BITCOIN.to_bytes().to_vec(),
        [ChainHash::REGTEST.to_bytes(), ChainHash::BITCOIN.to_bytes()].concat(),
        ChainHash::SIGNET.to_bytes().to_vec(),
        vec![0; 31],
    ]);
    prop_oneof![
        1 => chain.prop_map(|value| (2, value)),
        1 => bytes.clone().prop_map(|value| (4, value)),
        1 => prop::sample::select(vec!["EUR", "eur", "E"]).prop_map(|text| (6, text.into())),
        3 => bytes.clone().prop_map(|value| (8, value)),
        4 => words.clone().prop_map(|value| (10, value)),
        1 => bytes.clone().prop_map(|value| (12, value)),
        2 => bytes.clone().prop_map(|value| (14, value)),
        2 => prop_oneof![(0..4_u8).prop_map(path), bytes.clone()].prop_map(|value| (16, value)),
        2 => words.prop_map(|value| (18, value)),
        1 => bytes.clone().prop_map(|value| (20, value)),
        4 => (1..=9_u8).prop_map(|n| (22, key(n).to_vec())),
        1 => (0..100_u8, bytes),
    ]
}

fn compare(text: &str) {
    let ours = Payable::read(text, Network::Mainnet);
    let theirs: Result<Offer, _> = text.parse();
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(ours.kind, Kind::Bolt12);
            assert_eq!(ours.text, theirs.to_string());
            let asked = theirs.amount().map(|amount| match amount {
                Amount::Bitcoin { amount_msats } => amount_msats,
                Amount::Currency { .. } => panic!("a currency was taken: {text}"),
            });
            assert_eq!(ours.amount_msat.map(domain::Msat::get), asked, "{text}");
            assert!(theirs.supports_chain(ChainHash::BITCOIN), "{text}");
            let signs = theirs.issuer_signing_pubkey().or_else(|| {
                theirs.paths().first()?.blinded_hops().last().map(|hop| hop.blinded_node_id)
            });
            assert_eq!(Some(ours.payee.clone()), signs.map(|key| key.to_string()), "{text}");
            let expiry = theirs.absolute_expiry().map(|at| at.as_secs().min(1 << 42));
            assert_eq!(ours.expires_at.map(domain::Timestamp::as_secs), expiry, "{text}");
        }
        // What the node reads and we refuse is one of these, and nothing else.
        (Err(why), Ok(theirs)) => {
            let is_currency = matches!(theirs.amount(), Some(Amount::Currency { .. }));
            let is_elsewhere = !theirs.supports_chain(ChainHash::BITCOIN);
            let needs_more = theirs.offer_features().requires_unknown_bits();
            let is_large = matches!(
                theirs.amount(),
                Some(Amount::Bitcoin { amount_msats }) if amount_msats > domain::money::MAX_MSAT
            );
            assert!(is_currency || is_elsewhere || needs_more || is_large, "{why}: {text}");
        }
        (Ok(_), Err(why)) => panic!("the node refuses it, {why:?}: {text}"),
        (Err(_), Err(_)) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn offers_of_any_fields_are_read_alike(
        fields in prop::collection::btree_map(0..100_u8, field(), 0..8),
    ) {
        let mut fields: Vec<_> = fields.into_values().collect();
        fields.sort_by_key(|(number, _)| *number);
        fields.dedup_by_key(|(number, _)| *number);
        let mut bytes = Vec::new();
        for (number, value) in &fields {
            bytes.push(*number);
            bytes.extend(match u8::try_from(value.len()) {
                Ok(length @ 0..0xfd) => vec![length],
                _ => [&[0xfd][..], &(value.len() as u16).to_be_bytes()].concat(),
            });
            bytes.extend(value);
        }
        compare(&text_of(&bytes));
    }

    #[test]
    fn any_bytes_are_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        compare(&text_of(&bytes));
    }
}

#[test]
fn offers_that_others_made_are_read_alike() {
    for text in [
        "lno1zcss9mk8y3wkklfvevcrszlmu23kfrxh49px20665dqwmn4p72pksese",
        "lno1pqpsrp4qpgf9qcteyp6x7gzdd9ehg7fqgfex2et6zzfq9ktw4h4r67qpq3zf4jjujdrpeenuz4jw9cwhxgjl5e7a8wvh5cqcq2wgtqentcyrar59dpp5jee59ehvvj0tfpyl4w2qzjzqjkus2j805qgrp4wqtw4s3sqd95c9y2peznmaa837wcdv37pny8z0ed2qhcx6wgesqtz6u90fy4c9gkgp7a0cwxjlylpsekr7qmvupwtzvu2h0gqcqa9cas7h7heedhkxwhtn7nr3c93pqgj5vfxndnyw9gcr50zwtc3z4wz3e0xx6x6vklkjcksqg3ft6eq9k",
        "lno1pgx9getnwss8vetrw3hhyucs5ypjgef743p5fzqq9nqxh0ah7y87rzv3ud0eleps9kl2d5348hq2k8qzqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgqpqqqqqqqqqqqqqqqqqqqqqqqqqqqzqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqqzq3zyg3zyg3zygs",
    ] {
        compare(text);
    }
}
