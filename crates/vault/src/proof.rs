//! Signed receipts and checkpoints: made by the vault's identity, verified by anyone.

use domain::{
    CanonicalError, Receipt, canonical_json,
    merkle::{Checkpoint, SignedCheckpoint},
    receipt::ReceiptFault,
};

use crate::identity::{Identity, verify_digest};

/// Why a receipt or checkpoint was not signed, or proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("it is not signed")]
    Unsigned,
    #[error("its signature is not that of {0}")]
    BadSignature(domain::Pubkey),
    #[error("it names another issuer than the key that should sign it")]
    OtherIssuer,
    #[error(transparent)]
    Claim(#[from] ReceiptFault),
    #[error("it has no canonical form: {0}")]
    Canonical(#[from] CanonicalError),
}

impl Identity {
    /// The receipt with its signature. It must name this identity as issuer and prove what it
    /// claims.
    pub fn sign_receipt(&self, receipt: Receipt) -> Result<Receipt, ProofError> {
        if receipt.issuer != self.pubkey() {
            return Err(ProofError::OtherIssuer);
        }
        receipt.check_claims()?;
        let signature = self.sign_digest(receipt.digest()?.as_bytes());
        Ok(Receipt { sig: Some(hex::encode(signature)), ..receipt })
    }

    pub fn sign_checkpoint(&self, head: Checkpoint) -> Result<SignedCheckpoint, ProofError> {
        let sig = hex::encode(self.sign_digest(&checkpoint_digest(&head)?));
        Ok(SignedCheckpoint { head, signer: self.pubkey(), sig })
    }
}

/// Checks that a receipt proves what it claims and is signed by its issuer.
pub fn verify_receipt(receipt: &Receipt) -> Result<(), ProofError> {
    receipt.check_claims()?;
    let signature = receipt.sig.as_deref().ok_or(ProofError::Unsigned)?;
    let digest = receipt.digest()?;
    let holds = decode(signature)
        .is_some_and(|signature| verify_digest(&receipt.issuer, digest.as_bytes(), &signature));
    if holds { Ok(()) } else { Err(ProofError::BadSignature(receipt.issuer)) }
}

/// Checks that a checkpoint is signed by the signer it names.
pub fn verify_checkpoint(checkpoint: &SignedCheckpoint) -> Result<(), ProofError> {
    let digest = checkpoint_digest(&checkpoint.head)?;
    let holds = decode(&checkpoint.sig)
        .is_some_and(|signature| verify_digest(&checkpoint.signer, &digest, &signature));
    if holds { Ok(()) } else { Err(ProofError::BadSignature(checkpoint.signer)) }
}

/// What is signed of a checkpoint: SHA-256 of its canonical JSON.
pub fn checkpoint_digest(head: &Checkpoint) -> Result<[u8; 32], CanonicalError> {
    Ok(domain::Sha256Hash::of(&canonical_json(head)?).0)
}

fn decode(signature: &str) -> Option<[u8; 64]> {
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Msat, Network, Preimage, Pubkey, ReceiptType, Sha256Hash, Timestamp};

    fn receipt(issuer: Pubkey) -> Receipt {
        let preimage = Preimage([5; 32]);
        Receipt {
            v: Receipt::VERSION,
            receipt_type: ReceiptType::JobSold,
            id: "receipt-1".into(),
            network: Network::Practice,
            issuer,
            subject: Pubkey([2; 32]),
            request_id: None,
            kind: Some(5000),
            amount_msat: Some(Msat::from_sat(21)),
            fee_msat: None,
            payment_hash: Some(preimage.payment_hash()),
            preimage: Some(preimage),
            bolt11: None,
            result_sha256: Some(Sha256Hash::of(b"result")),
            log_head: None,
            at: Timestamp(1_700_000_000_123),
            sig: None,
        }
    }

    #[test]
    fn a_signed_receipt_verifies_also_after_a_trip_through_json() {
        let identity = Identity::from_secret(&[3; 32]).unwrap();
        let signed = identity.sign_receipt(receipt(identity.pubkey())).unwrap();
        let text = serde_json::to_string_pretty(&signed).unwrap();
        let read: Receipt = serde_json::from_str(&text).unwrap();
        verify_receipt(&read).unwrap();
    }

    #[test]
    fn what_was_changed_or_not_signed_is_refused() {
        let identity = Identity::from_secret(&[3; 32]).unwrap();
        let signed = identity.sign_receipt(receipt(identity.pubkey())).unwrap();
        let dearer = Receipt { amount_msat: Some(Msat::from_sat(22)), ..signed.clone() };
        assert!(matches!(verify_receipt(&dearer), Err(ProofError::BadSignature(_))));
        let unsigned = Receipt { sig: None, ..signed.clone() };
        assert!(matches!(verify_receipt(&unsigned), Err(ProofError::Unsigned)));
        let garbled = Receipt { sig: Some("zz".into()), ..signed.clone() };
        assert!(matches!(verify_receipt(&garbled), Err(ProofError::BadSignature(_))));
        let unproved = Receipt { preimage: Some(Preimage([6; 32])), ..signed };
        assert!(matches!(verify_receipt(&unproved), Err(ProofError::Claim(_))));
        let foreign = identity.sign_receipt(receipt(Pubkey([1; 32])));
        assert!(matches!(foreign, Err(ProofError::OtherIssuer)));
    }

    #[test]
    fn checkpoints_are_signed_over_size_and_root() {
        let identity = Identity::from_secret(&[3; 32]).unwrap();
        let head = Checkpoint { v: 1, size: 9, root: Sha256Hash([1; 32]), at: Timestamp(7) };
        let signed = identity.sign_checkpoint(head).unwrap();
        verify_checkpoint(&signed).unwrap();
        let mut smaller = signed.clone();
        smaller.head.size = 8;
        assert!(verify_checkpoint(&smaller).is_err());
    }
}
