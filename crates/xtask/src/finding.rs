//! What a check found: where, which rule, and what to do about it.

use std::fmt;

use anyhow::bail;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the repository's root.
    pub path: String,
    /// 1-based; absent where the finding is about the whole file or crate.
    pub line: Option<usize>,
    pub rule: &'static str,
    pub text: String,
    /// Said, but fails nothing.
    pub warning: bool,
}

impl Finding {
    pub fn new(path: impl Into<String>, rule: &'static str, text: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, rule, text: text.into(), warning: false }
    }

    pub fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub fn warning(mut self) -> Self {
        self.warning = true;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.warning { "warning" } else { "error" };
        write!(out, "{severity}[{}] {}", self.rule, self.path)?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
        }
        write!(out, ": {}", self.text)
    }
}

/// Prints the findings in a stable order. An error if any of them is more than a warning.
pub fn report(check: &str, findings: &[Finding]) -> anyhow::Result<()> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort();
    for finding in &sorted {
        eprintln!("{finding}");
    }
    let warnings = sorted.iter().filter(|finding| finding.warning).count();
    let errors = sorted.len() - warnings;
    eprintln!("{check}: {errors} errors, {warnings} warnings");
    if errors > 0 {
        bail!("{check} found {errors} things that must change");
    }
    Ok(())
}
