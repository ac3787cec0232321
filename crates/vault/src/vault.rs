//! The vault: makes, opens, restores and backs up one seed.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{Network, Pubkey, Receipt, merkle::Checkpoint, merkle::SignedCheckpoint};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::VaultError,
    identity::Identity,
    keep::{self, Passphrase},
    keychain::{Keychain, SystemKeychain},
    proof::ProofError,
    seed::Seed,
};

/// Where a seed is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    Keychain,
    FileWithPassphrase,
    /// Practice only: whoever reads the files has the seed. Nothing of value is lost by it.
    FileWithPassphraseBeside,
}

/// Where a passphrase comes from, if one is needed.
pub enum PassphraseSource {
    /// From a file descriptor, a credential, or typed before. The keychain is not used.
    Given(Zeroizing<String>),
    /// Asked of the operator, once, and only if the keychain can't keep the seed. `None`: declined.
    Ask(Box<dyn FnOnce() -> Option<Zeroizing<String>> + Send>),
    /// Generated where the keychain can't keep the seed, and handed back to be shown once. Opens
    /// what needs no person: a keychain, a passphrase kept beside.
    Generate,
}

/// A vault that was just made.
pub struct Created {
    pub vault: Vault,
    /// The generated passphrase, to be shown once.
    pub passphrase: Option<Zeroizing<String>>,
    /// Why the keychain does not keep it, where it was tried.
    pub keychain_refused: Option<String>,
}

/// An open vault: the seed in memory and the keys that come from it.
pub struct Vault {
    dir: PathBuf,
    record: Mutex<Record>,
    seed: Seed,
    identity: Identity,
    /// What is sealed beside the seed.
    note: Mutex<String>,
}

/// `vault.json`: what may be known without opening the vault.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    v: u32,
    network: Network,
    kept: Kept,
    /// Of the seed; tells a wrong one.
    fingerprint: String,
    backed_up: bool,
    /// What the operator calls the machine that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The sealed file: another one at each change of the passphrase, so that this record decides.
    #[serde(default = "first_sealed", skip_serializing_if = "is_first_sealed")]
    file: String,
}

fn first_sealed() -> String {
    SEALED.to_owned()
}

fn is_first_sealed(name: &String) -> bool {
    name == SEALED
}

const RECORD: &str = "vault.json";
const SEALED: &str = "seed.age";
const BESIDE: &str = "passphrase";
const VERSION: u32 = 1;

impl Vault {
    /// Whether there is a vault in `dir`.
    pub fn exists(dir: &Path) -> bool {
        dir.join(RECORD).exists()
    }

    /// A new seed, kept in `dir` or in the keychain.
    ///
    /// On the practice network the keychain is left alone: nothing there is worth asking a person
    /// for, and deleting the directory leaves nothing behind.
    pub fn create(
        dir: &Path,
        network: Network,
        source: PassphraseSource,
    ) -> Result<Created, VaultError> {
        Self::keep(dir, network, Seed::generate()?, source, &SystemKeychain, false)
    }

    /// The vault of these words, as [`Vault::create`] keeps it.
    pub fn restore(
        dir: &Path,
        network: Network,
        words: &str,
        source: PassphraseSource,
    ) -> Result<Created, VaultError> {
        Self::keep(dir, network, Seed::from_words(words)?, source, &SystemKeychain, true)
    }

    /// The vault of a file that [`Vault::backup_to`] wrote with `passphrase`.
    pub fn restore_backup(
        dir: &Path,
        network: Network,
        backup: &Path,
        passphrase: &str,
        source: PassphraseSource,
    ) -> Result<Created, VaultError> {
        let words = keep::read_sealed(backup, passphrase)?;
        Self::restore(dir, network, &words, source)
    }

