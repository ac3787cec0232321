//! Opening the log, reading it back, and what is waiting in its outbox.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{EffectId, EventHash, RepeatClass, Sha256Hash, StreamId, merkle::Frontier};
use rusqlite::{Connection, OptionalExtension, Row, config::DbConfig};
use zeroize::Zeroizing;

use crate::{
    bodies::Seal,
    chain, checkpoints,
    error::{OpenError, ReadError},
    reader::Reader,
    recent::RecentBodies,
    rows::{Batch, Head, OutboxEntry},
    schema,
};

/// What a log is opened with.
pub struct OpenOptions {
    /// From the vault; bodies are encrypted under a key derived from it for this database alone.
    pub body_key: [u8; 32],
}

/// The log and its one writer. Large bodies and checkpoints lie beside the database, in `blobs/`
/// and `checkpoints/`.
///
/// A single process may hold it: the host's lock file sees to that.
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) seal: Arc<Seal>,
    pub(crate) last_position: u64,
    pub(crate) frontier: Frontier,
    pub(crate) next_stream_id: i64,
    pub(crate) recent: RecentBodies,
    /// Heads of streams that were touched lately; bounded, see [`Store::remember`].
    pub(crate) tips: HashMap<StreamId, Tip>,
    pub(crate) listener: Option<Listener>,
}

/// Hears each batch right after its commit, in order.
pub type Listener = Box<dyn FnMut(&Batch) + Send>;

/// Where a stream stands.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub id: i64,
    pub head: Head,
    /// Its name as canonical JSON writes it.
    pub escaped: Arc<[u8]>,
}

const REMEMBERED_STREAMS: usize = 65_536;

