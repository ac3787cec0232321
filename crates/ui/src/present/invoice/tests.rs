//! The examples of BOLT 11, and what a desk refuses.

use super::*;
use proptest::prelude::*;

/// "Please send $3 for a cup of coffee to the same peer, within one minute" (BOLT 11).
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
const MADE_AT: u64 = 1_496_314_658;

fn coffee_at(secs: u64, network: Network) -> Result<InvoiceFacts, String> {
    read(COFFEE, network, Timestamp::from_secs(secs))
}

#[test]
fn says_what_an_invoice_asks() {
    let facts = coffee_at(MADE_AT + 1, Network::Mainnet).unwrap();
    assert_eq!(facts.amount_msat, Msat::from_sat(250_000));
    assert_eq!(facts.description, "1 cup coffee");
    assert_eq!(facts.expires_at, Timestamp::from_secs(MADE_AT + 60));
    assert_eq!(facts.payee, "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad");
    let link = format!("lightning:{}", COFFEE.to_uppercase());
    let linked = read(&link, Network::Mainnet, Timestamp::from_secs(MADE_AT)).unwrap();
    assert_eq!(linked, facts);
}

#[test]
fn refuses_what_cannot_be_paid_here() {
    let other_chain = coffee_at(MADE_AT, Network::Practice).unwrap_err();
    assert!(other_chain.contains("mainnet") && other_chain.contains("practice"), "{other_chain}");
    assert!(coffee_at(MADE_AT + 60, Network::Mainnet).unwrap_err().contains("expired"));
    let broken = COFFEE.replace("coffee", "tea").replace("xqzpu9", "xqzpv9");
    assert!(read(&broken, Network::Mainnet, Timestamp(0)).is_err());
    assert!(read("", Network::Mainnet, Timestamp(0)).is_err());
    assert!(read(&"l".repeat(8_000), Network::Mainnet, Timestamp(0)).is_err());
}

#[test]
fn the_usual_fee_limit_has_a_floor() {
    assert_eq!(usual_max_fee(Msat::from_sat(100)), Msat::from_sat(10));
    assert_eq!(usual_max_fee(Msat::from_sat(100_000)), Msat::from_sat(1_000));
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,120}", at in 0..COFFEE.len(), letter in "[a-z0-9]") {
        let _refused = read(&text, Network::Mainnet, Timestamp(0));
        let mut changed = COFFEE.to_owned();
        changed.replace_range(at..=at, &letter);
        let read = read(&changed, Network::Mainnet, Timestamp::from_secs(MADE_AT));
        prop_assert!(changed == COFFEE || read.is_err(), "a changed invoice was read");
    }
}
