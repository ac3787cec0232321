//! The desk process: builds every part, joins them, and takes them apart again.

use domain::{BodyRef, ErrorBody, Network, RequestId};
use engine::{
    Command, Fact, Input, Query, Reply, State, View,
    view::{Answer, EventDetail, ProviderState, WalletState},
};
use host::{Core, CoreOptions, Home, HomeLock, Signer, ipc, logging};
use net::{Blossom, Egress};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicUsize, atomic::Ordering::Relaxed},
    time::Duration,
};
use store::{OpenOptions, Reader, RecentBodies, Store};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use vault::Vault;
use zeroize::Zeroizing;

use crate::{control, drivers, identity, port::Port, services::Services, storage};

/// How a desk is started.
#[derive(Debug)]
pub struct Options {
    pub home: Home,
    pub network: Network,
    pub practice_join: Option<PathBuf>,
    /// Only this relay: no wallet and no network of ours.
    pub relay_alone: Option<String>,
    /// Nothing on standard error but warnings (a window shows the rest).
    pub quiet: bool,
    /// Handed to the executor each time it starts.
    pub wallet_passphrase: Option<Passphrase>,
}

/// The wallet's, as the operator gave it at the start. Prints nothing.
pub struct Passphrase(pub Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

/// How long a command about offers waits for the look at this machine.
const PROBE_WITHIN: Duration = Duration::from_secs(20);

type DeskCore = Core<State, View>;
type Wake = Arc<dyn Fn() + Send + Sync>;

/// What the control socket, the window and the drivers share.
pub struct Inner {
    pub(crate) core: DeskCore,
    pub(crate) home: Home,
    pub(crate) network: Network,
    pub(crate) vault: Arc<Vault>,
    pub(crate) services: Services,
    pub(crate) egress: Egress,
    pub(crate) blossom: Blossom,
    reader: Mutex<Reader>,
    recent: RecentBodies,
    /// What this machine can execute was looked at since the start.
    pub(crate) backends_known: watch::Sender<bool>,
    /// Payments that the executor was not asked for yet, or has not answered for.
    pub(crate) payments_waiting: AtomicUsize,
    shutdown: Notify,
    wake: OnceLock<Wake>,
    /// Nothing was recorded before this start.
    pub(crate) is_first_start: bool,
}

/// A running desk.
pub struct Desk {
    inner: Arc<Inner>,
    tasks: JoinSet<()>,
    server: Option<ipc::Server>,
    _lock: HomeLock,
}

/// Opens the log of this home under the vault's key.
pub fn open_store(home: &Home, vault: &Vault) -> Result<Store, ErrorBody> {
    let options = OpenOptions { body_key: *vault.body_key() };
    Store::open(&home.join(storage::DATABASE), options)
        .map_err(|error| ErrorBody::new("log_not_opened", error.to_string()))
}

impl Desk {
    /// Starts everything; the provider stays offline until the operator goes online.
    pub async fn start(options: Options) -> Result<Self, ErrorBody> {
        let Options { home, network, practice_join, relay_alone, quiet, wallet_passphrase } =
            options;
        if network != Network::Practice && practice_join.is_some() {
            return Err(ErrorBody::refused(
                "bad_address",
                format!("A practice network is not joined on {network}; nothing was started."),
            ));
        }
        let lock = home.lock("pilothouse").map_err(crate::cli::home_error)?;
        let log = home.join("pilothouse.log");
        logging::start(&logging::LogOptions {
            file: Some(&log),
            stderr: if quiet { "error" } else { "warn" },
        })
        .map_err(|error| ErrorBody::new("home_not_usable", error.to_string()))?;
        if let Some(address) = &practice_join {
            crate::practice::remember_joined(&home, address)?;
        }
        let vault = Arc::new(identity::open_or_create(&home, network)?);
        let (core, recent) = spawn_core(&home, &vault)?;
        let reader = open_reader(&home, &vault)?;
        let is_first_start = core.view().borrow().log.events == 0;
        let egress = Egress::default();
        let inner = Arc::new(Inner {
            blossom: Blossom::new(egress.clone(), Arc::new(host::clock::now)),
            egress,
            services: Services::new(&home, wallet_passphrase),
            payments_waiting: AtomicUsize::new(0),
            core,
            home,
            network,
            vault,
            reader: Mutex::new(reader),
            recent,
            backends_known: watch::Sender::new(false),
            shutdown: Notify::new(),
            wake: OnceLock::new(),
            is_first_start,
        });
        inner.tell(Input::started(env!("CARGO_PKG_VERSION"), network)).await?;
        inner.tell(Input::Fact(Fact::Identity(identity::fact(&inner.vault)))).await?;
        inner.tell(Input::Fact(Fact::RelaysRecounted)).await?;
        inner.tell(Input::Fact(Fact::WalletRechecked)).await?;
        inner.forget_last_run().await?;
        let mut tasks = JoinSet::new();
        drivers::spawn(&inner, &mut tasks)?;
        match relay_alone {
            Some(url) => {
                inner.command(Command::RelayAdd { url }).await?;
            }
            None => crate::services::spawn(&inner, &mut tasks)?,
        }
        let handler = Arc::new(control::Control::new(Arc::clone(&inner)));
        let server = ipc::serve(inner.home.root(), control::SOCKET, handler)
            .map_err(|error| ErrorBody::new("no_control_socket", error.to_string()))?;
        Ok(Self { inner, tasks, server: Some(server), _lock: lock })
    }

    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// What the window holds; call inside the runtime.
    pub fn port(&self) -> Port {
        Port::new(Arc::clone(&self.inner))
    }

    /// Switches the provider on and waits until it is online.
    pub async fn go_online(&self, within: Duration) -> Result<(), ErrorBody> {
        if let Reply::Refused(error) = self.inner.command(Command::ProviderOnline).await? {
            return Err(error);
        }
        let mut views = self.inner.views();
        let online = views.wait_for(|view| view.provider.state == ProviderState::Online);
        match tokio::time::timeout(within, online).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ErrorBody::new("timed_out", "The provider did not come online.")),
        }
    }

    pub fn failure(&self) -> watch::Receiver<Option<ErrorBody>> {
        self.inner.core.failure()
    }

    /// Until somebody asked over the control socket to stop, or a part of the desk broke down:
    /// without it, effects would wait and nobody would know.
    pub async fn shutdown_asked_or_broken(&mut self) -> Result<(), ErrorBody> {
        let broken = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended.map_err(|error| error.to_string()) {
                    return ErrorBody::new(
                        "internal",
                        format!("A part of the desk broke: {error}."),
                    )
                    .hint("Nothing is lost: start it again, and what was open goes on.");
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = self.inner.shutdown.notified() => Ok(()),
            error = broken => Err(error),
        }
    }

    /// Stops the drivers, commits what waits, stops our programs.
    pub async fn stop(mut self) -> Result<(), ErrorBody> {
        let failed = self.inner.core.failure().borrow().clone();
        self.server.take();
        self.tasks.shutdown().await;
        self.inner.services.stop().await;
        self.inner.core.shutdown().await;
        failed.map_or(Ok(()), Err)
    }
}

