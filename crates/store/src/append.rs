//! Appending: one batch, one transaction, one sync.

use std::collections::{HashMap, hash_map::Entry};

use domain::{EffectId, EventHash, Sha256Hash, StreamId, merkle::Frontier};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::{
    bodies, bulk, chain,
    error::AppendError,
    rows::{Batch, Committed, Head, NewEvent},
    store::{Store, Tip, bytes32, class_number, find_tip, unsigned},
};

/// What a transaction has changed so far; becomes the store's own only by its commit.
struct Stage<'s> {
    connection: &'s Connection,
    known: &'s HashMap<StreamId, Tip>,
    tips: HashMap<StreamId, Tip>,
    next_stream_id: i64,
    last_position: u64,
    frontier: Frontier,
    /// Where each event of the batch was put; none where it was there already.
    placed: Vec<Option<u64>>,
}

/// An event and where it goes.
struct EventRow<'b> {
    position: u64,
    stream_id: i64,
    peak: Sha256Hash,
    event: &'b NewEvent,
}

impl Store {
    /// Records `batch` in one transaction and returns when it is on the disk.
    ///
    /// An event that is already recorded is passed over; another event at the same (stream, seq)
    /// is a conflict. On any error nothing of the batch is recorded.
    pub fn append(&mut self, batch: &Batch) -> Result<Committed, AppendError> {
        bodies::write_large(self, &batch.bodies)?;
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let mut stage = Stage {
            connection: &transaction,
            known: &self.tips,
            tips: HashMap::new(),
            next_stream_id: self.next_stream_id,
            last_position: self.last_position,
            frontier: self.frontier.clone(),
            placed: Vec::with_capacity(batch.events.len()),
        };
        stage.events(&batch.events)?;
        bodies::record(&transaction, &self.seal, &batch.bodies)?;
        stage.outbox(batch)?;
        stage.views(batch)?;
        let Stage { tips, next_stream_id, last_position, frontier, .. } = stage;
        transaction.commit()?;
        self.recent.keep(&batch.bodies);
        let first_position = self.last_position + 1;
        self.remember(tips);
        self.next_stream_id = next_stream_id;
        self.last_position = last_position;
        self.frontier = frontier;
        if let Some(listener) = &mut self.listener {
            listener(batch);
        }
        Ok(Committed { first_position, last_position })
    }
}

