//! Kind 5000: the text of an HTML, PDF, Markdown or plain document.

pub(super) mod extract;

use bytes::Bytes;
use domain::{Msat, Sha256Hash};
use serde::{Deserialize, Serialize};

use super::{
    About, Caps, Context, Estimate, ExecuteError, Input, Kind, KindFuture, Output, Param, Refusal,
    Request, Verdict,
    confined::{in_thread, parse},
    params::Params,
};
use crate::sandbox::Limits;
use extract::Format;

pub(super) const BUILTIN: &str = "extract-text";
const DEFAULT_BYTES: u64 = 1 << 20;
const MAX_BYTES: u64 = 4 << 20;
/// Up to here a buyer extracts again to compare; above it takes too long for a check.
const RECOMPUTE_BYTES: usize = 2 << 20;

pub(super) struct TextExtraction;

static ABOUT: About = About {
    kind: 5000,
    name: "text-extraction",
    description: "The text of an HTML, PDF, Markdown or plain document, read in a sandbox.",
    inputs: "One document: text, or a blob with its media type.",
    params: &[
        Param {
            name: "media_type",
            description: "What the document is, when its input does not say: text/html, \
                          application/pdf, text/markdown or text/plain.",
            repeats: false,
        },
        Param {
            name: "max_bytes",
            description: "The most text to return (1,048,576 when not given).",
            repeats: false,
        },
    ],
    default_price_msat: Msat::from_sat(1),
    media_type: "application/json",
};

/// The result's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Payload {
    v: u32,
    input: InputEcho,
    /// The library and version that read it: the same one gives the same text.
    method: String,
    text: String,
    text_bytes: u64,
    text_sha256: Sha256Hash,
    /// There was more text than was asked for.
    truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InputEcho {
    sha256: Sha256Hash,
    size: u64,
    media_type: String,
}

struct Plan {
    format: Format,
    max_bytes: u64,
    size: u64,
    bytes: Option<Bytes>,
}

fn plan(request: &Request, caps: &Caps) -> Result<Plan, Refusal> {
    let params = Params::read(&ABOUT, &request.params)?;
    let [input] = &request.inputs[..] else {
        return Err(Refusal::input("text-extraction takes exactly one document"));
    };
    let (named, size, bytes) = match input {
        Input::Text(text) => {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            (params.one("media_type").unwrap_or("text/plain"), text.len() as u64, Some(bytes))
        }
        Input::Blob { len, media_type, bytes, .. } => {
            (params.one("media_type").unwrap_or(media_type), *len, bytes.clone())
        }
    };
    if size > caps.document_bytes {
        return Err(Refusal::over_limit(format!(
            "the document has {size} bytes; this provider reads at most {}",
            caps.document_bytes
        )));
    }
    let format = Format::named(named)?;
    let max_bytes = params.number("max_bytes", DEFAULT_BYTES, MAX_BYTES)?;
    Ok(Plan { format, max_bytes, size, bytes })
}

/// A PDF of a few megabytes may take a while; nothing else should.
fn limits(plan: &Plan) -> Limits {
    Limits {
        wall_ms: 60_000,
        cpu_secs: 30,
        memory_bytes: 768 << 20,
        processes: 4,
        file_bytes: plan.max_bytes.max(plan.size) + 4,
        disk_bytes: 64 << 20,
        files: 16,
        output_bytes: 4 << 10,
        output_stop_bytes: 16 << 20,
    }
}

impl Kind for TextExtraction {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, request: &Request, caps: &Caps) -> Result<Estimate, Refusal> {
        let plan = plan(request, caps)?;
        Ok(Estimate { at_most_ms: limits(&plan).wall_ms, input_bytes: plan.size })
    }

    fn execute<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
    ) -> KindFuture<'a, Result<Output, ExecuteError>> {
        Box::pin(async move {
            let plan = plan(request, &context.caps)?;
            let bytes =
                plan.bytes.clone().ok_or_else(|| Refusal::input("the document is missing"))?;
            let format = plan.format.settle(&bytes)?;
            context.say(format!("reading {} bytes of {}", bytes.len(), format.media_type()));
            let args = vec![format.media_type().to_owned(), (plan.max_bytes + 1).to_string()];
            // Plain text has no parser to protect us from.
            let found = if format == Format::Plain && bytes.len() <= RECOMPUTE_BYTES {
                extract::builtin(&bytes, &args).map_err(|why| ExecuteError::Failed { why })?
            } else {
                parse(context, BUILTIN, args, bytes.clone(), limits(&plan)).await?
            };
            Output::json(&payload(found, &bytes, format, plan.max_bytes)?, Vec::new())
        })
    }

    fn verify<'a>(
        &'a self,
        context: &'a Context,
        request: &'a Request,
        output: &'a Output,
    ) -> KindFuture<'a, Verdict> {
        Box::pin(async move {
            let checked = check(context, request, output).await;
            checked.map_or_else(Verdict::fails, |checked| Verdict::Holds { checked })
        })
    }
}

