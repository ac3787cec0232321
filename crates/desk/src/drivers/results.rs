//! Results that we bought, read back out of the log for people.

use domain::{ErrorBody, RequestId, StreamId};
use engine::view::JobResult;
use nip90::{Blob, ResultRef};
use std::sync::Arc;
use store::{EventQuery, Order, Reader};

use super::kept::{self, Place};
use crate::{process::Inner, storage};

/// Longer results are read from the blob or the export.
const SHOWN_BYTES: usize = 64 * 1024;

/// The result of a bought job as text, where it has come and people can read it.
pub async fn text(desk: &Arc<Inner>, id: RequestId) -> Option<String> {
    match page(desk, id).await.ok()? {
        JobResult::Text { text, cut, .. } => Some(if cut { text + "…" } else { text }),
        JobResult::NotHere | JobResult::NotText { .. } => None,
    }
}

/// The result of a bought job as a window shows it, at most [`SHOWN_BYTES`] of it.
pub async fn page(desk: &Arc<Inner>, id: RequestId) -> Result<JobResult, ErrorBody> {
    let Some(result) = desk.read(move |reader| find(reader, id)).await? else {
        return Ok(JobResult::NotHere);
    };
    let (bytes, media_type) = match &result {
        ResultRef::Event { body, .. } => {
            (desk.body(body).await.ok().map(|bytes| bytes.to_vec()), body.media_type.to_string())
        }
        ResultRef::Blob(Blob { sha256, media_type, .. }) => (
            kept::read(desk, &[Place::Bought], sha256).await.map(|bytes| bytes.to_vec()),
            media_type.clone(),
        ),
    };
    let Some(bytes) = bytes else { return Ok(JobResult::NotHere) };
    let size_bytes = bytes.len() as u64;
    let Ok(mut text) = String::from_utf8(bytes) else {
        return Ok(JobResult::NotText { size_bytes, media_type });
    };
    let cut = text.len() > SHOWN_BYTES;
    text.truncate(text.floor_char_boundary(SHOWN_BYTES));
    Ok(JobResult::Text { text, cut, size_bytes, media_type })
}

/// What the log says of the result: the newest, unless that was found to be none.
fn find(reader: &Reader, id: RequestId) -> Result<Option<ResultRef>, ErrorBody> {
    let query = EventQuery {
        order: Order::NewestFirst,
        limit: 100,
        stream: Some(StreamId::of("buy", id)),
        ..EventQuery::default()
    };
    let page = reader.events(&query).map_err(storage::error)?;
    for event in &page.rows {
        let envelope = event.envelope().map_err(storage::error)?;
        if envelope.type_name == "buy.unchosen" {
            return Ok(None);
        }
        if envelope.type_name == "buy.result" {
            let data: serde_json::Value =
                serde_json::from_str(envelope.data.get()).unwrap_or_default();
            return Ok(serde_json::from_value(data["result"].clone()).ok());
        }
    }
    Ok(None)
}
