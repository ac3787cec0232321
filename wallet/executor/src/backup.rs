//! Backups: the newest channel state and the log, copied while both are in use.

use domain::{ErrorBody, Timestamp};
use host::Home;
use std::{
    io,
    path::{Path, PathBuf},
};
use wallet::wire::BackupReport;

use crate::{backend::Backend, server::SEED_WARNING};

const READ_ME: &str = "\
This is a copy of a wallet's channel state and of its log.

It is only as new as its folder's name says. Starting an older copy of channel state loses money:
use it only where the wallet it was made of is gone and has made no payment since.
The words of the seed are not in it. Without them it opens nothing.
";

/// What is copied besides the backend's own databases.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The executor's log.
    pub log: PathBuf,
    /// Small files: settings.
    pub files: Vec<PathBuf>,
}

/// Copies everything into a new folder below `to`. Blocks.
pub fn write<B: Backend>(
    backend: &B,
    sources: &Sources,
    to: &Path,
    now: Timestamp,
) -> Result<BackupReport, ErrorBody> {
    let name = now.to_rfc3339().replace(':', "-");
    let failed = |error: &dyn std::fmt::Display| {
        ErrorBody::new("backup_failed", format!("The backup was not completed: {error}."))
            .hint("Check the disk's free space and try again.")
            .retryable()
    };
    let folder = Home::open(to.join(name)).map_err(|error| failed(&error))?;
    let mut includes = Vec::new();
    let databases = std::iter::once(sources.log.clone()).chain(backend.databases());
    for database in databases {
        let name = file_name(&database);
        store::copy_database(&database, &folder.join(&name)).map_err(|error| failed(&error))?;
        includes.push(name);
    }
    for file in sources.files.iter().filter(|file| file.exists()) {
        let name = file_name(file);
        copy(file, &folder.join(&name)).map_err(|error| failed(&error))?;
        includes.push(name);
    }
    host::home::write_private(&folder.join("README.txt"), READ_ME.as_bytes())
        .map_err(|error| failed(&error))?;
    Ok(BackupReport {
        path: folder.root().display().to_string(),
        at: now,
        includes,
        warning: SEED_WARNING.into(),
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    host::home::write_private(to, &std::fs::read(from)?)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
