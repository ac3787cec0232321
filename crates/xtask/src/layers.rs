//! `cargo xtask layers`: arrows only point down, and each privilege has one holder.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;

use crate::finding::Finding;
use crate::metadata::{self, Kind, Package};
use crate::source::{self, Node, Source};
use crate::tree::Tree;
use table::{Entry, Hold, Pure, Table};

/// Where the table stands.
const TABLE: &str = "crates/xtask/layers.toml";

/// Checks every workspace that the table names, and that no crate stands outside them.
pub fn check_repository(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let text =
        std::fs::read_to_string(root.join(TABLE)).with_context(|| format!("read {TABLE}"))?;
    let table = Table::parse(&text).with_context(|| format!("{TABLE} does not hold together"))?;
    let tree = Tree::of_repository(root)?;

    let mut packages = Vec::new();
    let mut reaches = BTreeMap::new();
    for workspace in &table.workspaces {
        let folder = root.join(workspace);
        let members = metadata::members(&folder)?.packages;
        let pure =
            members.iter().map(|package| package.name.as_str()).filter(|name| table.is_pure(name));
        reaches.extend(metadata::reaches(&folder, pure)?);
        packages.extend(members);
    }
    let mut findings = check_packages(&table, root, &packages);
    findings.extend(check_membership(&tree, root, &packages)?);
    for (package, reach) in &reaches {
        findings.extend(check_reach(&table, package, reach));
    }
    findings.extend(check_names(&table, &source::load(&tree)?));
    Ok(findings)
}

/// Each crate against its entry: its folder, whom it sees, what it holds.
fn check_packages(table: &Table, root: &Path, packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let at = relative(root, &package.manifest_path);
        let Some(entry) = table.crates.get(&package.name) else {
            let text = format!("{} has no place: give it one in {TABLE}", package.name);
            findings.push(Finding::new(at, "place", text));
            continue;
        };
        if at != format!("{}/Cargo.toml", entry.folder) {
            let text = format!("{} belongs in {}", package.name, entry.folder);
            findings.push(Finding::new(&at, "place", text));
        }
        for dependency in &package.dependencies {
            let is_test = dependency.kind == Some(Kind::Dev);
            let fault = if dependency.path.is_some() {
                internal_fault(table, &package.name, entry, &dependency.name, is_test)
            } else {
                external_fault(table, &package.name, &dependency.name, is_test)
            };
            if let Some((rule, text)) = fault {
                findings.push(Finding::new(&at, rule, text));
            }
        }
    }
    findings.dedup();
    findings
}

/// Tests obey the arrows too, but may see a sibling or a program that `dev` names.
fn internal_fault(
    table: &Table,
    from: &str,
    entry: &Entry,
    to: &str,
    is_test: bool,
) -> Option<(&'static str, String)> {
    let Some(target) = table.crates.get(to) else {
        return Some(("arrow", format!("{from} depends on {to}, which has no place in {TABLE}")));
    };
    if is_test && (to == from || entry.dev.iter().any(|name| name == to)) {
        return None;
    }
    if entry.only.as_ref().is_some_and(|only| !only.iter().any(|name| name == to)) {
        return Some((
            "arrow",
            format!("{from} may not depend on {to}: its list does not name it"),
        ));
    }
    let (own, other) = (table.height(&entry.layer), table.height(&target.layer));
    if other > own {
        return Some((
            "arrow",
            format!("{from} ({}) may not look up to {to} ({})", entry.layer, target.layer),
        ));
    }
    if other == own && !entry.siblings.iter().any(|name| name == to) {
        return Some(("arrow", format!("{from} and {to} are siblings and may not see each other")));
    }
    None
}

fn external_fault(
    table: &Table,
    from: &str,
    to: &str,
    is_test: bool,
) -> Option<(&'static str, String)> {
    if is_test {
        return None;
    }
    if table.is_pure(from) && table.pure.forbids(to) {
        return Some(("pure", format!("{from} is pure and may not depend on {to}")));
    }
    let hold = table.holds.iter().find(|hold| hold.covers(to))?;
    if hold.by.iter().any(|name| name == from) {
        return None;
    }
    let Hold { by, why, .. } = hold;
    Some(("hold", format!("{to} is held by {} only: {why}", by.join(", "))))
}

/// What a pure crate links through others counts as much as what it names itself.
fn check_reach(table: &Table, package: &str, reach: &BTreeSet<String>) -> Vec<Finding> {
    let Some(entry) = table.crates.get(package) else { return Vec::new() };
    let at = format!("{}/Cargo.toml", entry.folder);
    let forbidden = reach.iter().filter(|name| table.pure.forbids(name));
    forbidden
        .map(|name| {
            let text = format!("{package} is pure but links {name} through what it depends on");
            Finding::new(&at, "pure", text)
        })
        .collect()
}

/// A crate that no listed workspace has as member would be checked by nothing.
fn check_membership(
    tree: &Tree,
    root: &Path,
    packages: &[Package],
) -> anyhow::Result<Vec<Finding>> {
    let members: BTreeSet<String> =
        packages.iter().map(|package| relative(root, &package.manifest_path)).collect();
    let mut findings = Vec::new();
    for path in tree.named("Cargo.toml").filter(|path| !members.contains(*path)) {
        let text = tree.text(path)?.unwrap_or_default();
        if text.lines().any(|line| line.trim() == "[package]") {
            let text = format!("no workspace that {TABLE} names has this crate as a member");
            findings.push(Finding::new(path, "place", text));
        }
    }
    Ok(findings)
}

/// What the standard library offers needs no dependency, so pure code is read for it.
fn check_names(table: &Table, sources: &[Source]) -> Vec<Finding> {
    let pure: Vec<String> = table
        .crates
        .iter()
        .filter(|(name, _)| table.is_pure(name))
        .map(|(_, entry)| format!("{}/src/", entry.folder))
        .collect();
    let names: Vec<Vec<&str>> =
        table.pure.names.iter().map(|name| name.split("::").collect()).collect();
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| pure.iter().any(|at| source.path.starts_with(at)))
    {
        source.each(&mut |nodes| {
            for name in names.iter().filter(|name| is_path(nodes, name)) {
                let text = format!("{} in pure code: make it an input", name.join("::"));
                findings.push(Finding::new(&source.path, "pure", text).at(nodes[0].line()));
            }
        });
    }
    findings
}

/// Whether the tokens start with this path, also as `a::{b, c::d}`.
fn is_path(nodes: &[Node], path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match nodes {
        [word, ..] if !word.is_word(first) => false,
        [_, ..] if rest.is_empty() => true,
        [_, one, two, after @ ..] if one.is_mark(':') && two.is_mark(':') => {
            match after.first().and_then(|node| node.group(proc_macro2::Delimiter::Brace)) {
                Some(group) => {
                    group.split(|node| node.is_mark(',')).any(|part| is_path(part, rest))
                }
                None => is_path(after, rest),
            }
        }
        _ => false,
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

impl Pure {
    fn forbids(&self, package: &str) -> bool {
        self.crates.iter().any(|pattern| table::matches(pattern, package))
    }
}

#[cfg(test)]
mod tests;
