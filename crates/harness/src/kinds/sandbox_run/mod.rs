//! Kind 5930: one command in a sandbox, over inline files or a directory snapshot named by hash.

mod request;
mod result;
mod tree;
mod verify;

use domain::{Msat, Sha256Hash};
use std::{fs, path::Path};

use super::{
    About, Attachment, Caps, Context, Estimate, ExecuteError, Kind, KindFuture, Named, Output,
    Param, Refusal, Request, Verdict,
    confined::{failed, in_thread},
};
use crate::{
    platform,
    sandbox::{End, Outcome, Program, Spec},
    snapshot::{self, Manifest},
};
use request::{InlineFile, Plan};
use result::{Payload, Returned, SnapshotEcho, Stream};
use tree::Tree;

pub(super) struct SandboxRun;

static ABOUT: About = About {
    kind: 5930,
    name: "sandbox-run",
    description: "Runs a command in a sandbox without network and returns its output, its exit \
                  code and the hashes of the files it changed.",
    inputs: "Optional: a directory snapshot (a blob, gzip-compressed tar), JSON \
             {\"files\":[{\"path\",\"text\" or \"base64\",\"executable\"}]}, and a shell script \
             as text where no command is given as a parameter.",
    params: &[
        Param { name: "argv", description: "The command as a JSON list of words.", repeats: false },
        Param { name: "script", description: "A script for /bin/sh instead.", repeats: false },
        Param { name: "env", description: "NAME=VALUE for its environment.", repeats: true },
        Param { name: "stdin", description: "Text on its standard input.", repeats: false },
        Param {
            name: "return",
            description: "Path of a file to return with the result.",
            repeats: true,
        },
        Param { name: "timeout_secs", description: "Seconds it may take.", repeats: false },
        Param { name: "cpu_secs", description: "Seconds of processor time.", repeats: false },
        Param { name: "memory_mib", description: "Memory of all its processes.", repeats: false },
        Param { name: "disk_mib", description: "Disk of all its files.", repeats: false },
        Param { name: "processes", description: "Processes and threads.", repeats: false },
        Param {
            name: "output_bytes",
            description: "Kept of each of its two outputs.",
            repeats: false,
        },
        Param { name: "network", description: "Only `none`.", repeats: false },
    ],
    default_price_msat: Msat::from_sat(2),
    media_type: "application/json",
};

/// What a job's own files and clean-up may take beyond the command's time.
const AROUND_MS: u64 = 30_000;

impl Kind for SandboxRun {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, request: &Request, caps: &Caps) -> Result<Estimate, Refusal> {
        let plan = Plan::read(request, caps)?;
        Ok(Estimate {
            at_most_ms: plan.limits.wall_ms + AROUND_MS,
            input_bytes: plan.input_bytes(),
        })
    }

    fn execute<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
    ) -> KindFuture<'a, Result<Output, ExecuteError>> {
        Box::pin(execute(context, request))
    }

    fn attached(
        &self,
        request: &Request,
        caps: &Caps,
        payload: &[u8],
    ) -> Result<Vec<Named>, String> {
        verify::attached(caps, request, payload)
    }

    fn verify<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
        output: &'a Output,
    ) -> KindFuture<'a, Verdict> {
        Box::pin(async move {
            let (caps, request, output) = (context.caps, request.clone(), output.clone());
            match in_thread(move || verify::check(&caps, &request, &output)).await {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Unchecked { why: error.to_string() },
            }
        })
    }
}

