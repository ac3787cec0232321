//! The index and its summary, as they travel.

use domain::Sha256Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names this indexer's rules: the same name over the same snapshot gives the same bytes.
pub const INDEXER: &str = "pilothouse-index/1 tree-sitter/0.27";

/// The result's payload: what a buyer reads first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub v: u32,
    pub indexer: String,
    pub snapshot: SnapshotInfo,
    /// Sorted by name.
    pub languages: Vec<LanguageInfo>,
    /// Languages whose symbols this indexer knows.
    pub symbol_languages: Vec<String>,
    pub lines: u64,
    pub symbols: u64,
    pub words: u64,
    /// A bound was reached: some words or symbols are missing.
    pub truncated: bool,
    pub index: IndexInfo,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Of the archive.
    pub sha256: Sha256Hash,
    /// Of the unpacked contents.
    pub root: Sha256Hash,
    pub files: u64,
    pub links: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanguageInfo {
    pub name: String,
    pub files: u64,
    pub lines: u64,
    pub bytes: u64,
    pub symbols: u64,
}

/// Where the index itself is: an attachment of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexInfo {
    pub sha256: Sha256Hash,
    pub size: u64,
    pub media_type: String,
}

/// The index: canonical JSON (RFC 8785).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub v: u32,
    pub indexer: String,
    /// Sorted by path; words and symbols point here by position.
    pub files: Vec<FileInfo>,
    pub links: Vec<LinkInfo>,
    pub words: BTreeMap<String, Word>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    pub path: String,
    pub size: u64,
    pub sha256: String,
    /// Absent for files that are not text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub symbols: Vec<Symbol>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Symbol {
    /// From 1.
    pub line: u64,
    pub kind: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInfo {
    pub path: String,
    pub target: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// How many lines hold it.
    pub count: u64,
    /// The first of them: position of the file, line from 1.
    pub at: Vec<(u64, u64)>,
}
