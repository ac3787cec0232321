//! The folder of a wallet's copy: one segment that holds, and who writes it.
//!
//! A segment begins with the whole state and goes on with each moment. A new one is written whole
//! and synced under another name before it takes its place, and only then is the old one removed.
//! `owner` names the run of the wallet that writes here: whoever finds another one stops.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use store::KvKey;

use super::{
    disk::{is_removed, private_dir, private_file, sync_dir, write_synced},
    record::{Begin, Body, Policy, Record},
    segment::{CopyKey, Damage, End, Header, Sealer, TooLarge, Unsealer},
};

const OWNER: &str = "owner";
const SEGMENT: &str = "segment-";
const READ_ME: &str = "README.txt";
const PART_BYTES: usize = 1024 * 1024;
const OWNER_BYTES: u64 = 1024;
/// A segment is written anew long before it is this large.
const MAX_SEGMENT_BYTES: u64 = 8 * 1024 * 1024 * 1024;

const ABOUT: &str = "\
This folder is the copy of a wallet's channels and of its log, encrypted under the wallet's words.
The wallet writes here each time before it tells anyone anything. Leave the files as they are:
a copy of this folder elsewhere is not known to be the newest, and channels do not start from it.
To bring the wallet back, with its words on standard input, into a home without a wallet:
pilothouse-wallet --home HOME --network NETWORK restore --from THIS_FOLDER --words-fd 0
";

/// Why a folder gives nothing, or takes nothing.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{0} is not there; is its disk connected?")]
    Gone(PathBuf),
    #[error("{path} cannot be used: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{file} does not hold: {damage}")]
    Damaged { file: String, damage: Damage },
    #[error("{file}, which the folder's owner mark names, is not there")]
    Missing { file: String },
    #[error("there is no copy of this wallet in {0}")]
    Empty(PathBuf),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Another run of this wallet writes here, or did.
    #[error(
        "another copy of this wallet has started from or with this backup (epoch {theirs}, this one is epoch {ours})"
    )]
    Fenced { ours: u64, theirs: u64 },
}

/// A wallet's folder at a place.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
    key: CopyKey,
}

/// Who writes in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub epoch: u64,
    /// The number of the segment that holds.
    pub number: u64,
    pub run: [u8; 16],
    pub at_ms: u64,
}

/// All that a folder holds, as it was verified.
#[derive(Debug)]
pub struct Contents {
    pub owner: Owner,
    pub begin: Begin,
    /// The newest moment that is in it.
    pub seq: u64,
    pub policy: Policy,
    pub state: BTreeMap<KvKey, Vec<u8>>,
    /// What lay beside the node's state when the segment began.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What changed beside it since, in order.
    pub beside: Vec<Vec<u8>>,
    pub closed_at_ms: Option<u64>,
    pub left_at_ms: Option<u64>,
    /// Bytes at the end that were never written whole.
    pub torn_bytes: u64,
    /// The segment is the file that it was written as, not a copy of it.
    pub in_place: bool,
    pub segment: String,
    pub bytes: u64,
}

impl Folder {
    /// The wallet's folder at `place`, made there where it is not. `place` itself must exist: an
    /// empty mount point is not the disk that belongs there.
    pub fn make(place: &Path, key: &CopyKey) -> Result<Self, FolderError> {
        if !place.is_dir() {
            return Err(FolderError::Gone(place.to_owned()));
        }
        let folder = Self { dir: place.join(name(key)), key: key.clone() };
        let io = |source| FolderError::Io { path: folder.dir.clone(), source };
        private_dir(&folder.dir).map_err(io)?;
        write_synced(&folder.dir, READ_ME, ABOUT.as_bytes()).map_err(io)?;
        sync_dir(place).map_err(io)?;
        Ok(folder)
    }

