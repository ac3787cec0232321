//! Building the index. It runs inside the sandbox; a buyer may run it again and compare.

use domain::Sha256Hash;
use std::collections::BTreeMap;

use super::{
    languages,
    model::{
        FileInfo, INDEXER, Index, IndexInfo, LanguageInfo, LinkInfo, SnapshotInfo, Summary, Word,
    },
    symbols,
};
use crate::snapshot::{self, EntryKind, SnapshotLimits};

/// The largest index that is given.
pub const INDEX_BYTES: u64 = 48 << 20;
const MAX_WORDS: usize = 100_000;
const MAX_POSITIONS: usize = 24;
const WORD_BYTES: std::ops::RangeInclusive<usize> = 3..=64;
/// Lines longer than this are data, not text to search.
const LINE_BYTES: usize = 2_000;

/// Arguments: hash of the archive, largest file with words and symbols. Gives [`join`]'s bytes.
pub(crate) fn builtin(archive: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    let [sha256, max_file_bytes] = args else { return Err("two arguments are needed".into()) };
    let sha256: Sha256Hash = sha256.parse().map_err(|_| "a hash is needed")?;
    let max_file_bytes = max_file_bytes.parse().map_err(|_| "a size is needed")?;
    let (summary, index) = build(archive, sha256, max_file_bytes)?;
    let summary = domain::canonical_json(&summary).map_err(|error| error.to_string())?;
    Ok(join(&summary, &index))
}

/// Both parts in one file: the summary's length, the summary, the index.
fn join(summary: &[u8], index: &[u8]) -> Vec<u8> {
    let len = u32::try_from(summary.len()).expect("BUG: a summary is small");
    [&len.to_le_bytes()[..], summary, index].concat()
}

pub fn split(joined: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = joined.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

/// The summary, and the index's canonical bytes.
pub fn build(
    archive: &[u8],
    sha256: Sha256Hash,
    max_file_bytes: u64,
) -> Result<(Summary, Vec<u8>), String> {
    let mut found: BTreeMap<String, Scanned> = BTreeMap::new();
    let mut truncated = false;
    let manifest = snapshot::scan(archive, &SnapshotLimits::default(), |path, contents| {
        let scanned = scan(path, contents, max_file_bytes);
        truncated |= scanned.truncated;
        found.insert(path.to_owned(), scanned);
    })
    .map_err(|error| error.to_string())?;
    let mut index = Index { v: 1, indexer: INDEXER.into(), ..Index::default() };
    let mut languages: BTreeMap<&'static str, LanguageInfo> = BTreeMap::new();
    for entry in &manifest.entries {
        match &entry.kind {
            EntryKind::Link { target } => {
                index.links.push(LinkInfo { path: entry.path.clone(), target: target.clone() });
            }
            EntryKind::File { size, sha256, .. } => {
                let scanned = found.remove(&entry.path).expect("BUG: every file was seen");
                let position = index.files.len() as u64;
                truncated |= add_words(&mut index.words, position, scanned.words);
                if let Some(language) = scanned.language {
                    let info = languages.entry(language).or_insert_with(|| LanguageInfo {
                        name: language.to_owned(),
                        files: 0,
                        lines: 0,
                        bytes: 0,
                        symbols: 0,
                    });
                    info.files += 1;
                    info.lines += scanned.info.lines.unwrap_or(0);
                    info.bytes += size;
                    info.symbols += scanned.info.symbols.len() as u64;
                }
                let path = entry.path.clone();
                let info =
                    FileInfo { path, size: *size, sha256: sha256.to_string(), ..scanned.info };
                index.files.push(info);
            }
        }
    }
    let bytes = domain::canonical_json(&index).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > INDEX_BYTES {
        return Err(format!("the index of this snapshot has more than {INDEX_BYTES} bytes"));
    }
    let summary = Summary {
        v: 1,
        indexer: INDEXER.into(),
        snapshot: SnapshotInfo {
            sha256,
            root: manifest.root(),
            files: index.files.len() as u64,
            links: index.links.len() as u64,
            bytes: manifest.total_bytes(),
        },
        languages: languages.into_values().collect(),
        symbol_languages: symbols::LANGUAGES.iter().map(|name| (*name).to_owned()).collect(),
        lines: index.files.iter().filter_map(|file| file.lines).sum(),
        symbols: index.files.iter().map(|file| file.symbols.len() as u64).sum(),
        words: index.words.len() as u64,
        truncated,
        index: IndexInfo {
            sha256: Sha256Hash::of(&bytes),
            size: bytes.len() as u64,
            media_type: "application/json".into(),
        },
    };
    Ok((summary, bytes))
}

/// What one file gives.
struct Scanned {
    info: FileInfo,
    language: Option<&'static str>,
    /// Each word with the lines that hold it, in order.
    words: BTreeMap<String, Vec<u64>>,
    truncated: bool,
}

fn scan(path: &str, contents: &[u8], max_file_bytes: u64) -> Scanned {
    let mut scanned = Scanned {
        info: FileInfo::default(),
        language: None,
        words: BTreeMap::new(),
        truncated: false,
    };
    let Some(text) = text(contents) else { return scanned };
    scanned.info.lines = Some(count_lines(text));
    scanned.language = languages::of(path, contents);
    scanned.info.language = scanned.language.map(str::to_owned);
    if contents.len() as u64 > max_file_bytes {
        scanned.truncated = true;
        return scanned;
    }
    if let Some(language) = scanned.language {
        (scanned.info.symbols, scanned.truncated) = symbols::of(language, text);
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.len() <= LINE_BYTES) {
        let number = number as u64 + 1;
        for word in words(line) {
            let lines = match scanned.words.get_mut(word) {
                Some(lines) => lines,
                None => scanned.words.entry(word.to_owned()).or_default(),
            };
            if lines.last() != Some(&number) {
                lines.push(number);
            }
        }
    }
    scanned
}

/// Text is UTF-8 without zero bytes.
pub fn text(contents: &[u8]) -> Option<&str> {
    std::str::from_utf8(contents).ok().filter(|text| !text.contains('\0'))
}

pub fn count_lines(text: &str) -> u64 {
    text.lines().count() as u64
}

/// Identifiers and words: letters, digits and `_`, beginning with no digit.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| WORD_BYTES.contains(&word.len()))
        .filter(|word| !word.starts_with(|c: char| c.is_ascii_digit()))
}

