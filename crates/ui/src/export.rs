//! The history as a file: every page read and written away from the UI thread.
//!
//! An amount without value says so in its own line, so that no sum of a spreadsheet can lie.

use domain::{Network, Timestamp};
use engine::{
    DeskPort, Query,
    view::{Answer, PaymentView},
};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    time::Duration,
};

use crate::present::{history::Filter, words};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

impl Format {
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "payments.csv",
            Self::Json => "payments.json",
        }
    }
}

/// Payments asked for at once.
const PAGE: u32 = 200;
/// The most that one file holds.
const MOST: usize = 200_000;
/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is exported, and how.
#[derive(Clone, Debug)]
pub struct Order {
    pub format: Format,
    pub filter: Filter,
    pub network: Network,
    pub at: Timestamp,
}

/// An export on its way: how many payments it wrote, or why it wrote none.
pub struct Export(Receiver<Result<(usize, PathBuf), String>>);

impl Export {
    pub fn start(
        port: Arc<dyn DeskPort>,
        order: Order,
        path: PathBuf,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let (send, receive) = sync_channel(1);
        let unstarted = send.clone();
        let spawned = std::thread::Builder::new().name("export".into()).spawn(move || {
            let done = payments(&*port, &order)
                .and_then(|payments| write(&payments, &order, &path).map(|()| payments.len()));
            // The window may be gone by then.
            let _unheard = send.send(done.map(|count| (count, path)));
            wake();
        });
        if spawned.is_err() {
            let _unheard = unstarted.send(Err("Nothing was written: try again.".into()));
        }
        Self(receive)
    }

    pub fn take(&self) -> Option<Result<(usize, PathBuf), String>> {
        match self.0.try_recv() {
            Ok(done) => Some(done),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err("The export broke off.".into())),
        }
    }
}

/// Everything that the filter lets through, newest first: what is hot, then page after page.
fn payments(port: &dyn DeskPort, order: &Order) -> Result<Vec<PaymentView>, String> {
    let hot = port.view();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut take = |payment: &PaymentView| {
        let is_new = seen.insert(payment.key.clone());
        if is_new && order.filter.lets(payment) && found.len() < MOST {
            found.push(payment.clone());
        }
        is_new
    };
    for payment in &hot.payments {
        take(payment);
    }
    let mut before = None;
    loop {
        let answer = port.ask(Query::Payments { before, count: PAGE }).recv_timeout(PATIENCE);
        let page = match answer {
            Ok(Answer::Payments { payments }) => payments,
            Ok(Answer::Failed(error)) => return Err(format!("Nothing was written. {error}")),
            Ok(_) | Err(_) => {
                return Err("Nothing was written: the desk did not answer. Try again.".into());
            }
        };
        let last = page.last().map(|payment| payment.updated_at);
        let grew = page.iter().filter(|payment| take(payment)).count() > 0;
        if last.is_none() || last == before || (!grew && before.is_some()) {
            break;
        }
        before = last;
    }
    found.sort_by_key(|payment| std::cmp::Reverse(payment.updated_at));
    Ok(found)
}

fn write(payments: &[PaymentView], order: &Order, path: &Path) -> Result<(), String> {
    let text = match order.format {
        Format::Csv => csv(payments, order.network),
        Format::Json => json_text(payments, order),
    };
    std::fs::write(path, text)
        .map_err(|error| format!("{} was not written: {error}.", path.display()))
}

/// What an amount is worth where that is nothing: `PRACTICE`, `REGTEST`, `SIGNET`.
pub fn mark(network: Network) -> &'static str {
    words::network_badge(network).map_or("", |(word, _)| word)
}

const HEAD: &str = "network,marked,updated_at,created_at,direction,state,amount_msat,fee_msat,rail,\
     account,payee,memo,payment_hash,preimage,reference,request,job,detail,key";

pub fn csv(payments: &[PaymentView], network: Network) -> String {
    let mut text = format!("{HEAD}\r\n");
    for payment in payments {
        let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let shown = |value: Option<String>| value.unwrap_or_default();
        let fields = [
            network.to_string(),
            mark(network).to_owned(),
            payment.updated_at.to_rfc3339(),
            payment.created_at.to_rfc3339(),
            word(json!(payment.direction)),
            word(json!(payment.state)),
            payment.amount_msat.get().to_string(),
            shown(payment.fee_msat.map(|fee| fee.get().to_string())),
            word(json!(payment.rail)),
            payment.account.to_string(),
            shown(payment.payee.clone()),
            payment.memo.clone(),
            shown(payment.payment_hash.map(|hash| hash.to_string())),
            shown(payment.preimage.map(|preimage| word(json!(preimage)))),
            shown(payment.reference.clone()),
            shown(payment.request.clone()),
            shown(payment.job.map(|job| job.to_string())),
            shown(payment.detail.clone()),
            payment.key.to_string(),
        ];
        let line: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        // Writing to a string cannot fail.
        let _written = write!(text, "{}\r\n", line.join(","));
    }
    text
}

/// One field (RFC 4180). What a spreadsheet would run as a formula is kept from it.
fn quoted(field: &str) -> String {
    let clean = words::one_line(field);
    let runs = clean.starts_with(['=', '+', '-', '@']);
    let clean = if runs { format!("'{clean}") } else { clean };
    if clean.contains([',', '"']) || runs {
        format!("\"{}\"", clean.replace('"', "\"\""))
    } else {
        clean
    }
}

fn json_text(payments: &[PaymentView], order: &Order) -> String {
    let mark = mark(order.network);
    let rows: Vec<Value> = payments
        .iter()
        .map(|payment| {
            let mut row = json!(payment);
            if !mark.is_empty() {
                row["marked"] = json!(mark);
            }
            row["network"] = json!(order.network);
            row
        })
        .collect();
    let whole = json!({
        "network": order.network, "marked": mark, "exported_at": order.at.to_rfc3339(),
        "payments": rows,
    });
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_of_a_stranger_is_never_a_formula() {
        assert_eq!(quoted("=HYPERLINK(\"http://x\")"), "\"'=HYPERLINK(\"\"http://x\"\")\"");
        assert_eq!(quoted("a, b"), "\"a, b\"");
        assert_eq!(quoted("a\r\nb"), "a b");
        assert_eq!(quoted("plain"), "plain");
    }

    proptest! {
        #[test]
        fn a_line_stays_one_line_of_one_field(text in "\\PC{0,60}") {
            let field = quoted(&text);
            prop_assert!(!field.contains(['\r', '\n']));
            let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            prop_assert!(inner.is_some() || !field.contains([',', '"']));
            let first = inner.unwrap_or(&field).chars().next();
            prop_assert!(first.is_none_or(|c| !matches!(c, '=' | '+' | '-' | '@')));
        }
    }
}
