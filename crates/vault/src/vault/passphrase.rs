//! The operator's passphrase: set, proved, changed, taken away.
//!
//! What it opens is the proof of it: there is no verifier beside. A change writes a new sealed file
//! first; the record then names it, and what it does not name is removed, now or at the next start.

use std::{fs, path::Path, sync::PoisonError};

use zeroize::Zeroizing;

use super::{BESIDE, Kept, Record, SEALED, Vault};
use crate::{
    error::VaultError,
    keep::{self, Passphrase},
    keychain::{Keychain, SystemKeychain},
    seed::Seed,
};
use domain::Network;

impl Vault {
    /// How the seed in `dir` is kept, without opening it.
    ///
    /// # Errors
    ///
    /// There is no vault, or its record is damaged.
    pub fn kept_at(dir: &Path) -> Result<Kept, VaultError> {
        Record::read(dir).map(|record| record.kept)
    }

    /// Whether it opens with a passphrase only.
    pub fn has_passphrase(&self) -> bool {
        self.kept_in() == Kept::FileWithPassphrase
    }

    /// What was sealed with the seed when the passphrase was set; nobody else can have changed it.
    pub fn note(&self) -> String {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether `text` is the passphrase: it opens the file. Takes about 0.2 s and 64 MiB, so callers
    /// try one at a time. Without a passphrase nothing proves anything.
    ///
    /// # Errors
    ///
    /// The sealed file cannot be read, or is damaged.
    pub fn proves(&self, text: &str) -> Result<bool, VaultError> {
        if !self.has_passphrase() {
            return Ok(false);
        }
        let sealed = self.record().sealed(&self.dir)?;
        match keep::read_sealed(&sealed, text) {
            Ok(opened) => {
                // Of one way, so that nothing secret is compared.
                let seed = Seed::from_words(parts(&opened).0)?;
                Ok(seed.fingerprint() == self.seed.fingerprint())
            }
            Err(VaultError::WrongPassphrase) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Seals the seed, and `note` with it, under a passphrase: a first one, or another one. Gives why
    /// the keychain still has the seed, where it does.
    ///
    /// # Errors
    ///
    /// The passphrase is too short, or the files cannot be written; then nothing changed.
    pub fn set_passphrase(
        &self,
        text: Zeroizing<String>,
        note: &str,
    ) -> Result<Option<String>, VaultError> {
        self.set_passphrase_with(text, note, &SystemKeychain)
    }

    pub(super) fn set_passphrase_with(
        &self,
        text: Zeroizing<String>,
        note: &str,
        keychain: &dyn Keychain,
    ) -> Result<Option<String>, VaultError> {
        let passphrase = Passphrase::chosen(text)?;
        let mut held = self.record();
        let mut record = Record::read(&self.dir)?;
        let was = record.kept;
        record.file = new_name()?;
        record.kept = Kept::FileWithPassphrase;
        self.seal(&record, &passphrase, note)?;
        record.write(&self.dir)?;
        let left = match was {
            Kept::Keychain => keychain.remove(&record.fingerprint).err(),
            Kept::FileWithPassphrase | Kept::FileWithPassphraseBeside => None,
        };
        sweep(&self.dir, &record);
        *held = record;
        note.clone_into(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(left)
    }

    /// Takes the passphrase away: from then on the keychain keeps the seed, or, in practice, a
    /// passphrase that lies beside it.
    ///
    /// # Errors
    ///
    /// Nothing else can keep the seed, or the files cannot be written; then nothing changed.
    pub fn remove_passphrase(&self) -> Result<(), VaultError> {
        self.remove_passphrase_with(&SystemKeychain)
    }

    pub(super) fn remove_passphrase_with(&self, keychain: &dyn Keychain) -> Result<(), VaultError> {
        let mut held = self.record();
        let mut record = Record::read(&self.dir)?;
        if record.kept != Kept::FileWithPassphrase {
            return Ok(());
        }
        if record.network == Network::Practice {
            let passphrase = Passphrase::generate()?;
            record.file = new_name()?;
            record.kept = Kept::FileWithPassphraseBeside;
            self.seal(&record, &passphrase, "")?;
            keep::write_private(&self.dir.join(BESIDE), passphrase.text.as_bytes())?;
        } else {
            if !keychain.is_present() {
                return Err(VaultError::Keychain("there is none in this session".into()));
            }
            keychain.put(&record.fingerprint, &self.seed.words()).map_err(VaultError::Keychain)?;
            record.kept = Kept::Keychain;
            record.file = SEALED.to_owned();
        }
        record.write(&self.dir)?;
        sweep(&self.dir, &record);
        *held = record;
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn seal(&self, record: &Record, passphrase: &Passphrase, note: &str) -> Result<(), VaultError> {
        let words = self.seed.words();
        let mut text = Zeroizing::new(String::with_capacity(words.len() + 1 + note.len()));
        text.push_str(&words);
        if !note.is_empty() {
            text.push('\n');
            text.push_str(note);
        }
        keep::write_sealed(&record.sealed(&self.dir)?, passphrase, &text)
    }
}

/// The words, and what was sealed beside them.
pub(super) fn parts(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// `seed.age`, or `seed-` and eight hex digits and `.age`.
pub(super) fn is_sealed_name(name: &str) -> bool {
    let digits = name.strip_prefix("seed-").and_then(|rest| rest.strip_suffix(".age"));
    let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    name == SEALED || digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(is_hex))
}

fn new_name() -> Result<String, VaultError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Entropy)?;
    Ok(format!("seed-{}.age", hex::encode(bytes)))
}

/// Removes what the record does not name: the rest of a change, finished or not. What cannot be
/// removed is tried again at the next start.
pub(super) fn sweep(dir: &Path, record: &Record) {
    let sealed = |name: &str| record.kept != Kept::Keychain && name == record.file;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_old = is_sealed_name(name) && !sealed(name);
        let is_beside = name == BESIDE && record.kept != Kept::FileWithPassphraseBeside;
        if is_old || is_beside {
            let _tried_again_at_the_next_start = fs::remove_file(entry.path());
        }
    }
}
