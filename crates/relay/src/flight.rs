//! What is in flight to one relay: each publication until it is acknowledged, refused or too late.

use nostr::event::EventId;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{fact::shown, publish::Refusal};

/// The relay's words, or why it does not have the event.
pub(crate) type Answer = Result<String, Refusal>;

/// One event on its way to one relay.
pub(crate) struct Publish {
    pub id: EventId,
    pub frame: Utf8Bytes,
    pub deadline: Instant,
    pub done: oneshot::Sender<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be sent as soon as there is a connection.
    Queued,
    Sent,
    /// Refused with `auth-required`; sent again after the authentication.
    AwaitsAuth,
    /// Refused with `rate-limited`; sent again then.
    Later(Instant),
}

struct Entry {
    frame: Utf8Bytes,
    deadline: Instant,
    stage: Stage,
    sends: u32,
    /// After a bare NOTICE the relay is not given the whole time.
    notice: Option<String>,
    grace: Option<Instant>,
    done: Vec<oneshot::Sender<Answer>>,
}

impl Entry {
    fn due(&self) -> Instant {
        let mut due = self.deadline;
        if let Stage::Later(then) = self.stage {
            due = due.min(then);
        }
        if let (Stage::Sent, Some(grace)) = (self.stage, self.grace) {
            due = due.min(grace);
        }
        due
    }
}

/// How the client stands with the relay's authentication (NIP-42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthStanding {
    /// Nobody to authenticate as.
    Impossible,
    /// Not yet, but it may come.
    Open,
    Done,
    Failed(String),
}

pub(crate) struct Flight {
    entries: HashMap<EventId, Entry>,
    queue: VecDeque<EventId>,
    /// When to look at an entry again; may hold outdated times, which are then passed over.
    timers: BinaryHeap<Reverse<(Instant, EventId)>>,
    notice_grace: Duration,
    rate_limit_wait: Duration,
}

impl Flight {
    /// An event that makes the relay drop the connection is not sent for ever.
    const MOST_SENDS: u32 = 4;

    pub fn new(notice_grace: Duration, rate_limit_wait: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            queue: VecDeque::new(),
            timers: BinaryHeap::new(),
            notice_grace,
            rate_limit_wait,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether something waits to be sent.
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub fn add(&mut self, publish: Publish) {
        let Publish { id, frame, deadline, done } = publish;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.done.push(done);
            entry.deadline = entry.deadline.max(deadline);
            return;
        }
        let entry = Entry {
            frame,
            deadline,
            stage: Stage::Queued,
            sends: 0,
            notice: None,
            grace: None,
            done: vec![done],
        };
        self.entries.insert(id, entry);
        self.queue.push_back(id);
        self.timers.push(Reverse((deadline, id)));
    }

