//! The command line: a contract (nouns and verbs, `--json`, exit codes), written once.

pub(crate) mod demo;
mod doctor;
mod events;
mod identity;
mod job;
mod out;
mod practice;
mod provider;
mod receipts;
pub(crate) mod status;
mod up;
mod wallet;

use clap::{Args, Parser, Subcommand};
use domain::{ErrorBody, ExitCode, Network};
use engine::DeskPort;
use host::Home;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use out::Output;

/// What the composition root lends: the window, which this crate does not know.
#[derive(Clone, Copy)]
pub struct Shell {
    /// Opens the desk's window and returns when it was closed.
    pub window: fn(Arc<dyn DeskPort>) -> Result<(), String>,
    /// Measures the window's own work; arguments as `bench ui` got them.
    pub bench_ui: fn() -> Result<serde_json::Value, String>,
    /// Draws the running desk into PNG files; absent in a shipped build.
    pub pictures: Option<DrawPictures>,
}

/// Draws every screen of a running desk into a folder.
pub type DrawPictures = fn(Arc<dyn DeskPort>, &Path) -> Result<(), String>;

/// Runs AI agents on this machine, sells its work, buys others', and keeps you in charge.
#[derive(Debug, Parser)]
#[command(name = "pilothouse", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Option<Noun>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Folder of this desk [default: $PILOTHOUSE_HOME, else the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// practice (nothing of value), regtest, signet or mainnet
    #[arg(long, global = true, default_value = "practice", value_name = "NETWORK")]
    network: Network,
    /// One JSON object on standard output (streams: JSON lines)
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Sell and buy one job of each kind on the practice network, with receipts
    Demo(demo::Demo),
    /// Start the desk (the window, or --headless)
    Up(up::Up),
    /// Stop the running desk
    Stop,
    /// What the running desk is doing
    Status,
    /// Wait for a condition: provider=online, job=ID:STATE, payment=KEY:STATE, balance>=MSAT, idle
    Wait(status::Wait),
    /// The Nostr identity of this desk
    #[command(subcommand)]
    Identity(identity::Identity),
    /// The wallet: balance, receive, pay, history
    #[command(subcommand)]
    Wallet(wallet::Wallet),
    /// The practice network's counterparty
    #[command(subcommand)]
    Practice(practice::Practice),
    /// Sell this machine's work
    #[command(subcommand)]
    Provider(provider::Provider),
    /// Buy work
    #[command(subcommand)]
    Job(job::Job),
    /// The event log
    #[command(subcommand)]
    Events(events::Events),
    /// Signed records of what was sold and bought
    #[command(subcommand)]
    Receipts(receipts::Receipts),
    /// What is missing on this machine, and how to get it
    Doctor,
    /// Measure: jobs, log or ui
    Bench(crate::bench::Bench),
}

/// What every command gets.
pub(crate) struct Context {
    pub global: Global,
    pub out: Output,
    pub shell: Shell,
}

impl Context {
    pub fn home(&self) -> Result<Home, ErrorBody> {
        let root = match &self.global.home {
            Some(root) => root.clone(),
            None => Home::default_root().map_err(home_error)?,
        };
        Home::open(root).map_err(home_error)
    }

    pub fn network(&self) -> Network {
        self.global.network
    }

    /// A connection to the running desk of this home.
    pub async fn desk(&self) -> Result<host::ipc::Client, ErrorBody> {
        host::ipc::Client::connect(self.home()?.root(), crate::control::SOCKET).await
    }
}

pub(crate) fn home_error(error: host::HomeError) -> ErrorBody {
    let code = match &error {
        host::HomeError::InUse(_) => "home_in_use",
        host::HomeError::Unknown | host::HomeError::Io { .. } => "home_not_usable",
    };
    ErrorBody::new(code, error.to_string())
}

/// The grammar of the command line, for those who name its commands elsewhere.
pub fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses the process's arguments, does what they ask, and gives the exit code.
pub fn run(shell: Shell) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _closed = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done };
        }
    };
    let context = Context { out: Output::new(cli.global.json), global: cli.global, shell };
    let noun = cli.noun.unwrap_or_else(|| Noun::Up(up::Up::window()));
    let outcome = match noun {
        Noun::Up(up) => up.run(&context),
        other => runtime().and_then(|runtime| runtime.block_on(dispatch(other, &context))),
    };
    match outcome {
        Ok(()) => ExitCode::Done,
        Err(error) => {
            context.out.error(&error);
            error.exit
        }
    }
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, ErrorBody> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ErrorBody::new("internal", error.to_string()))
}

async fn dispatch(noun: Noun, context: &Context) -> Result<(), ErrorBody> {
    match noun {
        Noun::Up(_) => Err(ErrorBody::new("internal", "BUG: `up` has its own runtime")),
        Noun::Demo(demo) => demo.run(context).await,
        Noun::Stop => status::stop(context).await,
        Noun::Status => status::status(context).await,
        Noun::Wait(wait) => wait.run(context).await,
        Noun::Identity(identity) => identity.run(context).await,
        Noun::Wallet(wallet) => wallet.run(context).await,
        Noun::Practice(practice) => practice.run(context).await,
        Noun::Provider(provider) => provider.run(context).await,
        Noun::Job(job) => job.run(context).await,
        Noun::Events(events) => events.run(context).await,
        Noun::Receipts(receipts) => receipts.run(context),
        Noun::Doctor => doctor::run(context).await,
        Noun::Bench(bench) => bench.run(context).await,
    }
}
