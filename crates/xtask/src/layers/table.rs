//! The table as data: parsed, and refused where it contradicts itself.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Folders whose `Cargo.toml` is a workspace's root, relative to the repository's.
    pub workspaces: Vec<String>,
    /// From the bottom to the top.
    #[serde(rename = "layer")]
    pub layers: Vec<Layer>,
    #[serde(rename = "crate")]
    pub crates: BTreeMap<String, Entry>,
    pub pure: Pure,
    #[serde(rename = "hold")]
    pub holds: Vec<Hold>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    pub name: String,
    #[serde(default)]
    pub pure: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub folder: String,
    pub layer: String,
    /// Crates of the same layer that it may see all the same.
    #[serde(default)]
    pub siblings: Vec<String>,
    /// Where present, the whole list of this repository's crates that it may see.
    pub only: Option<Vec<String>>,
    /// What its tests may see beyond that.
    #[serde(default)]
    pub dev: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pure {
    /// Packages, where `x*` is all that start with `x`.
    pub crates: Vec<String>,
    /// Paths in code.
    pub names: Vec<String>,
}

/// A privilege: packages, and the crates that may depend on them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub what: Vec<String>,
    #[serde(default)]
    pub except: Vec<String>,
    pub by: Vec<String>,
    pub why: String,
}

impl Hold {
    pub fn covers(&self, package: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, package));
        any(&self.what) && !any(&self.except)
    }
}

impl Table {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let table: Self = toml::from_str(text)?;
        table.check()?;
        Ok(table)
    }

    /// A name that nothing bears would be a rule that never fires.
    fn check(&self) -> anyhow::Result<()> {
        for (name, entry) in &self.crates {
            if !self.layers.iter().any(|layer| layer.name == entry.layer) {
                bail!("{name} stands in layer {}, which is not listed", entry.layer);
            }
            let named = entry.siblings.iter().chain(entry.only.iter().flatten()).chain(&entry.dev);
            for other in named {
                ensure!(
                    self.crates.contains_key(other),
                    "{name} names {other}, which has no place"
                );
            }
            for sibling in &entry.siblings {
                let layer = &self.crates[sibling].layer;
                ensure!(
                    *layer == entry.layer,
                    "{sibling} is no sibling of {name}: it is in {layer}"
                );
                ensure!(
                    !self.crates[sibling].siblings.contains(name),
                    "{name} and {sibling} name each other: a circle"
                );
            }
        }
        for hold in &self.holds {
            for name in &hold.by {
                ensure!(self.crates.contains_key(name), "{name} holds something but has no place");
            }
        }
        Ok(())
    }

    pub fn is_pure(&self, package: &str) -> bool {
        let Some(entry) = self.crates.get(package) else { return false };
        self.layers.iter().any(|layer| layer.name == entry.layer && layer.pure)
    }

    /// How high a layer is. `check` has seen that every entry's layer is listed.
    pub fn height(&self, layer: &str) -> Option<usize> {
        self.layers.iter().position(|listed| listed.name == layer)
    }
}

/// `x*` matches what starts with `x`; all else matches itself. `_` and `-` are one to Cargo.
pub fn matches(pattern: &str, package: &str) -> bool {
    let package = package.replace('_', "-");
    let pattern = pattern.replace('_', "-");
    match pattern.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == pattern,
    }
}
