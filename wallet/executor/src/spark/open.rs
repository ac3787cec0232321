//! Starting the Spark process, and waiting until it knows whose wallet it is.

use domain::{ErrorBody, ExitCode, Network};
use host::{
    Home,
    supervise::{FirstLine, Program, Supervisor},
};
use serde::Serialize;
use serde_json::json;
use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::Instant};
use zeroize::Zeroizing;

use super::{
    adapter::SparkBackend,
    convert::{Info, PROTOCOL},
    link::Link,
};

const UP_WITHIN: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const ASK_WITHIN: Duration = Duration::from_secs(5);
const MOST_SECRETS_BYTES: usize = 16 * 1024;

/// Where the process lies and whose it is.
#[derive(Clone, Debug)]
pub struct Options {
    pub network: Network,
    /// The process's own folder: storage, journal, socket, lock.
    pub folder: PathBuf,
    /// What is started, and with what; never a secret.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub runtime: Handle,
}

/// What the process is told on its standard input.
pub struct Secrets {
    pub words: Zeroizing<String>,
    /// Needed on the mainnet.
    pub api_key: Option<Zeroizing<String>>,
}

/// Why there is no Spark wallet.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("Spark has a mainnet and Lightspark's hosted regtest, and no {0}; nothing was started")]
    Network(Network),
    #[error(
        "the Spark environment is not there ({0}), so nothing was started: run wallet/spark/setup"
    )]
    NoEnvironment(PathBuf),
    #[error("the Spark wallet's folder cannot be used: {0}")]
    Folder(#[from] host::HomeError),
    #[error("the Spark environment is of another version of this program: run wallet/spark/setup")]
    OtherVersion,
    #[error("the Spark wallet does not open: {0}")]
    Refused(ErrorBody),
    #[error("the Spark process does not come up: {0}")]
    NotUp(String),
}

impl OpenError {
    /// Whether another try may go better without anyone doing something.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::NotUp(_))
    }
}

impl Options {
    /// The process of the environment that `wallet/spark/setup` makes in `<dir>/env`; its own
    /// folder is `<dir>/process`.
    pub fn installed(network: Network, dir: PathBuf, runtime: Handle) -> Self {
        let folder = dir.join("process");
        let args = ["-I", "-m", "pilothouse_spark", "serve", "--dir"].map(OsString::from);
        let args = args.into_iter().chain([folder.clone().into_os_string()]).collect();
        Self { network, folder, program: dir.join("env/bin/python"), args, runtime }
    }
}

impl SparkBackend {
    /// Starts the process and waits until it says whose wallet it is. Blocks, outside the runtime.
    pub fn open(options: &Options, secrets: Secrets) -> Result<Self, OpenError> {
        if !matches!(options.network, Network::Regtest | Network::Mainnet) {
            return Err(OpenError::Network(options.network));
        }
        if !options.program.is_file() {
            return Err(OpenError::NoEnvironment(options.program.clone()));
        }
        let folder = Home::open(&options.folder)?;
        let program = Program {
            name: "spark",
            path: options.program.clone(),
            args: options.args.clone(),
            output: folder.join("process.log"),
            env: Vec::new(),
        };
        let _inside = options.runtime.enter();
        let supervisor = Supervisor::start_telling(program, first_line(options.network, secrets));
        let link = Arc::new(Link::new(folder.root()));
        match options.runtime.block_on(identity(&link, &supervisor)) {
            Ok(info) => {
                let journal = folder.join("journal.db");
                Ok(Self::new(link, supervisor, info, journal, options.runtime.clone()))
            }
            Err(error) => {
                options.runtime.block_on(supervisor.stop());
                Err(error)
            }
        }
    }
}

/// `{"network", "words", "passphrase", "api_key"}`, made at each start of the process.
fn first_line(network: Network, secrets: Secrets) -> FirstLine {
    #[derive(Serialize)]
    struct Hello<'a> {
        network: &'static str,
        words: &'a str,
        passphrase: Option<&'a str>,
        api_key: Option<&'a str>,
    }
    Arc::new(move || {
        let hello = Hello {
            network: network.as_str(),
            words: &secrets.words,
            passphrase: None,
            api_key: secrets.api_key.as_deref().map(String::as_str),
        };
        // Never grown, so that no copy of it stays behind.
        let mut line = Vec::with_capacity(MOST_SECRETS_BYTES);
        if let Err(error) = serde_json::to_writer(&mut line, &hello) {
            tracing::error!(%error, "the Spark process cannot be told its words");
        }
        line.push(b'\n');
        line
    })
}

/// Until the wallet of the words is open; the operators need not answer for that.
async fn identity(link: &Link, supervisor: &Supervisor) -> Result<Info, OpenError> {
    let until = Instant::now() + UP_WITHIN;
    let mut why = String::from("it did not answer in time");
    while Instant::now() < until {
        match link.call::<_, Info>("info", &json!({}), ASK_WITHIN).await {
            Ok(info) if info.protocol != PROTOCOL => return Err(OpenError::OtherVersion),
            Ok(Info { trouble: Some(trouble), .. }) if trouble.exit == ExitCode::Refused => {
                return Err(OpenError::Refused(trouble));
            }
            Ok(Info { trouble: Some(trouble), .. }) => why = trouble.message,
            Ok(info) if info.is_connected() => return Ok(info),
            Ok(_) => {}
            Err(error) => why = error.into_text(),
        }
        if let Some(ended) = supervisor.status().borrow().detail.clone() {
            why = ended;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(OpenError::NotUp(why))
}
