//! Measures the log beside bare SQLite and the raw disk, interleaved in one run.
//!
//! The same small job events go three ways: their bytes alone into a preallocated file with one
//! `fdatasync` per group; through bare SQLite with this schema and these settings, bytes and hashes
//! made beforehand; and through [`Store::append`], with canonical JSON, hash, chain and Merkle
//! frontier made inside the measured time.

mod source;

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{EffectId, EventHash, RepeatClass};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::Serialize;

use source::{EFFECT, EVENTS_PER_STREAM, Source, stream_of};

use crate::{
    error::{AppendError, OpenError, ReadError},
    rows::{Batch, OutboxRow},
    schema,
    store::{OpenOptions, Store, configure},
};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Events per transaction.
    pub groups: Vec<usize>,
    /// How often each way is measured; medians are reported. One more round warms up.
    pub rounds: usize,
    /// How long each way runs in each round.
    pub cell: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { groups: vec![1, 64, 256], rounds: 9, cell: Duration::from_millis(300) }
    }
}

/// Medians over the rounds. Ratios are medians of each round's ratio.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub rounds: usize,
    pub cell_ms: u64,
    /// Canonical bytes of one event.
    pub event_bytes: usize,
    pub append: Vec<GroupReport>,
    /// Of one core, each hash computed anew and each chain checked.
    pub replay_events_per_s: f64,
    pub replayed_events: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// Events per transaction.
    pub group: usize,
    pub raw_events_per_s: f64,
    pub bare_sqlite_events_per_s: f64,
    pub store_events_per_s: f64,
    pub store_over_bare_sqlite: f64,
    pub bare_sqlite_over_raw: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the disk failed")]
    Io(#[from] io::Error),
    #[error("bare SQLite failed")]
    Bare(#[from] rusqlite::Error),
    #[error("an event has no canonical form")]
    Canonical(#[from] domain::CanonicalError),
}

/// The preallocated file that the raw disk is measured on.
const RAW_BYTES: u64 = 64 << 20;

/// The raw disk: one write and one `fdatasync` per group, into blocks that exist already.
struct Raw {
    file: File,
    at: u64,
}

impl Raw {
    fn new(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let block = vec![0; 1 << 20];
        for _ in 0..RAW_BYTES / block.len() as u64 {
            file.write_all(&block)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    fn group(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.at + bytes.len() as u64 > RAW_BYTES {
            self.at = 0;
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        self.file.sync_data()
    }
}

/// Bare SQLite: the same rows into the same tables, and nothing else.
struct Bare {
    connection: Connection,
    position: i64,
    stream: i64,
    canonical: Arc<[u8]>,
}

impl Bare {
    fn new(path: &Path, canonical: Arc<[u8]>) -> Result<Self, BenchError> {
        let connection = Connection::open(path)?;
        configure(&connection)?;
        schema::migrate(&connection, path, schema::MIGRATIONS)?;
        Ok(Self { connection, position: 0, stream: 0, canonical })
    }

    fn group(&mut self, count: usize) -> Result<(), rusqlite::Error> {
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let hash = EventHash::GENESIS.0.as_slice();
        let mut event = transaction.prepare_cached(
            "INSERT INTO events (position, stream_id, seq, hash, peak, canonical)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut stream =
            transaction.prepare_cached("INSERT INTO streams (id, name) VALUES (?1, ?2)")?;
        let mut outbox = transaction.prepare_cached(
            "INSERT INTO outbox (id, adapter, class, json) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for _ in 0..count {
            let seq = self.position % EVENTS_PER_STREAM as i64 + 1;
            if seq == 1 {
                self.stream += 1;
                let name = stream_of(self.stream as u64);
                stream.execute(params![self.stream, name.as_str()])?;
            }
            self.position += 1;
            event.execute(params![
                self.position,
                self.stream,
                seq,
                hash,
                hash,
                &*self.canonical
            ])?;
        }
        for position in self.position - count as i64 + 1..=self.position {
            outbox.execute(params![position << 16, "relay", 0, EFFECT])?;
        }
        drop((event, stream, outbox));
        transaction.commit()
    }
}

fn group(store: &mut Store, source: &mut Source, count: usize) -> Result<(), BenchError> {
    let mut batch = Batch::default();
    for _ in 0..count {
        let event = source.next()?;
        batch.outbox.push(OutboxRow {
            id: EffectId { stream: event.stream.clone(), seq: event.seq, index: 0 },
            adapter: "relay",
            class: RepeatClass::Repeat,
            json: EFFECT.into(),
        });
        batch.events.push(event);
    }
    store.append(&batch)?;
    Ok(())
}

/// Groups per second over about `cell`.
fn rate<E>(cell: Duration, mut group: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    let mut groups = 0_u32;
    loop {
        group()?;
        groups += 1;
        let elapsed = start.elapsed();
        if elapsed >= cell {
            return Ok(f64::from(groups) / elapsed.as_secs_f64());
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Measures in `dir`, which must be on the disk that is meant, and leaves its files there.
pub fn run(dir: &Path, plan: &Plan) -> Result<Report, BenchError> {
    std::fs::create_dir_all(dir)?;
    let canonical = Arc::from(Source::new().next()?.canonical());
    let mut raw = Raw::new(&dir.join("raw"))?;
    let mut append = Vec::new();
    let mut largest: Option<Store> = None;
    for &size in &plan.groups {
        let (store, report) = measure_group(dir, plan, size, &canonical, &mut raw)?;
        append.push(report);
        if largest.as_ref().is_none_or(|other| other.last_position() < store.last_position()) {
            largest = Some(store);
        }
    }
    let mut replay = Vec::new();
    let mut replayed_events = 0;
    if let Some(store) = largest {
        replayed_events = store.last_position();
        for _ in 0..plan.rounds {
            let start = Instant::now();
            store.replay(0, |_, _, _| Ok(()))?;
            replay.push(replayed_events as f64 / start.elapsed().as_secs_f64());
        }
    }
    Ok(Report {
        rounds: plan.rounds,
        cell_ms: plan.cell.as_millis() as u64,
        event_bytes: canonical.len(),
        append,
        replay_events_per_s: median(replay),
        replayed_events,
    })
}

fn measure_group(
    dir: &Path,
    plan: &Plan,
    size: usize,
    canonical: &Arc<[u8]>,
    raw: &mut Raw,
) -> Result<(Store, GroupReport), BenchError> {
    let dir = dir.join(size.to_string());
    std::fs::create_dir_all(&dir)?;
    let mut bare = Bare::new(&dir.join("bare.db"), canonical.clone())?;
    let mut store = Store::open(&dir.join("store.db"), OpenOptions { body_key: [0; 32] })?;
    let mut source = Source::new();
    // What one event adds, rounded up to whole blocks for the group.
    let blocks = (size * (canonical.len() + EFFECT.len() + 100)).div_ceil(4096);
    let bytes = vec![0x5A; blocks * 4096];
    let mut rates = Vec::new();
    for round in 0..=plan.rounds {
        let events = size as f64;
        let raw_rate = events * rate(plan.cell, || raw.group(&bytes))?;
        let bare_rate = events * rate(plan.cell, || bare.group(size))?;
        let store_rate = events * rate(plan.cell, || group(&mut store, &mut source, size))?;
        if round > 0 {
            rates.push([raw_rate, bare_rate, store_rate]);
        }
    }
    let of = |value: fn(&[f64; 3]) -> f64| median(rates.iter().map(value).collect());
    let report = GroupReport {
        group: size,
        raw_events_per_s: of(|rates| rates[0]),
        bare_sqlite_events_per_s: of(|rates| rates[1]),
        store_events_per_s: of(|rates| rates[2]),
        store_over_bare_sqlite: of(|rates| rates[2] / rates[1]),
        bare_sqlite_over_raw: of(|rates| rates[1] / rates[0]),
    };
    Ok((store, report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_all_three_ways_over_the_same_rows() {
        let dir = tempfile::tempdir().expect("a directory");
        let plan = Plan { groups: vec![1, 8], rounds: 1, cell: Duration::from_millis(5) };
        let report = run(dir.path(), &plan).expect("a report");
        assert_eq!(report.append.len(), 2);
        for group in &report.append {
            assert!(group.raw_events_per_s > 0.0 && group.bare_sqlite_events_per_s > 0.0);
            assert!(group.store_over_bare_sqlite > 0.0);
        }
        assert!(report.replay_events_per_s > 0.0 && report.replayed_events > 0);
        // The same rows: as many streams and effects per event in both databases.
        for file in ["8/bare.db", "8/store.db"] {
            let connection = Connection::open(dir.path().join(file)).expect("a database");
            let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
            let events = count("SELECT count(*) FROM events");
            assert_eq!(count("SELECT count(*) FROM outbox"), events);
            assert_eq!(count("SELECT count(*) FROM streams"), (events + 5) / 6);
        }
    }
}
