//! What is said of backups over the executor's protocol: set one up, look at it, try it, restore it.

use domain::{Msat, Timestamp};
use serde::{Deserialize, Serialize};

/// What a place may be relied on for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Nothing leaves the wallet before it is in the place; payments wait while it is away. Only
    /// such a backup is known to be the newest, so only from it do channels start again.
    #[default]
    Strict,
    /// Payments go on while the place is away. Channels never start from it.
    Lenient,
}

/// `backup_set {place, policy, abandon}`: where the wallet's copy is kept; no place for nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSet {
    /// A folder that exists: of another disk, or of another computer that is mounted here.
    pub place: Option<String>,
    #[serde(default)]
    pub policy: Policy,
    /// The place until now cannot be told that it is left, and nobody will restore from it.
    #[serde(default)]
    pub abandon: bool,
}

/// How a place stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PlaceState {
    /// It has everything that anyone was told.
    Fresh,
    /// It is behind, and the wallet goes on.
    Stale { since: Timestamp, why: String },
    /// It is away, and nothing leaves the wallet until it is back.
    Waiting { since: Timestamp, why: String },
    /// The wallet has not written there yet.
    NotYet,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub path: String,
    pub policy: Policy,
    /// It is on the wallet's own disk: one broken disk takes both.
    pub same_disk: bool,
    #[serde(flatten)]
    pub state: PlaceState,
    pub last_write: Option<Timestamp>,
    /// The newest moment that it has.
    pub seq: u64,
    /// Starts of the wallet so far.
    pub epoch: u64,
    pub bytes: u64,
    /// Writes since the start, and how long one took on average.
    pub writes: u64,
    pub micros_each: u64,
}

/// From where on the chain may hold money of the wallet. Shown beside the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birthday {
    pub height: u32,
    pub block_hash: String,
    pub at: Timestamp,
}

/// Why people are asked to look after the backup, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nag {
    /// Payments wait for the place.
    PlaceAway,
    /// The place is behind.
    PlaceStale,
    /// There are channels, and no place.
    NoPlace,
    /// Channels never start from a lenient place.
    NotStrict,
    /// One broken disk takes the wallet and its copy.
    SameDisk,
    WordsNotWrittenDown,
    NeverRehearsed,
    /// The last rehearsal did not pass, or is older than a month.
    RehearseAgain,
    OfflineTooLong,
}

/// What a while without the chain means for the channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineRisk {
    /// Since the chain was last seen.
    pub offline_secs: u64,
    /// After this long a counterparty could have taken what is not its own.
    pub safe_secs: u64,
    pub over: bool,
    pub detail: String,
}

/// The last rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    pub at: Timestamp,
    pub seq: u64,
    pub passed: bool,
}

/// `backup_status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    pub backend: String,
    pub places: Vec<Place>,
    /// The operator has shown that they are written down.
    pub words_written_down: bool,
    pub birthday: Option<Birthday>,
    pub rehearsed: Option<Rehearsed>,
    pub offline: Option<OfflineRisk>,
    pub nags: Vec<Nag>,
    /// What brings this backend's money back, and what does not.
    pub advice: String,
    /// Of a wallet that was restored without its channels: what became of them.
    pub recovery: Option<RestoreReport>,
}

/// `check_words {words}`: shows that the words are written down.
#[derive(Clone, Serialize, Deserialize)]
pub struct CheckWords {
    /// Some of them, each with its place from 1.
    pub words: Vec<(u32, String)>,
}

impl CheckWords {
    /// Fewer could be guessed, or remembered without a note.
    pub const AT_LEAST: usize = 3;

    pub fn holds(&self, words: &[&str]) -> bool {
        let places: std::collections::BTreeSet<u32> =
            self.words.iter().map(|(at, _)| *at).collect();
        let right = |(at, word): &(u32, String)| {
            let index = (*at as usize).checked_sub(1);
            index
                .and_then(|index| words.get(index))
                .is_some_and(|right| word.trim().eq_ignore_ascii_case(right))
        };
        places.len() >= Self::AT_LEAST && self.words.iter().all(right)
    }
}

/// A channel as a backup has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedChannel {
    pub channel: String,
    pub peer: String,
    pub capacity_msat: Msat,
    pub ours_msat: Msat,
}

/// `rehearse`: the backup, restored beside the wallet and compared with it. No peer is called and
/// nothing reaches the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalReport {
    pub at: Timestamp,
    pub place: String,
    pub passed: bool,
    pub seq: u64,
    pub epoch: u64,
    pub channels: Vec<BackedChannel>,
    pub in_channels_msat: Msat,
    pub onchain_msat: Msat,
    /// Payments that the node knows.
    pub payments: u64,
    /// Events in the wallet's log.
    pub events: u64,
    pub birthday: Option<Birthday>,
    /// What is not as it is in the wallet; empty where it passed.
    pub differences: Vec<String>,
}

/// What a restore found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody was told anything newer: the channels start.
    Newest,
    /// It may be an older state, so the channels never start from it.
    NotShownNewest { why: Vec<String> },
    /// There was no backup but the words.
    WordsAlone,
}

/// What a restore did, and what it could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReport {
    pub at: Timestamp,
    pub from: Option<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
    pub seq: Option<u64>,
    pub birthday: Option<Birthday>,
    /// As the backup has them.
    pub channels: Vec<BackedChannel>,
    pub in_channels_msat: Msat,
    /// What comes back.
    pub recovers: Vec<String>,
    /// What does not come back by itself, and what to do.
    pub lost: Vec<String>,
}

