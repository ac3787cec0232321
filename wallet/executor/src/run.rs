//! One run of the executor, from the lock on its home to the last checkpoint.

use domain::{ErrorBody, ExitCode, Network};
use host::{Core, CoreOptions, Home, HomeError, HomeLock, core::Signer, ipc, logging};
use ldk_node::bip39::Mnemonic;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{OpenOptions, Store};
use tokio::task::JoinSet;
use vault::{PassphraseSource, Vault};
use wallet::{Wallet, io::ADAPTER, wire::SERVICE};
use zeroize::Zeroizing;

use crate::{
    attach::attach,
    backend::Backend,
    backup::{
        files::{self, Here},
        keeper::Keeper,
        restore,
    },
    custody::{self, Guard, Opened},
    house::{House, Tide},
    ldk::{LdkBackend, Options},
    nwc::{self, keys::KeyMaker, manage::Door, service::Service},
    secret::{self, InvoiceSecret},
    server::Calls,
};

pub(crate) const LOG: &str = "wallet.db";
/// Names the shape of the machine's state in snapshots.
const SNAPSHOT_SCHEMA: &str = "wallet 4";
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What the command line chose.
#[derive(Debug)]
pub struct RunOptions {
    /// The desk's home; the executor's own is `wallet/` in it.
    pub home: PathBuf,
    pub network: Network,
    pub passphrase_fd: Option<u32>,
    pub exit_with_parent: bool,
    /// The wallet's folder was moved here, and there is no other one.
    pub moved: bool,
}

/// Serves until it is asked to end.
pub async fn run(options: RunOptions) -> Result<(), ErrorBody> {
    let home = Home::open(&options.home).and_then(|home| home.sub("wallet")).map_err(in_home)?;
    let _lock: HomeLock = home.lock(SERVICE).map_err(in_home)?;
    logging::start(&logging::LogOptions { file: Some(&home.join("wallet.log")), stderr: "warn" })
        .map_err(|error| {
        ErrorBody::new("log_file", format!("The log file cannot be opened: {error}."))
    })?;
    restore::check_whole(home.root())?;
    check_here(&home, &options)?;
    let limits = first_limits(options.network);
    let Some(Opened { vault, proved }) = custody::open(&home, &options).await? else {
        return Ok(());
    };
    let mnemonic: Mnemonic = vault
        .words()
        .parse()
        .map_err(|_| ErrorBody::new("bad_seed", "The vault's words are not a BIP-39 seed."))?;
    let mut store = open_store(&home.join(LOG), &vault)?;
    let keeper = Keeper::open(home.root(), LOG, options.network, Arc::clone(&vault), &mut store)?;
    let keeper = Arc::new(keeper);
    let house = Arc::new(House::<LdkBackend>::new(
        start_core(store, &vault)?,
        InvoiceSecret::new(vault.derive(secret::LABEL)),
    ));
    watch_for_the_end(&house, options.exit_with_parent);
    let keys = KeyMaker::new(vault.derive(nwc::keys::LABEL));
    let calls = Arc::new(Calls {
        house: Arc::clone(&house),
        network: options.network,
        custody: Guard::new(Arc::clone(&vault), proved),
        words: { Box::new(move || vault.words()) },
        keeper: Some(Arc::clone(&keeper)),
        backup: None,
    });
    let service = Arc::new(Service::new(Arc::clone(&calls), keys, home.root().to_owned()));
    let apps = tokio::spawn(Arc::clone(&service).run());
    let server =
        ipc::serve(home.root(), SERVICE, Arc::new(Door { calls, service })).map_err(|error| {
            ErrorBody::new("socket", format!("The local socket cannot be opened: {error}."))
        })?;
    let node = Options {
        network: options.network,
        dir: home.join("node"),
        chain_dir: home.root().to_owned(),
        runtime: tokio::runtime::Handle::current(),
    };
    let node = NodeStart { options: node, mnemonic, keeper };
    let served = serve(&house, server, node, options.network, limits).await;
    apps.abort();
    house.core.shutdown().await;
    tracing::info!("the wallet has ended");
    served
}

