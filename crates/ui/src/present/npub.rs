//! Public keys as people paste and read them: `npub1…` (NIP-19) or 64 hexadecimal digits.

use bech32::{Bech32, Hrp};
use domain::Pubkey;

/// Reads a public key from `npub1…` or hex.
pub fn parse(text: &str) -> Result<Pubkey, String> {
    let text = text.trim();
    if let Ok(key) = text.to_lowercase().parse() {
        return Ok(key);
    }
    if text.to_lowercase().starts_with("nsec1") {
        return Err("This is a secret key. Nothing was sent; paste the npub instead.".into());
    }
    let refused = || "Paste a public key: npub1… or 64 hexadecimal digits.".to_owned();
    let checked =
        bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(text).map_err(|_| refused())?;
    if checked.hrp().to_lowercase() != "npub" {
        return Err(refused());
    }
    let bytes: Vec<u8> = checked.byte_iter().collect();
    bytes.try_into().map(Pubkey).map_err(|_| refused())
}

/// The `npub1…` form of a key.
pub fn text(key: &Pubkey) -> String {
    Hrp::parse("npub")
        .ok()
        .and_then(|hrp| bech32::encode::<Bech32>(hrp, key.as_bytes()).ok())
        .unwrap_or_else(|| key.to_string())
}

/// `npub1abcd…wxyz`: enough to tell two apart in a list.
pub fn short(key: &Pubkey) -> String {
    super::words::middle(&text(key), 9, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of NIP-19.
    const NPUB: &str = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg";
    const HEX: &str = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e";

    #[test]
    fn reads_and_writes_the_example_of_nip_19() {
        let key = parse(NPUB).unwrap();
        assert_eq!(key.to_string(), HEX);
        assert_eq!(parse(HEX), Ok(key));
        assert_eq!(parse(&format!(" {NPUB}\n")), Ok(key));
        assert_eq!(text(&key), NPUB);
        assert_eq!(short(&key), "npub10elf…jptg");
    }

    #[test]
    fn a_secret_key_is_refused_by_name() {
        let error = parse("nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5");
        assert!(error.unwrap_err().contains("secret"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", tail in "[a-z0-9]{0,70}") {
            let _refused = (parse(&text), parse(&format!("npub1{tail}")));
        }

        #[test]
        fn every_key_comes_back(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(parse(&text(&Pubkey(bytes))), Ok(Pubkey(bytes)));
        }
    }
}
