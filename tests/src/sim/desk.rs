//! The modelled host of one engine: decide, chain, commit, release, acknowledge, crash, replay.

use domain::{
    Body, Delivery, EffectId, Envelope, EventHash, Machine, Recorded, Sha256Hash, StreamId,
    Timestamp, event::Link, machine::Effect as _,
};
use engine::{Effect, Event, Input, Reply, State};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use vault::Identity;

use super::{
    invariants::{self, Violation},
    mutant::Mutant,
    observed::Observed,
};

/// An effect on its way to its adapter.
#[derive(Clone, Debug)]
pub struct Pending {
    pub id: EffectId,
    pub effect: Effect,
    pub resumed: bool,
}

/// What one commit added.
pub struct Committed {
    pub events: Vec<Recorded<Event>>,
    pub effects: Vec<EffectId>,
    pub reply: Option<Reply>,
}

/// What survives a crash.
#[derive(Default)]
pub struct Disk {
    pub log: Vec<(EventHash, Arc<[u8]>)>,
    pub heads: HashMap<StreamId, (u64, EventHash)>,
    /// In the order of their commit.
    pub outbox: Vec<(EffectId, String)>,
    pub bodies: HashMap<Sha256Hash, Body>,
}

pub struct Desk {
    pub identity: Identity,
    pub disk: Disk,
    pub state: State,
    /// The fold of the canonical bytes alone.
    pub shadow: State,
    pub released: Vec<Pending>,
    pub observed: Observed,
    /// Relay events that were not delivered yet.
    pub unheard: BTreeSet<usize>,
    /// Notices were read up to here, in this run of the process.
    pub read_to: u64,
    pub relay_up: bool,
    pub wallet_up: bool,
    pub skew_secs: u64,
    /// Its work fails.
    pub broken: bool,
    last_at: Timestamp,
    mutant: Option<Mutant>,
}

impl Desk {
    pub fn new(index: usize, mutant: Option<Mutant>) -> Self {
        let secret = [u8::try_from(index + 1).unwrap_or(u8::MAX); 32];
        Self {
            identity: Identity::from_secret(&secret).expect("BUG: a small number is a secret key"),
            disk: Disk::default(),
            state: State::default(),
            shadow: State::default(),
            released: Vec::new(),
            observed: Observed::default(),
            unheard: BTreeSet::new(),
            read_to: 0,
            relay_up: true,
            wallet_up: true,
            skew_secs: 0,
            broken: false,
            last_at: Timestamp::default(),
            mutant,
        }
    }

    /// The time by this desk's clock, which never goes back.
    pub fn clock(&self, now: Timestamp) -> Timestamp {
        now.minus_secs(self.skew_secs).max(self.last_at)
    }

    /// What the real loop does with one input, in one transaction.
    pub fn deliver(
        &mut self,
        delivery: Delivery<Input>,
        now: Timestamp,
    ) -> Result<Committed, Violation> {
        let at = self.clock(now);
        self.last_at = at;
        let mut step = self.state.decide(&delivery.input, at);
        if let Some(mutant) = self.mutant {
            step.emits = mutant.distort(&self.state, step.emits);
        }
        let mut committed =
            Committed { events: Vec::new(), effects: Vec::new(), reply: step.reply };
        let has_effects = step.emits.iter().any(|emit| !emit.effects.is_empty());
        if self.mutant == Some(Mutant::ReleaseBeforeCommit) && has_effects {
            self.release_uncommitted(step.emits);
            return Ok(committed);
        }
        for emit in step.emits {
            let (seq, prev) =
                self.disk.heads.get(&emit.stream).copied().unwrap_or((0, EventHash::GENESIS));
            let bodies: Vec<_> = emit.bodies.iter().map(|body| body.reference.clone()).collect();
            let link = Link {
                stream: &emit.stream,
                seq: seq + 1,
                prev,
                at,
                bodies: &bodies,
                cause: delivery.acknowledges.as_ref(),
                data: &emit.event,
            };
            let canonical = link
                .canonical()
                .map_err(|fault| invariants::broken("chain_is_whole", fault.to_string()))?;
            let hash = EventHash::of(&canonical);
            let recorded = Recorded {
                stream: emit.stream.clone(),
                seq: seq + 1,
                at,
                bodies,
                cause: delivery.acknowledges.clone(),
                prev,
                hash,
                data: emit.event,
            };
            self.state.apply(&recorded);
            self.shadow.apply(&read(&canonical)?);
            self.disk.heads.insert(emit.stream.clone(), (seq + 1, hash));
            self.disk.log.push((hash, canonical));
            for body in emit.bodies {
                self.disk.bodies.insert(body.reference.hash, body);
            }
            for (index, effect) in (0..).zip(emit.effects) {
                let id = EffectId { stream: emit.stream.clone(), seq: seq + 1, index };
                let json = serde_json::to_string(&effect)
                    .map_err(|fault| invariants::broken("never_panics", fault.to_string()))?;
                self.disk.outbox.push((id.clone(), json));
                committed.effects.push(id.clone());
                self.released.push(Pending { id, effect, resumed: false });
            }
            committed.events.push(recorded);
        }
        if let Some(done) = delivery.acknowledges {
            if self.mutant != Some(Mutant::AcknowledgementLost) {
                self.disk.outbox.retain(|(id, _)| *id != done);
            }
            self.released.retain(|pending| pending.id != done);
        }
        Ok(committed)
    }