    /// The wallet's folder at `place`, or `place` itself where it is that folder. Nothing is made.
    pub fn find(place: &Path, key: &CopyKey) -> Result<Self, FolderError> {
        let inside = place.join(name(key));
        let dir = [inside, place.to_owned()].into_iter().find(|dir| dir.join(READ_ME).is_file());
        match dir {
            Some(dir) => Ok(Self { dir, key: key.clone() }),
            None if place.is_dir() => Err(FolderError::Empty(place.to_owned())),
            None => Err(FolderError::Gone(place.to_owned())),
        }
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    fn io(&self, name: &str) -> impl Fn(io::Error) -> FolderError {
        let path = self.dir.join(name);
        move |source| match source.kind() {
            io::ErrorKind::NotFound => FolderError::Gone(path.clone()),
            _ => FolderError::Io { path: path.clone(), source },
        }
    }

    /// Who writes here; none in a folder that is new.
    pub fn owner(&self) -> Result<Option<Owner>, FolderError> {
        let mut bytes = Vec::new();
        match File::open(self.dir.join(OWNER)) {
            Ok(file) => file.take(OWNER_BYTES).read_to_end(&mut bytes).map_err(self.io(OWNER))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.dir.is_dir() => {
                return Ok(None);
            }
            Err(error) => return Err(self.io(OWNER)(error)),
        };
        let damaged = |damage| FolderError::Damaged { file: OWNER.into(), damage };
        let (header, mut unsealer) = Unsealer::new(&self.key, &bytes).map_err(damaged)?;
        let record = unsealer.next_record().map_err(damaged)?;
        let record = record.ok_or(damaged(Damage::Incomplete))?;
        let unknown =
            || damaged(Damage::Unknown { record: 0, why: "its length is not an owner's".into() });
        let (run, at) = record.split_first_chunk::<16>().ok_or_else(unknown)?;
        let at: [u8; 8] = at.try_into().map_err(|_| unknown())?;
        let Header { epoch, number } = header;
        Ok(Some(Owner { epoch, number, run: *run, at_ms: u64::from_le_bytes(at) }))
    }

    fn write_owner(&self, owner: &Owner) -> Result<(), FolderError> {
        let header = Header { epoch: owner.epoch, number: owner.number };
        let (mut bytes, mut sealer) = Sealer::new(&self.key, header, salt()?);
        sealer.seal(&[&owner.run[..], &owner.at_ms.to_le_bytes()].concat(), &mut bytes)?;
        write_synced(&self.dir, OWNER, &bytes).map_err(self.io(OWNER))
    }

    /// The segments, the newest last.
    fn segments(&self) -> Result<Vec<(Header, String)>, FolderError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(self.io(""))? {
            let name = entry.map_err(self.io(""))?.file_name();
            if let Some(name) = name.to_str()
                && let Some(header) = segment_of(name)
            {
                found.push((header, name.to_owned()));
            }
        }
        found.sort_by_key(|(header, _)| (header.epoch, header.number));
        Ok(found)
    }

    /// Reads and verifies everything.
    pub fn read(&self) -> Result<Contents, FolderError> {
        let segments = self.segments()?;
        let owner = self.owner()?;
        let (Some(owner), Some((header, name))) = (owner, segments.last()) else {
            return match (owner, segments.last()) {
                (Some(owner), None) => Err(FolderError::Missing { file: segment_name(&owner) }),
                (None, Some(_)) => Err(FolderError::Missing { file: OWNER.into() }),
                _ => Err(FolderError::Empty(self.dir.clone())),
            };
        };
        if (header.epoch, header.number) < (owner.epoch, owner.number) {
            return Err(FolderError::Missing { file: segment_name(&owner) });
        }
        let mut file = File::open(self.dir.join(name)).map_err(self.io(name))?;
        let metadata = file.metadata().map_err(self.io(name))?;
        if metadata.len() > MAX_SEGMENT_BYTES {
            return Err(self.io(name)(io::Error::other("it is too large")));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes).map_err(self.io(name))?;
        let mut contents = replay(&self.key, &bytes, *header, owner)
            .map_err(|damage| FolderError::Damaged { file: name.clone(), damage })?;
        contents.in_place = contents.begin.body == Body::of(&metadata);
        contents.segment.clone_from(name);
        Ok(contents)
    }
}

