//! Runs the practice network of one folder until it is asked to stop.

use clap::Parser;
use host::{
    ending,
    logging::{self, LogOptions},
};
use pilothouse_practice::{Options, Practice, relay::RelayConfig};
use std::{path::PathBuf, process::ExitCode};

/// PRACTICE: a private chain, a Lightning counterparty, a relay and a blob server on this computer.
/// Nothing in it has value.
#[derive(Debug, Parser)]
#[command(name = "pilothouse-practice", version)]
struct Arguments {
    /// Where everything is kept; deleting it loses nothing of value.
    #[arg(long)]
    dir: PathBuf,
    /// Start relay and blobs only.
    #[arg(long)]
    without_lightning: bool,
    /// Acknowledge events before they are on disk; for benchmarks.
    #[arg(long)]
    relay_no_fsync: bool,
    /// Stop when the standard input ends.
    #[arg(long)]
    exit_with_parent: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("pilothouse-practice: no threads could be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(arguments));
    runtime.shutdown_background();
    outcome
}

async fn run(arguments: Arguments) -> ExitCode {
    let log = arguments.dir.join("practice.log");
    let watched = arguments.exit_with_parent;
    let relay = RelayConfig { sync_before_ok: !arguments.relay_no_fsync, ..RelayConfig::default() };
    if let Err(error) = std::fs::create_dir_all(&arguments.dir)
        .and_then(|()| logging::start(&LogOptions { file: Some(&log), stderr: "info" }))
    {
        eprintln!("pilothouse-practice: no log in {}: {error}", arguments.dir.display());
        return ExitCode::FAILURE;
    }
    let options = Options {
        dir: arguments.dir,
        without_lightning: arguments.without_lightning,
        relay,
        ..Options::default()
    };
    let practice = match Practice::start(options).await {
        Ok(practice) => practice,
        Err(error) => {
            eprintln!("pilothouse-practice: {error}");
            tracing::error!(%error, "the practice network did not start");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", practice.address().display());
    let outcome = tokio::select! {
        () = practice.asked_to_stop() => ExitCode::SUCCESS,
        () = ending::signalled() => ExitCode::SUCCESS,
        () = parent_gone(watched) => ExitCode::SUCCESS,
        error = practice.failed() => {
            eprintln!("pilothouse-practice: {error}");
            tracing::error!(%error, "the practice network ends");
            ExitCode::FAILURE
        }
    };
    practice.stop().await;
    outcome
}

async fn parent_gone(watched: bool) {
    if watched {
        ending::parent_gone().await;
    } else {
        std::future::pending().await
    }
}
