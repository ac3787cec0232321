//! The port to a Lightning backend. Every adapter passes the one contract in `tests/contract`.

use domain::{Msat, PaymentHash, Preimage};
use std::{future::Future, path::PathBuf};
use wallet::{Fact, Found, event::Observed};

/// What an invoice is made of.
#[derive(Clone, Debug)]
pub struct InvoiceRequest {
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub memo: String,
    pub expiry_secs: u32,
}

/// How a backend took a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendAnswer {
    /// On its way; the outcome comes as a fact.
    Taken,
    /// Not sent, and nothing of it is on its way: no way was found, or none that is open now.
    NotSent(String),
    /// Not sent, and it never will be by this call.
    Refused(String),
    /// The backend has or may have it already: look it up.
    Unclear(String),
    /// The backend does not run; nothing was sent.
    NotNow(String),
}

/// A call that did not do its work; doing it again is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    #[error("the Lightning node refused: {0}")]
    Refused(String),
    #[error("the Lightning node does not answer: {0}")]
    NotNow(String),
}

/// A Lightning backend. Calls block; the facts do not.
///
/// Facts come at least once: the oldest comes again until it is acknowledged, and after a restart
/// one that was acknowledged may come once more.
pub trait Backend: Send + Sync + 'static {
    fn name(&self) -> &'static str;
    fn node_id(&self) -> String;
    fn listening_address(&self) -> Option<String>;

    /// What it is and holds now, without asking anyone.
    fn observe(&self) -> Observed;

    /// What is ours in channels, where nothing is under way in them and so it is exact.
    fn in_channels(&self) -> Option<Msat>;

    /// Catches up with the chain.
    fn sync(&self) -> Result<(), BackendError>;

    /// Makes an invoice of this hash. Again for the same hash is the same promise.
    fn make_invoice(&self, request: &InvoiceRequest) -> Result<String, BackendError>;

    /// Pays. What is on its way or has arrived is not paid again, however often this is called; a
    /// payment whose last try failed for certain is tried again, and its record is the new try's.
    fn send(&self, bolt11: &str, max_fee: Msat) -> SendAnswer;

    /// What became of a payment, in or out.
    fn look_up(&self, payment_hash: &PaymentHash) -> Found;

    /// Takes what is locked for an invoice of this preimage's hash. Harmless where nothing is.
    fn claim(&self, amount: Msat, preimage: &Preimage) -> Result<(), BackendError>;

    /// Sends back what is locked under this hash. Harmless where nothing is.
    fn turn_away(&self, payment_hash: &PaymentHash) -> Result<(), BackendError>;

    /// The oldest fact that is not acknowledged. One caller at a time.
    fn next_fact(&self) -> impl Future<Output = Fact> + Send;

    /// The fact that [`Backend::next_fact`] gave is committed.
    fn acknowledge(&self) -> Result<(), BackendError>;

    /// Waits until what the backend did and saw so far survives the end of the process. Nothing of
    /// it goes into the log before.
    fn settled_on_disk(&self) -> impl Future<Output = Result<(), BackendError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Waits until the backend cannot go on, and says why.
    fn failed(&self) -> impl Future<Output = String> + Send {
        std::future::pending()
    }

    /// Connects to the peers that should be there and are not.
    fn keep_connected(&self) {}

    /// The SQLite databases that hold its state, for a backup.
    fn databases(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Ends it in order; nothing works after that.
    fn stop(&self);
}
