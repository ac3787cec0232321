//! Unpacking what a stranger packed: nothing outside the target, nothing larger than agreed.

use domain::Sha256Hash;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    path::Path,
};

use super::{Entry, EntryKind, Manifest, SnapshotLimits, is_plain_path, link_stays_inside};
use crate::platform;

/// Why an archive was refused. What was written until then is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    #[error("the archive holds more than {limit} {what}")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the archive holds {path:?}, which is not a path below its root")]
    BadPath { path: String },
    #[error("the archive's link {path:?} leads out of it")]
    BadLink { path: String },
    #[error("the archive holds {path:?} twice, or also as a directory")]
    Collision { path: String },
    #[error("the archive holds {path:?}, which is neither a file, a directory nor a link")]
    BadKind { path: String },
    #[error("unpacking {path:?} failed: {source}")]
    Write { path: String, source: io::Error },
}

/// Unpacks `archive` into `target`, an empty directory that only we can reach. Blocking.
pub fn unpack(
    archive: &[u8],
    target: &Path,
    limits: &SnapshotLimits,
) -> Result<Manifest, UnpackError> {
    let mut links = Vec::new();
    let manifest = read(archive, limits, &mut |path, kind| {
        let fault = |source| UnpackError::Write { path: path.to_owned(), source };
        let place = target.join(path);
        match kind {
            Found::File { executable, contents } => {
                if let Some(parent) = place.parent() {
                    fs::create_dir_all(parent).map_err(fault)?;
                }
                let mut file = platform::create_new(&place, executable).map_err(fault)?;
                copy(contents, &mut file, path)
            }
            Found::Link { target } => {
                links.push((path.to_owned(), target.to_owned()));
                Ok(None)
            }
            Found::Directory => fs::create_dir_all(&place).map_err(fault).map(|()| None),
        }
    })?;
    // Last, so that nothing was ever written through one.
    for (path, link) in links {
        let fault = |source| UnpackError::Write { path: path.clone(), source };
        let place = target.join(&path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(fault)?;
        }
        platform::symlink(&link, &place).map_err(fault)?;
    }
    Ok(manifest)
}

/// Reads `archive` whole without writing anything: what a buyer checks results against. `each`
/// sees every file's path and contents.
pub fn scan(
    archive: &[u8],
    limits: &SnapshotLimits,
    mut each: impl FnMut(&str, &[u8]),
) -> Result<Manifest, UnpackError> {
    read(archive, limits, &mut |path, kind| match kind {
        Found::File { contents, .. } => {
            let mut bytes = Vec::new();
            let hash = copy(contents, &mut bytes, path)?;
            each(path, &bytes);
            Ok(hash)
        }
        Found::Link { .. } | Found::Directory => Ok(None),
    })
}

enum Found<'a> {
    File { executable: bool, contents: &'a mut dyn Read },
    Link { target: &'a str },
    Directory,
}

type Take<'a> = dyn FnMut(&str, Found<'_>) -> Result<Option<Sha256Hash>, UnpackError> + 'a;

/// What a path was seen as, so that nothing is two things.
#[derive(PartialEq)]
enum Seen {
    Directory,
    Leaf,
}

fn read(
    archive: &[u8],
    limits: &SnapshotLimits,
    take: &mut Take<'_>,
) -> Result<Manifest, UnpackError> {
    if archive.len() as u64 > limits.archive_bytes {
        return Err(UnpackError::TooLarge { what: "bytes", limit: limits.archive_bytes });
    }
    // Headers and padding take at most four blocks of 512 bytes per entry.
    let unpacked = limits.total_bytes + u64::from(limits.entries) * 2_048 + 1_024;
    let mut tar = tar::Archive::new(GzDecoder::new(archive).take(unpacked));
    let damaged = |error: io::Error| UnpackError::Damaged(error.to_string());
    let mut reader = Reader { limits, seen: BTreeMap::new(), total_bytes: 0, count: 0 };
    let (mut long_path, mut long_target) = (None, None);
    let mut manifest = Manifest::default();
    // Raw: the library would read long names of any length into memory.
    for entry in tar.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            long_path = Some(text(&mut entry)?);
            continue;
        }
        if kind.is_gnu_longlink() {
            long_target = Some(text(&mut entry)?);
            continue;
        }
        let header = entry.header().clone();
        let path = match long_path.take() {
            Some(path) => path,
            None => utf8(entry.path_bytes().into_owned())?,
        };
        let target = long_target.take();
        if let Some(kind) = reader.entry(&path, &header, target, &mut entry, take)? {
            manifest.entries.push(Entry { path, kind });
        }
    }
    manifest.entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(manifest)
}

struct Reader<'a> {
    limits: &'a SnapshotLimits,
    seen: BTreeMap<String, Seen>,
    total_bytes: u64,
    /// Entries, and directories above them that have none.
    count: u32,
}

