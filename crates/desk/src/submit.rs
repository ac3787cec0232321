//! A job to buy as the command line describes it, made ready: folders packed, keys read.

use domain::{ErrorBody, ExitCode, Msat};
use nip90::{JobDraft, JobInput};
use serde::Deserialize;
use std::{path::PathBuf, sync::Arc};

use crate::{drivers::blobs, process::Inner};

/// What `job.submit` takes.
#[derive(Debug, Deserialize)]
pub struct Submission {
    kind: u16,
    text: Option<String>,
    path: Option<PathBuf>,
    /// `name=value`.
    #[serde(default)]
    params: Vec<String>,
    bid_msat: Msat,
    max_fee_msat: Msat,
    /// npub or hex.
    provider: Option<String>,
    timeout_secs: u32,
}

impl Submission {
    /// Packs, hashes and keeps what the job needs; nothing leaves this machine yet.
    pub async fn prepare(self, desk: &Arc<Inner>) -> Result<JobDraft, ErrorBody> {
        let usage = |code, message: String| ErrorBody::new(code, message).exit(ExitCode::Usage);
        let provider = match &self.provider {
            None => None,
            Some(text) => Some(
                vault::parse_pubkey(text).map_err(|error| usage("bad_key", error.to_string()))?,
            ),
        };
        let mut params = Vec::new();
        for param in &self.params {
            let (name, value) = param.split_once('=').ok_or_else(|| {
                usage("bad_param", format!("A parameter is name=value, not {param:?}."))
            })?;
            params.push((name.to_owned(), value.to_owned()));
        }
        let mut inputs = Vec::new();
        if let Some(text) = self.text {
            inputs.push(JobInput::Text { text });
        }
        if let Some(path) = self.path {
            inputs.push(blobs::pack(desk, path, Arc::default()).await?.input);
        }
        let key = host::entropy::command_id()
            .map_err(|error| ErrorBody::new("no_entropy", error.to_string()))?;
        Ok(JobDraft {
            key,
            kind: self.kind,
            inputs,
            params,
            bid_msat: self.bid_msat,
            max_fee_msat: self.max_fee_msat,
            provider,
            timeout_secs: self.timeout_secs,
        })
    }
}