impl BackupStatus {
    /// The nags that follow from the rest.
    pub fn nags(&self, has_channels: bool, now: Timestamp) -> Vec<Nag> {
        const MONTH_MS: u64 = 31 * 24 * 3_600 * 1_000;
        let mut nags = Vec::new();
        for place in &self.places {
            match place.state {
                PlaceState::Waiting { .. } => nags.push(Nag::PlaceAway),
                PlaceState::Stale { .. } => nags.push(Nag::PlaceStale),
                PlaceState::Fresh | PlaceState::NotYet => {}
            }
        }
        if self.places.is_empty() && has_channels {
            nags.push(Nag::NoPlace);
        }
        if self.offline.as_ref().is_some_and(|risk| risk.over) {
            nags.push(Nag::OfflineTooLong);
        }
        if !self.words_written_down {
            nags.push(Nag::WordsNotWrittenDown);
        }
        if has_channels && self.places.iter().any(|place| place.policy == Policy::Lenient) {
            nags.push(Nag::NotStrict);
        }
        if self.places.iter().any(|place| place.same_disk) {
            nags.push(Nag::SameDisk);
        }
        match &self.rehearsed {
            _ if self.places.is_empty() => {}
            None => nags.push(Nag::NeverRehearsed),
            Some(last) if !last.passed || now.since_ms(last.at) > MONTH_MS => {
                nags.push(Nag::RehearseAgain);
            }
            Some(_) => {}
        }
        nags
    }
}

impl OfflineRisk {
    /// A counterparty that publishes an older state can take what it holds back after this many
    /// blocks, and an HTLC that was not settled in time is lost sooner.
    pub const SAFE_BLOCKS: u64 = 144;
    const BLOCK_SECS: u64 = 600;

    /// `None` while there is nothing to fear: no channel, or the chain was seen not long ago.
    pub fn of(offline_secs: u64, has_channels: bool) -> Option<Self> {
        let safe_secs = Self::SAFE_BLOCKS * Self::BLOCK_SECS;
        if !has_channels || offline_secs < safe_secs / 2 {
            return None;
        }
        let over = offline_secs >= safe_secs;
        let hours = offline_secs / 3_600;
        let detail = if over {
            format!(
                "The wallet has not seen the chain for {hours} hours. A counterparty could have \
                 closed a channel with an older state and kept it: look at the channels' balances."
            )
        } else {
            format!(
                "The wallet has not seen the chain for {hours} hours. After {} it cannot be sure \
                 to defend its channels.",
                safe_secs / 3_600
            )
        };
        Some(Self { offline_secs, safe_secs, over, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> BackupStatus {
        BackupStatus {
            backend: "ldk-node".into(),
            places: Vec::new(),
            words_written_down: false,
            birthday: None,
            rehearsed: None,
            offline: None,
            nags: Vec::new(),
            advice: String::new(),
            recovery: None,
        }
    }

    fn place(policy: Policy, state: PlaceState) -> Place {
        Place {
            path: "/backup".into(),
            policy,
            same_disk: false,
            state,
            last_write: None,
            seq: 1,
            epoch: 1,
            bytes: 0,
            writes: 0,
            micros_each: 0,
        }
    }

    #[test]
    fn nags_until_it_is_safe() {
        let now = Timestamp::from_secs(100 * 24 * 3_600);
        let mut status = status();
        assert_eq!(status.nags(true, now), [Nag::NoPlace, Nag::WordsNotWrittenDown]);
        status.words_written_down = true;
        assert_eq!(status.nags(false, now), []);
        let why = String::new();
        status.places = vec![place(Policy::Lenient, PlaceState::Stale { since: now, why })];
        assert_eq!(status.nags(true, now), [Nag::PlaceStale, Nag::NotStrict, Nag::NeverRehearsed]);
        status.places = vec![place(Policy::Strict, PlaceState::Fresh)];
        status.rehearsed = Some(Rehearsed { at: now.minus_secs(3_600), seq: 1, passed: true });
        assert_eq!(status.nags(true, now), []);
        status.rehearsed = Some(Rehearsed { at: now, seq: 1, passed: false });
        status.offline = OfflineRisk::of(1_000_000, true);
        assert_eq!(status.nags(true, now), [Nag::OfflineTooLong, Nag::RehearseAgain]);
    }

    #[test]
    fn words_are_shown_by_three_of_them_at_their_places() {
        let words = ["leader", "monkey", "parrot", "ring"];
        let check = |words: &[(u32, &str)]| CheckWords {
            words: words.iter().map(|(at, word)| (*at, (*word).to_owned())).collect(),
        };
        assert!(check(&[(1, "leader"), (3, " Parrot"), (4, "ring")]).holds(&words));
        for wrong in [
            &[(1, "leader"), (3, "parrot")][..],
            &[(1, "leader"), (1, "leader"), (1, "leader")],
            &[(1, "leader"), (2, "parrot"), (4, "ring")],
            &[(0, "leader"), (3, "parrot"), (4, "ring"), (1, "leader")],
            &[(1, "leader"), (3, "parrot"), (9, "ring")],
        ] {
            assert!(!check(wrong).holds(&words), "{wrong:?}");
        }
    }

    #[test]
    fn a_while_without_the_chain_is_a_risk_only_with_channels() {
        assert_eq!(OfflineRisk::of(u64::MAX, false), None);
        assert_eq!(OfflineRisk::of(3_600, true), None);
        assert!(!OfflineRisk::of(50_000, true).unwrap().over);
        assert!(OfflineRisk::of(86_400, true).unwrap().over);
    }

    #[test]
    fn a_place_says_its_state_beside_its_path() {
        let place = place(Policy::Strict, PlaceState::Fresh);
        let json = serde_json::to_value(&place).unwrap();
        assert_eq!((&json["state"], &json["policy"]), (&"fresh".into(), &"strict".into()));
        assert_eq!(serde_json::from_value::<Place>(json).unwrap(), place);
    }
}
