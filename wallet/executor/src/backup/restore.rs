//! Bringing a wallet back: from its backup's folder, or from its words alone.
//!
//! Channels start only from a state that is shown to be the newest: whoever starts an older one can
//! lose all that is in them. Everything is written into `restoring/` first; a wallet does not start
//! while that is there.

use domain::{ErrorBody, ExitCode, Msat, Network};
use ldk_durable::{
    Local,
    copy::{Contents, CopyKey, Folder, FolderError, Policy, sync_dir},
};
use ldk_node::{bip39::Mnemonic, bitcoin::BlockHash};
use std::{fs, io, path::Path};
use vault::{PassphraseSource, Vault};
use wallet::backup::{Birthday, RestoreReport, Verdict};
use zeroize::Zeroizing;

use super::{
    files::{self, Settings},
    keeper::{LABEL, NODE},
    log::{self, About},
};
use crate::ldk::read::{self, NodeState, ONCHAIN, Reading};

/// What is being written; a wallet does not start beside it.
pub const RESTORING: &str = "restoring";
/// Where the log of a wallet is kept whose channels are not started: to be read, not gone on with.
pub const BEFORE: &str = "before-restore";
const VAULT: &str = "vault";
/// What a wallet's folder may hold before: written by who starts it.
const NOT_THE_WALLETS: [&str; 4] = ["chain.json", "wallet.log", "executor.lock", "executor.json"];

/// What to restore.
pub struct Restore<'r> {
    /// The wallet's folder: without a wallet.
    pub home: &'r Path,
    pub log: &'static str,
    pub network: Network,
    /// The backup's folder; without one the words alone.
    pub from: Option<&'r Path>,
    pub words: Zeroizing<String>,
    /// Where the chain is begun, where only the words are there.
    pub birthday: Option<(u32, BlockHash)>,
    pub passphrase: PassphraseSource,
    pub runtime: tokio::runtime::Handle,
}

/// Restores, and says what came back and what did not. Blocks. The wallet is not started.
pub fn restore(asked: Restore<'_>) -> Result<RestoreReport, ErrorBody> {
    let dir = asked.home.join(RESTORING);
    check_empty(asked.home, &dir)?;
    let work = host::Home::open(&dir).map_err(|error| failed(&error))?;
    let Restore { home, log, network, from, words, birthday, passphrase, runtime } = asked;
    let made = Vault::restore(&work.join(VAULT), network, &words, passphrase);
    let vault = made.map_err(|error| failed(&error).hint(NOTHING)).map(|created| created.vault)?;
    vault.mark_backed_up().map_err(|error| failed(&error))?;
    let mnemonic: Mnemonic = vault
        .words()
        .parse()
        .map_err(|_| ErrorBody::new("bad_seed", "The words are not a BIP-39 seed."))?;
    let reading = Reading { network, scratch: work.join("scratch"), runtime };
    let plan = Plan { work: work.root(), log, reading, vault: &vault, words: &mnemonic };
    let restored = match from {
        Some(from) => plan.folder(from),
        None => plan.words_alone(birthday),
    };
    let report = match restored {
        Ok(report) => report,
        Err(error) => {
            let _nothing_is_left = fs::remove_dir_all(&dir);
            return Err(error);
        }
    };
    let _only_a_log = fs::remove_dir_all(&plan.reading.scratch);
    files::write(work.root(), files::RESTORED, &report)?;
    move_in(&dir, home).map_err(|error| failed(&error))?;
    files::mark_here(home).map_err(|error| failed(&error))?;
    fs::remove_dir(&dir).map_err(|error| failed(&error))?;
    Ok(report)
}

const NOTHING: &str = "Nothing was restored.";

fn failed(error: &dyn std::fmt::Display) -> ErrorBody {
    ErrorBody::new("not_restored", format!("The wallet was not restored: {error}."))
}

/// What was left by a restore that broke off goes first: it began in an empty folder.
fn check_empty(home: &Path, dir: &Path) -> Result<(), ErrorBody> {
    let entries = fs::read_dir(home).map_err(|error| failed(&error))?;
    let names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !NOT_THE_WALLETS.contains(&name.as_str()) && name != RESTORING)
        .collect();
    if dir.exists() {
        for name in &names {
            let path = home.join(name);
            let gone =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.map_err(|error| failed(&error))?;
        }
        return fs::remove_dir_all(dir).map_err(|error| failed(&error));
    }
    if names.is_empty() {
        return Ok(());
    }
    Err(ErrorBody::refused(
        "not_empty",
        format!("There is a wallet in {} already. Nothing was changed.", home.display()),
    )
    .hint("Restore into a home of its own: --home FOLDER.")
    .exit(ExitCode::Usage))
}

