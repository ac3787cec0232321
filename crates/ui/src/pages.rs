//! Pages of what is not hot: log rows by index, and what is over by age. Bounded, never waiting.

use domain::{ErrorBody, IdempotencyKey, RequestId, Timestamp};
use engine::{
    DeskPort, Query,
    view::{Answer, JobView, LogRow, PaymentView},
};
use std::{collections::HashMap, sync::mpsc::Receiver};

use crate::courier::{Load, take, unexpected};

/// Rows asked for at once.
pub const PAGE: u64 = 200;
const PAGES_KEPT: usize = 64;
const IN_FLIGHT: usize = 4;

/// The log by row index, under one filter. Only the pages near what is looked at are kept.
#[derive(Default)]
pub struct LogPages {
    filter: Option<String>,
    pages: HashMap<u64, Page>,
    /// How many rows there are under the filter; absent until an answer has said so.
    total: Option<u64>,
    turn: u64,
    /// Events in the log when the filtered total was last asked for.
    asked_at_events: u64,
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

impl LogPages {
    /// Shows only rows that hold `text`; everything read before is dropped.
    pub fn set_filter(&mut self, text: &str) {
        let text = text.trim();
        let filter = (!text.is_empty()).then(|| text.to_owned());
        if filter != self.filter {
            *self = Self { filter, ..Self::default() };
        }
    }

    pub fn failed(&self) -> Option<&ErrorBody> {
        self.failed.as_ref()
    }

    /// Forgets a failure, so that its pages are asked for again.
    pub fn retry(&mut self) {
        self.failed = None;
    }

    /// Rows under the filter; `events` is how many the log holds.
    pub fn total(&mut self, port: &dyn DeskPort, events: u64) -> Option<u64> {
        if self.filter.is_none() {
            self.total = Some(events);
            return self.total;
        }
        if self.asked_at_events != events && self.failed.is_none() {
            let last = self.total.unwrap_or(0) / PAGE;
            if self.ask(port, last) {
                self.asked_at_events = events;
            }
        }
        self.total
    }

    /// The row at `index`, oldest first; asks for its page where it is not here.
    pub fn row(&mut self, port: &dyn DeskPort, index: u64) -> Load<&LogRow> {
        self.turn += 1;
        let (number, place) = (index / PAGE, (index % PAGE) as usize);
        let total = self.total.unwrap_or(0);
        let turn = self.turn;
        let page = self.pages.entry(number).or_default();
        page.used = turn;
        let grown = page.rows.len() < PAGE as usize && page.read_at_total < total;
        if place >= page.rows.len() && (page.rows.is_empty() || grown) && self.failed.is_none() {
            self.ask(port, number);
        }
        match self.pages.get(&number).and_then(|page| page.rows.get(place)) {
            Some(row) => Load::Ready(row),
            None => match &self.failed {
                Some(error) => Load::Failed(error.clone()),
                None => Load::Waiting,
            },
        }
    }

    /// Whether the page was asked for now or is on its way already.
    fn ask(&mut self, port: &dyn DeskPort, number: u64) -> bool {
        let in_flight = self.pages.values().filter(|page| page.asked.is_some()).count();
        let page = self.pages.entry(number).or_default();
        if page.asked.is_some() || in_flight >= IN_FLIGHT {
            return false;
        }
        page.asked = Some(port.ask(Query::Log {
            from: number * PAGE + 1,
            count: PAGE as u32,
            filter: self.filter.clone(),
        }));
        true
    }

    /// Takes in the pages that have come.
    pub fn settle(&mut self) {
        for page in self.pages.values_mut() {
            let Some(answer) = page.asked.as_ref().and_then(take) else { continue };
            page.asked = None;
            match answer {
                Answer::Log { total, rows } => {
                    page.rows = rows;
                    page.read_at_total = total;
                    if self.filter.is_some() {
                        self.total = Some(total);
                    }
                }
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
