//! The log read from outside the loop: pages, receipts, verification, rebuilding.

use domain::{ErrorBody, Network};
use domain::{RequestId, Timestamp};
use engine::{
    table,
    view::{JobView, LogRow},
};
use serde::de::DeserializeOwned;

use host::Home;
use serde_json::{Value, json};
use store::{EventQuery, EventRow, Order, ReadError, Reader, Trust, ViewQuery};

/// Rows of one answer, at most.
pub const MOST_ROWS: u32 = 1_000;

pub const DATABASE: &str = "pilothouse.db";

pub fn error(error: ReadError) -> ErrorBody {
    ErrorBody::new("log_not_read", error.to_string())
}

/// A reader of this home's log, without the key to its bodies.
pub fn reader(home: &Home) -> Result<Reader, ErrorBody> {
    let path = home.join(DATABASE);
    if !path.exists() {
        return Err(ErrorBody::new("no_log", "There is no log in this home yet.")
            .hint("Start the desk with `pilothouse up`, or choose another --home."));
    }
    Reader::open(&path, None).map_err(|error| ErrorBody::new("log_not_opened", error.to_string()))
}

pub fn row(event: &EventRow) -> Result<LogRow, ErrorBody> {
    let envelope = event.envelope().map_err(error)?;
    let data: Value = serde_json::from_str(envelope.data.get()).unwrap_or(Value::Null);
    Ok(LogRow {
        position: event.position,
        stream: event.stream.clone(),
        seq: event.seq,
        at: envelope.at,
        summary: engine::summary::line(&envelope.type_name, &data),
        type_name: envelope.type_name.into_owned(),
    })
}

pub fn row_text(row: &LogRow) -> String {
    format!("{:>7}  {}  {:<20} {}", row.position, row.at, row.type_name, row.summary)
}

/// The newest `count` rows, oldest first.
pub fn newest_rows(
    reader: &Reader,
    count: u32,
    filter: Option<&str>,
) -> Result<Vec<LogRow>, ErrorBody> {
    let mut query =
        EventQuery { limit: count, text: filter.map(Into::into), ..EventQuery::default() };
    let mut rows = Vec::new();
    while rows.len() < count as usize {
        let page = reader.events(&query).map_err(error)?;
        for event in &page.rows {
            rows.push(row(event)?);
        }
        match page.next {
            Some(next) => query.from = Some(next),
            None => break,
        }
    }
    rows.truncate(count as usize);
    rows.reverse();
    Ok(rows)
}

/// Rows from `position` on, oldest first.
pub fn rows_from(reader: &Reader, position: u64, count: u32) -> Result<Vec<LogRow>, ErrorBody> {
    let query = EventQuery {
        order: Order::OldestFirst,
        from: Some(position.saturating_sub(1)),
        limit: count,
        ..EventQuery::default()
    };
    reader.events(&query).map_err(error)?.rows.iter().map(row).collect()
}

/// The newest rows of a paged view before `before`; rows of another shape are left out.
pub fn page<T: DeserializeOwned>(
    reader: &Reader,
    table: &str,
    before: Option<Timestamp>,
    count: u32,
) -> Result<Vec<T>, ErrorBody> {
    let from = before.map(|at| (i64::try_from(at.0).unwrap_or(i64::MAX), String::new()));
    let query = ViewQuery { from, limit: count, ..ViewQuery::default() };
    let rows = reader.view_rows(table, &query).map_err(error)?;
    Ok(rows.rows.into_iter().filter_map(|row| serde_json::from_str(&row.json).ok()).collect())
}

/// A job that is over and no longer held in memory.
pub fn job_row(reader: &Reader, id: RequestId) -> Result<Option<Value>, ErrorBody> {
    let query = ViewQuery { limit: 2, text: Some(id.to_string()), ..ViewQuery::default() };
    let page = reader.view_rows(table::JOBS, &query).map_err(error)?;
    let job = page.rows.iter().find_map(|row| serde_json::from_str::<JobView>(&row.json).ok());
    Ok(job.map(|job| crate::status::job_json(&job)))
}

pub fn receipts(reader: &Reader, count: u32) -> Result<Vec<Value>, ErrorBody> {
    page(reader, table::RECEIPTS, None, count)
}

/// Checks the whole log of this home.
pub fn verify(home: &Home, network: Network) -> Result<Value, ErrorBody> {
    let vault = crate::identity::open_existing(home, network)?;
    let reader = Reader::open(&home.join(DATABASE), Some(&*vault.body_key()))
        .map_err(|error| ErrorBody::new("log_not_opened", error.to_string()))?;
    let trust = Trust { signer: vault.pubkey(), verify: &vault::verify_digest };
    let report = reader.verify(&trust).map_err(error)?;
    let mut shown = serde_json::to_value(&report)
        .map_err(|error| ErrorBody::new("internal", error.to_string()))?;
    shown["ok"] = json!(report.holds());
    Ok(shown)
}

pub fn verify_text(report: &Value) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default()
}

/// Drops every view and folds it anew from the log; the desk must not run.
pub fn rebuild(home: &Home, network: Network) -> Result<Value, ErrorBody> {
    let _lock = home.lock("pilothouse").map_err(crate::cli::home_error)?;
    let vault = crate::identity::open_existing(home, network)?;
    let mut store = crate::process::open_store(home, &vault)?;
    let events = host::core::rebuild::<engine::State>(&mut store, crate::process::engine_rows)
        .map_err(|error| ErrorBody::new("not_rebuilt", error.to_string()))?;
    Ok(json!({ "events": events }))
}
