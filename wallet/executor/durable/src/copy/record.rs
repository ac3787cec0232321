//! What the records of a copy say.

use store::KvKey;

/// One record. Whoever made it was this wallet: what it holds is trusted as far as its form is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first of each segment.
    Begin(Begin),
    /// Part of the whole state.
    Put(Vec<(KvKey, Vec<u8>)>),
    /// Part of a file that lies beside the node's state; parts follow each other.
    File { name: String, part: Vec<u8> },
    /// The whole state was said.
    Whole { seq: u64 },
    /// What one moment changed.
    Moment { seq: u64, writes: Vec<(KvKey, Option<Vec<u8>>)> },
    /// What changed beside the node's state; only its maker reads it.
    Beside(Vec<u8>),
    /// From here on the folder is kept by this rule.
    Policy(Policy),
    /// The folder is not written any more: what is in it is not the newest.
    Left { at_ms: u64 },
    /// The wallet ended in order here.
    Closed { at_ms: u64 },
}

/// What a folder may be relied on for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing leaves before it is in the folder: the folder is never behind what a peer was told.
    #[default]
    Strict,
    /// Payments go on while the folder is away: it may be behind, and cannot know it.
    Lenient,
}

/// What a segment begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Random for each start of a wallet.
    pub run: [u8; 16],
    pub policy: Policy,
    pub made_at_ms: u64,
    /// The file that it was written as; a copy of the file is another one.
    pub body: Body,
    /// For people and for the restore; JSON of the executor.
    pub about: Vec<u8>,
}

/// Which file a file is, where the file system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    pub inode: u64,
    /// When it was made; 0 where that is not known.
    pub born_ns: u64,
}

const BEGIN: u8 = 1;
const PUT: u8 = 2;
const FILE: u8 = 3;
const WHOLE: u8 = 4;
const MOMENT: u8 = 5;
const BESIDE: u8 = 6;
const POLICY: u8 = 7;
const LEFT: u8 = 8;
const CLOSED: u8 = 9;

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Begin(begin) => {
                out.push(BEGIN);
                out.extend_from_slice(&begin.run);
                out.push(begin.policy.number());
                for number in [begin.made_at_ms, begin.body.inode, begin.body.born_ns] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                put_bytes(&mut out, &begin.about);
            }
            Self::Put(entries) => {
                out.push(PUT);
                for (key, value) in entries {
                    put_key(&mut out, key);
                    put_bytes(&mut out, value);
                }
            }
            Self::File { name, part } => {
                out.push(FILE);
                put_bytes(&mut out, name.as_bytes());
                put_bytes(&mut out, part);
            }
            Self::Whole { seq } => numbered(&mut out, WHOLE, *seq),
            Self::Moment { seq, writes } => {
                numbered(&mut out, MOMENT, *seq);
                for (key, value) in writes {
                    put_key(&mut out, key);
                    match value {
                        Some(value) => {
                            out.push(1);
                            put_bytes(&mut out, value);
                        }
                        None => out.push(0),
                    }
                }
            }
            Self::Beside(bytes) => {
                out.push(BESIDE);
                put_bytes(&mut out, bytes);
            }
            Self::Policy(policy) => out.extend_from_slice(&[POLICY, policy.number()]),
            Self::Left { at_ms } => numbered(&mut out, LEFT, *at_ms),
            Self::Closed { at_ms } => numbered(&mut out, CLOSED, *at_ms),
        }
        out
    }

    /// # Errors
    /// What is not understood, for people.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut from = Reader(bytes);
        let record = match from.byte()? {
            BEGIN => Self::Begin(Begin {
                run: from.array()?,
                policy: Policy::of(from.byte()?)?,
                made_at_ms: from.number()?,
                body: Body { inode: from.number()?, born_ns: from.number()? },
                about: from.bytes()?,
            }),
            PUT => {
                let mut entries = Vec::new();
                while !from.0.is_empty() {
                    entries.push((from.key()?, from.bytes()?));
                }
                Self::Put(entries)
            }
            FILE => Self::File { name: from.text()?, part: from.bytes()? },
            WHOLE => Self::Whole { seq: from.number()? },
            MOMENT => {
                let seq = from.number()?;
                let mut writes = Vec::new();
                while !from.0.is_empty() {
                    let key = from.key()?;
                    let value = match from.byte()? {
                        0 => None,
                        1 => Some(from.bytes()?),
                        _ => return Err("a change is neither a value nor a removal"),
                    };
                    writes.push((key, value));
                }
                Self::Moment { seq, writes }
            }
            BESIDE => Self::Beside(from.bytes()?),
            POLICY => Self::Policy(Policy::of(from.byte()?)?),
            LEFT => Self::Left { at_ms: from.number()? },
            CLOSED => Self::Closed { at_ms: from.number()? },
            _ => return Err("its kind is not known"),
        };
        if from.0.is_empty() { Ok(record) } else { Err("it is longer than its kind") }
    }
}

