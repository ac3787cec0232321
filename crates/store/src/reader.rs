//! Reading beside the writer: pages of events and view rows over a read-only connection.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{Body, BodyRef, Envelope, EventHash, StreamId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::{
    bodies::{self, Seal},
    error::{OpenError, ReadError},
    rows::OutboxEntry,
    schema,
    store::{bytes32, outbox, signed, stream_name, unsigned},
};

/// A read-only view of the log that sees every commit; may be sent to another thread.
pub struct Reader {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) seal: Option<Arc<Seal>>,
}

/// Which way pages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    #[default]
    NewestFirst,
}

/// Which events.
#[derive(Clone, Debug)]
pub struct EventQuery {
    pub order: Order,
    /// The last position of the page before; that page's `next`.
    pub from: Option<u64>,
    pub limit: u32,
    pub stream: Option<StreamId>,
    /// Text somewhere in the event (its stream, type, cause or data), without regard to the case
    /// of ASCII letters.
    pub text: Option<String>,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self { order: Order::default(), from: None, limit: 100, stream: None, text: None }
    }
}

/// Which rows of a view.
#[derive(Clone, Debug)]
pub struct ViewQuery {
    pub order: Order,
    /// Sort key and key of the last row of the page before.
    pub from: Option<ViewPosition>,
    pub limit: u32,
    /// Text somewhere in the row, without regard to the case of ASCII letters.
    pub text: Option<String>,
}

impl Default for ViewQuery {
    fn default() -> Self {
        Self { order: Order::default(), from: None, limit: 100, text: None }
    }
}

/// Sort key and key of a view's row.
pub type ViewPosition = (i64, String);

/// A row of a view as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    pub key: String,
    pub sort_key: i64,
    pub json: String,
}

/// An event as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub position: u64,
    pub stream: StreamId,
    pub seq: u64,
    pub hash: EventHash,
    pub canonical: Arc<[u8]>,
}

impl EventRow {
    pub fn envelope(&self) -> Result<Envelope<'_>, ReadError> {
        Envelope::parse(&self.canonical)
            .map_err(|error| ReadError::Broken { position: self.position, why: error.to_string() })
    }
}

/// An event and those of its effects that are not acknowledged.
#[derive(Clone, Debug)]
pub struct EventDetail {
    pub event: EventRow,
    pub pending: Vec<OutboxEntry>,
}

/// Rows, and where the next page begins, if there may be more.
#[derive(Clone, Debug)]
pub struct Page<T, F> {
    pub rows: Vec<T>,
    pub next: Option<F>,
}

/// How many events one page looks through for a text before it hands back what it has.
const SCANNED: u64 = 50_000;

impl Reader {
    /// Opens the log at `path` for reading alone, also where it does not agree with itself. Bodies
    /// are read only with the vault's key.
    pub fn open(path: &Path, body_key: Option<&[u8; 32]>) -> Result<Self, OpenError> {
        let connection = connect(path)?;
        let known = schema::MIGRATIONS.iter().map(|migration| migration.to).max().unwrap_or(0);
        schema::check(&connection, known)?;
        let seal = match body_key {
            Some(key) => Some(Arc::new(Seal::of_database(&connection, key)?)),
            None => None,
        };
        Ok(Self { connection, path: path.to_owned(), seal })
    }

    pub(crate) fn beside(path: &Path, seal: Option<Arc<Seal>>) -> Result<Self, ReadError> {
        Ok(Self { connection: connect(path)?, path: path.to_owned(), seal })
    }

    pub(crate) fn blobs_dir(&self) -> PathBuf {
        self.path.with_file_name("blobs")
    }

