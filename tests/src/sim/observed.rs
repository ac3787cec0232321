//! What the invariants remember of one desk's log, counted event by event.

use domain::{Msat, PaymentHash, Receipt, Recorded, RequestId, StreamId, Timestamp};
use engine::Event;
use nip90::{PaymentPolicy, buyer::BuyerEvent, provider::ProviderEvent};
use std::collections::HashMap;

#[derive(Default)]
pub struct Observed {
    /// How many final states each job's stream has recorded.
    pub ends: HashMap<StreamId, u32>,
    pub promised: HashMap<RequestId, (Msat, PaymentPolicy)>,
    pub invoiced: HashMap<RequestId, (PaymentHash, Msat)>,
    pub receipts: HashMap<StreamId, Vec<Receipt>>,
    /// What the buyer recorded as paid, fees included.
    pub spent_msat: u64,
    /// The same, by UTC day.
    pub spent_on_msat: HashMap<u64, u64>,
    /// What the buyer recorded as paid in vain.
    pub in_vain: HashMap<RequestId, Msat>,
    /// The job that each order became, by the order's key.
    pub orders: HashMap<u32, RequestId>,
}

impl Observed {
    pub fn note(&mut self, event: &Recorded<Event>) {
        let job = request_of(&event.stream);
        match &event.data {
            Event::Provider(data) => self.note_sold(event, data, job),
            Event::Buyer(data) => self.note_bought(event, data, job),
            _ => {}
        }
    }

    fn note_sold(&mut self, event: &Recorded<Event>, data: &ProviderEvent, job: Option<RequestId>) {
        let Some(id) = job else { return };
        match data {
            ProviderEvent::Accepted(accepted) => {
                self.promised.insert(id, (accepted.price_msat, accepted.payment));
            }
            ProviderEvent::Invoiced(invoiced) => {
                self.invoiced.insert(id, (invoiced.payment_hash, invoiced.amount_msat));
            }
            ProviderEvent::Refused(_)
            | ProviderEvent::Failed(_)
            | ProviderEvent::Cancelled(_)
            | ProviderEvent::Delivered(_) => self.end(&event.stream),
            ProviderEvent::ReceiptSigned(signed) => self.receipt(&event.stream, &signed.receipt),
            _ => {}
        }
    }

    fn note_bought(&mut self, event: &Recorded<Event>, data: &BuyerEvent, job: Option<RequestId>) {
        match data {
            BuyerEvent::Done(_) | BuyerEvent::Cancelled(_) => self.end(&event.stream),
            BuyerEvent::Failed(failed) => {
                self.end(&event.stream);
                if let (Some(id), Some(spent)) = (job, failed.spent_msat) {
                    self.in_vain.insert(id, spent);
                }
            }
            BuyerEvent::Paid(paid) => {
                let spent = paid.amount_msat.get() + paid.fee_msat.get();
                self.spent_msat += spent;
                *self.spent_on_msat.entry(day_of(event.at)).or_default() += spent;
            }
            BuyerEvent::ReceiptSigned(signed) => self.receipt(&event.stream, &signed.receipt),
            _ => {}
        }
    }

    fn end(&mut self, stream: &StreamId) {
        *self.ends.entry(stream.clone()).or_default() += 1;
    }

    fn receipt(&mut self, stream: &StreamId, receipt: &Receipt) {
        self.receipts.entry(stream.clone()).or_default().push(receipt.clone());
    }
}

pub fn day_of(at: Timestamp) -> u64 {
    at.as_secs() / (24 * 3_600)
}

/// The job that a stream is about.
pub fn request_of(stream: &StreamId) -> Option<RequestId> {
    let (area, id) = stream.as_str().split_once('/')?;
    matches!(area, "job" | "buy").then(|| id.parse().ok()).flatten()
}
