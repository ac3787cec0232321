//! What a relay allows, and what it tells about itself (NIP-11).

use serde_json::{Value, json};

/// When a client must prove who it is (NIP-42).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Only for protected events (NIP-70).
    #[default]
    Off,
    ToPublish,
    ToDoAnything,
}

/// Limits of one relay. Every bound has a clear refusal.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    pub authentication: Authentication,
    /// Whether an event is on disk before its OK; without it a crash of the machine may lose the
    /// last events (a kill of the process does not).
    pub sync_before_ok: bool,
    pub max_connections: usize,
    /// Longest JSON of one event.
    pub max_event_bytes: usize,
    /// Longest websocket message; a longer one ends the connection.
    pub max_frame_bytes: usize,
    pub max_subscriptions: usize,
    pub max_filters: usize,
    /// Ids, authors, kinds and tag values of all filters of one subscription.
    pub max_filter_values: usize,
    pub max_subscription_id_chars: usize,
    /// Most stored events that one filter gets.
    pub max_limit: usize,
    pub default_limit: usize,
    pub max_tags: usize,
    /// Events from one connection: a steady rate, and how many may come at once.
    pub events_per_sec: u32,
    pub events_burst: u32,
    /// How far ahead of the clock an event may be dated.
    pub max_future_secs: u64,
    /// Messages and bytes that wait for one slow reader before it is dropped.
    pub max_queued_messages: usize,
    pub max_queued_bytes: usize,
    /// Beyond this the oldest stored events go.
    pub max_events: usize,
    /// A file that grew to this takes no more; the next start rewrites it without what was
    /// replaced or deleted.
    pub max_file_bytes: u64,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            authentication: Authentication::Off,
            sync_before_ok: true,
            max_connections: 1_024,
            max_event_bytes: 256 * 1024,
            max_frame_bytes: 1024 * 1024,
            max_subscriptions: 256,
            max_filters: 32,
            max_filter_values: 2_000,
            max_subscription_id_chars: 64,
            max_limit: 5_000,
            default_limit: 500,
            max_tags: 2_000,
            events_per_sec: 5_000,
            events_burst: 10_000,
            max_future_secs: 900,
            max_queued_messages: 8_192,
            max_queued_bytes: 32 * 1024 * 1024,
            max_events: 250_000,
            max_file_bytes: 2 * 1024 * 1024 * 1024,
        }
    }
}

impl RelayConfig {
    /// The NIP-11 document.
    pub fn document(&self) -> Value {
        json!({
            "name": "Pilothouse practice relay",
            "description": "PRACTICE: a private relay on this computer. Nothing here has value.",
            "supported_nips": [1, 9, 11, 40, 42, 70],
            "software": "pilothouse-practice",
            "version": env!("CARGO_PKG_VERSION"),
            "limitation": {
                "max_message_length": self.max_frame_bytes,
                "max_subscriptions": self.max_subscriptions,
                "max_filters": self.max_filters,
                "max_limit": self.max_limit,
                "default_limit": self.default_limit,
                "max_subid_length": self.max_subscription_id_chars,
                "max_event_tags": self.max_tags,
                "max_content_length": self.max_event_bytes,
                "min_pow_difficulty": 0,
                "auth_required": self.authentication == Authentication::ToDoAnything,
                "payment_required": false,
                "restricted_writes": self.authentication != Authentication::Off,
                "created_at_upper_limit": self.max_future_secs,
            },
        })
    }
}