/// Takes a file's words in; whether some had no room.
fn add_words(
    all: &mut BTreeMap<String, Word>,
    file: u64,
    words: BTreeMap<String, Vec<u64>>,
) -> bool {
    let mut left_out = false;
    for (word, lines) in words {
        if all.len() >= MAX_WORDS && !all.contains_key(&word) {
            left_out = true;
            continue;
        }
        let entry = all.entry(word).or_default();
        entry.count += lines.len() as u64;
        let room = MAX_POSITIONS.saturating_sub(entry.at.len());
        entry.at.extend(lines.into_iter().take(room).map(|line| (file, line)));
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn packed() -> snapshot::Packed {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        fs::write(dir.path().join("src/main.rs"), "fn main() {\n    greet_all();\n}\n").unwrap();
        fs::write(dir.path().join("tool"), "#!/usr/bin/python3\ndef greet_all(): pass\n").unwrap();
        fs::write(dir.path().join("image.bin"), [0, 159, 146, 150]).unwrap();
        snapshot::pack(dir.path(), &SnapshotLimits::default()).unwrap()
    }

    #[test]
    fn finds_files_languages_symbols_and_words_and_always_the_same() {
        let packed = packed();
        let (summary, bytes) = build(&packed.archive, packed.sha256, 1 << 20).unwrap();
        assert_eq!(build(&packed.archive, packed.sha256, 1 << 20).unwrap().1, bytes);
        assert_eq!(summary.snapshot.root, packed.manifest.root());
        assert_eq!((summary.snapshot.files, summary.lines, summary.symbols), (3, 5, 2));
        let names: Vec<_> = summary.languages.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["Python", "Rust"]);
        let index: Index = serde_json::from_slice(&bytes).unwrap();
        let paths: Vec<_> = index.files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["image.bin", "src/main.rs", "tool"]);
        assert_eq!(index.words["greet_all"], Word { count: 2, at: vec![(1, 2), (2, 2)] });
        assert_eq!(index.files[2].symbols[0].name, "greet_all");
        assert_eq!(index.files[0].lines, None);
    }

    #[test]
    fn says_when_a_bound_left_something_out() {
        let packed = packed();
        let (summary, _) = build(&packed.archive, packed.sha256, 10).unwrap();
        assert!(summary.truncated);
        assert_eq!((summary.symbols, summary.lines), (0, 5));
        assert!(builtin(b"garbage", &["00".repeat(32), "1".into()]).is_err());
        assert!(builtin(&packed.archive, &["x".into(), "1".into()]).is_err());
    }

    #[test]
    fn both_parts_come_apart_again_and_garbage_does_not() {
        assert_eq!(split(&join(b"ab", b"cde")), Some((&b"ab"[..], &b"cde"[..])));
        assert_eq!(split(&[9, 0, 0, 0, 1]), None);
        assert_eq!(split(&[1]), None);
    }
}
