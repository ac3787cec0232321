//! Bodies: encrypted beside the log, in the database when small and as files when large.
//!
//! Sealed form: 24 bytes of random nonce, then XChaCha20-Poly1305 over salt ‖ bytes with the
//! reference's hash as associated data. Deleting it deletes content and salt together.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use domain::{Body, BodyRef, Sha256Hash, body::salted_hash};
use hmac::{Hmac, Mac};
use rusqlite::{Connection, OptionalExtension};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    error::{AppendError, OpenError, ReadError},
    store::{Store, sync_dir_of},
};

/// Larger ones are files.
const INLINE_BYTES: usize = 64 * 1024;
pub(crate) const NONCE_BYTES: usize = 24;
const SALT_BYTES: usize = 32;

/// Encrypts and decrypts the bodies of one database.
pub(crate) struct Seal(XChaCha20Poly1305);

impl Seal {
    /// Gives a database that has none its random id, and binds it to the vault's key.
    pub(crate) fn bind(connection: &Connection, body_key: &[u8; 32]) -> Result<(), OpenError> {
        if meta(connection, "database_id")?.is_some() {
            return Ok(());
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| OpenError::Entropy)?;
        let check = derive(body_key, "key check", &id);
        connection.execute(
            "INSERT INTO meta (name, value) VALUES ('database_id', ?1), ('key_check', ?2)",
            rusqlite::params![id, check.as_slice()],
        )?;
        Ok(())
    }

    /// The key for this database: HMAC-SHA256 of its random id under the vault's body key. A check
    /// value, derived apart, tells a wrong key before anything is read or written.
    pub(crate) fn of_database(
        connection: &Connection,
        body_key: &[u8; 32],
    ) -> Result<Self, OpenError> {
        let id = meta(connection, "database_id")?
            .ok_or_else(|| OpenError::Inconsistent { detail: "it has no id".into() })?;
        let check = derive(body_key, "key check", &id);
        if meta(connection, "key_check")?.as_deref() != Some(check.as_slice()) {
            return Err(OpenError::WrongKey);
        }
        let key = derive(body_key, "bodies", &id);
        Ok(Self(XChaCha20Poly1305::new(
            key.as_slice().try_into().map_err(|_| OpenError::WrongKey)?,
        )))
    }

    fn seal(&self, body: &Body) -> Result<Vec<u8>, AppendError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| AppendError::Entropy)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(SALT_BYTES + body.bytes.len()));
        plain.extend_from_slice(&body.salt);
        plain.extend_from_slice(&body.bytes);
        let payload = Payload { msg: &plain, aad: body.reference.hash.as_bytes() };
        let encrypted = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .expect("BUG: a body is far below the cipher's limit of 256 GiB");
        Ok([nonce.as_slice(), &encrypted].concat())
    }

    fn open(&self, reference: &BodyRef, sealed: &[u8]) -> Option<Body> {
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: encrypted, aad: reference.hash.as_bytes() };
        let plain = Zeroizing::new(self.0.decrypt(&XNonce::from(*nonce), payload).ok()?);
        let (salt, bytes) = plain.split_first_chunk::<SALT_BYTES>()?;
        let holds =
            salted_hash(salt, bytes) == reference.hash && bytes.len() as u64 == reference.len;
        holds.then(|| Body { reference: reference.clone(), salt: *salt, bytes: bytes.into() })
    }
}

/// A key of its own for each purpose and each thing that it is for.
pub(crate) fn derive(key: &[u8; 32], purpose: &str, of: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("BUG: HMAC takes any key");
    mac.update(b"pilothouse store v1 ");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(of);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn meta(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).optional()
}

/// Where a large body lies.
pub(crate) fn blob_path(blobs: &Path, hash: &Sha256Hash) -> PathBuf {
    blobs.join(hash.to_string())
}

/// Writes the large ones as files, synced, before the transaction that names them.
pub(crate) fn write_large(store: &Store, bodies: &[Body]) -> Result<(), AppendError> {
    let blobs = store.blobs_dir();
    for body in bodies.iter().filter(|body| body.bytes.len() > INLINE_BYTES) {
        if is_known(&store.connection, &body.reference.hash)? {
            continue;
        }
        write_synced(&blob_path(&blobs, &body.reference.hash), &store.seal.seal(body)?)?;
    }
    Ok(())
}

/// All of `bytes` under `path` and on the disk, or nothing under that name.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let part = path.with_extension(format!("{}.part", WRITES.fetch_add(1, Ordering::Relaxed)));
    let mut file = fs::File::create(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&part, path)) {
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    sync_dir_of(path)
}

fn is_known(connection: &Connection, hash: &Sha256Hash) -> Result<bool, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM bodies WHERE hash = ?1")?;
    statement.exists([hash.as_bytes().as_slice()])
}

/// Records the bodies of a batch, inside its transaction. One that is known, also one that was
/// forgotten, stays as it is.
pub(crate) fn record(
    connection: &Connection,
    seal: &Seal,
    bodies: &[Body],
) -> Result<(), AppendError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO bodies (hash, len, type, sealed) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (hash) DO NOTHING",
    )?;
    for body in bodies {
        let large = body.bytes.len() > INLINE_BYTES;
        let sealed = if large { None } else { Some(seal.seal(body)?) };
        insert.execute(rusqlite::params![
            body.reference.hash.as_bytes().as_slice(),
            body.bytes.len() as i64,
            &*body.reference.media_type,
            sealed,
        ])?;
    }
    Ok(())
}

/// A body by its reference; `None` where it was forgotten.
pub(crate) fn read(
    connection: &Connection,
    seal: &Seal,
    blobs: &Path,
    reference: &BodyRef,
) -> Result<Option<Body>, ReadError> {
    let damaged = || ReadError::BodyDamaged { len: reference.len };
    let mut statement =
        connection.prepare_cached("SELECT forgotten, sealed FROM bodies WHERE hash = ?1")?;
    let row: Option<(bool, Option<Vec<u8>>)> = statement
        .query_row([reference.hash.as_bytes().as_slice()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let sealed = match row {
        None => return Err(damaged()),
        Some((true, _)) => return Ok(None),
        Some((false, Some(sealed))) => sealed,
        Some((false, None)) => match fs::read(blob_path(blobs, &reference.hash)) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(damaged()),
            Err(error) => return Err(error.into()),
        },
    };
    seal.open(reference, &sealed).ok_or_else(damaged).map(Some)
}

/// Whether a body is what its reference says.
pub(crate) enum Presence {
    Sound,
    Forgotten,
    Damaged,
}

/// Looks for a body; without a key, only whether it is there.
pub(crate) fn presence(
    connection: &Connection,
    seal: Option<&Seal>,
    blobs: &Path,
    reference: &BodyRef,
) -> Result<Presence, ReadError> {
    let Some(seal) = seal else {
        let mut statement = connection
            .prepare_cached("SELECT forgotten, sealed IS NULL FROM bodies WHERE hash = ?1")?;
        let row: Option<(bool, bool)> = statement
            .query_row([reference.hash.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        return Ok(match row {
            None => Presence::Damaged,
            Some((true, _)) => Presence::Forgotten,
            Some((false, true)) if !blob_path(blobs, &reference.hash).exists() => Presence::Damaged,
            Some((false, _)) => Presence::Sound,
        });
    };
    match read(connection, seal, blobs, reference) {
        Ok(Some(_)) => Ok(Presence::Sound),
        Ok(None) => Ok(Presence::Forgotten),
        Err(ReadError::BodyDamaged { .. }) => Ok(Presence::Damaged),
        Err(error) => Err(error),
    }
}