fn move_in(dir: &Path, home: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        fs::rename(entry.path(), home.join(entry.file_name()))?;
    }
    sync_dir(home)
}

struct Plan<'p> {
    /// What is written here becomes the wallet's folder.
    work: &'p Path,
    log: &'static str,
    reading: Reading,
    vault: &'p Vault,
    words: &'p Mnemonic,
}

impl Plan<'_> {
    fn folder(&self, from: &Path) -> Result<RestoreReport, ErrorBody> {
        let key = CopyKey::new(&self.vault.derive(LABEL));
        let folder = Folder::find(from, &key).map_err(|error| refuse(&error))?;
        let found = folder.read().map_err(|error| refuse(&error))?;
        let about: About = serde_json::from_slice(&found.begin.about).unwrap_or_default();
        if about.network.is_some_and(|network| network != self.reading.network) {
            return Err(ErrorBody::refused("other_network", "The backup is of another network.")
                .hint("Nothing was restored. Start again with that network."));
        }
        let node = read::read(&self.reading, self.words, found.state.clone())
            .map_err(|error| failed(&error))?;
        let why = doubts(&found);
        let birthday = about.birthday;
        if let Some(birthday) = &birthday {
            files::write(self.work, files::BIRTHDAY, birthday)?;
        }
        let local = Local { seq: found.seq, epoch: found.owner.epoch, stale_since_ms: None };
        let body_key = self.vault.body_key();
        let report = report(Some(folder.path()), &found, node, birthday);
        if why.is_empty() {
            let (events, _) =
                log::lay_down(self.work, self.log, &found.files, &found.beside, &body_key)
                    .map_err(|error| failed(&error))?;
            self.lay_node(&found.state, local)?;
            let place = folder.path().parent().unwrap_or(folder.path()).to_owned();
            let policy = files::wire_policy(found.policy);
            files::write(self.work, files::SETTINGS, &Settings { place, policy })?;
            let recovers = vec![
                "the channels and all that is ours in them".into(),
                "the money on the chain".into(),
                format!("the wallet's log: {events} events, payments and their proofs"),
            ];
            return Ok(RestoreReport { verdict: Verdict::Newest, recovers, ..report });
        }
        let before = host::Home::open(self.work.join(BEFORE)).map_err(|error| failed(&error))?;
        let log = log::lay_down(before.root(), self.log, &found.files, &found.beside, &body_key);
        let onchain = found.state.into_iter().filter(|(key, _)| key.primary == ONCHAIN).collect();
        self.lay_node(&onchain, local)?;
        let mut recovers = vec!["the money on the chain, as soon as it is read".to_owned()];
        recovers.extend(log.ok().map(|(events, _)| {
            format!("the log to read, {events} events, in {BEFORE}/; the wallet begins a new one")
        }));
        let verdict = Verdict::NotShownNewest { why };
        Ok(RestoreReport { verdict, recovers, lost: lost(&report), ..report })
    }

    fn words_alone(&self, birthday: Option<(u32, BlockHash)>) -> Result<RestoreReport, ErrorBody> {
        let onchain = read::fresh_onchain(&self.reading, self.words, birthday)
            .map_err(|error| failed(&error))?;
        self.lay_node(&onchain, Local::default())?;
        let birthday = birthday.map(|(height, hash)| Birthday {
            height,
            block_hash: hash.to_string(),
            at: host::clock::now(),
        });
        let from_where = match &birthday {
            Some(birthday) => {
                files::write(self.work, files::BIRTHDAY, birthday)?;
                format!("block {}", birthday.height)
            }
            None => "the chain's first block: no birthday was given, so it may take long".into(),
        };
        Ok(RestoreReport {
            at: host::clock::now(),
            from: None,
            verdict: Verdict::WordsAlone,
            seq: None,
            birthday,
            channels: Vec::new(),
            in_channels_msat: Msat::ZERO,
            recovers: vec![format!(
                "the money on the chain, found by reading it from {from_where}"
            )],
            lost: vec![
                "Channels are not in the words: which there were, and what was in them, is not \
                 known here. Ask each counterparty to close its channel with this node."
                    .into(),
                TO_REMOTE.into(),
                "The log: payments, their proofs and limits.".into(),
            ],
        })
    }

    fn lay_node(&self, state: &read::State, local: Local) -> Result<(), ErrorBody> {
        let node = host::Home::open(self.work.join(NODE)).map_err(|error| failed(&error))?;
        ldk_durable::lay_down(node.root(), state, local).map_err(|error| failed(&error))
    }
}