impl Stage<'_> {
    fn events(&mut self, events: &[NewEvent]) -> Result<(), AppendError> {
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let NewEvent { stream, seq, .. } = event;
            let tip = self.tip(event)?;
            let expected = tip.head.seq + 1;
            if *seq == 0 || *seq > expected {
                return Err(AppendError::Gap { stream: stream.clone(), expected, offered: *seq });
            }
            if *seq < expected {
                let tip = tip.clone();
                self.check_same(&tip, event, &rows)?;
                self.placed.push(None);
                continue;
            }
            chain::stands_at(event.canonical(), &tip.escaped, *seq, &tip.head.hash).map_err(
                |why| AppendError::BrokenChain { stream: stream.clone(), seq: *seq, why },
            )?;
            tip.head = event.head();
            let stream_id = tip.id;
            self.last_position += 1;
            self.frontier.push(&event.hash());
            let peak = *self.frontier.newest_peak().expect("BUG: a leaf was pushed");
            rows.push(EventRow { position: self.last_position, stream_id, peak, event });
            self.placed.push(Some(self.last_position));
        }
        bulk::insert(self.connection, &bulk::EVENTS, &rows, |statement, at, row| {
            statement.raw_bind_parameter(at, row.position as i64)?;
            statement.raw_bind_parameter(at + 1, row.stream_id)?;
            statement.raw_bind_parameter(at + 2, row.event.seq as i64)?;
            statement.raw_bind_parameter(at + 3, row.event.hash().0.as_slice())?;
            statement.raw_bind_parameter(at + 4, row.peak.0.as_slice())?;
            statement.raw_bind_parameter(at + 5, row.event.canonical())
        })?;
        Ok(())
    }

    /// Where the event's stream stands. A stream begins with the first event that is offered to it.
    fn tip(&mut self, event: &NewEvent) -> Result<&mut Tip, AppendError> {
        let entry = match self.tips.entry(event.stream.clone()) {
            Entry::Occupied(entry) => return Ok(entry.into_mut()),
            Entry::Vacant(entry) => entry,
        };
        if let Some(tip) = self.known.get(&event.stream) {
            return Ok(entry.insert(tip.clone()));
        }
        if event.seq == 1 {
            let id = self.next_stream_id;
            let mut begin = self.connection.prepare_cached(
                "INSERT INTO streams (id, name) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
            )?;
            if begin.execute(params![id, event.stream.as_str()])? == 1 {
                self.next_stream_id += 1;
                let escaped = chain::escaped(&event.stream).into();
                return Ok(entry.insert(Tip { id, head: Head::EMPTY, escaped }));
            }
        }
        match find_tip(self.connection, &event.stream)? {
            Some(tip) => Ok(entry.insert(tip)),
            None => Err(AppendError::Gap {
                stream: event.stream.clone(),
                expected: 1,
                offered: event.seq,
            }),
        }
    }

    /// The same event again is no change; another one at its place is a conflict.
    fn check_same(
        &self,
        tip: &Tip,
        event: &NewEvent,
        rows: &[EventRow<'_>],
    ) -> Result<(), AppendError> {
        let is_same = |row: &&EventRow<'_>| row.stream_id == tip.id && row.event.seq == event.seq;
        let recorded = if event.seq == tip.head.seq {
            tip.head.hash
        } else if let Some(row) = rows.iter().find(is_same) {
            row.event.hash()
        } else {
            let mut statement = self
                .connection
                .prepare_cached("SELECT hash FROM events WHERE stream_id = ?1 AND seq = ?2")?;
            statement.query_row(params![tip.id, event.seq as i64], |row| {
                bytes32(row, 0).map(EventHash)
            })?
        };
        if recorded == event.hash() {
            return Ok(());
        }
        Err(AppendError::Conflict {
            stream: event.stream.clone(),
            seq: event.seq,
            recorded,
            offered: event.hash(),
        })
    }

    fn outbox(&self, batch: &Batch) -> Result<(), AppendError> {
        let connection = self.connection;
        let mut rows = Vec::with_capacity(batch.outbox.len());
        // Effects come in the order of their events: the search goes on where it was.
        let (events, mut at) = (&batch.events, 0);
        for row in &batch.outbox {
            let id = &row.id;
            let is_its = |event: &NewEvent| event.seq == id.seq && event.stream == id.stream;
            match (at..events.len()).chain(0..at).find(|index| is_its(&events[*index])) {
                Some(index) => {
                    at = index;
                    let Some(position) = self.placed[index] else { continue };
                    rows.push((outbox_id(position, id.index)?, row));
                }
                None if self.row_of(id)?.is_some() => {}
                None => return Err(AppendError::EffectWithoutEvent(id.clone())),
            }
        }
        bulk::insert(connection, &bulk::OUTBOX, &rows, |statement, at, (id, row)| {
            statement.raw_bind_parameter(at, id)?;
            statement.raw_bind_parameter(at + 1, row.adapter)?;
            statement.raw_bind_parameter(at + 2, class_number(row.class))?;
            statement.raw_bind_parameter(at + 3, row.json.as_str())
        })?;
        if !batch.acknowledged.is_empty() {
            let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
            for id in &batch.acknowledged {
                if let Some(row) = self.row_of(id)? {
                    delete.execute([row])?;
                }
            }
        }
        Ok(())
    }

    /// The outbox row that an effect has or would have, by the position of its event.
    fn row_of(&self, effect: &EffectId) -> Result<Option<i64>, AppendError> {
        let tip = self.tips.get(&effect.stream).or_else(|| self.known.get(&effect.stream));
        let stream_id = match tip {
            Some(tip) => tip.id,
            None => match find_tip(self.connection, &effect.stream)? {
                Some(tip) => tip.id,
                None => return Ok(None),
            },
        };
        let mut statement = self
            .connection
            .prepare_cached("SELECT position FROM events WHERE stream_id = ?1 AND seq = ?2")?;
        let position = statement
            .query_row(params![stream_id, signed(effect.seq)?], |row| unsigned(row, 0))
            .optional()?;
        position.map(|position| outbox_id(position, effect.index)).transpose()
    }

    fn views(&self, batch: &Batch) -> Result<(), AppendError> {
        if !batch.view_rows.is_empty() {
            let mut put = self.connection.prepare_cached(
                "INSERT INTO view_rows (view, key, sort, json) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (view, key) DO UPDATE SET sort = excluded.sort, json = excluded.json",
            )?;
            for row in &batch.view_rows {
                put.execute(params![row.table, row.key, row.sort_key, row.json])?;
            }
        }
        if !batch.cursors.is_empty() {
            let mut put = self
                .connection
                .prepare_cached("INSERT OR REPLACE INTO cursors (name, value) VALUES (?1, ?2)")?;
            for cursor in &batch.cursors {
                put.execute(params![cursor.name, signed(cursor.value)?])?;
            }
        }
        Ok(())
    }
}

fn outbox_id(position: u64, index: u16) -> Result<i64, AppendError> {
    let high = position.checked_mul(1 << 16).ok_or(AppendError::OutOfRange(position))?;
    signed(high | u64::from(index))
}

fn signed(number: u64) -> Result<i64, AppendError> {
    i64::try_from(number).map_err(|_| AppendError::OutOfRange(number))
}
