//! The practice network: everything real except the value.
