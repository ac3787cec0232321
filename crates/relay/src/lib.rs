//! Nostr relays: the only place in the house that opens a socket to one.
//!
//! Every event that leaves here has had its id recomputed from its contents and its signature
//! checked by us. A relay is a stranger: what it sends is bounded, what it breaks is counted, and
//! nothing it says makes us wait without an end.

mod auth;
mod backoff;
mod dial;
mod fact;
mod flight;
mod inbox;
mod link;
mod pool;
mod port;
mod publish;
mod recent;
mod session;
mod subs;
pub mod tls;
mod verify;
mod wire;

pub use fact::{EventFault, RelayFact, RelayHealth, RelayState};
pub use pool::{Limits, Pool, PoolConfig, Timing};
pub use port::{
    BoxFuture, Clock, Door, NostrClient, RelayError, RelayLimits, RelaySpec, SignFault, Signer,
    Targets, normal_name, normal_url,
};
pub use publish::{
    Accepted, BadOutgoing, Outgoing, PublishOptions, PublishReport, Refusal, Rejected,
};
pub use verify::{read_verified, verify_event};
