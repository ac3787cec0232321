//! Copies of databases that are in use, ours and those of the programs beside us.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::error::StorageError;

/// How long a copy waits for another connection's write.
const BUSY: Duration = Duration::from_secs(10);

/// Writes a complete and consistent copy of the SQLite database at `from` to the new file `to`,
/// while others read and write it; synced to disk when this returns.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), StorageError> {
    let connection = Connection::open_with_flags(
        from,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    std::fs::File::open(to)?.sync_all()?;
    crate::store::sync_dir_of(to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_what_is_committed_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.db"), dir.path().join("b.db"));
        let writer = Connection::open(&from).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1), (2);").unwrap();
        writer.execute_batch("BEGIN; INSERT INTO t VALUES (3);").unwrap();
        copy_database(&from, &to).unwrap();
        writer.execute_batch("COMMIT").unwrap();
        let copy = Connection::open(&to).unwrap();
        let rows: i64 = copy.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
        assert!(copy_database(&from, &to).is_err(), "nothing is overwritten");
    }
}
