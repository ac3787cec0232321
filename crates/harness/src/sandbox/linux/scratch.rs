//! A scratch directory for one run, removed whatever the run left in it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::sandbox::SandboxError;

/// A fresh directory with `work`, `tmp` and `shm`; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    work: PathBuf,
    /// Which directory `work` was when it was made: device and inode.
    made: (u64, u64),
}

impl Scratch {
    pub(super) fn create(parent: &Path) -> Result<Self, SandboxError> {
        let create = || -> io::Result<Self> {
            let root = tempfile::Builder::new()
                .prefix("pilothouse-run-")
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(parent)?
                .keep();
            let work = root.join("work");
            let mut scratch = Self { root, work, made: (0, 0) };
            for name in ["work", "tmp", "shm"] {
                fs::DirBuilder::new().mode(0o700).create(scratch.root.join(name))?;
            }
            scratch.made = scratch.which_work()?;
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

    /// Refuses a `work` that is not the directory it was: what is read below it would not be what
    /// the run left, but whatever it was replaced with.
    pub(super) fn check_in_place(&self) -> Result<(), SandboxError> {
        let now = self.which_work().map_err(SandboxError::io("looking for the work directory"))?;
        if now == self.made { Ok(()) } else { Err(SandboxError::Moved { path: self.work.clone() }) }
    }

    /// Of a link, the link's own.
    fn which_work(&self) -> io::Result<(u64, u64)> {
        let metadata = fs::symlink_metadata(&self.work)?;
        Ok((metadata.dev(), metadata.ino()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.root) {
            tracing::warn!(path = %self.root.display(), %error, "a scratch directory is left over");
        }
    }
}

/// Removes a tree of any depth, without following links. A supervisor whose asker is gone may be
/// at it as well, so what got in the way of one pass is tried again.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    const PASSES: u32 = 20;
    let mut result = Ok(());
    for pass in 0..PASSES {
        result = remove_once(root);
        if result.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(pass.into()));
    }
    result
}

/// Each directory below is first moved up beside the others, so that neither the depth nor the
/// length of a path can stop the removal.
fn remove_once(root: &Path) -> io::Result<()> {
    let mut free_names = (0_u64..).map(|number| root.join(format!(".moved-{number}")));
    let mut waiting = vec![root.to_path_buf()];
    let mut emptied = Vec::new();
    while let Some(directory) = waiting.pop() {
        unless_gone(open_up(&directory))?;
        for entry in unless_gone(fs::read_dir(&directory))?.into_iter().flatten() {
            let entry = entry?;
            if !unless_gone(entry.file_type())?.is_some_and(|kind| kind.is_dir()) {
                unless_gone(fs::remove_file(entry.path()))?;
            } else if directory == root {
                waiting.push(entry.path());
            } else {
                // Moving a directory needs to write its `..`.
                unless_gone(open_up(&entry.path()))?;
                let up = free_names.find(|up| fs::symlink_metadata(up).is_err());
                let up = up.expect("BUG: there are more numbers than names in a directory");
                unless_gone(fs::rename(entry.path(), &up))?;
                waiting.push(up);
            }
        }
        emptied.push(directory);
    }
    // The root was the first, so it is the last.
    for directory in emptied.iter().rev() {
        unless_gone(fs::remove_dir(directory))?;
    }
    Ok(())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
        fs::write(scratch.root().join(".moved-9"), "").unwrap();
        let locked = scratch.work().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("f"), "").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        // Twice at once, as when the asker and the supervisor both clear up.
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| remove(&root));
            remove(&root).unwrap();
            beside.join().unwrap().unwrap();
        });
        drop(scratch);
        assert!(!root.exists());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn another_work_directory_than_was_made_is_refused() {
        let scratch = Scratch::create(&std::env::temp_dir()).unwrap();
        scratch.check_in_place().unwrap();
        let (work, aside) = (scratch.work(), scratch.root().join("aside"));
        fs::rename(work, &aside).unwrap();
        assert!(matches!(scratch.check_in_place(), Err(SandboxError::Io { .. })));
        fs::create_dir(work).unwrap();
        assert!(matches!(scratch.check_in_place(), Err(SandboxError::Moved { .. })));
        fs::remove_dir(work).unwrap();
        std::os::unix::fs::symlink(&aside, work).unwrap();
        assert!(matches!(scratch.check_in_place(), Err(SandboxError::Moved { .. })));
    }
}
