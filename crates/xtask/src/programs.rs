//! Development commands that live in other packages; these only start them.

use std::path::Path;

use clap::ValueEnum;

use crate::house::House;
use crate::process;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Bench {
    Jobs,
    Log,
    Ui,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Log => "log",
            Self::Ui => "ui",
        }
    }
}

/// The file is named from where the developer stands, so the program runs there too.
pub fn replay(root: &Path, file: &Path) -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    let mut command = process::cargo(&here);
    command.args(["run", "--quiet", "--manifest-path"]).arg(root.join("Cargo.toml"));
    command.args(["-p", "scenarios", "--bin", "replay", "--"]).arg(file);
    process::run(&mut command)
}

/// A figure counts only from a release build, of the executor and the practice network too.
pub fn bench(root: &Path, what: Bench, rest: &[String]) -> anyhow::Result<()> {
    let house = House::release(root);
    house.build_programs()?;
    let run = ["run", "--quiet", "--locked", "--release", "-p", "pilothouse", "--"];
    let mut command = house.cargo(root, run);
    process::run(command.args(["--json", "bench", what.name()]).args(rest))
}

/// Runs a binary of the `scenarios` package, with the real programs built before.
pub fn scenario(root: &Path, name: &str, rest: &[String]) -> anyhow::Result<()> {
    let house = House::debug(root);
    house.build_programs()?;
    let run = ["run", "--quiet", "--locked", "-p", "scenarios", "--bin", name, "--"];
    process::run(house.cargo(root, run).args(rest))
}
