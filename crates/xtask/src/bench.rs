//! `cargo xtask bench`: every figure of docs/benchmarks.md, measured on release builds.

mod figures;
mod page;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::house::House;
use crate::process;
use figures::Measured;

const PAGE: &str = "docs/benchmarks.md";
/// Scratch home below the build folder: on the disk that the repository is on.
const HOME: &str = "target/bench-home";
/// Each paid job is a Lightning payment, so fewer of them take as long.
const PAID: [&str; 4] = ["jobs", "--paid", "--jobs", "200"];

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    one: Option<One>,
    /// How often jobs, log and ui are measured; minimum, median and maximum are shown.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// The Rerun viewer's program, which the desk's start is compared with.
    #[arg(long, value_name = "PROGRAM")]
    peer: Option<PathBuf>,
    /// What else the figures depend on, for the table of the machine.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Writes the tables into docs/benchmarks.md; else they are only printed.
    #[arg(long)]
    record: bool,
}

/// One of them, as the JSON that it prints.
#[derive(Subcommand)]
enum One {
    /// Jobs per second over the practice relay.
    Jobs(Rest),
    /// The log beside bare SQLite and the raw disk.
    Log(Rest),
    /// The window's own work per frame.
    Ui(Rest),
    /// From start to first content, and at rest, beside a peer (`--peer PROGRAM`).
    Start(Rest),
}

#[derive(Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub fn run(root: &Path, bench: &Bench) -> anyhow::Result<()> {
    let house = House::release(root);
    house.build_programs()?;
    match &bench.one {
        None => all(&house, bench),
        Some(One::Jobs(Rest { rest })) => print(&house, "jobs", rest),
        Some(One::Log(Rest { rest })) => print(&house, "log", rest),
        Some(One::Ui(Rest { rest })) => print(&house, "ui", rest),
        Some(One::Start(Rest { rest })) => process::run(start(&house).args(rest)),
    }
}

fn print(house: &House, what: &str, rest: &[String]) -> anyhow::Result<()> {
    let mut command = desk(house);
    process::run(command.args(["bench", what]).args(rest))
}

/// All of them, one after another: nothing else may use the machine meanwhile.
fn all(house: &House, bench: &Bench) -> anyhow::Result<()> {
    let path = house.root.join(PAGE);
    let before = std::fs::read_to_string(&path)?;
    let machine = figures::machine(house, bench.note.as_deref())?;
    let several = |arguments: &[&str]| -> anyhow::Result<Vec<Value>> {
        let one = |time| {
            eprintln!("==> bench {} ({time} of {})", arguments.join(" "), bench.times.max(1));
            let mut command = desk(house);
            command.arg("--home").arg(house.root.join(HOME)).arg("bench").args(arguments);
            measure(&mut command)
        };
        (1..=bench.times.max(1)).map(one).collect()
    };
    let measured = Measured {
        free: several(&["jobs"])?,
        paid: several(&PAID)?,
        log: several(&["log"])?,
        ui: several(&["ui"])?,
        start: {
            eprintln!("==> bench start");
            let peer = bench.peer.iter().flat_map(|peer| ["--peer".as_ref(), peer.as_os_str()]);
            measure(start(house).args(peer))?
        },
    };
    std::fs::remove_dir_all(house.root.join(HOME)).context("removing the scratch home")?;
    let mut page = before;
    for (name, table) in [
        ("machine", machine),
        ("jobs", measured.jobs()?),
        ("log", measured.log()?),
        ("frames", measured.frames()?),
        ("start", measured.start()?),
    ] {
        println!("{table}\n");
        page = page::with(&page, name, &table)?;
    }
    if bench.record {
        std::fs::write(&path, page)?;
        eprintln!("{PAGE} has the new figures");
    }
    Ok(())
}

fn desk(house: &House) -> std::process::Command {
    let run = ["run", "--quiet", "--locked", "--release", "-p", "pilothouse", "--", "--json"];
    house.cargo(&house.root, run)
}

/// The program that looks at windows; it is not what is measured, so it is built as tests are.
fn start(house: &House) -> std::process::Command {
    let run = ["run", "--quiet", "--locked", "-p", "scenarios", "--bin", "start", "--"];
    house.cargo(&house.root, run)
}

/// The one JSON object that a command prints; its progress goes to our terminal.
fn measure(command: &mut std::process::Command) -> anyhow::Result<Value> {
    let said = process::output(command.stderr(Stdio::inherit()))?;
    serde_json::from_str(said.trim())
        .with_context(|| format!("{} wrote no JSON", process::shown(command)))
}
