//! What Cargo says of a workspace, reduced to what the checks ask.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::process;

#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Absent for a package of this repository.
    pub source: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `None` is a normal dependency.
    pub kind: Option<Kind>,
    /// Where it lies, for a package of this repository.
    pub path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Dev,
    Build,
}

/// The members alone, without resolving: needs neither a lock file nor a registry.
pub fn members(folder: &Path) -> anyhow::Result<Metadata> {
    load(folder, &["--no-deps"])
}

/// Members and everything that they link, on all platforms.
pub fn resolved(folder: &Path) -> anyhow::Result<Metadata> {
    load(folder, &["--locked"])
}

fn load(folder: &Path, flags: &[&str]) -> anyhow::Result<Metadata> {
    let mut command = process::cargo(folder);
    let json = process::output(command.args(["metadata", "--format-version", "1"]).args(flags))?;
    parse(&json).with_context(|| format!("metadata of {}", folder.display()))
}

pub fn parse(json: &str) -> anyhow::Result<Metadata> {
    Ok(serde_json::from_str(json)?)
}

/// Names of all packages that a crate links at any depth when it is built alone.
///
/// `cargo metadata` unites the features of all members, so it would blame a pure crate for what
/// only another crate switches on; `cargo tree` resolves for this crate.
pub fn reach(folder: &Path, package: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut command = process::cargo(folder);
    command.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package"]);
    let tree = process::output(command.args([package, "--format", "{p}"]))?;
    Ok(tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// `reach` of several packages of one workspace.
pub fn reaches<'a>(
    folder: &Path,
    packages: impl Iterator<Item = &'a str>,
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    packages.map(|package| Ok((package.to_owned(), reach(folder, package)?))).collect()
}
