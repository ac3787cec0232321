//! Content by its hash in a folder, sealed: neither a file's name nor its bytes tell what it is.
//!
//! The name is an HMAC of the hash, so that nobody without the key can confirm a guess. The bytes
//! are a random nonce and XChaCha20-Poly1305 with the hash as associated data.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use domain::Sha256Hash;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::bodies::{NONCE_BYTES, derive, write_synced};

/// A folder of sealed files.
pub struct SealedFiles {
    dir: PathBuf,
    names: Zeroizing<[u8; 32]>,
    cipher: XChaCha20Poly1305,
}

impl SealedFiles {
    /// The files in `dir`, which exists, under the vault's key to bodies.
    pub fn new(dir: impl Into<PathBuf>, body_key: &[u8; 32]) -> Self {
        let key = derive(body_key, "sealed files", &[]);
        Self {
            dir: dir.into(),
            names: derive(body_key, "sealed files' names", &[]),
            cipher: XChaCha20Poly1305::new((&*key).into()),
        }
    }

    /// Seals `bytes`, whose hash is `hash`, and returns once they are on the disk.
    ///
    /// # Errors
    /// The disk's, or no randomness.
    pub fn write(&self, hash: &Sha256Hash, bytes: &[u8]) -> io::Result<()> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
        let payload = Payload { msg: bytes, aad: hash.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("BUG: content is far below the cipher's limit of 256 GiB");
        write_synced(&self.path(hash), &[nonce.as_slice(), &sealed].concat())
    }

    /// The content of this hash. `None` where it is not there, was changed, or was sealed under
    /// another key.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, hash: &Sha256Hash) -> io::Result<Option<Vec<u8>>> {
        let sealed = match fs::read(self.path(hash)) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(self.open(hash, &sealed))
    }

    fn open(&self, hash: &Sha256Hash, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: hash.as_bytes() };
        let bytes = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        (Sha256::digest(&bytes).as_slice() == hash.as_bytes()).then_some(bytes)
    }

    /// Deletes what was written before `before` and is not in `keep`, what a crash left half
    /// written too; returns how many files that were.
    ///
    /// # Errors
    /// The disk's.
    pub fn retain(&self, keep: &HashSet<Sha256Hash>, before: SystemTime) -> io::Result<usize> {
        let keep: HashSet<OsString> = keep.iter().map(|hash| self.name(hash).into()).collect();
        let mut deleted = 0;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let stays =
                keep.contains(&entry.file_name()) || entry.metadata()?.modified()? >= before;
            if !stays {
                fs::remove_file(entry.path())?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    fn name(&self, hash: &Sha256Hash) -> String {
        Sha256Hash(*derive(&self.names, "name", hash.as_bytes())).to_string()
    }

    fn path(&self, hash: &Sha256Hash) -> PathBuf {
        Path::new(&self.dir).join(self.name(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KEY: [u8; 32] = [7; 32];
    const LATER: Duration = Duration::from_secs(60);

    fn files(dir: &Path) -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn later(path: &Path) -> SystemTime {
        path.metadata().unwrap().modified().unwrap() + LATER
    }

    #[test]
    fn content_comes_back_and_the_disk_does_not_tell_it() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, sealed) =
            (b"what the buyer packed".repeat(9), SealedFiles::new(dir.path(), &KEY));
        let hash = Sha256Hash::of(&bytes);
        assert_eq!(sealed.read(&hash).unwrap(), None);
        sealed.write(&hash, &bytes).unwrap();
        sealed.write(&hash, &bytes).unwrap();
        assert_eq!(sealed.read(&hash).unwrap().as_deref(), Some(bytes.as_slice()));
        let [file] = &files(dir.path())[..] else { panic!("one file") };
        assert!(!file.to_string_lossy().contains(&hash.to_string()));
        let raw = fs::read(file).unwrap();
        assert!(!raw.windows(8).any(|part| part == &bytes[..8]));
    }

    #[test]
    fn changed_bytes_and_another_key_open_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = SealedFiles::new(dir.path(), &KEY);
        let (one, other) = (Sha256Hash::of(b"one"), Sha256Hash::of(b"other"));
        sealed.write(&one, b"one").unwrap();
        let path = sealed.path(&one);
        let raw = fs::read(&path).unwrap();
        // One file under the name of another, as a stranger with the disk might do.
        fs::write(sealed.path(&other), &raw).unwrap();
        assert_eq!(sealed.read(&other).unwrap(), None);
        let stranger = SealedFiles::new(dir.path(), &[8; 32]);
        assert_eq!(stranger.open(&one, &raw), None);
        for at in 0..raw.len() {
            let mut changed = raw.clone();
            changed[at] ^= 1;
            assert_eq!(sealed.open(&one, &changed), None, "byte {at}");
            assert_eq!(sealed.open(&one, &raw[..at]), None, "cut at {at}");
        }
        // What lies is not what its name says: sealed by us, of another content.
        sealed.write(&one, b"two").unwrap();
        assert_eq!(sealed.read(&one).unwrap(), None);
    }

    #[test]
    fn only_what_is_old_and_not_needed_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = SealedFiles::new(dir.path(), &KEY);
        let (needed, over) = (Sha256Hash::of(b"needed"), Sha256Hash::of(b"over"));
        sealed.write(&needed, b"needed").unwrap();
        sealed.write(&over, b"over").unwrap();
        let torn = dir.path().join("torn.part");
        fs::write(&torn, b"half").unwrap();
        let keep = HashSet::from([needed]);
        let written = sealed.path(&over).metadata().unwrap().modified().unwrap();
        assert_eq!(sealed.retain(&keep, written - LATER).unwrap(), 0, "younger than that");
        assert_eq!(sealed.retain(&keep, later(&torn)).unwrap(), 2);
        assert_eq!(sealed.read(&needed).unwrap().as_deref(), Some(b"needed".as_slice()));
        assert_eq!(sealed.read(&over).unwrap(), None);
        assert_eq!(files(dir.path()), [sealed.path(&needed)]);
    }
}
