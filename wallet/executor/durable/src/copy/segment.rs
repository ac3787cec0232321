//! A sealed file of records: each encrypted, in its place, and bound to all before it.
//!
//! ```text
//! header  "PHCOPY01" | wallet 8 | epoch 8 | number 8 | salt 16
//! frame   length 4 | check 8 | XChaCha20-Poly1305 of the record
//! ```
//! Integers are little-endian. The nonce is the salt and the record's index; the associated data
//! is the header, the index and a SHA-256 chain over all frames before. The check is an HMAC over
//! the same and the length, so that a changed length is not taken for a file that ends early.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use ldk_node::bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"PHCOPY01";
const HEADER_BYTES: usize = 48;
const HEAD_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// No record is larger: a channel's state is far below.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// What copies are sealed with, and the name that a wallet has in a folder of many.
#[derive(Clone)]
pub struct CopyKey {
    seal: Zeroizing<[u8; 32]>,
    frames: Zeroizing<[u8; 32]>,
    wallet: [u8; 8],
}

impl CopyKey {
    /// From a key of the money vault that serves nothing else.
    pub fn new(derived: &[u8; 32]) -> Self {
        let name = hmac(derived, &[b"name"]);
        Self {
            seal: Zeroizing::new(hmac(derived, &[b"seal"])),
            frames: Zeroizing::new(hmac(derived, &[b"frames"])),
            wallet: std::array::from_fn(|at| name[at]),
        }
    }

    /// Tells wallets apart, and tells nothing else of them.
    pub fn wallet(&self) -> [u8; 8] {
        self.wallet
    }
}

impl std::fmt::Debug for CopyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CopyKey(..)")
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    for part in parts {
        engine.input(part);
    }
    Hmac::from_engine(engine).to_byte_array()
}

/// Which file of which wallet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub epoch: u64,
    pub number: u64,
}

/// Where a file stands: what the next frame is bound to.
struct Place {
    header: [u8; HEADER_BYTES],
    index: u64,
    chain: [u8; 32],
}

impl Place {
    fn new(header: [u8; HEADER_BYTES]) -> Self {
        Self { header, index: 0, chain: sha256::Hash::hash(&header).to_byte_array() }
    }

    fn bound(&self) -> Vec<u8> {
        [&self.header[..], &self.index.to_le_bytes(), &self.chain].concat()
    }

    fn nonce(&self) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..16].copy_from_slice(&self.header[HEADER_BYTES - 16..]);
        nonce[16..].copy_from_slice(&self.index.to_le_bytes());
        XNonce::from(nonce)
    }

    fn check(&self, key: &CopyKey, length: [u8; 4]) -> [u8; 8] {
        let full = hmac(&key.frames[..], &[&self.bound(), &length]);
        std::array::from_fn(|at| full[at])
    }

    fn step(&mut self, frame: &[u8]) {
        let mut engine = sha256::Hash::engine();
        engine.input(&self.chain);
        engine.input(frame);
        self.chain = sha256::Hash::from_engine(engine).to_byte_array();
        self.index += 1;
    }
}

/// Seals records one after the other.
pub struct Sealer {
    key: CopyKey,
    cipher: XChaCha20Poly1305,
    place: Place,
}

impl Sealer {
    /// A new file: what it begins with, and the sealer of its records. `salt` must never come twice.
    pub fn new(key: &CopyKey, header: Header, salt: [u8; 16]) -> (Vec<u8>, Self) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&key.wallet);
        bytes[16..24].copy_from_slice(&header.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&header.number.to_le_bytes());
        bytes[32..].copy_from_slice(&salt);
        let cipher = XChaCha20Poly1305::new((&*key.seal).into());
        (bytes.to_vec(), Self { key: key.clone(), cipher, place: Place::new(bytes) })
    }

    /// Adds the frame of a record to `out`.
    ///
    /// # Errors
    /// [`TooLarge`]: nothing was added.
    pub fn seal(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
        if record.len() > MAX_RECORD_BYTES {
            return Err(TooLarge(record.len()));
        }
        let payload = Payload { msg: record, aad: &self.place.bound() };
        let sealed = self
            .cipher
            .encrypt(&self.place.nonce(), payload)
            .expect("BUG: a record is far below the cipher's limit of 256 GiB");
        let length = (sealed.len() as u32).to_le_bytes();
        let from = out.len();
        out.extend_from_slice(&length);
        out.extend_from_slice(&self.place.check(&self.key, length));
        out.extend_from_slice(&sealed);
        self.place.step(&out[from..]);
        Ok(())
    }
}

/// A record that no segment takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes is larger than a backup takes")]
pub struct TooLarge(pub usize);

/// Why a file is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it is not a copy of a wallet")]
    NotACopy,
    #[error("it is a copy of another wallet, or the words are another wallet's")]
    OtherWallet,
    #[error("record {record} was changed, or it is not readable any more")]
    Changed { record: u64 },
    #[error("record {record} has no meaning to this version: {why}")]
    Unknown { record: u64, why: String },
    #[error("it ends before its first whole state")]
    Incomplete,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After a whole record.
    Whole,
    /// Inside a record that was never written whole: these bytes are of it.
    Torn(u64),
}

/// Reads the records of a file to where it ends.
pub struct Unsealer<'b> {
    key: CopyKey,
    cipher: XChaCha20Poly1305,
    place: Place,
    rest: &'b [u8],
    end: End,
}

