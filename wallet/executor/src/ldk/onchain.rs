//! Payments on the chain, in and out, as the port asks for them.

use domain::{IdempotencyKey, Msat};
use ldk_node::{
    NodeError,
    bitcoin::{Address, Transaction, Txid},
    lightning::ln::channelmanager::PaymentId,
    payment::{PaymentDetails, PaymentStatus},
};
use wallet::{Fact, Found, InvoiceOrder, Made, Order, Sought, Which, wire::Rail};

use super::{
    adapter::LdkBackend,
    convert,
    outgoing::{IntentError, Left, News, Send},
};
use crate::backend::{BackendError, SendAnswer};

impl LdkBackend {
    /// An address; the same one for the same key.
    pub(super) fn new_address(&self, order: &InvoiceOrder) -> Result<Made, BackendError> {
        let key = order.key.as_str();
        let outgoing = self.peers.outgoing();
        let failed = |error: String| BackendError::NotNow(error);
        let text = match outgoing.address_of(key) {
            Some(known) => known,
            None => {
                let address = self
                    .node
                    .onchain_payment()
                    .new_address()
                    .map_err(|error| failed(error.to_string()))?;
                outgoing.issue(key, &address).map_err(|error| failed(error.to_string()))?;
                address.to_string()
            }
        };
        Ok(Made { text, payment_hash: None, expires_at: None })
    }

    /// Makes and sends the transaction, once per key.
    pub(super) fn send_onchain(&self, order: &Order) -> SendAnswer {
        let address = match self.address(&order.request) {
            Ok(address) => address,
            Err(why) => return SendAnswer::Refused(why),
        };
        let msat = order.amount_msat.get();
        if !msat.is_multiple_of(1_000) {
            return SendAnswer::Refused("On the chain there are whole satoshi only.".into());
        }
        let outgoing = self.peers.outgoing();
        if !self.unseen().is_empty() {
            self.send_again();
            // The node would spend the same coins again.
            let why = "the last transaction was not seen by the chain source yet";
            return SendAnswer::NotNow(why.into());
        }
        let rate = match self.runtime.block_on(self.peers.front().fee_rate()) {
            Ok(rate) => rate,
            Err(why) => return SendAnswer::NotNow(why),
        };
        let (key, amount) = (order.key.as_str(), msat / 1_000);
        let max_fee = order.max_fee_msat.get() / 1_000;
        let intent = Send::new(address.script_pubkey(), Some(amount), rate, max_fee);
        match outgoing.intend(key, intent) {
            Ok(()) => {}
            Err(error @ IntentError::Known) => return SendAnswer::Unclear(error.to_string()),
            Err(error @ IntentError::SameAddress) => return SendAnswer::NotNow(error.to_string()),
            Err(error) => return SendAnswer::NotNow(error.to_string()),
        }
        match self.node.onchain_payment().send_to_address(&address, amount, Some(rate)) {
            Ok(_) => {}
            Err(NodeError::NotRunning) => {
                outgoing.forget(key);
                return SendAnswer::NotNow("it does not run".into());
            }
            Err(error) => {
                outgoing.forget(key);
                return SendAnswer::Refused(format!("The node made no transaction: {error}."));
            }
        }
        match outgoing.wait(key) {
            Left::Yes(txid) => SendAnswer::Taken { reference: Some(txid.to_string()) },
            Left::TooDear(fee) => SendAnswer::Refused(format!(
                "The transaction's fee would be up to {}, above the limit of {}. Nothing was sent.",
                convert::sat(fee),
                order.max_fee_msat
            )),
            Left::NotYet => SendAnswer::Unclear("its transaction has not left yet".into()),
        }
    }

    fn address(&self, text: &str) -> Result<Address, String> {
        let address: Address<_> =
            text.parse().map_err(|error| format!("This is not an address: {error}."))?;
        address
            .require_network(self.node.config().network)
            .map_err(|_| "This address is of another network. Nothing was sent.".to_owned())
    }

