//! The two workspaces, and where the programs of each lie once they are built.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The executor and the practice network: a workspace of their own (decision 0001).
const EXECUTOR: &str = "wallet/executor";

pub struct House {
    pub root: PathBuf,
    /// `debug` or `release`: which build of the programs what we start will find.
    profile: &'static str,
}

impl House {
    pub fn debug(root: &Path) -> Self {
        Self { root: root.to_path_buf(), profile: "debug" }
    }

    pub fn release(root: &Path) -> Self {
        Self { root: root.to_path_buf(), profile: "release" }
    }

    pub fn executor(&self) -> PathBuf {
        self.root.join(EXECUTOR)
    }

    pub fn workspaces(&self) -> [PathBuf; 2] {
        [self.root.clone(), self.executor()]
    }

    /// Cargo in a folder. What it starts is told where the desk and the other programs lie.
    pub fn cargo(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = process::cargo(folder);
        command.args(arguments);
        let shared = std::env::var_os("CARGO_TARGET_DIR").map(|target| self.root.join(target));
        let programs = |workspace: PathBuf| {
            shared.clone().unwrap_or_else(|| workspace.join("target")).join(self.profile)
        };
        let desk = format!("pilothouse{}", std::env::consts::EXE_SUFFIX);
        command.env("PILOTHOUSE_BIN", programs(self.root.clone()).join(desk));
        command.env("PILOTHOUSE_LIBEXEC", programs(self.executor()));
        if let Some(target) = &shared {
            command.env("CARGO_TARGET_DIR", target);
        }
        command
    }

    /// Builds the desk, the executor and the practice network.
    pub fn build_programs(&self) -> anyhow::Result<()> {
        let release = (self.profile == "release").then_some("--release");
        let desk = ["build", "--locked", "-p", "pilothouse"].into_iter().chain(release);
        process::run(&mut self.cargo(&self.root, desk))?;
        let others = ["build", "--locked", "--workspace", "--bins"].into_iter().chain(release);
        process::run(&mut self.cargo(&self.executor(), others))
    }
}
