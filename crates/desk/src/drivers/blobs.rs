//! Blobs: what is too large for an event goes by hash over Blossom (BUD-01, BUD-02).

use bytes::Bytes;
use domain::{ErrorBody, Sha256Hash};
use engine::{
    Effect, Fact, Input,
    port::{PackProgress, Packed},
};
use harness::snapshot::{self, SnapshotLimits};
use host::Pending;
use net::BlossomError;
use nip90::{
    Blob, JobInput, ResultRef,
    buyer::{BuyerEffect, BuyerInput},
};
use relay::{BoxFuture, SignFault};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

use super::{
    backoff::Backoff,
    effects,
    kept::{self, Place},
    not_ours, ordered, sign,
};
use crate::process::Inner;

const AT_ONCE: usize = 8;
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// About half a minute.
const TRIES: u32 = 10;
/// The largest file that is sent as it is.
const LARGEST_FILE_BYTES: u64 = 16 << 20;
/// All tries of one download together: a server that drips must not hold its place for long.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);
/// The largest blob that is fetched, whatever names it: no input and no result may have more.
const LARGEST_BLOB_BYTES: u64 = 64 << 20;
/// Of what could not be packed, so many are named.
const LEFT_OUT_NAMED: usize = 20;

pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    let committed = effects(desk, "blob")?;
    let fetching = Arc::clone(desk);
    let fetch = move |pending| fetch(Arc::clone(&fetching), pending);
    tasks.spawn(ordered::run(committed, AT_ONCE, fetch));
    let (desk, started) = (Arc::clone(desk), host::clock::now());
    tasks.spawn(async move {
        match kept::forget_packed(&desk, started).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "packed inputs of jobs that are over are deleted"),
            Err(error) => tracing::warn!(%error, "packed inputs of jobs that are over stay"),
        }
    });
    Ok(())
}

/// Fetches a result that we bought into our own store.
async fn fetch(desk: Arc<Inner>, pending: Pending<Effect>) {
    let Effect::Buyer(BuyerEffect::FetchBlob { request_id, blob }) = pending.effect else {
        return not_ours(&desk, pending).await;
    };
    let fact = match obtain_bought(&desk, &blob).await {
        Ok(bytes) => BuyerInput::BlobFetched {
            request_id,
            sha256: blob.sha256,
            size_bytes: bytes.len() as u64,
        },
        Err(error) => {
            BuyerInput::BlobFailed { request_id, sha256: blob.sha256, reason: error.message }
        }
    };
    let _stopping = desk.core.deliver(Input::of_effect(pending.id, Fact::Buyer(fact))).await;
}

/// The bytes of `blob`: from our own store, else fetched and checked. A buyer's input is not kept:
/// a stranger's content stays no longer on this machine than its job runs.
pub async fn obtain(desk: &Inner, blob: &Blob) -> Result<Bytes, ErrorBody> {
    match kept::read(desk, &[Place::Packed, Place::Bought], &blob.sha256).await {
        Some(bytes) => Ok(bytes),
        None => download(desk, blob).await,
    }
}

/// The bytes of what we bought: kept from then on.
async fn obtain_bought(desk: &Inner, blob: &Blob) -> Result<Bytes, ErrorBody> {
    if let Some(bytes) = kept::read(desk, &[Place::Bought], &blob.sha256).await {
        return Ok(bytes);
    }
    let bytes = download(desk, blob).await?;
    kept::write(desk, Place::Bought, &blob.sha256, &bytes).await?;
    Ok(bytes)
}

async fn download(desk: &Inner, blob: &Blob) -> Result<Bytes, ErrorBody> {
    if blob.size_bytes > LARGEST_BLOB_BYTES {
        let size = blob.size_bytes;
        return Err(ErrorBody::new(
            "blob_too_large",
            format!("A blob of {size} bytes is not fetched; {LARGEST_BLOB_BYTES} is the most."),
        ));
    }
    let tries = async {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        loop {
            match desk.blossom.get(&blob.url, &blob.sha256, blob.size_bytes).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.is_retryable() && backoff.tries() < TRIES => {
                    tokio::time::sleep(backoff.failed()).await;
                }
                Err(error) => return Err(not_moved("fetched", &error)),
            }
        }
    };
    let late = |_| Err(ErrorBody::new("blob_not_moved", "Its server gave the blob too slowly."));
    tokio::time::timeout(DOWNLOAD_LIMIT, tries).await.unwrap_or_else(late)
}

/// Content that a result names by hash: it is on the server of the result's own blob, else on ours.
pub async fn obtain_attached(
    desk: &Inner,
    result: &ResultRef,
    named: &harness::kinds::Named,
) -> Result<Bytes, ErrorBody> {
    let server = match result {
        ResultRef::Blob(blob) => blob.url.clone(),
        ResultRef::Event { .. } => server(desk)?,
    };
    let url = net::blob_url(&server, &named.sha256)
        .map_err(|error| ErrorBody::new("bad_address", error.to_string()))?;
    let blob = Blob {
        url: url.into(),
        sha256: named.sha256,
        size_bytes: named.size_bytes,
        media_type: "application/octet-stream".to_owned(),
    };
    obtain_bought(desk, &blob).await
}