/// What is restored, and where to.
#[derive(Debug)]
pub struct RestoreOptions {
    pub home: PathBuf,
    pub network: Network,
    pub passphrase_fd: Option<u32>,
    pub from: Option<PathBuf>,
    pub words_fd: u32,
    /// `HEIGHT:HASH`.
    pub birthday: Option<String>,
}

/// Brings a wallet back into a home without one; its report as JSON. Nothing is started.
pub async fn restore(options: RestoreOptions) -> Result<String, ErrorBody> {
    let birthday = options.birthday.as_deref().map(restore::parse_birthday).transpose();
    let birthday = birthday.map_err(|why| {
        ErrorBody::refused("bad_birthday", why).hint("Nothing was restored.").exit(ExitCode::Usage)
    })?;
    let home = Home::open(&options.home).and_then(|home| home.sub("wallet")).map_err(in_home)?;
    let _lock: HomeLock = home.lock(SERVICE).map_err(in_home)?;
    let words = read_secret(options.words_fd)?;
    let passphrase = match options.passphrase_fd {
        Some(fd) => PassphraseSource::Given(read_secret(fd)?),
        None if options.network == Network::Practice => PassphraseSource::Generate,
        // A passphrase that is made here would have to be shown; the keychain needs none.
        None => PassphraseSource::Ask(Box::new(|| None)),
    };
    let runtime = tokio::runtime::Handle::current();
    let restored = tokio::task::spawn_blocking(move || {
        restore::restore(restore::Restore {
            home: home.root(),
            log: LOG,
            network: options.network,
            from: options.from.as_deref(),
            words,
            birthday,
            passphrase,
            runtime,
        })
    });
    let report = restored.await.map_err(|error| {
        ErrorBody::new("not_restored", format!("The restore broke off: {error}."))
    })??;
    serde_json::to_string_pretty(&report)
        .map_err(|error| ErrorBody::new("internal", error.to_string()))
}

/// Starts the node, lets the pumps run until the end is asked for, and stops the node. Callers are
/// let go first: a node may take long to stop, and there is no answer that holds any more.
async fn serve(
    house: &Arc<House<LdkBackend>>,
    server: ipc::Server,
    node: NodeStart,
    network: Network,
    limits: safety::SpendLimits,
) -> Result<(), ErrorBody> {
    let started = tokio::select! {
        started = start_node(house, node) => started?,
        () = house.ended() => return Ok(()),
    };
    let backend = Arc::new(started);
    let mut failure = house.core.failure();
    let served = match attach(house, Arc::clone(&backend), network, limits).await {
        Err(error) => Err(error),
        Ok(pumps) => {
            tracing::info!(node_id = backend.node_id(), "the wallet is up");
            let outcome = tokio::select! {
                () = house.ended() => Ok(()),
                why = backend.failed() => Err(ErrorBody::new("node", why)
                    .hint("Free some disk space; what was committed before is safe.")),
                failed = failure.wait_for(Option::is_some) => {
                    Err(failed.ok().and_then(|error| error.clone()).unwrap_or_else(|| host::core::Stopped.into()))
                }
            };
            stop_pumps(pumps).await;
            outcome
        }
    };
    drop(server);
    let stopping = tokio::task::spawn_blocking(move || backend.stop());
    if tokio::time::timeout(STOP_WITHIN, stopping).await.is_err() {
        tracing::error!("the node did not stop in time");
    }
    served
}

async fn stop_pumps(mut pumps: JoinSet<()>) {
    pumps.shutdown().await;
}

/// What the node is started with.
struct NodeStart {
    options: Options,
    mnemonic: Mnemonic,
    keeper: Arc<Keeper>,
}

