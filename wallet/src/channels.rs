//! Channels on the wire: what a Lightning backend has, and what is asked of it.
//!
//! A call carries a key, and the same key with the same terms is the same call: a channel is opened
//! once, however often it is asked for.

use domain::{ErrorBody, ExitCode, IdempotencyKey, Msat};
use serde::{Deserialize, Serialize};

/// The least that a channel holds, in satoshi; below it fees eat it.
pub const LEAST_SAT: u64 = 20_000;
/// What [`CloseChannel::force`] must say, so that no slip closes by force.
pub const FORCE_CONFIRM: &str = "close by force and wait for my money";

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The channel id (BOLT 2), in hex.
    pub id: String,
    pub peer: String,
    /// As the peer calls itself in the network's gossip; not to be trusted.
    pub alias: Option<String>,
    /// `block x transaction x output` of the funding, once it is confirmed.
    pub short_id: Option<String>,
    /// `txid:output` of the funding.
    pub funding: Option<String>,
    pub capacity_msat: Msat,
    /// Ours, the reserve included.
    pub ours_msat: Msat,
    pub theirs_msat: Msat,
    /// What of ours cannot be spent while the channel is open.
    pub reserve_msat: Msat,
    pub can_send_msat: Msat,
    pub can_receive_msat: Msat,
    pub state: ChannelState,
    /// Whether we opened it, and so pay for its transactions.
    pub we_opened: bool,
    pub announced: bool,
    /// What we ask for forwarding out of it.
    pub fee_base_msat: u32,
    pub fee_ppm: u32,
    /// Blocks that our money waits for after a close by force.
    pub force_close_blocks: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ChannelState {
    /// The funding is not confirmed deeply enough.
    Opening {
        confirmations: u32,
        needed: Option<u32>,
    },
    Ready,
    /// Ready, but the peer is not connected.
    PeerAway,
}

/// Money of a closed channel on its way to the chain's wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    pub channel: Option<String>,
    pub amount_msat: Msat,
    /// The block after which it can be spent, where that is known.
    pub spendable_at_height: Option<u32>,
    pub txid: Option<String>,
    /// For people: what it waits for.
    pub waits_for: String,
}

/// What the wallet holds on the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onchain {
    pub total_msat: Msat,
    pub spendable_msat: Msat,
    /// Kept for closing channels.
    pub reserved_msat: Msat,
    /// Not confirmed yet.
    pub pending_msat: Msat,
}

/// `channels`: all of them, and what closed ones still owe us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channels {
    pub channels: Vec<Channel>,
    pub closing: Vec<Closing>,
    pub onchain: Onchain,
    /// The newest block that the node knows.
    pub height: u32,
}

/// `open_channel`, and `quote_channel` for what it would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenChannel {
    pub key: IdempotencyKey,
    /// `<node id>@<host>:<port>`.
    pub peer: String,
    pub amount_msat: Msat,
}

/// What an opening would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelQuote {
    pub peer: String,
    pub alias: Option<String>,
    pub amount_msat: Msat,
    /// Estimated: of the funding transaction, at the chain source's rate.
    pub fee_msat: Msat,
    /// Kept on the chain for closing it.
    pub reserve_msat: Msat,
    pub spendable_msat: Msat,
    /// Why it would be refused now, where it would.
    pub refused: Option<ErrorBody>,
}

/// What became of an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOpening {
    pub key: IdempotencyKey,
    pub peer: String,
    pub amount_msat: Msat,
    /// Known once the peer has agreed.
    pub channel: Option<String>,
}

/// `close_channel`: together with the peer, or by force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseChannel {
    pub channel: String,
    /// Absent for a close together with the peer; else [`FORCE_CONFIRM`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<String>,
}

impl OpenChannel {
    /// Whole satoshi of the amount.
    ///
    /// # Errors
    /// If it is not whole, or too little.
    pub fn amount_sat(&self) -> Result<u64, ErrorBody> {
        let msat = self.amount_msat.get();
        if !msat.is_multiple_of(1_000) || msat / 1_000 < LEAST_SAT {
            let text = format!("A channel holds whole satoshi, and at least {LEAST_SAT} of them.");
            return Err(ErrorBody::new("bad_amount", text).exit(ExitCode::Usage));
        }
        Ok(msat / 1_000)
    }
}

impl CloseChannel {
    /// Whether it is by force.
    ///
    /// # Errors
    /// If force was asked for with other words.
    pub fn is_by_force(&self) -> Result<bool, ErrorBody> {
        match self.force.as_deref() {
            None => Ok(false),
            Some(FORCE_CONFIRM) => Ok(true),
            Some(_) => Err(ErrorBody::refused(
                "not_confirmed",
                "A close by force costs more and holds the money for days; it was not confirmed.",
            )
            .hint(format!("Confirm it with the words {FORCE_CONFIRM:?}."))),
        }
    }
}

/// Method names.
pub mod method {
    pub const CHANNELS: &str = "channels";
    pub const QUOTE_CHANNEL: &str = "quote_channel";
    pub const OPEN_CHANNEL: &str = "open_channel";
    pub const CLOSE_CHANNEL: &str = "close_channel";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_holds_whole_satoshi_and_enough_of_them() {
        let key = IdempotencyKey::new("k").unwrap();
        let open = |msat| OpenChannel {
            key: key.clone(),
            peer: String::new(),
            amount_msat: Msat::new(msat).unwrap(),
        };
        assert_eq!(open(LEAST_SAT * 1_000).amount_sat(), Ok(LEAST_SAT));
        for bad in [0, LEAST_SAT * 1_000 - 1_000, LEAST_SAT * 1_000 + 1] {
            assert_eq!(open(bad).amount_sat().unwrap_err().code, "bad_amount");
        }
    }

    #[test]
    fn force_is_a_word_and_not_a_slip() {
        let close = |force: Option<&str>| CloseChannel {
            channel: "c".into(),
            force: force.map(str::to_owned),
        };
        assert_eq!(close(None).is_by_force(), Ok(false));
        assert_eq!(close(Some(FORCE_CONFIRM)).is_by_force(), Ok(true));
        assert_eq!(close(Some("yes")).is_by_force().unwrap_err().code, "not_confirmed");
    }
}
