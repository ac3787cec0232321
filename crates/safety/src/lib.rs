//! Limits that hold whoever asks. Pure: time and amounts come in, a yes or a reason comes out.

pub mod budget;

pub use budget::{OverLimit, Renewal, SpendLimits, SpendWindow};
