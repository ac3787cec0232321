//! `cargo xtask interop`: tests against programs of other people that take long to build.
//!
//! A Cashu mint (`cdk`, in `wallet/mint`) needs `protoc` and some minutes; its lock file is its own.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::house::House;
use crate::process;

const MINT: &str = "wallet/mint";
/// Where the executor's tests look for it.
const PROGRAM: &str = "PILOTHOUSE_PRACTICE_MINT";

/// Builds the mint and runs what needs it.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let house = House::debug(root);
    let folder = root.join(MINT);
    let protoc = std::env::var_os("PROTOC").unwrap_or_else(|| "protoc".into());
    ensure!(
        process::succeeds(process::program(&protoc, root).arg("--version")),
        "the mint is not built without protoc: install it (Debian: protobuf-compiler)"
    );
    let target = folder.join("target");
    let mut build = process::cargo(&folder);
    process::run(build.args(["build", "--locked"]).env("CARGO_TARGET_DIR", &target))
        .context("the practice mint")?;
    let name = format!("pilothouse-practice-mint{}", std::env::consts::EXE_SUFFIX);
    let tests = ["nextest", "run", "--locked", "--workspace", "--run-ignored", "all"];
    let chosen = tests.into_iter().chain(["-E", "binary(cashu_mint)"]);
    let mut tests = house.cargo(&house.executor(), chosen);
    process::run(tests.env(PROGRAM, target.join("debug").join(name)))
}
