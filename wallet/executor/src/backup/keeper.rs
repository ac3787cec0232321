//! The backup of a running wallet: chosen, looked at, written now, rehearsed.

use domain::{ErrorBody, Msat, Network, Timestamp};
use ldk_durable::{
    DurableStore,
    copy::{CopyKey, Folder, FolderError, Kept, Mirror, Pin, Place, Standing, same_disk},
};
use ldk_node::bip39::Mnemonic;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use store::{Reader, Store};
use vault::Vault;
use wallet::backup::{
    self as wire, BackupSet, BackupStatus, Birthday, OfflineRisk, PlaceState, RehearsalReport,
    Rehearsed, RestoreReport,
};

pub use super::live::{Live, status_without_copy};
use super::{
    files::{self, Settings},
    live::advice,
    log::{self, About, LogCopy},
};
use crate::{
    ldk::read::{self, Reading},
    nwc::places::RELAYS_FILE,
};

/// What the vault derives the key of copies for.
pub const LABEL: &str = "backup copies";
/// The node's folder in the wallet's.
pub const NODE: &str = "node";
const REHEARSAL: &str = "rehearsal";
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A rehearsal meets a payment on its way at most this often.
const REHEARSALS: u32 = 5;

/// Keeps the backup of one wallet.
pub struct Keeper {
    home: PathBuf,
    log: &'static str,
    network: Network,
    vault: Arc<Vault>,
    mirror: Mirror,
    copy: Arc<LogCopy>,
    /// Changes and rehearsals, one at a time.
    turn: Mutex<()>,
    /// What the while before this start meant for the channels.
    was_away: Mutex<Option<OfflineRisk>>,
}

fn now_ms() -> u64 {
    host::clock::now().0
}

fn time(ms: u64) -> Timestamp {
    Timestamp(ms)
}

/// The key that copies of this vault's wallet are sealed with.
pub fn copy_key(vault: &Vault) -> CopyKey {
    CopyKey::new(&vault.derive(LABEL))
}

impl Keeper {
    /// Of the wallet in `home`, whose log is `store`: what it commits goes along from here on.
    pub fn open(
        home: &Path,
        log: &'static str,
        network: Network,
        vault: Arc<Vault>,
        store: &mut Store,
    ) -> Result<Self, ErrorBody> {
        let settings: Option<Settings> = files::read(home, files::SETTINGS)?;
        let about = About {
            network: Some(network),
            backend: "ldk-node".into(),
            birthday: files::read(home, files::BIRTHDAY)?,
        };
        let copy = LogCopy::new(home, log, &[RELAYS_FILE], about);
        copy.listen(store);
        let place = settings
            .map(|settings| Place { path: settings.place, policy: files::policy(settings.policy) });
        let beside = Arc::clone(&copy) as Arc<dyn ldk_durable::copy::Beside>;
        let mirror = Mirror::new(Kept { key: copy_key(&vault), place, beside, now_ms });
        let home = home.to_owned();
        Ok(Self {
            home,
            log,
            network,
            vault,
            mirror,
            copy,
            turn: Mutex::new(()),
            was_away: Mutex::new(None),
        })
    }

    /// What the node's store is opened with.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Before the node starts: when it last saw the chain.
    pub fn before_start(&self, chain_seen_secs: Option<u64>, has_channels: bool) {
        let now = host::clock::now().as_secs();
        let away = chain_seen_secs.map_or(0, |seen| now.saturating_sub(seen));
        let risk = OfflineRisk::of(away, has_channels);
        if let Some(risk) = &risk {
            tracing::warn!(detail = risk.detail, "the node was away");
        }
        *self.was_away.lock().unwrap_or_else(PoisonError::into_inner) = risk;
    }

    /// The operator has shown that the words are written down.
    pub fn words_are_written_down(&self) -> Result<(), ErrorBody> {
        self.vault
            .mark_backed_up()
            .map_err(|error| ErrorBody::new("vault", error.to_string()).retryable())
    }

