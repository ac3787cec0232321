//! Blobs on disk: `<dir>/<first two hex digits>/<sha256>`, each with a note of type and owners.

use super::BlossomConfig;
use host::home::write_private;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{fs::File, io::AsyncWriteExt};

const NOTE: &str = "note";
const UPLOADS: &str = "uploads";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the blob folder failed at {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the blob has more than {max_bytes} bytes")]
    TooLarge { max_bytes: u64 },
    #[error("the server's {max_bytes} bytes for blobs are used up")]
    Full { max_bytes: u64 },
}

/// What is known of a blob besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    #[serde(rename = "type")]
    pub content_type: String,
    pub size: u64,
    /// When it was first uploaded, in seconds.
    pub uploaded: u64,
    /// Who uploaded it, in hex; it goes when the last of them deletes it.
    pub owners: BTreeSet<String>,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    Gone,
    /// Others own it too.
    StillOwned,
    NotYours,
    Unknown,
}

#[derive(Debug)]
pub struct BlobStore {
    dir: PathBuf,
    notes: Mutex<HashMap<String, Note>>,
    uploads: AtomicU64,
    max_blob_bytes: u64,
    max_total_bytes: u64,
}

/// An upload on its way: hashed as it comes, gone from disk unless kept.
#[derive(Debug)]
pub struct Upload {
    file: File,
    path: PathBuf,
    digest: Sha256,
    size: u64,
    max_bytes: u64,
    kept: bool,
}

/// A whole upload.
#[derive(Debug)]
pub struct Received {
    upload: Upload,
    pub hash: String,
}

/// Whether text is the lower-case hex of a SHA-256.
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

impl BlobStore {
    /// Opens the folder: uploads that never ended go, and so do blobs without a note, whose upload
    /// was never acknowledged.
    pub async fn open(dir: &Path, config: &BlossomConfig) -> Result<Self, StoreError> {
        let dir = dir.to_owned();
        let (max_blob_bytes, max_total_bytes) = (config.max_blob_bytes, config.max_total_bytes);
        let loading = tokio::task::spawn_blocking(move || {
            let notes = load(&dir)?;
            let uploads = AtomicU64::new(0);
            let notes = Mutex::new(notes);
            Ok(Self { dir, notes, uploads, max_blob_bytes, max_total_bytes })
        });
        loading.await.map_err(|error| StoreError::Io {
            path: PathBuf::new(),
            source: io::Error::other(error),
        })?
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<String, Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn path(&self, hash: &str) -> PathBuf {
        self.dir.join(&hash[..2]).join(hash)
    }

    pub fn note(&self, hash: &str) -> Option<Note> {
        self.notes().get(hash).cloned()
    }

    /// The blobs of one owner, newest first.
    pub fn owned_by(&self, pubkey: &str) -> Vec<(String, Note)> {
        let mut own: Vec<_> = self
            .notes()
            .iter()
            .filter(|(_, note)| note.owners.contains(pubkey))
            .map(|(hash, note)| (hash.clone(), note.clone()))
            .collect();
        own.sort_by(|(a, x), (b, y)| y.uploaded.cmp(&x.uploaded).then(a.cmp(b)));
        own
    }

    /// Starts an upload.
    pub async fn begin(&self) -> Result<Upload, StoreError> {
        let used: u64 = self.notes().values().map(|note| note.size).sum();
        let left = self.max_total_bytes.saturating_sub(used);
        if left == 0 {
            return Err(StoreError::Full { max_bytes: self.max_total_bytes });
        }
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(UPLOADS).join(number.to_string());
        let file = create_private(&path).await.map_err(at(&path))?;
        let max_bytes = self.max_blob_bytes.min(left);
        Ok(Upload { file, path, digest: Sha256::new(), size: 0, max_bytes, kept: false })
    }

    /// Keeps a received blob for an owner: bytes synced, then renamed, then noted.
    pub async fn keep(
        &self,
        mut received: Received,
        owner: &str,
        content_type: &str,
        now_secs: u64,
    ) -> Result<(Note, bool), StoreError> {
        let hash = received.hash.clone();
        let path = self.path(&hash);
        let upload = &mut received.upload;
        upload.file.sync_all().await.map_err(at(&upload.path))?;
        let folder = path.parent().unwrap_or(&self.dir).to_owned();
        make_private_dir(&folder).map_err(at(&folder))?;
        // Under the lock, so that a deletion or a second owner at the same time is seen; it is a
        // rename and a note of a few hundred bytes.
        let mut notes = self.notes();
        let new = !notes.contains_key(&hash);
        if new {
            std::fs::rename(&upload.path, &path).map_err(at(&path))?;
            upload.kept = true;
        }
        let size = received.upload.size;
        let mut note = notes.get(&hash).cloned().unwrap_or_else(|| Note {
            content_type: content_type.to_owned(),
            size,
            uploaded: now_secs,
            owners: BTreeSet::new(),
        });
        if note.owners.insert(owner.to_owned()) {
            write_note(&path, &note)?;
            notes.insert(hash, note.clone());
        }
        Ok((note, new))
    }

    /// Takes an owner's claim away, and the blob with the last one.
    pub fn delete(&self, hash: &str, owner: &str) -> Result<Deleted, StoreError> {
        let mut notes = self.notes();
        let Some(mut note) = notes.get(hash).cloned() else { return Ok(Deleted::Unknown) };
        if !note.owners.remove(owner) {
            return Ok(Deleted::NotYours);
        }
        let path = self.path(hash);
        if !note.owners.is_empty() {
            write_note(&path, &note)?;
            notes.insert(hash.to_owned(), note);
            return Ok(Deleted::StillOwned);
        }
        // The note first: a blob without one is swept at the next start.
        for gone in [path.with_extension(NOTE), path] {
            std::fs::remove_file(&gone).map_err(at(&gone))?;
        }
        notes.remove(hash);
        Ok(Deleted::Gone)
    }
}

impl Upload {
    /// Adds a piece.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.size += piece.len() as u64;
        if self.size > self.max_bytes {
            return Err(StoreError::TooLarge { max_bytes: self.max_bytes });
        }
        self.digest.update(piece);
        self.file.write_all(piece).await.map_err(at(&self.path))
    }

