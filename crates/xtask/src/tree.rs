//! The files that belong to the repository, as text.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::process;

/// A repository's files, relative to its root, with `/` between folders, sorted.
pub struct Tree {
    pub root: PathBuf,
    pub files: Vec<String>,
}

impl Tree {
    /// What git tracks, and what it would track if it were added now.
    pub fn of_repository(root: &Path) -> anyhow::Result<Self> {
        let mut git = process::program("git", root);
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = process::output(&mut git).context("tidy reads the files that git names")?;
        let mut files: Vec<String> =
            listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
        files.retain(|path| root.join(path).is_file());
        files.sort();
        files.dedup();
        Ok(Self { root: root.to_path_buf(), files })
    }

    /// The file's text; `None` where it is no UTF-8 and so nothing that the rules speak of.
    pub fn text(&self, path: &str) -> anyhow::Result<Option<String>> {
        let bytes = std::fs::read(self.root.join(path)).with_context(|| format!("read {path}"))?;
        Ok(String::from_utf8(bytes).ok())
    }

    pub fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .iter()
            .map(String::as_str)
            .filter(move |path| Path::new(path).extension().is_some_and(|found| found == extension))
    }

    /// Files of that name, in any folder.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .iter()
            .map(String::as_str)
            .filter(move |path| Path::new(path).file_name().is_some_and(|found| found == name))
    }
}

/// Whether a path is one of the listed ones, or below or beside one that ends a prefix.
pub fn listed(path: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()))
}

#[cfg(test)]
impl Tree {
    /// A repository made for a test: path and text of each file.
    pub fn made(root: &Path, files: &[(&str, &str)]) -> Self {
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let mut files: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        files.sort();
        Self { root: root.to_path_buf(), files }
    }
}
