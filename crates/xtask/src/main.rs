//! The habits of the house as commands: `cargo xtask layers|tidy|ci|interop|replay|bench|crash|soak`.

mod bench;
mod ci;
mod finding;
mod house;
mod interop;
mod layers;
mod metadata;
mod process;
mod programs;
mod source;
mod tidy;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The habits of the house", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Who may see whom, and who may hold what, in every workspace.
    Layers,
    /// The small standing budgets and the rules that no compiler checks.
    Tidy,
    /// Everything CI does, in its order, with the time each step took.
    Ci {
        /// Only these steps, by name.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// Names the steps and does nothing.
        #[arg(long)]
        list: bool,
    },
    /// Tests against programs of other people that take long to build: a Cashu mint.
    Interop,
    /// Steps through a history that the simulation saved.
    Replay {
        file: PathBuf,
        /// Stops before this step.
        #[arg(long, value_name = "STEP")]
        until: Option<usize>,
    },
    /// Builds release and measures: everything, or one thing.
    Bench(bench::Bench),
    /// The crash matrix in full: the real processes, killed at every committed step.
    Crash {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The long run: two real desks trade while processes are killed by chance (`--minutes N`).
    Soak {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let root = root()?;
    match task {
        Task::Layers => finding::report("layers", &layers::check_repository(&root)?),
        Task::Tidy => finding::report("tidy", &tidy::check_repository(&root)?),
        Task::Ci { list: true, .. } => {
            ci::list();
            Ok(())
        }
        Task::Ci { only, list: false } => ci::run(&root, &only),
        Task::Interop => interop::run(&root),
        Task::Replay { file, until } => programs::replay(&root, &file, until),
        Task::Bench(bench) => bench::run(&root, &bench),
        Task::Crash { rest } => programs::scenario(&root, "crash", &rest),
        Task::Soak { rest } => programs::scenario(&root, "soak", &rest),
    }
}

/// The repository: Cargo names this crate's folder to a program that it runs, two below the root.
fn root() -> anyhow::Result<PathBuf> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .context("run this as `cargo xtask`, so that Cargo says where the repository is")?;
    let root = own.ancestors().nth(2).context("crates/xtask stands two below the root")?;
    Ok(root.to_path_buf())
}