fn replay(key: &CopyKey, bytes: &[u8], named: Header, owner: Owner) -> Result<Contents, Damage> {
    let (header, mut unsealer) = Unsealer::new(key, bytes)?;
    if header != named {
        return Err(Damage::Changed { record: 0 });
    }
    let unknown = |record, why: &str| Damage::Unknown { record, why: why.to_owned() };
    let next = |unsealer: &mut Unsealer<'_>| {
        let index = unsealer.index();
        match unsealer.next_record()? {
            Some(record) => match Record::decode(&record) {
                Ok(record) => Ok(Some((index, record))),
                Err(why) => Err(unknown(index, why)),
            },
            None => Ok(None),
        }
    };
    let Some((_, Record::Begin(begin))) = next(&mut unsealer)? else {
        return Err(Damage::Incomplete);
    };
    let mut contents = Contents {
        owner,
        seq: 0,
        policy: begin.policy,
        begin,
        state: BTreeMap::new(),
        files: BTreeMap::new(),
        beside: Vec::new(),
        closed_at_ms: None,
        left_at_ms: None,
        torn_bytes: 0,
        in_place: false,
        segment: String::new(),
        bytes: bytes.len() as u64,
    };
    loop {
        match next(&mut unsealer)? {
            Some((_, Record::Put(entries))) => contents.state.extend(entries),
            Some((_, Record::File { name, part })) => {
                contents.files.entry(name).or_default().extend(part);
            }
            Some((_, Record::Whole { seq })) => break contents.seq = seq,
            Some((index, _)) => return Err(unknown(index, "it comes before the whole state")),
            None => return Err(Damage::Incomplete),
        }
    }
    while let Some((index, record)) = next(&mut unsealer)? {
        contents.closed_at_ms = None;
        match record {
            Record::Moment { seq, writes } if seq > contents.seq => {
                contents.seq = seq;
                for (key, value) in writes {
                    match value {
                        Some(value) => contents.state.insert(key, value),
                        None => contents.state.remove(&key),
                    };
                }
            }
            Record::Beside(bytes) => contents.beside.push(bytes),
            Record::Policy(policy) => contents.policy = policy,
            Record::Left { at_ms } => contents.left_at_ms = Some(at_ms),
            Record::Closed { at_ms } => contents.closed_at_ms = Some(at_ms),
            _ => return Err(unknown(index, "it does not follow what was before it")),
        }
    }
    if let End::Torn(bytes) = unsealer.end() {
        contents.torn_bytes = bytes;
    }
    Ok(contents)
}

/// What a new segment begins with.
pub struct Whole<'w> {
    pub epoch: u64,
    pub run: [u8; 16],
    pub policy: Policy,
    pub now_ms: u64,
    pub about: Vec<u8>,
    pub seq: u64,
    pub state: &'w [(KvKey, Vec<u8>)],
    pub files: &'w [(String, Vec<u8>)],
}

/// Adds to the folder's newest segment.
pub struct Writer {
    folder: Folder,
    file: File,
    sealer: Sealer,
    owner: Owner,
    bytes: u64,
    whole_bytes: u64,
}

