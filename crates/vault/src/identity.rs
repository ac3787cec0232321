//! The Nostr identity: NIP-06 key, deterministic BIP-340 signatures.

use std::{fmt, sync::LazyLock};

use domain::Pubkey;
use nostr::{
    key::{Keys, SecretKey},
    nips::{nip06::FromMnemonic, nip19::ToBech32},
};
use secp256k1::{All, Keypair, Secp256k1, XOnlyPublicKey, schnorr::Signature};
use zeroize::Zeroizing;

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A Nostr key pair that signs. Says its public key only.
pub struct Identity {
    keypair: Keypair,
    pubkey: Pubkey,
}

impl Identity {
    /// The key at m/44'/1237'/0'/0/0 (NIP-06).
    pub(crate) fn from_words(words: &str) -> Self {
        let keys = Keys::from_mnemonic(words, None)
            .expect("BUG: the words were checked, and NIP-06's path is always valid");
        Self::from_secret(keys.secret_key().as_secret_bytes())
            .expect("BUG: a derived key is a valid secret")
    }

    /// The identity of a secret key; `None` where the bytes are none.
    pub fn from_secret(secret: &[u8]) -> Option<Self> {
        let keypair = Keypair::from_seckey_slice(&SECP, secret).ok()?;
        let pubkey = Pubkey(keypair.x_only_public_key().0.serialize());
        Some(Self { keypair, pubkey })
    }

    pub fn pubkey(&self) -> Pubkey {
        self.pubkey
    }

    /// BIP-340 over a 32-byte digest, without auxiliary randomness: the same digest always gets the
    /// same signature, so that an effect repeated after a crash repeats the same bytes.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; 64] {
        SECP.sign_schnorr_no_aux_rand(digest, &self.keypair).to_byte_array()
    }

    /// The secret key as NIP-19 writes it: to be shown to its operator, never kept.
    pub fn nsec(&self) -> Zeroizing<String> {
        let secret = SecretKey::from_slice(self.secret().as_ref())
            .expect("BUG: a key pair's secret is a valid secret");
        match secret.to_bech32() {
            Ok(text) => Zeroizing::new(text),
            Err(never) => match never {},
        }
    }

    fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.keypair.secret_bytes())
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.keypair.non_secure_erase();
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.pubkey.short())
    }
}

/// Whether `signature` is `pubkey`'s BIP-340 signature over `digest`.
pub fn verify_digest(pubkey: &Pubkey, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let Ok(key) = XOnlyPublicKey::from_slice(&pubkey.0) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    SECP.verify_schnorr(&signature, digest, &key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::npub;

    /// The two test vectors of NIP-06.
    #[test]
    fn derives_as_nip06_says() {
        let cases = [
            (
                "leader monkey parrot ring guide accident before fence cannon height naive bean",
                "17162c921dc4d2518f9a101db33695df1afb56ab82f5ff3e5da6eec3ca5cd917",
                "nsec10allq0gjx7fddtzef0ax00mdps9t2kmtrldkyjfs8l5xruwvh2dq0lhhkp",
            ),
            (
                "what bleak badge arrange retreat wolf trade produce cricket blur garlic valid proud rude strong choose busy staff weather area salt hollow arm fade",
                "d41b22899549e1f3d335a31002cfd382174006e166d3e658e3a5eecdb6463573",
                "nsec1c9wh8xy5eqdzln7n5t0ctgxjcrdug73gp5yj0x03gntn67h83twssdfhel",
            ),
        ];
        for (words, pubkey, nsec) in cases {
            let identity = Identity::from_words(words);
            assert_eq!(identity.pubkey().to_string(), pubkey);
            assert_eq!(identity.nsec().as_str(), nsec);
        }
        let first = Identity::from_words(cases[0].0);
        assert_eq!(
            npub(&first.pubkey()),
            "npub1zutzeysacnf9rru6zqwmxd54mud0k44tst6l70ja5mhv8jjumytsd2x7nu"
        );
    }

    #[test]
    fn signs_the_same_each_time_and_verifies() {
        let identity = Identity::from_secret(&[3; 32]).unwrap();
        let digest = [9; 32];
        let signature = identity.sign_digest(&digest);
        assert_eq!(signature, identity.sign_digest(&digest));
        assert!(verify_digest(&identity.pubkey(), &digest, &signature));
        assert!(!verify_digest(&identity.pubkey(), &[8; 32], &signature));
        let mut wrong = signature;
        wrong[63] ^= 1;
        assert!(!verify_digest(&identity.pubkey(), &digest, &wrong));
        let other = Identity::from_secret(&[4; 32]).unwrap();
        assert!(!verify_digest(&other.pubkey(), &digest, &signature));
        assert!(!verify_digest(&Pubkey([0xFF; 32]), &digest, &signature));
        assert!(Identity::from_secret(&[0; 32]).is_none());
    }

    /// Test vector 0 of BIP-340 signs with zero auxiliary bytes; without any, the nonce differs, so
    /// only verification is compared with the vector.
    #[test]
    fn verifies_bip340_vector_0() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let pubkey = "F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9";
        let signature = "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA821525F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0";
        let pubkey = Pubkey(bytes(pubkey).try_into().unwrap());
        let signature: [u8; 64] = bytes(signature).try_into().unwrap();
        assert!(verify_digest(&pubkey, &[0; 32], &signature));
    }
}
