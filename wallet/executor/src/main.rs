//! `pilothouse-wallet`: reads its arguments, serves, and says why it ended.

use clap::Parser;
use domain::Network;
use pilothouse_wallet::run::{RunOptions, run};
use std::{path::PathBuf, process::ExitCode};

/// The wallet executor: holds the money seed and its Lightning node. Started by the desk.
#[derive(Debug, Parser)]
#[command(name = "pilothouse-wallet", version)]
struct Args {
    /// The desk's home; the wallet's own files are in `wallet/` below it.
    #[arg(long)]
    home: PathBuf,
    #[arg(long, default_value = "practice")]
    network: Network,
    /// Read the vault's passphrase from this file descriptor.
    #[arg(long)]
    passphrase_fd: Option<u32>,
    /// End when standard input ends, which it does when the parent is gone.
    #[arg(long)]
    exit_with_parent: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = RunOptions {
        home: args.home,
        network: args.network,
        passphrase_fd: args.passphrase_fd,
        exit_with_parent: args.exit_with_parent,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("pilothouse-wallet: no threads could be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(options));
    // A blocked read of standard input must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pilothouse-wallet: {error}");
            ExitCode::from(error.exit as u8)
        }
    }
}
