//! `cargo xtask tidy`: the rules that no compiler checks, and the small standing budgets.

mod budget;
mod code;
mod licences;
mod manifests;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use crate::finding::Finding;
use crate::metadata;
use crate::source;
use crate::tree::Tree;
use budget::Budget;

const BUDGET: &str = "crates/xtask/budget.toml";
const POLICY: &str = "deny.toml";

/// Everything that tidy knows about the repository at `root`.
pub fn check_repository(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let tree = Tree::of_repository(root)?;
    let budget = Budget::parse(&read(root, BUDGET)?).with_context(|| BUDGET.to_owned())?;
    let mut findings = check_tree(&tree, &budget)?;

    let policy =
        licences::Policy::parse(&read(root, POLICY)?).with_context(|| POLICY.to_owned())?;
    let mut linked = BTreeMap::new();
    for lock in &budget.locks {
        let folder = root.join(&lock.file);
        let folder = folder.parent().context("a lock file lies in a folder")?;
        for package in metadata::resolved(folder)?.packages {
            linked.insert((package.name.clone(), package.version.clone()), package);
        }
    }
    findings.extend(policy.check(linked.values()));
    Ok(findings)
}

/// What can be said of the files alone.
fn check_tree(tree: &Tree, budget: &Budget) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for source in source::load(tree)? {
        findings.extend(code::check(&source, budget));
    }
    findings.extend(manifests::check(tree, budget)?);
    findings.extend(texts::check(tree, budget)?);
    Ok(findings)
}

fn read(root: &Path, path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("read {path}"))
}

#[cfg(test)]
mod tests;
