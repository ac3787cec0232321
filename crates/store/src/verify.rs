//! Verifying: everything is computed anew, and the first event that does not hold is named.

use std::{collections::HashMap, fmt};

use domain::{
    BodyRef, Envelope, EventHash, Pubkey, Sha256Hash, StreamId, Timestamp, canonical_json,
    merkle::Frontier,
};
use rusqlite::Connection;
use serde::Serialize;

use crate::{
    bodies::{self, Presence},
    checkpoints::{self, Found},
    error::ReadError,
    reader::Reader,
    rows::Head,
    store::{Store, bytes32, stream_name, unsigned},
};

/// Whether a key's BIP-340 signature over a digest holds.
pub type VerifySignature<'a> = &'a dyn Fn(&Pubkey, &[u8; 32], &[u8; 64]) -> bool;

/// Whose checkpoints count, and how their signatures are checked.
pub struct Trust<'a> {
    /// Only checkpoints of this key count.
    pub signer: Pubkey,
    pub verify: VerifySignature<'a>,
}

/// What was looked at, and what does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    pub events: u64,
    pub streams: u64,
    /// RFC 6962 root over all events, computed anew.
    pub root: Sha256Hash,
    /// Checkpoints that hold.
    pub checkpoints: u64,
    /// Events up to here can't have been changed without it showing.
    pub checkpointed_events: u64,
    pub checkpointed_at: Option<Timestamp>,
    pub bodies_present: u64,
    pub bodies_forgotten: u64,
    /// Empty where everything holds; the first events first, at most [`FAULTS`].
    pub faults: Vec<Fault>,
}

impl VerifyReport {
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// How many faults a report tells.
pub const FAULTS: usize = 100;

/// Something that does not hold, and the event where it shows first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    pub what: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum FaultKind {
    /// No event is at this position.
    Missing,
    /// The bytes do not have the recorded hash.
    WrongHash,
    /// The bytes are no event, or not in canonical form.
    NotCanonical,
    /// The event says of itself that it stands elsewhere, or its stream does not lead to it.
    WrongPlace,
    /// It follows another event than the one before it in its stream.
    BrokenChain,
    /// A body that it refers to is gone without having been forgotten, or is not what it was.
    BodyDamaged,
    /// The events up to a checkpoint are not those that were signed; the change is after
    /// `unchanged_to`.
    CheckpointMismatch { file: String, unchanged_to: u64, size: u64 },
    /// A checkpoint was signed over more events than there are.
    Truncated { file: String, size: u64 },
    /// The Merkle subtree recorded beside it is not that of the events up to it.
    WrongPeak,
    /// A checkpoint that doesn't read, or is not signed by the key that is trusted.
    BadCheckpoint { file: String, why: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}", self.position)?;
        if let (Some(stream), Some(seq)) = (&self.stream, self.seq) {
            write!(f, " ({stream} #{seq})")?;
        }
        f.write_str(": ")?;
        match &self.what {
            FaultKind::Missing => f.write_str("it is missing"),
            FaultKind::WrongHash => f.write_str("its bytes do not have its hash"),
            FaultKind::NotCanonical => f.write_str("its bytes are not a canonical event"),
            FaultKind::WrongPlace => f.write_str("it does not belong where it stands"),
            FaultKind::BrokenChain => f.write_str("it does not follow the event before it"),
            FaultKind::BodyDamaged => f.write_str("a body of it is missing or damaged"),
            FaultKind::CheckpointMismatch { file, unchanged_to, size } => write!(
                f,
                "events {} to {size} are not those that {file} was signed over",
                unchanged_to + 1
            ),
            FaultKind::Truncated { file, size } => {
                write!(f, "the log ends before it, but {file} was signed over {size} events")
            }
            FaultKind::WrongPeak => f.write_str("the Merkle tree up to it is another"),
            FaultKind::BadCheckpoint { file, why } => write!(f, "{file} is no checkpoint: {why}"),
        }
    }
}

