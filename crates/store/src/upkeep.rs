//! Upkeep: forgetting bodies, collecting what nothing refers to, clearing views, checking pages.

use std::{collections::HashSet, fs, io};

use domain::{BodyRef, Envelope, Sha256Hash};
use rusqlite::params;

use crate::{
    bodies::blob_path,
    error::{AppendError, ReadError},
    store::{Store, bytes32, sync_dir_of},
};

/// What was collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Bodies that no event refers to.
    pub bodies: u64,
    /// Files that belong to no body.
    pub files: u64,
}

impl Store {
    /// Deletes a body and its salt, so that its hash can't be confirmed by guessing. The event that
    /// tells of it is recorded by the caller, before. Doing it again changes nothing; `false` where
    /// it was gone already.
    pub fn forget(&mut self, reference: &BodyRef) -> Result<bool, AppendError> {
        self.recent.forget(reference);
        self.connection.execute_batch("PRAGMA secure_delete = ON")?;
        let forgotten = self.connection.execute(
            "UPDATE bodies SET forgotten = 1, sealed = NULL WHERE hash = ?1 AND forgotten = 0",
            [reference.hash.0],
        );
        self.connection.execute_batch("PRAGMA secure_delete = OFF")?;
        let forgotten = forgotten? > 0;
        let blob = blob_path(&self.blobs_dir(), &reference.hash);
        match fs::remove_file(&blob) {
            Ok(()) => sync_dir_of(&blob)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        if forgotten {
            self.flush_wal()?;
        }
        Ok(forgotten)
    }

    /// Moves the write-ahead log into the database and empties it. Readers may keep a part of it
    /// for as long as they read.
    pub fn flush_wal(&self) -> Result<(), AppendError> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Deletes bodies that no event refers to, and files that a crash left behind. Reads the whole
    /// log.
    pub fn collect_unreferenced(&mut self) -> Result<Collected, ReadError> {
        let referenced = self.referenced()?;
        let mut live = HashSet::new();
        let mut stray = Vec::new();
        let mut statement = self.connection.prepare("SELECT id, hash, forgotten FROM bodies")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let hash = Sha256Hash(bytes32(row, 1)?);
            if !referenced.contains(&hash) {
                stray.push(row.get::<_, i64>(0)?);
            } else if !row.get::<_, bool>(2)? {
                live.insert(hash.to_string());
            }
        }
        drop(rows);
        drop(statement);
        let transaction = self.connection.unchecked_transaction()?;
        for id in &stray {
            transaction.execute("DELETE FROM bodies WHERE id = ?1", params![id])?;
        }
        transaction.commit()?;
        let mut files = 0;
        for entry in fs::read_dir(self.blobs_dir())? {
            let entry = entry?;
            if !live.contains(entry.file_name().to_string_lossy().as_ref()) {
                fs::remove_file(entry.path())?;
                files += 1;
            }
        }
        Ok(Collected { bodies: stray.len() as u64, files })
    }

    fn referenced(&self) -> Result<HashSet<Sha256Hash>, ReadError> {
        let mut referenced = HashSet::new();
        self.replay(0, |_, _, canonical| {
            referenced.extend(Envelope::parse(canonical)?.bodies.iter().map(|body| body.hash));
            Ok(())
        })?;
        Ok(referenced)
    }

    /// Drops every view row: the host puts them anew by replaying from zero.
    pub fn clear_views(&mut self) -> Result<(), AppendError> {
        Ok(self.connection.execute_batch("DELETE FROM view_rows")?)
    }

    /// What SQLite finds wrong with the pages of the database; empty where nothing is. Events are
    /// not looked at: see [`Store::verify`].
    pub fn quick_check(&self) -> Result<Vec<String>, ReadError> {
        let mut statement = self.connection.prepare("PRAGMA quick_check(20)")?;
        let lines =
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}