    /// Remembers where the wallet's part of the chain begins, once.
    pub fn born(&self, birthday: Birthday) -> Result<(), ErrorBody> {
        if self.birthday()?.is_none() {
            files::write(&self.home, files::BIRTHDAY, &birthday)?;
            self.copy.say(|about| about.birthday = Some(birthday));
        }
        Ok(())
    }

    pub fn birthday(&self) -> Result<Option<Birthday>, ErrorBody> {
        files::read(&self.home, files::BIRTHDAY)
    }

    /// Keeps the copy at another place, or at none. Blocks until it is there, where the node runs.
    pub fn set(&self, asked: &BackupSet, runs: bool) -> Result<(), ErrorBody> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let was = self.mirror.status();
        let place = asked.place.as_ref().map(|path| self.checked(Path::new(path))).transpose()?;
        let wanted = place.clone().map(|path| Place { path, policy: files::policy(asked.policy) });
        let changes = was.place.is_some() && was.place != wanted;
        if changes && runs && was.standing != Standing::Fresh && !asked.abandon {
            return Err(ErrorBody::refused(
                "place_away",
                "The folder until now is away, so it cannot be told that it is no longer the newest. \
                 Nothing was changed.",
            )
            .hint(
                "Bring it back first. If it is gone for good, say so (--abandon), and never restore \
                 from it: that would lose money.",
            ));
        }
        match &wanted {
            Some(Place { path, .. }) => {
                let folder = Folder::make(path, self.mirror.key()).map_err(|e| bad_place(&e))?;
                self.fits(&folder)?;
                let settings = Settings { place: path.clone(), policy: asked.policy };
                files::write(&self.home, files::SETTINGS, &settings)?;
            }
            None => files::remove(&self.home, files::SETTINGS)?,
        }
        self.mirror.keep_at(wanted.clone());
        if !runs {
            return Ok(());
        }
        self.until(|status| match &wanted {
            Some(_) => status.place == wanted && status.standing == Standing::Fresh,
            None => status.standing == Standing::Off,
        })
    }

    /// A folder that exists, and is not in the wallet's own.
    fn checked(&self, path: &Path) -> Result<PathBuf, ErrorBody> {
        let refused = |why: String| {
            ErrorBody::refused("bad_place", format!("{why} Nothing was changed."))
                .hint("Name a folder that exists on another disk, by its whole path.")
        };
        if !path.is_absolute() {
            return Err(refused("A backup's place is named by its whole path.".into()));
        }
        let path = fs::canonicalize(path)
            .map_err(|error| refused(format!("{} cannot be used: {error}.", path.display())))?;
        let home = fs::canonicalize(&self.home).unwrap_or_else(|_| self.home.clone());
        if path.starts_with(&home) {
            return Err(refused("A backup inside the wallet's folder is lost with it.".into()));
        }
        Ok(path)
    }

    /// What is in the folder already is this wallet's past, not another copy's present.
    fn fits(&self, folder: &Folder) -> Result<(), ErrorBody> {
        let found = match folder.read() {
            Ok(found) => found,
            Err(FolderError::Empty(_)) => return Ok(()),
            Err(error) => return Err(bad_place(&error)),
        };
        let node = self.home.join(NODE);
        let local = DurableStore::local(&node).map_err(|error| {
            ErrorBody::new("node", format!("The node's state cannot be read: {error}."))
        })?;
        if found.owner.epoch > local.epoch || found.seq > local.seq {
            return Err(ErrorBody::refused(
                "newer_copy",
                "There is a newer copy of this wallet in that folder. Nothing was changed.",
            )
            .hint(
                "Find out which wallet wrote it: only the newest may go on. Stop this one if it is \
                 the older.",
            ));
        }
        Ok(())
    }

    fn until(
        &self,
        is: impl Fn(&ldk_durable::copy::MirrorStatus) -> bool,
    ) -> Result<(), ErrorBody> {
        let start = Instant::now();
        loop {
            let status = self.mirror.status();
            if is(&status) {
                return Ok(());
            }
            if start.elapsed() > WRITTEN_WITHIN {
                let why = match status.standing {
                    Standing::Stale { why, .. } | Standing::Waiting { why, .. } => why,
                    _ => "the node has not written there yet".into(),
                };
                return Err(ErrorBody::new("backup_failed", format!("Not written yet: {why}."))
                    .hint("It is tried again until it works; see `wallet backup status`.")
                    .retryable());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Writes a whole segment now. Blocks until it is there; gives the folder.
    pub fn write_now(&self) -> Result<wallet::wire::BackupReport, ErrorBody> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = self.mirror.status().place else {
            return Err(ErrorBody::refused(
                "no_backup_place",
                "No place for the backup is chosen.",
            )
            .hint("Choose a folder on another disk: `wallet backup set FOLDER`."));
        };
        let before = self.mirror.status().moments;
        self.mirror.write_whole();
        self.until(|status| status.moments > before && status.standing == Standing::Fresh)?;
        let folder = Folder::find(&place.path, self.mirror.key()).map_err(|e| bad_place(&e))?;
        Ok(wallet::wire::BackupReport {
            path: folder.path().display().to_string(),
            at: host::clock::now(),
            includes: vec![self.log.to_owned(), ldk_durable::FILE_NAME.to_owned()],
            warning: crate::server::SEED_WARNING.into(),
        })
    }

    pub fn status(&self, live: &Live) -> Result<BackupStatus, ErrorBody> {
        let status = self.mirror.status();
        let now = host::clock::now();
        let place = status.place.map(|place| wire::Place {
            same_disk: same_disk(&place.path, &self.home),
            path: place.path.display().to_string(),
            policy: files::wire_policy(place.policy),
            state: match status.standing {
                Standing::Fresh => PlaceState::Fresh,
                Standing::Stale { since_ms, why } => {
                    PlaceState::Stale { since: time(since_ms), why }
                }
                Standing::Waiting { since_ms, why } => {
                    PlaceState::Waiting { since: time(since_ms), why }
                }
                Standing::Off => PlaceState::NotYet,
            },
            last_write: status.last_write_ms.map(time),
            seq: status.seq,
            epoch: status.epoch,
            bytes: status.segment_bytes,
            writes: status.moments,
            micros_each: (status.spent.as_micros() / u128::from(status.moments.max(1))) as u64,
        });
        let was_away = self.was_away.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let offline_ms = live.chain_seen.map_or(0, |seen| now.since_ms(seen));
        let recovery: Option<RestoreReport> = files::read(&self.home, files::RESTORED)?;
        let mut said = BackupStatus {
            backend: live.backend.clone(),
            places: place.into_iter().collect(),
            words_written_down: self.vault.is_backed_up(),
            birthday: self.birthday()?,
            rehearsed: files::read(&self.home, files::REHEARSED)?,
            offline: OfflineRisk::of(offline_ms / 1_000, live.has_channels).or(was_away),
            nags: Vec::new(),
            advice: advice(&live.backend).into(),
            recovery: recovery.filter(|report| report.verdict != wire::Verdict::Newest),
        };
        said.nags = said.nags(live.has_channels, now);
        Ok(said)
    }

    /// Restores the backup beside the wallet and compares. Blocks; no node runs for it, so nobody
    /// is called and nothing reaches the chain.
    pub fn rehearse(
        &self,
        runtime: &tokio::runtime::Handle,
        live: impl Fn() -> Live,
    ) -> Result<RehearsalReport, ErrorBody> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |what: String| ErrorBody::new("not_rehearsed", what).retryable();
        let scratch = self.home.join(REHEARSAL);
        let mut left = REHEARSALS;
        let report = loop {
            left -= 1;
            let before = live();
            let first = self.events().map_err(&failed)?;
            let asked = self.mirror.pin();
            let pin = asked
                .recv_timeout(WRITTEN_WITHIN)
                .map_err(|_| {
                    failed("The backup is not written while the node does not run.".into())
                })?
                .map_err(|why| failed(format!("There is nothing to rehearse: {why}.")))?;
            let last = self.events().map_err(&failed)?;
            let after = live();
            let _left_over = fs::remove_dir_all(&scratch);
            let report = self.compare(&scratch, runtime, pin, &after, first..=last);
            let _only_a_copy = fs::remove_dir_all(&scratch);
            let report = report.map_err(&failed)?;
            let moved = before.in_channels_msat != after.in_channels_msat
                || before.onchain_msat != after.onchain_msat;
            if report.passed || left == 0 || !(moved || after.in_channels_msat.is_none()) {
                break report;
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        let mark = Rehearsed { at: report.at, seq: report.seq, passed: report.passed };
        files::write(&self.home, files::REHEARSED, &mark)?;
        Ok(report)
    }

    fn events(&self) -> Result<u64, String> {
        Reader::open(&self.home.join(self.log), None)
            .map_err(|error| error.to_string())?
            .last_position()
            .map_err(|error| error.to_string())
    }

    fn compare(
        &self,
        scratch: &Path,
        runtime: &tokio::runtime::Handle,
        pin: Pin,
        live: &Live,
        logged: std::ops::RangeInclusive<u64>,
    ) -> Result<RehearsalReport, String> {
        let mut differences = Vec::new();
        let Pin { seq, live: written, copy } = pin;
        let written: BTreeMap<_, _> = written.into_iter().collect();
        if copy.seq > seq || written != copy.state {
            let other = written.iter().filter(|(key, value)| copy.state.get(key) != Some(value));
            let more = copy.state.keys().filter(|key| !written.contains_key(key));
            differences.push(format!(
                "{} of the node's {} records are not as the node has them",
                other.count() + more.count(),
                written.len()
            ));
        }
        if !copy.in_place {
            differences.push("the folder's file is a copy of the one that was written".into());
        }
        let log_dir = host::Home::open(scratch).map_err(|error| error.to_string())?;
        let restored = log::lay_down(
            log_dir.root(),
            self.log,
            &copy.files,
            &copy.beside,
            &self.vault.body_key(),
        );
        let events = match restored {
            Ok((events, _)) => events,
            Err(error) => {
                differences.push(error.to_string());
                0
            }
        };
        if !logged.contains(&events) && events != 0 {
            differences.push(format!("the log has {events} events, and the wallet's {logged:?}"));
        }
        let words: Mnemonic =
            self.vault.words().parse().map_err(|_| "the words are no seed".to_owned())?;
        let reading = Reading {
            network: self.network,
            scratch: scratch.join(NODE),
            runtime: runtime.clone(),
        };
        let node = read::read(&reading, &words, copy.state).map_err(|error| error.to_string())?;
        if node.node_id != live.node_id {
            differences.push("the node that comes back is another one".into());
        }
        if live.in_channels_msat.is_some_and(|msat| msat != node.in_channels_msat) {
            differences.push(format!(
                "{} msat come back in channels, and the wallet has {:?}",
                node.in_channels_msat.get(),
                live.in_channels_msat.map(Msat::get)
            ));
        }
        if live.onchain_msat != node.onchain_msat {
            differences.push(format!(
                "{} msat come back on the chain, and the wallet has {}",
                node.onchain_msat.get(),
                live.onchain_msat.get()
            ));
        }
        let about: About = serde_json::from_slice(&copy.begin.about).unwrap_or_default();
        Ok(RehearsalReport {
            at: host::clock::now(),
            place: self
                .mirror
                .status()
                .place
                .map_or_else(String::new, |place| place.path.display().to_string()),
            passed: differences.is_empty(),
            seq: copy.seq,
            epoch: copy.owner.epoch,
            channels: node.channels,
            in_channels_msat: node.in_channels_msat,
            onchain_msat: node.onchain_msat,
            payments: node.payments,
            events,
            birthday: about.birthday,
            differences,
        })
    }
}

fn bad_place(error: &FolderError) -> ErrorBody {
    ErrorBody::refused("bad_place", format!("The backup's folder cannot be used: {error}."))
        .hint("Nothing was changed. Check that the disk is connected, or name another folder.")
}
