//! The sandbox: one command, or one of our own parsers, run with nothing but what it was given.

mod spec;

pub use crate::platform::backend::{Sandbox, Scratch};
pub use spec::{
    Captured, End, LimitHit, Limits, Network, Outcome, Probe, Program, SandboxConfig, SandboxError,
    Spec, Tried, Usage,
};
