//! Rules over all text: no file names somebody's machine, and the architecture stays short.

use std::path::Path;

use super::budget::Budget;
use crate::finding::Finding;
use crate::tree::{self, Tree};

const ARCHITECTURE: &str = "docs/architecture.md";

pub fn check(tree: &Tree, budget: &Budget) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in &tree.files {
        let is_lock = Path::new(path).extension().is_some_and(|found| found == "lock");
        if is_lock || tree::listed(path, &budget.machine_paths.files) {
            continue;
        }
        let Some(text) = tree.text(path)? else { continue };
        for (at, line) in text.lines().enumerate() {
            if let Some(named) = machine_path(line) {
                let text = format!("{named} is a path of one machine");
                findings.push(Finding::new(path, "machine-path", text).at(at + 1));
            }
        }
        if path == ARCHITECTURE {
            let (lines, most) = (text.lines().count(), budget.lines.architecture);
            if lines > most {
                let text =
                    format!("{lines} lines, {most} are the most: say less, or say it where it is");
                findings.push(Finding::new(path, "length", text));
            }
        }
    }
    Ok(findings)
}

/// The first absolute path below a folder that belongs to a person (homes, also on macOS and
/// Windows) or to one build.
fn machine_path(line: &str) -> Option<&str> {
    let starts = line.match_indices(['/', '\\']).map(|(at, _)| at);
    starts.into_iter().find_map(|at| {
        let rest = &line[at + 1..];
        let mut parts = rest.split(['/', '\\']);
        let (folder, next) = (parts.next()?, parts.next()?);
        let is_named = |name: &str| name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let belongs = match folder {
            "home" | "Users" => is_named(next) && parts.next().is_some(),
            "root" | "tmp" | "work" => is_named(next),
            _ => false,
        };
        (belongs && begins_path(&line[..at])).then(|| {
            let end = rest.find(|c: char| c.is_whitespace() || "\"'`)>,;".contains(c));
            &line[at..at + 1 + end.unwrap_or(rest.len())]
        })
    })
}

/// Whether a path begins after this text, and not in the middle of a longer one or of a URL.
fn begins_path(before: &str) -> bool {
    match before.chars().next_back() {
        None => true,
        Some(':') => {
            before[..before.len() - 1].ends_with(|c: char| c.is_ascii_uppercase()) || {
                let scheme = before[..before.len() - 1].chars().next_back();
                !scheme.is_some_and(|c| c.is_ascii_alphanumeric())
            }
        }
        Some(last) => last.is_whitespace() || "\"'`(<=[,|>".contains(last),
    }
}

#[cfg(test)]
mod tests {
    use super::machine_path;

    #[test]
    fn paths_of_a_machine_are_told_from_others() {
        let slash = "/";
        for named in ["root/x", "home/ann/x", "Users/ann/x", "tmp/x", "work/x"] {
            let path = format!("{slash}{named}");
            for line in [path.clone(), format!("a \"{path}\" b"), format!("at=({path})")] {
                assert_eq!(machine_path(&line), Some(path.as_str()), "{line}");
            }
        }
        assert!(machine_path(&format!("C:{0}Users{0}ann{0}x", '\\')).is_some());
        for line in [
            "https://example.org/home/ann/x",
            "runs/work/x",
            "$HOME/work/x",
            "{dir}/tmp/x",
            "~/work/x",
            "/usr/bin/env",
            "the /tmp folder",
            "/home/",
            "a/root/b",
        ] {
            assert_eq!(machine_path(line), None, "{line}");
        }
    }
}
