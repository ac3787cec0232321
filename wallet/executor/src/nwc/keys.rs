//! Keys of connections: this wallet's come from its seed, one for each connection, so that nothing
//! secret is stored; a connection string of another wallet is stored sealed.

use nostr::{
    key::{Keys, SecretKey},
    nips::nip44,
};
use std::{
    io,
    path::{Path, PathBuf},
};
use wallet::wire::AccountId;
use zeroize::Zeroizing;

use super::uri::{BadUri, ConnectionUri};

/// What the vault derives the secret for from which all keys of this module come.
pub const LABEL: &str = "wallet connections";

/// The file of another wallet's connection string, below the backend's folder.
const FILE: &str = "connection";
const MAX_FILE: u64 = 64 * 1024;

/// Derives keys. Says nothing of itself.
pub struct KeyMaker(Zeroizing<[u8; 32]>);

impl KeyMaker {
    /// `derived` is the vault's, under [`LABEL`].
    pub fn new(derived: Zeroizing<[u8; 32]>) -> Self {
        Self(derived)
    }

    /// This wallet's keys of one connection.
    pub fn service(&self, account: &AccountId) -> Keys {
        self.keys(&format!("service {account}"))
    }

    /// HMAC-SHA256 of a label; the first that is a key, which in practice is the first.
    fn keys(&self, label: &str) -> Keys {
        (0_u32..)
            .find_map(|round| {
                let message = format!("{label} {round}");
                let bytes = Zeroizing::new(crate::secret::hmac(&self.0[..], message.as_bytes()));
                SecretKey::from_slice(&bytes[..]).ok()
            })
            .map(Keys::new)
            .expect("BUG: one of four billion hashes is a valid secret key")
    }

    /// Puts another wallet's connection string away, encrypted under a key of this wallet's seed.
    pub fn keep(&self, dir: &Path, uri: &ConnectionUri) -> Result<(), KeepError> {
        let keys = self.keys("kept connection");
        let sealed = nip44::encrypt(
            keys.secret_key(),
            &keys.public_key(),
            uri.reveal().as_bytes(),
            nip44::Version::V2,
        )
        .map_err(|_| KeepError::NotSealed)?;
        let path = dir.join(FILE);
        host::home::write_private(&path, sealed.as_bytes())
            .map_err(|source| KeepError::Io { path, source })
    }

    /// The connection string that was put away, if one was.
    pub fn kept(&self, dir: &Path) -> Result<Option<ConnectionUri>, KeepError> {
        let path = dir.join(FILE);
        let io = |source| KeepError::Io { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
            Ok(meta) if meta.len() > MAX_FILE => return Err(KeepError::OtherSeed),
            Ok(_) => {}
        }
        let sealed = std::fs::read_to_string(&path).map_err(io)?;
        let keys = self.keys("kept connection");
        let text = nip44::decrypt(keys.secret_key(), &keys.public_key(), &sealed)
            .map(Zeroizing::new)
            .map_err(|_| KeepError::OtherSeed)?;
        Ok(Some(ConnectionUri::parse(&text)?))
    }
}

/// Why a connection string could not be put away or found. Tells nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("the connection string could not be encrypted; nothing was kept")]
    NotSealed,
    #[error("the kept connection string is damaged, or of another seed; connect the wallet anew")]
    OtherSeed,
    #[error(transparent)]
    BadUri(#[from] BadUri),
    #[error("{path} can't be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(n: u8) -> KeyMaker {
        KeyMaker::new(Zeroizing::new([n; 32]))
    }

    #[test]
    fn each_connection_has_a_key_of_its_own_and_the_same_each_time() {
        let (a, b) = (AccountId::new("a").unwrap(), AccountId::new("b").unwrap());
        let key = |n, id: &AccountId| maker(n).service(id).public_key();
        assert_eq!(key(1, &a), key(1, &a));
        assert_ne!(key(1, &a), key(1, &b));
        assert_ne!(key(1, &a), key(2, &a));
    }

    #[test]
    fn what_is_kept_is_found_by_its_own_seed_and_never_plain() {
        let dir = tempfile::tempdir().unwrap();
        assert!(maker(1).kept(dir.path()).unwrap().is_none());
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        let uri = ConnectionUri {
            service: maker(3).service(&AccountId::operator()).public_key(),
            relays: vec!["wss://relay.example".into()],
            secret: secret.clone(),
            lud16: None,
        };
        maker(1).keep(dir.path(), &uri).unwrap();
        let file = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!file.contains("relay.example") && !file.contains(&secret.to_secret_hex()));
        assert_eq!(*maker(1).kept(dir.path()).unwrap().unwrap().reveal(), *uri.reveal());
        assert!(matches!(maker(2).kept(dir.path()), Err(KeepError::OtherSeed)));
    }
}
