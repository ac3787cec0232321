//! Secrets in files: age with a passphrase (scrypt), readable by their owner only.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use age::{DecryptError, scrypt, secrecy::SecretString};
use zeroize::Zeroizing;

use crate::error::VaultError;

/// scrypt's N is two to this: about 0.2 s for a passphrase that a person chose.
const CHOSEN: u8 = 16;
/// A generated passphrase has 128 bits of its own: stretching it adds nothing.
const GENERATED: u8 = 10;
/// More work than this is refused: the file is not one of ours.
const MOST: u8 = 20;
const SHORTEST: usize = 8;
/// Larger files are none of ours.
const MOST_BYTES: u64 = 64 * 1024;

/// A passphrase, and whether it came from the system's randomness.
pub(crate) struct Passphrase {
    pub text: Zeroizing<String>,
    pub generated: bool,
}

impl Passphrase {
    pub(crate) fn chosen(text: Zeroizing<String>) -> Result<Self, VaultError> {
        if text.chars().count() < SHORTEST {
            return Err(VaultError::PassphraseTooShort(SHORTEST));
        }
        Ok(Self { text, generated: false })
    }

    /// 128 random bits, as eight groups of four hex digits.
    pub(crate) fn generate() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; 16]);
        getrandom::fill(bytes.as_mut()).map_err(|_| VaultError::Entropy)?;
        let digits = Zeroizing::new(hex::encode(*bytes));
        let mut text = Zeroizing::new(String::with_capacity(40));
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(digit);
        }
        Ok(Self { text, generated: true })
    }
}

fn secret(passphrase: &str) -> SecretString {
    SecretString::from(passphrase.to_owned())
}

/// Writes `secret_text` to `path`, encrypted.
pub(crate) fn write_sealed(
    path: &Path,
    passphrase: &Passphrase,
    secret_text: &str,
) -> Result<(), VaultError> {
    let mut recipient = scrypt::Recipient::new(secret(&passphrase.text));
    recipient.set_work_factor(if passphrase.generated { GENERATED } else { CHOSEN });
    let sealed = age::encrypt(&recipient, secret_text.as_bytes())
        .map_err(|error| io_error(path, io::Error::other(error.to_string())))?;
    write_private(path, &sealed)
}

/// Reads what [`write_sealed`] wrote.
pub(crate) fn read_sealed(path: &Path, passphrase: &str) -> Result<Zeroizing<String>, VaultError> {
    let damaged = |detail: String| VaultError::Damaged { path: path.to_owned(), detail };
    let sealed = read_private(path)?;
    let mut identity = scrypt::Identity::new(secret(passphrase));
    identity.set_max_work_factor(MOST);
    let plain = age::decrypt(&identity, &sealed).map_err(|error| match error {
        DecryptError::DecryptionFailed
        | DecryptError::KeyDecryptionFailed
        | DecryptError::NoMatchingKeys => VaultError::WrongPassphrase,
        other => damaged(other.to_string()),
    })?;
    let text = String::from_utf8(plain).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        damaged("it holds no text".into())
    })?;
    Ok(Zeroizing::new(text))
}

/// All of `bytes` under `path`, synced, mode 0600; or nothing under that name.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        #[cfg(unix)]
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&part);
        io_error(path, source)
    })
}

pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let read = || {
        let size = fs::metadata(path)?.len();
        if size > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
        }
        fs::read(path).map(Zeroizing::new)
    };
    read().map_err(|source| io_error(path, source))
}

pub(crate) fn create_private_dir(dir: &Path) -> Result<(), VaultError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| io_error(dir, source))
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> VaultError {
    VaultError::Io { path: path.to_owned(), source }
}