fn spawn_core(home: &Home, vault: &Arc<Vault>) -> Result<(DeskCore, RecentBodies), ErrorBody> {
    let store = open_store(home, vault)?;
    let recent = store.recent_bodies();
    let signer = Arc::clone(vault);
    let options = CoreOptions {
        store,
        snapshot_schema: engine::SNAPSHOT_SCHEMA,
        view: Box::new(|state: &State, log, last| {
            let checkpoint = log.checkpoint.as_ref().map(|head| (head.size, head.at));
            let log = engine::LogPosition { events: log.position, last, checkpoint };
            engine::view_of(state, &log, host::clock::now())
        }),
        project: engine_rows,
        signer: Some(Signer {
            pubkey: vault.pubkey(),
            sign: Box::new(move |digest| signer.sign_digest(digest)),
        }),
    };
    let core = Core::spawn(options, engine::ADAPTERS)
        .map_err(|error| ErrorBody::new("log_not_opened", error.to_string()))?;
    Ok((core, recent))
}

/// The engine's rows in the store's words.
pub(crate) fn engine_rows(
    state: &State,
    event: &domain::Recorded<engine::Event>,
) -> Vec<store::ViewRow> {
    engine::project(state, event)
        .into_iter()
        .map(|row| store::ViewRow {
            table: row.table,
            key: row.key,
            sort_key: i64::try_from(row.sort.0).unwrap_or(i64::MAX),
            json: row.json,
        })
        .collect()
}

