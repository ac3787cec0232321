//! What a buyer can hold an index to: its own copy of the snapshot, hashed and read again.

use domain::Sha256Hash;
use std::collections::BTreeMap;

use super::{
    build, index,
    model::{INDEXER, Index, Summary},
    plan,
};
use crate::{
    kinds::{Caps, Context, Output, Request, Verdict, confined::in_thread},
    snapshot::{self, EntryKind, Manifest},
};

/// Archives up to this size are indexed again whole.
const RECOMPUTE_BYTES: u64 = 8 << 20;
/// Of larger ones, so many words and symbols are looked up, spread over the index.
const SPOT_CHECKS: usize = 64;

pub async fn verify(context: &Context, request: &Request, output: &Output) -> Verdict {
    let plan = match plan(request, &context.caps) {
        Ok(plan) => plan,
        Err(refusal) => return Verdict::Unchecked { why: refusal.message },
    };
    let Some(bytes) = plan.bytes.clone() else {
        return Verdict::Unchecked { why: "the snapshot is not at hand".into() };
    };
    let (caps, copy, held, sha256) = (context.caps, output.clone(), bytes.clone(), plan.sha256);
    let held = in_thread(move || against_snapshot(&caps, sha256, &held, &copy)).await;
    let summary = match held {
        Ok(Ok(summary)) => summary,
        Ok(Err(why)) => return Verdict::Fails { why },
        Err(error) => return Verdict::Unchecked { why: error.to_string() },
    };
    let mut checked = vec!["file hashes", "counts", "words and symbols by sample"];
    if summary.indexer == INDEXER
        && plan.len <= RECOMPUTE_BYTES
        && context.sandbox.probe().available
    {
        match index(context, &plan, bytes).await {
            Ok(again) if again.payload == output.payload => checked.push("indexed again"),
            Ok(_) => return Verdict::fails("indexing again gives another index"),
            Err(error) => return Verdict::Unchecked { why: error.to_string() },
        }
    }
    Verdict::Holds { checked }
}

fn ensure(holds: bool, why: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.into()) }
}

fn against_snapshot(
    caps: &Caps,
    sha256: Sha256Hash,
    archive: &[u8],
    output: &Output,
) -> Result<Summary, String> {
    let unreadable = |error: serde_json::Error| format!("not a result: {error}");
    let summary: Summary = serde_json::from_slice(&output.payload).map_err(unreadable)?;
    ensure(summary.snapshot.sha256 == sha256, "the index is of another snapshot")?;
    let attached = output.attachment(&summary.index.sha256).ok_or("the index is missing")?;
    let true_to_hash = Sha256Hash::of(&attached.bytes) == summary.index.sha256
        && attached.bytes.len() as u64 == summary.index.size;
    ensure(true_to_hash, "the index does not match its hash")?;
    let index: Index = serde_json::from_slice(&attached.bytes).map_err(unreadable)?;
    let samples = Samples::of(&index)?;
    let mut lines: BTreeMap<String, Option<u64>> = BTreeMap::new();
    let mut wrong = None;
    let manifest = snapshot::scan(archive, &caps.snapshot, |path, contents| {
        let text = build::text(contents);
        lines.insert(path.to_owned(), text.map(build::count_lines));
        wrong = wrong.take().or(samples.wrong_in(path, text));
    })
    .map_err(|error| format!("our own snapshot cannot be read: {error}"))?;
    if let Some(why) = wrong {
        return Err(why);
    }
    files_match(&index, &manifest, &lines)?;
    counts_match(&summary, &index, &manifest)?;
    Ok(summary)
}

fn files_match(
    index: &Index,
    manifest: &Manifest,
    lines: &BTreeMap<String, Option<u64>>,
) -> Result<(), String> {
    let (mut files, mut links) = (index.files.iter(), index.links.iter());
    for entry in &manifest.entries {
        let path = &entry.path;
        let holds = match &entry.kind {
            EntryKind::File { size, sha256, .. } => files.next().is_some_and(|file| {
                file.path == *path
                    && file.size == *size
                    && file.sha256 == sha256.to_string()
                    && lines.get(path) == Some(&file.lines)
            }),
            EntryKind::Link { target } => {
                links.next().is_some_and(|link| link.path == *path && link.target == *target)
            }
        };
        ensure(holds, format!("{path} is missing or wrong in the index"))?;
    }
    let rest = files.next().is_some() || links.next().is_some();
    ensure(!rest, "the index names files that the snapshot does not have")
}

fn counts_match(summary: &Summary, index: &Index, manifest: &Manifest) -> Result<(), String> {
    let snapshot = &summary.snapshot;
    let symbols = || index.files.iter().map(|file| file.symbols.len() as u64);
    let holds = snapshot.root == manifest.root()
        && snapshot.files == index.files.len() as u64
        && snapshot.links == index.links.len() as u64
        && snapshot.bytes == manifest.total_bytes()
        && summary.lines == index.files.iter().filter_map(|file| file.lines).sum::<u64>()
        && summary.symbols == symbols().sum::<u64>()
        && summary.words == index.words.len() as u64;
    ensure(holds, "the summary's counts do not match its index")?;
    for language in &summary.languages {
        let of = || index.files.iter().filter(|f| f.language.as_ref() == Some(&language.name));
        let holds = language.files == of().count() as u64
            && language.bytes == of().map(|file| file.size).sum::<u64>()
            && language.lines == of().filter_map(|file| file.lines).sum::<u64>()
            && language.symbols == of().map(|file| file.symbols.len() as u64).sum::<u64>();
        ensure(holds, format!("the counts of {} do not match the index", language.name))?;
    }
    Ok(())
}

/// Words and symbols to look up: line and text, by path.
struct Samples(BTreeMap<String, Vec<(u64, String)>>);

impl Samples {
    fn of(index: &Index) -> Result<Self, String> {
        let mut samples: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
        let every = (index.words.len() / SPOT_CHECKS).max(1);
        for (word, positions) in index.words.iter().step_by(every) {
            for (file, line) in positions.at.iter().take(2) {
                let file = usize::try_from(*file).ok().and_then(|file| index.files.get(file));
                let file = file.ok_or("a word points at a file that is not there")?;
                samples.entry(file.path.clone()).or_default().push((*line, word.clone()));
            }
        }
        let all = || index.files.iter().flat_map(|f| f.symbols.iter().map(move |s| (&f.path, s)));
        let every = (all().count() / SPOT_CHECKS).max(1);
        for (path, symbol) in all().step_by(every) {
            // A definition may begin lines above its name; the file must have it, all the same.
            samples.entry(path.clone()).or_default().push((0, symbol.name.clone()));
        }
        Ok(Self(samples))
    }

    /// The first sample of `path` that does not hold.
    fn wrong_in(&self, path: &str, text: Option<&str>) -> Option<String> {
        let samples = self.0.get(path)?;
        let text = text.unwrap_or("");
        samples.iter().find_map(|(line, word)| {
            let holds = match line.checked_sub(1) {
                None => text.contains(word.as_str()),
                Some(above) => usize::try_from(above)
                    .ok()
                    .and_then(|above| text.lines().nth(above))
                    .is_some_and(|line| build::words(line).any(|found| found == word)),
            };
            (!holds).then(|| format!("{path} does not have {word:?} where the index says"))
        })
    }
}
