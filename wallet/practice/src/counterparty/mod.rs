//! The counterparty: a Lightning node on the practice chain that opens a channel to each desk.
//!
//! It holds coins that it mined, so that every desk can pay and be paid from the first minute, and
//! forwards payments between desks. Its seed is made at the first start and guards nothing of value.

mod desks;
mod join;
mod log;
mod node;
mod payments;

pub use desks::Desk;
pub use join::{JoinError, JoinRequest};
pub use payments::{InvoiceMade, PayError, PaymentMade};

use crate::{
    chain::{Chain, ChainError, Treasury, TreasuryError},
    stop::asked,
};
use desks::{Desks, DesksError};
use ldk_durable::{Gate, NotWritten, Relay, Ways};
use ldk_node::{Event, Node, NodeError};
use node::{NodeSetup, Started};
use serde::Serialize;
use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{broadcast, watch},
    task::{JoinError as TaskError, JoinHandle},
};

/// What the counterparty asks for forwarding a payment from one desk to another: LDK's default
/// base fee and nothing by amount. Payments between a desk and the counterparty itself cost none.
pub const FORWARDING_BASE_FEE_MSAT: u32 = 1_000;
pub const FORWARDING_FEE_PPM: u32 = 0;
/// Blocks that it wants between an incoming and an outgoing HTLC.
pub const FORWARDING_CLTV_DELTA: u16 = 72;

