//! For tests of this crate: real keys, real signatures, real invoices, all from small seeds.

use bitcoin::hashes::{Hash, sha256};
use domain::{Preimage, Pubkey, Timestamp};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use nostr::key::{Keys, SecretKey};
use std::time::Duration;

use crate::codec::Template;

pub fn keys(seed: u8) -> Keys {
    Keys::new(SecretKey::from_slice(&[seed.max(1); 32]).unwrap())
}

pub fn pubkey(seed: u8) -> Pubkey {
    Pubkey(keys(seed).public_key().to_bytes())
}

pub fn sign(template: &Template, seed: u8) -> nostr::event::Event {
    let keys = keys(seed);
    let unsigned = template.unsigned(pubkey(seed)).unwrap();
    let secp = secp256k1::Secp256k1::new();
    let sig = keys.sign_schnorr_with_aux_rand(&secp, unsigned.compute_id().as_bytes(), &[0; 32]);
    unsigned.add_signature(sig).unwrap()
}

/// A regtest invoice and the preimage that pays it.
pub fn invoice(seed: u8, msat: u64, at: Timestamp, expiry_secs: u64) -> (String, Preimage) {
    let preimage = Preimage([seed; 32]);
    let secp = bitcoin::secp256k1::Secp256k1::new();
    let key = bitcoin::secp256k1::SecretKey::from_slice(&[0x42; 32]).unwrap();
    let bolt11 = InvoiceBuilder::new(Currency::Regtest)
        .description("job".into())
        .amount_milli_satoshis(msat)
        .payment_hash(sha256::Hash::from_byte_array(preimage.payment_hash().0))
        .payment_secret(PaymentSecret([9; 32]))
        .duration_since_epoch(Duration::from_secs(at.as_secs()))
        .min_final_cltv_expiry_delta(144)
        .expiry_time(Duration::from_secs(expiry_secs))
        .build_signed(|hash| secp.sign_ecdsa_recoverable(hash, &key))
        .unwrap();
    (bolt11.to_string(), preimage)
}
