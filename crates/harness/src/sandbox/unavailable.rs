//! Systems without a sandbox yet: everything is refused, with the reason.

use crate::{
    CancellationToken,
    sandbox::{Outcome, Probe, SandboxConfig, SandboxError, Spec},
};
use std::path::Path;

const WHY: &str = "running work in a sandbox is not available on this system yet";

/// The sandbox of a system that has none yet.
#[derive(Clone, Debug)]
pub struct Sandbox {
    probe: Probe,
}

/// A scratch directory; never made here.
#[derive(Debug)]
pub enum Scratch {}

impl Scratch {
    pub fn work(&self) -> &Path {
        match *self {}
    }
}

impl Sandbox {
    pub async fn detect(_config: SandboxConfig) -> Self {
        let probe = Probe {
            name: "none".into(),
            available: false,
            why_not: Some(WHY.into()),
            hint: Some("Sell work from a Linux machine; buying works here.".into()),
            tried: Vec::new(),
        };
        Self { probe }
    }

    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    pub fn scratch(&self) -> Result<Scratch, SandboxError> {
        Err(SandboxError::Unavailable { why: WHY.into() })
    }

    pub async fn run(
        &self,
        _spec: &Spec,
        scratch: &Scratch,
        _cancel: &CancellationToken,
    ) -> Result<Outcome, SandboxError> {
        match *scratch {}
    }
}

/// No helper stages here.
pub(crate) fn helper_stage(_name: &str) -> Option<i32> {
    None
}
