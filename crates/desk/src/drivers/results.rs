//! Results that we bought, read back out of the log for people.

use domain::{ErrorBody, RequestId, StreamId};
use nip90::{Blob, ResultRef};
use std::sync::Arc;
use store::{EventQuery, Order, Reader};

use super::blobs;
use crate::{process::Inner, storage};

/// Longer results are read from the blob or the export.
const SHOWN_BYTES: usize = 64 * 1024;

/// The result of a bought job as text, where it has come and people can read it.
pub async fn text(desk: &Arc<Inner>, id: RequestId) -> Option<String> {
    let result = desk.read(move |reader| find(reader, id)).await.ok()??;
    let bytes = match &result {
        ResultRef::Event { body, .. } => desk.body(body).await.ok()?.to_vec(),
        ResultRef::Blob(Blob { sha256, .. }) => blobs::kept(desk, sha256).await?.to_vec(),
    };
    let text = String::from_utf8(bytes).ok()?;
    match text.char_indices().find(|(at, _)| *at >= SHOWN_BYTES) {
        Some((at, _)) => Some(format!("{}…", &text[..at])),
        None => Some(text),
    }
}

/// What the log says of the result.
fn find(reader: &Reader, id: RequestId) -> Result<Option<ResultRef>, ErrorBody> {
    let query = EventQuery {
        order: Order::OldestFirst,
        limit: 100,
        stream: Some(StreamId::of("buy", id)),
        ..EventQuery::default()
    };
    let page = reader.events(&query).map_err(storage::error)?;
    for event in &page.rows {
        let envelope = event.envelope().map_err(storage::error)?;
        if envelope.type_name == "buy.result" {
            let data: serde_json::Value =
                serde_json::from_str(envelope.data.get()).unwrap_or_default();
            return Ok(serde_json::from_value(data["result"].clone()).ok());
        }
    }
    Ok(None)
}
