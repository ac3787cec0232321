//! The home of one process: its paths, its rights, and the lock that keeps a second one out.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("no home folder is known: set PILOTHOUSE_HOME or pass --home")]
    Unknown,
    #[error("cannot prepare {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("another process already uses {0}; stop it first, or choose another --home")]
    InUse(PathBuf),
}

/// A folder with rights for its owner alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// Held for as long as the process owns its home.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// Opens or makes the folder, with mode 0700 where modes exist.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let root = std::path::absolute(root.into())
            .map_err(|source| HomeError::Io { path: PathBuf::new(), source })?;
        make_private_dir(&root)?;
        Ok(Self { root })
    }

    /// `$PILOTHOUSE_HOME`, else the platform's data folder.
    pub fn default_root() -> Result<PathBuf, HomeError> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        var("PILOTHOUSE_HOME")
            .or_else(|| platform_data_dir(var).map(|dir| dir.join("pilothouse")))
            .ok_or(HomeError::Unknown)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A private folder below this one.
    pub fn dir(&self, name: &str) -> Result<PathBuf, HomeError> {
        let path = self.root.join(name);
        make_private_dir(&path)?;
        Ok(path)
    }

    /// A home below this one, for a program of ours.
    pub fn sub(&self, name: &str) -> Result<Self, HomeError> {
        Self::open(self.root.join(name))
    }

    /// Takes the single-instance lock `<home>/<name>.lock`; released when the process ends, however.
    pub fn lock(&self, name: &str) -> Result<HomeLock, HomeError> {
        let path = self.root.join(format!("{name}.lock"));
        let io = |source| HomeError::Io { path: path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse(self.root.clone())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

#[cfg(target_os = "linux")]
fn platform_data_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")))
}

#[cfg(target_os = "macos")]
fn platform_data_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    var("HOME").map(|home| home.join("Library/Application Support"))
}

#[cfg(windows)]
fn platform_data_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    var("LOCALAPPDATA")
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn platform_data_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    var("HOME").map(|home| home.join(".local/share"))
}

fn make_private_dir(path: &Path) -> Result<(), HomeError> {
    let io = |source| HomeError::Io { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// Writes `bytes` to `path` whole or not at all, readable by the owner alone.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{write}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        let _not_there = fs::remove_file(&temporary);
        return Err(error);
    }
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path().join("h")).unwrap();
        let lock = home.lock("pilothouse").unwrap();
        assert!(matches!(home.lock("pilothouse"), Err(HomeError::InUse(_))));
        drop(lock);
        home.lock("pilothouse").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn home_and_private_files_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path().join("h")).unwrap();
        let file = home.join("token");
        write_private(&file, b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.root()), 0o700);
        assert_eq!(mode(&file), 0o600);
    }
}
