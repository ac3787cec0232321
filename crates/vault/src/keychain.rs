//! The OS keychain: macOS Keychain, Windows Credential Manager, Secret Service elsewhere.
//!
//! A keychain may wait for a person who is not there. Every call runs on a thread of its own with
//! a time limit, and where there is no session bus at all it is not called.

use std::{sync::mpsc, thread, time::Duration};

use zeroize::Zeroizing;

/// A keychain, so that tests have one of their own.
pub(crate) trait Keychain {
    /// Whether it may be asked at all.
    fn is_present(&self) -> bool;
    fn put(&self, entry: &str, secret: &str) -> Result<(), String>;
    fn get(&self, entry: &str) -> Result<Zeroizing<String>, String>;
    fn remove(&self, entry: &str) -> Result<(), String>;
}

/// The system's own.
pub(crate) struct SystemKeychain;

const SERVICE: &str = "pilothouse";
/// Long enough for a person to unlock it, short enough that nothing seems to hang.
const PATIENCE: Duration = Duration::from_secs(45);

impl Keychain for SystemKeychain {
    #[cfg(all(unix, not(target_os = "macos")))]
    fn is_present(&self) -> bool {
        let named = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|a| !a.is_empty());
        named
            || std::env::var_os("XDG_RUNTIME_DIR")
                .is_some_and(|dir| std::path::Path::new(&dir).join("bus").exists())
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    fn is_present(&self) -> bool {
        true
    }

    fn put(&self, entry: &str, secret: &str) -> Result<(), String> {
        let (entry, secret) = (entry.to_owned(), Zeroizing::new(secret.to_owned()));
        within(PATIENCE, move || {
            let kept = keyring::Entry::new(SERVICE, &entry).map_err(said)?;
            kept.set_password(&secret).map_err(said)?;
            let back = Zeroizing::new(kept.get_password().map_err(said)?);
            if *back == *secret { Ok(()) } else { Err("it gave back something else".into()) }
        })
    }

    fn get(&self, entry: &str) -> Result<Zeroizing<String>, String> {
        let entry = entry.to_owned();
        within(PATIENCE, move || {
            let kept = keyring::Entry::new(SERVICE, &entry).map_err(said)?;
            kept.get_password().map(Zeroizing::new).map_err(said)
        })
    }

    fn remove(&self, entry: &str) -> Result<(), String> {
        let entry = entry.to_owned();
        within(PATIENCE, move || {
            let kept = keyring::Entry::new(SERVICE, &entry).map_err(said)?;
            kept.delete_credential().map_err(said)
        })
    }
}

/// For people; the library's own errors can hold what was stored.
fn said(error: keyring::Error) -> String {
    match error {
        keyring::Error::NoDefaultStore => "no keychain service answers in this session",
        keyring::Error::NoEntry => "it has no such entry",
        keyring::Error::NoStorageAccess(_) => "it is locked or refuses access",
        keyring::Error::BadEncoding(_) => "what it kept is no text",
        _ => "it failed",
    }
    .into()
}

/// Runs `work` elsewhere and gives up on it after `patience`; its thread may then outlive the call.
fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("keychain".into())
        .spawn(move || {
            let _ = sender.send(work());
        })
        .map_err(|error| error.to_string())?;
    match receiver.recv_timeout(patience) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err("it did not answer in time".into()),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("it failed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keychain_that_hangs_or_fails_is_given_up() {
        let hangs = || -> Result<(), String> {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        };
        let short = Duration::from_millis(20);
        assert_eq!(within(short, hangs).unwrap_err(), "it did not answer in time");
        let panics = || -> Result<(), String> { panic!("in the library") };
        assert_eq!(within(Duration::from_secs(2), panics).unwrap_err(), "it failed");
        assert_eq!(within(short, || Ok(7)), Ok(7));
    }
}
