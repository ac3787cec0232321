//! `cargo xtask ci`: everything that must hold before a change lands, with the time of each step.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::house::House;
use crate::{finding, layers, process, tidy};

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&House) -> anyhow::Result<()>,
}

/// In order: what is cheap and what others rest on comes first.
const STEPS: &[Step] = &[
    Step { name: "fmt", about: "formatting of both workspaces", run: fmt },
    Step { name: "layers", about: "who may see whom, who may hold what", run: check_layers },
    Step { name: "tidy", about: "budgets, house rules, licences", run: check_tidy },
    Step { name: "deny", about: "cargo-deny, where it is installed", run: deny },
    Step { name: "clippy", about: "lints of both workspaces, as errors", run: clippy },
    Step { name: "build", about: "all programs and tests", run: build },
    Step { name: "test", about: "unit and crate tests", run: test },
    Step { name: "test-wallet", about: "executor and practice network", run: test_wallet },
    Step { name: "spark", about: "the Spark process: the real package, a stand-in", run: spark },
    Step {
        name: "scenarios",
        about: "the real programs: demo, crashes, outside client",
        run: scenarios,
    },
];

pub fn list() {
    for Step { name, about, .. } in STEPS {
        println!("{name:<12} {about}");
    }
}

/// Runs the steps and stops at the first that fails; the table of times comes in either case.
pub fn run(root: &Path, only: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        bail!("no step is named {unknown}: see `cargo xtask ci --list`");
    }
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| only.is_empty() || only.iter().any(|name| name == step.name))
        .collect();
    let house = House::debug(root);
    let started = Instant::now();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut failed = None;
    for (at, step) in chosen.iter().enumerate() {
        eprintln!("\n==> {}/{} {}: {}", at + 1, chosen.len(), step.name, step.about);
        let begun = Instant::now();
        let outcome = (step.run)(&house).with_context(|| format!("step {}", step.name));
        times.push((step.name, begun.elapsed()));
        if let Err(error) = outcome {
            failed = Some(error);
            break;
        }
    }
    eprintln!();
    for (name, time) in &times {
        eprintln!("{name:<12} {:>8.1} s", time.as_secs_f64());
    }
    eprintln!("{:<12} {:>8.1} s", "all", started.elapsed().as_secs_f64());
    failed.map_or(Ok(()), Err)
}

/// Cargo in one workspace, told where the programs of both lie.
fn cargo<'a>(
    house: &House,
    workspace: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<()> {
    process::run(&mut house.cargo(workspace, arguments))
}

fn both(house: &House, arguments: &[&str]) -> anyhow::Result<()> {
    house.workspaces().iter().try_for_each(|at| cargo(house, at, arguments.iter().copied()))
}

/// One choice of tests, as nextest says it and as `cargo test` does.
///
/// Nextest filters a build of the whole workspace: choosing packages instead would resolve other
/// features and build much of it again.
struct Choice {
    nextest: &'static [&'static str],
    plain: &'static [&'static str],
}

const ALL: Choice = Choice { nextest: &[], plain: &["--workspace"] };
const NO_SCENARIOS: Choice = Choice {
    nextest: &["-E", "not package(scenarios)"],
    plain: &["--workspace", "--exclude", "scenarios"],
};
const SCENARIOS: Choice =
    Choice { nextest: &["-E", "package(scenarios)"], plain: &["-p", "scenarios"] };

/// Runs the chosen tests of one workspace.
fn run_tests(house: &House, workspace: &Path, choice: &Choice) -> anyhow::Result<()> {
    if process::succeeds(process::cargo(workspace).args(["nextest", "--version"])) {
        let run = ["nextest", "run", "--locked", "--workspace"];
        return cargo(house, workspace, run.iter().chain(choice.nextest).copied());
    }
    eprintln!("cargo-nextest is not installed: `cargo test` instead, without time-outs");
    let run = ["test", "--locked", "--bins", "--lib", "--tests"];
    cargo(house, workspace, run.iter().chain(choice.plain).copied())
}

fn fmt(house: &House) -> anyhow::Result<()> {
    both(house, &["fmt", "--all", "--check"])
}

fn check_layers(house: &House) -> anyhow::Result<()> {
    finding::report("layers", &layers::check_repository(&house.root)?)
}

fn check_tidy(house: &House) -> anyhow::Result<()> {
    finding::report("tidy", &tidy::check_repository(&house.root)?)
}

fn deny(house: &House) -> anyhow::Result<()> {
    if !process::succeeds(process::cargo(&house.root).args(["deny", "--version"])) {
        eprintln!("cargo-deny is not installed; tidy has held licences, bans and sources");
        return Ok(());
    }
    let policy = house.root.join("deny.toml");
    let policy = policy.to_str().context("the repository's path is no text")?;
    both(house, &["deny", "check", "--config", policy, "licenses", "bans", "sources"])
}

fn clippy(house: &House) -> anyhow::Result<()> {
    both(house, &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// Programs and tests in one go, so that both are built from the same features, once.
fn build(house: &House) -> anyhow::Result<()> {
    both(house, &["build", "--locked", "--workspace", "--bins", "--tests"])
}

fn test(house: &House) -> anyhow::Result<()> {
    run_tests(house, &house.root, &NO_SCENARIOS)
}

fn test_wallet(house: &House) -> anyhow::Result<()> {
    run_tests(house, &house.executor(), &ALL)
}

/// Python's own package registry is needed the first time.
fn spark(house: &House) -> anyhow::Result<()> {
    let folder = house.root.join("wallet/spark");
    process::run(&mut process::program(folder.join("test"), &folder))
}

fn scenarios(house: &House) -> anyhow::Result<()> {
    run_tests(house, &house.root, &SCENARIOS)
}
