//! Kind 5931: an index of a repository snapshot: files, languages, symbols, searchable words.

pub(super) mod build;
mod languages;
mod model;
mod symbols;
mod verify;

use bytes::Bytes;
use domain::Msat;

use super::{
    About, Attachment, Caps, Context, Estimate, ExecuteError, Input, Kind, KindFuture, Named,
    Output, Param, Refusal, Request, Verdict, confined::parse, params::Params,
};
use crate::sandbox::Limits;
use domain::Sha256Hash;

pub(super) const BUILTIN: &str = "index-repo";
const DEFAULT_SYMBOL_FILE_BYTES: u64 = 1 << 20;

pub(super) struct RepoIndex;

static ABOUT: About = About {
    kind: 5931,
    name: "repo-index",
    description: "Indexes a repository snapshot: files with hashes, languages, symbols and a \
                  searchable index of words. The same snapshot always gives the same index.",
    inputs: "One directory snapshot: a blob, gzip-compressed tar.",
    params: &[Param {
        name: "max_file_bytes",
        description: "Larger files get no symbols and no words (1,048,576 when not given).",
        repeats: false,
    }],
    default_price_msat: Msat::from_sat(3),
    media_type: "application/json",
};

struct Plan {
    sha256: Sha256Hash,
    len: u64,
    bytes: Option<Bytes>,
    max_file_bytes: u64,
}

fn plan(request: &Request, caps: &Caps) -> Result<Plan, Refusal> {
    let params = Params::read(&ABOUT, &request.params)?;
    let [Input::Blob { sha256, len, bytes, .. }] = &request.inputs[..] else {
        return Err(Refusal::input("repo-index takes exactly one input, a snapshot as a blob"));
    };
    if *len > caps.snapshot.archive_bytes {
        let most = caps.snapshot.archive_bytes;
        let message = format!("the snapshot has {len} bytes; this provider takes at most {most}");
        return Err(Refusal::over_limit(message));
    }
    let most = caps.snapshot.file_bytes;
    let max_file_bytes = params.number("max_file_bytes", DEFAULT_SYMBOL_FILE_BYTES, most)?;
    Ok(Plan { sha256: *sha256, len: *len, bytes: bytes.clone(), max_file_bytes })
}

fn limits(caps: &Caps) -> Limits {
    Limits {
        wall_ms: 300_000,
        cpu_secs: 240,
        memory_bytes: 2 << 30,
        processes: 4,
        file_bytes: build::INDEX_BYTES.max(caps.snapshot.archive_bytes),
        disk_bytes: build::INDEX_BYTES + caps.snapshot.archive_bytes + (64 << 20),
        files: 16,
        output_bytes: 4 << 10,
        output_stop_bytes: 1 << 20,
    }
}

/// Builds the whole index in the sandbox: the payload's summary and the index itself.
async fn index(context: &Context, plan: &Plan, bytes: Bytes) -> Result<Output, ExecuteError> {
    let args = vec![plan.sha256.to_string(), plan.max_file_bytes.to_string()];
    let built = parse(context, BUILTIN, args, bytes, limits(&context.caps)).await?;
    let (payload, index) = build::split(&built)
        .ok_or_else(|| ExecuteError::Failed { why: "the indexer broke off".into() })?;
    let index = Attachment::new("index.json", "application/json", index.to_vec());
    Ok(Output {
        payload: payload.to_vec(),
        media_type: "application/json",
        attachments: vec![index],
    })
}

impl Kind for RepoIndex {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, request: &Request, caps: &Caps) -> Result<Estimate, Refusal> {
        let plan = plan(request, caps)?;
        Ok(Estimate { at_most_ms: limits(caps).wall_ms, input_bytes: plan.len })
    }

    fn execute<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
    ) -> KindFuture<'a, Result<Output, ExecuteError>> {
        Box::pin(async move {
            let plan = plan(request, &context.caps)?;
            let bytes =
                plan.bytes.clone().ok_or_else(|| Refusal::input("the snapshot is missing"))?;
            context.say(format!("indexing a snapshot of {} bytes", bytes.len()));
            index(context, &plan, bytes).await
        })
    }

    fn attached(
        &self,
        _request: &Request,
        _caps: &Caps,
        payload: &[u8],
    ) -> Result<Vec<Named>, String> {
        let Ok(summary) = serde_json::from_slice::<model::Summary>(payload) else {
            return Ok(Vec::new());
        };
        let (name, size_bytes) = ("index.json".to_owned(), summary.index.size);
        if size_bytes > build::INDEX_BYTES {
            return Err(format!("the index has {size_bytes} bytes, more than any may have"));
        }
        Ok(vec![Named { name, sha256: summary.index.sha256, size_bytes }])
    }

    fn verify<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
        output: &'a Output,
    ) -> KindFuture<'a, Verdict> {
        Box::pin(verify::verify(context, request, output))
    }
}