impl Store {
    /// Opens the log at `path`, or makes an empty one there; brings its schema up to date.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let body_key = Zeroizing::new(options.body_key);
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let newest = schema::MIGRATIONS.iter().map(|migration| migration.to).max().unwrap_or(0);
        schema::check(&connection, newest)?;
        configure(&connection)?;
        schema::migrate(&connection, path, schema::MIGRATIONS)?;
        Seal::bind(&connection, &body_key)?;
        let seal = Seal::of_database(&connection, &body_key)?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
            seal: Arc::new(seal),
            last_position: 0,
            frontier: Frontier::default(),
            next_stream_id: 1,
            recent: RecentBodies::default(),
            tips: HashMap::new(),
            listener: None,
        };
        std::fs::create_dir_all(store.blobs_dir())?;
        store.load_position()?;
        Ok(store)
    }

    /// Where the log ends. The newest checkpoint is compared: a log that is shorter than it, or
    /// has another root at its size, was cut off, changed, or copied back from an old backup.
    fn load_position(&mut self) -> Result<(), OpenError> {
        let highest = |sql| self.connection.query_row(sql, [], |row| unsigned(row, 0));
        self.last_position = highest("SELECT coalesce(max(position), 0) FROM events")?;
        self.next_stream_id = highest("SELECT coalesce(max(id), 0) FROM streams")? as i64 + 1;
        self.frontier = frontier_at(&self.connection, self.last_position)?;
        let found = checkpoints::read_all(&checkpoints::checkpoints_dir(&self.path))?;
        let newest = found.into_iter().filter_map(|(_, checkpoint)| checkpoint.ok()).next_back();
        let Some(head) = newest.map(|checkpoint| checkpoint.head) else { return Ok(()) };
        let size = head.size;
        if size > self.last_position {
            let detail = format!(
                "it ends at event {}, but a checkpoint was made at event {size}",
                self.last_position
            );
            return Err(OpenError::Inconsistent { detail });
        }
        if frontier_at(&self.connection, size)?.root() != head.root {
            let detail = format!("its first {size} events are not those of the checkpoint");
            return Err(OpenError::Inconsistent { detail });
        }
        Ok(())
    }

    /// The position of the newest event; 0 of an empty log. Positions count from 1 without gaps.
    pub fn last_position(&self) -> u64 {
        self.last_position
    }

    /// Calls `listener` after each commit, before [`Store::append`] returns: for a copy that follows.
    /// The same batches appended to an older copy of this log make it the same log.
    pub fn on_append(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// The Merkle root (RFC 6962) over all events in local order.
    pub fn root(&self) -> domain::Sha256Hash {
        self.frontier.root()
    }

    /// The newest event of `stream`; [`Head::EMPTY`] where it has none.
    pub fn head(&mut self, stream: &StreamId) -> Result<Head, ReadError> {
        if let Some(tip) = self.tips.get(stream) {
            return Ok(tip.head);
        }
        let Some(tip) = find_tip(&self.connection, stream)? else { return Ok(Head::EMPTY) };
        let head = tip.head;
        self.remember([(stream.clone(), tip)]);
        Ok(head)
    }

    /// The newest event of every stream.
    pub fn heads(&self) -> Result<HashMap<StreamId, Head>, ReadError> {
        let mut statement = self.connection.prepare(
            "SELECT name, seq, hash FROM streams JOIN events ON position =
             (SELECT position FROM events WHERE stream_id = id ORDER BY seq DESC LIMIT 1)",
        )?;
        let mut rows = statement.query([])?;
        let mut heads = HashMap::new();
        while let Some(row) = rows.next()? {
            heads.insert(stream_name(row, 0)?, head_of(row, 1, 2)?);
        }
        Ok(heads)
    }

    /// Hands every event after `after_position` to `apply`, in local order: its position, its hash
    /// and its canonical bytes. Each hash is computed anew, and each event must continue the chain
    /// of its stream as far as the replay has seen it.
    pub fn replay(
        &self,
        after_position: u64,
        mut apply: impl FnMut(
            u64,
            EventHash,
            &[u8],
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<(), ReadError> {
        let streams = self.names_of_streams()?;
        let mut seen: HashMap<i64, Head> = HashMap::new();
        let mut expected = after_position;
        let mut statement = self.connection.prepare(
            "SELECT position, stream_id, seq, hash, canonical FROM events
             WHERE position > ?1 ORDER BY position",
        )?;
        let mut rows = statement.query([signed(after_position)?])?;
        while let Some(row) = rows.next()? {
            let position = unsigned(row, 0)?;
            let broken = |why: &str| ReadError::Broken { position, why: why.into() };
            expected += 1;
            if position != expected {
                return Err(broken("an event before it is missing"));
            }
            let stream_id: i64 = row.get(1)?;
            let seq = unsigned(row, 2)?;
            let hash = EventHash(bytes32(row, 3)?);
            let canonical = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
            if EventHash::of(canonical) != hash {
                return Err(broken("its bytes do not have its hash"));
            }
            let head = Head { seq, hash };
            let before = match seen.insert(stream_id, head) {
                Some(before) => Some(before),
                None if seq == 1 => Some(Head::EMPTY),
                None => None,
            };
            if let Some(before) = before {
                let name = streams.get(&stream_id).ok_or_else(|| broken("its stream is gone"))?;
                if before.seq + 1 != seq {
                    return Err(broken("it is out of order in its stream"));
                }
                chain::stands_at(canonical, name, seq, &before.hash).map_err(broken)?;
            }
            apply(position, hash, canonical)
                .map_err(|source| ReadError::Refused { position, source })?;
        }
        Ok(())
    }

    fn names_of_streams(&self) -> Result<HashMap<i64, Vec<u8>>, ReadError> {
        let mut statement = self.connection.prepare("SELECT name, id FROM streams")?;
        let mut rows = statement.query([])?;
        let mut names = HashMap::new();
        while let Some(row) = rows.next()? {
            names.insert(row.get(1)?, chain::escaped(&stream_name(row, 0)?));
        }
        Ok(names)
    }

    /// Every effect that is not acknowledged, in the order of their events.
    pub fn outbox_pending(&self) -> Result<Vec<OutboxEntry>, ReadError> {
        outbox(&self.connection, "ORDER BY outbox.id", [])
    }

    /// A cursor that was set with a batch.
    pub fn cursor(&self, name: &str) -> Result<Option<u64>, ReadError> {
        let sql = "SELECT value FROM cursors WHERE name = ?1";
        Ok(self.connection.query_row(sql, [name], |row| unsigned(row, 0)).optional()?)
    }

    /// A read-only connection of its own, for another thread.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        Reader::beside(&self.path, Some(self.seal.clone()))
    }

    /// Bodies that this store wrote lately, for readers that come right after the commit.
    pub fn recent_bodies(&self) -> RecentBodies {
        self.recent.clone()
    }

    pub(crate) fn blobs_dir(&self) -> PathBuf {
        self.path.with_file_name("blobs")
    }

    /// Keeps heads at hand, within bounds: the table of streams has them all.
    pub(crate) fn remember(&mut self, tips: impl IntoIterator<Item = (StreamId, Tip)>) {
        if self.tips.len() >= REMEMBERED_STREAMS {
            self.tips.clear();
        }
        self.tips.extend(tips);
    }
}

/// Settings of the writing connection. WAL with FULL: a commit is on the disk when it returns.
pub(crate) fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.set_prepared_statement_cache_capacity(64);
    // Plans depend on the schema alone: without this, new values make SQLite plan again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000;",
    )
}

