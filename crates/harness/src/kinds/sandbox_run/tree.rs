//! What is in the work directory, before and after: read without following anything.

use domain::Sha256Hash;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use crate::{platform, snapshot::is_plain_path};

/// The files and links below a directory, by path.
#[derive(Debug, Default)]
pub struct Tree {
    pub items: BTreeMap<String, Item>,
    /// Something was not read: too much, unreadable, or with a name that cannot be written.
    pub truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    File(FileItem),
    Link { target: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    pub size: u64,
    pub sha256: Sha256Hash,
    pub executable: bool,
}

impl Tree {
    /// Reads at most `bytes` of files and `entries` names. Nothing may be changing the directory.
    pub fn read(root: &Path, bytes: u64, entries: usize) -> io::Result<Self> {
        let (mut tree, mut left, mut seen) = (Self::default(), bytes, 0_usize);
        let mut waiting = vec![(root.to_path_buf(), String::new())];
        while let Some((directory, prefix)) = waiting.pop() {
            let Ok(listing) = fs::read_dir(&directory) else {
                tree.truncated = true;
                continue;
            };
            for entry in listing {
                let entry = entry?;
                seen += 1;
                let name = entry.file_name().to_str().map(|name| format!("{prefix}{name}"));
                let Some(path) = name.filter(|path| is_plain_path(path)) else {
                    tree.truncated = true;
                    continue;
                };
                if seen > entries {
                    tree.truncated = true;
                    return Ok(tree);
                }
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    waiting.push((entry.path(), format!("{path}/")));
                } else if metadata.is_symlink() {
                    let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
                    tree.items.insert(path, Item::Link { target });
                } else if metadata.is_file() && metadata.len() <= left {
                    left -= metadata.len();
                    match hash(&entry.path(), metadata.len()) {
                        Ok(sha256) => {
                            let executable = platform::is_executable(&metadata);
                            let file = FileItem { size: metadata.len(), sha256, executable };
                            tree.items.insert(path, Item::File(file));
                        }
                        Err(_) => tree.truncated = true,
                    }
                } else {
                    tree.truncated = true;
                }
            }
        }
        Ok(tree)
    }

    pub fn file(&self, path: &str) -> Option<&FileItem> {
        match self.items.get(path)? {
            Item::File(file) => Some(file),
            Item::Link { .. } => None,
        }
    }
}

fn hash(path: &Path, size: u64) -> io::Result<Sha256Hash> {
    let mut file = fs::File::open(path)?.take(size);
    let mut hash = Sha256::new();
    let mut buffer = [0; 32 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sha256Hash(hash.finalize().into())),
            count => hash.update(&buffer[..count]),
        }
    }
}
