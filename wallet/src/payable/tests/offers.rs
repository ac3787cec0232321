//! Offers: BOLT 12's own vectors, and what only some networks or amounts allow.

use domain::{Msat, Network, Timestamp};

use super::{
    support::{code, key, offer, read},
    vectors::{INVALID, SPELT_BADLY, SPELT_WELL, VALID},
};
use crate::payable::{Kind, Payable};

#[test]
fn the_specs_vectors() {
    for (what, text) in VALID {
        let expected = match *what {
            "for testnet" => Some("wrong_network"),
            "with currency" => Some("unsupported_request"),
            _ => None,
        };
        match expected {
            Some(expected) => assert_eq!(code(read(text)), expected, "{what}"),
            None => {
                let found = read(text).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!((found.kind, found.text.as_str()), (Kind::Bolt12, *text), "{what}");
            }
        }
    }
    for (what, text) in INVALID {
        assert_eq!(code(read(text)), "bad_request", "{what}");
    }
    for (what, text) in SPELT_WELL {
        assert_eq!(read(text).unwrap().text, SPELT_WELL[0].1, "{what}");
    }
    for (what, text) in SPELT_BADLY {
        assert_eq!(code(read(text)), "bad_request", "{what}");
    }
}

#[test]
fn what_an_offer_says() {
    let fields: [(u64, &[u8]); 5] = [
        (8, &[0x27, 0x10]),
        (10, "Coffee\u{202e}!".as_bytes()),
        (14, &[0x7a, 0x42, 0x97, 0xd8]),
        (18, b"shop.example"),
        (22, &key(5).serialize()),
    ];
    let found = read(&offer(&fields)).unwrap();
    assert_eq!(found.amount_msat, Some(Msat::new(10_000).unwrap()));
    assert_eq!((found.memo.as_str(), found.claims.as_deref()), ("Coffee!", Some("shop.example")));
    assert_eq!(found.expires_at, Some(Timestamp::from_secs(0x7a42_97d8)));
    assert_eq!(found.payee, key(5).to_string());
}

#[test]
fn each_network_has_its_chain() {
    let regtest = bitcoin::constants::ChainHash::REGTEST.to_bytes();
    let here = offer(&[(2, &regtest), (22, &key(5).serialize())]);
    let main = offer(&[(22, &key(5).serialize())]);
    assert!(Payable::read(&here, Network::Practice).is_ok());
    assert!(Payable::read(&main, Network::Mainnet).is_ok());
    assert_eq!(code(read(&here)), "wrong_network");
    assert_eq!(code(Payable::read(&main, Network::Regtest)), "wrong_network");
    assert_eq!(code(Payable::read(&here, Network::Signet)), "wrong_network");
}

#[test]
fn an_amount_that_cannot_be_kept_exactly_is_refused() {
    let of = |amount: &[u8]| offer(&[(8, amount), (10, b"x"), (22, &key(5).serialize())]);
    assert!(read(&of(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])).is_ok());
    for bad in [&[0x20, 0, 0, 0, 0, 0, 0][..], &[0xff; 8], &[0, 1], &[1; 9]] {
        assert_eq!(code(read(&of(bad))), "bad_request", "{bad:?}");
    }
}
