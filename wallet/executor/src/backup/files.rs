//! What the wallet's folder remembers of its backup: small files, each written whole.

use domain::ErrorBody;
use ldk_durable::copy::{Body, Policy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use wallet::backup as wire;

pub const SETTINGS: &str = "backup.json";
pub const BIRTHDAY: &str = "birthday.json";
pub const REHEARSED: &str = "rehearsed.json";
/// What a restore did, as long as it matters.
pub const RESTORED: &str = "restored.json";
const HERE: &str = "here";

/// `backup.json`: where the copy is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub place: PathBuf,
    pub policy: wire::Policy,
}

pub fn policy(policy: wire::Policy) -> Policy {
    match policy {
        wire::Policy::Strict => Policy::Strict,
        wire::Policy::Lenient => Policy::Lenient,
    }
}

pub fn wire_policy(policy: Policy) -> wire::Policy {
    match policy {
        Policy::Strict => wire::Policy::Strict,
        Policy::Lenient => wire::Policy::Lenient,
    }
}

/// The file's content; `None` where there is no such file. One that is not understood is an error:
/// what the operator chose is never taken for nothing.
pub fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, ErrorBody> {
    let bad = |error: &dyn std::fmt::Display| {
        ErrorBody::new(
            "bad_file",
            format!("{} is not understood: {error}.", dir.join(name).display()),
        )
        .hint("Nothing was started. Remove the file only if you know what it said.")
    };
    match fs::read(dir.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| bad(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(&error)),
    }
}

pub fn write<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<(), ErrorBody> {
    let bytes = serde_json::to_vec_pretty(value).expect("BUG: plain data always serialises");
    host::home::write_private(&dir.join(name), &bytes).map_err(|error| {
        ErrorBody::new("not_written", format!("{name} could not be written: {error}."))
            .hint("Check the disk's free space and try again.")
            .retryable()
    })
}

pub fn remove(dir: &Path, name: &str) -> Result<(), ErrorBody> {
    match fs::remove_file(dir.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ErrorBody::new("not_written", format!("{name} could not be removed: {error}.")))
        }
        _ => Ok(()),
    }
}

/// Whether the wallet's folder is where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// It had no mark yet.
    New,
    Same,
    /// It was copied, or moved to another disk: the same file there is another one.
    Copied,
}

/// Compares the folder's mark with the file that it is in.
pub fn here(dir: &Path) -> io::Result<Here> {
    let file = match File::open(dir.join(HERE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Here::New),
        Err(error) => return Err(error),
    };
    let body = Body::of(&file.metadata()?);
    let marked = fs::read_to_string(dir.join(HERE))?;
    Ok(match marked.trim() {
        // Made, and not written: a crash at the first start.
        "" => Here::New,
        marked if marked == text(body) => Here::Same,
        _ => Here::Copied,
    })
}

/// Marks the folder as the one that it is now.
pub fn mark_here(dir: &Path) -> io::Result<()> {
    let path = dir.join(HERE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).open(&path)?;
    let body = Body::of(&file.metadata()?);
    file.write_all(text(body).as_bytes())?;
    file.sync_all()
}

fn text(body: Body) -> String {
    format!("{} {}", body.inode, body.born_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_folder_is_told_from_the_one_that_it_was() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(here(dir.path()).unwrap(), Here::New);
        mark_here(dir.path()).unwrap();
        assert_eq!(here(dir.path()).unwrap(), Here::Same);
        let copy = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join(HERE), copy.path().join(HERE)).unwrap();
        assert_eq!(here(copy.path()).unwrap(), Here::Copied);
        mark_here(copy.path()).unwrap();
        assert_eq!(here(copy.path()).unwrap(), Here::Same);
        let moved = dir.path().join("moved");
        fs::create_dir(&moved).unwrap();
        fs::rename(dir.path().join(HERE), moved.join(HERE)).unwrap();
        assert_eq!(here(&moved).unwrap(), Here::Same, "moved on its disk it is the same");
    }

    #[test]
    fn a_file_that_is_not_understood_is_no_default() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read::<Settings>(dir.path(), SETTINGS).unwrap(), None);
        let settings = Settings { place: "/backup".into(), policy: wire::Policy::Strict };
        write(dir.path(), SETTINGS, &settings).unwrap();
        assert_eq!(read(dir.path(), SETTINGS).unwrap(), Some(settings));
        for bad in ["", "{}", r#"{"place":"/x","policy":"loose"}"#] {
            fs::write(dir.path().join(SETTINGS), bad).unwrap();
            assert!(read::<Settings>(dir.path(), SETTINGS).is_err(), "{bad}");
        }
        remove(dir.path(), SETTINGS).unwrap();
        remove(dir.path(), SETTINGS).unwrap();
    }
}