    fn keep(
        dir: &Path,
        network: Network,
        seed: Seed,
        source: PassphraseSource,
        keychain: &dyn Keychain,
        backed_up: bool,
    ) -> Result<Created, VaultError> {
        if Self::exists(dir) {
            return Err(VaultError::Exists(dir.to_owned()));
        }
        keep::create_private_dir(dir)?;
        let words = seed.words();
        let fingerprint = seed.fingerprint();
        let mut keychain_refused = None;
        let given = matches!(source, PassphraseSource::Given(_));
        let mut kept_by_keychain = false;
        if network != Network::Practice && !given {
            let put = if keychain.is_present() {
                keychain.put(&fingerprint, &words)
            } else {
                Err("there is none in this session".into())
            };
            kept_by_keychain = put.is_ok();
            keychain_refused = put.err();
        }
        let mut shown = None;
        let kept = if kept_by_keychain {
            Kept::Keychain
        } else {
            let passphrase = match source {
                PassphraseSource::Given(text) => Passphrase::chosen(text)?,
                PassphraseSource::Ask(ask) => {
                    Passphrase::chosen(ask().ok_or(VaultError::PassphraseNeeded)?)?
                }
                PassphraseSource::Generate => Passphrase::generate()?,
            };
            let beside = passphrase.generated && network == Network::Practice;
            keep::write_sealed(&dir.join(SEALED), &passphrase, &words)?;
            if beside {
                keep::write_private(&dir.join(BESIDE), passphrase.text.as_bytes())?;
            }
            shown = passphrase.generated.then_some(passphrase.text);
            if beside { Kept::FileWithPassphraseBeside } else { Kept::FileWithPassphrase }
        };
        let file = first_sealed();
        let record = Record { v: VERSION, network, kept, fingerprint, backed_up, name: None, file };
        record.write(dir)?;
        let vault = Self::of(dir, record, seed, String::new());
        Ok(Created { vault, passphrase: shown, keychain_refused })
    }

    /// Opens the vault in `dir`. Nothing is made, and no other way of keeping is fallen back to.
    pub fn open(
        dir: &Path,
        network: Network,
        source: PassphraseSource,
    ) -> Result<Self, VaultError> {
        Self::open_with(dir, network, source, &SystemKeychain)
    }

    fn open_with(
        dir: &Path,
        network: Network,
        source: PassphraseSource,
        keychain: &dyn Keychain,
    ) -> Result<Self, VaultError> {
        let record = Record::read(dir)?;
        if record.network != network {
            return Err(VaultError::OtherNetwork { found: record.network, asked: network });
        }
        let sealed = record.sealed(dir)?;
        let text = match record.kept {
            Kept::Keychain if !keychain.is_present() => {
                return Err(VaultError::Keychain("there is none in this session".into()));
            }
            Kept::Keychain => keychain.get(&record.fingerprint).map_err(VaultError::Keychain)?,
            Kept::FileWithPassphraseBeside => {
                let path = dir.join(BESIDE);
                let text = keep::read_private(&path)?;
                let text = std::str::from_utf8(&text)
                    .map_err(|_| VaultError::Damaged { path, detail: "it holds no text".into() })?;
                keep::read_sealed(&sealed, text.trim_end())?
            }
            Kept::FileWithPassphrase => {
                let text = match source {
                    PassphraseSource::Given(text) => text,
                    PassphraseSource::Ask(ask) => ask().ok_or(VaultError::PassphraseNeeded)?,
                    PassphraseSource::Generate => return Err(VaultError::PassphraseNeeded),
                };
                keep::read_sealed(&sealed, &text)?
            }
        };
        let (words, note) = passphrase::parts(&text);
        let seed = Seed::from_words(words)?;
        if seed.fingerprint() != record.fingerprint {
            return Err(VaultError::OtherSeed);
        }
        passphrase::sweep(dir, &record);
        Ok(Self::of(dir, record, seed, note.to_owned()))
    }

