//! Rules over manifests and lock files: one set of lints everywhere, and counted growth.

use anyhow::Context;
use toml::{Table, Value};

use super::BUDGET;
use super::budget::Budget;
use crate::finding::Finding;
use crate::tree::Tree;

pub fn check(tree: &Tree, budget: &Budget) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut first_lints: Option<(String, Value)> = None;
    for path in tree.named("Cargo.toml") {
        let text = tree.text(path)?.with_context(|| format!("{path} is not UTF-8"))?;
        let manifest: Table = match text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(Finding::new(path, "manifest", format!("{error}")));
                continue;
            }
        };
        let at = |keys: &[&str]| lookup(&manifest, keys);
        if at(&["package"]).is_some() && at(&["lints", "workspace"]) != Some(&Value::Boolean(true))
        {
            let text = "add `[lints] workspace = true`: the house's lints hold in every crate";
            findings.push(Finding::new(path, "lints", text));
        }
        if at(&["workspace"]).is_none() {
            continue;
        }
        let lints = at(&["workspace", "lints"]).cloned().unwrap_or(Value::Boolean(false));
        if lints.get("clippy").is_none() || lints.get("rust").is_none() {
            findings.push(Finding::new(
                path,
                "lints",
                "a workspace has [workspace.lints.*] tables",
            ));
        }
        match &first_lints {
            Some((other, expected)) if *expected != lints => {
                let text = format!("its [workspace.lints] differ from those of {other}");
                findings.push(Finding::new(path, "lints", text));
            }
            Some(_) => {}
            None => first_lints = Some((path.to_owned(), lints)),
        }
    }
    findings.extend(check_locks(tree, budget)?);
    Ok(findings)
}

fn lookup<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn check_locks(tree: &Tree, budget: &Budget) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in tree.named("Cargo.lock") {
        let text = tree.text(path)?.with_context(|| format!("{path} is not UTF-8"))?;
        let packages = text.lines().filter(|line| *line == "[[package]]").count();
        let Some(lock) = budget.locks.iter().find(|lock| lock.file == path) else {
            findings.push(Finding::new(path, "packages", format!("{BUDGET} has no number for it")));
            continue;
        };
        let allowed = lock.packages;
        if packages > allowed {
            let text = format!(
                "{packages} packages, {allowed} are budgeted: drop some, or raise the number in \
                 {BUDGET} and say in the commit what they are worth"
            );
            findings.push(Finding::new(path, "packages", text));
        } else if packages < allowed {
            let text = format!("{packages} packages: lower the {allowed} of {BUDGET}");
            findings.push(Finding::new(path, "packages", text).warning());
        }
    }
    for lock in &budget.locks {
        if !tree.files.contains(&lock.file) {
            findings.push(Finding::new(&lock.file, "packages", "budgeted, but not in the tree"));
        }
    }
    Ok(findings)
}