async fn execute(context: &Context, request: &Request) -> Result<Output, ExecuteError> {
    let plan = Plan::read(request, &context.caps)?;
    let scratch = context.sandbox.scratch()?;
    let work = scratch.work().to_path_buf();
    context.say("unpacking the inputs");
    let (archive, files, limits) = (plan.archive()?, plan.files.clone(), context.caps.snapshot);
    let place = work.clone();
    let (manifest, before) = in_thread(move || -> Result<_, ExecuteError> {
        let manifest = match archive {
            Some(archive) => snapshot::unpack(&archive, &place, &limits)
                .map_err(|error| Refusal::input(error.to_string()))?,
            None => Manifest::default(),
        };
        write_inline(&place, &files)?;
        let before =
            Tree::read(&place, u64::MAX, usize::MAX).map_err(failed("reading the inputs"))?;
        Ok((manifest, before))
    })
    .await??;
    if context.cancel.is_cancelled() {
        return Err(ExecuteError::Cancelled);
    }
    context.say(format!("running {}", plan.shown()));
    let spec = Spec {
        env: plan.env.clone(),
        stdin: plan.stdin.clone(),
        limits: plan.limits,
        ..Spec::new(Program::Command { argv: plan.argv.clone() })
    };
    let outcome = context.sandbox.run(&spec, &scratch, &context.cancel).await?;
    if outcome.end == End::Cancelled {
        return Err(ExecuteError::Cancelled);
    }
    context.say("hashing what changed");
    let (disk, entries) = (plan.limits.disk_bytes, plan.limits.files as usize);
    let backend = context.sandbox.probe().name.clone();
    let return_bytes = context.caps.return_bytes;
    in_thread(move || {
        // Read while the scratch directory is still there.
        let after = Tree::read(&work, disk, entries).map_err(failed("reading the outputs"))?;
        let (returned, attachments) = gather(&work, &plan, &after, return_bytes)?;
        let payload = payload(&plan, &manifest, &before, &after, &outcome, backend, returned);
        drop(scratch);
        Output::json(&payload, attachments)
    })
    .await?
}

/// Writes the request's own files over the snapshot's, never through a link.
fn write_inline(work: &Path, files: &[InlineFile]) -> Result<(), ExecuteError> {
    for file in files {
        let mut above = work.to_path_buf();
        let mut steps = file.path.split('/').peekable();
        while let Some(step) = steps.next() {
            above.push(step);
            let found = fs::symlink_metadata(&above).ok();
            let fault = failed("writing an inline file");
            match (steps.peek(), found) {
                (Some(_), None) => fs::create_dir(&above).map_err(fault)?,
                (Some(_), Some(metadata)) if metadata.is_dir() => {}
                (None, None) => {}
                (None, Some(metadata)) if metadata.is_file() => {
                    fs::remove_file(&above).map_err(fault)?;
                }
                _ => {
                    let why = format!("the inline file {} is in the way of another", file.path);
                    return Err(Refusal::input(why).into());
                }
            }
        }
        let written = platform::create_new(&above, file.executable)
            .and_then(|mut place| std::io::Write::write_all(&mut place, &file.bytes));
        written.map_err(failed("writing an inline file"))?;
    }
    Ok(())
}

/// Reads the files to return, all small enough together.
fn gather(
    work: &Path,
    plan: &Plan,
    after: &Tree,
    mut room: u64,
) -> Result<(Vec<Returned>, Vec<Attachment>), ExecuteError> {
    let (mut returned, mut attachments) = (Vec::new(), Vec::new());
    for path in &plan.returns {
        let Some(file) = after.file(path) else {
            returned.push(Returned::missing(path, "there is no such file"));
            continue;
        };
        if file.size > room {
            returned.push(Returned::missing(path, "it is too large to return"));
            continue;
        }
        room -= file.size;
        // Listed as a plain file below real directories, and nothing of the run is alive.
        let bytes = super::confined::read_plain(&work.join(path), file.size)
            .map_err(failed("reading a file to return"))?;
        let (item, attachment) = Returned::of(path, bytes);
        returned.push(item);
        attachments.extend(attachment);
    }
    Ok((returned, attachments))
}

fn payload(
    plan: &Plan,
    manifest: &Manifest,
    before: &Tree,
    after: &Tree,
    outcome: &Outcome,
    sandbox: String,
    returned: Vec<Returned>,
) -> Payload {
    let (changed, changed_truncated) = result::changes(before, after);
    let echo = |sha256: Sha256Hash| SnapshotEcho { sha256, root: manifest.root() };
    Payload {
        v: 1,
        request_sha256: plan.sha256(),
        snapshot: plan.snapshot.as_ref().map(|blob| echo(blob.sha256)),
        end: outcome.end.clone(),
        exit_code: match outcome.end {
            End::Exited { code } => Some(code),
            _ => None,
        },
        stdout: Stream::of(&outcome.stdout),
        stderr: Stream::of(&outcome.stderr),
        changed,
        changed_truncated: changed_truncated || after.truncated,
        returned,
        usage: outcome.usage,
        sandbox,
    }
}
