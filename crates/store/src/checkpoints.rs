//! Checkpoints: signed tree heads in files outside the database.
//!
//! Whoever can write the database can rewrite all of it, hashes and frontier too. A signed root
//! kept elsewhere shows that events before it were changed, exchanged or cut off.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use domain::{
    Pubkey, Sha256Hash, Timestamp, canonical_json,
    merkle::{Checkpoint, SignedCheckpoint},
};

use crate::{bodies::write_synced, error::ReadError, store::Store};

/// Newer ones vouch for all that is before them; these are kept.
const KEPT: usize = 256;
/// Larger files are no checkpoints.
const MOST_BYTES: u64 = 4096;

impl Store {
    /// Signs the tree head over all events and writes it to `checkpoints/`, synced. `sign` makes
    /// `signer`'s BIP-340 signature over the digest it is given. `None` where nothing was recorded
    /// since the last one.
    pub fn checkpoint(
        &self,
        at: Timestamp,
        signer: Pubkey,
        sign: impl FnOnce(&[u8; 32]) -> [u8; 64],
    ) -> Result<Option<SignedCheckpoint>, ReadError> {
        let size = self.frontier.size();
        let dir = checkpoints_dir(&self.path);
        let path = dir.join(format!("{size:020}.json"));
        if size == 0 || path.exists() {
            return Ok(None);
        }
        let head = Checkpoint { v: 1, size, root: self.frontier.root(), at };
        let sig = hex::encode(sign(&digest(&head)));
        let signed = SignedCheckpoint { head, signer, sig };
        let json = serde_json::to_vec_pretty(&signed).map_err(io::Error::from)?;
        fs::create_dir_all(&dir)?;
        write_synced(&path, &json)?;
        let files = files(&dir)?;
        for old in files.iter().rev().skip(KEPT) {
            fs::remove_file(old)?;
        }
        Ok(Some(signed))
    }
}

impl Store {
    /// The newest checkpoint that was written, whatever became of the log since: `verify` says
    /// whether it holds.
    pub fn newest_checkpoint(&self) -> Result<Option<Checkpoint>, ReadError> {
        let dir = checkpoints_dir(&self.path);
        let Some(newest) = files(&dir)?.pop() else { return Ok(None) };
        let signed: Option<SignedCheckpoint> = serde_json::from_slice(&fs::read(newest)?).ok();
        Ok(signed.map(|signed| signed.head))
    }
}

pub(crate) fn checkpoints_dir(database: &Path) -> PathBuf {
    database.with_file_name("checkpoints")
}

/// SHA-256 of the canonical JSON: what is signed.
pub(crate) fn digest(head: &Checkpoint) -> [u8; 32] {
    let bytes = canonical_json(head).expect("BUG: sizes and times stay below 2^53");
    Sha256Hash::of(&bytes).0
}

/// The files in order of the size that their names tell.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A checkpoint file and what it says, or why it says nothing.
pub(crate) type Found = (String, Result<SignedCheckpoint, String>);

/// All checkpoints, smallest first; files that are none say why.
pub(crate) fn read_all(dir: &Path) -> io::Result<Vec<Found>> {
    files(dir)?
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if fs::metadata(&path)?.len() > MOST_BYTES {
                return Ok((name, Err("it is too large".into())));
            }
            let bytes = fs::read(&path)?;
            Ok((name, serde_json::from_slice(&bytes).map_err(|error| error.to_string())))
        })
        .collect()
}
