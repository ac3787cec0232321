//! What can go wrong with the log, told so that people know what is safe and what to do.

use domain::{EffectId, EventHash, StreamId};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What the database or the disk refused.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(
        "the disk is full; what was recorded before is safe, this step was not recorded; free some space and start again"
    )]
    DiskFull(#[source] Source),
    #[error(
        "the database is damaged; nothing was changed; keep a copy of the files, run `events verify`, and restore the newest backup"
    )]
    Corrupt(#[source] Source),
    #[error(
        "the file is not a database of this program, or its first page is damaged; nothing was changed; restore the newest backup or choose another home"
    )]
    NotADatabase(#[source] Source),
    #[error(
        "the database is in use by another process; nothing was changed; end the other one or wait"
    )]
    Busy(#[source] Source),
    #[error(
        "the files of the log may not be written; nothing was changed; check their owner and permissions"
    )]
    Denied(#[source] Source),
    #[error("the disk failed while reading or writing the log; this step may not be recorded")]
    Io(#[source] Source),
    #[error("the database refused an operation")]
    Database(#[source] Source),
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let Some(code) = error.sqlite_error_code() else {
            return Self::Database(error.into());
        };
        match code {
            ErrorCode::DiskFull => Self::DiskFull(error.into()),
            ErrorCode::DatabaseCorrupt => Self::Corrupt(error.into()),
            ErrorCode::NotADatabase => Self::NotADatabase(error.into()),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy(error.into()),
            ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
                Self::Denied(error.into())
            }
            ErrorCode::SystemIoFailure => Self::Io(error.into()),
            _ => Self::Database(error.into()),
        }
    }
}

impl From<std::io::Error> for StorageError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull(error.into()),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::Denied(error.into())
            }
            _ => Self::Io(error.into()),
        }
    }
}

/// Why the log can't be opened. Nothing in it was changed, except by migrations that are named.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "this log was written by a newer version of the program (schema {found}, known is {known}); nothing was changed; install the newer version"
    )]
    Newer { found: u32, known: u32 },
    #[error("the file is a database of another program; nothing was changed; choose another home")]
    NotOurs,
    #[error(
        "the vault's key does not open the bodies of this log; nothing was changed; restore the vault that belongs to this home"
    )]
    WrongKey,
    #[error(
        "the log's index does not agree with its events ({detail}); nothing was changed; run `events verify`, and restore the newest backup"
    )]
    Inconsistent { detail: String },
    #[error("the log could not be brought to schema {to}; it is as it was, its backup is {backup}")]
    Migration {
        to: u32,
        backup: String,
        #[source]
        source: StorageError,
    },
    #[error("no randomness from the system")]
    Entropy,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<std::io::Error> for OpenError {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Why a batch was not recorded. None of it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error(
        "event {seq} of {stream} is already recorded as another event ({recorded}, offered {offered}); nothing was changed; two writers share this log, or it was restored from an old copy"
    )]
    Conflict { stream: StreamId, seq: u64, recorded: EventHash, offered: EventHash },
    #[error("event {offered} of {stream} was offered where {expected} is next")]
    Gap { stream: StreamId, expected: u64, offered: u64 },
    #[error("event {seq} of {stream} does not continue its chain: {why}")]
    BrokenChain { stream: StreamId, seq: u64, why: &'static str },
    #[error("effect {0} belongs to no recorded event")]
    EffectWithoutEvent(EffectId),
    #[error("the number {0} is too large to be kept")]
    OutOfRange(u64),
    #[error("no randomness from the system")]
    Entropy,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for AppendError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<std::io::Error> for AppendError {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "the event at position {position} does not hold: {why}; run `events verify`, and restore the newest backup"
    )]
    Broken { position: u64, why: String },
    #[error("the event at position {position} can't be used")]
    Refused {
        position: u64,
        #[source]
        source: Source,
    },
    #[error("a body of {len} bytes is missing or damaged")]
    BodyDamaged { len: u64 },
    #[error("a row of the database does not read: {0}")]
    BadRow(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match error {
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..) => Self::BadRow(error.to_string()),
            other => Self::Storage(other.into()),
        }
    }
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.into())
    }
}