    /// The next frame to send, if there is one; it counts as sent.
    pub fn next_frame(&mut self, max_bytes: Option<usize>) -> Option<Utf8Bytes> {
        while let Some(id) = self.queue.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if entry.stage != Stage::Queued {
                continue;
            }
            let bytes = entry.frame.len();
            if let Some(max_bytes) = max_bytes.filter(|&max| bytes > max) {
                self.resolve(&id, Err(Refusal::TooLarge { bytes, max_bytes }));
                continue;
            }
            entry.stage = Stage::Sent;
            entry.sends += 1;
            entry.notice = None;
            entry.grace = None;
            return Some(entry.frame.clone());
        }
        None
    }

    /// The relay's `OK`. Unknown ids are ignored: the answer came too late.
    pub fn on_ok(&mut self, id: &EventId, accepted: bool, message: &str, auth: &AuthStanding) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if accepted || message.starts_with("duplicate:") {
            return self.resolve(id, Ok(shown(message)));
        }
        if message.starts_with("auth-required:") {
            let detail = match auth {
                AuthStanding::Open => {
                    entry.stage = Stage::AwaitsAuth;
                    return;
                }
                AuthStanding::Impossible => "no identity is set up to answer".to_owned(),
                AuthStanding::Done => format!("says after it: {}", shown(message)),
                AuthStanding::Failed(why) => why.clone(),
            };
            return self.resolve(id, Err(Refusal::AuthRequired { detail }));
        }
        if message.starts_with("rate-limited:") && entry.sends < Self::MOST_SENDS {
            let then = Instant::now() + self.rate_limit_wait * (1 << (entry.sends - 1).min(6));
            if then < entry.deadline {
                entry.stage = Stage::Later(then);
                self.timers.push(Reverse((then, *id)));
                return;
            }
        }
        let message = shown(message);
        let restricted = message.starts_with("restricted:") || message.starts_with("payment");
        let refusal =
            if restricted { Refusal::Restricted { message } } else { Refusal::Refused { message } };
        self.resolve(id, Err(refusal));
    }

    /// Words without an `OK`. They name no event: a single one in flight must be meant and gets
    /// only a short time more; of several it is remembered why they may have failed.
    pub fn on_notice(&mut self, text: &str) {
        let mut sent: Vec<_> =
            self.entries.iter_mut().filter(|(_, entry)| entry.stage == Stage::Sent).collect();
        if let [(id, entry)] = sent.as_mut_slice() {
            let grace = Instant::now() + self.notice_grace;
            entry.grace = Some(grace);
            self.timers.push(Reverse((grace, **id)));
        }
        for (_, entry) in sent {
            entry.notice = Some(shown(text));
        }
    }

    /// A connection stands: everything that is not acknowledged goes out (again).
    pub fn on_connected(&mut self) {
        let queued: Vec<EventId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.stage == Stage::Queued)
            .map(|(id, _)| *id)
            .collect();
        self.queue = queued.into();
    }

    pub fn on_disconnected(&mut self, detail: &str) {
        let mut hopeless = Vec::new();
        for (id, entry) in &mut self.entries {
            if entry.stage == Stage::Sent && entry.sends >= Self::MOST_SENDS {
                hopeless.push(*id);
            }
            if !matches!(entry.stage, Stage::Later(_)) {
                entry.stage = Stage::Queued;
            }
        }
        for id in hopeless {
            self.resolve(&id, Err(Refusal::Disconnected { detail: detail.to_owned() }));
        }
    }

    pub fn on_authenticated(&mut self) {
        for (id, entry) in &mut self.entries {
            if entry.stage == Stage::AwaitsAuth {
                entry.stage = Stage::Queued;
                self.queue.push_back(*id);
            }
        }
    }

    pub fn on_auth_failed(&mut self, why: &str) {
        let waiting: Vec<EventId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.stage == Stage::AwaitsAuth)
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.resolve(&id, Err(Refusal::AuthRequired { detail: why.to_owned() }));
        }
    }

    /// When [`Flight::on_time`] must be called next.
    pub fn next_wake(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((then, _))| *then)
    }

    /// Ends what is too late and queues what has waited long enough. `detail` says why there is no
    /// connection, where there is none.
    pub fn on_time(&mut self, now: Instant, detail: Option<&str>) {
        while let Some(&Reverse((then, id))) = self.timers.peek() {
            if then > now {
                break;
            }
            self.timers.pop();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if entry.deadline <= now {
                let refusal = Self::too_late(entry, detail);
                self.resolve(&id, Err(refusal));
            } else if matches!(entry.stage, Stage::Later(then) if then <= now) {
                entry.stage = Stage::Queued;
                self.queue.push_back(id);
                self.timers.push(Reverse((entry.due(), id)));
            } else if entry.stage == Stage::Sent && entry.grace.is_some_and(|grace| grace <= now) {
                let notice = entry.notice.take().unwrap_or_default();
                self.resolve(&id, Err(Refusal::NoticeOnly { notice }));
            } else {
                self.timers.push(Reverse((entry.due(), id)));
            }
        }
    }

    fn too_late(entry: &mut Entry, detail: Option<&str>) -> Refusal {
        let detail = detail.map(str::to_owned);
        match (entry.stage, entry.notice.take()) {
            (Stage::Sent, Some(notice)) => Refusal::NoticeOnly { notice },
            (Stage::AwaitsAuth, _) => Refusal::AuthRequired {
                detail: "did not say in time whether it takes ours".to_owned(),
            },
            (Stage::Queued, _) if entry.sends == 0 => Refusal::NotConnected { detail },
            (Stage::Queued, _) => {
                Refusal::Disconnected { detail: detail.unwrap_or_else(|| "it is busy".to_owned()) }
            }
            (Stage::Later(_), _) => {
                Refusal::Refused { message: "rate-limited: until the time was over".to_owned() }
            }
            (Stage::Sent, None) => Refusal::TimedOut { detail },
        }
    }

    /// Answers everything that is left.
    pub fn fail_all(&mut self, refusal: &Refusal) {
        for (_, entry) in self.entries.drain() {
            for done in entry.done {
                let _ = done.send(Err(refusal.clone()));
            }
        }
        self.queue.clear();
        self.timers.clear();
    }

    fn resolve(&mut self, id: &EventId, answer: Answer) {
        if let Some(entry) = self.entries.remove(id) {
            for done in entry.done {
                let _ = done.send(answer.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
