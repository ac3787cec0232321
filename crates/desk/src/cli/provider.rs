//! `provider online|offline|status|offers`.

use clap::Subcommand;
use domain::ErrorBody;
use serde_json::{Value, json};

use super::{
    Context,
    status::{command, items},
    wallet::{amount, msat_text},
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
        };
        let status = desk.call("status", Value::Null).await?;
        let provider = &status["provider"];
        context.out.result(provider, || provider_text(provider));
        Ok(())
    }
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
