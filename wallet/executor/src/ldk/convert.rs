//! Between ldk-node's types and ours: nowhere else do the two meet.

use domain::{Msat, Network, PaymentHash, Preimage};
use ldk_node::{
    BalanceDetails, ChannelDetails, Event, LightningBalance,
    bitcoin::Network as BitcoinNetwork,
    lightning::{events::PaymentFailureReason, ln::types::ChannelId},
    payment::{PaymentDetails, PaymentDirection, PaymentKind, PaymentStatus},
};
use wallet::{Fact, Found, wire::Rail};

pub fn network(network: Network) -> BitcoinNetwork {
    match network {
        Network::Practice | Network::Regtest => BitcoinNetwork::Regtest,
        Network::Signet => BitcoinNetwork::Signet,
        Network::Mainnet => BitcoinNetwork::Bitcoin,
    }
}

/// Amounts of real channels are far below what can be kept exactly.
pub fn msat(msat: u64) -> Msat {
    Msat::new(msat).unwrap_or_else(|_| {
        tracing::error!(msat, "the node named an amount that cannot be");
        Msat::ZERO
    })
}

pub fn sat(sat: u64) -> Msat {
    msat(sat.saturating_mul(1_000))
}

/// What is ours in a channel while nothing is under way in it. The reserve is ours too, though it
/// cannot be spent; below it only whole satoshi are known, which an opening is.
pub fn ours(channel: &ChannelDetails, balances: &BalanceDetails) -> Msat {
    if channel.outbound_capacity_msat > 0 {
        let reserve = channel.unspendable_punishment_reserve.unwrap_or(0);
        return msat(channel.outbound_capacity_msat).saturating_add(sat(reserve));
    }
    let claimable = balances.lightning_balances.iter().find_map(|balance| match balance {
        LightningBalance::ClaimableOnChannelClose {
            channel_id,
            amount_satoshis,
            transaction_fee_satoshis,
            ..
        } if *channel_id == channel.channel_id => Some(amount_satoshis + transaction_fee_satoshis),
        _ => None,
    });
    sat(claimable.unwrap_or(0))
}

/// An event of the node, where it means something to the wallet. `ours` says what is ours in a
/// channel, or in all that are left.
pub fn fact(event: Event, ours: impl Fn(Option<ChannelId>) -> Msat) -> Option<Fact> {
    Some(match event {
        Event::PaymentClaimable { payment_hash, claimable_amount_msat, .. } => Fact::Claimable {
            payment_hash: PaymentHash(payment_hash.0),
            amount_msat: msat(claimable_amount_msat),
        },
        Event::PaymentReceived { payment_hash, amount_msat, .. } => Fact::Received {
            which: PaymentHash(payment_hash.0).into(),
            rail: Rail::Bolt11,
            to: None,
            amount_msat: msat(amount_msat),
            preimage: None,
        },
        Event::PaymentSuccessful { payment_hash, payment_preimage, fee_paid_msat, .. } => {
            Fact::Paid {
                which: PaymentHash(payment_hash.0).into(),
                payment_hash: None,
                preimage: payment_preimage.map(|preimage| Preimage(preimage.0)),
                fee_msat: msat(fee_paid_msat.unwrap_or(0)),
            }
        }
        Event::PaymentFailed { payment_hash: Some(payment_hash), reason, .. } => Fact::PayFailed {
            which: PaymentHash(payment_hash.0).into(),
            reason: why(reason).to_owned(),
            no_way: found_no_way(reason),
            still_open: false,
        },
        Event::ChannelPending { channel_id, .. } => Fact::ChannelPending {
            channel: channel_id.to_string(),
            ours_msat: ours(Some(channel_id)),
        },
        Event::ChannelReady { channel_id, .. } => Fact::ChannelReady {
            channel: channel_id.to_string(),
            ours_msat: ours(Some(channel_id)),
        },
        Event::ChannelClosed { channel_id, reason, .. } => Fact::ChannelClosed {
            channel: channel_id.to_string(),
            remaining_msat: ours(None),
            reason: wallet::bolt11::printable(
                &reason.map_or_else(String::new, |reason| reason.to_string()),
            ),
        },
        Event::PaymentFailed { payment_hash: None, .. }
        | Event::PaymentForwarded { .. }
        | Event::SplicePending { .. }
        | Event::SpliceFailed { .. } => return None,
    })
}

/// LDK says so only when nothing of the payment is on its way any more.
fn found_no_way(reason: Option<PaymentFailureReason>) -> bool {
    use PaymentFailureReason::{RetriesExhausted, RouteNotFound};
    matches!(reason, Some(RouteNotFound | RetriesExhausted))
}

fn why(reason: Option<PaymentFailureReason>) -> &'static str {
    match reason {
        Some(PaymentFailureReason::RecipientRejected) => "The payee refused the payment.",
        Some(PaymentFailureReason::RouteNotFound) => "No route to the payee was found.",
        Some(PaymentFailureReason::RetriesExhausted) => "No route to the payee worked in time.",
        Some(PaymentFailureReason::PaymentExpired) => "The invoice expired before it was paid.",
        _ => "The payment failed on its way.",
    }
}

/// A record of the node's payment store. On-chain entries are in it too; only a bolt11 payment is
/// an answer.
pub fn found(details: Option<PaymentDetails>) -> Found {
    let Some(details) = details else { return Found::Nothing };
    let PaymentKind::Bolt11 { preimage, .. } = details.kind else { return Found::Nothing };
    match details.status {
        PaymentStatus::Pending => Found::InFlight,
        PaymentStatus::Failed => Found::Failed {
            reason: match details.direction {
                PaymentDirection::Outbound => "The payment failed on its way.".into(),
                PaymentDirection::Inbound => "The payment was sent back.".into(),
            },
        },
        PaymentStatus::Succeeded => Found::Settled {
            amount_msat: msat(details.amount_msat.unwrap_or(0)),
            fee_msat: msat(details.fee_paid_msat.unwrap_or(0)),
            preimage: preimage.map(|preimage| Preimage(preimage.0)),
            payment_hash: None,
            reference: None,
        },
    }
}