impl Store {
    /// See [`Reader::verify`].
    pub fn verify(&self, trust: &Trust<'_>) -> Result<VerifyReport, ReadError> {
        self.reader()?.verify(trust)
    }
}

impl Reader {
    /// Computes everything anew: each hash, each chain, the Merkle tree, every checkpoint, every
    /// body. Looks at one moment of the log while the writer goes on.
    pub fn verify(&self, trust: &Trust<'_>) -> Result<VerifyReport, ReadError> {
        // Read first: none of these can then be newer than the log.
        let found = checkpoints::read_all(&checkpoints::checkpoints_dir(&self.path))?;
        let transaction = self.connection.unchecked_transaction()?;
        let mut run = Run::new(self, &transaction, found, trust);
        run.events()?;
        run.truncation();
        Ok(run.finish())
    }
}

struct Run<'r> {
    reader: &'r Reader,
    connection: &'r Connection,
    names: HashMap<i64, StreamId>,
    heads: HashMap<i64, Head>,
    frontier: Frontier,
    position: u64,
    events: u64,
    /// Sound ones that are still ahead, largest first.
    ahead: Vec<(String, domain::merkle::SignedCheckpoint)>,
    report: VerifyReport,
}

impl<'r> Run<'r> {
    fn new(
        reader: &'r Reader,
        connection: &'r Connection,
        found: Vec<Found>,
        trust: &Trust<'_>,
    ) -> Self {
        let mut run = Self {
            reader,
            connection,
            names: HashMap::new(),
            heads: HashMap::new(),
            frontier: Frontier::default(),
            position: 0,
            events: 0,
            ahead: Vec::new(),
            report: VerifyReport {
                events: 0,
                streams: 0,
                root: Frontier::default().root(),
                checkpoints: 0,
                checkpointed_events: 0,
                checkpointed_at: None,
                bodies_present: 0,
                bodies_forgotten: 0,
                faults: Vec::new(),
            },
        };
        for (file, checkpoint) in found {
            match checkpoint.and_then(|checkpoint| sound(checkpoint, trust)) {
                Ok(checkpoint) => run.ahead.push((file, checkpoint)),
                Err(why) => run.fault(0, None, FaultKind::BadCheckpoint { file, why }),
            }
        }
        run.ahead.sort_by_key(|(_, checkpoint)| std::cmp::Reverse(checkpoint.head.size));
        run
    }

    fn fault(&mut self, position: u64, event: Option<(&StreamId, u64)>, what: FaultKind) {
        if self.report.faults.len() < FAULTS {
            let (stream, seq) = event.map(|(stream, seq)| (stream.clone(), seq)).unzip();
            self.report.faults.push(Fault { position, stream, seq, what });
        }
    }

