//! The words of the house: ids, money, time, events, bodies, effects and receipts. Values only.

pub mod body;
pub mod canonical;
pub mod effect;
pub mod error;
pub mod event;
pub mod ids;
pub mod machine;
pub mod merkle;
pub mod money;
pub mod network;
pub mod receipt;
pub mod time;

pub use body::{Body, BodyRef};
pub use canonical::{CanonicalError, canonical_json};
pub use effect::{EffectId, RepeatClass};
pub use error::{ErrorBody, ExitCode};
pub use event::{Envelope, EventData, EventHash, Recorded};
pub use ids::{
    CommandId, EventId, IdempotencyKey, PaymentHash, Preimage, Pubkey, RequestId, Sha256Hash,
    StreamId,
};
pub use machine::{Delivery, Emit, Machine, Step};
pub use money::Msat;
pub use network::Network;
pub use receipt::{Receipt, ReceiptType};
pub use time::Timestamp;
