//! For every form: nothing panics, the one spelling reads back, a changed character is refused.

use domain::{Msat, Network};
use lightning_invoice::Currency;
use proptest::prelude::*;

use super::support::{SparkFields, invoice, key, offer, read, spark_address, spark_invoice};
use crate::payable::{Kind, Payable};

fn amount() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(1..=90_000_000_000_u64)
}

fn words() -> impl Strategy<Value = String> {
    "[ -~äß漢]{0,40}"
}

/// A request of any form that can be read, and whether a checksum guards its characters.
fn any_request() -> impl Strategy<Value = (String, bool)> {
    let bolt11 = (amount(), words(), any::<bool>()).prop_map(|(sats, what, by_hash)| {
        let amount = sats.map(|sats| Msat::new(sats * 1_000).unwrap());
        (invoice(Currency::Bitcoin, amount, &what, by_hash), true)
    });
    let bolt12 = (prop::option::of(1..=250_u8), words(), 1..=250_u8).prop_map(|(sat, what, n)| {
        let amount = sat.map(|n| [n]);
        let mut fields: Vec<(u64, &[u8])> = Vec::new();
        fields.extend(amount.iter().map(|amount| (8, amount.as_slice())));
        fields.push((10, what.as_bytes()));
        let key = key(n).serialize();
        fields.push((22, &key));
        (offer(&fields), false)
    });
    let spark = (amount(), prop::option::of(words()), prop::option::of(1..1_u64 << 40), 1..=250_u8)
        .prop_map(|(sats, memo, expiry_secs, n)| {
            let fields = SparkFields { sats, memo, expiry_secs };
            (spark_invoice(n, &fields, &fields), true)
        });
    let address = (1..=250_u8).prop_map(|n| (spark_address("spark", n), true));
    let lnurl =
        "[a-z]{1,20}(\\.[a-z]{2,8}){1,2}(/[a-zA-Z0-9]{0,30}){0,3}(\\?[a-z]=[0-9a-f]{1,900})?"
            .prop_map(|rest| (read(&format!("lnurlp://{rest}")).unwrap().text, true));
    let named =
        "[a-z0-9][a-z0-9_.+-]{0,20}@[a-z]{1,20}(\\.[a-z]{2,8}){1,2}".prop_map(|text| (text, false));
    let onchain = (1..=250_u8).prop_map(|n| {
        let key = bitcoin::CompressedPublicKey(key(n));
        (bitcoin::Address::p2wpkh(&key, bitcoin::Network::Bitcoin).to_string(), true)
    });
    prop_oneof![bolt11, bolt12, spark, address, lnurl, named, onchain]
}

proptest! {
    #[test]
    fn the_one_spelling_reads_back_in_any_case_and_space((text, _) in any_request()) {
        let found = read(&text).unwrap();
        prop_assert_eq!(&found.text, &text);
        prop_assert_eq!(read(&found.text), Ok(found.clone()));
        let pasted = format!("\t{} \r\n", text.to_uppercase());
        prop_assert_eq!(read(&pasted), Ok(found.clone()));
        let network = if found.kind.is_fetched() { Network::Mainnet } else { Network::Signet };
        prop_assert_eq!(Payable::read(&text, network).is_ok(), found.kind.is_fetched());
    }

    #[test]
    fn a_changed_character_is_refused((text, has_checksum) in any_request(), at in any::<prop::sample::Index>(), to in "[02-9ac-hj-np-z]") {
        prop_assume!(has_checksum);
        let split = text.rfind('1').unwrap() + 1;
        let at = split + at.index(text.len() - split);
        prop_assume!(text[at..=at] != *to);
        let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
        prop_assert!(read(&changed).is_err());
    }

    #[test]
    fn cut_short_or_lengthened_is_refused((text, has_checksum) in any_request(), at in any::<prop::sample::Index>(), more in "[02-9ac-hj-np-z]{1,6}") {
        prop_assume!(has_checksum);
        prop_assert!(read(&text[..at.index(text.len())]).is_err());
        let longer = format!("{text}{more}");
        prop_assert!(read(&longer).is_err());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,300}") {
        let _ = read(&text);
    }

    #[test]
    fn any_text_after_a_known_start(
        start in prop::sample::select(vec![
            "lightning:", "bitcoin:", "bitcoin:?lightning=", "bitcoin:?amount=", "bitcoin:?lno=",
            "spark:", "lnurlp:", "lnurl:", "lno1", "lnurl1", "lnbc1", "sp1p", "spark1", "bc1",
            "cashu:", "https://", "a@", "lnurlp://127.0.0.1:",
        ]),
        text in "[ -~\\PC]{0,200}",
    ) {
        for network in [Network::Mainnet, Network::Practice] {
            let _ = Payable::read(&format!("{start}{text}"), network);
        }
    }

    #[test]
    fn any_bytes_in_an_offer_or_a_spark_text(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        use crate::payable::bech32m::encode;
        let lno = encode::<bitcoin::bech32::NoChecksum>("lno", &bytes).unwrap();
        let spark = encode::<bitcoin::bech32::Bech32m>("spark", &bytes).unwrap();
        for text in [lno, spark] {
            if let Ok(found) = read(&text) {
                prop_assert_eq!(read(&found.text), Ok(found.clone()));
            }
        }
    }

    #[test]
    fn any_spoilt_byte_of_a_spark_invoice(at in any::<prop::sample::Index>(), bit in 0..8_u8, sats in 1..1_000_u64) {
        use crate::payable::bech32m::{decode_m, encode};
        let fields = SparkFields { sats: Some(sats), memo: Some("Tea".into()), expiry_secs: Some(9) };
        let (_, mut bytes) = decode_m(&spark_invoice(3, &fields, &fields)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // What is signed, and the signature, cannot be changed: only who is paid nothing is left.
        let text = encode::<bitcoin::bech32::Bech32m>("spark", &bytes).unwrap();
        prop_assert!(read(&text).is_err());
    }

    #[test]
    fn any_link(pairs in prop::collection::vec(("(req-)?[a-z]{0,9}|amount|lightning|lno|spark|sp|label", "[ -~]{0,30}"), 0..6)) {
        let query: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let address = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
        if let Ok(found) = read(&format!("bitcoin:{address}?{}", query.join("&"))) {
            prop_assert!(found.ways().any(|way| way.kind == Kind::Onchain));
        }
    }
}
