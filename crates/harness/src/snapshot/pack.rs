//! Packing: a directory as git would walk it, as an archive that depends on nothing else.

use bytes::Bytes;
use domain::Sha256Hash;
use flate2::{Compression, GzBuilder};
use ignore::WalkBuilder;
use std::{
    collections::HashSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Entry, EntryKind, Manifest, SnapshotLimits, is_plain_path, link_stays_inside};
use crate::platform;

/// A packed directory.
#[derive(Clone, Debug)]
pub struct Packed {
    pub manifest: Manifest,
    /// The archive, of type [`super::MEDIA_TYPE`].
    pub archive: Bytes,
    /// SHA-256 of the archive: its name as a blob.
    pub sha256: Sha256Hash,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub path: PathBuf,
    pub why: &'static str,
}

/// Why a directory was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be walked: {source}", path.display())]
    Walk { path: PathBuf, source: ignore::Error },
    #[error(
        "the directory has more than {limit} {what}; choose a smaller one, or let .gitignore leave things out"
    )]
    TooLarge { what: &'static str, limit: u64 },
    #[error("packing was stopped; nothing was kept")]
    Stopped,
}

/// Packs `directory`: hidden files too, without `.git` and what `.gitignore` and
/// `.git/info/exclude` leave out. Links are kept as links. Blocking.
pub fn pack(directory: &Path, limits: &SnapshotLimits) -> Result<Packed, PackError> {
    pack_while(directory, limits, &|_, _| true)
}

/// As [`pack`], telling `go_on` before each file how many files and bytes are in; it ends where
/// that says no.
pub fn pack_while(
    directory: &Path,
    limits: &SnapshotLimits,
    go_on: &dyn Fn(u64, u64) -> bool,
) -> Result<Packed, PackError> {
    let mut packer = Packer {
        limits,
        manifest: Manifest::default(),
        total_bytes: 0,
        directories: HashSet::new(),
        skipped: Vec::new(),
        tar: tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::default())),
    };
    let mut found = walk(directory)?;
    found.sort();
    for (name, path) in found {
        if !go_on(packer.manifest.entries.len() as u64, packer.total_bytes) {
            return Err(PackError::Stopped);
        }
        packer.add(name, &path)?;
    }
    go_on(packer.manifest.entries.len() as u64, packer.total_bytes);
    let read = |source| PackError::Read { path: directory.to_path_buf(), source };
    let archive = packer.tar.into_inner().and_then(|gzip| gzip.finish()).map_err(read)?;
    if archive.len() as u64 > limits.archive_bytes {
        return Err(PackError::TooLarge { what: "bytes compressed", limit: limits.archive_bytes });
    }
    let sha256 = Sha256Hash::of(&archive);
    Ok(Packed {
        manifest: packer.manifest,
        archive: archive.into(),
        sha256,
        skipped: packer.skipped,
    })
}

/// Names relative to `directory`, lossily where they are not UTF-8, with their real paths.
fn walk(directory: &Path) -> Result<Vec<(String, PathBuf)>, PackError> {
    let fault = |source| PackError::Walk { path: directory.to_path_buf(), source };
    let walk = WalkBuilder::new(directory)
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(fault)?;
        let is_directory = entry.file_type().is_none_or(|kind| kind.is_dir());
        let Ok(name) = entry.path().strip_prefix(directory) else { continue };
        if !is_directory && !name.as_os_str().is_empty() {
            let steps: Vec<_> = name.iter().map(|step| step.to_string_lossy()).collect();
            found.push((steps.join("/"), entry.into_path()));
        }
    }
    Ok(found)
}

struct Packer<'a> {
    limits: &'a SnapshotLimits,
    manifest: Manifest,
    total_bytes: u64,
    /// Above what is in, by name: whoever unpacks counts them as well.
    directories: HashSet<String>,
    skipped: Vec<Skipped>,
    tar: tar::Builder<flate2::write::GzEncoder<Vec<u8>>>,
}

impl Packer<'_> {
    fn add(&mut self, name: String, path: &Path) -> Result<(), PackError> {
        let read = |source| PackError::Read { path: path.to_path_buf(), source };
        let metadata = fs::symlink_metadata(path).map_err(read)?;
        let mut skip = |why| self.skipped.push(Skipped { path: path.to_path_buf(), why });
        if path.to_str().is_none() || !is_plain_path(&name) {
            skip("its name cannot be written on every system");
            return Ok(());
        }
        for (slash, _) in name.rmatch_indices('/') {
            if !self.directories.insert(name[..slash].to_owned()) {
                break;
            }
        }
        let in_so_far = self.manifest.entries.len() + self.directories.len();
        if in_so_far >= self.limits.entries as usize {
            let limit = self.limits.entries.into();
            return Err(PackError::TooLarge { what: "files and directories", limit });
        }
        if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(read)?;
            match target.to_str().filter(|target| link_stays_inside(&name, target)) {
                Some(target) => self.add_link(name, target.to_owned()).map_err(read)?,
                None => skip("a link that leads out of the directory"),
            }
        } else if metadata.is_file() {
            self.add_file(name, path, platform::is_executable(&metadata))?;
        } else {
            skip("neither a file nor a link");
        }
        Ok(())
    }

    fn add_file(&mut self, name: String, path: &Path, executable: bool) -> Result<(), PackError> {
        let read = |source| PackError::Read { path: path.to_path_buf(), source };
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(read)?;
        file.take(self.limits.file_bytes + 1).read_to_end(&mut bytes).map_err(read)?;
        self.total_bytes += bytes.len() as u64;
        if bytes.len() as u64 > self.limits.file_bytes {
            let limit = self.limits.file_bytes;
            return Err(PackError::TooLarge { what: "bytes in one file", limit });
        }
        if self.total_bytes > self.limits.total_bytes {
            return Err(PackError::TooLarge { what: "bytes", limit: self.limits.total_bytes });
        }
        let mut header = header(tar::EntryType::Regular, bytes.len() as u64);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        self.tar.append_data(&mut header, &name, &*bytes).map_err(read)?;
        let (size, sha256) = (bytes.len() as u64, Sha256Hash::of(&bytes));
        let kind = EntryKind::File { size, sha256, executable };
        self.manifest.entries.push(Entry { path: name, kind });
        Ok(())
    }

    fn add_link(&mut self, name: String, target: String) -> io::Result<()> {
        let mut header = header(tar::EntryType::Symlink, 0);
        header.set_mode(0o777);
        self.tar.append_link(&mut header, &name, &target)?;
        self.manifest.entries.push(Entry { path: name, kind: EntryKind::Link { target } });
        Ok(())
    }
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
