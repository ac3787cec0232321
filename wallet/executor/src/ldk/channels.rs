//! Channels of the node: listed, opened once per key, closed.
//!
//! ldk-node chooses a channel's id by itself, so an opening is noted before the node is asked, with
//! the channels that the peer has by then. There is one at a time per peer: what it has after a
//! crash, by our opening, of the very amount, and did not have before, is that one.

use domain::{ErrorBody, ExitCode, IdempotencyKey, Msat};
use ldk_durable::DurableStore;
use ldk_node::{
    BalanceDetails, ChannelDetails, LightningBalance, NodeError, PendingSweepBalance,
    lightning::{routing::gossip::NodeId, util::persist::KVStoreSync},
};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use wallet::channels::{
    Channel, ChannelOpening, ChannelQuote, ChannelState, Channels, CloseChannel, Closing, Onchain,
    OpenChannel,
};

use super::{adapter::LdkBackend, convert, open::ANCHOR_RESERVE_SAT, peers::Peer};

const NAMESPACE: &str = "pilothouse";
const OPENINGS: &str = "channel_openings";
/// How long the peer may take to agree; it goes on after that.
const AGREED_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A funding transaction of one input, with change.
const FUNDING_VBYTES: u64 = 155;

/// An opening that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Opening {
    peer: String,
    amount_sat: u64,
    /// The peer's channels before.
    before: Vec<String>,
    /// What it became.
    channel: Option<String>,
    /// This process asked the node for it.
    #[serde(skip)]
    asked_now: bool,
}

/// The openings, on the node's own disk. One is asked for at a time.
pub struct Openings {
    store: std::sync::Arc<DurableStore>,
    turn: Mutex<()>,
    asked: Mutex<Vec<String>>,
}

impl Openings {
    pub fn new(store: std::sync::Arc<DurableStore>) -> Self {
        Self { store, turn: Mutex::new(()), asked: Mutex::default() }
    }

    fn get(&self, key: &str) -> Result<Option<Opening>, ErrorBody> {
        match KVStoreSync::read(&*self.store, NAMESPACE, OPENINGS, key) {
            Ok(bytes) => {
                let mut opening: Opening = serde_json::from_slice(&bytes).map_err(internal)?;
                let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                opening.asked_now = asked.iter().any(|known| known == key);
                Ok(Some(opening))
            }
            Err(error) if error.kind() == ldk_node::lightning::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(internal(error)),
        }
    }

    fn put(&self, key: &str, opening: &Opening) -> Result<(), ErrorBody> {
        let bytes = serde_json::to_vec(opening).map_err(internal)?;
        KVStoreSync::write(&*self.store, NAMESPACE, OPENINGS, key, bytes).map_err(internal)
    }

    fn asked(&self, key: &str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
    }

    fn to_peer(&self, peer: &str) -> Result<Vec<(String, Opening)>, ErrorBody> {
        let keys = KVStoreSync::list(&*self.store, NAMESPACE, OPENINGS).map_err(internal)?;
        let mut found = Vec::new();
        for key in keys {
            if let Some(opening) = self.get(&key)?.filter(|opening| opening.peer == peer) {
                found.push((key, opening));
            }
        }
        Ok(found)
    }
}

fn internal(error: impl std::fmt::Display) -> ErrorBody {
    ErrorBody::new("node", format!("The node's own notes failed: {error}."))
}

fn refused(code: &'static str, text: impl Into<String>) -> ErrorBody {
    ErrorBody::refused(code, text.into())
}

impl LdkBackend {
    /// Everything that the node knows of its channels and of the chain's wallet.
    pub(super) fn all_channels(&self) -> Channels {
        let balances = self.node.list_balances();
        let channels = self.node.list_channels();
        Channels {
            channels: channels.iter().map(|channel| self.channel(channel, &balances)).collect(),
            closing: closing(&balances),
            onchain: onchain(&balances),
            height: self.node.status().current_best_block.height,
        }
    }

    fn alias(&self, peer: &ldk_node::bitcoin::secp256k1::PublicKey) -> Option<String> {
        let node = self.node.network_graph().node(&NodeId::from_pubkey(peer))?;
        let alias = wallet::bolt11::printable(node.announcement_info?.alias().to_string().trim());
        (!alias.is_empty()).then_some(alias)
    }