    /// What the node's own wallet says of a transaction, once the chain source has shown it.
    fn onchain_record(&self, tx: &Transaction) -> Option<PaymentDetails> {
        self.node.payment(&payment_id(&tx.compute_txid()))
    }

    /// What left, and the chain source has not shown: the node's wallet does not know of it.
    fn unseen(&self) -> Vec<Transaction> {
        let outgoing = self.peers.outgoing();
        let mut left = outgoing.untold();
        left.retain(|tx| self.onchain_record(tx).is_none());
        if !left.is_empty() {
            // The record waits for a block; the wallet itself knows of it before.
            let known = outgoing.wallet_transactions();
            left.retain(|tx| !known.contains(tx));
        }
        left
    }

    pub(super) fn look_up_onchain(&self, sought: &Sought) -> Found {
        let Some(send) = self.peers.outgoing().get(sought.key.as_str()) else {
            return Found::Nothing;
        };
        let Some(tx) = send.transaction() else {
            return if send.is_open() { Found::InFlight } else { Found::Nothing };
        };
        let txid = tx.compute_txid().to_string();
        match self.onchain_record(&tx) {
            Some(record) if is_deep(&record) => Found::Settled {
                amount_msat: convert::sat(send.paid_sat(&tx)),
                fee_msat: fee(&record),
                preimage: None,
                payment_hash: None,
                reference: Some(txid),
            },
            _ => Found::InFlight,
        }
    }

    /// What the chain decided and the log was not told; the same until it is acknowledged.
    pub(super) fn onchain_news(&self) -> Option<Fact> {
        self.peers.outgoing().tell(|| self.sent_news().or_else(|| self.received_news()))
    }

    /// By the payment's key: a crash may have come before the log was told the transaction's id.
    fn sent_news(&self) -> Option<(News, Fact)> {
        self.peers.outgoing().untold_sends().into_iter().find_map(|(key, send)| {
            let tx = send.transaction()?;
            let record = self.onchain_record(&tx).filter(is_deep)?;
            let txid = tx.compute_txid();
            let found = Found::Settled {
                amount_msat: convert::sat(send.paid_sat(&tx)),
                fee_msat: fee(&record),
                preimage: None,
                payment_hash: None,
                reference: Some(txid.to_string()),
            };
            let key = IdempotencyKey::new(key).ok()?;
            Some((News::Sent(txid), Fact::LookedUp { key, found }))
        })
    }

    fn received_news(&self) -> Option<(News, Fact)> {
        let outgoing = self.peers.outgoing();
        if !outgoing.has_issued() {
            return None;
        }
        outgoing.wallet_transactions().into_iter().find_map(|tx| {
            let payin = outgoing.payins(&tx).into_iter().next()?;
            self.onchain_record(&tx).filter(is_deep)?;
            let fact = Fact::Received {
                which: Which::Reference(payin.outpoint.clone()),
                rail: Rail::Onchain,
                to: Some(payin.address.clone()),
                amount_msat: convert::sat(payin.sat),
                preimage: None,
            };
            Some((News::Received { address: payin.address, outpoint: payin.outpoint }, fact))
        })
    }

    /// What left and is not seen by the chain source goes again, as it was.
    pub(super) fn send_again(&self) {
        for tx in &self.unseen() {
            if let Err(why) = self.runtime.block_on(self.peers.front().send_again(tx)) {
                tracing::debug!(why, txid = %tx.compute_txid(), "a transaction sent again");
            }
        }
    }
}

fn payment_id(txid: &Txid) -> PaymentId {
    use ldk_node::bitcoin::hashes::Hash;
    PaymentId(txid.to_byte_array())
}

fn fee(record: &PaymentDetails) -> Msat {
    convert::msat(record.fee_paid_msat.unwrap_or(0))
}

/// Six blocks, by the node's own count.
fn is_deep(record: &PaymentDetails) -> bool {
    record.status == PaymentStatus::Succeeded
}
