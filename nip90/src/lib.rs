//! NIP-90 jobs: the codec on Nostr events, and the provider and buyer as pure machines.
//!
//! Nothing here touches a socket, file, clock or random source: time and entropy are inputs, and
//! what the world must do leaves as effects. Signing, publishing, paying, executing and fetching
//! happen in adapters that report facts back.

pub mod bolt11;
pub mod buyer;
pub mod codec;
pub mod machine;
pub mod provider;
#[cfg(test)]
mod testing;
pub mod types;

pub use machine::{Decision, Emit, Place, Reply};
pub use types::{
    Blob, Blocker, DemandAnswer, DemandRisk, JobDraft, JobInput, Mover, OfferDraft, PaymentPolicy,
    ProviderState, ResultRef,
};