/// Tries until the chain source answers and the backup's folder is there; meanwhile `info` says why
/// it does not start.
async fn start_node(house: &House<LdkBackend>, node: NodeStart) -> Result<LdkBackend, ErrorBody> {
    let node = Arc::new(node);
    let mut pause = FIRST_PAUSE;
    loop {
        let tried = Arc::clone(&node);
        let opened = tokio::task::spawn_blocking(move || {
            LdkBackend::open_kept(&tried.options, &tried.mnemonic, Some(&tried.keeper))
        });
        let opened = opened.await;
        match opened {
            Ok(Ok(backend)) => {
                house.trouble.send_replace(None);
                return Ok(backend);
            }
            Ok(Err(error)) if error.is_temporary() => {
                tracing::warn!(%error, "the node is started again soon");
                house.trouble.send_replace(Some(error.to_string()));
            }
            Ok(Err(error)) => return Err(ErrorBody::new("node", error.to_string())),
            Err(error) => {
                return Err(ErrorBody::new("node", format!("the node's start broke off: {error}")));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What holds until the operator sets limits; from then on the log's hold.
fn first_limits(network: Network) -> safety::SpendLimits {
    match network {
        Network::Practice | Network::Regtest => safety::SpendLimits::PRACTICE,
        Network::Signet | Network::Mainnet => safety::SpendLimits::CAREFUL,
    }
}

fn in_home(error: HomeError) -> ErrorBody {
    match error {
        HomeError::InUse(path) => ErrorBody::refused(
            "in_use",
            format!("Another wallet process uses {} already. Nothing was started.", path.display()),
        )
        .hint("One process owns a wallet: stop the other one first."),
        other => ErrorBody::new("home", other.to_string()),
    }
}

fn read_secret(fd: u32) -> Result<Zeroizing<String>, ErrorBody> {
    host::secret::of_descriptor(fd).map_err(|error| {
        ErrorBody::new(
            "passphrase",
            format!("A secret cannot be read from file descriptor {fd}: {error}."),
        )
        .exit(ExitCode::Usage)
    })
}

/// A wallet's folder that was copied may be the older of two: channels start only where nobody can
/// have gone on meanwhile. A strict backup's folder says so itself when the node starts.
fn check_here(home: &Home, options: &RunOptions) -> Result<(), ErrorBody> {
    let failed = |error: std::io::Error| ErrorBody::new("home", error.to_string());
    let found = files::here(home.root()).map_err(failed)?;
    let kept: Option<files::Settings> = files::read(home.root(), files::SETTINGS)?;
    let strict = kept.is_some_and(|kept| kept.policy == wallet::backup::Policy::Strict);
    let of_value = options.network != Network::Practice;
    match found {
        Here::Same => return Ok(()),
        Here::Copied if of_value && !strict && !options.moved => {
            return Err(ErrorBody::refused(
                "copied_wallet",
                "This wallet's folder was copied or moved here from another disk. Nothing was \
                 started: if the other one has gone on since, starting this one loses the money in \
                 its channels.",
            )
            .hint(
                "If it was moved and there is no other one, start it once with --moved. Else restore \
                 it from its backup.",
            ));
        }
        Here::Copied => tracing::warn!("this wallet's folder was copied or moved here"),
        Here::New => {}
    }
    files::mark_here(home.root()).map_err(failed)
}

fn start_core(store: Store, vault: &Arc<Vault>) -> Result<Core<Wallet, Tide>, ErrorBody> {
    let signer = Arc::clone(vault);
    let options = CoreOptions {
        store,
        snapshot_schema: SNAPSHOT_SCHEMA,
        view: Box::new(|wallet: &Wallet, _, _| Tide { cursor: wallet.cursor() }),
        project: |_, _| Vec::new(),
        signer: Some(Signer {
            pubkey: vault.pubkey(),
            sign: Box::new(move |digest| signer.sign_digest(digest)),
        }),
    };
    Core::spawn(options, &[ADAPTER]).map_err(|error| {
        ErrorBody::new("log", format!("The wallet's log cannot be read: {error}."))
            .hint("Restore the newest backup of the log; nothing was changed.")
    })
}

fn open_store(path: &Path, vault: &Vault) -> Result<Store, ErrorBody> {
    Store::open(path, OpenOptions { body_key: *vault.body_key() }).map_err(|error| {
        ErrorBody::new("log", format!("The wallet's log cannot be opened: {error}."))
    })
}

/// A signal, and the end of who started us where that was asked for.
fn watch_for_the_end(house: &Arc<House<LdkBackend>>, exit_with_parent: bool) {
    let asked = Arc::clone(house);
    tokio::spawn(async move {
        custody::asked_to_end(exit_with_parent).await;
        asked.end();
    });
}
