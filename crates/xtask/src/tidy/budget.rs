//! The numbers and the lists of `budget.toml`.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub lines: Lines,
    #[serde(rename = "lock")]
    pub locks: Vec<Lock>,
    pub platform: Files,
    pub colour: Files,
    pub machine_paths: Files,
}

/// Most lines of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    pub soft: usize,
    pub hard: usize,
    pub architecture: usize,
}

/// Most packages of a lock file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub file: String,
    pub packages: usize,
}

/// Files, or starts of their paths, that may do what others may not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    pub files: Vec<String>,
}

impl Budget {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(toml::from_str(text)?)
    }
}
