//! Which mints are taken.

use super::*;
use proptest::prelude::*;

fn one(url: &str, network: Network) -> Result<Vec<Url>, MintsError> {
    check(&[TrustedMint { url: url.into(), most_msat: Msat::from_sat(1) }], network)
}

#[test]
fn a_mint_is_encrypted_or_on_this_machine() {
    assert!(one("https://mint.example/Bitcoin/", Network::Mainnet).is_ok());
    assert!(one("http://127.0.0.1:3338", Network::Practice).is_ok());
    assert!(one("http://[::1]:3338/", Network::Mainnet).is_ok());
    for url in ["http://mint.example", "http://10.0.0.1", "http://localhost:3338"] {
        assert!(matches!(one(url, Network::Mainnet), Err(MintsError::Cleartext { .. })), "{url}");
    }
    let practice = one("https://mint.example", Network::Practice);
    assert!(matches!(practice, Err(MintsError::NotPractice { .. })));
    for url in ["", "mint.example", "ftp://127.0.0.1", "https://a:b@mint.example", "https://m.x/?a"]
    {
        assert!(matches!(one(url, Network::Mainnet), Err(MintsError::BadUrl { .. })), "{url}");
    }
}

#[test]
fn a_list_names_each_mint_once_and_its_most() {
    let text = br#"[{"url":"https://a.example","most_msat":5000},{"url":"https://a.example/","most_msat":1}]"#;
    assert!(matches!(read_mints(text, Network::Mainnet), Err(MintsError::Twice { .. })));
    assert!(matches!(read_mints(b"[]", Network::Mainnet), Err(MintsError::None)));
    let unknown = br#"[{"url":"https://a.example","most_msat":5000,"extra":1}]"#;
    assert!(matches!(read_mints(unknown, Network::Mainnet), Err(MintsError::Unreadable(_))));
    let no_cap = br#"[{"url":"https://a.example"}]"#;
    assert!(matches!(read_mints(no_cap, Network::Mainnet), Err(MintsError::Unreadable(_))));
}

#[test]
fn the_halves_of_the_seed_differ() {
    let seed = seed(|label| Zeroizing::new(*Sha256::of(label)));
    assert_ne!(seed[..32], seed[32..]);
}

struct Sha256;

impl Sha256 {
    fn of(label: &str) -> Box<[u8; 32]> {
        Box::new(*domain::Sha256Hash::of(label.as_bytes()).as_bytes())
    }
}

proptest! {
    #[test]
    fn no_list_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200), url in ".{0,80}") {
        let _any = read_mints(&bytes, Network::Mainnet);
        let _any = one(&url, Network::Practice);
    }
}
