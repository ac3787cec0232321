//! `provider online|offline|status|offers|relays|refund`.

use clap::{Args, Subcommand};
use domain::{ErrorBody, ExitCode};
use serde_json::{Value, json};

use super::{
    Context,
    status::{command, items},
    wallet::{amount, cut_off, msat_text},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Provider {
    /// Sell work now
    Online,
    /// Stop selling
    Offline,
    /// State, blockers and offers
    Status,
    /// What is sold, at what price
    Offers {
        #[command(subcommand)]
        verb: Option<Offers>,
    },
    /// Give back what a job owes its buyer
    Refund(Refund),
    /// Where jobs are seen and results published
    Relays {
        #[command(subcommand)]
        verb: Option<Relays>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Refund {
    request_id: String,
    /// A BOLT 11 invoice of the buyer, over all that is owed
    #[arg(long, value_name = "BOLT11", required_unless_present = "settled_elsewhere")]
    invoice: Option<String>,
    /// Give back less: the invoice must ask exactly this
    #[arg(long, value_name = "MSAT", requires = "invoice")]
    amount_msat: Option<u64>,
    #[arg(long, default_value_t = 50_000)]
    max_fee_msat: u64,
    /// Seconds to wait for the outcome
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// It went back another way: recorded as your word, nothing is paid
    #[arg(long, value_name = "NOTE", conflicts_with = "invoice")]
    settled_elsewhere: Option<String>,
}

impl Refund {
    async fn run(self, desk: &host::ipc::Client, context: &Context) -> Result<(), ErrorBody> {
        let id = &self.request_id;
        let Some(invoice) = self.invoice else {
            let hand_back = json!({
                "command": "job_handed_back", "request_id": id, "note": self.settled_elsewhere,
            });
            command(desk, hand_back).await?;
            let told = json!({ "request_id": id, "payment_state": "handed_back", "proved": false });
            context.out.result(&told, || {
                "Recorded as your word; nothing here proves that it went back.".into()
            });
            return Ok(());
        };
        let params = json!({
            "request_id": id, "bolt11": invoice,
            "amount_msat": self.amount_msat.map(amount).transpose()?,
            "max_fee_msat": amount(self.max_fee_msat)?, "timeout_secs": self.timeout,
        });
        let job = desk.call("provider.refund", params).await.map_err(|error| {
            cut_off(error, "See `pilothouse job show` before anything else is paid.")
        })?;
        context.out.result(&job, || refund_text(&job));
        match job["payment_state"].as_str() {
            Some("refunded") => Ok(()),
            Some("refund_due") => {
                Err(ErrorBody::new("refund_failed", "The refund failed; it is owed as before.")
                    .hint("See `pilothouse job show` for why; try it with a new invoice."))
            }
            _ => Err(ErrorBody::new(
                "outcome_unknown",
                "It is not known yet whether the refund moved; it is not sent again.",
            )
            .hint("Follow it with `pilothouse job show`; do not pay it another way.")
            .exit(ExitCode::OutcomeUnknown)),
        }
    }
}

pub(crate) fn refund_text(job: &Value) -> String {
    let refund = &job["refund"];
    let state = job["payment_state"].as_str().unwrap_or("unknown");
    match (refund["by"].as_str(), refund["preimage"].as_str()) {
        (Some("operator"), _) => format!(
            "refund: given back outside of this wallet, by the operator's word (not proved): {}",
            refund["note"].as_str().unwrap_or_default()
        ),
        (Some(_), Some(preimage)) => format!(
            "refund: {} given back, fee {}, proved by preimage {preimage}",
            msat_text(&refund["amount_msat"]),
            msat_text(&refund["fee_msat"]),
        ),
        (Some(_), None) => format!("refund: {} ({state})", msat_text(&refund["amount_msat"])),
        (None, _) => format!("refund: {state}"),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Relays {
    List,
    Add { url: String },
    Remove { url: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Offers {
    List,
    Set {
        #[arg(long)]
        kind: u16,
        #[arg(long)]
        price_msat: u64,
        /// before: no work until paid; after: the result carries the invoice
        #[arg(long, default_value = "before", value_parser = ["before", "after"])]
        payment: String,
    },
    Remove {
        #[arg(long)]
        kind: u16,
    },
    /// What to do with demand of one risk
    Demand {
        #[arg(value_parser = ["aimed", "open", "starter"])]
        risk: String,
        #[arg(value_parser = ["accept", "ask", "refuse"])]
        answer: String,
    },
}

impl Provider {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let desk = context.desk().await?;
        match self {
            Self::Online => command(&desk, json!({ "command": "provider_online" })).await?,
            Self::Offline => command(&desk, json!({ "command": "provider_offline" })).await?,
            Self::Status | Self::Offers { verb: None | Some(Offers::List) } => Value::Null,
            Self::Offers { verb: Some(verb) } => command(&desk, verb.command()?).await?,
            Self::Refund(refund) => return refund.run(&desk, context).await,
            Self::Relays { verb } => return relays(&desk, context, verb).await,
        };
        let status = desk.call("status", Value::Null).await?;
        let provider = &status["provider"];
        context.out.result(provider, || provider_text(provider));
        Ok(())
    }
}

async fn relays(
    desk: &host::ipc::Client,
    context: &Context,
    verb: Option<Relays>,
) -> Result<(), ErrorBody> {
    match verb {
        None | Some(Relays::List) => Value::Null,
        Some(Relays::Add { url }) => {
            command(desk, json!({ "command": "relay_add", "url": url })).await?
        }
        Some(Relays::Remove { url }) => {
            command(desk, json!({ "command": "relay_remove", "url": url })).await?
        }
    };
    let view = desk.call("view", Value::Null).await?;
    let shown = json!({ "relays": view["relays"] });
    context.out.result(&shown, || {
        let line = |relay: &Value| {
            let text = |name: &str| relay[name].as_str().unwrap_or_default().to_owned();
            format!("{:<13} {}  {}", text("state"), text("url"), text("detail"))
        };
        let rows: Vec<_> = items(&shown["relays"]).map(line).collect();
        if rows.is_empty() { "No relays.".into() } else { rows.join("\n") }
    });
    Ok(())
}

impl Offers {
    fn command(self) -> Result<Value, ErrorBody> {
        Ok(match self {
            Self::List => Value::Null,
            Self::Set { kind, price_msat, payment } => json!({
                "command": "offer_set", "kind": kind,
                "price_msat": amount(price_msat)?, "payment": payment,
            }),
            Self::Remove { kind } => json!({ "command": "offer_remove", "kind": kind }),
            Self::Demand { risk, answer } => {
                json!({ "command": "demand_policy_set", "risk": risk, "answer": answer })
            }
        })
    }
}

pub(crate) fn provider_text(provider: &Value) -> String {
    let mut lines = vec![format!(
        "provider: {}  {}",
        provider["state"].as_str().unwrap_or("unknown"),
        provider["npub"].as_str().unwrap_or_default()
    )];
    lines.extend(items(&provider["blockers"]).map(|blocker| {
        format!(
            "  blocked: {} {}",
            blocker["message"].as_str().unwrap_or_default(),
            blocker["hint"].as_str().unwrap_or_default()
        )
    }));
    lines.extend(items(&provider["offers"]).map(|offer| {
        format!(
            "  {} {:<16} {:>12}  paid {}",
            offer["kind"],
            offer["name"].as_str().unwrap_or_default(),
            msat_text(&offer["price_msat"]),
            offer["payment"].as_str().unwrap_or_default(),
        )
    }));
    lines.join("\n")
}
