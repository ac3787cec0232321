//! A desk joins: one channel to it, with funds on both sides, confirmed and usable.

use super::{
    CHANNEL_SAT, ChannelStatus, Counterparty, CounterpartyError, Desk, FORWARDING_BASE_FEE_MSAT,
    FORWARDING_CLTV_DELTA, FORWARDING_FEE_PPM,
    desks::{DeskRow, DesksError, MAX_DESKS, NotADesk},
    mine,
};
use bitcoin::{Txid, secp256k1::PublicKey};
use ldk_node::{
    ChannelDetails, Event, NodeError, UserChannelId,
    config::{ChannelConfig, MaxDustHTLCExposure},
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast;

pub type JoinRequest = DeskRow;

/// What confirms a channel of LDK's default depth.
const CONFIRMATIONS: u32 = 6;
const FUNDED_WITHIN: Duration = Duration::from_secs(20);
const USABLE_WITHIN: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    NotADesk(#[from] NotADesk),
    #[error("{MAX_DESKS} desks have joined; delete the practice folder to start anew")]
    TooMany,
    #[error("the desk's node does not answer at {address}: {source}")]
    NotReachable { address: String, source: NodeError },
    #[error("no relay to the desk could be started: {0}")]
    NoRelay(io::Error),
    #[error("the channel to the desk could not be opened: {0}")]
    NotOpened(NodeError),
    #[error("the desk's node closed the channel: {0}")]
    Closed(String),
    #[error("the channel's funding did not reach the chain in {} seconds", FUNDED_WITHIN.as_secs())]
    NotFunded,
    #[error(
        "the channel did not become usable in {} seconds; the desk's node may not see the chain. \
         Join again: the channel is kept",
        USABLE_WITHIN.as_secs()
    )]
    NotUsable,
    #[error(transparent)]
    Desks(#[from] DesksError),
    #[error(transparent)]
    Counterparty(#[from] CounterpartyError),
}

impl From<tokio::task::JoinError> for JoinError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Counterparty(error.into())
    }
}

impl Counterparty {
    /// Gives a desk a usable channel. A desk that joined before keeps its channel.
    ///
    /// # Errors
    /// If the desk's node is not one, does not answer or does not take the channel. Nothing is
    /// lost: joining again goes on where this ended.
    pub async fn join(&self, request: &JoinRequest) -> Result<ChannelStatus, JoinError> {
        let desk = Desk::try_from(request)?;
        let node_id = desk.node_id;
        let mut events = self.events.subscribe();
        {
            let _one_at_a_time = self.opening.lock().await;
            {
                let mut desks = self.desks();
                if !desks.contains(&node_id) && desks.len() >= MAX_DESKS {
                    return Err(JoinError::TooMany);
                }
                desks.put(desk.clone())?;
            }
            self.ways.keep(|target| self.desks().has_address(target)).await;
            self.connect(&desk).await?;
            if self.channel_to(&node_id).is_none() {
                self.open(&desk, &mut events).await?;
            }
            self.confirm(&node_id).await?;
        }
        let joined = self.wait_until_usable(&node_id, &mut events).await?;
        self.settled_on_disk().await?;
        Ok(joined)
    }

    /// The desk's channel, if it has one.
    fn channel_to(&self, node_id: &PublicKey) -> Option<ChannelDetails> {
        self.node.list_channels().into_iter().find(|c| c.counterparty_node_id == *node_id)
    }

    pub(super) async fn connect(&self, desk: &Desk) -> Result<(), JoinError> {
        let (node_id, address) = (desk.node_id, desk.address.to_string());
        let way = self.ways.to(&address).await.map_err(JoinError::NoRelay)?;
        // Not remembered by the node: the relay's port is another one next time.
        self.on_node(move |node| node.connect(node_id, way.into(), false))
            .await?
            .map_err(|source| JoinError::NotReachable { address, source })
    }

    async fn open(
        &self,
        desk: &Desk,
        events: &mut broadcast::Receiver<Event>,
    ) -> Result<(), JoinError> {
        self.ensure_coins().await?;
        let node_id = desk.node_id;
        let opening = self.on_node(move |node| {
            let half_msat = CHANNEL_SAT / 2 * 1_000;
            // The desk is connected. The node keeps the address, and may not call past the relay.
            let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into();
            node.open_channel(node_id, nowhere, CHANNEL_SAT, Some(half_msat), Some(policy()))
        });
        let id = opening.await?.map_err(JoinError::NotOpened)?;
        tracing::info!(desk = desk.name, "opening a channel to a desk");
        host::faults::step();
        wait_until_pending(id, events).await
    }

