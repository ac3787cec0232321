//! The whole practice network of one folder: started in order, found by one file, stopped in order.

use crate::{
    blossom::{Blossom, BlossomConfig, BlossomError},
    chain::{Chain, ChainError, Credentials, RpcServer, Treasury, TreasuryError},
    control::Control,
    counterparty::{self, Counterparty, CounterpartyError, CounterpartySetup},
    http,
    ports::{Ports, PortsError},
    relay::{Relay, RelayConfig, RelayError},
    stop::asked,
};
use host::{Home, HomeError, HomeLock, home::write_private, ipc};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Its path is the address by which desks join.
const RENDEZVOUS: &str = "practice.json";
const CONTROL: &str = "control";
/// Rewards that have matured when the counterparty first asks for coins.
const FIRST_BLOCKS: u32 = 110;
const PORT_FREE_WITHIN: Duration = Duration::from_secs(10);
const RPC_CONNECTIONS: usize = 128;
const CALLS_END_WITHIN: Duration = Duration::from_secs(3);

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub dir: PathBuf,
    /// Relay and blobs only, for benchmarks.
    pub without_lightning: bool,
    pub relay: RelayConfig,
    pub blossom: BlossomConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum PracticeError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Ports(#[from] PortsError),
    #[error("port {port} of the practice network ({part}) is taken by another program: {source}")]
    PortTaken { part: &'static str, port: u16, source: io::Error },
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error(transparent)]
    Blossom(#[from] BlossomError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Treasury(#[from] TreasuryError),
    #[error(transparent)]
    Counterparty(#[from] CounterpartyError),
    #[error("the control socket could not be opened: {0}")]
    Control(io::Error),
}

/// The file that desks read: what they need to join. No secret is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rendezvous {
    pub v: u32,
    /// Always `practice`.
    pub network: String,
    pub pid: u32,
    pub relay_url: String,
    pub blossom_url: String,
    /// The rendezvous file of the control socket.
    pub control: PathBuf,
    /// Absent without Lightning.
    pub chain: Option<ChainAccess>,
    pub counterparty: Option<CounterpartyAccess>,
}

/// How to reach the chain's RPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainAccess {
    pub rpc_host: String,
    pub rpc_port: u16,
    pub rpc_user: String,
    /// Holds the password; readable by the owner alone.
    pub rpc_password_path: PathBuf,
}

/// Who the counterparty is and what it asks for forwarding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CounterpartyAccess {
    pub node_id: String,
    pub address: String,
    pub forwarding_base_fee_msat: u32,
    pub forwarding_fee_ppm: u32,
}

impl Rendezvous {
    /// Reads the file of a practice network.
    ///
    /// # Errors
    /// If there is none or it can't be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::from)
    }
}

/// Chain and counterparty, together.
pub struct Lightning {
    pub chain: Arc<Mutex<Chain>>,
    pub counterparty: Arc<Counterparty>,
    stop_rpc: watch::Sender<bool>,
    serving_rpc: JoinHandle<()>,
}

/// What is running; the control socket answers from it.
pub struct Running {
    pub address: PathBuf,
    pub rendezvous: Rendezvous,
    pub relay: Relay,
    pub blossom: Blossom,
    pub lightning: Option<Lightning>,
    pub stop: watch::Sender<bool>,
}

/// A running practice network.
pub struct Practice {
    running: Arc<Running>,
    control: ipc::Server,
    _lock: HomeLock,
}

impl Practice {
    /// Starts everything and writes the rendezvous file last.
    ///
    /// # Errors
    /// If the folder is used by another process, a port is taken, or a part can't start.
    pub async fn start(options: Options) -> Result<Self, PracticeError> {
        let started = Instant::now();
        let home = Home::open(&options.dir)?;
        let lock = home.lock("practice")?;
        let address = home.join(RENDEZVOUS);
        remove_if_there(&address)?;
        let ports = Ports::load_or_choose(&home.join("ports.json"))?;
        let relay = Relay::start(
            listen("relay", ports.relay).await?,
            &home.join("relay.events"),
            options.relay.clone(),
        )?;
        let blobs = home.dir("blobs")?;
        let listener = listen("blobs", ports.blossom).await?;
        let blossom = Blossom::start(listener, &blobs, options.blossom.clone()).await?;
        let (lightning, chain) = if options.without_lightning {
            (None, None)
        } else {
            let (lightning, access) = start_lightning(&home, ports).await?;
            (Some(lightning), Some(access))
        };
        let rendezvous = Rendezvous {
            v: 1,
            network: "practice".into(),
            pid: std::process::id(),
            relay_url: relay.url(),
            blossom_url: blossom.url(),
            control: home.join(&format!("{CONTROL}.json")),
            chain,
            counterparty: lightning.as_ref().map(|lightning| CounterpartyAccess {
                node_id: lightning.counterparty.node_id(),
                address: lightning.counterparty.address(),
                forwarding_base_fee_msat: counterparty::FORWARDING_BASE_FEE_MSAT,
                forwarding_fee_ppm: counterparty::FORWARDING_FEE_PPM,
            }),
        };
        let stop = watch::Sender::new(false);
        let running =
            Running { address: address.clone(), rendezvous, relay, blossom, lightning, stop };
        let running = Arc::new(running);
        let handler = Arc::new(Control::new(Arc::downgrade(&running)));
        let control = ipc::serve(home.root(), CONTROL, handler).map_err(PracticeError::Control)?;
        let text = serde_json::to_vec_pretty(&running.rendezvous)
            .expect("BUG: a rendezvous is always JSON");
        write_private(&address, &text)
            .map_err(|source| PracticeError::Io { path: address, source })?;
        tracing::info!(ms = started.elapsed().as_millis(), "the practice network is ready");
        Ok(Self { running, control, _lock: lock })
    }