    fn channel(&self, channel: &ChannelDetails, balances: &BalanceDetails) -> Channel {
        let ours = convert::ours(channel, balances);
        let capacity = convert::sat(channel.channel_value_sats);
        Channel {
            id: channel.channel_id.to_string(),
            peer: channel.counterparty_node_id.to_string(),
            alias: self.alias(&channel.counterparty_node_id),
            short_id: channel.short_channel_id.map(short_id),
            funding: channel.funding_txo.map(|outpoint| outpoint.to_string()),
            capacity_msat: capacity,
            ours_msat: ours,
            theirs_msat: capacity.checked_sub(ours).unwrap_or(Msat::ZERO),
            reserve_msat: convert::sat(channel.unspendable_punishment_reserve.unwrap_or(0)),
            can_send_msat: convert::msat(channel.outbound_capacity_msat),
            can_receive_msat: convert::msat(channel.inbound_capacity_msat),
            state: match (channel.is_channel_ready, channel.is_usable) {
                (false, _) => ChannelState::Opening {
                    confirmations: channel.confirmations.unwrap_or(0),
                    needed: channel.confirmations_required,
                },
                (true, true) => ChannelState::Ready,
                (true, false) => ChannelState::PeerAway,
            },
            we_opened: channel.is_outbound,
            announced: channel.is_announced,
            fee_base_msat: channel.config.forwarding_fee_base_msat,
            fee_ppm: channel.config.forwarding_fee_proportional_millionths,
            force_close_blocks: channel.force_close_spend_delay,
        }
    }

    /// What an opening would cost. Blocks: the chain source is asked for its rate.
    pub(super) fn quote_opening(&self, open: &OpenChannel) -> Result<ChannelQuote, ErrorBody> {
        let amount = open.amount_sat()?;
        let peer = parse_peer(&open.peer)?;
        let balances = self.node.list_balances();
        let rate = self.runtime.block_on(self.peers.front().fee_rate()).map_err(|why| {
            ErrorBody::new("no_fee_estimate", format!("What it costs is not known: {why}."))
                .retryable()
        })?;
        let fee = rate.to_sat_per_kwu().saturating_mul(4 * FUNDING_VBYTES).div_ceil(1_000);
        let reserve = if self.peers.is_trusted(&peer.node_id) { 0 } else { ANCHOR_RESERVE_SAT };
        let spendable = balances.spendable_onchain_balance_sats;
        let needed = amount.saturating_add(fee).saturating_add(reserve);
        let enough = needed <= spendable;
        let refused = (!enough).then(|| {
            refused(
                "insufficient_balance",
                format!(
                    "{} on the chain can be spent, and {} are needed: the channel, its \
                     transaction, and what is kept for closing it.",
                    convert::sat(spendable),
                    convert::sat(needed)
                ),
            )
        });
        Ok(ChannelQuote {
            peer: peer.node_id.to_string(),
            alias: self.alias(&peer.node_id),
            amount_msat: open.amount_msat,
            fee_msat: convert::sat(fee),
            reserve_msat: convert::sat(reserve),
            spendable_msat: convert::sat(spendable),
            refused,
        })
    }