impl Reader<'_> {
    fn entry(
        &mut self,
        path: &str,
        header: &tar::Header,
        long_target: Option<String>,
        contents: &mut dyn Read,
        take: &mut Take<'_>,
    ) -> Result<Option<EntryKind>, UnpackError> {
        let kind = header.entry_type();
        let named = path.strip_suffix('/').filter(|_| kind.is_dir()).unwrap_or(path);
        if !is_plain_path(named) {
            return Err(UnpackError::BadPath { path: path.to_owned() });
        }
        self.see(named, if kind.is_dir() { Seen::Directory } else { Seen::Leaf })?;
        if kind.is_dir() {
            take(named, Found::Directory)?;
            return Ok(None);
        }
        if kind.is_symlink() {
            let target = match long_target {
                Some(target) => target,
                None => utf8(header.link_name_bytes().unwrap_or_default().into_owned())?,
            };
            if !link_stays_inside(named, &target) {
                return Err(UnpackError::BadLink { path: path.to_owned() });
            }
            take(named, Found::Link { target: &target })?;
            return Ok(Some(EntryKind::Link { target }));
        }
        if kind != tar::EntryType::Regular {
            return Err(UnpackError::BadKind { path: path.to_owned() });
        }
        let damaged = |error: io::Error| UnpackError::Damaged(error.to_string());
        let size = header.size().map_err(damaged)?;
        let executable = header.mode().map_err(damaged)? & 0o100 != 0;
        if size > self.limits.file_bytes {
            let limit = self.limits.file_bytes;
            return Err(UnpackError::TooLarge { what: "bytes in one file", limit });
        }
        self.total_bytes = self.total_bytes.saturating_add(size);
        if self.total_bytes > self.limits.total_bytes {
            let limit = self.limits.total_bytes;
            return Err(UnpackError::TooLarge { what: "bytes unpacked", limit });
        }
        let mut exact = Exact { inner: contents, left: size };
        let sha256 = take(named, Found::File { executable, contents: &mut exact })?;
        let sha256 = sha256.expect("BUG: taking a file gives its hash");
        Ok(Some(EntryKind::File { size, sha256, executable }))
    }

    /// Every step above is a directory and nothing else; the place itself is new. A directory
    /// that is only implied costs as much as one with an entry of its own, and counts as one.
    fn see(&mut self, path: &str, what: Seen) -> Result<(), UnpackError> {
        let collision = || UnpackError::Collision { path: path.to_owned() };
        for (slash, _) in path.rmatch_indices('/') {
            match self.seen.get(&path[..slash]) {
                // What is above this was seen with it.
                Some(Seen::Directory) => break,
                Some(Seen::Leaf) => return Err(collision()),
                None => self.note(&path[..slash], Seen::Directory)?,
            }
        }
        match self.seen.get(path) {
            None => self.note(path, what),
            Some(Seen::Directory) if what == Seen::Directory => self.count(),
            Some(_) => Err(collision()),
        }
    }

    fn note(&mut self, path: &str, what: Seen) -> Result<(), UnpackError> {
        self.count()?;
        self.seen.insert(path.to_owned(), what);
        Ok(())
    }

    fn count(&mut self) -> Result<(), UnpackError> {
        self.count += 1;
        let limit = self.limits.entries.into();
        let fits = u64::from(self.count) <= limit;
        if fits { Ok(()) } else { Err(UnpackError::TooLarge { what: "entries", limit }) }
    }
}

/// Fails where the archive ends before the size that its header announced.
struct Exact<'a> {
    inner: &'a mut dyn Read,
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        match count {
            0 if self.left > 0 && !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(count),
        }
    }
}

/// Copies a file's contents and hashes them on the way.
fn copy(
    contents: &mut dyn Read,
    to: &mut dyn Write,
    path: &str,
) -> Result<Option<Sha256Hash>, UnpackError> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = match contents.read(&mut buffer) {
            Ok(0) => return Ok(Some(Sha256Hash(hash.finalize().into()))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::Damaged(error.to_string())),
        };
        hash.update(&buffer[..count]);
        let fault = |source| UnpackError::Write { path: path.to_owned(), source };
        to.write_all(&buffer[..count]).map_err(fault)?;
    }
}

/// A long name: text, bounded, ended by a zero byte.
fn text(entry: &mut dyn Read) -> Result<String, UnpackError> {
    let mut bytes = Vec::new();
    let limit = super::PATH_BYTES as u64 + 2;
    let read = entry.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| UnpackError::Damaged(error.to_string()))?;
    if bytes.len() as u64 == limit {
        return Err(UnpackError::Damaged("a name in it is too long".into()));
    }
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    utf8(bytes)
}

fn utf8(bytes: Vec<u8>) -> Result<String, UnpackError> {
    String::from_utf8(bytes).map_err(|_| UnpackError::Damaged("a name in it is not UTF-8".into()))
}
