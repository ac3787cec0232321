//! Our own programs: the practice network and the wallet's executor, started, joined and watched.

use domain::{ErrorBody, Network};
use engine::{Command, Fact, Input, event::ServiceChanged, view::ServiceState};
use host::{
    Home,
    supervise::{self, Phase, Program, Supervisor},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use wallet::{
    chain::{self, ChainFile, Login, Source},
    wire,
};

use crate::{
    practice,
    process::{Inner, Passphrase},
};

/// Folder of the executor below a desk's home.
pub const WALLET_DIR: &str = "wallet";
/// Where systemd puts what a service may know.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const RETRY: Duration = Duration::from_millis(100);
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// The programs of one desk.
pub struct Services {
    running: Mutex<Vec<Supervisor>>,
    wallet_dir: PathBuf,
    practice: OnceLock<practice::Rendezvous>,
    wallet_passphrase: Option<Arc<Passphrase>>,
}

impl Services {
    pub fn new(home: &Home, wallet_passphrase: Option<Passphrase>) -> Self {
        Self {
            running: Mutex::new(Vec::new()),
            wallet_dir: home.join(WALLET_DIR),
            practice: OnceLock::new(),
            wallet_passphrase: wallet_passphrase.map(Arc::new),
        }
    }

    /// Where the executor's control socket is.
    pub fn wallet_dir(&self) -> &Path {
        &self.wallet_dir
    }

    /// The practice network, once it has answered.
    pub fn practice(&self) -> Option<&practice::Rendezvous> {
        self.practice.get()
    }

    fn keep(&self, supervisor: Supervisor) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(supervisor);
    }

    /// Ends every program, the executor before the network it stands on.
    pub async fn stop(&self) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for supervisor in running.into_iter().rev() {
            supervisor.stop().await;
        }
    }
}

/// Starts what this desk needs and keeps the log told of it.
pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    if desk.network == Network::Practice && practice::is_own(&desk.home) {
        let dir = desk.home.dir(practice::DIR).map_err(crate::cli::home_error)?;
        let program = Program {
            name: "practice",
            path: supervise::find("pilothouse-practice")?,
            args: vec!["--dir".into(), dir.clone().into(), "--exit-with-parent".into()],
            output: dir.join("practice.out"),
            env: crash_env("PILOTHOUSE_PRACTICE_CRASH_AT"),
        };
        start(desk, program, tasks);
    }
    let wallet = supervise::find("pilothouse-wallet")?;
    let desk = Arc::clone(desk);
    tasks.spawn(async move {
        if let Err(error) = connect(&desk, wallet).await {
            tracing::error!(%error, "the wallet could not be started");
        }
    });
    Ok(())
}

/// Starts one program and reports what it does.
fn start(desk: &Arc<Inner>, program: Program, tasks: &mut JoinSet<()>) {
    let name = program.name;
    watch(desk, name, Supervisor::start(program), tasks);
}

fn watch(desk: &Arc<Inner>, name: &'static str, supervisor: Supervisor, tasks: &mut JoinSet<()>) {
    let status = supervisor.status();
    desk.services.keep(supervisor);
    tasks.spawn(report(Arc::clone(desk), name, status));
}