    /// Opens a channel, once per key. Blocks until the peer has agreed or has taken long.
    pub(super) fn open_once(&self, open: &OpenChannel) -> Result<ChannelOpening, ErrorBody> {
        let amount_sat = open.amount_sat()?;
        let peer = parse_peer(&open.peer)?;
        let openings = self.peers.openings();
        let _one_at_a_time = openings.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, id) = (open.key.as_str(), peer.node_id.to_string());
        if let Some(known) = openings.get(key)? {
            if (known.peer.as_str(), known.amount_sat) != (id.as_str(), amount_sat) {
                return Err(refused("key_reused", "This key opened another channel already."));
            }
            if let Some(done) = self.opened(key, known.clone())? {
                return Ok(self.opening(&open.key, &done));
            }
            if known.asked_now {
                return Ok(self.opening(&open.key, &known));
            }
        }
        for (other, known) in openings.to_peer(&id)? {
            if other != key && known.asked_now && self.opened(&other, known)?.is_none() {
                let text = "Another channel to this peer is being opened; one at a time.";
                return Err(refused("opening_already", text).retryable());
            }
        }
        if let Some(error) = self.quote_opening(open)?.refused {
            return Err(error);
        }
        self.peers.remember(&peer).map_err(internal)?;
        self.peers.call(&self.node, &peer).map_err(|why| {
            ErrorBody::new("peer_not_reachable", format!("The peer does not answer: {why}."))
                .retryable()
                .exit(ExitCode::NotReachable)
        })?;
        let opening = Opening {
            peer: id,
            amount_sat,
            before: self.channels_with(&peer).iter().map(|c| c.channel_id.to_string()).collect(),
            channel: None,
            asked_now: true,
        };
        openings.put(key, &opening)?;
        openings.asked(key);
        // It is connected. The node keeps the address, and may not call past the relay.
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into();
        let asked = self.node.open_channel(peer.node_id, nowhere, amount_sat, None, None);
        if let Err(error) = asked {
            return Err(not_opened(&error));
        }
        self.wait_until_agreed(&open.key, opening)
    }

    fn wait_until_agreed(
        &self,
        key: &IdempotencyKey,
        opening: Opening,
    ) -> Result<ChannelOpening, ErrorBody> {
        let started = Instant::now();
        while started.elapsed() < AGREED_WITHIN {
            if let Some(done) = self.opened(key.as_str(), opening.clone())? {
                return Ok(self.opening(key, &done));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(self.opening(key, &opening))
    }

    fn channels_with(&self, peer: &Peer) -> Vec<ChannelDetails> {
        let mut channels = self.node.list_channels();
        channels.retain(|channel| channel.counterparty_node_id == peer.node_id);
        channels
    }

    /// The opening with its channel, once there is one whose funding is made.
    fn opened(&self, key: &str, mut opening: Opening) -> Result<Option<Opening>, ErrorBody> {
        if opening.channel.is_some() {
            return Ok(Some(opening));
        }
        let found = self.node.list_channels().into_iter().find(|channel| {
            channel.counterparty_node_id.to_string() == opening.peer
                && channel.is_outbound
                && channel.channel_value_sats == opening.amount_sat
                && channel.funding_txo.is_some()
                && !opening.before.contains(&channel.channel_id.to_string())
        });
        let Some(found) = found else { return Ok(None) };
        opening.channel = Some(found.channel_id.to_string());
        self.peers.openings().put(key, &opening)?;
        Ok(Some(opening))
    }

    fn opening(&self, key: &IdempotencyKey, opening: &Opening) -> ChannelOpening {
        ChannelOpening {
            key: key.clone(),
            peer: opening.peer.clone(),
            amount_msat: convert::sat(opening.amount_sat),
            channel: opening.channel.clone(),
        }
    }

    /// Closes a channel. One that is gone already is closed.
    pub(super) fn close(&self, close: &CloseChannel) -> Result<Channels, ErrorBody> {
        let by_force = close.is_by_force()?;
        let channels = self.node.list_channels();
        let Some(channel) = channels.iter().find(|c| c.channel_id.to_string() == close.channel)
        else {
            let known = self.all_channels();
            if known.closing.iter().any(|c| c.channel.as_deref() == Some(&close.channel)) {
                return Ok(known);
            }
            return Err(refused("no_such_channel", "There is no open channel of this id.")
                .hint("`pilothouse wallet channels list` shows them."));
        };
        if !by_force && !channel.is_usable {
            return Err(refused(
                "peer_away",
                "The peer is not connected, and a close needs both. Nothing was done.",
            )
            .hint("Wait for the peer; where it never comes back, close by force.")
            .retryable());
        }
        let (id, peer) = (&channel.user_channel_id, channel.counterparty_node_id);
        let closed = match by_force {
            true => {
                let why = Some("the operator closed it".to_owned());
                self.node.force_close_channel(id, peer, why)
            }
            false => self.node.close_channel(id, peer),
        };
        closed.map_err(|error| {
            ErrorBody::new("not_closed", format!("The node did not close it: {error}."))
        })?;
        Ok(self.all_channels())
    }
}

fn not_opened(error: &NodeError) -> ErrorBody {
    let text = format!("The channel was not opened: {error}. Nothing was spent.");
    match error {
        NodeError::InsufficientFunds => refused("insufficient_balance", text),
        _ => ErrorBody::new("channel_refused", text),
    }
}

fn parse_peer(text: &str) -> Result<Peer, ErrorBody> {
    Peer::parse(text).ok_or_else(|| {
        let what = "A peer is named <node id>@<host>:<port>.";
        ErrorBody::new("bad_peer", what).exit(ExitCode::Usage)
    })
}

/// BOLT 7: block, transaction, output.
fn short_id(id: u64) -> String {
    format!("{}x{}x{}", id >> 40, (id >> 16) & 0xff_ffff, id & 0xffff)
}

fn onchain(balances: &BalanceDetails) -> Onchain {
    let total = balances.total_onchain_balance_sats;
    let spendable = balances.spendable_onchain_balance_sats;
    let reserved = balances.total_anchor_channels_reserve_sats.min(total - spendable.min(total));
    Onchain {
        total_msat: convert::sat(total),
        spendable_msat: convert::sat(spendable),
        reserved_msat: convert::sat(reserved),
        pending_msat: convert::sat(total.saturating_sub(spendable).saturating_sub(reserved)),
    }
}

/// What closed channels still owe: on its way to the chain, or being swept from it.
fn closing(balances: &BalanceDetails) -> Vec<Closing> {
    let of = |channel: String, sat, height, waits_for: &str| Closing {
        channel: Some(channel),
        amount_msat: convert::sat(sat),
        spendable_at_height: height,
        txid: None,
        waits_for: waits_for.into(),
    };
    let open = balances.lightning_balances.iter().filter_map(|balance| match balance {
        LightningBalance::ClaimableAwaitingConfirmations {
            channel_id,
            amount_satoshis,
            confirmation_height,
            ..
        } => Some(of(
            channel_id.to_string(),
            *amount_satoshis,
            Some(*confirmation_height),
            "The closing transaction's confirmations, and its delay.",
        )),
        LightningBalance::ContentiousClaimable {
            channel_id,
            amount_satoshis,
            timeout_height,
            ..
        } => Some(of(
            channel_id.to_string(),
            *amount_satoshis,
            Some(*timeout_height),
            "A payment that we claim on the chain.",
        )),
        LightningBalance::MaybeTimeoutClaimableHTLC {
            channel_id,
            amount_satoshis,
            claimable_height,
            ..
        } => Some(of(
            channel_id.to_string(),
            *amount_satoshis,
            Some(*claimable_height),
            "A payment that may still arrive, else comes back.",
        )),
        _ => None,
    });
    let swept = balances.pending_balances_from_channel_closures.iter().map(|sweep| {
        let (channel, sat, txid, waits_for) = match sweep {
            PendingSweepBalance::PendingBroadcast { channel_id, amount_satoshis } => {
                (channel_id, amount_satoshis, None, "It is about to be swept to the wallet.")
            }
            PendingSweepBalance::BroadcastAwaitingConfirmation {
                channel_id,
                amount_satoshis,
                latest_spending_txid,
                ..
            } => (channel_id, amount_satoshis, Some(latest_spending_txid), "Its first block."),
            PendingSweepBalance::AwaitingThresholdConfirmations {
                channel_id,
                amount_satoshis,
                latest_spending_txid,
                ..
            } => {
                let why = "It is in the wallet; more blocks make it certain.";
                (channel_id, amount_satoshis, Some(latest_spending_txid), why)
            }
        };
        Closing {
            channel: channel.map(|id| id.to_string()),
            amount_msat: convert::sat(*sat),
            spendable_at_height: None,
            txid: txid.map(ToString::to_string),
            waits_for: waits_for.into(),
        }
    });
    open.chain(swept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_id_is_block_transaction_output() {
        assert_eq!(short_id((102 << 40) | (3 << 16) | 1), "102x3x1");
    }
}
