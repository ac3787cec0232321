//! What a buyer can hold a run's result to: the request, its own hashes, and the inputs.

use domain::Sha256Hash;
use std::collections::BTreeMap;

use super::{
    request::Plan,
    result::{ChangeKind, Now, Payload, Returned, ReturnedWhat, Stream},
};
use crate::{
    kinds::{Caps, Named, Output, Request, Verdict},
    sandbox::End,
    snapshot::{self, EntryKind, is_plain_path},
};

pub fn check(caps: &Caps, request: &Request, output: &Output) -> Verdict {
    let payload: Payload = match serde_json::from_slice(&output.payload) {
        Ok(payload) => payload,
        Err(error) => return Verdict::fails(format!("not a result: {error}")),
    };
    let plan = match Plan::read(request, caps) {
        Ok(plan) => plan,
        Err(refusal) => return Verdict::Unchecked { why: refusal.message },
    };
    let mut checked = vec!["request hash", "structure", "returned files"];
    let all = structure(&plan, &payload)
        .and_then(|()| returned(&plan, &payload, output))
        .and_then(|()| against_inputs(caps, &plan, &payload));
    match all {
        Ok(with_inputs) => {
            checked.extend(with_inputs.then_some("changes against the inputs"));
            Verdict::Holds { checked }
        }
        Err(why) => Verdict::Fails { why },
    }
}

fn ensure(holds: bool, why: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.into()) }
}

fn structure(plan: &Plan, payload: &Payload) -> Result<(), String> {
    ensure(payload.request_sha256 == plan.sha256(), "the result answers another request")?;
    let asked = plan.snapshot.as_ref().map(|blob| blob.sha256);
    let used = payload.snapshot.as_ref().map(|echo| echo.sha256);
    ensure(asked == used, "the result is over another snapshot")?;
    let code = match payload.end {
        End::Exited { code } => Some(code),
        End::Cancelled => return Err("a cancelled run is no result".into()),
        _ => None,
    };
    ensure(payload.exit_code == code, "the exit code contradicts how the run ended")?;
    for stream in [&payload.stdout, &payload.stderr] {
        stream_holds(stream, plan.limits.output_bytes)?;
    }
    let paths: Vec<_> = payload.changed.iter().map(|change| change.path.as_str()).collect();
    ensure(paths.windows(2).all(|pair| pair[0] < pair[1]), "the changes are not sorted")?;
    ensure(paths.iter().all(|path| is_plain_path(path)), "a changed path leads elsewhere")?;
    let told = |change: &super::result::Change| {
        (change.change == ChangeKind::Deleted) == change.now.is_none()
    };
    ensure(payload.changed.iter().all(told), "a change does not say what is there now")
}

fn stream_holds(stream: &Stream, most: u64) -> Result<(), String> {
    let bytes = stream.content.bytes().ok_or("an output's base64 is damaged")?;
    let kept = bytes.len() as u64;
    ensure(kept <= stream.total_bytes, "an output is longer than it says")?;
    ensure(kept <= most, "an output is longer than was asked for")?;
    ensure(stream.truncated == (kept < stream.total_bytes), "an output's length is contradicted")
}

/// The contents that come beside the payload: files that were asked for, each once, and all of
/// them together no more than a job may return.
pub fn attached(caps: &Caps, request: &Request, payload: &[u8]) -> Result<Vec<Named>, String> {
    let Ok(payload) = serde_json::from_slice::<Payload>(payload) else { return Ok(Vec::new()) };
    let plan = Plan::read(request, caps).map_err(|refusal| refusal.message)?;
    as_asked(&plan, &payload)?;
    let (mut named, mut bytes) = (Vec::new(), 0_u64);
    for Returned { path, what } in payload.returned {
        let ReturnedWhat::Attached { size, sha256 } = what else { continue };
        bytes = bytes.saturating_add(size);
        named.push(Named { name: path, sha256, size_bytes: size });
    }
    ensure(bytes <= caps.return_bytes, "more came back than a job may return")?;
    Ok(named)
}

fn as_asked(plan: &Plan, payload: &Payload) -> Result<(), String> {
    let paths = payload.returned.iter().map(|item| &item.path);
    ensure(paths.eq(plan.returns.iter()), "other files came back than asked")
}

fn returned(plan: &Plan, payload: &Payload, output: &Output) -> Result<(), String> {
    as_asked(plan, payload)?;
    for item in &payload.returned {
        let path = &item.path;
        let (size, sha256, bytes) = match &item.what {
            ReturnedWhat::Missing { .. } => continue,
            ReturnedWhat::Inline { size, sha256, content } => (size, sha256, content.bytes()),
            ReturnedWhat::Attached { size, sha256 } => {
                (size, sha256, output.attachment(sha256).map(|found| found.bytes.to_vec()))
            }
        };
        let bytes = bytes.ok_or_else(|| format!("the contents of {path} are missing"))?;
        let holds = bytes.len() as u64 == *size && Sha256Hash::of(&bytes) == *sha256;
        ensure(holds, format!("the contents of {path} do not match their hash"))?;
        let listed = payload.changed.iter().find(|change| change.path == *path);
        if let Some(Now::File { sha256: now, .. }) = listed.and_then(|change| change.now.as_ref()) {
            ensure(now == sha256, format!("{path} is listed with another hash"))?;
        }
    }
    Ok(())
}

/// Compares the changes with the inputs, when the buyer holds them; whether it does.
fn against_inputs(caps: &Caps, plan: &Plan, payload: &Payload) -> Result<bool, String> {
    let mut inputs: BTreeMap<String, Option<Sha256Hash>> = BTreeMap::new();
    if let Some(blob) = &plan.snapshot {
        let Some(bytes) = &blob.bytes else { return Ok(false) };
        let manifest = snapshot::scan(bytes, &caps.snapshot, |_, _| {})
            .map_err(|error| format!("our own snapshot cannot be read: {error}"))?;
        let root = payload.snapshot.as_ref().map(|echo| echo.root);
        ensure(root == Some(manifest.root()), "the snapshot was unpacked to something else")?;
        for entry in manifest.entries {
            let hash = match entry.kind {
                EntryKind::File { sha256, .. } => Some(sha256),
                EntryKind::Link { .. } => None,
            };
            inputs.insert(entry.path, hash);
        }
    }
    for file in &plan.files {
        inputs.insert(file.path.clone(), Some(Sha256Hash::of(&file.bytes)));
    }
    for change in &payload.changed {
        let path = &change.path;
        let was = inputs.get(path);
        let holds = (change.change == ChangeKind::Created) == was.is_none();
        ensure(holds, format!("{path} is listed as a change that it cannot be"))?;
    }
    for item in &payload.returned {
        let (ReturnedWhat::Inline { sha256, .. } | ReturnedWhat::Attached { sha256, .. }) =
            &item.what
        else {
            continue;
        };
        let listed = payload.changed.iter().any(|change| change.path == item.path);
        let unchanged = inputs.get(&item.path) == Some(&Some(*sha256));
        ensure(
            listed || unchanged || payload.changed_truncated,
            format!("{} came back changed, but is not listed as a change", item.path),
        )?;
    }
    Ok(true)
}