async fn report(
    desk: Arc<Inner>,
    name: &'static str,
    mut status: watch::Receiver<supervise::Status>,
) {
    loop {
        let seen = status.borrow_and_update().clone();
        let state = match seen.phase {
            Phase::Running => ServiceState::Running,
            Phase::Restarting if seen.restarts == 0 => ServiceState::Starting,
            Phase::Restarting => ServiceState::Restarting,
            Phase::Stopped => ServiceState::Stopped,
        };
        let changed = ServiceChanged {
            name: name.to_owned(),
            state,
            restarts: seen.restarts,
            detail: seen.detail,
        };
        if desk.tell(Input::Fact(Fact::Service(changed))).await.is_err() {
            return;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Starts the executor: on the practice chain once that is there, else on the chain source that the
/// operator chose, for which the executor waits by itself.
async fn connect(desk: &Arc<Inner>, wallet: PathBuf) -> Result<(), ErrorBody> {
    let dir = desk.home.dir(WALLET_DIR).map_err(crate::cli::home_error)?;
    let mut tasks = JoinSet::new();
    if desk.network == Network::Practice {
        join_network(desk, &dir).await?;
        tasks.spawn(keep_joined(Arc::clone(desk)));
    }
    let mut program = Program {
        name: "executor",
        path: wallet,
        args: vec![
            "--home".into(),
            desk.home.root().into(),
            "--network".into(),
            desk.network.as_str().into(),
            "--exit-with-parent".into(),
        ],
        output: dir.join("wallet.out"),
        env: crash_env("PILOTHOUSE_WALLET_CRASH_AT"),
    };
    // The folder's name only: what lies in it is for the executor to read.
    let credentials = std::env::var_os(CREDENTIALS).map(|dir| (CREDENTIALS.into(), dir));
    program.env.extend(credentials);
    let supervisor = match desk.services.wallet_passphrase.clone() {
        None => Supervisor::start(program),
        Some(passphrase) => {
            program.args.extend(["--passphrase-fd".into(), "0".into()]);
            let line = Arc::new(move || format!("{}\n", *passphrase.0).into_bytes());
            Supervisor::start_telling(program, line)
        }
    };
    watch(desk, "executor", supervisor, &mut tasks);
    tasks.join_all().await;
    Ok(())
}

/// Waits for the practice network, and writes what the executor needs of it.
async fn join_network(desk: &Arc<Inner>, dir: &Path) -> Result<(), ErrorBody> {
    let address = practice::address(&desk.home);
    let network = loop {
        match practice::read(&address) {
            Ok(network) if network.chain.is_some() => break network,
            _ => tokio::time::sleep(RETRY).await,
        }
    };
    desk.command(Command::RelayAdd { url: network.relay_url.clone() }).await?;
    let not_trusted = |error: net::GateError| ErrorBody::new("bad_address", error.to_string());
    desk.egress.trust(&network.blossom_url).map_err(not_trusted)?;
    let server = Fact::BlobServer { url: network.blossom_url.clone() };
    desk.tell(Input::Fact(server)).await?;
    write_chain_file(dir, &network)?;
    write_relays_file(dir, &network.relay_url)?;
    let _set_once = desk.services.practice.set(network);
    Ok(())
}

/// What the executor reads its chain source and its peer from.
fn write_chain_file(dir: &Path, network: &practice::Rendezvous) -> Result<(), ErrorBody> {
    let Some(chain) = &network.chain else { return Ok(()) };
    let not_read = |error: std::io::Error| {
        ErrorBody::new("practice_not_reachable", format!("The chain's password: {error}"))
    };
    let password = std::fs::read_to_string(&chain.rpc_password_path).map_err(not_read)?;
    let source = Source::Bitcoind {
        host: chain.rpc_host.clone(),
        port: chain.rpc_port,
        login: Login::Password {
            user: chain.rpc_user.clone(),
            password: password.trim().to_owned(),
        },
    };
    let mut file = ChainFile::new(Network::Practice, source);
    if let Some(peer) = &network.counterparty {
        file.peers = vec![format!("{}@{}", peer.node_id, peer.address)];
        file.no_reserve = vec![peer.node_id.clone()];
    }
    let text =
        serde_json::to_vec(&file).map_err(|error| ErrorBody::new("internal", error.to_string()))?;
    host::home::write_private(&dir.join(chain::FILE_NAME), &text)
        .map_err(|error| ErrorBody::new("not_written", error.to_string()))
}

/// Where apps meet this wallet: on the practice network its relay.
fn write_relays_file(dir: &Path, relay_url: &str) -> Result<(), ErrorBody> {
    let file = json!({ "relays": [relay_url] });
    host::home::write_private(&dir.join("relays.json"), file.to_string().as_bytes())
        .map_err(|error| ErrorBody::new("not_written", error.to_string()))
}

const CRASH_HOW: &str = "PILOTHOUSE_CRASH_HOW";

/// Debug builds pass a chosen fault point on to one program of ours.
fn crash_env(name: &str) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    match std::env::var_os(name) {
        Some(at) if cfg!(debug_assertions) => {
            let how = std::env::var_os(CRASH_HOW).map(|how| (CRASH_HOW.into(), how));
            std::iter::once(("PILOTHOUSE_CRASH_AT".into(), at)).chain(how).collect()
        }
        _ => Vec::new(),
    }
}

/// Asks the counterparty for a channel to our node; asking again changes nothing there.
async fn keep_joined(desk: Arc<Inner>) {
    loop {
        match join(&desk).await {
            Ok(()) => {
                tracing::info!("joined the practice network");
                return;
            }
            Err(error) => tracing::debug!(%error, "not joined yet"),
        }
        tokio::time::sleep(JOIN_RETRY).await;
    }
}

async fn join(desk: &Arc<Inner>) -> Result<(), ErrorBody> {
    let executor = host::ipc::Client::connect(desk.services.wallet_dir(), wire::SERVICE).await?;
    let info = executor.call(wire::method::INFO, Value::Null).await?;
    let network = practice::connect(&desk.home).await?;
    let name = desk.vault.pubkey().short();
    let join = json!({
        "node_id": info["node_id"], "address": info["listening_address"], "name": name,
    });
    network.call("join", join).await?;
    Ok(())
}