/// The Merkle frontier of the first `size` events, from the peaks kept beside them.
pub(crate) fn frontier_at(connection: &Connection, size: u64) -> Result<Frontier, OpenError> {
    let mut statement = connection.prepare("SELECT peak FROM events WHERE position = ?1")?;
    Frontier::from_peaks(size, |position| {
        let peak = statement.query_row([position as i64], |row| bytes32(row, 0)).optional()?;
        peak.map(Sha256Hash).ok_or_else(|| OpenError::Inconsistent {
            detail: format!("event {position} is missing"),
        })
    })
}

pub(crate) fn find_tip(
    connection: &Connection,
    stream: &StreamId,
) -> Result<Option<Tip>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, seq, hash FROM streams JOIN events ON stream_id = id
         WHERE name = ?1 ORDER BY seq DESC LIMIT 1",
    )?;
    let find = |row: &Row<'_>| {
        Ok(Tip {
            id: row.get(0)?,
            head: head_of(row, 1, 2)?,
            escaped: chain::escaped(stream).into(),
        })
    };
    statement.query_row([stream.as_str()], find).optional()
}

pub(crate) fn outbox(
    connection: &Connection,
    rest: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<OutboxEntry>, ReadError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT outbox.id, streams.name, events.seq, outbox.adapter, outbox.class, outbox.json
         FROM outbox JOIN events ON events.position = outbox.id >> 16
                     JOIN streams ON streams.id = events.stream_id {rest}"
    ))?;
    let mut rows = statement.query(parameters)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let id = unsigned(row, 0)?;
        let class: i64 = row.get(4)?;
        entries.push(OutboxEntry {
            id: EffectId {
                stream: stream_name(row, 1)?,
                seq: unsigned(row, 2)?,
                index: (id & 0xFFFF) as u16,
            },
            position: id >> 16,
            adapter: row.get(3)?,
            class: class_of(class)
                .ok_or_else(|| ReadError::BadRow(format!("repeat class {class}")))?,
            json: row.get(5)?,
        });
    }
    Ok(entries)
}

pub(crate) const fn class_number(class: RepeatClass) -> i64 {
    match class {
        RepeatClass::Repeat => 0,
        RepeatClass::LookUpFirst => 1,
        RepeatClass::Never => 2,
    }
}

const fn class_of(number: i64) -> Option<RepeatClass> {
    match number {
        0 => Some(RepeatClass::Repeat),
        1 => Some(RepeatClass::LookUpFirst),
        2 => Some(RepeatClass::Never),
        _ => None,
    }
}

/// A column that counts something.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A number as SQLite keeps it.
pub(crate) fn signed(number: u64) -> Result<i64, ReadError> {
    i64::try_from(number).map_err(|_| ReadError::BadRow(format!("{number} is too large")))
}

pub(crate) fn bytes32(row: &Row<'_>, column: usize) -> Result<[u8; 32], rusqlite::Error> {
    row.get::<_, [u8; 32]>(column)
}

pub(crate) fn head_of(row: &Row<'_>, seq: usize, hash: usize) -> Result<Head, rusqlite::Error> {
    Ok(Head { seq: unsigned(row, seq)?, hash: EventHash(bytes32(row, hash)?) })
}

pub(crate) fn stream_name(row: &Row<'_>, column: usize) -> Result<StreamId, rusqlite::Error> {
    let name = row.get_ref(column)?.as_str()?;
    StreamId::new(name).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

/// Makes a new name in a directory last: on Unix the directory itself has to be synced.
pub(crate) fn sync_dir_of(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(dir) if cfg!(unix) && !dir.as_os_str().is_empty() => {
            std::fs::File::open(dir)?.sync_all()
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
