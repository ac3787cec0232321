//! Blobs that lie on this machine, sealed: inputs that we packed, and what we bought.

use bytes::Bytes;
use domain::{BodyRef, ErrorBody, RequestId, Sha256Hash, StreamId, Timestamp};
use engine::view::JobRole;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use store::{EventQuery, Order, Reader, SealedFiles};

use crate::{process::Inner, storage};

/// Why a blob is kept: a folder of its own below the home.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// An input of ours, until no open job names it.
    Packed,
    /// Part of a result that we bought.
    Bought,
}

/// The clock of a file system may be behind by less than this.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

impl Place {
    fn files(self, desk: &Inner) -> Result<SealedFiles, ErrorBody> {
        let name = match self {
            Self::Packed => "packed",
            Self::Bought => "bought",
        };
        let dir = desk.home.dir(name).map_err(crate::cli::home_error)?;
        Ok(SealedFiles::new(dir, &desk.vault.body_key()))
    }
}

/// A blob that lies in one of these places. One that can't be read, or was changed, does not.
pub async fn read(desk: &Inner, places: &[Place], sha256: &Sha256Hash) -> Option<Bytes> {
    let places: Vec<_> =
        places.iter().map(|place| place.files(desk)).collect::<Result<_, _>>().ok()?;
    let sha256 = *sha256;
    blocking(move || places.iter().find_map(|files| files.read(&sha256).ok()?))
        .await
        .ok()?
        .map(Bytes::from)
}

/// Returns once the blob is on the disk.
pub async fn write(
    desk: &Inner,
    place: Place,
    sha256: &Sha256Hash,
    bytes: &Bytes,
) -> Result<(), ErrorBody> {
    let (files, sha256, bytes) = (place.files(desk)?, *sha256, bytes.clone());
    blocking(move || files.write(&sha256, &bytes)).await?.map_err(not_kept)
}

/// Deletes inputs packed before this start that no open job of ours names: of jobs that are over,
/// and of jobs that were never sent. Returns how many.
///
/// # Errors
/// The log could not be read, or the disk failed: what could be needed stays.
pub async fn forget_packed(desk: &Arc<Inner>, started: Timestamp) -> Result<usize, ErrorBody> {
    let Some(open) = open_purchases(desk) else { return Ok(0) };
    let mut needed = HashSet::new();
    for id in open {
        let request = desk.read(move |reader| request_of(reader, id)).await?;
        needed.extend(hashes_in(&String::from_utf8_lossy(&desk.body(&request).await?)));
    }
    let files = Place::Packed.files(desk)?;
    let before = SystemTime::UNIX_EPOCH + Duration::from_millis(started.0) - CLOCKS_DIFFER;
    blocking(move || files.retain(&needed, before)).await?.map_err(not_kept)
}

/// Jobs of ours that are not over, or `None` where the view may hold only some of them: it names
/// open jobs first and is cut at its length.
fn open_purchases(desk: &Inner) -> Option<Vec<RequestId>> {
    let view = desk.view();
    if view.jobs.last().is_some_and(|job| !job.over) {
        return None;
    }
    let ours = view.jobs.iter().filter(|job| !job.over && job.role == JobRole::Buyer);
    Some(ours.map(|job| job.request_id).collect())
}

/// The body of a purchase's request, from the first event of its stream.
fn request_of(reader: &Reader, id: RequestId) -> Result<BodyRef, ErrorBody> {
    let query = EventQuery {
        order: Order::OldestFirst,
        limit: 1,
        stream: Some(StreamId::of("buy", id)),
        ..EventQuery::default()
    };
    let missing = || ErrorBody::new("log_not_read", format!("The request of job {id} is missing."));
    let page = reader.events(&query).map_err(storage::error)?;
    let envelope = page.rows.first().ok_or_else(missing)?.envelope().map_err(storage::error)?;
    let mut data: serde_json::Value =
        serde_json::from_str(envelope.data.get()).map_err(|_| missing())?;
    serde_json::from_value(data["request"].take()).map_err(|_| missing())
}

/// Whatever in a text is as long as a hash and could be one.
fn hashes_in(text: &str) -> impl Iterator<Item = Sha256Hash> {
    text.split(|c: char| !c.is_ascii_hexdigit()).filter_map(|word| word.parse().ok())
}

fn not_kept(error: std::io::Error) -> ErrorBody {
    ErrorBody::new("not_written", error.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ErrorBody> {
    let working = tokio::task::spawn_blocking(work);
    working.await.map_err(|error| ErrorBody::new("internal", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_that_a_request_names_are_found() {
        let (one, other) = (Sha256Hash::of(b"one"), Sha256Hash::of(b"other"));
        let template = serde_json::json!({ "kind": 5931, "tags": [
            ["i", format!("https://blobs.example/{one}.tar"), "url"],
            ["imeta", format!("url https://blobs.example/{one}"), format!("x {other}"), "size 3"],
            ["p", "abc"],
        ] });
        let found: Vec<_> = hashes_in(&template.to_string()).collect();
        assert_eq!(found, [one, one, other]);
        assert_eq!(hashes_in(&"0".repeat(65)).count(), 0);
    }
}