/// Size of the channel to each desk; half of it is the desk's from the start.
pub const CHANNEL_SAT: u64 = 10_000_000;
const EVENTS_KEPT: usize = 1_024;
const RECONNECT_EVERY: Duration = Duration::from_millis(500);
/// How long the end waits for the last write.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum CounterpartyError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} does not hold a seed; delete the practice folder to start anew")]
    NotASeed { path: PathBuf },
    #[error("the system gave no randomness: {0}")]
    NoEntropy(#[from] host::entropy::NoEntropy),
    #[error("the counterparty's database could not be opened: {0}")]
    Database(#[from] store::StorageError),
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    #[error("the counterparty node could not be built: {0}")]
    Build(#[from] ldk_node::BuildError),
    #[error("the counterparty node failed: {0}")]
    Node(#[from] NodeError),
    #[error("the counterparty node did not see the practice chain within {} seconds", .0.as_secs())]
    NotSynced(Duration),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Treasury(#[from] TreasuryError),
    #[error(transparent)]
    Desks(#[from] DesksError),
    #[error("a task of the counterparty ended early: {0}")]
    Task(#[from] TaskError),
}

/// Where the counterparty lives and what it stands on.
pub struct CounterpartySetup {
    pub dir: PathBuf,
    pub chain: Arc<Mutex<Chain>>,
    pub treasury: Arc<Treasury>,
    pub rpc_port: u16,
    pub rpc_user: String,
    pub rpc_password: String,
    /// Where it listens for desks.
    pub lightning_port: u16,
}

/// A channel as people and desks see it.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelStatus {
    pub node_id: String,
    pub name: String,
    /// `opening`, `offline` or `usable`.
    pub state: &'static str,
    pub capacity_sat: u64,
    /// What the counterparty can send to the desk now, and the desk to it.
    pub to_desk_msat: u64,
    pub to_counterparty_msat: u64,
    pub funding_txid: Option<String>,
    pub confirmations: u32,
}

/// The running node.
pub struct Counterparty {
    node: Arc<Node>,
    gate: Gate,
    /// To desks that it calls.
    ways: Ways,
    /// To the chain, and from desks that call it.
    _relays: [Relay; 2],
    /// Its own threads: LDK blocks them.
    runtime: Option<Runtime>,
    chain: Arc<Mutex<Chain>>,
    treasury: Arc<Treasury>,
    desks: Mutex<Desks>,
    /// One at a time: the check for a channel, the opening and the mining belong together.
    opening: tokio::sync::Mutex<()>,
    events: broadcast::Sender<Event>,
    lightning_port: u16,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Counterparty {
    /// Builds and starts the node, waits until it has seen the chain, and gives it coins.
    ///
    /// # Errors
    /// If its folder can't be used, or node or chain fail.
    pub async fn start(setup: CounterpartySetup) -> Result<Arc<Self>, CounterpartyError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("counterparty")
            .enable_all()
            .build()
            .map_err(|source| CounterpartyError::Io { path: setup.dir.clone(), source })?;
        let desks = Desks::load(setup.dir.join("desks.json"))?;
        let prepared = NodeSetup::prepare(&setup, runtime.handle().clone())?;
        let building = runtime.spawn_blocking(move || prepared.build_and_start());
        let Started { node, gate, looked_before, relays } = building.await??;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let counterparty = Arc::new(Self {
            node: Arc::new(node),
            ways: Ways::new(gate.clone(), runtime.handle().clone()),
            gate,
            _relays: relays,
            runtime: Some(runtime),
            chain: setup.chain,
            treasury: setup.treasury,
            desks: Mutex::new(desks),
            opening: tokio::sync::Mutex::new(()),
            events,
            lightning_port: setup.lightning_port,
            stop: watch::Sender::new(false),
            tasks: Mutex::new(Vec::new()),
        });
        counterparty.start_tasks();
        let funded = async {
            counterparty.wait_until_synced(looked_before).await?;
            counterparty.ensure_coins().await
        };
        if let Err(error) = funded.await {
            counterparty.stop().await;
            return Err(error);
        }
        Ok(counterparty)
    }

    fn start_tasks(self: &Arc<Self>) {
        let events = self.handle().spawn(pump_events(
            Arc::clone(&self.node),
            self.events.clone(),
            self.stop.subscribe(),
        ));
        let reconnecting = self.handle().spawn(Arc::clone(self).keep_connected());
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend([events, reconnecting]);
    }

    fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("BUG: the runtime is there until the drop").handle()
    }

    /// Runs something that blocks on the node, away from the threads that serve sockets.
    async fn on_node<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, TaskError> {
        let node = Arc::clone(&self.node);
        self.handle().spawn_blocking(move || work(&node)).await
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desks(&self) -> MutexGuard<'_, Desks> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn node_id(&self) -> String {
        self.node.node_id().to_string()
    }

    /// Where desks connect to it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.lightning_port)
    }

    /// Its coins outside of channels.
    pub fn onchain_sat(&self) -> u64 {
        self.node.list_balances().total_onchain_balance_sats
    }

    /// Every channel, with the name of its desk.
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let desks = self.desks();
        self.node
            .list_channels()
            .into_iter()
            .map(|channel| {
                let node_id = channel.counterparty_node_id.to_string();
                let state = match (channel.is_usable, channel.is_channel_ready) {
                    (true, _) => "usable",
                    (false, true) => "offline",
                    (false, false) => "opening",
                };
                ChannelStatus {
                    name: desks.name_of(&node_id),
                    node_id,
                    state,
                    capacity_sat: channel.channel_value_sats,
                    to_desk_msat: channel.outbound_capacity_msat,
                    to_counterparty_msat: channel.inbound_capacity_msat,
                    funding_txid: channel.funding_txo.map(|outpoint| outpoint.txid.to_string()),
                    confirmations: channel.confirmations.unwrap_or(0),
                }
            })
            .collect()
    }

    /// Mines blocks and lets the node see them at once.
    ///
    /// # Errors
    /// If the chain's file fails or too many are asked for.
    pub async fn mine(&self, blocks: u32) -> Result<u32, CounterpartyError> {
        let (chain, treasury) = (Arc::clone(&self.chain), Arc::clone(&self.treasury));
        let mined = tokio::task::spawn_blocking(move || mine(&chain, &treasury, blocks));
        let height = mined.await??;
        self.sync().await?;
        Ok(height)
    }

    /// Lets the node look at the chain now, rather than at its next look in up to two seconds.
    async fn sync(&self) -> Result<(), CounterpartyError> {
        const LOOKS: usize = 10;
        let height = self.chain().height();
        for _ in 0..LOOKS {
            // This may only join a look that began before the block was mined.
            self.on_node(Node::sync_wallets).await??;
            if self.node.status().current_best_block.height >= height {
                break;
            }
        }
        Ok(())
    }

    /// Connects to desks that are away, for as long as the practice network runs: either side may
    /// restart at any moment, and LDK itself tries only once a minute.
    async fn keep_connected(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        loop {
            let missing: Vec<_> = {
                let peers = self.node.list_peers();
                let is_there = |desk: &Desk| {
                    peers.iter().any(|peer| peer.is_connected && peer.node_id == desk.node_id)
                };
                self.desks().all().filter(|desk| !is_there(desk)).cloned().collect()
            };
            for desk in missing {
                if let Ok(()) = self.connect(&desk).await {
                    tracing::info!(desk = desk.name, "connected to a desk again");
                }
            }
            tokio::select! {
                () = asked(&mut stop) => return,
                () = tokio::time::sleep(RECONNECT_EVERY) => {}
            }
        }
    }

    /// Waits until what it did and saw so far is on disk. Nobody is told of it before.
    ///
    /// # Errors
    /// If the disk refused.
    pub async fn settled_on_disk(&self) -> Result<(), CounterpartyError> {
        Ok(self.gate.pass().await?)
    }

    /// Waits until the disk refused its state: it says nothing more and must be ended.
    pub async fn failed(&self) -> CounterpartyError {
        self.gate.failed().await.into()
    }

    /// Stops the node; its state is on disk at all times, this only ends it in order.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ended = task.await;
        }
        match self.on_node(Node::stop).await {
            Ok(Ok(()) | Err(NodeError::NotRunning)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the counterparty did not stop in order"),
            Err(error) => tracing::warn!(%error, "the counterparty did not stop in order"),
        }
        if !matches!(tokio::time::timeout(WRITTEN_WITHIN, self.gate.pass()).await, Ok(Ok(()))) {
            tracing::warn!("the counterparty's last state was not written in time");
        }
    }
}

impl Drop for Counterparty {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not be dropped where async code runs; its tasks have ended or go now.
            runtime.shutdown_background();
        }
    }
}

/// Mines to the treasury and returns the new height.
pub fn mine(chain: &Mutex<Chain>, treasury: &Treasury, blocks: u32) -> Result<u32, ChainError> {
    let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
    chain.mine(blocks, treasury.script(), host::clock::now().as_secs())?;
    Ok(chain.height())
}

/// Takes each event of the node once, shows it to whoever waits, and lets the node forget it.
async fn pump_events(
    node: Arc<Node>,
    events: broadcast::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let event = tokio::select! {
            () = asked(&mut stop) => return,
            event = node.next_event_async() => event,
        };
        tracing::debug!(?event, "the counterparty");
        let _nobody_waits = events.send(event);
        let handled = Arc::clone(&node);
        match tokio::task::spawn_blocking(move || handled.event_handled()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the counterparty could not note an event as handled");
                tokio::time::sleep(RECONNECT_EVERY).await;
            }
            Err(error) => tracing::error!(%error, "handling an event ended early"),
        }
    }
}
