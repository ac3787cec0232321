//! [`Backend`] on ecash at trusted mints.

use domain::{PaymentHash, Sha256Hash};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use wallet::{
    Fact, Found, InvoiceOrder, Made, Order, Sought,
    event::Observed,
    wire::{Direction, Rail},
};

use super::{
    book::{self, Record},
    mint::MintError,
    pay, receive,
    shared::Shared,
};
use crate::backend::{Backend, BackendError, Capabilities, SendAnswer};

const RAILS: &[Rail] = &[Rail::Bolt11];
const GREET_EVERY: Duration = Duration::from_secs(60);
/// For what is under way to come to a point from which it goes on after a restart.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Of one mint after the other: quotes, keys, and what an earlier seed had there.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// Ecash at mints that the operator trusts.
pub struct CashuBackend {
    shared: Arc<Shared>,
    node_id: String,
    database: PathBuf,
    worker: JoinHandle<()>,
    payments: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Drop for CashuBackend {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl CashuBackend {
    pub(super) fn new(shared: Shared, seed: &[u8; 64], database: PathBuf, runtime: Handle) -> Self {
        let shared = Arc::new(shared);
        let worker = runtime.spawn(work(Arc::clone(&shared)));
        let mut named = b"the name of a cashu wallet".to_vec();
        named.extend_from_slice(seed);
        let node_id = format!("cashu-{}", Sha256Hash::of(&named));
        let payments = Mutex::new(JoinSet::new());
        Self { shared, node_id, database, worker, payments, runtime }
    }

    async fn record(&self, sought: &Sought) -> Result<Option<Record>, BackendError> {
        let Some(hash) = sought.payment_hash else { return Ok(None) };
        let known = self.shared.book.get(&book::key(sought.direction, hash)).await;
        known.map_err(|error| BackendError::NotNow(error.to_string()))
    }
}

fn not_now(error: MintError) -> BackendError {
    BackendError::NotNow(error.to_string())
}

async fn look(shared: &Shared, record: &Record) -> Result<Found, MintError> {
    match record.direction {
        Direction::In => receive::look(shared, record).await,
        Direction::Out => pay::look(shared, record).await,
    }
}

/// Looks at what is awaited, and now and then at the mints.
async fn work(shared: Arc<Shared>) {
    let mut greeted = None;
    loop {
        if greeted.is_none_or(|at: tokio::time::Instant| at.elapsed() >= GREET_EVERY) {
            greet(&shared).await;
            greeted = Some(tokio::time::Instant::now());
        }
        settle(&shared, false).await;
        tokio::select! {
            () = tokio::time::sleep(shared.tempo.look_every) => {}
            () = shared.nudge.notified() => {}
        }
    }
}

/// How many of the mints answer.
async fn greet(shared: &Shared) -> usize {
    let mut heard = 0;
    for mint in &shared.mints {
        match mint.greet(&shared.book).await {
            Ok(()) => heard += 1,
            Err(error) => tracing::warn!(mint = mint.host, %error, "a mint cannot be used"),
        }
    }
    heard
}

async fn settle(shared: &Shared, all: bool) {
    for record in shared.due(all) {
        let key = record.key();
        let found = match look(shared, &record).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(mint = record.mint, %error, "a quote was not looked at");
                continue;
            }
        };
        let fact = match record.direction {
            Direction::In => receive::fact(&record, found),
            Direction::Out => pay::fact(&record, found),
        };
        if let Some(fact) = fact {
            shared.tell(key, fact);
        } else if shared.is_late(&record) && shared.book.told(&key).await.is_ok() {
            shared.forget(&key);
        }
    }
}

impl Backend for CashuBackend {
    fn name(&self) -> &'static str {
        "cashu"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chosen_hash: false, receives: RAILS, pays: RAILS }
    }

    fn node_id(&self) -> String {
        self.node_id.clone()
    }

    fn observe(&self) -> Observed {
        self.runtime.block_on(self.shared.observe())
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.runtime.block_on(async {
            let heard = greet(&self.shared).await;
            settle(&self.shared, true).await;
            match heard {
                0 => Err(BackendError::NotNow("no mint answers".to_owned())),
                _ => Ok(()),
            }
        })
    }

    fn make_invoice(
        &self,
        order: &InvoiceOrder,
        _payment_hash: PaymentHash,
    ) -> Result<Made, BackendError> {
        let making = receive::make_invoice(&self.shared, order);
        match self.runtime.block_on(async { tokio::time::timeout(ANSWER_WITHIN, making).await }) {
            Ok(made) => made,
            Err(_) => Err(BackendError::NotNow("the mints are too slow".to_owned())),
        }
    }

    fn send(&self, order: &Order) -> SendAnswer {
        let (answer, answered) = oneshot::channel();
        {
            let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
            while payments.try_join_next().is_some() {}
            let paying = pay::pay(Arc::clone(&self.shared), order.clone(), answer);
            payments.spawn_on(paying, &self.runtime);
        }
        let lost = || SendAnswer::Unclear("what became of it has to be looked up".to_owned());
        let answered = async { tokio::time::timeout(ANSWER_WITHIN, answered).await };
        match self.runtime.block_on(answered) {
            Ok(answer) => answer.unwrap_or_else(|_| lost()),
            Err(_) => lost(),
        }
    }

    fn look_up(&self, sought: &Sought) -> Result<Found, BackendError> {
        self.runtime.block_on(async {
            match self.record(sought).await? {
                Some(record) => look(&self.shared, &record).await.map_err(not_now),
                None => Ok(Found::Nothing),
            }
        })
    }

    async fn next_fact(&self) -> Fact {
        self.shared.next_fact().await
    }

    fn acknowledge(&self) -> Result<(), BackendError> {
        let Some(key) = self.shared.first_fact() else { return Ok(()) };
        let told = self.runtime.block_on(self.shared.book.told(&key));
        told.map_err(|error| BackendError::NotNow(error.to_string()))?;
        self.shared.drop_fact();
        Ok(())
    }

    fn databases(&self) -> Vec<PathBuf> {
        vec![self.database.clone()]
    }

    fn stop(&self) {
        self.worker.abort();
        let mut payments =
            std::mem::take(&mut *self.payments.lock().unwrap_or_else(PoisonError::into_inner));
        self.runtime.block_on(async {
            let ended = async { while payments.join_next().await.is_some() {} };
            if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
                tracing::warn!(
                    "payments are still at a mint; they are looked up at the next start"
                );
            }
            payments.shutdown().await;
        });
    }
}
