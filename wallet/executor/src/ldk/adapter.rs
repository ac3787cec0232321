//! [`Backend`] on ldk-node.

use domain::{ErrorBody, Msat, PaymentHash, Preimage, Timestamp};
use ldk_durable::{Gate, Relay};
use ldk_node::{
    ChannelDetails, Node, NodeError,
    lightning::{
        ln::{channelmanager::PaymentId, types::ChannelId},
        routing::router::RouteParametersConfig,
    },
    lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description},
    lightning_types::payment,
};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use wallet::{
    Fact, Found, InvoiceOrder, Made, Order, Sought,
    channels::{ChannelOpening, ChannelQuote, Channels, CloseChannel, OpenChannel},
    event::Observed,
    wire::{NodeState, Rail},
};

use super::{convert, peers::Peers};
use crate::{
    backend::{Backend, BackendError, Capabilities, SendAnswer},
    backup::keeper::Live,
};

/// How long the end waits for the last write.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// A transaction that the chain source does not show is sent again this often.
const AGAIN_EVERY: Duration = Duration::from_secs(30);
/// How soon the chain's news are looked for again.
const NEWS_EVERY: Duration = Duration::from_secs(1);

/// A running node.
pub struct LdkBackend {
    pub(super) node: Node,
    gate: Gate,
    pub(super) peers: Peers,
    /// Where peers call.
    door: Relay,
    _to_chain: Relay,
    pub(super) runtime: Handle,
    stopped: AtomicBool,
    /// What left for the chain is looked after this often.
    looked: Mutex<Option<Instant>>,
}

impl LdkBackend {
    pub(super) fn new(
        node: Node,
        gate: Gate,
        peers: Peers,
        door: Relay,
        to_chain: Relay,
        runtime: Handle,
    ) -> Self {
        let stopped = AtomicBool::new(false);
        let looked = Mutex::default();
        Self { node, gate, peers, door, _to_chain: to_chain, runtime, stopped, looked }
    }

    /// The node itself, for what only a test or a channel opening needs.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What is ours in one channel, or in all that are open.
    fn ours(&self, channel: Option<ChannelId>) -> Msat {
        let balances = self.node.list_balances();
        self.node
            .list_channels()
            .iter()
            .filter(|details| channel.is_none_or(|id| details.channel_id == id))
            .filter(|details| channel.is_some() || details.is_channel_ready)
            .map(|details| convert::ours(details, &balances))
            .fold(Msat::ZERO, Msat::saturating_add)
    }

    fn state(&self, channels: &[ChannelDetails]) -> (NodeState, Option<String>) {
        let (state, why) = self.state_of(channels);
        let trouble = self.peers.front().trouble();
        let why = why.map(|why| match trouble {
            Some(trouble) if state != NodeState::Ready => {
                format!("{why} The chain source: {trouble}.")
            }
            _ => why.to_owned(),
        });
        (state, why)
    }

    fn state_of(&self, channels: &[ChannelDetails]) -> (NodeState, Option<&'static str>) {
        let status = self.node.status();
        if !status.is_running {
            return (NodeState::Degraded, Some("The Lightning node does not run."));
        }
        let Some(synced) = status.latest_lightning_wallet_sync_timestamp else {
            return (NodeState::Syncing, Some("Catching up with the chain."));
        };
        let silent_after = self.peers.front().silent_after().as_secs();
        if host::clock::now().as_secs() > synced + silent_after {
            return (NodeState::Degraded, Some("The chain source does not answer."));
        }
        if channels.iter().any(|channel| channel.is_usable) {
            return (NodeState::Ready, None);
        }
        let why = match channels {
            [] => "No channel is open yet.",
            channels if channels.iter().any(|channel| channel.is_channel_ready) => {
                "The channel's peer is not connected."
            }
            _ => "The channel is not confirmed yet.",
        };
        (NodeState::Syncing, Some(why))
    }

    fn record(&self, payment_hash: &PaymentHash) -> Found {
        convert::found(self.node.payment(&PaymentId(payment_hash.0)))
    }

    fn next_event_fact(&self, event: ldk_node::Event) -> Option<Fact> {
        convert::fact(event, |channel| self.ours(channel))
    }
}

