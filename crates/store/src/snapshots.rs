//! Snapshots: the folded state at a position, so that a start replays only what came after.

use domain::{EventHash, Sha256Hash};
use rusqlite::{OptionalExtension, params};

use crate::{
    error::{AppendError, ReadError},
    store::{Store, bytes32, signed, unsigned},
};

/// A state that was saved, and the position of the last event that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub position: u64,
    pub state: Vec<u8>,
}

impl Store {
    /// Saves `state`, the fold of all events up to `position`. `schema` names its form: a program
    /// that folds otherwise passes another and never sees this one. The two newest are kept.
    pub fn snapshot_save(
        &mut self,
        schema: &str,
        position: u64,
        state: &[u8],
    ) -> Result<(), AppendError> {
        let at = i64::try_from(position).map_err(|_| AppendError::OutOfRange(position))?;
        let transaction = self.connection.unchecked_transaction()?;
        let event: Option<[u8; 32]> = transaction
            .query_row("SELECT hash FROM events WHERE position = ?1", [at], |row| bytes32(row, 0))
            .optional()?;
        let event = event.ok_or(AppendError::OutOfRange(position))?;
        transaction.execute(
            "INSERT OR REPLACE INTO snapshots (position, event_hash, schema, state_hash, state)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![at, event, schema, Sha256Hash::of(state).0, state],
        )?;
        transaction.execute(
            "DELETE FROM snapshots WHERE position NOT IN
             (SELECT position FROM snapshots ORDER BY position DESC LIMIT 2)",
            [],
        )?;
        Ok(transaction.commit()?)
    }

    /// The newest snapshot of this form that belongs to this log; a damaged one is passed over,
    /// for replay from an older one or from zero gives the same state.
    pub fn snapshot_load(&self, schema: &str) -> Result<Option<Snapshot>, ReadError> {
        let mut statement = self.connection.prepare(
            "SELECT snapshots.position, state_hash, state FROM snapshots
             JOIN events ON events.position = snapshots.position AND events.hash = event_hash
             WHERE schema = ?1 AND snapshots.position <= ?2
             ORDER BY snapshots.position DESC",
        )?;
        let mut rows = statement.query(params![schema, signed(self.last_position)?])?;
        while let Some(row) = rows.next()? {
            let snapshot = Snapshot { position: unsigned(row, 0)?, state: row.get(2)? };
            if Sha256Hash::of(&snapshot.state).0 == bytes32(row, 1)? {
                return Ok(Some(snapshot));
            }
            tracing::warn!(position = snapshot.position, "a snapshot is damaged; it is not used");
        }
        Ok(None)
    }

    /// The hash of the event at `position`, if there is one.
    pub fn hash_at(&self, position: u64) -> Result<Option<EventHash>, ReadError> {
        let sql = "SELECT hash FROM events WHERE position = ?1";
        let hash = self.connection.query_row(sql, [signed(position)?], |row| bytes32(row, 0));
        Ok(hash.optional()?.map(EventHash))
    }
}
