//! Job events to and from Nostr (NIP-01, 09, 40, 89, 90). Building gives an unsigned template.
//!
//! Tags of ours, all additive, so that a plain NIP-90 peer can ignore them:
//!
//! | tag | on | meaning |
//! |---|---|---|
//! | `["x", sha256]` | result | SHA-256 (hex) of the content's bytes, or of the blob (as NIP-94) |
//! | `["size", n]`, `["m", type]` | result | bytes and media type of the same (as NIP-94) |
//! | `["url", url]` | result | the payload is a blob there; the content repeats url, hash and size as JSON |
//! | `["imeta", "url …", "x …", "size …", "m …"]` | request | hash and size of a `url` input that is a blob (as NIP-92) |
//! | `["u", text]` | request | makes two equal requests of one second two jobs |
//!
//! Amounts are millisatoshi everywhere, as NIP-90 says; error texts name the unit.

pub mod announce;
pub mod check;
pub mod deletion;
pub mod feedback;
pub mod relays;
pub mod request;
pub mod result;
pub(crate) mod tags;
mod template;

pub use announce::{Announcement, OfferLine};
pub use check::{EventFault, check, parse, parse_kept, verify};
pub use deletion::Deletion;
pub use feedback::{Feedback, FeedbackTerms, Status};
pub use relays::{publishable, same_relay};
pub use request::{Input, InputType, JobRequest, RequestTerms};
pub use result::{JobResult, Payload, ResultTerms, fits_inline};
pub use template::{BuildError, Template};

/// The largest event we read or build, as JSON: the default limit of common relays.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;
/// The largest content of a result, as a JSON string: with every tag that a result must have it
/// still is an event of less than [`MAX_EVENT_BYTES`].
pub const MAX_INLINE_JSON_BYTES: usize = 32 * 1024;
/// The most tags an event may have.
pub const MAX_TAGS: usize = 512;
/// The most values one tag may have.
pub const MAX_TAG_VALUES: usize = 64;
/// How far ahead of our clock a `created_at` may be.
pub const MAX_FUTURE_SECS: u64 = 300;
/// How old a request may be to be served; older ids may be forgotten.
pub const LOOK_BACK_SECS: u64 = 24 * 3_600;
/// The most `i` tags of a request.
pub const MAX_INPUTS: usize = 64;
/// The most `param` tags of a request.
pub const MAX_PARAMS: usize = 128;
/// The most relays or providers that are read of a request; the rest is not looked at.
pub const MAX_NAMED: usize = 32;

/// Kind of feedback (NIP-90).
pub const KIND_FEEDBACK: u16 = 7_000;
/// Kind of a provider's announcement (NIP-89 handler information).
pub const KIND_ANNOUNCEMENT: u16 = 31_990;
/// Kind of a deletion request (NIP-09).
pub const KIND_DELETION: u16 = 5;

/// Whether `kind` is a job request's.
pub const fn is_request(kind: u16) -> bool {
    kind >= 5_000 && kind <= 5_999
}

/// Whether `kind` is a job result's: 1000 above its request's.
pub const fn is_result(kind: u16) -> bool {
    kind >= 6_000 && kind <= 6_999
}

/// Why an event of a job cannot be read. Holds no text from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("an event of kind {0} is not {1}")]
    WrongKind(u16, &'static str),
    #[error("the tag {0} is missing")]
    Missing(&'static str),
    #[error("the tag {tag} is wrong: it must be {must}")]
    Bad { tag: &'static str, must: &'static str },
    #[error("the event has more than {MAX_EVENT_BYTES} bytes as JSON; send large inputs as a blob")]
    TooLarge,
    #[error("there are more than {limit} tags {tag}")]
    TooMany { tag: &'static str, limit: usize },
    #[error("the content is wrong: it must be {must}")]
    BadContent { must: &'static str },
}

#[cfg(test)]
pub(crate) mod tests;