    fn release_uncommitted(&mut self, emits: Vec<domain::Emit<State>>) {
        for emit in emits {
            let seq = self.disk.heads.get(&emit.stream).map_or(0, |head| head.0) + 1;
            for (index, effect) in (0..).zip(emit.effects) {
                let id = EffectId { stream: emit.stream.clone(), seq, index };
                self.released.push(Pending { id, effect, resumed: false });
            }
        }
    }

    /// The process is gone and starts again: everything comes from the disk.
    pub fn crash(&mut self) -> Result<(), Violation> {
        if self.mutant == Some(Mutant::EventCorrupted)
            && let Some((_, bytes)) = self.disk.log.last_mut()
        {
            let text = String::from_utf8_lossy(bytes).replacen("\"seq\":", "\"seq\":1", 1);
            *bytes = text.into_bytes().into();
        }
        invariants::chain_is_whole(&self.disk)?;
        let forgotten = usize::from(self.mutant == Some(Mutant::EventForgotten));
        let mut replayed = State::default();
        for (_, canonical) in &self.disk.log[..self.disk.log.len().saturating_sub(forgotten)] {
            let event = read(canonical)?;
            self.last_at = self.last_at.max(event.at);
            replayed.apply(&event);
        }
        invariants::replay_equals_memory("after a crash", &replayed, &self.state)?;
        // The same state out of a snapshot, as the host may begin from.
        let snapshot = serde_json::to_vec(&replayed)
            .ok()
            .and_then(|json| serde_json::from_slice::<State>(&json).ok())
            .ok_or_else(|| invariants::broken("replay_equals_memory", "no snapshot reads back"))?;
        invariants::replay_equals_memory("from a snapshot", &snapshot, &self.state)?;
        self.state = snapshot;
        self.released.clear();
        for (id, json) in &self.disk.outbox {
            let effect = serde_json::from_str(json)
                .map_err(|fault| invariants::broken("replay_equals_memory", fault.to_string()))?;
            self.released.push(Pending { id: id.clone(), effect, resumed: true });
        }
        self.read_to = self.state.wallet.cursor;
        Ok(())
    }

    /// Effects that an adapter may take now: of each adapter, the oldest of each stream.
    pub fn ready(&self) -> Vec<usize> {
        let mut lines: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut ready = Vec::new();
        for (at, pending) in self.released.iter().enumerate() {
            let adapter = pending.effect.adapter();
            let first = lines.insert((adapter, pending.id.stream.as_str()));
            let up = match adapter {
                "relay" => self.relay_up,
                engine::WALLET | engine::PAYMENTS => self.wallet_up,
                _ => true,
            };
            if first && up {
                ready.push(at);
            }
        }
        ready
    }
}

/// One event out of its canonical bytes.
pub fn read(canonical: &[u8]) -> Result<Recorded<Event>, Violation> {
    Envelope::parse(canonical)
        .and_then(|envelope| envelope.typed(EventHash::of(canonical)))
        .map_err(|fault| invariants::broken("chain_is_whole", fault.to_string()))
}