    /// Ends it: its hash is known now.
    pub async fn finish(mut self) -> Result<Received, StoreError> {
        self.file.flush().await.map_err(at(&self.path))?;
        let hash = hex::encode(std::mem::take(&mut self.digest).finalize());
        Ok(Received { upload: self, hash })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "an abandoned upload stays until the next start");
        }
    }
}

async fn create_private(path: &Path) -> io::Result<File> {
    let mut options = tokio::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).await
}

fn write_note(blob: &Path, note: &Note) -> Result<(), StoreError> {
    let path = blob.with_extension(NOTE);
    let json = serde_json::to_vec(note).map_err(io::Error::from).map_err(at(&path))?;
    write_private(&path, &json).map_err(at(&path))
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn load(dir: &Path) -> Result<HashMap<String, Note>, StoreError> {
    make_private_dir(dir).map_err(at(dir))?;
    let uploads = dir.join(UPLOADS);
    if uploads.exists() {
        std::fs::remove_dir_all(&uploads).map_err(at(&uploads))?;
    }
    make_private_dir(&uploads).map_err(at(&uploads))?;
    let mut notes = HashMap::new();
    for folder in std::fs::read_dir(dir).map_err(at(dir))? {
        let folder = folder.map_err(at(dir))?.path();
        if !folder.is_dir() || folder == uploads {
            continue;
        }
        for file in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let path = file.map_err(at(&folder))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !is_hash(name) {
                continue;
            }
            match read_note(&path) {
                Some(note) => {
                    notes.insert(name.to_owned(), note);
                }
                None => std::fs::remove_file(&path).map_err(at(&path))?,
            }
        }
    }
    Ok(notes)
}

fn read_note(blob: &Path) -> Option<Note> {
    let note: Note =
        serde_json::from_slice(&std::fs::read(blob.with_extension(NOTE)).ok()?).ok()?;
    let size = std::fs::metadata(blob).ok()?.len();
    (note.size == size).then_some(note)
}
