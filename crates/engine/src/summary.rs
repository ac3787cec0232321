//! One line per event for people, from its type and data alone, so that any reader can make it.

use domain::Msat;
use serde_json::Value;

/// The longest line; the inspector shows the rest.
const LONGEST_CHARS: usize = 160;

/// `type_name` and `data` of any event in words; an unknown type lists its fields.
pub fn line(type_name: &str, data: &Value) -> String {
    let line = known(type_name, data).unwrap_or_else(|| fields(data));
    match line.char_indices().nth(LONGEST_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn known(type_name: &str, data: &Value) -> Option<String> {
    let text = |name: &str| data[name].as_str().unwrap_or("unknown").to_owned();
    Some(match type_name {
        "desk.started" => format!("The desk started ({}, {})", text("version"), text("network")),
        "desk.identity" => format!("This desk is {}", text("npub")),
        "relay.added" => format!("Relay added: {}", text("url")),
        "relay.removed" => format!("Relay removed: {}", text("url")),
        "relay.changed" => with_detail(format!("Relay {} is {}", text("url"), text("state")), data),
        "service.changed" => with_detail(format!("{} is {}", text("name"), text("state")), data),
        "wallet.attached" => format!("Wallet found: {} node {}", text("backend"), text("node_id")),
        "wallet.other_found" => format!("Another wallet answers: {}", text("fingerprint")),
        "wallet.behind" => {
            format!("The wallet's log ends at {}, {} was known", data["newest"], data["known"])
        }
        "wallet.changed" => with_detail(format!("Wallet is {}", text("state")), data),
        "wallet.balance" => {
            format!("Balance {}", amount(&data["balance"]["spendable_msat"])?)
        }
        "payment.requested" | "payment.changed" => payment(&data["payment"])?,
        "payment.refused" => format!("Payment refused: {}", data["error"]["message"].as_str()?),
        "desk.backends" => {
            let able = data["backends"].as_object()?.values().filter(|b| b["unable"].is_null());
            format!("This machine can execute {} kinds of job", able.count())
        }
        "desk.blob_server" => format!("Large things go to {}", text("url")),
        "provider.mode" => format!("Provider is {} ({})", text("state"), text("reason")),
        "provider.readiness" => match data["blockers"].as_array()?.first() {
            Some(blocker) => format!("In the way: {}", blocker["message"].as_str()?),
            None if data["relays"] == 1 => "1 relay connected, nothing in the way".to_owned(),
            None => format!("{} relays connected, nothing in the way", data["relays"]),
        },
        "provider.offer_set" => {
            let offer = &data["offer"];
            let price = amount(&offer["price_msat"])?;
            format!(
                "Offer for kind {}: {price}, paid {}",
                offer["kind"],
                offer["payment"].as_str()?
            )
        }
        "provider.withdrawn" => "Announcement withdrawn".to_owned(),
        "provider.announced" => {
            let kinds = data["kinds"].as_array()?.iter().map(Value::to_string);
            format!("Announced kinds {}", kinds.collect::<Vec<_>>().join(", "))
        }
        "effect.given_up" => {
            format!("Given up after {} tries: {}", data["tries"], data["why"].as_str()?)
        }
        "effect.tried_again" => format!("Tried again: {}", text("effect")),
        "effect.dropped" => format!("Left undone: {}", text("effect")),
        _ => return trade(type_name, data),
    })
}

/// What happened to jobs, sold and bought.
fn trade(type_name: &str, data: &Value) -> Option<String> {
    let text = |name: &str| data[name].as_str().unwrap_or("unknown").to_owned();
    Some(match type_name {
        "job.received" => format!("Request for kind {}, {}", data["kind"], text("risk")),
        "job.accepted" => format!(
            "Accepted for {}, paid {}",
            amount(&data["price_msat"])?,
            data["payment"].as_str()?
        ),
        "job.invoiced" => "Invoice made".to_owned(),
        "job.paid" => format!("Paid {}", amount(&data["amount_msat"])?),
        "job.refund_due" => format!("{} are owed back", amount(&data["amount_msat"])?),
        "job.refunding" => format!("Giving back {}", amount(&data["amount_msat"])?),
        "job.refund_unknown" => "It is not known whether the refund moved".to_owned(),
        "job.refund_failed" => {
            format!("The refund failed, no money moved: {}", data["reason"].as_str()?)
        }
        "job.refunded" => format!(
            "Gave back {} and paid {} in fees",
            amount(&data["amount_msat"])?,
            amount(&data["fee_msat"])?
        ),
        "job.handed_back" => {
            format!("Given back outside of this wallet, says the operator: {}", text("note"))
        }
        "job.started" => "Work started".to_owned(),
        "job.executed" => "Work done".to_owned(),
        "job.delivered" => "Result delivered".to_owned(),
        "job.receipt" => "Receipt signed: job sold".to_owned(),
        "buy.submitted" => format!(
            "Job of kind {} ordered; {} set aside",
            data["kind"],
            amount(&data["reserved_msat"])?
        ),
        "buy.published" => "Request published".to_owned(),
        "buy.paying" => format!("Paying {}", amount(&data["amount_msat"])?),
        "buy.paid" => format!(
            "Paid {} and {} in fees",
            amount(&data["amount_msat"])?,
            amount(&data["fee_msat"])?
        ),
        "buy.result" => match data["bolt11"] {
            Value::Null => "Result seen".to_owned(),
            _ => "Result seen, with its invoice".to_owned(),
        },
        "buy.unchosen" => "That result is none; the request is open again".to_owned(),
        "buy.verified" => "Result checked: it holds".to_owned(),
        "buy.receipt" => "Receipt signed: job bought".to_owned(),
        _ => return None,
    })
}

fn with_detail(line: String, data: &Value) -> String {
    match data["detail"].as_str() {
        Some(detail) => format!("{line}: {detail}"),
        None => line,
    }
}

fn payment(payment: &Value) -> Option<String> {
    let way = if payment["direction"] == "in" { "Incoming" } else { "Outgoing" };
    let state = payment["state"].as_str()?;
    Some(format!("{way} payment of {}: {state}", amount(&payment["amount_msat"])?))
}

fn amount(value: &Value) -> Option<Msat> {
    value.as_u64().and_then(|msat| Msat::new(msat).ok())
}

fn fields(data: &Value) -> String {
    let Some(fields) = data.as_object() else { return String::new() };
    let parts = fields.iter().filter_map(|(name, value)| match value {
        Value::Null | Value::Object(_) | Value::Array(_) => None,
        Value::String(text) => Some(format!("{} {}", words(name), short(text))),
        Value::Number(number) if name.ends_with("_msat") => {
            let amount = number.as_u64().and_then(|msat| Msat::new(msat).ok())?;
            Some(format!("{} {amount}", words(name.trim_end_matches("_msat"))))
        }
        other => Some(format!("{} {other}", words(name))),
    });
    parts.collect::<Vec<_>>().join(" · ")
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Long hex ids by their first eight digits.
fn short(text: &str) -> &str {
    let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { &text[..8] } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn known_types_read_as_sentences() {
        let data = json!({ "url": "ws://127.0.0.1:1", "state": "connected", "detail": null });
        assert_eq!(line("relay.changed", &data), "Relay ws://127.0.0.1:1 is connected");
    }

    #[test]
    fn unknown_types_list_their_fields() {
        let data = json!({ "price_msat": 2_000, "request_id": "ab".repeat(32) });
        assert_eq!(line("x.y", &data), "price 2 sat · request id abababab");
    }

    proptest! {
        #[test]
        fn never_panics_on_any_text(name in ".*", value in ".*") {
            let data = json!({ name.clone(): value, "state": name });
            for type_name in ["relay.changed", "wallet.balance", "payment.changed", "x"] {
                let _line = line(type_name, &data);
            }
        }
    }
}
