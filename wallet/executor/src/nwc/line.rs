//! The way to the relays: our own relay client, through the egress gate.

use net::{Egress, GateError};
use relay::{
    Limits, NostrClient, Outgoing, Pool, PoolConfig, PublishOptions, PublishReport, RelayError,
    RelayFact, RelaySpec, RelayState, Targets,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Facts that wait for whoever reads them; while they are this many, no relay is read.
const FACTS: usize = 1_024;
/// How long a relay may take to say that it has an event.
const PUBLISH_WITHIN: Duration = Duration::from_secs(10);

/// Where relays may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The public internet, encrypted.
    Public,
    /// Wherever the operator says, also on this computer: they named the relays themselves.
    Named,
    /// On this computer only: practice.
    Loopback,
}

/// Why there is no way to the relays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error("the practice network stays on this computer, and {0} is not on it")]
    NotLoopback(String),
}

/// Connections to the relays of one side. They end with it.
#[derive(Clone)]
pub struct Line {
    pool: Pool,
}

impl Line {
    /// Begins to connect; what the relays do comes by the receiver. Call it inside a runtime.
    pub fn open(
        relays: &[String],
        reach: Reach,
    ) -> Result<(Self, mpsc::Receiver<RelayFact>), LineError> {
        let egress = Egress::default();
        for url in relays {
            match reach {
                Reach::Public => {}
                Reach::Named => egress.trust(url)?,
                Reach::Loopback if is_loopback(url)? => egress.trust(url)?,
                Reach::Loopback => return Err(LineError::NotLoopback(url.clone())),
            }
        }
        let mut config = PoolConfig::new(Arc::new(egress), Arc::new(host::clock::now));
        config.relays = relays.iter().map(RelaySpec::full).collect();
        config.limits = Limits { relays: 8, subscriptions: 4, ..Limits::default() };
        let (sender, facts) = mpsc::channel(FACTS);
        Ok((Self { pool: Pool::new(config, sender)? }, facts))
    }

    pub fn subscribe(
        &self,
        name: &str,
        filters: Vec<nostr::filter::Filter>,
    ) -> Result<(), LineError> {
        Ok(self.pool.subscribe(name, filters)?)
    }

    /// Until the first relay has it, or none does in time.
    pub async fn publish(&self, event: &nostr::event::Event) -> PublishReport {
        let options = PublishOptions { timeout: PUBLISH_WITHIN, enough: 1 };
        self.pool.publish(Outgoing::from(event), Targets::All, options).await
    }

    /// Whether a relay is there now.
    pub fn is_connected(&self) -> bool {
        self.pool.health().iter().any(|relay| relay.state == RelayState::Connected)
    }

    /// Why none is there, for people.
    pub fn trouble(&self) -> Option<String> {
        if self.is_connected() {
            return None;
        }
        let health = self.pool.health();
        let (url, detail) = health.iter().map(|relay| (&relay.url, &relay.detail)).next()?;
        Some(match detail {
            Some(detail) => format!("The relay {url} is not reached: {detail}."),
            None => format!("The relay {url} is not reached yet."),
        })
    }

    pub async fn close(&self) {
        self.pool.shutdown().await;
    }
}

/// Whether an address names this computer by number; a name could be made to lead elsewhere.
fn is_loopback(url: &str) -> Result<bool, RelayError> {
    let url = relay::normal_url(url)?;
    Ok(match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn practice_stays_on_this_computer() {
        let open = |url: &str| Line::open(&[url.to_owned()], Reach::Loopback);
        for url in ["wss://relay.example", "ws://192.0.2.1:7000", "ws://localhost:7000"] {
            assert!(matches!(open(url), Err(LineError::NotLoopback(_))), "{url}");
        }
        for url in ["ws://127.0.0.1:1", "ws://[::1]:1"] {
            open(url).unwrap().0.close().await;
        }
    }
}
