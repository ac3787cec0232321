//! `up`: start the desk, with its window or headless.

use clap::Args;
use domain::{ErrorBody, ExitCode};
use engine::DeskPort;
use host::ending;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Runtime, sync::oneshot};

use super::{Context, runtime};
use crate::process::{Desk, Options, Passphrase};

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Without a window
    #[arg(long)]
    headless: bool,
    /// Join the practice network of another home; `practice status` there prints the address
    #[arg(long, value_name = "ADDRESS")]
    practice_join: Option<PathBuf>,
    /// Only this relay: no wallet, no practice network (for benchmarks)
    #[arg(long, hide = true, value_name = "URL")]
    relay: Option<String>,
    /// Draw every screen into this folder once the provider is online, then exit
    #[arg(long, hide = true, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Hand the first line of this file descriptor to the wallet as its passphrase
    #[arg(long, value_name = "FD")]
    wallet_passphrase_fd: Option<u32>,
    /// Exit when standard input closes (for programs that start a desk)
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

impl Up {
    /// What no noun means.
    pub fn window() -> Self {
        Self {
            headless: false,
            practice_join: None,
            relay: None,
            pictures: None,
            wallet_passphrase_fd: None,
            exit_with_parent: false,
        }
    }

    pub fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let runtime = runtime()?;
        let headless = self.headless || !ending::has_display();
        if headless && !self.headless {
            context.out.note("No display was found: running headless.");
        }
        let options = Options {
            home: context.home()?,
            network: context.network(),
            practice_join: self.practice_join,
            relay_alone: self.relay,
            quiet: !headless,
            wallet_passphrase: self.wallet_passphrase_fd.map(passphrase).transpose()?,
        };
        let mut desk = runtime.block_on(Desk::start(options))?;
        let ready = json!({ "ready": true, "home": desk.home().root() });
        context.out.result(&ready, || {
            format!("The desk runs in {}. Stop it with Ctrl-C.", desk.home().root().display())
        });
        let outcome = if let Some(dir) = &self.pictures {
            runtime.block_on(pictures(&desk, context, dir))
        } else if headless {
            runtime.block_on(stay(&mut desk, self.exit_with_parent))
        } else {
            let outcome;
            (desk, outcome) = beside_window(&runtime, desk, context, self.exit_with_parent)?;
            outcome
        };
        let stopped = runtime.block_on(desk.stop());
        runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        outcome.and(stopped)
    }
}

fn passphrase(fd: u32) -> Result<Passphrase, ErrorBody> {
    host::secret::of_descriptor(fd).map(Passphrase).map_err(|error| {
        ErrorBody::new("no_passphrase", format!("No passphrase was read: {error}."))
            .exit(ExitCode::Usage)
    })
}

/// Goes online, lets the wallet get ready, and draws what a window would show.
async fn pictures(desk: &Desk, context: &Context, dir: &Path) -> Result<(), ErrorBody> {
    let draw = context.shell.pictures.ok_or_else(|| {
        ErrorBody::new("no_pictures", "This build draws no pictures.")
            .hint("Build it with the feature `headless`.")
    })?;
    desk.go_online(Duration::from_secs(60)).await?;
    let port: Arc<dyn DeskPort> = Arc::new(desk.port());
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || draw(port, &dir))
        .await
        .map_err(|error| ErrorBody::new("internal", error.to_string()))?
        .map_err(|error| ErrorBody::new("no_pictures", error))
}

/// Shows the window on this thread while the desk listens to whoever else may end it.
fn beside_window(
    runtime: &Runtime,
    mut desk: Desk,
    context: &Context,
    exit_with_parent: bool,
) -> Result<(Desk, Result<(), ErrorBody>), ErrorBody> {
    let port = runtime.block_on(async { Arc::new(desk.port()) });
    let (close, closed) = oneshot::channel::<()>();
    let watched = Arc::clone(&port);
    let watch = runtime.spawn(async move {
        let told = tokio::select! {
            told = stay(&mut desk, exit_with_parent) => told,
            _ = closed => return (desk, Ok(())),
        };
        watched.end(told.clone());
        (desk, told)
    });
    let shown = (context.shell.window)(port).map_err(|error| {
        ErrorBody::new("no_window", format!("The window could not be opened: {error}"))
            .hint("Use `pilothouse up --headless`.")
    });
    let _ended_already = close.send(());
    let (desk, told) =
        runtime.block_on(watch).map_err(|error| ErrorBody::new("internal", error.to_string()))?;
    Ok((desk, shown.and(told)))
}

/// Until a signal, `stop`, the end of the parent, or a log that can't be written.
async fn stay(desk: &mut Desk, exit_with_parent: bool) -> Result<(), ErrorBody> {
    let mut failure = desk.failure();
    tokio::select! {
        ended = desk.shutdown_asked_or_broken() => ended,
        () = ending::signalled() => Ok(()),
        () = ending::parent_gone(), if exit_with_parent => Ok(()),
        failed = failure.wait_for(Option::is_some) => {
            let error = failed.ok().and_then(|error| error.clone());
            Err(error.unwrap_or_else(|| ErrorBody::new("stopped", "The event loop ended."))
                .exit(ExitCode::Failed))
        }
    }
}
