//! Many rows by one statement: SQLite then opens its cursors once for all of them.

use std::sync::LazyLock;

use rusqlite::{Connection, Statement};

/// Rows per statement; what is left over goes one by one.
const ROWS: usize = 16;

/// An insert in both its forms.
pub(crate) struct Insert {
    columns: usize,
    one: String,
    many: String,
}

pub(crate) static EVENTS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new("events (position, stream_id, seq, hash, peak, canonical)", 6, "")
});
pub(crate) static OUTBOX: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new("outbox (id, adapter, class, json)", 4, "ON CONFLICT (id) DO NOTHING")
});

impl Insert {
    fn new(into: &str, columns: usize, rest: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let sql =
            |rows| format!("INSERT INTO {into} VALUES {} {rest}", vec![&*row; rows].join(", "));
        Self { columns, one: sql(1), many: sql(ROWS) }
    }
}

/// Inserts all `rows`; `bind` binds one row's columns from the given parameter on.
pub(crate) fn insert<T>(
    connection: &Connection,
    insert: &Insert,
    rows: &[T],
    bind: impl Fn(&mut Statement<'_>, usize, &T) -> Result<(), rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let (chunks, rest) = rows.as_chunks::<ROWS>();
    if !chunks.is_empty() {
        let mut statement = connection.prepare_cached(&insert.many)?;
        for chunk in chunks {
            for (index, row) in chunk.iter().enumerate() {
                bind(&mut statement, 1 + index * insert.columns, row)?;
            }
            statement.raw_execute()?;
        }
    }
    if !rest.is_empty() {
        let mut statement = connection.prepare_cached(&insert.one)?;
        for row in rest {
            bind(&mut statement, 1, row)?;
            statement.raw_execute()?;
        }
    }
    Ok(())
}