/// What becomes of money in a channel that the counterparty closes.
const TO_REMOTE: &str = "What a counterparty's closing pays to this node is on the chain under \
     keys of these words, at addresses that this program does not yet spend from.";

fn report(
    from: Option<&Path>,
    found: &Contents,
    node: NodeState,
    birthday: Option<Birthday>,
) -> RestoreReport {
    RestoreReport {
        at: host::clock::now(),
        from: from.map(|from| from.display().to_string()),
        verdict: Verdict::Newest,
        seq: Some(found.seq),
        birthday,
        channels: node.channels,
        in_channels_msat: node.in_channels_msat,
        recovers: Vec::new(),
        lost: Vec::new(),
    }
}

fn lost(report: &RestoreReport) -> Vec<String> {
    let mut lost: Vec<String> = report
        .channels
        .iter()
        .map(|channel| {
            format!(
                "Channel {} with {}: {} msat of it were ours when this backup was written. Its \
                 state is not started. Ask the counterparty to close it.",
                channel.channel,
                channel.peer,
                channel.ours_msat.get()
            )
        })
        .collect();
    if !lost.is_empty() {
        lost.push(TO_REMOTE.into());
    }
    lost
}

/// Why a backup is not shown to be the newest; nothing where it is.
fn doubts(found: &Contents) -> Vec<String> {
    let mut why = Vec::new();
    if found.policy == Policy::Lenient {
        why.push(
            "the wallet was allowed to go on without this folder, and it cannot know whether it did"
                .into(),
        );
    }
    if let Some(at_ms) = found.left_at_ms {
        why.push(format!(
            "the wallet left this folder on {} and may have gone on elsewhere",
            domain::Timestamp(at_ms).to_rfc3339()
        ));
    }
    if !found.in_place {
        why.push(
            "this is a copy of the folder, not the one that the wallet wrote; the wallet may have \
             gone on writing there"
                .into(),
        );
    }
    why
}

fn refuse(error: &FolderError) -> ErrorBody {
    ErrorBody::refused("bad_backup", format!("The backup is not used: {error}. {NOTHING}")).hint(
        "Try another copy of it. The words alone bring back what is on the chain: restore without \
         --from.",
    )
}

/// A wallet does not start in a folder where a restore broke off.
pub fn check_whole(home: &Path) -> Result<(), ErrorBody> {
    if !home.join(RESTORING).exists() {
        return Ok(());
    }
    Err(ErrorBody::refused(
        "restore_broke_off",
        "A restore of this wallet broke off. Nothing was started.",
    )
    .hint("Restore it again: what is there is written anew."))
}

/// `HEIGHT:HASH`, as it is shown beside the words.
pub fn parse_birthday(text: &str) -> Result<(u32, BlockHash), String> {
    let (height, hash) =
        text.split_once(':').ok_or("a birthday is a height and a block's hash: 812345:000000…")?;
    let height = height.trim().parse().map_err(|_| format!("{height:?} is no height"))?;
    let hash = hash.trim().parse().map_err(|_| "that is no block's hash".to_owned())?;
    Ok((height, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_folder_with_a_wallet_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(RESTORING);
        fs::write(home.path().join("chain.json"), "{}").unwrap();
        check_empty(home.path(), &dir).unwrap();
        fs::write(home.path().join("wallet.db"), "money").unwrap();
        assert_eq!(check_empty(home.path(), &dir).unwrap_err().code, "not_empty");
        assert!(home.path().join("wallet.db").exists());
        check_whole(home.path()).unwrap();
        // A restore that broke off had begun in an empty folder.
        fs::create_dir(&dir).unwrap();
        assert_eq!(check_whole(home.path()).unwrap_err().code, "restore_broke_off");
        check_empty(home.path(), &dir).unwrap();
        assert!(!home.path().join("wallet.db").exists() && !dir.exists());
        assert!(home.path().join("chain.json").exists());
    }

    proptest! {
        #[test]
        fn a_birthday_is_read_or_refused(height: u32, text in "\\PC{0,80}") {
            let hash = "00".repeat(32);
            let (read, _) = parse_birthday(&format!("{height}:{hash}")).unwrap();
            prop_assert_eq!(read, height);
            prop_assert!(parse_birthday(&text).is_err());
        }
    }
}
