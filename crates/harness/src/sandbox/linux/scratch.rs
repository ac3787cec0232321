//! A scratch directory for one run, removed whatever the run left in it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::sandbox::SandboxError;

/// A fresh directory with `work`, `tmp` and `shm`; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    work: PathBuf,
}

impl Scratch {
    pub(super) fn create(parent: &Path) -> Result<Self, SandboxError> {
        let create = || -> io::Result<Self> {
            let root = tempfile::Builder::new().prefix("pilothouse-run-").tempdir_in(parent)?;
            let root = root.keep();
            let work = root.join("work");
            let scratch = Self { root, work };
            for name in ["work", "tmp", "shm"] {
                fs::DirBuilder::new().mode(0o755).create(scratch.root.join(name))?;
            }
            Ok(scratch)
        };
        create().map_err(SandboxError::io("making a scratch directory"))
    }

    /// Where the inputs go before a run, and what it left after it.
    pub fn work(&self) -> &Path {
        &self.work
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = remove(&self.root);
        if let Err(error) = removed.or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }) {
            tracing::warn!(path = %self.root.display(), %error, "a scratch directory is left over");
        }
    }
}

/// Removes a tree of any depth, without following links. Each directory below is first moved up
/// beside the others, so that neither the depth nor the length of a path can stop the removal.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    open_up(root)?;
    let mut moved: u64 = 0;
    let mut waiting = vec![root.to_path_buf()];
    let mut emptied = Vec::new();
    while let Some(directory) = waiting.pop() {
        open_up(&directory)?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            } else if directory == root {
                waiting.push(entry.path());
            } else {
                // Moving a directory needs to write its `..`.
                open_up(&entry.path())?;
                moved += 1;
                let up = root.join(format!(".moved-{moved}"));
                fs::rename(entry.path(), &up)?;
                waiting.push(up);
            }
        }
        if directory != root {
            emptied.push(directory);
        }
    }
    for directory in emptied.iter().rev() {
        fs::remove_dir(directory)?;
    }
    fs::remove_dir(root)
}

fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_deep_locked_and_linked_trees() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let scratch = Scratch::create(&std::env::temp_dir()).unwrap();
        let root = scratch.root().to_path_buf();
        let mut deep = scratch.work().to_path_buf();
        for _ in 0..300 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        std::os::unix::fs::symlink(outside.path(), scratch.work().join("out")).unwrap();
        fs::write(scratch.work().join(".moved-1"), "a name of ours").unwrap();
        let locked = scratch.work().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("f"), "").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
        drop(scratch);
        assert!(!root.exists());
        assert!(outside.path().join("kept").exists());
    }
}
