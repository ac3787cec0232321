//! Public keys as people write them: npub (NIP-19) or hex.

use domain::Pubkey;
use nostr::{
    key::PublicKey,
    nips::nip19::{FromBech32, ToBech32},
};

/// Text that names no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyText {
    #[error("a public key is 64 hexadecimal digits or begins with npub1")]
    NeitherForm,
    #[error("this is a secret key; never give it away; a public key begins with npub1")]
    Secret,
    #[error("the npub is mistyped: its checksum does not hold")]
    Mistyped,
    #[error("no key has these digits")]
    NotOnCurve,
}

/// `npub1…` (NIP-19).
pub fn npub(pubkey: &Pubkey) -> String {
    match PublicKey::from_byte_array(pubkey.0).to_bech32() {
        Ok(text) => text,
        Err(never) => match never {},
    }
}

/// Reads an npub or 64 hex digits, and checks that it is a point of the curve.
pub fn parse_pubkey(text: &str) -> Result<Pubkey, BadKeyText> {
    let text = text.trim();
    let bytes = if text.starts_with("npub1") {
        PublicKey::from_bech32(text).map_err(|_| BadKeyText::Mistyped)?.to_bytes()
    } else if text.starts_with("nsec1") {
        return Err(BadKeyText::Secret);
    } else {
        text.parse::<Pubkey>().map_err(|_| BadKeyText::NeitherForm)?.0
    };
    match secp256k1::XOnlyPublicKey::from_slice(&bytes) {
        Ok(_) => Ok(Pubkey(bytes)),
        Err(_) => Err(BadKeyText::NotOnCurve),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use proptest::prelude::*;

    #[test]
    fn reads_both_forms_and_says_what_is_wrong() {
        let hex = "17162c921dc4d2518f9a101db33695df1afb56ab82f5ff3e5da6eec3ca5cd917";
        let text = "npub1zutzeysacnf9rru6zqwmxd54mud0k44tst6l70ja5mhv8jjumytsd2x7nu";
        assert_eq!(parse_pubkey(hex).unwrap().to_string(), hex);
        assert_eq!(parse_pubkey(&format!(" {text}\n")).unwrap().to_string(), hex);
        let nsec = "nsec10allq0gjx7fddtzef0ax00mdps9t2kmtrldkyjfs8l5xruwvh2dq0lhhkp";
        for (bad, why) in [
            (nsec, BadKeyText::Secret),
            (&text.replace("zutz", "zuty"), BadKeyText::Mistyped),
            ("npub1", BadKeyText::Mistyped),
            (&hex[1..], BadKeyText::NeitherForm),
            ("", BadKeyText::NeitherForm),
            (&"f".repeat(64), BadKeyText::NotOnCurve),
        ] {
            assert_eq!(parse_pubkey(bad), Err(why), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(secret in prop::array::uniform32(1_u8..0xFF)) {
            let pubkey = Identity::from_secret(&secret).unwrap().pubkey();
            prop_assert_eq!(parse_pubkey(&npub(&pubkey)), Ok(pubkey));
            prop_assert_eq!(parse_pubkey(&pubkey.to_string()), Ok(pubkey));
        }

        #[test]
        fn any_text_is_a_key_or_refused(text in ".*|npub1[a-z0-9]{0,80}|[0-9a-fA-F]{60,68}") {
            if let Ok(pubkey) = parse_pubkey(&text) {
                prop_assert_eq!(parse_pubkey(&npub(&pubkey)), Ok(pubkey));
            }
        }

        #[test]
        fn one_wrong_letter_is_found(secret in prop::array::uniform32(1_u8..0xFF), at in 5_usize..63, put in "[02-9ac-hj-np-z]") {
            let mut text = npub(&Identity::from_secret(&secret).unwrap().pubkey());
            prop_assume!(text[at..=at] != put);
            text.replace_range(at..=at, &put);
            prop_assert_eq!(parse_pubkey(&text), Err(BadKeyText::Mistyped));
        }
    }
}