impl Policy {
    fn number(self) -> u8 {
        match self {
            Self::Strict => 1,
            Self::Lenient => 2,
        }
    }

    fn of(number: u8) -> Result<Self, &'static str> {
        match number {
            1 => Ok(Self::Strict),
            2 => Ok(Self::Lenient),
            _ => Err("its rule is not known"),
        }
    }
}

fn numbered(out: &mut Vec<u8>, kind: u8, number: u64) {
    out.push(kind);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_key(out: &mut Vec<u8>, key: &KvKey) {
    for part in [&key.primary, &key.secondary, &key.name] {
        put_bytes(out, part.as_bytes());
    }
}

/// Takes from the front of bytes.
struct Reader<'b>(&'b [u8]);

const SHORT: &str = "it is shorter than its kind";

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, &'static str> {
        let length = usize::try_from(self.number()?).map_err(|_| SHORT)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken.to_vec())
    }

    fn text(&mut self) -> Result<String, &'static str> {
        String::from_utf8(self.bytes()?).map_err(|_| "a name is no text")
    }

    fn key(&mut self) -> Result<KvKey, &'static str> {
        Ok(KvKey { primary: self.text()?, secondary: self.text()?, name: self.text()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn key() -> impl Strategy<Value = KvKey> {
        ("[a-z]{0,5}", "[a-z]{0,5}", "\\PC{0,5}").prop_map(|(primary, secondary, name)| KvKey {
            primary,
            secondary,
            name,
        })
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..40)
    }

    fn record() -> impl Strategy<Value = Record> {
        let policy = || prop_oneof![Just(Policy::Strict), Just(Policy::Lenient)];
        prop_oneof![
            (any::<[u8; 16]>(), policy(), any::<[u64; 3]>(), bytes()).prop_map(
                |(run, policy, [made_at_ms, inode, born_ns], about)| Record::Begin(Begin {
                    run,
                    policy,
                    made_at_ms,
                    body: Body { inode, born_ns },
                    about,
                })
            ),
            vec((key(), bytes()), 0..4).prop_map(Record::Put),
            ("[a-z./]{0,9}", bytes()).prop_map(|(name, part)| Record::File { name, part }),
            any::<u64>().prop_map(|seq| Record::Whole { seq }),
            (any::<u64>(), vec((key(), proptest::option::of(bytes())), 0..4))
                .prop_map(|(seq, writes)| Record::Moment { seq, writes }),
            bytes().prop_map(Record::Beside),
            policy().prop_map(Record::Policy),
            any::<u64>().prop_map(|at_ms| Record::Left { at_ms }),
            any::<u64>().prop_map(|at_ms| Record::Closed { at_ms }),
        ]
    }

    proptest! {
        #[test]
        fn each_record_comes_back(record in record()) {
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn no_bytes_break_it(bytes in vec(any::<u8>(), 0..200), kind in 0_u8..12) {
            let _any = Record::decode(&bytes);
            let _any = Record::decode(&[&[kind], &bytes[..]].concat());
        }
    }
}