impl Backend for LdkBackend {
    fn name(&self) -> &'static str {
        "ldk-node"
    }

    fn capabilities(&self) -> Capabilities {
        const RAILS: &[Rail] = &[Rail::Bolt11, Rail::Onchain];
        Capabilities { chosen_hash: true, receives: RAILS, pays: RAILS }
    }

    fn node_id(&self) -> String {
        self.node.node_id().to_string()
    }

    fn listening_address(&self) -> Option<String> {
        Some(self.door.address().to_string())
    }

    fn observe(&self) -> Observed {
        let channels = self.node.list_channels();
        let (state, detail) = self.state(&channels);
        let inbound = channels
            .iter()
            .filter(|channel| channel.is_usable)
            .map(|channel| convert::msat(channel.inbound_capacity_msat))
            .fold(Msat::ZERO, Msat::saturating_add);
        Observed {
            state,
            detail,
            inbound_msat: inbound,
            onchain_msat: convert::sat(self.node.list_balances().total_onchain_balance_sats),
            spendable_msat: None,
            unknown: false,
        }
    }

    fn in_channels(&self) -> Option<Msat> {
        let channels = self.node.list_channels();
        // Below its reserve only whole satoshi are known of a channel.
        let exact =
            channels.iter().all(|channel| channel.is_usable && channel.outbound_capacity_msat > 0);
        (exact && !channels.is_empty()).then(|| self.ours(None))
    }

    fn sync(&self) -> Result<(), BackendError> {
        // Before its first sync is over the node must not be asked for another one.
        if self.node.status().latest_onchain_wallet_sync_timestamp.is_none() {
            return Err(BackendError::NotNow("it is still catching up with the chain".into()));
        }
        self.node.sync_wallets().map_err(not_now)
    }

    fn make_invoice(
        &self,
        order: &InvoiceOrder,
        payment_hash: PaymentHash,
    ) -> Result<Made, BackendError> {
        match order.rail {
            Rail::Bolt11 => {}
            Rail::Onchain => return self.new_address(order),
            _ => return Err(BackendError::Refused("it makes no such thing".into())),
        }
        let description = Description::new(order.memo.clone())
            .map_err(|error| BackendError::Refused(error.to_string()))?;
        let description = Bolt11InvoiceDescription::Direct(description);
        let hash = payment::PaymentHash(payment_hash.0);
        let bolt11 = self.node.bolt11_payment();
        let made = match order.amount_msat {
            Some(amount) => {
                bolt11.receive_for_hash(amount.get(), &description, order.expiry_secs, hash)
            }
            None => bolt11.receive_variable_amount_for_hash(&description, order.expiry_secs, hash),
        };
        match made {
            Ok(invoice) => Ok(Made {
                text: invoice.to_string(),
                payment_hash: Some(payment_hash),
                expires_at: Some(host::clock::now().plus_secs(order.expiry_secs.into())),
            }),
            Err(error @ (NodeError::InvoiceCreationFailed | NodeError::InvalidAmount)) => {
                Err(BackendError::Refused(error.to_string()))
            }
            Err(other) => Err(not_now(other)),
        }
    }

    fn send(&self, order: &Order) -> SendAnswer {
        match order.rail {
            Rail::Bolt11 => {}
            Rail::Onchain => return self.send_onchain(order),
            _ => return SendAnswer::Refused("This wallet cannot pay that way yet.".into()),
        }
        let invoice: Bolt11Invoice = match order.request.parse() {
            Ok(invoice) => invoice,
            Err(error) => return SendAnswer::Refused(format!("{error:?}")),
        };
        let route = RouteParametersConfig {
            max_total_routing_fee_msat: Some(order.max_fee_msat.get()),
            ..RouteParametersConfig::default()
        };
        let id = PaymentId(*invoice.payment_hash().as_ref());
        // The record of a try that failed must not be taken for that of the next one.
        if let Found::Failed { .. } = convert::found(self.node.payment(&id))
            && let Err(error) = self.node.remove_payment(&id)
        {
            return SendAnswer::NotNow(error.to_string());
        }
        let bolt11 = self.node.bolt11_payment();
        let sent = match invoice.amount_milli_satoshis() {
            Some(_) => bolt11.send(&invoice, Some(route)),
            None => bolt11.send_using_amount(&invoice, order.amount_msat.get(), Some(route)),
        };
        match sent {
            Ok(_) => SendAnswer::Taken { reference: None },
            Err(NodeError::NotRunning) => SendAnswer::NotNow("it does not run".into()),
            Err(NodeError::PaymentSendingFailed) => SendAnswer::NotSent(
                "No route to the payee with enough capacity was found within the fee limit.".into(),
            ),
            Err(error @ (NodeError::InvalidInvoice | NodeError::InvalidAmount)) => {
                SendAnswer::Refused(error.to_string())
            }
            Err(error) => SendAnswer::Unclear(error.to_string()),
        }
    }

    fn look_up(&self, sought: &Sought) -> Result<Found, BackendError> {
        if sought.rail == Rail::Onchain {
            return Ok(self.look_up_onchain(sought));
        }
        let Some(payment_hash) = sought.payment_hash else { return Ok(Found::Nothing) };
        Ok(self.record(&payment_hash))
    }

    fn claim(&self, amount: Msat, preimage: &Preimage) -> Result<(), BackendError> {
        self.node
            .bolt11_payment()
            .claim_for_hash(
                payment::PaymentHash(preimage.payment_hash().0),
                amount.get(),
                payment::PaymentPreimage(preimage.0),
            )
            .map_err(refused_or_not_now)
    }

    fn turn_away(&self, payment_hash: &PaymentHash) -> Result<(), BackendError> {
        // A record that has settled stays as it is: only what is still locked goes back.
        if let Found::Settled { .. } = self.record(payment_hash) {
            return Ok(());
        }
        match self.node.bolt11_payment().fail_for_hash(payment::PaymentHash(payment_hash.0)) {
            Ok(()) | Err(NodeError::InvalidPaymentHash) => Ok(()),
            Err(error) => Err(not_now(error)),
        }
    }

    async fn next_fact(&self) -> Fact {
        loop {
            if let Some(fact) = self.onchain_news() {
                return fact;
            }
            let event = tokio::select! {
                event = self.node.next_event_async() => event,
                () = tokio::time::sleep(NEWS_EVERY) => continue,
            };
            if let Some(fact) = self.next_event_fact(event.clone()) {
                return fact;
            }
            tracing::info!(?event, "an event of the node means nothing to the wallet");
            if let Err(error) = self.acknowledge() {
                tracing::warn!(%error, "an event of the node could not be acknowledged");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    fn acknowledge(&self) -> Result<(), BackendError> {
        match self.peers.outgoing().acknowledge() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(BackendError::NotNow(error.to_string())),
        }
        self.node.event_handled().map_err(not_now)
    }

    async fn settled_on_disk(&self) -> Result<(), BackendError> {
        self.gate.pass().await.map_err(|error| BackendError::NotNow(error.to_string()))
    }

    async fn failed(&self) -> String {
        self.gate.failed().await.to_string()
    }

    fn keep_connected(&self) {
        self.peers.connect(&self.node);
        let due = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let due = looked.is_none_or(|at| at.elapsed() >= AGAIN_EVERY);
            if due {
                *looked = Some(Instant::now());
            }
            due
        };
        if due {
            self.send_again();
        }
    }

    fn channels(&self) -> Result<Channels, ErrorBody> {
        Ok(self.all_channels())
    }

    fn quote_channel(&self, open: &OpenChannel) -> Result<ChannelQuote, ErrorBody> {
        self.quote_opening(open)
    }

    fn open_channel(&self, open: &OpenChannel) -> Result<ChannelOpening, ErrorBody> {
        self.open_once(open)
    }

    fn close_channel(&self, close: &CloseChannel) -> Result<Channels, ErrorBody> {
        self.close(close)
    }

    fn live(&self) -> Live {
        let seen = self.node.status().latest_lightning_wallet_sync_timestamp;
        Live {
            backend: self.name().to_owned(),
            node_id: self.node_id(),
            has_channels: !self.node.list_channels().is_empty(),
            in_channels_msat: self.in_channels(),
            onchain_msat: convert::sat(self.node.list_balances().total_onchain_balance_sats),
            chain_seen: seen.map(Timestamp::from_secs),
        }
    }

    fn stop(&self) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = self.node.stop() {
            tracing::warn!(%error, "the node did not stop in order");
        }
        let written = self.runtime.block_on(tokio::time::timeout(WRITTEN_WITHIN, self.gate.pass()));
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("the node's last state was not written in time");
        }
    }
}

fn not_now(error: NodeError) -> BackendError {
    BackendError::NotNow(error.to_string())
}

fn refused_or_not_now(error: NodeError) -> BackendError {
    match error {
        NodeError::InvalidAmount
        | NodeError::InvalidPaymentHash
        | NodeError::InvalidPaymentPreimage => BackendError::Refused(error.to_string()),
        other => not_now(other),
    }
}
