//! Every outbound socket that does not go to a relay: the egress gate and what is fetched through it.
//!
//! [`Egress`] is the one place that decides where a URL may lead. Relays ask it too, as
//! [`relay::Door`]; nothing in the house resolves a name or dials an address that it has not seen.

pub mod address;
mod blossom;
mod door;
mod egress;
mod http;
pub mod lnurl;

pub use blossom::{BlobDescriptor, BlobInfo, Blossom, BlossomError, blob_hash_of, blob_url};
pub use egress::{Egress, EgressConfig, Gate, GateError, Resolver, SystemResolver};
pub use http::{FetchError, Response};
