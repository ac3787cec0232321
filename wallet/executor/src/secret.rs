//! Invoice preimages: derived from the wallet's seed and the payment's key, so that an invoice made
//! again after a crash has the hash that it had before.

use domain::{IdempotencyKey, Preimage};
use ldk_node::bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use zeroize::Zeroizing;

/// What the vault derives the secret for.
pub const LABEL: &str = "invoice preimages";

/// From the money vault, under [`LABEL`]: gives preimages, and nothing leads back to the seed.
pub struct InvoiceSecret(Zeroizing<[u8; 32]>);

impl InvoiceSecret {
    pub fn new(derived: Zeroizing<[u8; 32]>) -> Self {
        Self(derived)
    }

    /// The preimage of the invoice with this key: HMAC-SHA256 of the key.
    pub fn preimage(&self, key: &IdempotencyKey) -> Preimage {
        Preimage(hmac(&self.0[..], key.as_str().as_bytes()))
    }
}

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    engine.input(message);
    Hmac::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_on_seed_and_key_and_on_nothing_else() {
        let (a, b) = (IdempotencyKey::new("a").unwrap(), IdempotencyKey::new("b").unwrap());
        let secret = |n| InvoiceSecret::new(Zeroizing::new([n; 32]));
        assert_eq!(secret(1).preimage(&a), secret(1).preimage(&a));
        assert_ne!(secret(1).preimage(&a), secret(1).preimage(&b));
        assert_ne!(secret(1).preimage(&a), secret(2).preimage(&a));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn is_hmac_sha256() {
        assert_eq!(
            hex::encode(hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
