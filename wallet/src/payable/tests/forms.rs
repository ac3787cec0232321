//! Each form alone: what it is read as, and by which name it is refused.

use domain::{Msat, Network, Timestamp};
use lightning_invoice::Currency;

use super::support::{NOW_SECS, code, invoice, key, read};
use crate::payable::{Kind, Payable, PayableError};

const ADDRESS: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
const LNURL: &str = "lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7mf0v9cxj0m385ekvcenxc6r2c35xvukxefcv5mkvv34x5ekzd3ev56nyd3hxqurzepexejxxepnxscrvwfnv9nxzcn9xq6xyefhvgcxxcmyxymnserxfq5fns";

#[test]
fn invoices_with_and_without_an_amount() {
    let fixed = invoice(Currency::Bitcoin, Some(Msat::from_sat(21)), "Tea", false);
    let found = read(&format!("  LIGHTNING:{} \n", fixed.to_uppercase())).unwrap();
    assert_eq!((found.kind, &found.text), (Kind::Bolt11, &fixed));
    assert_eq!(found.amount_msat, Some(Msat::from_sat(21)));
    assert_eq!(found.expires_at, Some(Timestamp::from_secs(NOW_SECS + 3_600)));
    assert_eq!((found.memo.as_str(), found.payee), ("Tea", key(41).to_string()));
    assert!(found.payment_hash.is_some());

    let open = invoice(Currency::Bitcoin, None, "Tips", false);
    let found = read(&format!("lightning://{open}")).unwrap();
    assert_eq!((found.amount_msat, &found.text), (None, &open));
    assert_eq!(code(Payable::read(&open, Network::Practice)), "wrong_network");
    assert!(crate::bolt11::Bolt11::read(&open, Network::Mainnet).is_err());
}

#[test]
fn the_amount_to_pay_is_exactly_what_is_asked() {
    let msat = |n| Msat::new(n).unwrap();
    let fixed = read(&invoice(Currency::Bitcoin, Some(msat(21_500)), "Tea", false)).unwrap();
    assert_eq!(fixed.amount_to_pay(None), Ok(msat(21_500)));
    assert_eq!(fixed.amount_to_pay(Some(msat(21_500))), Ok(msat(21_500)));
    let other = fixed.amount_to_pay(Some(msat(21_499))).unwrap_err();
    assert_eq!(other.code(), "amount_differs");
    let open = read(ADDRESS).unwrap();
    assert_eq!(open.amount_to_pay(None).unwrap_err().code(), "amount_missing");
    assert_eq!(open.amount_to_pay(Some(msat(0))).unwrap_err().code(), "bad_amount");
    assert_eq!(open.amount_to_pay(Some(msat(1_001))).unwrap_err().code(), "bad_amount");
    assert_eq!(open.amount_to_pay(Some(msat(2_000))), Ok(msat(2_000)));
}

#[test]
fn bitcoin_addresses_of_every_kind_and_network() {
    for address in [
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        ADDRESS,
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
    ] {
        let found = read(address).unwrap();
        assert_eq!((found.kind, found.text.as_str()), (Kind::Onchain, address));
        assert_eq!((found.payee.as_str(), found.amount_msat), (address, None));
    }
    assert_eq!(read(&ADDRESS.to_uppercase()).unwrap().text, ADDRESS);
    for (address, network) in [
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::Mainnet),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network::Mainnet),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network::Practice),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", Network::Mainnet),
        (ADDRESS, Network::Signet),
        (ADDRESS, Network::Practice),
    ] {
        assert_eq!(code(Payable::read(address, network)), "wrong_network", "{address}");
    }
    let regtest = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    assert!(Payable::read(regtest, Network::Practice).is_ok());
    // Anybody could spend these: pay-to-anchor, and witness versions that mean nothing yet.
    assert_eq!(code(read("bc1pfeessrawgf")), "unsupported_request");
    assert_eq!(code(read("bc1sw50qgdz25j")), "unsupported_request");
    for wrong in
        ["bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdx", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3"]
    {
        assert!(matches!(read(wrong), Err(PayableError::Malformed { .. })), "{wrong}");
    }
}

