//! A plain table of keys and values in a database of its own, written in whole batches.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StorageError;

/// Where a value is: two namespaces and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvKey {
    pub primary: String,
    pub secondary: String,
    pub name: String,
}

/// The table. One process holds it; what a batch wrote is on disk together or not at all.
pub struct KeyValues {
    connection: Connection,
}

impl KeyValues {
    /// Opens the database at `path`, or makes an empty one there.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS kv (
                 one TEXT NOT NULL, two TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
                 PRIMARY KEY (one, two, name)
             ) STRICT, WITHOUT ROWID",
            [],
        )?;
        Ok(Self { connection })
    }

    pub fn get(&self, key: &KvKey) -> Result<Option<Vec<u8>>, StorageError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM kv WHERE one = ?1 AND two = ?2 AND name = ?3")?;
        let found = statement
            .query_row(params![key.primary, key.secondary, key.name], |row| row.get(0))
            .optional()?;
        Ok(found)
    }

    /// The names in a namespace, in order.
    pub fn names(&self, primary: &str, secondary: &str) -> Result<Vec<String>, StorageError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT name FROM kv WHERE one = ?1 AND two = ?2 ORDER BY name")?;
        let names = statement
            .query_map([primary, secondary], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        Ok(names)
    }

    /// Everything in it, in order.
    pub fn all(&self) -> Result<Vec<(KvKey, Vec<u8>)>, StorageError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT one, two, name, value FROM kv ORDER BY one, two, name")?;
        let all = statement
            .query_map([], |row| {
                let key = KvKey { primary: row.get(0)?, secondary: row.get(1)?, name: row.get(2)? };
                Ok((key, row.get(3)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(all)
    }

    /// Puts each value and deletes where there is none, in one synced transaction.
    pub fn apply<'a>(
        &mut self,
        batch: impl IntoIterator<Item = (&'a KvKey, Option<&'a [u8]>)>,
    ) -> Result<(), StorageError> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT OR REPLACE INTO kv (one, two, name, value) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut delete = transaction
                .prepare_cached("DELETE FROM kv WHERE one = ?1 AND two = ?2 AND name = ?3")?;
            for (key, value) in batch {
                let KvKey { primary, secondary, name } = key;
                match value {
                    Some(value) => put.execute(params![primary, secondary, name, value])?,
                    None => delete.execute(params![primary, secondary, name])?,
                };
            }
        }
        Ok(transaction.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> KvKey {
        KvKey { primary: "a".into(), secondary: String::new(), name: name.into() }
    }

    #[test]
    fn batches_are_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kv.db");
        let mut table = KeyValues::open(&path).unwrap();
        let (x, y) = (key("x"), key("y"));
        table.apply([(&x, Some(&b"1"[..])), (&y, Some(&b"2"[..]))]).unwrap();
        table.apply([(&x, None), (&y, Some(&b"3"[..]))]).unwrap();
        drop(table);
        let table = KeyValues::open(&path).unwrap();
        assert_eq!(table.get(&x).unwrap(), None);
        assert_eq!(table.get(&y).unwrap().as_deref(), Some(&b"3"[..]));
        assert_eq!(table.names("a", "").unwrap(), ["y"]);
        assert!(table.names("a", "b").unwrap().is_empty());
        assert_eq!(table.all().unwrap(), [(y, b"3".to_vec())]);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kv.db");
        std::fs::write(&path, [7; 4096]).unwrap();
        assert!(matches!(KeyValues::open(&path), Err(StorageError::NotADatabase(_))));
    }
}
