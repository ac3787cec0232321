//! The seed: BIP-39 words and what is derived from them.

use bip39::Mnemonic;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{BadWords, VaultError};

/// Twelve words carry 128 bits.
const ENTROPY_BYTES: usize = 16;

/// A BIP-39 seed. Its memory is wiped when it goes.
pub(crate) struct Seed {
    mnemonic: Mnemonic,
    /// The 64 bytes that BIP-39 makes of the words, without a passphrase.
    bytes: Zeroizing<[u8; 64]>,
}

impl Seed {
    /// A new one from the system's randomness.
    pub(crate) fn generate() -> Result<Self, VaultError> {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        getrandom::fill(entropy.as_mut()).map_err(|_| VaultError::Entropy)?;
        let mnemonic = Mnemonic::from_entropy(entropy.as_ref())
            .expect("BUG: 128 bits are a length that BIP-39 takes");
        Ok(Self::of(mnemonic))
    }

    /// The seed of these English words; spaces, line ends and case don't matter.
    pub(crate) fn from_words(words: &str) -> Result<Self, VaultError> {
        let mut tidy = Zeroizing::new(String::with_capacity(words.len() * 2));
        for word in words.split_whitespace() {
            if !tidy.is_empty() {
                tidy.push(' ');
            }
            tidy.extend(word.chars().flat_map(char::to_lowercase));
        }
        let mnemonic = Mnemonic::parse_in_normalized(bip39::Language::English, &tidy)
            .map_err(|error| VaultError::BadWords(bad_words(error)))?;
        Ok(Self::of(mnemonic))
    }

    fn of(mnemonic: Mnemonic) -> Self {
        let bytes = Zeroizing::new(mnemonic.to_seed_normalized(""));
        Self { mnemonic, bytes }
    }

    pub(crate) fn words(&self) -> Zeroizing<String> {
        // Room for 24 words of at most 8 letters: growing would leave a copy behind.
        let mut words = Zeroizing::new(String::with_capacity(24 * 9));
        for word in self.mnemonic.words() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
        }
        words
    }

    /// A key of its own for each label: HKDF-SHA256 (RFC 5869) over the seed with the label as info.
    pub(crate) fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(b"pilothouse vault v1"), self.bytes.as_ref())
            .expand(label.as_bytes(), key.as_mut())
            .expect("BUG: 32 bytes are within what HKDF-SHA256 expands to");
        key
    }

    /// Tells two seeds apart and tells nothing else of them.
    pub(crate) fn fingerprint(&self) -> String {
        hex::encode(&self.derive("fingerprint")[..8])
    }
}

fn bad_words(error: bip39::Error) -> BadWords {
    match error {
        bip39::Error::UnknownWord(index) => BadWords::Unknown(index + 1),
        bip39::Error::BadWordCount(count) => BadWords::Count(count),
        _ => BadWords::Checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn generates_twelve_words_that_come_back() {
        let seed = Seed::generate().unwrap();
        let words = seed.words();
        assert_eq!(words.split(' ').count(), 12);
        let again = Seed::from_words(&format!("  {}\n", words.to_uppercase())).unwrap();
        assert_eq!(again.fingerprint(), seed.fingerprint());
        assert_ne!(Seed::generate().unwrap().fingerprint(), seed.fingerprint());
    }

    #[test]
    fn labels_give_different_keys() {
        let seed = Seed::generate().unwrap();
        assert_ne!(*seed.derive("a"), *seed.derive("b"));
        assert_eq!(*seed.derive("a"), *seed.derive("a"));
    }

    #[test]
    fn names_what_is_wrong_with_words_and_tells_none() {
        let words =
            "leader monkey parrot ring guide accident before fence cannon height naive bean";
        assert!(Seed::from_words(words).is_ok());
        let cases = [
            (words.replace("parrot", "parott"), BadWords::Unknown(3)),
            (words.replace(" bean", ""), BadWords::Count(11)),
            (words.replace("leader monkey", "monkey leader"), BadWords::Checksum),
            (String::new(), BadWords::Count(0)),
        ];
        for (bad, expected) in cases {
            let Err(VaultError::BadWords(fault)) = Seed::from_words(&bad) else { panic!("{bad}") };
            assert_eq!(fault, expected);
            assert!(!fault.to_string().contains("parott"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_words_or_refused(text in ".*|([a-z]{3,8} ){11}[a-z]{3,8}") {
            if let Ok(seed) = Seed::from_words(&text) {
                prop_assert_eq!(seed.words().split(' ').count(), text.split_whitespace().count());
            }
        }

        #[test]
        fn every_entropy_makes_words_that_come_back(entropy: [u8; 16]) {
            let seed = Seed::of(Mnemonic::from_entropy(&entropy).unwrap());
            let again = Seed::from_words(&seed.words()).unwrap();
            prop_assert_eq!(again.mnemonic.to_entropy(), entropy);
        }
    }
}