fn payload(
    mut found: Vec<u8>,
    bytes: &Bytes,
    format: Format,
    max_bytes: u64,
) -> Result<Payload, ExecuteError> {
    let truncated = found.len() as u64 > max_bytes;
    found.truncate(usize::try_from(max_bytes).unwrap_or(usize::MAX));
    // The cut may be inside a character.
    let whole = std::str::from_utf8(&found).map_or_else(|error| error.valid_up_to(), str::len);
    found.truncate(whole);
    let text = String::from_utf8(found).expect("BUG: cut at the last whole character");
    let input = InputEcho {
        sha256: Sha256Hash::of(bytes),
        size: bytes.len() as u64,
        media_type: format.media_type().to_owned(),
    };
    let (text_bytes, text_sha256) = (text.len() as u64, Sha256Hash::of(text.as_bytes()));
    let method = format.method().to_owned();
    Ok(Payload { v: 1, input, method, text, text_bytes, text_sha256, truncated })
}

async fn check(
    context: &Context,
    request: &Request,
    output: &Output,
) -> Result<Vec<&'static str>, String> {
    let claimed: Payload = serde_json::from_slice(&output.payload)
        .map_err(|error| format!("not a result: {error}"))?;
    let plan = plan(request, &context.caps).map_err(|refusal| refusal.message)?;
    let bytes = plan.bytes.clone().ok_or("the document is not at hand")?;
    if claimed.input.sha256 != Sha256Hash::of(&bytes) || claimed.input.size != bytes.len() as u64 {
        return Err("the result is about another document".into());
    }
    let format = plan.format.settle(&bytes).map_err(|refusal| refusal.message)?;
    if claimed.input.media_type != format.media_type() {
        return Err("the document was read as another type".into());
    }
    if claimed.text_bytes != claimed.text.len() as u64
        || claimed.text_sha256 != Sha256Hash::of(claimed.text.as_bytes())
        || claimed.text_bytes > plan.max_bytes
    {
        return Err("the text does not match its own size and hash".into());
    }
    let mut checked = vec!["input hash", "text hash"];
    if claimed.method != format.method() || bytes.len() > RECOMPUTE_BYTES {
        return Ok(checked);
    }
    let args = vec![format.media_type().to_owned(), (plan.max_bytes + 1).to_string()];
    let again = if context.sandbox.probe().available {
        parse(context, BUILTIN, args, bytes.clone(), limits(&plan)).await.ok()
    } else if format == Format::Pdf {
        None
    } else {
        let input = bytes.clone();
        in_thread(move || extract::builtin(&input, &args)).await.ok().and_then(Result::ok)
    };
    if let Some(again) = again {
        let again = payload(again, &bytes, format, plan.max_bytes).map_err(|e| e.to_string())?;
        if again != claimed {
            return Err("extracting again gives another text".into());
        }
        checked.push("extracted again");
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(input: Input, params: &[(&str, &str)]) -> Request {
        let params = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request { inputs: vec![input], params }
    }

    #[test]
    fn refuses_what_it_cannot_read_before_any_work() {
        let caps = Caps::default();
        let text = || Input::Text("x".into());
        assert!(TextExtraction.validate(&request(text(), &[]), &caps).is_ok());
        assert!(TextExtraction.validate(&Request::default(), &caps).is_err());
        for (name, value) in [("media-type", "image/png"), ("max-bytes", "0"), ("url", "x")] {
            assert!(TextExtraction.validate(&request(text(), &[(name, value)]), &caps).is_err());
        }
        let large = Input::Blob {
            sha256: Sha256Hash([0; 32]),
            len: caps.document_bytes + 1,
            media_type: "text/plain".into(),
            bytes: None,
        };
        let refusal = TextExtraction.validate(&request(large, &[]), &caps).unwrap_err();
        assert_eq!(refusal.code, "over_limit");
    }

    #[test]
    fn cuts_text_at_a_whole_character_and_says_so() {
        let bytes = Bytes::from_static("aé".as_bytes());
        let cut = payload(bytes.to_vec(), &bytes, Format::Plain, 2).unwrap();
        assert_eq!((cut.text.as_str(), cut.truncated), ("a", true));
    }
}
