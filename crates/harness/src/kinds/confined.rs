//! Parsing what strangers send: our own parsers, each run in the sandbox on one input.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use super::{Context, ExecuteError, repo_index, text};
use crate::{
    platform,
    sandbox::{End, LimitHit, Limits, Program, Spec},
};

const INPUT: &str = "input";
const OUTPUT: &str = "output";
/// A parser's exit code for input that it understood to be bad, with the reason on standard error.
const REFUSED: i32 = 3;

/// Runs one of our parsers over `input` in the sandbox; what it wrote, at most `max_bytes`.
pub(super) async fn parse(
    context: &Context,
    name: &str,
    args: Vec<String>,
    input: bytes::Bytes,
    limits: Limits,
) -> Result<Vec<u8>, ExecuteError> {
    let scratch = context.sandbox.scratch()?;
    let place = scratch.work().join(INPUT);
    in_thread(move || fs::write(place, input)).await?.map_err(failed("writing the input"))?;
    let program = Program::Builtin { name: name.to_owned(), args };
    let spec = Spec { limits, ..Spec::new(program) };
    let outcome = context.sandbox.run(&spec, &scratch, &context.cancel).await?;
    let said = String::from_utf8_lossy(&outcome.stderr.bytes).trim().to_owned();
    let why = match outcome.end {
        End::Exited { code: 0 } => {
            let place = scratch.work().join(OUTPUT);
            let read = in_thread(move || read_plain(&place, limits.file_bytes)).await?;
            return read.map_err(failed("reading what the parser wrote"));
        }
        End::Cancelled => return Err(ExecuteError::Cancelled),
        End::Exited { code: REFUSED } => said,
        End::TimedOut | End::OverLimit { limit: LimitHit::Cpu } => {
            "reading the input took too long".into()
        }
        End::OverLimit { limit: LimitHit::Memory } => {
            "reading the input took too much memory".into()
        }
        End::OverLimit { .. } => "reading the input gave more than it may".into(),
        _ => "the input cannot be read: its parser broke off".into(),
    };
    Err(ExecuteError::Failed { why })
}

/// Reads a plain file that untrusted work may have left: never a link, never more than `limit`.
pub(super) fn read_plain(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs blocking work off the async threads.
pub(super) async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ExecuteError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ExecuteError::Failed { why: error.to_string() })
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> ExecuteError {
    move |error| ExecuteError::Failed { why: format!("{what}: {error}") }
}

/// The other side: runs inside the sandbox, in the helper process.
pub(crate) fn run_builtin(name: &str, args: &[String], work: &Path, _stdin: File) -> i32 {
    let parsed =
        fs::read(work.join(INPUT)).map_err(|error| error.to_string()).and_then(
            |input| match name {
                text::BUILTIN => text::extract::builtin(&input, args),
                repo_index::BUILTIN => repo_index::build::builtin(&input, args),
                _ => Err("there is no such parser".to_owned()),
            },
        );
    let written = parsed.and_then(|output| {
        let file = platform::create_new(&work.join(OUTPUT), false);
        let write = |mut file: File| std::io::Write::write_all(&mut file, &output);
        file.and_then(write).map_err(|error| error.to_string())
    });
    match written {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("{why}");
            REFUSED
        }
    }
}
