//! Pages of what is not hot: log rows by index, and what is over by age. Bounded, never waiting.

use domain::{ErrorBody, IdempotencyKey, RequestId, Timestamp};
use engine::{
    DeskPort, Query,
    view::{Answer, JobView, LogRow, PaymentView},
};
use std::{
    collections::HashMap,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use crate::courier::{Load, take, unexpected};

/// Rows asked for at once.
pub const PAGE: u64 = 200;
const PAGES_KEPT: usize = 64;
const IN_FLIGHT: usize = 4;
/// The most rows that a filter finds: the newest.
pub const FOUND_MOST: u32 = 1_000;
/// A filter looks through the log again at most this often.
const FOUND_EVERY: Duration = Duration::from_secs(1);

/// The log by row index: pages of all of it, or what a filter finds. Only the pages near what is
/// looked at are kept.
#[derive(Default)]
pub struct LogPages {
    pages: HashMap<u64, Page>,
    total: u64,
    turn: u64,
    found: Option<Found>,
    failed: Option<ErrorBody>,
}

#[derive(Default)]
struct Page {
    rows: Vec<LogRow>,
    asked: Option<Receiver<Answer>>,
    used: u64,
    /// The total this page was read under: a page that was not full is read again when it grows.
    read_at_total: u64,
}

/// What a filter finds, oldest first.
struct Found {
    text: String,
    /// Absent until an answer has come.
    rows: Option<Vec<LogRow>>,
    asked: Option<Receiver<Answer>>,
    /// When, and how many events there were then.
    asked_at: Option<(Instant, u64)>,
}

impl LogPages {
    /// Shows only rows that hold `text`; without one, all.
    pub fn set_filter(&mut self, text: &str) {
        let text = text.trim();
        let now = self.found.as_ref().map_or("", |found| found.text.as_str());
        if text != now {
            let found = Found { text: text.to_owned(), rows: None, asked: None, asked_at: None };
            self.found = (!text.is_empty()).then_some(found);
            self.failed = None;
        }
    }

    pub fn failed(&self) -> Option<&ErrorBody> {
        self.failed.as_ref()
    }

    /// Forgets a failure, so that its pages are asked for again.
    pub fn retry(&mut self) {
        self.failed = None;
        if let Some(found) = &mut self.found {
            found.asked_at = None;
        }
    }

    /// Rows to show, of a log of `events`; absent while a filter has not answered yet.
    pub fn total(&mut self, port: &dyn DeskPort, events: u64) -> Option<u64> {
        self.total = events;
        let Some(found) = &mut self.found else { return Some(events) };
        let due =
            found.asked_at.is_none_or(|(at, then)| then != events && at.elapsed() >= FOUND_EVERY);
        if due && found.asked.is_none() && self.failed.is_none() {
            found.asked_at = Some((Instant::now(), events));
            let filter = Some(found.text.clone());
            found.asked = Some(port.ask(Query::Log { from: 1, count: FOUND_MOST, filter }));
        }
        found.rows.as_ref().map(|rows| rows.len() as u64)
    }

    /// When a filter that has not seen the newest of `events` looks again.
    pub fn looks_again(&self, events: u64) -> Option<Duration> {
        let (at, then) = self.found.as_ref()?.asked_at?;
        (then != events).then(|| FOUND_EVERY.saturating_sub(at.elapsed()))
    }

    /// The row at `index`, oldest first; asks for its page where it is not here.
    pub fn row(&mut self, port: &dyn DeskPort, index: u64) -> Load<&LogRow> {
        let (number, place) = (index / PAGE, (index % PAGE) as usize);
        if self.found.is_none() {
            self.touch(port, number, place);
        }
        let row = match &self.found {
            Some(found) => found
                .rows
                .as_ref()
                .and_then(|rows| rows.get(usize::try_from(index).unwrap_or(usize::MAX))),
            None => self.pages.get(&number).and_then(|page| page.rows.get(place)),
        };
        match (row, &self.failed) {
            (Some(row), _) => Load::Ready(row),
            (None, Some(error)) => Load::Failed(error.clone()),
            (None, None) => Load::Waiting,
        }
    }

    /// Marks a page as looked at, and asks for it where a row of it is missing.
    fn touch(&mut self, port: &dyn DeskPort, number: u64, place: usize) {
        self.turn += 1;
        let page = self.pages.entry(number).or_default();
        page.used = self.turn;
        let grown = page.rows.len() < PAGE as usize && page.read_at_total < self.total;
        let missing = place >= page.rows.len() && (page.rows.is_empty() || grown);
        if missing && self.failed.is_none() {
            self.ask(port, number);
        }
    }

    fn ask(&mut self, port: &dyn DeskPort, number: u64) {
        let in_flight = self.pages.values().filter(|page| page.asked.is_some()).count();
        let page = self.pages.entry(number).or_default();
        if page.asked.is_none() && in_flight < IN_FLIGHT {
            let from = number * PAGE + 1;
            let query = Query::Log { from, count: PAGE as u32, filter: None };
            page.asked = Some(port.ask(query));
        }
    }

    /// Takes in what has come.
    pub fn settle(&mut self) {
        for page in self.pages.values_mut() {
            let Some(answer) = page.asked.as_ref().and_then(take) else { continue };
            page.asked = None;
            match answer {
                Answer::Log { total, rows } => {
                    page.rows = rows;
                    page.read_at_total = total;
                }
                Answer::Failed(error) => self.failed = Some(error),
                _ => self.failed = Some(unexpected()),
            }
        }
        if let Some(found) = &mut self.found
            && let Some(answer) = found.asked.as_ref().and_then(take)
        {
            found.asked = None;
            match answer {
                Answer::Log { rows, .. } => found.rows = Some(rows),
                Answer::Failed(error) => self.failed = Some(error),
                _ => self.failed = Some(unexpected()),
            }
        }
        while self.pages.len() > PAGES_KEPT {
            let oldest = self.pages.iter().min_by_key(|(_, page)| page.used).map(|(n, _)| *n);
            match oldest {
                Some(number) => self.pages.remove(&number),
                None => break,
            };
        }
    }
}

/// Something that is read newest first, page after page.
pub trait Aged: Sized {
    type Key: PartialEq;
    fn key(&self) -> Self::Key;
    fn updated_at(&self) -> Timestamp;
    fn query(before: Option<Timestamp>) -> Query;
    fn read(answer: Answer) -> Result<Vec<Self>, ErrorBody>;
}

const OLDER_PAGE: u32 = 50;
/// The most kept of what is over; beyond it the command line has the rest.
const OLDER_KEPT: usize = 2_000;

/// What is over and no longer hot.
pub struct Older<T> {
    items: Vec<T>,
    asked: Option<Receiver<Answer>>,
    started: bool,
    end: bool,
    failed: Option<ErrorBody>,
}

impl<T> Default for Older<T> {
    fn default() -> Self {
        Self { items: Vec::new(), asked: None, started: false, end: false, failed: None }
    }
}

impl<T: Aged> Older<T> {
    pub fn items(&self) -> &[T] {
        &self.items
    }

    pub fn loading(&self) -> bool {
        self.asked.is_some()
    }

    pub fn started(&self) -> bool {
        self.started
    }

    pub fn at_end(&self) -> bool {
        self.end
    }

    pub fn failed(&self) -> Option<&ErrorBody> {
        self.failed.as_ref()
    }

    /// Asks for the next page, unless one is on its way or there is no more.
    pub fn more(&mut self, port: &dyn DeskPort) {
        if self.asked.is_none() && !self.end {
            self.started = true;
            self.failed = None;
            let before = self.items.last().map(Aged::updated_at);
            self.asked = Some(port.ask(T::query(before)));
        }
    }

    /// Takes in the page that has come.
    pub fn settle(&mut self) {
        let Some(answer) = self.asked.as_ref().and_then(take) else { return };
        self.asked = None;
        match T::read(answer) {
            Ok(page) => {
                let before = self.items.len();
                let full = page.len() >= OLDER_PAGE as usize;
                for item in page {
                    if self.items.iter().all(|known| known.key() != item.key()) {
                        self.items.push(item);
                    }
                }
                let grew = self.items.len() > before;
                self.end = !full || !grew || self.items.len() >= OLDER_KEPT;
            }
            Err(error) => self.failed = Some(error),
        }
    }
}

impl Aged for JobView {
    type Key = RequestId;

    fn key(&self) -> RequestId {
        self.request_id
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    fn query(before: Option<Timestamp>) -> Query {
        Query::Jobs { before, count: OLDER_PAGE }
    }

    fn read(answer: Answer) -> Result<Vec<Self>, ErrorBody> {
        match answer {
            Answer::Jobs { jobs } => Ok(jobs),
            Answer::Failed(error) => Err(error),
            _ => Err(unexpected()),
        }
    }
}

impl Aged for PaymentView {
    type Key = IdempotencyKey;

    fn key(&self) -> IdempotencyKey {
        self.key.clone()
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    fn query(before: Option<Timestamp>) -> Query {
        Query::Payments { before, count: OLDER_PAGE }
    }

    fn read(answer: Answer) -> Result<Vec<Self>, ErrorBody> {
        match answer {
            Answer::Payments { payments } => Ok(payments),
            Answer::Failed(error) => Err(error),
            _ => Err(unexpected()),
        }
    }
}
