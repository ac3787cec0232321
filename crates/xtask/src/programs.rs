//! Development commands that live in other packages; these only start them.

use std::path::Path;

use crate::house::House;
use crate::process;

/// The file is named from where the developer stands, so the program runs there too.
pub fn replay(root: &Path, file: &Path, until: Option<usize>) -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    let mut command = process::cargo(&here);
    command.args(["run", "--quiet", "--manifest-path"]).arg(root.join("Cargo.toml"));
    command.args(["-p", "scenarios", "--bin", "replay", "--"]).arg(file);
    if let Some(step) = until {
        command.args(["--until", &step.to_string()]);
    }
    process::run(&mut command)
}

/// Runs a binary of the `scenarios` package, with the real programs built before.
pub fn scenario(root: &Path, name: &str, rest: &[String]) -> anyhow::Result<()> {
    let house = House::debug(root);
    house.build_programs()?;
    let run = ["run", "--quiet", "--locked", "-p", "scenarios", "--bin", name, "--"];
    process::run(house.cargo(root, run).args(rest))
}