    /// The position of the newest event; 0 of an empty log.
    pub fn last_position(&self) -> Result<u64, ReadError> {
        let sql = "SELECT coalesce(max(position), 0) FROM events";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| unsigned(row, 0))?)
    }

    /// A page of events. With a text it may hold fewer than `limit`, even none, and still have a
    /// `next`: each call looks through a bounded number of events.
    pub fn events(&self, query: &EventQuery) -> Result<Page<EventRow, u64>, ReadError> {
        let last = self.last_position()?;
        let (low, high, order) = match query.order {
            Order::OldestFirst => {
                let after = query.from.unwrap_or(0);
                (after, after.saturating_add(SCANNED).min(last), "ASC")
            }
            Order::NewestFirst => {
                let high = query.from.map_or(last, |from| from.saturating_sub(1).min(last));
                (high.saturating_sub(SCANNED), high, "DESC")
            }
        };
        // A stream is found by its own index, so that only a text bounds the search.
        let (low, high) = match (&query.stream, &query.text) {
            (Some(_), _) | (None, None) => match query.order {
                Order::OldestFirst => (low, last),
                Order::NewestFirst => (0, high),
            },
            (None, Some(_)) => (low, high),
        };
        // Of one stream, seq and position have the same order, and seq has the index.
        let (which, by) = match query.stream {
            Some(_) => ("stream_id = (SELECT id FROM streams WHERE name = ?3)", "events.seq"),
            None => ("?3 IS NULL", "position"),
        };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT position, name, events.seq, hash, canonical
             FROM events JOIN streams ON streams.id = stream_id
             WHERE {which} AND position > ?1 AND position <= ?2
               AND (?4 IS NULL OR CAST(canonical AS TEXT) LIKE ?4 ESCAPE '\\')
             ORDER BY {by} {order} LIMIT ?5"
        ))?;
        let rows = statement
            .query_map(
                params![
                    signed(low)?,
                    signed(high)?,
                    query.stream.as_ref().map(StreamId::as_str),
                    query.text.as_deref().map(like),
                    query.limit
                ],
                event_row,
            )?
            .collect::<Result<Vec<_>, _>>()?;
        let next = match rows.last() {
            Some(row) if rows.len() >= query.limit as usize => Some(row.position),
            _ => match query.order {
                Order::OldestFirst if high < last => Some(high),
                Order::NewestFirst if low > 0 => Some(low + 1),
                _ => None,
            },
        };
        Ok(Page { rows, next })
    }

    /// One event, with those of its effects that are pending.
    pub fn event(&self, position: u64) -> Result<Option<EventDetail>, ReadError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT position, name, events.seq, hash, canonical
             FROM events JOIN streams ON streams.id = stream_id WHERE position = ?1",
        )?;
        let event = statement.query_row([signed(position)?], event_row).optional()?;
        let Some(event) = event else { return Ok(None) };
        let pending = outbox(
            &self.connection,
            "WHERE outbox.id >= ?1 << 16 AND outbox.id < (?1 + 1) << 16 ORDER BY outbox.id",
            [signed(position)?],
        )?;
        Ok(Some(EventDetail { event, pending }))
    }

    /// A body by its reference; `None` where it was forgotten, or where this reader has no key.
    pub fn body(&self, reference: &BodyRef) -> Result<Option<Body>, ReadError> {
        let Some(seal) = &self.seal else { return Ok(None) };
        bodies::read(&self.connection, seal, &self.blobs_dir(), reference)
    }

    /// A page of a view's rows.
    pub fn view_rows(
        &self,
        view: &str,
        query: &ViewQuery,
    ) -> Result<Page<KeptRow, ViewPosition>, ReadError> {
        let (compare, order) = match query.order {
            Order::OldestFirst => (">", "ASC"),
            Order::NewestFirst => ("<", "DESC"),
        };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT key, sort, json FROM view_rows
             WHERE view = ?1 AND (?2 IS NULL OR (sort, key) {compare} (?2, ?3))
               AND (?4 IS NULL OR json LIKE ?4 ESCAPE '\\')
             ORDER BY sort {order}, key {order} LIMIT ?5"
        ))?;
        let (sort, key) = query.from.clone().unzip();
        let rows = statement
            .query_map(
                params![view, sort, key, query.text.as_deref().map(like), query.limit],
                |row| Ok(KeptRow { key: row.get(0)?, sort_key: row.get(1)?, json: row.get(2)? }),
            )?
            .collect::<Result<Vec<_>, _>>()?;
        let next = rows
            .last()
            .filter(|_| rows.len() >= query.limit as usize)
            .map(|row| (row.sort_key, row.key.clone()));
        Ok(Page { rows, next })
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn event_row(row: &Row<'_>) -> Result<EventRow, rusqlite::Error> {
    Ok(EventRow {
        position: unsigned(row, 0)?,
        stream: stream_name(row, 1)?,
        seq: unsigned(row, 2)?,
        hash: EventHash(bytes32(row, 3)?),
        canonical: row.get_ref(4)?.as_blob()?.into(),
    })
}

/// A LIKE pattern for text anywhere, with its wildcards taken literally.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
