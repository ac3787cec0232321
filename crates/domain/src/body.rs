//! Bodies: content from outside, kept beside the log, known to events only by salted hash.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

use crate::ids::Sha256Hash;

/// What an event says of a body: salted hash, length in bytes, media type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BodyRef {
    pub hash: Sha256Hash,
    pub len: u64,
    #[serde(rename = "type")]
    pub media_type: Arc<str>,
}

/// A body on its way into the store, with the salt that binds it to its reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    pub reference: BodyRef,
    pub salt: [u8; 32],
    pub bytes: Arc<[u8]>,
}

impl Body {
    /// `bytes` under `salt`: the reference's hash is SHA-256(salt ‖ bytes), so that a deleted body
    /// whose salt is gone cannot be confirmed by guessing.
    pub fn new(salt: [u8; 32], media_type: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let reference = BodyRef {
            hash: salted_hash(&salt, &bytes),
            len: bytes.len() as u64,
            media_type: media_type.into(),
        };
        Self { reference, salt, bytes }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?}, {} bytes)", self.reference.hash, self.bytes.len())
    }
}

/// SHA-256(salt ‖ bytes).
pub fn salted_hash(salt: &[u8; 32], bytes: &[u8]) -> Sha256Hash {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update(bytes);
    Sha256Hash(hasher.finalize().into())
}
