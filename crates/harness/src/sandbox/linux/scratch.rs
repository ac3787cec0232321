//! A scratch directory for one run, removed whatever the run left in it.

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::sandbox::SandboxError;

/// A fresh directory with `work`, `tmp` and `shm`; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    work: PathBuf,
    /// Which directory `work` was when it was made: device and inode.
    made: (u64, u64),
    /// A supervisor has it, so something may be alive in it.
    lent: AtomicBool,
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
            let mut scratch = Self { root, work, made: (0, 0), lent: AtomicBool::new(false) };
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

    /// From now on a supervisor removes it, once nothing of the run is alive.
    pub(super) fn lend(&self) {
        self.lent.store(true, Ordering::Relaxed);
    }

    /// The supervisor is gone: dropping removes it again.
    pub(super) fn take_back(&self) {
        self.lent.store(false, Ordering::Relaxed);
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
        // The run was given up: its supervisor ends it first, then removes this.
        if self.lent.load(Ordering::Relaxed) {
            return;
        }
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
/// length of a path can stop the removal. Below the root nothing is reached by its path: even where
/// something is alive and puts links in the place of directories, none of them is followed.
fn remove_once(root: &Path) -> io::Result<()> {
    const LEVELS: u32 = 1 << 20;
    let Some(top) = open_up(AT_FDCWD, root.as_os_str())? else { return Ok(()) };
    let mut free_names = (0_u64..).map(|number| OsString::from(format!(".moved-{number}")));
    for _ in 0..LEVELS {
        let names = names_in(&top)?;
        if names.is_empty() {
            break;
        }
        for name in names {
            if !delete_file(&top, &name)? {
                empty(&top, &name, &mut free_names)?;
            }
        }
    }
    unless_gone(fs::remove_dir(root)).map(drop)
}

/// Deletes a directory just below `top`, once what was in it is deleted or moved up.
fn empty(
    top: &OwnedFd,
    name: &OsStr,
    free_names: &mut impl Iterator<Item = OsString>,
) -> io::Result<()> {
    let Some(directory) = open_up(top, name)? else { return Ok(()) };
    for below in names_in(&directory)? {
        // Moving a directory needs to write its `..`.
        if delete_file(&directory, &below)? || open_up(&directory, &below)?.is_none() {
            continue;
        }
        for up in free_names.by_ref() {
            match renameat(&directory, &*below, top, &*up) {
                Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR | Errno::EISDIR) => {}
                Ok(()) | Err(Errno::ENOENT) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    unless_gone(unlinkat(top, name, UnlinkatFlags::RemoveDir).map_err(Into::into)).map(drop)
}

/// Whether it is gone now; a directory is not.
fn delete_file(directory: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::EISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory and makes it writable; nothing where there is none by this name (any more).
fn open_up(above: impl AsFd, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    let to_directory = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    // A handle needs no right to the directory itself, and stays with it whatever its name leads to.
    let handle = match openat(above, name, OFlag::O_PATH | to_directory, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    fs::set_permissions(place_of(&handle), fs::Permissions::from_mode(0o700))?;
    Ok(Some(openat(&handle, ".", OFlag::O_RDONLY | to_directory, Mode::empty())?))
}

fn names_in(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    fs::read_dir(place_of(directory))?.map(|entry| Ok(entry?.file_name())).collect()
}

/// The directory behind a descriptor, and no other (proc(5)).
fn place_of(directory: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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

    #[test]
    fn a_directory_that_turns_into_a_link_leads_removal_nowhere() {
        use nix::fcntl::{RenameFlags, renameat2};
        let outside = tempfile::tempdir().unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(outside.path().join("below")).unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        for _ in 0..50 {
            let scratch = Scratch::create(&std::env::temp_dir()).unwrap();
            let (one, other) = (scratch.work().join("one"), scratch.work().join("other"));
            fs::create_dir(&one).unwrap();
            std::os::unix::fs::symlink(outside.path(), &other).unwrap();
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let exchange = RenameFlags::RENAME_EXCHANGE;
                        let _ = renameat2(AT_FDCWD, &one, AT_FDCWD, &other, exchange);
                    }
                });
                let _ = remove(scratch.root());
                over.store(true, Ordering::Relaxed);
            });
            drop(scratch);
            assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0o755);
            assert!(outside.path().join("kept").exists() && outside.path().join("below").exists());
        }
    }
}