impl<'b> Unsealer<'b> {
    /// The file of these bytes.
    pub fn new(key: &CopyKey, bytes: &'b [u8]) -> Result<(Header, Self), Damage> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Damage::NotACopy)?;
        if header[..8] != MAGIC[..] {
            return Err(Damage::NotACopy);
        }
        if header[8..16] != key.wallet {
            return Err(Damage::OtherWallet);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let found = Header { epoch: number(16), number: number(24) };
        let cipher = XChaCha20Poly1305::new((&*key.seal).into());
        let place = Place::new(*header);
        Ok((found, Self { key: key.clone(), cipher, place, rest, end: End::Whole }))
    }

    /// The next record; `None` where the file ends, whole or torn.
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, Damage> {
        let damaged = Damage::Changed { record: self.place.index };
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Some((head, rest)) = self.rest.split_first_chunk::<HEAD_BYTES>() else {
            self.end = End::Torn(self.rest.len() as u64);
            self.rest = &[];
            return Ok(None);
        };
        let [a, b, c, d, check @ ..] = *head;
        let length = [a, b, c, d];
        if self.place.check(&self.key, length) != check {
            return Err(damaged);
        }
        let length = u32::from_le_bytes(length) as usize;
        if !(TAG_BYTES..=MAX_RECORD_BYTES + TAG_BYTES).contains(&length) {
            return Err(damaged);
        }
        if rest.len() < length {
            self.end = End::Torn(self.rest.len() as u64);
            self.rest = &[];
            return Ok(None);
        }
        let (sealed, after) = rest.split_at(length);
        let payload = Payload { msg: sealed, aad: &self.place.bound() };
        let record = self.cipher.decrypt(&self.place.nonce(), payload).map_err(|_| damaged)?;
        self.place.step(&self.rest[..HEAD_BYTES + length]);
        self.rest = after;
        Ok(Some(record))
    }

    /// How the file ended, once there is no next record.
    pub fn end(&self) -> End {
        self.end
    }

    /// The index of the record that comes next.
    pub fn index(&self) -> u64 {
        self.place.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> CopyKey {
        CopyKey::new(&[7; 32])
    }

    fn sealed(records: &[Vec<u8>]) -> Vec<u8> {
        let (mut bytes, mut sealer) = Sealer::new(&key(), Header { epoch: 3, number: 9 }, [5; 16]);
        for record in records {
            sealer.seal(record, &mut bytes).unwrap();
        }
        bytes
    }

    fn read(key: &CopyKey, bytes: &[u8]) -> Result<(Vec<Vec<u8>>, End), Damage> {
        let (header, mut unsealer) = Unsealer::new(key, bytes)?;
        assert_eq!((header.epoch, header.number), (3, 9));
        let mut records = Vec::new();
        while let Some(record) = unsealer.next_record()? {
            records.push(record);
        }
        Ok((records, unsealer.end()))
    }

    #[test]
    fn another_wallets_words_open_nothing() {
        let bytes = sealed(&[b"one".to_vec()]);
        assert_eq!(read(&CopyKey::new(&[8; 32]), &bytes), Err(Damage::OtherWallet));
        assert_eq!(
            read(&key(), b"something else entirely, long enough to be a header").unwrap_err(),
            Damage::NotACopy
        );
        assert!(!format!("{:?}", key()).contains('7'), "no secret is shown");
    }

    #[test]
    fn records_cannot_change_places() {
        let bytes = sealed(&[b"one".to_vec(), b"two".to_vec()]);
        let one = HEADER_BYTES..HEADER_BYTES + HEAD_BYTES + 3 + TAG_BYTES;
        let swapped = [&bytes[..one.start], &bytes[one.end..], &bytes[one.clone()]].concat();
        assert_eq!(read(&key(), &swapped), Err(Damage::Changed { record: 0 }));
        let without = [&bytes[..one.start], &bytes[one.end..]].concat();
        assert_eq!(read(&key(), &without), Err(Damage::Changed { record: 0 }));
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..6)
    }

    proptest! {
        #[test]
        fn what_was_sealed_comes_back(records in records()) {
            prop_assert_eq!(read(&key(), &sealed(&records)).unwrap(), (records, End::Whole));
        }

        #[test]
        fn a_file_that_ends_early_gives_its_whole_records(records in records(), at: prop::sample::Index) {
            let bytes = sealed(&records);
            let cut = HEADER_BYTES + at.index(bytes.len() - HEADER_BYTES);
            let (found, end) = read(&key(), &bytes[..cut]).unwrap();
            prop_assert!(records.starts_with(&found));
            prop_assert!(found.len() < records.len());
            let whole = sealed(&records[..found.len()]).len();
            let expected = if whole == cut { End::Whole } else { End::Torn((cut - whole) as u64) };
            prop_assert_eq!(end, expected);
        }

        #[test]
        fn no_bit_can_change_unseen(records in records(), at: prop::sample::Index, bit in 0_u8..8) {
            let mut bytes = sealed(&records);
            // Epoch and number stand in the header and are bound to each record.
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let found = Unsealer::new(&key(), &bytes).and_then(|(_, mut unsealer)| {
                while unsealer.next_record()?.is_some() {}
                Ok(())
            });
            prop_assert!(found.is_err());
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = sealed(&[b"a".to_vec()]);
            file.extend_from_slice(&bytes);
            if let Ok((records, _)) = read(&key(), &file) {
                prop_assert_eq!(records.len(), 1);
            }
            let _none = Unsealer::new(&key(), &bytes);
        }
    }
}
