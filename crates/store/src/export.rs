//! The log as JSON lines: for people, other tools and archives.

use std::io::Write;

use domain::EventHash;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    error::ReadError,
    reader::Reader,
    store::{bytes32, signed, unsigned},
};

/// One line. `event` is the canonical bytes themselves: their SHA-256 is `hash`.
#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    hash: EventHash,
    event: &'a RawValue,
}

impl Reader {
    /// Writes every event after `after_position` to `out`, one JSON object per line, and counts
    /// them. Bodies are not in it.
    pub fn export(&self, after_position: u64, out: &mut dyn Write) -> Result<u64, ReadError> {
        let mut statement = self.connection.prepare(
            "SELECT position, hash, canonical FROM events WHERE position > ?1 ORDER BY position",
        )?;
        let mut rows = statement.query([signed(after_position)?])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let position = unsigned(row, 0)?;
            let canonical = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            let event = serde_json::from_slice(canonical)
                .map_err(|error| ReadError::Broken { position, why: error.to_string() })?;
            let line = Line { position, hash: EventHash(bytes32(row, 1)?), event };
            serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
        }
        out.flush()?;
        Ok(count)
    }
}