    /// The file by which desks join.
    pub fn address(&self) -> &Path {
        &self.running.address
    }

    pub fn rendezvous(&self) -> &Rendezvous {
        &self.running.rendezvous
    }

    pub fn counterparty(&self) -> Option<&Arc<Counterparty>> {
        self.running.lightning.as_ref().map(|lightning| &lightning.counterparty)
    }

    /// The chain, for a test part that is served beside its RPC.
    pub fn chain(&self) -> Option<Arc<Mutex<Chain>>> {
        self.running.lightning.as_ref().map(|lightning| Arc::clone(&lightning.chain))
    }

    /// Returns when the control socket is asked to shut down.
    pub async fn asked_to_stop(&self) {
        let mut stop = self.running.stop.subscribe();
        asked(&mut stop).await;
    }

    /// Waits until the network cannot go on, and says why.
    pub async fn failed(&self) -> CounterpartyError {
        match self.counterparty() {
            Some(counterparty) => counterparty.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Stops everything in order; what was acknowledged is on disk anyhow.
    pub async fn stop(self) {
        let Self { running, control, _lock } = self;
        let _already_gone = std::fs::remove_file(&running.address);
        drop(control);
        if let Some(lightning) = &running.lightning {
            lightning.counterparty.stop().await;
        }
        // Calls that still run hold the parts for a moment; one that takes longer loses nothing by
        // the end of the process.
        let started = Instant::now();
        let mut running = running;
        let parts = loop {
            match Arc::try_unwrap(running) {
                Ok(parts) => break parts,
                Err(_) if started.elapsed() > CALLS_END_WITHIN => return,
                Err(shared) => {
                    running = shared;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        if let Some(lightning) = parts.lightning {
            lightning.stop_rpc.send_replace(true);
            let _ended = lightning.serving_rpc.await;
        }
        parts.blossom.stop().await;
        parts.relay.stop().await;
        tracing::info!("the practice network has stopped");
    }
}

async fn start_lightning(
    home: &Home,
    ports: Ports,
) -> Result<(Lightning, ChainAccess), PracticeError> {
    let dir = home.dir("chain")?;
    let password_path = dir.join("rpc-password");
    let credentials = Credentials::load_or_make(&password_path)
        .map_err(|source| PracticeError::Io { path: password_path.clone(), source })?;
    let treasury = Arc::new(Treasury::open(&dir.join("treasury-key"))?);
    let chain = open_chain(dir.join("blocks"), Arc::clone(&treasury)).await?;
    let listener = listen("chain", ports.rpc).await?;
    let server = Arc::new(RpcServer::new(Arc::clone(&chain), &credentials));
    let (stop_rpc, stopping) = watch::channel(false);
    let serving_rpc = tokio::spawn(http::serve(listener, server, RPC_CONNECTIONS, stopping));
    // The counterparty opens its port by itself; this waits until it is free, or says that it is not.
    drop(listen("counterparty", ports.lightning).await?);
    let setup = CounterpartySetup {
        dir: home.dir("counterparty")?,
        chain: Arc::clone(&chain),
        treasury,
        rpc_port: ports.rpc,
        rpc_user: credentials.user.clone(),
        rpc_password: credentials.password,
        lightning_port: ports.lightning,
    };
    let counterparty = Counterparty::start(setup).await?;
    let access = ChainAccess {
        rpc_host: "127.0.0.1".into(),
        rpc_port: ports.rpc,
        rpc_user: credentials.user,
        rpc_password_path: password_path,
    };
    Ok((Lightning { chain, counterparty, stop_rpc, serving_rpc }, access))
}

/// Opens the chain; a new one gets its first blocks before any node looks, since a node goes
/// through every block that comes after it was made.
async fn open_chain(
    path: PathBuf,
    treasury: Arc<Treasury>,
) -> Result<Arc<Mutex<Chain>>, PracticeError> {
    let opening = tokio::task::spawn_blocking(move || {
        let mut chain = Chain::open(&path)?;
        let missing = FIRST_BLOCKS.saturating_sub(chain.height());
        chain.mine(missing, treasury.script(), host::clock::now().as_secs())?;
        Ok::<_, ChainError>(Arc::new(Mutex::new(chain)))
    });
    Ok(opening.await.map_err(CounterpartyError::from)??)
}

/// Listens on a kept port; after a kill its last owner may hold it for a moment.
async fn listen(part: &'static str, port: u16) -> Result<TcpListener, PracticeError> {
    let started = Instant::now();
    loop {
        match http::listen(port).await {
            Ok(listener) => return Ok(listener),
            Err(source) if started.elapsed() > PORT_FREE_WITHIN => {
                return Err(PracticeError::PortTaken { part, port, source });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn remove_if_there(path: &Path) -> Result<(), PracticeError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PracticeError::Io { path: path.to_owned(), source }),
    }
}
