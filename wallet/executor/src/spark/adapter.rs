//! [`Backend`] on the Spark process.

use domain::{Msat, PaymentHash};
use host::supervise::Supervisor;
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, task::JoinHandle};
use wallet::{
    Fact, Found, InvoiceOrder, Made, Order, Sought,
    event::Observed,
    wire::{NodeState, PaymentState, Rail},
};

use super::{
    convert::{self, Claim, Claimed, Deposit, Info, Request, Told},
    feed::Feed,
    link::{CallError, Link},
};
use crate::backend::{Backend, BackendError, Capabilities, SendAnswer};

const RAILS: &[Rail] = &[Rail::Bolt11, Rail::Spark, Rail::Onchain];
/// Each is longer than the process itself waits for the SDK in such a call.
const QUICK: Duration = Duration::from_secs(15);
const RECEIVE_WITHIN: Duration = Duration::from_secs(75);
const SYNC_WITHIN: Duration = Duration::from_secs(240);
const PAY_WITHIN: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A Spark wallet in a process of its own.
pub struct SparkBackend {
    link: Arc<Link>,
    feed: Feed,
    node_id: String,
    /// What the process said of itself last.
    seen: Arc<Mutex<Observed>>,
    watching: JoinHandle<()>,
    supervisor: Mutex<Option<Supervisor>>,
    journal: PathBuf,
    runtime: Handle,
}

impl Drop for SparkBackend {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl SparkBackend {
    pub(super) fn new(
        link: Arc<Link>,
        supervisor: Supervisor,
        info: Info,
        journal: PathBuf,
        runtime: Handle,
    ) -> Self {
        let seen = Arc::new(Mutex::new(convert::observed(&info)));
        let watching = runtime.spawn(watch(Arc::clone(&link), Arc::clone(&seen)));
        let feed = Feed::new(Arc::clone(&link));
        let node_id = info.wallet.node_id;
        let supervisor = Mutex::new(Some(supervisor));
        Self { link, feed, node_id, seen, watching, supervisor, journal, runtime }
    }

    /// On-chain deposits that are not part of the balance yet. Blocks.
    pub fn deposits(&self) -> Result<Vec<Deposit>, BackendError> {
        let asked = json!({});
        let asked = self.link.call("deposits", &asked, RECEIVE_WITHIN);
        self.runtime.block_on(asked).map_err(convert::undone)
    }

    /// Claims a deposit for at most this fee, else for what the SDK claims by itself. Money that
    /// came so is told as a fact. Blocks.
    pub fn claim_deposit(
        &self,
        txid: &str,
        vout: u32,
        max_fee_msat: Option<Msat>,
    ) -> Result<Claimed, BackendError> {
        let asked = json!({ "txid": txid, "vout": vout, "max_fee_msat": max_fee_msat });
        let asked = self.link.call::<_, Claim>("claim_deposit", &asked, RECEIVE_WITHIN);
        self.runtime.block_on(asked).map(|claim| claim.outcome).map_err(convert::undone)
    }

    /// What the process has already is asked for again only where its operators were heard since
    /// and know of nothing; then it goes out under the same id.
    async fn pay(&self, order: &Order) -> SendAnswer {
        let asked = json!({ "key": order.key });
        let given = match self.link.call::<_, Told>("payment", &asked, QUICK).await {
            Ok(told) if !told.given => false,
            Ok(told) if told.payment.state == PaymentState::Failed => return convert::taken(told),
            Ok(told) if told.payment.state == PaymentState::Unknown && told.heard => true,
            Ok(_) => return SendAnswer::Unclear("Spark has it already.".into()),
            Err(CallError::Said(error)) if error.code == "no_such_payment" => false,
            Err(error) => return SendAnswer::NotNow(error.into_text()),
        };
        let asked = json!({
            "key": order.key,
            "request": order.request,
            "amount_msat": order.amount_msat,
            "max_fee_msat": order.max_fee_msat,
        });
        match self.link.call("pay", &asked, PAY_WITHIN).await {
            Ok(told) => convert::taken(told),
            // Of this key nothing was ever given away.
            Err(CallError::Said(error)) if error.code == "key_reused" && !given => {
                SendAnswer::Refused(error.message)
            }
            Err(error) => convert::not_sent(error),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Observed> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for SparkBackend {
    fn name(&self) -> &'static str {
        "spark"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chosen_hash: false, receives: RAILS, pays: RAILS }
    }

    fn node_id(&self) -> String {
        self.node_id.clone()
    }

    fn observe(&self) -> Observed {
        self.seen().clone()
    }

    fn sync(&self) -> Result<(), BackendError> {
        let asked = json!({});
        let asked = self.link.call::<_, Info>("refresh", &asked, SYNC_WITHIN);
        let info = self.runtime.block_on(asked).map_err(convert::undone)?;
        let seen = convert::observed(&info);
        *self.seen() = seen.clone();
        match seen.state {
            NodeState::Ready => Ok(()),
            _ => Err(BackendError::NotNow(seen.detail.unwrap_or_default())),
        }
    }

    fn make_invoice(
        &self,
        order: &InvoiceOrder,
        _payment_hash: PaymentHash,
    ) -> Result<Made, BackendError> {
        let asked = json!({
            "key": order.key,
            "rail": order.rail,
            "amount_msat": order.amount_msat,
            "memo": order.memo,
            "expiry_secs": order.expiry_secs,
        });
        let asked = self.link.call::<_, Request>("receive", &asked, RECEIVE_WITHIN);
        self.runtime.block_on(asked).map(convert::made).map_err(convert::undone)
    }

    fn send(&self, order: &Order) -> SendAnswer {
        self.runtime.block_on(self.pay(order))
    }

    fn look_up(&self, sought: &Sought) -> Result<Found, BackendError> {
        let asked = json!({
            "key": sought.key,
            "direction": sought.direction,
            "payment_hash": sought.payment_hash,
            "reference": sought.reference,
        });
        match self.runtime.block_on(self.link.call("look_up", &asked, QUICK)) {
            Ok(told) => convert::found(told),
            Err(CallError::Said(error)) if error.code == "no_such_payment" => Ok(Found::Nothing),
            Err(error) => Err(BackendError::NotNow(error.into_text())),
        }
    }

    async fn next_fact(&self) -> Fact {
        self.feed.next().await
    }

    fn acknowledge(&self) -> Result<(), BackendError> {
        self.runtime.block_on(self.feed.acknowledge()).map_err(convert::undone)
    }

    fn databases(&self) -> Vec<PathBuf> {
        vec![self.journal.clone()]
    }

    fn stop(&self) {
        self.watching.abort();
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            self.runtime.block_on(supervisor.stop());
        }
    }
}

/// Looks at the process now and then; one that does not answer is degraded, and what it held stays
/// what was last known.
async fn watch(link: Arc<Link>, seen: Arc<Mutex<Observed>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let asked = link.call::<_, Info>("info", &json!({}), QUICK).await;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(info) => *seen = convert::observed(&info),
            Err(error) => {
                seen.state = NodeState::Degraded;
                seen.inbound_msat = Msat::ZERO;
                let why = error.into_text();
                seen.detail = Some(format!("The Spark process does not answer: {why}"));
            }
        }
    }
}
