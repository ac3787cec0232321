//! An append-only file of checksummed frames: what was synced is never lost, a torn tail is cut.

use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const MAGIC_BYTES: usize = 8;
const HEADER_BYTES: usize = 12;

/// Names the kind and the format version of a frame file.
pub type Magic = [u8; MAGIC_BYTES];

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not a file of this kind or version; move it away to start anew")]
    WrongKind { path: PathBuf },
    #[error(
        "{path} is damaged at byte {offset}, with good data after it; delete the practice folder \
         to start anew (nothing of value is in it)"
    )]
    Damaged { path: PathBuf, offset: u64 },
    #[error("{path}, frame at byte {offset}: {reason}")]
    Refused { path: PathBuf, offset: u64, reason: String },
    #[error("{path} could not be written earlier; restart to go on from what is safe on disk")]
    Broken { path: PathBuf },
}

/// What a replay found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub frames: u64,
    /// Bytes of an unfinished write that were cut from the end.
    pub cut_bytes: u64,
}

/// An open frame file. One owner appends to it; [`FrameFile::commit`] makes appended frames safe.
#[derive(Debug)]
pub struct FrameFile {
    file: File,
    path: PathBuf,
    /// Bytes that hold whole, committed frames.
    len: u64,
    pending: Vec<u8>,
    broken: bool,
}

