//! What the provider is told with each input: who we are, what can run here, and the limits.

use domain::{Network, Pubkey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What can execute jobs of one kind here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// For people: `sandbox-run`.
    pub name: String,
    /// How long a job usually takes.
    pub estimate_ms: u64,
    /// How long a job may take before it is stopped.
    pub deadline_secs: u64,
    pub max_input_bytes: u64,
    /// Whether an input type that NIP-90 does not know is read as text.
    pub reads_unknown_input_as_text: bool,
    /// Why it cannot run now, where it can't.
    pub unable: Option<String>,
}

/// Limits and times, each with a default that a desk can run with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Jobs that run at once; the others wait as accepted.
    pub max_running: usize,
    /// Jobs that are not done; beyond it requests are refused as busy.
    pub max_open: usize,
    /// Refusals that are sent in a minute; beyond it requests are passed over in silence.
    pub max_refusals_per_minute: usize,
    /// Jobs expected to take less get no separate `processing` feedback.
    pub quick_ms: u64,
    /// How long a request waits for the operator.
    pub ask_secs: u64,
    /// How long the wallet may take to make an invoice.
    pub make_invoice_secs: u64,
    /// How long a buyer has to pay.
    pub invoice_expiry_secs: u64,
    /// How long after an invoice's expiry its payment may still arrive in time.
    pub invoice_grace_secs: u64,
    /// How long an accepted or paid job may wait for a free place.
    pub queue_secs: u64,
    /// How long a result may wait for a relay that takes it: later it is not published any more.
    pub publish_secs: u64,
    /// What the last try to publish it may take, and what its outcome may take to be known. Only
    /// then does the job count as undeliverable.
    pub publish_grace_secs: u64,
    /// What stopping an overdue job may take, on top of its deadline.
    pub stop_grace_secs: u64,
    /// How often the announcement is renewed while online.
    pub heartbeat_secs: u64,
    /// The provider's name in its announcement.
    pub name: String,
    pub about: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_running: 4,
            max_open: 512,
            max_refusals_per_minute: 120,
            quick_ms: 1_000,
            ask_secs: 600,
            make_invoice_secs: 60,
            invoice_expiry_secs: 600,
            invoice_grace_secs: 30,
            queue_secs: 900,
            publish_secs: 900,
            publish_grace_secs: 60,
            stop_grace_secs: 10,
            heartbeat_secs: 270,
            name: "Pilothouse desk".to_owned(),
            about: "Sells compute of one machine".to_owned(),
        }
    }
}

/// What holds while one input is decided. It comes from the engine's own state, is not kept here,
/// and leaves its marks only through recorded events.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub us: Pubkey,
    pub network: Network,
    /// Relays the operator configured: all answers go there.
    pub own_relays: &'a [String],
    /// Who makes demand for newcomers on the practice network.
    pub starter: Option<Pubkey>,
    pub backends: &'a BTreeMap<u16, Backend>,
    pub config: &'a Config,
}

impl Context<'_> {
    /// Whether relays on this machine's loopback may be named by strangers.
    pub(crate) fn allows_loopback(&self) -> bool {
        matches!(self.network, Network::Practice | Network::Regtest)
    }
}
