//! What every part of the executor holds: the core, the backend once it runs, and the door out.

use domain::ErrorBody;
use host::Core;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use wallet::{Input, Reply, Wallet, wire::NodeState};

use crate::{backend::Backend, secret::InvoiceSecret};

const CALLS_AT_ONCE: usize = 16;

/// What readers wait on: the cursor of the newest notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tide {
    pub cursor: u64,
}

/// The parts of a running executor.
pub struct House<B> {
    pub core: Core<Wallet, Tide>,
    pub secret: InvoiceSecret,
    pub backend: OnceLock<Arc<B>>,
    /// What the node was when it was last looked at.
    pub node: watch::Sender<NodeState>,
    /// Why there is no node yet, for people.
    pub trouble: watch::Sender<Option<String>>,
    /// Something moved: look at the node soon.
    pub look: Notify,
    /// Held while something is sent or found on its way, until the log's inbox has it, and while a
    /// failure is noted: so no fact of one try comes after one of the next.
    pub sending: Mutex<()>,
    /// Blocking calls of the node at the same time.
    calls: Semaphore,
    /// Set once, by whoever wants the process to end.
    pub ending: watch::Sender<bool>,
}

impl<B: Backend> House<B> {
    pub fn new(core: Core<Wallet, Tide>, secret: InvoiceSecret) -> Self {
        Self {
            core,
            secret,
            backend: OnceLock::new(),
            node: watch::Sender::new(NodeState::Starting),
            trouble: watch::Sender::new(None),
            look: Notify::new(),
            sending: Mutex::new(()),
            calls: Semaphore::new(CALLS_AT_ONCE),
            ending: watch::Sender::new(false),
        }
    }

    /// Asks the machine; its refusals are errors.
    pub async fn ask(&self, input: Input) -> Result<Reply, ErrorBody> {
        match self.core.ask(input).await? {
            Some(Reply::Refused(error)) => Err(error),
            Some(reply) => Ok(reply),
            None => Ok(Reply::Done),
        }
    }

    /// The running backend, or why there is none.
    pub fn backend(&self) -> Result<&Arc<B>, ErrorBody> {
        self.backend.get().ok_or_else(|| {
            let why = self.trouble.borrow().clone();
            let why = why.unwrap_or_else(|| "The wallet is still starting.".into());
            ErrorBody::new("starting", why).retryable()
        })
    }

    /// Waits until the node can send and receive.
    pub async fn ready(&self) {
        let mut node = self.node.subscribe();
        let _sender_lives = node.wait_for(|state| *state == NodeState::Ready).await;
    }

    /// Runs a blocking call of the backend off the async threads.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&B) -> T + Send + 'static,
    ) -> Result<T, ErrorBody> {
        let backend = Arc::clone(self.backend()?);
        let _place = self.calls.acquire().await;
        tokio::task::spawn_blocking(move || work(&backend)).await.map_err(|error| {
            ErrorBody::new("internal", format!("a call of the node broke off: {error}"))
        })
    }

    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    pub async fn ended(&self) {
        let mut ending = self.ending.subscribe();
        let _sender_lives = ending.wait_for(|ending| *ending).await;
    }
}