    /// Mines the channel's funding, unless it is deep enough already.
    async fn confirm(&self, node_id: &PublicKey) -> Result<(), JoinError> {
        let Some(channel) = self.channel_to(node_id) else {
            return Err(JoinError::Closed("it is gone".into()));
        };
        let deep = channel.confirmations.unwrap_or(0) >= CONFIRMATIONS;
        let Some(funding) = channel.funding_txo.filter(|_| !channel.is_channel_ready && !deep)
        else {
            return Ok(());
        };
        if !self.wait_for_funding(funding.txid).await {
            self.abandon(&channel).await?;
            return Err(JoinError::NotFunded);
        }
        let (chain, treasury) = (Arc::clone(&self.chain), Arc::clone(&self.treasury));
        tokio::task::spawn_blocking(move || mine(&chain, &treasury, CONFIRMATIONS))
            .await?
            .map_err(CounterpartyError::from)?;
        Ok(self.sync().await?)
    }

    async fn wait_for_funding(&self, txid: Txid) -> bool {
        let mut changes = self.chain().changes();
        let seen = async {
            loop {
                let there = {
                    let chain = self.chain();
                    chain.is_in_mempool(&txid) || chain.is_confirmed(&txid)
                };
                if there || changes.changed().await.is_err() {
                    return there;
                }
            }
        };
        tokio::time::timeout(FUNDED_WITHIN, seen).await.unwrap_or(false)
    }

    /// A channel whose funding was lost by a crash before it reached the chain can never be
    /// used: it goes, so that the next join opens a new one.
    async fn abandon(&self, channel: &ChannelDetails) -> Result<(), JoinError> {
        let (id, node_id) = (channel.user_channel_id, channel.counterparty_node_id);
        let why = Some("its funding never reached the chain".to_owned());
        self.on_node(move |node| node.force_close_channel(&id, node_id, why))
            .await?
            .map_err(JoinError::NotOpened)
    }

    async fn wait_until_usable(
        &self,
        node_id: &PublicKey,
        events: &mut broadcast::Receiver<Event>,
    ) -> Result<ChannelStatus, JoinError> {
        let started = Instant::now();
        loop {
            let Some(channel) = self.channel_to(node_id) else {
                return Err(JoinError::Closed("it is gone".into()));
            };
            if channel.is_usable {
                let wanted = node_id.to_string();
                let status = self.channels().into_iter().find(|status| status.node_id == wanted);
                return status.ok_or_else(|| JoinError::Closed("it is gone".into()));
            }
            if started.elapsed() > USABLE_WITHIN {
                return Err(JoinError::NotUsable);
            }
            // A channel can turn usable without an event, when its desk connects again.
            let _event_or_time = tokio::time::timeout(LOOK_AGAIN, events.recv()).await;
        }
    }
}

/// What the counterparty asks for forwarding out of a channel.
fn policy() -> ChannelConfig {
    ChannelConfig {
        forwarding_fee_base_msat: FORWARDING_BASE_FEE_MSAT,
        forwarding_fee_proportional_millionths: FORWARDING_FEE_PPM,
        cltv_expiry_delta: FORWARDING_CLTV_DELTA,
        // Small payments in flight must not be refused for the fees of a chain without fees.
        max_dust_htlc_exposure: MaxDustHTLCExposure::FixedLimit { limit_msat: CHANNEL_SAT * 1_000 },
        ..ChannelConfig::default()
    }
}

async fn wait_until_pending(
    id: UserChannelId,
    events: &mut broadcast::Receiver<Event>,
) -> Result<(), JoinError> {
    let pending = async {
        loop {
            match events.recv().await {
                Ok(Event::ChannelPending { user_channel_id, .. }) if user_channel_id == id => {
                    return Ok(());
                }
                Ok(Event::ChannelClosed { user_channel_id, reason, .. })
                    if user_channel_id == id =>
                {
                    let reason = reason.map_or_else(String::new, |reason| reason.to_string());
                    return Err(JoinError::Closed(reason));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(JoinError::NotFunded),
            }
        }
    };
    tokio::time::timeout(FUNDED_WITHIN, pending).await.unwrap_or(Err(JoinError::NotFunded))
}