    fn events(&mut self) -> Result<(), ReadError> {
        let connection = self.connection;
        let mut statement = connection.prepare("SELECT id, name FROM streams")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.names.insert(row.get(0)?, stream_name(row, 1)?);
        }
        let mut statement = connection.prepare(
            "SELECT position, stream_id, seq, hash, canonical, peak FROM events ORDER BY position",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let position = unsigned(row, 0)?;
            if position != self.position + 1 {
                self.fault(self.position + 1, None, FaultKind::Missing);
            }
            self.position = position;
            let head = Head { seq: unsigned(row, 2)?, hash: EventHash(bytes32(row, 3)?) };
            let canonical = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
            self.event(row.get(1)?, head, canonical)?;
            self.events += 1;
            self.frontier.push(&head.hash);
            // After a missing event every peak is another; saying so once is enough.
            if self.frontier.size() == position
                && self.frontier.newest_peak().map(|peak| peak.0) != Some(bytes32(row, 5)?)
            {
                self.fault(position, None, FaultKind::WrongPeak);
            }
            self.checkpoints();
        }
        Ok(())
    }

    fn event(&mut self, stream_id: i64, head: Head, canonical: &[u8]) -> Result<(), ReadError> {
        let position = self.position;
        let before = self.heads.insert(stream_id, head).unwrap_or(Head::EMPTY);
        let Some(stream) = self.names.get(&stream_id) else {
            self.fault(position, None, FaultKind::WrongPlace);
            return Ok(());
        };
        let stream = stream.clone();
        let event = Some((&stream, head.seq));
        if EventHash::of(canonical) != head.hash {
            self.fault(position, event, FaultKind::WrongHash);
        }
        let Ok(envelope) = Envelope::parse(canonical) else {
            self.fault(position, event, FaultKind::NotCanonical);
            return Ok(());
        };
        let is_canonical = serde_json::from_slice::<serde_json::Value>(canonical)
            .ok()
            .and_then(|value| canonical_json(&value).ok())
            .is_some_and(|bytes| bytes == canonical);
        if !is_canonical {
            self.fault(position, event, FaultKind::NotCanonical);
        }
        if envelope.stream != stream || envelope.seq != head.seq || head.seq != before.seq + 1 {
            self.fault(position, event, FaultKind::WrongPlace);
        } else if envelope.prev != before.hash {
            self.fault(position, event, FaultKind::BrokenChain);
        }
        for reference in &envelope.bodies {
            self.body(reference, &stream, head.seq)?;
        }
        Ok(())
    }

    fn body(&mut self, reference: &BodyRef, stream: &StreamId, seq: u64) -> Result<(), ReadError> {
        let blobs = self.reader.blobs_dir();
        let seal = self.reader.seal.as_deref();
        match bodies::presence(self.connection, seal, &blobs, reference)? {
            Presence::Sound => self.report.bodies_present += 1,
            Presence::Forgotten => self.report.bodies_forgotten += 1,
            Presence::Damaged => {
                self.fault(self.position, Some((stream, seq)), FaultKind::BodyDamaged);
            }
        }
        Ok(())
    }

    /// Compares every checkpoint over as many events as were read so far.
    fn checkpoints(&mut self) {
        while let Some((_, checkpoint)) = self.ahead.last()
            && checkpoint.head.size <= self.position
        {
            let Some((file, checkpoint)) = self.ahead.pop() else { return };
            let size = checkpoint.head.size;
            if self.frontier.size() == size && self.frontier.root() == checkpoint.head.root {
                self.report.checkpoints += 1;
                self.report.checkpointed_events = size;
                self.report.checkpointed_at = Some(checkpoint.head.at);
            } else {
                let unchanged_to = self.report.checkpointed_events;
                let what = FaultKind::CheckpointMismatch { file, unchanged_to, size };
                self.fault(unchanged_to + 1, None, what);
            }
        }
    }

    /// Checkpoints over more than there is.
    fn truncation(&mut self) {
        while let Some((file, checkpoint)) = self.ahead.pop() {
            let size = checkpoint.head.size;
            self.fault(self.position + 1, None, FaultKind::Truncated { file, size });
        }
    }

    fn finish(mut self) -> VerifyReport {
        self.report.faults.sort_by_key(|fault| fault.position);
        VerifyReport {
            events: self.events,
            streams: self.heads.len() as u64,
            root: self.frontier.root(),
            ..self.report
        }
    }
}

fn sound(
    checkpoint: domain::merkle::SignedCheckpoint,
    trust: &Trust<'_>,
) -> Result<domain::merkle::SignedCheckpoint, String> {
    if checkpoint.signer != trust.signer {
        return Err(format!("it is signed by {}", checkpoint.signer));
    }
    let mut signature = [0; 64];
    hex::decode_to_slice(&checkpoint.sig, &mut signature)
        .map_err(|_| "its signature does not read".to_owned())?;
    if checkpoint.head.size >= 1 << 53 || checkpoint.head.at.0 >= 1 << 53 {
        return Err("its numbers are too large".into());
    }
    if (trust.verify)(&checkpoint.signer, &checkpoints::digest(&checkpoint.head), &signature) {
        Ok(checkpoint)
    } else {
        Err("its signature does not hold".into())
    }
}
