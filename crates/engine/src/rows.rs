//! Rows of the paged views: jobs and payments that are over, and every receipt.

use domain::{Recorded, Timestamp};
use nip90::{buyer::BuyerEvent, provider::ProviderEvent};

use crate::{
    event::{DeskEvent, Event},
    present,
    state::State,
    timeline::JobKey,
    wallet_mirror::is_over,
};

/// One row of a paged view, to be put or replaced by (table, key).
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub table: &'static str,
    pub key: String,
    /// Pages are ordered by it.
    pub sort: Timestamp,
    pub json: String,
}

/// Names of the paged views.
pub mod table {
    pub const JOBS: &str = "jobs";
    pub const PAYMENTS: &str = "payments";
    pub const RECEIPTS: &str = "receipts";
}

/// The rows that `event`, just applied to `state`, changes.
pub fn project(state: &State, event: &Recorded<Event>) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(key) = JobKey::of_stream(event.stream.as_str())
        && present::is_over(state, &key)
        && let Some(job) = present::job(state, &key)
    {
        rows.extend(row(table::JOBS, event.stream.to_string(), event.at, &job));
    }
    match &event.data {
        Event::Desk(DeskEvent::PaymentChanged(changed)) if is_over(changed.payment.state) => {
            let payment = present::payment(&changed.payment);
            rows.extend(row(table::PAYMENTS, payment.key.to_string(), event.at, &payment));
        }
        Event::Provider(ProviderEvent::ReceiptSigned(signed)) => {
            rows.extend(row(table::RECEIPTS, signed.receipt.id.clone(), event.at, &signed.receipt));
        }
        Event::Buyer(BuyerEvent::ReceiptSigned(signed)) => {
            rows.extend(row(table::RECEIPTS, signed.receipt.id.clone(), event.at, &signed.receipt));
        }
        _ => {}
    }
    rows
}

fn row<T: serde::Serialize>(
    table: &'static str,
    key: String,
    sort: Timestamp,
    value: &T,
) -> Option<Row> {
    Some(Row { table, key, sort, json: serde_json::to_string(value).ok()? })
}
