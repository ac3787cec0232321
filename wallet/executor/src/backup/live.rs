//! What a backup is compared with, and what brings each backend's money back.

use domain::{Msat, Timestamp};
use wallet::backup::BackupStatus;

/// What brings back a wallet on this node, for people.
pub const LDK_ADVICE: &str = "The words alone bring back what is on the chain, not the channels. \
     Keep a strict backup in a folder on another disk: from it the channels start again. Write down \
     the words and the birthday beside them.";
/// The same of the other backends.
pub const SPARK_ADVICE: &str = "The words bring the balance back: Spark's operators keep what it is made of. Nothing else has to \
     be backed up; the history of this wallet's own keys is in its log.";
pub const NWC_ADVICE: &str = "The money is in the other wallet and is backed up there. Only the connection string is here: \
     without it, make a new connection in that wallet.";
pub const CASHU_ADVICE: &str = "The words bring the ecash back by asking each mint for it (NUT-13): note the mints' addresses \
     beside the words. A mint that is gone takes its ecash with it.";

/// The wallet, as it is now.
#[derive(Clone, Debug, Default)]
pub struct Live {
    pub backend: String,
    pub node_id: String,
    pub has_channels: bool,
    /// Known where nothing is under way.
    pub in_channels_msat: Option<Msat>,
    pub onchain_msat: Msat,
    /// When the chain was last seen.
    pub chain_seen: Option<Timestamp>,
}

/// What brings this backend's money back, for people.
pub fn advice(backend: &str) -> &'static str {
    match backend {
        "spark" => SPARK_ADVICE,
        "nwc" => NWC_ADVICE,
        "cashu" => CASHU_ADVICE,
        _ => LDK_ADVICE,
    }
}

/// Of a backend that keeps nothing here but its log.
pub fn status_without_copy(
    backend: &str,
    words_written_down: bool,
    now: Timestamp,
) -> BackupStatus {
    let mut status = BackupStatus {
        backend: backend.to_owned(),
        places: Vec::new(),
        words_written_down: words_written_down || backend == "nwc",
        birthday: None,
        rehearsed: None,
        offline: None,
        nags: Vec::new(),
        advice: advice(backend).into(),
        recovery: None,
    };
    status.nags = status.nags(false, now);
    status
}
