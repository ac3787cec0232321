//! The schema and its migrations: each in its own transaction, with a backup taken before it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{OpenError, StorageError};

/// Marks the file as ours (`PRAGMA application_id`): "PLTH".
const APPLICATION_ID: i32 = 0x504C_5448;

/// One step of the schema.
pub(crate) struct Migration {
    /// The `user_version` after it.
    pub to: u32,
    pub sql: &'static str,
}

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    to: 1,
    sql: "
CREATE TABLE streams (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
-- peak = root of the full Merkle subtree that this event completed (RFC 6962): the peaks at a few
-- positions give back the tree's frontier at any size.
CREATE TABLE events (
    position  INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    peak      BLOB NOT NULL,
    canonical BLOB NOT NULL,
    UNIQUE (stream_id, seq)
) STRICT;
-- An effect's id is its event's position * 65536 + its index: commit order, and one b-tree.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY,
    adapter  TEXT NOT NULL,
    class    INTEGER NOT NULL,
    json     TEXT NOT NULL
) STRICT;
-- sealed = nonce, then salt and bytes encrypted; NULL where it is a file, or forgotten.
CREATE TABLE bodies (
    id        INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL UNIQUE,
    len       INTEGER NOT NULL,
    type      TEXT NOT NULL,
    forgotten INTEGER NOT NULL DEFAULT 0,
    sealed    BLOB
) STRICT;
CREATE TABLE view_rows (
    view TEXT NOT NULL,
    key  TEXT NOT NULL,
    sort INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (view, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX view_rows_by_sort ON view_rows (view, sort, key);
CREATE TABLE cursors (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
    position   INTEGER PRIMARY KEY,
    event_hash BLOB NOT NULL,
    schema     TEXT NOT NULL,
    state_hash BLOB NOT NULL,
    state      BLOB NOT NULL
) STRICT;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
}];

fn user_version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Refuses a database that is not ours or newer than we know; answers whether it is fresh.
pub(crate) fn check(connection: &Connection, known: u32) -> Result<bool, OpenError> {
    let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let found = user_version(connection)?;
    if id != APPLICATION_ID {
        return if id == 0 && tables == 0 && found == 0 {
            Ok(true)
        } else {
            Err(OpenError::NotOurs)
        };
    }
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(false) }
}

/// Brings the database to the newest of `migrations`. A crash between two leaves a schema that
/// the next start continues from.
pub(crate) fn migrate(
    connection: &Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<(), OpenError> {
    let known = migrations.iter().map(|migration| migration.to).max().unwrap_or(0);
    check(connection, known)?;
    let found = user_version(connection)?;
    for migration in migrations.iter().filter(|migration| migration.to > found) {
        let from = user_version(connection)?;
        let backup = if from == 0 { None } else { Some(back_up(path, from)?) };
        if let Some(backup) = &backup {
            tracing::info!(from, to = migration.to, backup = %backup.display(), "migrating the log");
        }
        apply(connection, migration).map_err(|source| OpenError::Migration {
            to: migration.to,
            backup: backup.map_or_else(|| "not needed".into(), |path| path.display().to_string()),
            source,
        })?;
    }
    Ok(())
}

fn apply(connection: &Connection, migration: &Migration) -> Result<(), StorageError> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(migration.sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", migration.to)?;
    Ok(transaction.commit()?)
}

/// A complete copy beside the database, `<name>.schema<from>.backup`. One that is already there is
/// from a migration that failed: the log has not changed since, but it is made anew.
fn back_up(path: &Path, from: u32) -> Result<PathBuf, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".schema{from}.backup"));
    let backup = PathBuf::from(name);
    let part = backup.with_extension("part");
    if part.exists() {
        std::fs::remove_file(&part)?;
    }
    crate::copy::copy_database(path, &part)?;
    std::fs::rename(&part, &backup)?;
    crate::store::sync_dir_of(&backup)?;
    Ok(backup)
}

#[cfg(test)]
mod tests;
