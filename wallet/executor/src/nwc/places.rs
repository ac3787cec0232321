//! What the service keeps beside the log: the relays that the operator chose, and how far apps
//! were told what happened. Both may be lost: the one is chosen again, the other told again.

use domain::{ErrorBody, ExitCode};
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};

pub const RELAYS_FILE: &str = "relays.json";
const CURSOR_FILE: &str = "nwc-told.json";
/// Most relays of one wallet.
pub const MAX_RELAYS: usize = 4;
const MAX_BYTES: u64 = 64 * 1024;

/// `<home>/wallet/relays.json`: where apps meet this wallet. On the practice network it is written
/// by who supervises us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelaysFile {
    relays: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct CursorFile {
    cursor: u64,
}

/// The files of one wallet's folder.
#[derive(Clone, Debug)]
pub struct Places {
    dir: PathBuf,
}

impl Places {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The chosen relays; none where none were chosen. A file that can't be understood is an error,
    /// never another choice.
    pub fn relays(&self) -> Result<Vec<String>, ErrorBody> {
        let file: RelaysFile = self.read(RELAYS_FILE)?.unwrap_or_default();
        normal(&file.relays)
    }

    /// Chooses relays.
    pub fn set_relays(&self, relays: &[String]) -> Result<Vec<String>, ErrorBody> {
        let relays = normal(relays)?;
        self.write(RELAYS_FILE, &RelaysFile { relays: relays.clone() })?;
        Ok(relays)
    }

    /// Where telling begins, if it never began.
    pub fn first_cursor(&self, now: u64) -> Result<(), ErrorBody> {
        match self.read::<CursorFile>(CURSOR_FILE)? {
            Some(_) => Ok(()),
            None => self.keep_cursor(now),
        }
    }

    pub fn cursor(&self) -> Result<u64, ErrorBody> {
        Ok(self.read::<CursorFile>(CURSOR_FILE)?.map_or(0, |file| file.cursor))
    }

    pub fn keep_cursor(&self, cursor: u64) -> Result<(), ErrorBody> {
        self.write(CURSOR_FILE, &CursorFile { cursor })
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>, ErrorBody> {
        let path = self.dir.join(name);
        let bad = |why: String| ErrorBody::new("bad_file", format!("{}: {why}.", path.display()));
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(error.to_string())),
            Ok(meta) if meta.len() > MAX_BYTES => return Err(bad("it is too long".into())),
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(|error| bad(error.to_string()))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| bad(error.to_string()))
    }

    fn write(&self, name: &str, file: &impl Serialize) -> Result<(), ErrorBody> {
        let path = self.dir.join(name);
        let text = serde_json::to_vec(file)
            .map_err(|error| ErrorBody::new("internal", error.to_string()))?;
        host::home::write_private(&path, &text)
            .map_err(|error| ErrorBody::new("not_written", format!("{}: {error}.", path.display())))
    }
}

/// Each relay once, by its one name.
fn normal(relays: &[String]) -> Result<Vec<String>, ErrorBody> {
    let bad = |why: String| ErrorBody::new("bad_relay", why).exit(ExitCode::Usage);
    if relays.len() > MAX_RELAYS {
        return Err(bad(format!("At most {MAX_RELAYS} relays can be chosen. Nothing changed.")));
    }
    let mut names = Vec::new();
    for relay in relays {
        let name =
            relay::normal_name(relay).map_err(|error| bad(format!("{error}; nothing changed.")))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_found_and_a_bad_file_is_no_choice() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::new(dir.path().to_owned());
        assert!(places.relays().unwrap().is_empty());
        let chosen = ["wss://A.example/".to_owned(), "wss://a.example".to_owned()];
        assert_eq!(places.set_relays(&chosen).unwrap(), ["wss://a.example"]);
        assert_eq!(places.relays().unwrap(), ["wss://a.example"]);
        assert!(places.set_relays(&["https://a.example".into()]).is_err());
        assert!(places.set_relays(&vec!["wss://a.example".into(); 5]).is_err());
        assert_eq!(places.relays().unwrap(), ["wss://a.example"]);
        for bad in ["", "{}", r#"{"relays":["ftp://x"]}"#, r#"{"relays":7}"#] {
            std::fs::write(dir.path().join(RELAYS_FILE), bad).unwrap();
            assert!(places.relays().is_err(), "{bad}");
        }
    }

    #[test]
    fn telling_begins_once_and_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::new(dir.path().to_owned());
        places.first_cursor(7).unwrap();
        places.first_cursor(9).unwrap();
        assert_eq!(places.cursor().unwrap(), 7);
        places.keep_cursor(12).unwrap();
        assert_eq!(places.cursor().unwrap(), 12);
    }
}