fn server(desk: &Inner) -> Result<String, ErrorBody> {
    desk.services
        .practice()
        .map(|practice| practice.blossom_url.clone())
        .ok_or_else(|| ErrorBody::new("no_blob_server", "No blob server is configured."))
}

/// Puts bytes on the operator's blob server, and says where they are.
pub async fn upload(desk: &Inner, bytes: Bytes, media_type: &str) -> Result<Blob, ErrorBody> {
    let server = server(desk)?;
    let size_bytes = bytes.len() as u64;
    let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
    loop {
        match desk.blossom.put(&server, bytes.clone(), media_type, &EventSigner(desk)).await {
            Ok(blob) => {
                return Ok(Blob {
                    url: blob.url,
                    sha256: blob.sha256,
                    size_bytes,
                    media_type: media_type.to_owned(),
                });
            }
            Err(error) if error.is_retryable() && backoff.tries() < TRIES => {
                tokio::time::sleep(backoff.failed()).await;
            }
            Err(error) => return Err(not_moved("stored", &error)),
        }
    }
}

/// Puts every blob that a request names on its server, out of our own store.
pub async fn upload_kept(desk: &Inner, blobs: &[Blob]) -> Result<(), ErrorBody> {
    for blob in blobs {
        let bytes = kept::read(desk, &[Place::Packed], &blob.sha256).await.ok_or_else(|| {
            ErrorBody::new(
                "blob_gone",
                format!("The packed input {} is gone.", blob.sha256.short()),
            )
        })?;
        upload(desk, bytes, &blob.media_type).await?;
    }
    Ok(())
}

fn not_moved(what: &str, error: &BlossomError) -> ErrorBody {
    ErrorBody::new("blob_not_moved", format!("A blob could not be {what}: {error}"))
}

/// Packs a folder as git would walk it, or takes a file as it is, and keeps it by hash.
pub async fn pack(
    desk: &Arc<Inner>,
    path: PathBuf,
    progress: Arc<PackProgress>,
) -> Result<Packed, ErrorBody> {
    let packing = tokio::task::spawn_blocking(move || pack_blocking(&path, &progress));
    let (bytes, sha256, packed) =
        packing.await.map_err(|error| ErrorBody::new("internal", error.to_string()))??;
    kept::write(desk, Place::Packed, &sha256, &bytes).await?;
    Ok(packed)
}

fn pack_blocking(
    path: &Path,
    progress: &PackProgress,
) -> Result<(Bytes, Sha256Hash, Packed), ErrorBody> {
    let bad = |message: String| ErrorBody::new("bad_path", message);
    let input = |bytes: &Bytes, media_type: &str| {
        let (sha256, media_type) = (Sha256Hash::of(bytes), media_type.to_owned());
        (sha256, JobInput::Blob { sha256, len: bytes.len() as u64, media_type })
    };
    if path.is_dir() {
        let go_on = |files, bytes| progress.note(files, bytes);
        let made =
            snapshot::pack_while(path, &SnapshotLimits::default(), &go_on).map_err(|error| {
                bad(format!("The folder was not packed: {error}. Nothing was kept or sent."))
            })?;
        let left_out = made.skipped.iter().take(LEFT_OUT_NAMED);
        let left_out = left_out.map(|one| format!("{}: {}", one.path.display(), one.why)).collect();
        let (sha256, input) = input(&made.archive, snapshot::MEDIA_TYPE);
        let packed = Packed {
            input,
            files: made.manifest.entries.len() as u64,
            left_out,
            left_out_count: made.skipped.len() as u64,
        };
        return Ok((made.archive, sha256, packed));
    }
    let meta = path
        .metadata()
        .map_err(|error| bad(format!("{} was not read: {error}.", path.display())))?;
    if meta.len() > LARGEST_FILE_BYTES {
        return Err(bad(format!("{} is larger than 16 MiB.", path.display())));
    }
    let bytes: Bytes = std::fs::read(path)
        .map_err(|error| bad(format!("{} was not read: {error}.", path.display())))?
        .into();
    progress.note(1, bytes.len() as u64);
    let (sha256, input) = input(&bytes, media_type_of(path));
    Ok((bytes, sha256, Packed { input, files: 1, left_out: Vec::new(), left_out_count: 0 }))
}

fn media_type_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html",
        Some("pdf") => "application/pdf",
        Some("md" | "markdown") => "text/markdown",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Signs Blossom's authorization events with the desk's identity.
struct EventSigner<'a>(&'a Inner);

impl relay::Signer for EventSigner<'_> {
    fn sign(
        &self,
        draft: nostr::event::EventBuilder,
    ) -> BoxFuture<'_, Result<nostr::event::Event, SignFault>> {
        let signed = sign::sign_draft(&self.0.vault, draft);
        Box::pin(async move { signed })
    }
}
