//! Backups: kept while the wallet runs, rehearsed, and brought back.

mod calls;
pub mod files;
pub mod keeper;
mod live;
pub mod log;
pub mod restore;

use domain::{ErrorBody, Timestamp};
use host::Home;
use std::{
    io,
    path::{Path, PathBuf},
};
use wallet::wire::BackupReport;

use crate::{backend::Backend, server::SEED_WARNING};

const READ_ME: &str = "\
This is a copy of a wallet's log: its payments and their proofs, its accounts and its limits.

It is only as new as its folder's name says. The words of the seed are not in it.
";

/// What there is to copy of a backend that keeps no state of its own here.
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
    for database in std::iter::once(sources.log.clone()).chain(backend.databases()) {
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