impl FrameFile {
    /// Opens or makes the file and hands each frame's payload to `replay`, oldest first.
    ///
    /// # Errors
    /// If the file can't be read, is of another kind, is damaged before its tail, or holds a frame
    /// that `replay` refuses.
    pub fn open(
        path: &Path,
        magic: Magic,
        max_payload_bytes: usize,
        mut replay: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(Self, Replayed), FrameError> {
        let io = |source| FrameError::Io { path: path.to_owned(), source };
        let mut file = open_private(path).map_err(io)?;
        let on_disk = file.metadata().map_err(io)?.len();
        if on_disk < MAGIC_BYTES as u64 {
            start(&mut file, path, magic).map_err(io)?;
            let fresh = Self {
                file,
                path: path.into(),
                len: MAGIC_BYTES as u64,
                pending: vec![],
                broken: false,
            };
            return Ok((fresh, Replayed { frames: 0, cut_bytes: on_disk }));
        }
        let mut reader = Frames::new(&file, on_disk, max_payload_bytes);
        if reader.magic().map_err(io)? != magic {
            return Err(FrameError::WrongKind { path: path.into() });
        }
        let mut frames = 0;
        loop {
            let offset = reader.offset;
            match reader.next().map_err(io)? {
                Next::Frame(payload) => {
                    replay(payload).map_err(|reason| FrameError::Refused {
                        path: path.into(),
                        offset,
                        reason,
                    })?;
                    frames += 1;
                }
                Next::End => break,
                Next::Bad { after: None } => break,
                Next::Bad { after: Some(next) } => {
                    // Garbage is a torn tail only if no good frame follows it.
                    if Frames::at(&file, on_disk, max_payload_bytes, next)
                        .and_then(|mut rest| rest.starts_with_good_frame())
                        .map_err(io)?
                    {
                        return Err(FrameError::Damaged { path: path.into(), offset });
                    }
                    break;
                }
            }
        }
        let len = reader.offset;
        let cut_bytes = on_disk - len;
        if cut_bytes > 0 {
            tracing::warn!(file = %path.display(), cut_bytes, "an unfinished write was cut");
            file.set_len(len).and_then(|()| file.sync_all()).map_err(io)?;
        }
        file.seek(SeekFrom::Start(len)).map_err(io)?;
        let log = Self { file, path: path.into(), len, pending: vec![], broken: false };
        Ok((log, Replayed { frames, cut_bytes }))
    }

    /// Adds a frame to the next [`commit`](Self::commit).
    pub fn append(&mut self, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("BUG: payloads are bounded by their makers");
        self.pending.extend_from_slice(&len.to_le_bytes());
        self.pending.extend_from_slice(&checksum(payload));
        self.pending.extend_from_slice(payload);
    }

    /// Writes what was appended and, with `sync`, waits until the disk has it.
    ///
    /// # Errors
    /// After a failure nothing of the pending frames counts, and the file takes no more.
    pub fn commit(&mut self, sync: bool) -> Result<(), FrameError> {
        if self.broken {
            return Err(FrameError::Broken { path: self.path.clone() });
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self
            .file
            .write_all(&self.pending)
            .and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(source) = written {
            self.broken = true;
            self.pending.clear();
            if let Err(error) = self.file.set_len(self.len) {
                tracing::error!(%error, "the failed write could not be cut; the next start does it");
            }
            return Err(FrameError::Io { path: self.path.clone(), source });
        }
        self.len += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Forgets what was appended since the last commit.
    pub fn discard(&mut self) {
        self.pending.clear();
    }

    /// Bytes of committed frames.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Replaces the file by one that holds `payloads` only: whole or not at all.
    ///
    /// # Errors
    /// If the new file can't be written; the old one is then still in place and in use.
    pub fn rewrite<'a>(
        &mut self,
        magic: Magic,
        payloads: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), FrameError> {
        let io = |source| FrameError::Io { path: self.path.clone(), source };
        let temporary = self.path.with_extension("rewrite");
        if temporary.exists() {
            std::fs::remove_file(&temporary).map_err(io)?;
        }
        let (mut fresh, _) = Self::open(&temporary, magic, usize::MAX, |_| Ok(()))?;
        for payload in payloads {
            fresh.append(payload);
            if fresh.pending.len() > 1024 * 1024 {
                fresh.commit(false)?;
            }
        }
        fresh.commit(false)?;
        fresh.file.sync_all().map_err(io)?;
        std::fs::rename(&temporary, &self.path).map_err(io)?;
        sync_parent(&self.path).map_err(io)?;
        fresh.path.clone_from(&self.path);
        *self = fresh;
        Ok(())
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn start(file: &mut File, path: &Path, magic: Magic) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(&magic)?;
    file.sync_all()?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(payload);
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

enum Next<'a> {
    Frame(&'a [u8]),
    End,
    /// Not a whole, good frame; `after` is where its own length says the next one starts.
    Bad {
        after: Option<u64>,
    },
}

struct Frames<'a> {
    reader: BufReader<&'a File>,
    /// Where the next frame starts.
    offset: u64,
    end: u64,
    max_payload_bytes: usize,
    payload: Vec<u8>,
}

impl<'a> Frames<'a> {
    fn new(file: &'a File, end: u64, max_payload_bytes: usize) -> Self {
        let reader = BufReader::with_capacity(256 * 1024, file);
        Self { reader, offset: 0, end, max_payload_bytes, payload: Vec::new() }
    }

    fn at(file: &'a File, end: u64, max_payload_bytes: usize, offset: u64) -> io::Result<Self> {
        let mut frames = Self::new(file, end, max_payload_bytes);
        frames.reader.seek(SeekFrom::Start(offset))?;
        frames.offset = offset;
        Ok(frames)
    }

    fn magic(&mut self) -> io::Result<Magic> {
        let mut magic = [0; MAGIC_BYTES];
        self.reader.seek(SeekFrom::Start(0))?;
        self.reader.read_exact(&mut magic)?;
        self.offset = MAGIC_BYTES as u64;
        Ok(magic)
    }

    fn next(&mut self) -> io::Result<Next<'_>> {
        let left = self.end - self.offset;
        if left == 0 {
            return Ok(Next::End);
        }
        if left < HEADER_BYTES as u64 {
            return Ok(Next::Bad { after: None });
        }
        let mut header = [0; HEADER_BYTES];
        self.reader.read_exact(&mut header)?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let after = self.offset + HEADER_BYTES as u64 + u64::from(len);
        if after > self.end || len as usize > self.max_payload_bytes {
            return Ok(Next::Bad { after: None });
        }
        self.payload.resize(len as usize, 0);
        self.reader.read_exact(&mut self.payload)?;
        if checksum(&self.payload) != header[4..] {
            return Ok(Next::Bad { after: Some(after) });
        }
        self.offset = after;
        Ok(Next::Frame(&self.payload))
    }

    fn starts_with_good_frame(&mut self) -> io::Result<bool> {
        Ok(matches!(self.next()?, Next::Frame(payload) if !payload.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: Magic = *b"testlog1";

    fn open(path: &Path) -> Result<(FrameFile, Vec<Vec<u8>>, Replayed), FrameError> {
        let mut seen = Vec::new();
        let (file, replayed) = FrameFile::open(path, MAGIC, 1 << 20, |payload| {
            seen.push(payload.to_vec());
            Ok(())
        })?;
        Ok((file, seen, replayed))
    }

    fn with_frames(path: &Path, payloads: &[&[u8]]) {
        let (mut file, ..) = open(path).unwrap();
        for payload in payloads {
            file.append(payload);
        }
        file.commit(true).unwrap();
    }

    #[test]
    fn frames_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        with_frames(&path, &[b"one", b"", b"three"]);
        with_frames(&path, &[b"four"]);
        let (_, seen, replayed) = open(&path).unwrap();
        assert_eq!(seen, [b"one".to_vec(), b"".to_vec(), b"three".to_vec(), b"four".to_vec()]);
        assert_eq!(replayed, Replayed { frames: 4, cut_bytes: 0 });
    }

    #[test]
    fn a_torn_tail_is_cut_at_any_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        with_frames(&path, &[b"first", b"second"]);
        let whole = std::fs::read(&path).unwrap();
        let after_first = MAGIC_BYTES + HEADER_BYTES + 5;
        for cut in after_first..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (_, seen, replayed) = open(&path).unwrap();
            assert_eq!(seen, [b"first".to_vec()], "cut at {cut}");
            assert_eq!(replayed.cut_bytes, (cut - after_first) as u64);
            assert_eq!(std::fs::read(&path).unwrap().len(), after_first);
        }
    }

    #[test]
    fn a_torn_header_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, b"tes").unwrap();
        let (_, seen, replayed) = open(&path).unwrap();
        assert!(seen.is_empty());
        assert_eq!(replayed.cut_bytes, 3);
    }

    #[test]
    fn damage_before_good_data_is_named_not_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        with_frames(&path, &[b"first", b"second"]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[MAGIC_BYTES + HEADER_BYTES] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        match open(&path) {
            Err(FrameError::Damaged { offset, .. }) => assert_eq!(offset, MAGIC_BYTES as u64),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_foreign_file_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, b"something else entirely").unwrap();
        assert!(matches!(open(&path), Err(FrameError::WrongKind { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"something else entirely");
    }

    #[test]
    fn rewriting_keeps_what_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        with_frames(&path, &[b"a", b"b", b"c"]);
        let (mut file, ..) = open(&path).unwrap();
        file.rewrite(MAGIC, [b"b".as_slice()].into_iter()).unwrap();
        file.append(b"d");
        file.commit(true).unwrap();
        drop(file);
        assert_eq!(open(&path).unwrap().1, [b"b".to_vec(), b"d".to_vec()]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_open_or_are_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let mut content = MAGIC.to_vec();
            content.extend_from_slice(&bytes);
            std::fs::write(&path, &content).unwrap();
            let _never_panics = open(&path).map(|_| ());
        }
    }
}