impl Writer {
    /// Writes a new segment with everything, takes the folder over, and removes the older ones.
    ///
    /// # Errors
    /// The folder is as it was, or has one more segment that says the same.
    pub fn begin(folder: &Folder, whole: Whole<'_>) -> Result<Self, FolderError> {
        let found = folder.owner()?;
        if let Some(found) = found {
            let newer = found.epoch > whole.epoch;
            if newer || (found.epoch == whole.epoch && found.run != whole.run) {
                return Err(FolderError::Fenced { ours: whole.epoch, theirs: found.epoch });
            }
        }
        let header = Header {
            epoch: whole.epoch,
            number: found.map_or(1, |owner| owner.number.saturating_add(1)),
        };
        let Header { epoch, number } = header;
        let owner = Owner { epoch, number, run: whole.run, at_ms: whole.now_ms };
        let name = segment_name(&owner);
        let new = format!("{name}.new");
        let io = folder.io(&name);
        let path = folder.dir.join(&new);
        let _left_over = fs::remove_file(&path);
        let mut file = private_file(&path).map_err(&io)?;
        let body = Body::of(&file.metadata().map_err(&io)?);
        let (mut out, mut sealer) = Sealer::new(&folder.key, header, salt()?);
        let mut bytes = 0;
        let mut add = |record: Record, flush: bool| -> Result<(), FolderError> {
            sealer.seal(&record.encode(), &mut out)?;
            if flush || out.len() >= PART_BYTES {
                file.write_all(&out).map_err(&io)?;
                bytes += out.len() as u64;
                out.clear();
            }
            Ok(())
        };
        add(
            Record::Begin(Begin {
                run: whole.run,
                policy: whole.policy,
                made_at_ms: whole.now_ms,
                body,
                about: whole.about,
            }),
            false,
        )?;
        for (key, value) in whole.state {
            add(Record::Put(vec![(key.clone(), value.clone())]), false)?;
        }
        for (name, content) in whole.files {
            add(Record::File { name: name.clone(), part: Vec::new() }, false)?;
            for part in content.chunks(PART_BYTES) {
                add(Record::File { name: name.clone(), part: part.to_vec() }, false)?;
            }
        }
        add(Record::Whole { seq: whole.seq }, true)?;
        file.sync_all().map_err(&io)?;
        fs::rename(&path, folder.dir.join(&name)).map_err(&io)?;
        sync_dir(&folder.dir).map_err(&io)?;
        folder.write_owner(&owner)?;
        for (header, old) in folder.segments()? {
            if (header.epoch, header.number) < (epoch, number) {
                fs::remove_file(folder.dir.join(&old)).map_err(folder.io(&old))?;
            }
        }
        Ok(Self { folder: folder.clone(), file, sealer, owner, bytes, whole_bytes: bytes })
    }

    /// Adds records and returns when they are on the folder's disk. After an error this writer is
    /// done: the next one begins a new segment.
    pub fn append(&mut self, records: &[Record]) -> Result<(), FolderError> {
        let name = segment_name(&self.owner);
        let io = self.folder.io(&name);
        match self.folder.owner()? {
            Some(owner) if owner == self.owner => {}
            Some(owner) => {
                return Err(FolderError::Fenced { ours: self.owner.epoch, theirs: owner.epoch });
            }
            None => return Err(FolderError::Gone(self.folder.dir.join(OWNER))),
        }
        if is_removed(&self.file.metadata().map_err(&io)?) {
            return Err(FolderError::Gone(self.folder.dir.join(&name)));
        }
        let mut out = Vec::new();
        for record in records {
            self.sealer.seal(&record.encode(), &mut out)?;
        }
        self.file.write_all(&out).map_err(&io)?;
        self.file.sync_data().map_err(&io)?;
        self.bytes += out.len() as u64;
        Ok(())
    }

    /// The segment's size, and how much of it its whole state was.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes, self.whole_bytes)
    }
}

fn name(key: &CopyKey) -> String {
    use std::fmt::Write;
    key.wallet().iter().fold("pilothouse-wallet-".to_owned(), |mut name, byte| {
        let _infallible = write!(name, "{byte:02x}");
        name
    })
}

fn segment_name(owner: &Owner) -> String {
    format!("{SEGMENT}{:010}-{:010}", owner.epoch, owner.number)
}

fn segment_of(name: &str) -> Option<Header> {
    let (epoch, number) = name.strip_prefix(SEGMENT)?.split_once('-')?;
    Some(Header { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
}

fn salt() -> Result<[u8; 16], FolderError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| FolderError::Io {
        path: PathBuf::new(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(salt)
}

#[cfg(test)]
mod tests;
