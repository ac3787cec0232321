//! Appending: one batch, one transaction, one sync.

use std::collections::HashMap;

use domain::{EffectId, EventHash, StreamId, merkle::Frontier};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::{
    bodies, chain,
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
    /// Positions of this batch's events, by stream and seq.
    placed: HashMap<(i64, u64), u64>,
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
            placed: HashMap::new(),
        };
        stage.events(&batch.events)?;
        bodies::record(&transaction, &self.seal, &batch.bodies)?;
        stage.outbox(batch)?;
        stage.views(batch)?;
        let Stage { tips, next_stream_id, last_position, frontier, .. } = stage;
        transaction.commit()?;
        let first_position = self.last_position + 1;
        self.remember(tips);
        self.next_stream_id = next_stream_id;
        self.last_position = last_position;
        self.frontier = frontier;
        Ok(Committed { first_position, last_position })
    }
}

impl Stage<'_> {
    fn events(&mut self, events: &[NewEvent]) -> Result<(), AppendError> {
        let connection = self.connection;
        let mut insert = connection.prepare_cached(
            "INSERT INTO events (position, stream_id, seq, hash, peak, canonical)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for event in events {
            let NewEvent { stream, seq, hash, canonical } = event;
            let tip = self.tip(stream)?;
            let expected = tip.head.seq + 1;
            if *seq == 0 || *seq > expected {
                return Err(AppendError::Gap { stream: stream.clone(), expected, offered: *seq });
            }
            if *seq < expected {
                let tip = tip.clone();
                self.check_same(&tip, event)?;
                continue;
            }
            let broken = |why| AppendError::BrokenChain { stream: stream.clone(), seq: *seq, why };
            chain::stands_at(canonical, &tip.escaped, *seq, &tip.head.hash).map_err(broken)?;
            if EventHash::of(canonical) != *hash {
                return Err(broken("its bytes do not have its hash"));
            }
            tip.head = Head { seq: *seq, hash: *hash };
            let id = tip.id;
            if *seq == 1 {
                self.connection
                    .prepare_cached("INSERT INTO streams (id, name) VALUES (?1, ?2)")?
                    .execute(params![id, stream.as_str()])?;
            }
            let position = self.last_position + 1;
            self.frontier.push(hash);
            let peak = self.frontier.newest_peak().expect("BUG: a leaf was pushed");
            insert.execute(params![
                position as i64,
                id,
                *seq as i64,
                hash.0.as_slice(),
                peak.0.as_slice(),
                canonical.as_ref()
            ])?;
            self.placed.insert((id, *seq), position);
            self.last_position = position;
        }
        Ok(())
    }

    fn tip(&mut self, stream: &StreamId) -> Result<&mut Tip, AppendError> {
        if !self.tips.contains_key(stream) {
            let known = match self.known.get(stream) {
                Some(tip) => Some(tip.clone()),
                None => find_tip(self.connection, stream)?,
            };
            let tip = known.unwrap_or_else(|| {
                let id = self.next_stream_id;
                self.next_stream_id += 1;
                let escaped = chain::escaped(stream).into();
                Tip { id, head: Head::EMPTY, escaped }
            });
            self.tips.insert(stream.clone(), tip);
        }
        Ok(self.tips.get_mut(stream).expect("BUG: it was put there"))
    }

    /// The same event again is no change; another one at its place is a conflict.
    fn check_same(&self, tip: &Tip, event: &NewEvent) -> Result<(), AppendError> {
        let recorded = if event.seq == tip.head.seq {
            tip.head.hash
        } else {
            let mut statement = self
                .connection
                .prepare_cached("SELECT hash FROM events WHERE stream_id = ?1 AND seq = ?2")?;
            statement.query_row(params![tip.id, event.seq as i64], |row| {
                bytes32(row, 0).map(EventHash)
            })?
        };
        if recorded == event.hash {
            return Ok(());
        }
        Err(AppendError::Conflict {
            stream: event.stream.clone(),
            seq: event.seq,
            recorded,
            offered: event.hash,
        })
    }

    fn outbox(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let connection = self.connection;
        let mut insert = connection.prepare_cached(
            "INSERT INTO outbox (id, adapter, class, json) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for row in &batch.outbox {
            match self.place(&row.id)? {
                None => return Err(AppendError::EffectWithoutEvent(row.id.clone())),
                Some(Place::Earlier(_)) => {}
                Some(Place::Now(id)) => {
                    let class = class_number(row.class);
                    insert.execute(params![id, row.adapter, class, row.json])?;
                }
            }
        }
        if !batch.retries.is_empty() {
            let mut retry = connection.prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, next_try = ?2, dead = ?3, why = ?4
                 WHERE id = ?1",
            )?;
            for row in &batch.retries {
                if let Some(place) = self.place(&row.id)? {
                    let next_try = signed(row.next_try.0)?;
                    retry.execute(params![place.id(), next_try, row.dead, row.why])?;
                }
            }
        }
        if !batch.acknowledged.is_empty() {
            let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
            for id in &batch.acknowledged {
                if let Some(place) = self.place(id)? {
                    delete.execute([place.id()])?;
                }
            }
        }
        Ok(())
    }

    /// Where an effect's row is, by where its event is.
    fn place(&self, effect: &EffectId) -> Result<Option<Place>, AppendError> {
        let tip = match self.tips.get(&effect.stream).or_else(|| self.known.get(&effect.stream)) {
            Some(tip) => Some(tip.id),
            None => find_tip(self.connection, &effect.stream)?.map(|tip| tip.id),
        };
        let Some(stream_id) = tip else { return Ok(None) };
        if let Some(position) = self.placed.get(&(stream_id, effect.seq)) {
            return Ok(Some(Place::Now(outbox_id(*position, effect.index)?)));
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT position FROM events WHERE stream_id = ?1 AND seq = ?2")?;
        let position = statement
            .query_row(params![stream_id, signed(effect.seq)?], |row| unsigned(row, 0))
            .optional()?;
        position.map(|position| Ok(Place::Earlier(outbox_id(position, effect.index)?))).transpose()
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

/// The row of an effect whose event is in this batch, or was recorded earlier.
enum Place {
    Now(i64),
    Earlier(i64),
}

impl Place {
    const fn id(&self) -> i64 {
        match self {
            Self::Now(id) | Self::Earlier(id) => *id,
        }
    }
}

fn outbox_id(position: u64, index: u16) -> Result<i64, AppendError> {
    let high = position.checked_mul(1 << 16).ok_or(AppendError::OutOfRange(position))?;
    signed(high | u64::from(index))
}

fn signed(number: u64) -> Result<i64, AppendError> {
    i64::try_from(number).map_err(|_| AppendError::OutOfRange(number))
}
