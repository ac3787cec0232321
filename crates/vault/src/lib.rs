//! Secrets: one seed, how it is kept at rest, and the keys and signatures that come from it.
//!
//! The desk has one vault for its Nostr identity and the executor a separate one for money. A seed
//! is in the OS keychain, else in a file encrypted with a passphrase; never plain, never in a log.

mod error;
mod identity;
mod keep;
mod keychain;
mod names;
mod proof;
mod seed;
mod vault;

pub use error::VaultError;
pub use identity::{Identity, verify_digest};
pub use names::{BadKeyText, npub, parse_pubkey};
pub use proof::{ProofError, checkpoint_digest, verify_checkpoint, verify_receipt};
pub use vault::{Created, Kept, PassphraseSource, Vault};
