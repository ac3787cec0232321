//! `cargo xtask ci`: everything that must hold before a change lands, with the time of each step.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{finding, layers, process, tidy};

/// The executor and the practice network: a workspace of their own (decision 0001).
const EXECUTOR: &str = "wallet/executor";

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
    let house = House::new(root);
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

/// The two workspaces and what the tests of one need to know of the other.
struct House {
    root: PathBuf,
    has_nextest: bool,
}

impl House {
    fn new(root: &Path) -> Self {
        let has_nextest = process::succeeds(process::cargo(root).args(["nextest", "--version"]));
        Self { root: root.to_path_buf(), has_nextest }
    }

    fn executor(&self) -> PathBuf {
        self.root.join(EXECUTOR)
    }

    fn workspaces(&self) -> [PathBuf; 2] {
        [self.root.clone(), self.executor()]
    }

    /// Where a workspace's programs are built: its own `target`, or the one that all share.
    fn programs(&self, workspace: &Path) -> PathBuf {
        let shared = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        shared
            .map_or_else(|| workspace.join("target"), |target| self.root.join(target))
            .join("debug")
    }

    /// Cargo in a workspace, told where the programs of both lie.
    fn cargo<'a>(
        &self,
        workspace: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<()> {
        let mut command = process::cargo(workspace);
        command.args(arguments);
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            command.env("CARGO_TARGET_DIR", self.root.join(target));
        }
        let program = format!("pilothouse{}", std::env::consts::EXE_SUFFIX);
        command.env("PILOTHOUSE_BIN", self.programs(&self.root).join(program));
        command.env("PILOTHOUSE_LIBEXEC", self.programs(&self.executor()));
        process::run(&mut command)
    }

    /// Tests of all members, or of those that a nextest filter or its counterpart chooses.
    fn test(&self, workspace: &Path, choice: &Choice) -> anyhow::Result<()> {
        let arguments: Vec<&str> = if self.has_nextest {
            let run = ["nextest", "run", "--locked", "--workspace"];
            run.into_iter().chain(choice.nextest.iter().copied()).collect()
        } else {
            eprintln!("cargo-nextest is not installed: `cargo test` instead, without time-outs");
            ["test", "--locked", "--bins", "--lib", "--tests"]
                .into_iter()
                .chain(choice.plain.iter().copied())
                .collect()
        };
        self.cargo(workspace, arguments)
    }
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

fn fmt(house: &House) -> anyhow::Result<()> {
    house.workspaces().iter().try_for_each(|at| house.cargo(at, ["fmt", "--all", "--check"]))
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
    let check = ["deny", "check", "--config", policy, "licenses", "bans", "sources"];
    house.workspaces().iter().try_for_each(|at| house.cargo(at, check))
}

fn clippy(house: &House) -> anyhow::Result<()> {
    let lint = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    house.workspaces().iter().try_for_each(|at| house.cargo(at, lint))
}

/// Programs and tests in one go, so that both are built from the same features, once.
fn build(house: &House) -> anyhow::Result<()> {
    let build = ["build", "--locked", "--workspace", "--bins", "--tests"];
    house.workspaces().iter().try_for_each(|at| house.cargo(at, build))
}

fn test(house: &House) -> anyhow::Result<()> {
    house.test(&house.root, &NO_SCENARIOS)
}

fn test_wallet(house: &House) -> anyhow::Result<()> {
    house.test(&house.executor(), &ALL)
}

fn scenarios(house: &House) -> anyhow::Result<()> {
    house.test(&house.root, &SCENARIOS)
}