    fn of(dir: &Path, record: Record, seed: Seed, note: String) -> Self {
        let identity = Identity::from_words(&seed.words());
        let (record, note) = (Mutex::new(record), Mutex::new(note));
        Self { dir: dir.to_owned(), record, seed, identity, note }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the operator says of this vault, upon what is on disk: another process may have
    /// written there since.
    fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), VaultError> {
        let mut held = self.record();
        let mut record = Record::read(&self.dir)?;
        change(&mut record);
        record.write(&self.dir)?;
        *held = record;
        Ok(())
    }

    pub fn kept_in(&self) -> Kept {
        self.record().kept
    }

    pub fn network(&self) -> Network {
        self.record().network
    }

    /// Whether the operator has said that the words are kept elsewhere too.
    pub fn is_backed_up(&self) -> bool {
        self.record().backed_up
    }

    /// What the operator calls this machine.
    pub fn name(&self) -> Option<String> {
        self.record().name.clone()
    }

    /// Names this machine, or takes its name away.
    pub fn set_name(&self, name: Option<String>) -> Result<(), VaultError> {
        self.change(|record| record.name = name)
    }

    pub fn mark_backed_up(&self) -> Result<(), VaultError> {
        self.change(|record| record.backed_up = true)
    }

    /// The BIP-39 words: whoever has them has everything. Shown to the operator on demand; the
    /// executor's node is built from them.
    pub fn words(&self) -> Zeroizing<String> {
        self.seed.words()
    }

    /// Writes the words to `path`, encrypted with `passphrase` (age: any age tool opens it).
    pub fn backup_to(&self, path: &Path, passphrase: Zeroizing<String>) -> Result<(), VaultError> {
        if path.exists() {
            return Err(VaultError::Exists(path.to_owned()));
        }
        keep::write_sealed(path, &Passphrase::chosen(passphrase)?, &self.seed.words())
    }

    /// A key of its own for each label; the same seed and label always give the same key.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        self.seed.derive(label)
    }

    /// What the store encrypts bodies under.
    pub fn body_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive("store bodies")
    }

    /// The Nostr identity (NIP-06) of this seed.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn pubkey(&self) -> Pubkey {
        self.identity.pubkey()
    }

    /// See [`Identity::sign_digest`].
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; 64] {
        self.identity.sign_digest(digest)
    }

    /// See [`Identity::sign_receipt`].
    pub fn sign_receipt(&self, receipt: Receipt) -> Result<Receipt, ProofError> {
        self.identity.sign_receipt(receipt)
    }

    /// See [`Identity::sign_checkpoint`].
    pub fn sign_checkpoint(&self, head: Checkpoint) -> Result<SignedCheckpoint, ProofError> {
        self.identity.sign_checkpoint(head)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("network", &self.network())
            .field("kept", &self.kept_in())
            .field("pubkey", &self.identity.pubkey())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created")
            .field("vault", &self.vault)
            .field("keychain_refused", &self.keychain_refused)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// Where the sealed seed lies: below `dir`, whatever the record says.
    fn sealed(&self, dir: &Path) -> Result<PathBuf, VaultError> {
        if passphrase::is_sealed_name(&self.file) {
            return Ok(dir.join(&self.file));
        }
        let detail = "it names a file that is none of a vault's".to_owned();
        Err(VaultError::Damaged { path: dir.join(RECORD), detail })
    }

    fn read(dir: &Path) -> Result<Self, VaultError> {
        let path = dir.join(RECORD);
        if !path.exists() {
            return Err(VaultError::Missing(dir.to_owned()));
        }
        let damaged = |detail: String| VaultError::Damaged { path: path.clone(), detail };
        let record: Self = serde_json::from_slice(&keep::read_private(&path)?)
            .map_err(|error| damaged(error.to_string()))?;
        if record.v == VERSION {
            Ok(record)
        } else {
            Err(damaged(format!("version {} is not known", record.v)))
        }
    }

    fn write(&self, dir: &Path) -> Result<(), VaultError> {
        let json = serde_json::to_vec_pretty(self)
            .expect("BUG: a record is plain data, which always serialises");
        keep::write_private(&dir.join(RECORD), &json)
    }
}

mod passphrase;
#[cfg(test)]
mod tests;