fn open_reader(home: &Home, vault: &Vault) -> Result<Reader, ErrorBody> {
    Reader::open(&home.join(storage::DATABASE), Some(&*vault.body_key()))
        .map_err(|error| ErrorBody::new("log_not_opened", error.to_string()))
}

impl Inner {
    pub fn view(&self) -> Arc<View> {
        self.core.view().borrow().clone()
    }

    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.core.view()
    }

    /// Brings a command; the answer comes after its commit.
    pub async fn command(&self, command: Command) -> Result<Reply, ErrorBody> {
        if matches!(command, Command::WalletAccept { .. }) {
            let waiting = self.payments_waiting.load(Relaxed);
            if waiting > 0 {
                return Ok(Reply::Refused(engine::still_open(waiting)));
            }
        }
        if about_offers(&command) {
            self.backends_looked_at().await;
        }
        self.command_at_once(command).await
    }

    /// The same, whether or not this machine was looked at.
    pub async fn command_at_once(&self, command: Command) -> Result<Reply, ErrorBody> {
        let changes_offers = about_offers(&command);
        let input = drivers::submit::complete(command)?;
        let reply = self.core.ask(input).await?;
        if changes_offers {
            self.tell(Input::Fact(Fact::WalletRechecked)).await?;
        }
        Ok(reply.unwrap_or(Reply::Done))
    }

    /// An offer depends on what this machine can execute: on a new desk, that takes a moment.
    async fn backends_looked_at(&self) {
        let mut known = self.backends_known.subscribe();
        let looked_at = known.wait_for(|known| *known);
        let _answered_by_the_machine = tokio::time::timeout(PROBE_WITHIN, looked_at).await;
    }

    /// Until the view is this run's: nobody may read the last run's "online" and "ready". Nothing
    /// reports yet, so a started desk is offline and knows nothing of its wallet.
    async fn forget_last_run(&self) -> Result<(), ErrorBody> {
        let mut views = self.views();
        let begun = views.wait_for(|view| {
            view.provider.state == ProviderState::Offline
                && view.wallet.state == WalletState::Unknown
        });
        match tokio::time::timeout(Duration::from_secs(30), begun).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(host::core::Stopped.into()),
            Err(_) => Err(ErrorBody::new("not_started", "The event loop did not start in time.")),
        }
    }

    /// Reports a fact that no effect waits for.
    pub async fn tell(&self, input: Input) -> Result<(), ErrorBody> {
        Ok(self.core.deliver(domain::Delivery::new(input)).await?)
    }

    /// Runs `read` on the log's reader, off the async threads.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Reader) -> Result<T, ErrorBody> + Send + 'static,
    ) -> Result<T, ErrorBody> {
        let inner = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            read(&inner.reader.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(|error| ErrorBody::new("internal", error.to_string()))?
    }

    /// The bytes of a body; one that was forgotten is an error.
    pub async fn body(self: &Arc<Self>, reference: &BodyRef) -> Result<Arc<[u8]>, ErrorBody> {
        if let Some(bytes) = self.recent.get(reference) {
            return Ok(bytes);
        }
        let reference = reference.clone();
        self.read(move |reader| {
            let body = reader.body(&reference).map_err(storage::error)?;
            body.map(|body| body.bytes)
                .ok_or_else(|| ErrorBody::new("body_gone", "The content was deleted."))
        })
        .await
    }

    pub async fn query(self: &Arc<Self>, query: Query) -> Answer {
        if let Query::JobResult { request_id } = query {
            let page = drivers::results::page(self, request_id).await;
            return page.map_or_else(Answer::Failed, Answer::JobResult);
        }
        if let Query::Wallet { method, params } = query {
            let said = drivers::wallet::pass_on(self, &method, params).await;
            return said.map_or_else(Answer::Failed, |value| Answer::Wallet { value });
        }
        self.read(move |reader| answer(reader, &query)).await.unwrap_or_else(Answer::Failed)
    }

    /// The newest rows of a paged view.
    pub async fn page<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        table: &'static str,
        count: u32,
    ) -> Result<Vec<T>, ErrorBody> {
        self.read(move |reader| storage::page(reader, table, None, count)).await
    }

    pub async fn job_row(self: &Arc<Self>, id: RequestId) -> Result<Option<Value>, ErrorBody> {
        self.read(move |reader| storage::job_row(reader, id)).await
    }

    /// The result of a bought job as text, where it is one that people can read.
    pub async fn result_text(self: &Arc<Self>, id: RequestId) -> Option<String> {
        drivers::results::text(self, id).await
    }

    /// Asks the executor for its newest balance and waits until the view has it.
    pub async fn refresh_wallet(&self) -> Result<(), ErrorBody> {
        drivers::wallet::refresh(self).await
    }

    pub fn ask_shutdown(&self) {
        self.shutdown.notify_one();
    }

    pub fn set_wake(&self, wake: Wake) {
        let _set_once = self.wake.set(wake);
    }

    pub fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    pub fn seed_words(&self) -> Result<Vec<String>, ErrorBody> {
        identity::words(&self.vault)
    }

    /// Changes what the operator says of the identity, and tells the log of it.
    pub async fn change_identity(
        self: &Arc<Self>,
        change: impl FnOnce(&Vault) -> Result<(), ErrorBody> + Send + 'static,
    ) -> Result<Reply, ErrorBody> {
        let vault = Arc::clone(&self.vault);
        let changed = tokio::task::spawn_blocking(move || {
            change(&vault)?;
            Ok::<_, ErrorBody>(identity::fact(&vault))
        });
        let fact =
            changed.await.map_err(|error| ErrorBody::new("internal", error.to_string()))??;
        self.tell(Input::Fact(Fact::Identity(fact))).await?;
        Ok(Reply::Done)
    }
}

