//! `pilothouse-wallet`: reads its arguments, serves, and says why it ended.

use clap::{Parser, Subcommand};
use domain::{ErrorBody, Network};
use pilothouse_wallet::run::{RestoreOptions, RunOptions, restore, run};
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
    /// Read the vault's passphrase from the first line of this file descriptor. Without it, the
    /// credential `pilothouse-wallet-passphrase` is looked for in $CREDENTIALS_DIRECTORY.
    #[arg(long)]
    passphrase_fd: Option<u32>,
    /// End when standard input ends, which it does when the parent is gone.
    #[arg(long)]
    exit_with_parent: bool,
    /// The wallet's folder was moved here from another disk, and there is no other copy of it.
    #[arg(long)]
    moved: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a wallet back into an empty home, and end. Says as JSON what came back.
    Restore {
        /// The backup's folder; without it only the money on the chain comes back.
        #[arg(long)]
        from: Option<PathBuf>,
        /// Read the words from this file descriptor.
        #[arg(long)]
        words_fd: u32,
        /// HEIGHT:HASH, as it was shown beside the words: where the chain is read from.
        #[arg(long, conflicts_with = "from")]
        birthday: Option<String>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = host::harden::harden() {
        eprintln!("pilothouse-wallet: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("pilothouse-wallet: no threads could be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(start(args));
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

async fn start(args: Args) -> Result<(), ErrorBody> {
    let Args { home, network, passphrase_fd, exit_with_parent, moved, command } = args;
    match command {
        None => run(RunOptions { home, network, passphrase_fd, exit_with_parent, moved }).await,
        Some(Command::Restore { from, words_fd, birthday }) => {
            let options = RestoreOptions { home, network, passphrase_fd, from, words_fd, birthday };
            println!("{}", restore(options).await?);
            Ok(())
        }
    }
}
