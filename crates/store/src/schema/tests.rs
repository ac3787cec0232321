//! Migrations: from a fixture of version 1 to an injected version 2, and back where it fails.

use super::*;
use crate::store::{OpenOptions, Store};

/// A version 1 database as its SQL dump: two streams, three events, one waiting effect.
const VERSION_1: &str = include_str!("version1.sql");
const KEY: [u8; 32] = [7; 32];

const GOOD: Migration = Migration {
    to: 2,
    sql: "ALTER TABLE outbox ADD COLUMN lane TEXT NOT NULL DEFAULT 'main';
          UPDATE outbox SET lane = adapter;",
};
const BAD: Migration =
    Migration { to: 2, sql: "UPDATE outbox SET json = 'lost'; ALTER TABLE nowhere ADD COLUMN x;" };

fn fixture(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    connection
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_database_of_version_1_opens_and_reads() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    drop(fixture(&path));
    let store = Store::open(&path, OpenOptions { body_key: KEY }).unwrap();
    let mut types = Vec::new();
    store
        .replay(0, |position, _, canonical| {
            let envelope = domain::Envelope::parse(canonical)?;
            types.push((position, envelope.stream.to_string(), envelope.seq));
            Ok(())
        })
        .unwrap();
    let expected = [(1, "job/a".into(), 1), (2, "job/b".into(), 1), (3, "job/a".into(), 2)];
    assert_eq!(types, expected);
    let pending = store.outbox_pending().unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].id.to_string(), "job/a#2.0");
}

#[test]
fn migrates_with_a_backup_taken_before() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let connection = fixture(&path);
    migrate(&connection, &path, &[GOOD]).unwrap();
    assert_eq!(user_version(&connection).unwrap(), 2);
    assert_eq!(count(&connection, "SELECT count(*) FROM outbox WHERE lane = 'relay'"), 1);
    let backup = Connection::open(home.path().join("log.db.schema1.backup")).unwrap();
    assert_eq!(user_version(&backup).unwrap(), 1);
    assert_eq!(count(&backup, "SELECT count(*) FROM events"), 3);
    check(&backup, 1).unwrap();
    migrate(&connection, &path, &[GOOD]).unwrap();
    assert_eq!(user_version(&connection).unwrap(), 2, "a second time changes nothing");
}

#[test]
fn a_migration_that_fails_leaves_everything_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let connection = fixture(&path);
    let failed = migrate(&connection, &path, &[BAD]);
    assert!(matches!(failed, Err(OpenError::Migration { to: 2, .. })), "{failed:?}");
    assert_eq!(user_version(&connection).unwrap(), 1);
    assert_eq!(count(&connection, "SELECT count(*) FROM outbox WHERE json = 'lost'"), 0);
    assert!(home.path().join("log.db.schema1.backup").exists());
    migrate(&connection, &path, &[GOOD]).unwrap();
    assert_eq!(user_version(&connection).unwrap(), 2);
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let connection = fixture(&path);
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path, OpenOptions { body_key: KEY });
    assert!(matches!(refused, Err(OpenError::Newer { found: 99, known: 1 })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