fn about_offers(command: &Command) -> bool {
    matches!(command, Command::OfferSet(_) | Command::OfferRemove { .. })
}

fn answer(reader: &Reader, query: &Query) -> Result<Answer, ErrorBody> {
    let rows = |count: &u32| (*count).min(storage::MOST_ROWS);
    Ok(match query {
        Query::Log { from, count, filter: None } => Answer::Log {
            total: reader.last_position().map_err(storage::error)?,
            rows: storage::rows_from(reader, *from, rows(count))?,
        },
        Query::Log { count, filter: Some(filter), .. } => {
            let rows = storage::newest_rows(reader, rows(count), Some(filter))?;
            Answer::Log { total: rows.len() as u64, rows }
        }
        Query::Event { position } => {
            let detail = reader.event(*position).map_err(storage::error)?.ok_or_else(|| {
                ErrorBody::new("no_such_event", format!("There is no event {position}."))
            })?;
            let envelope = detail.event.envelope().map_err(storage::error)?;
            Answer::Event(EventDetail {
                row: storage::row(&detail.event)?,
                hash: detail.event.hash,
                prev: envelope.prev,
                cause: envelope.cause.map(|cause| cause.to_string()),
                pending_effects: detail.pending.iter().map(|row| row.id.to_string()).collect(),
                json: String::from_utf8_lossy(&detail.event.canonical).into_owned(),
            })
        }
        Query::Jobs { before, count } => {
            Answer::Jobs { jobs: storage::page(reader, engine::table::JOBS, *before, rows(count))? }
        }
        Query::Payments { before, count } => Answer::Payments {
            payments: storage::page(reader, engine::table::PAYMENTS, *before, rows(count))?,
        },
        Query::JobResult { .. } | Query::Wallet { .. } => {
            return Err(ErrorBody::new("internal", "BUG: this is not read by the log's reader"));
        }
    })
}
