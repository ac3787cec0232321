//! The port to what moves the money. Every adapter passes the one contract in `tests/contract`.

use domain::{ErrorBody, Msat, PaymentHash, Preimage};
use std::{future::Future, path::PathBuf};
use wallet::{
    Fact, Found, InvoiceOrder, Made, Order, Sought,
    channels::{ChannelOpening, ChannelQuote, Channels, CloseChannel, OpenChannel},
    event::Observed,
    wire::Rail,
};

use crate::backup::keeper::Live;

/// What a backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Its invoices have the payment hash that it is given, and their money is locked until it is
    /// claimed. Without that it chooses the hash, and money is ours as it comes.
    pub chosen_hash: bool,
    pub receives: &'static [Rail],
    pub pays: &'static [Rail],
}

/// How a backend took a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendAnswer {
    /// On its way; the outcome comes as a fact, or by looking it up. With the backend's own name of
    /// it, where it has no payment hash.
    Taken { reference: Option<String> },
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
    #[error("the wallet's backend refused: {0}")]
    Refused(String),
    #[error("the wallet's backend does not answer: {0}")]
    NotNow(String),
}

/// A backend. Calls block; the facts do not.
///
/// Facts come at least once: the oldest comes again until it is acknowledged, and after a restart
/// one that was acknowledged may come once more.
pub trait Backend: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    fn capabilities(&self) -> Capabilities;
    /// Whose wallet it is: it must be the same at each start.
    fn node_id(&self) -> String;
    /// `host:port` where it takes peers.
    fn listening_address(&self) -> Option<String> {
        None
    }

    /// What it is and holds now, without asking anyone.
    fn observe(&self) -> Observed;

    /// What is ours in channels, where nothing is under way in them and so it is exact.
    fn in_channels(&self) -> Option<Msat> {
        None
    }

    /// Catches up with the chain.
    fn sync(&self) -> Result<(), BackendError>;

    /// Makes something to be paid by, of this hash where the backend takes one. Again for the same
    /// hash is the same promise; nobody was given what was made before.
    fn make_invoice(
        &self,
        order: &InvoiceOrder,
        payment_hash: PaymentHash,
    ) -> Result<Made, BackendError>;

    /// Pays. What is on its way or has arrived is not paid again, however often this is called; a
    /// payment whose last try failed for certain is tried again, and its record is the new try's.
    fn send(&self, order: &Order) -> SendAnswer;

    /// What became of a payment, in or out. An error is no answer.
    fn look_up(&self, sought: &Sought) -> Result<Found, BackendError>;

    /// Takes what is locked for an invoice of this preimage's hash. Harmless where nothing is.
    fn claim(&self, _amount: Msat, _preimage: &Preimage) -> Result<(), BackendError> {
        Ok(())
    }

    /// Sends back what is locked under this hash. Harmless where nothing is.
    fn turn_away(&self, _payment_hash: &PaymentHash) -> Result<(), BackendError> {
        Ok(())
    }

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

    /// Its channels, what closed ones still owe, and what it holds on the chain.
    fn channels(&self) -> Result<Channels, ErrorBody> {
        Err(no_channels())
    }

    /// What opening a channel would cost.
    fn quote_channel(&self, _open: &OpenChannel) -> Result<ChannelQuote, ErrorBody> {
        Err(no_channels())
    }

    /// Opens a channel, once per key: again with the same key it is the same channel, also after a
    /// crash at any moment.
    fn open_channel(&self, _open: &OpenChannel) -> Result<ChannelOpening, ErrorBody> {
        Err(no_channels())
    }

    /// Closes a channel; one that is closing already is left at that.
    fn close_channel(&self, _close: &CloseChannel) -> Result<Channels, ErrorBody> {
        Err(no_channels())
    }

    /// The SQLite databases that it keeps besides the log, for a copy of both.
    fn databases(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What a backup is compared with.
    fn live(&self) -> Live {
        Live {
            backend: self.name().to_owned(),
            node_id: self.node_id(),
            has_channels: false,
            in_channels_msat: self.in_channels(),
            onchain_msat: self.observe().onchain_msat,
            chain_seen: None,
        }
    }

    /// Ends it in order; nothing works after that.
    fn stop(&self);
}

fn no_channels() -> ErrorBody {
    ErrorBody::refused("no_channels", "This wallet has no channels of its own. Nothing was done.")
}