#[test]
fn lnurls_and_lightning_addresses() {
    let url = "https://service.com/api?q=3fc3645b439ce8e7f2553a69e5267081d96dcd340693afabe04be7b0ccd178df";
    let found = read(LNURL).unwrap();
    assert_eq!(found.kind, Kind::Lnurl);
    assert!(found.payee.starts_with("service.com (LNURL "), "{}", found.payee);
    let other = read(&url.replace("https://", "lnurlp://").replace("3fc", "3fd")).unwrap();
    assert_ne!(other.payee, found.payee, "one host, two payees");
    assert_eq!(found.url.as_deref(), Some(url));
    for same in [
        format!("lightning:{}", LNURL.to_uppercase()),
        format!("LNURL:{LNURL}"),
        format!("lnurlp:{LNURL}"),
        url.replace("https://", "lnurlp://"),
        url.replace("https://", "lnurlp:"),
        format!("https://shop.example.com/order?id=7&lightning={}", LNURL.to_uppercase()),
    ] {
        assert_eq!(read(&same).as_ref(), Ok(&found), "{same}");
    }

    let found = read("lightning:Alice+Tips@Example.COM").unwrap();
    assert_eq!(
        (found.kind, found.text.as_str()),
        (Kind::LightningAddress, "alice+tips@example.com")
    );
    assert_eq!(found.url.as_deref(), Some("https://example.com/.well-known/lnurlp/alice+tips"));
    assert_eq!(found.payee, "alice+tips@example.com");
}

#[test]
fn http_is_only_for_this_machine_and_only_without_value() {
    let here = "bob@127.0.0.1:8080";
    let found = Payable::read(here, Network::Practice).unwrap();
    assert_eq!(found.url.as_deref(), Some("http://127.0.0.1:8080/.well-known/lnurlp/bob"));
    assert_eq!(found.text, here);
    let far = Payable::read("bob@example.com", Network::Practice).unwrap();
    assert_eq!(far.url.as_deref(), Some("https://example.com/.well-known/lnurlp/bob"));
    let main = read(here).unwrap();
    assert_eq!(main.url.as_deref(), Some("https://127.0.0.1:8080/.well-known/lnurlp/bob"));
    let lnurl = |url: &str| {
        use bitcoin::bech32::{Bech32, Hrp, encode_lower};
        encode_lower::<Bech32>(Hrp::parse("lnurl").unwrap(), url.as_bytes()).unwrap()
    };
    for bad in [
        "http://example.com/pay",
        "http://127.0.0.1/pay",
        "ftp://example.com/pay",
        "https://abcdefgh.onion/pay",
        "http://abcdefgh.onion/pay",
        "https://user:pass@example.com/pay",
        "https://example.com/pay#there",
        "javascript:alert(1)",
        "example.com",
        "",
    ] {
        assert!(matches!(read(&lnurl(bad)), Err(PayableError::Malformed { .. })), "{bad}");
    }
    assert_eq!(code(read(&lnurl("https://example.com/?tag=login&k1=00"))), "not_payable");
}

#[test]
fn what_is_not_to_pay_is_named() {
    let node = key(9).to_string();
    for (text, expected) in [
        ("", "bad_request"),
        (" \u{200b}\n", "bad_request"),
        ("hello", "bad_request"),
        ("cashuAeyJ0b2tlbiI6W119", "not_payable"),
        ("CASHU:cashuBo2F0gqJhaUgA", "not_payable"),
        ("cashu://creqApWF0gaNhdGVub3N0cg", "not_payable"),
        ("creqApWF0gaNhdGVub3N0cg", "not_payable"),
        ("lnurlw://example.com/withdraw", "not_payable"),
        ("lnurlc://example.com/channel", "not_payable"),
        ("keyauth://example.com/login", "not_payable"),
        ("https://example.com/", "not_payable"),
        ("lni1qqgds", "not_payable"),
        ("lnr1qqgds", "not_payable"),
        ("npub1sn0wdenkukak0d9dfczzeacvhkrgz92ak56egt7vdgzn8pv2wfqqhrjdv9", "not_payable"),
        ("nostr+walletconnect://b889ff5b?relay=wss%3A%2F%2Frelay&secret=71a8c14c", "not_payable"),
        (node.as_str(), "keysend_off"),
        (&format!("{node}@127.0.0.1:9735"), "keysend_off"),
        ("₿alice@example.com", "unsupported_request"),
        ("alice@", "bad_request"),
        ("@example.com", "bad_request"),
        ("al ice@example.com", "bad_request"),
        ("..@example.com", "bad_request"),
        ("alice@exa/mple.com", "bad_request"),
        ("alice@bob@example.com", "bad_request"),
        ("lightning:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "bad_request"),
    ] {
        assert_eq!(code(read(text)), expected, "{text}");
    }
    assert_eq!(code(read(&"l".repeat(9_000))), "bad_request");
}

#[test]
fn no_error_repeats_what_was_pasted() {
    let secrets = [
        "nostr+walletconnect://b889ff5b?relay=wss%3A%2F%2Frelay&secret=71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c",
        "cashuAeyJ0b2tlbiI6W3sicHJvb2ZzIjpbeyJpZCI6IjAwOWExZjI5MzI1M2U0MWUiLCJhbW91bnQiOjJ9XX1dfQ",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
    ];
    for secret in secrets {
        let shown = read(secret).unwrap_err().to_error().to_string();
        for part in secret.split([' ', '&', '/']).filter(|part| part.len() > 6) {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}
