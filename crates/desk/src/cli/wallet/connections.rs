//! `wallet connections list|create|close|relay`: apps that pay through this wallet (NIP-47).

use clap::Subcommand;
use domain::ErrorBody;
use engine::wire::method;
use host::ipc::Client;
use serde_json::{Value, json};

use super::{
    Context,
    accounts::{OnLimit, Renews, word},
    amount, asked, msat_text, text,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Connections {
    /// Every connection, with what its budget leaves
    List,
    /// Connect an app: prints the connection string, once
    Create {
        /// What the app is called, for you
        name: String,
        /// What it may spend; without one, whatever the wallet's limits leave
        #[arg(long)]
        budget_msat: Option<u64>,
        #[arg(long, value_enum, default_value = "monthly")]
        renews: Renews,
        #[arg(long)]
        per_payment_msat: Option<u64>,
        /// It has money of its own: move some to it with `wallet accounts move`
        #[arg(long)]
        isolated: bool,
        /// What it may ask for, by NIP-47's names; none: everything that is offered
        #[arg(long = "method")]
        methods: Vec<String>,
        /// A payee that it may pay; none: all
        #[arg(long)]
        allow: Vec<String>,
        /// Its time ends so many hours from now
        #[arg(long)]
        hours: Option<u64>,
        /// What happens to a payment above a limit
        #[arg(long, value_enum, default_value = "ask")]
        on_limit: OnLimit,
        /// Your lightning address, for the app to show
        #[arg(long)]
        lud16: Option<String>,
    },
    /// End a connection
    Close { id: String },
    /// Choose the relays where apps meet this wallet
    Relay {
        #[arg(required = true)]
        urls: Vec<String>,
    },
}

impl Connections {
    pub async fn run(self, context: &Context, desk: &Client) -> Result<(), ErrorBody> {
        match self {
            Self::List => {
                let answer = asked(desk, method::CONNECTIONS, Value::Null).await?;
                context.out.result(&answer, || list_text(&answer));
            }
            Self::Create {
                name,
                budget_msat,
                renews,
                per_payment_msat,
                isolated,
                methods,
                allow,
                hours,
                on_limit,
                lud16,
            } => {
                let budget = match budget_msat {
                    Some(msat) => json!({ "amount_msat": amount(msat)?, "renews": word(&renews) }),
                    None => Value::Null,
                };
                let expires_at =
                    hours.map(|hours| host::clock::now().plus_secs(hours.saturating_mul(3_600)));
                let terms = json!({
                    "name": name, "isolated": isolated, "budget": budget, "allow": allow,
                    "per_payment_msat": per_payment_msat.map(amount).transpose()?,
                    "methods": (!methods.is_empty()).then_some(methods),
                    "expires_at": expires_at, "on_limit": word(&on_limit), "lud16": lud16,
                });
                let answer = asked(desk, method::CONNECTION_CREATE, terms).await?;
                context.out.result(&answer, || {
                    format!(
                        "{}\n\nWho has this string pays with your money, within the connection's \
                         limits. It cannot be shown again.",
                        text(&answer["uri"])
                    )
                });
            }
            Self::Close { id } => {
                let answer = asked(desk, method::CONNECTION_CLOSE, json!({ "id": id })).await?;
                context.out.result(&answer, || line(&answer));
            }
            Self::Relay { urls } => {
                let chosen = json!({ "relays": urls });
                let answer = asked(desk, method::CONNECTION_RELAYS, chosen).await?;
                context.out.result(&answer, || list_text(&answer));
            }
        }
        Ok(())
    }
}

fn list_text(list: &Value) -> String {
    let mut rows: Vec<_> = super::status::items(&list["connections"]).map(line).collect();
    if rows.is_empty() {
        rows.push("No apps are connected.".into());
    }
    for relay in super::status::items(&list["relays"]) {
        rows.push(format!("relay {}", text(relay)));
    }
    if let Some(trouble) = list["trouble"].as_str() {
        rows.push(trouble.to_owned());
    }
    rows.join("\n")
}

fn line(view: &Value) -> String {
    let (account, terms) = (&view["account"], &view["account"]["account"]);
    let state = if account["closed"] == true { "closed" } else { "open" };
    let money = match account["balance_msat"].as_u64() {
        Some(_) => format!("has {}", msat_text(&account["balance_msat"])),
        None if terms["budget"].is_null() => "no budget".to_owned(),
        None => format!(
            "{} left of {} {}",
            msat_text(&account["left_msat"]),
            msat_text(&terms["budget"]["amount_msat"]),
            text(&terms["budget"]["renews"]),
        ),
    };
    format!("{:<21} {state:<6} {money}  {}", text(&terms["id"]), text(&terms["name"]))
}
