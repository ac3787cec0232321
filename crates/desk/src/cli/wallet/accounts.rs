//! `wallet accounts list|set|close|move`: sub-wallets with budgets and money of their own.

use clap::{Subcommand, ValueEnum};
use domain::{ErrorBody, ExitCode};
use engine::wire::method;
use host::ipc::Client;
use serde_json::{Value, json};

use super::{Context, amount, asked, key_or_new, msat_text, text};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Renews {
    Never,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    Agent,
    App,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OnLimit {
    /// It waits for you
    Ask,
    /// It is refused at once
    Refuse,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Every account, with what it has and what its budget leaves
    List,
    /// Make an account, or give it new terms
    Set {
        /// 1 to 64 of a-z, 0-9 and -
        id: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long, value_enum, default_value = "agent")]
        kind: Kind,
        /// It has money of its own: move some to it
        #[arg(long)]
        isolated: bool,
        #[arg(long)]
        budget_msat: Option<u64>,
        #[arg(long, value_enum, default_value = "daily")]
        renews: Renews,
        #[arg(long)]
        per_payment_msat: Option<u64>,
        /// A payee that it may pay; none: all
        #[arg(long)]
        allow: Vec<String>,
        /// Its time ends so many hours from now
        #[arg(long)]
        hours: Option<u64>,
        /// What happens to a payment above a limit
        #[arg(long, value_enum, default_value = "ask")]
        on_limit: OnLimit,
    },
    /// End an account; its own money is yours again
    Close { id: String },
    /// Move money between your own and an isolated account
    Move {
        from: String,
        to: String,
        amount_msat: u64,
        /// The same key moves once
        #[arg(long)]
        key: Option<String>,
    },
}

/// The word of a choice, as the protocol writes it.
pub(super) fn word(choice: &impl ValueEnum) -> Value {
    choice.to_possible_value().map_or(Value::Null, |value| json!(value.get_name()))
}

impl Accounts {
    pub async fn run(self, context: &Context, desk: &Client) -> Result<(), ErrorBody> {
        let answer = match self {
            Self::List => asked(desk, method::ACCOUNTS, Value::Null).await?,
            Self::Set {
                id,
                name,
                kind,
                isolated,
                budget_msat,
                renews,
                per_payment_msat,
                allow,
                hours,
                on_limit,
            } => {
                let budget = match budget_msat {
                    Some(msat) => json!({ "amount_msat": amount(msat)?, "renews": word(&renews) }),
                    None => Value::Null,
                };
                let expires_at =
                    hours.map(|hours| host::clock::now().plus_secs(hours.saturating_mul(3_600)));
                let account = json!({
                    "name": name.as_ref().unwrap_or(&id), "id": id, "kind": word(&kind),
                    "isolated": isolated, "budget": budget, "allow": allow,
                    "per_payment_msat": per_payment_msat.map(amount).transpose()?,
                    "expires_at": expires_at, "on_limit": word(&on_limit),
                });
                asked(desk, method::SET_ACCOUNT, account).await?
            }
            Self::Close { id } => asked(desk, method::CLOSE_ACCOUNT, json!({ "id": id })).await?,
            Self::Move { from, to, amount_msat, key } => {
                if from == to {
                    let same = "Money is moved between two accounts.";
                    return Err(ErrorBody::new("bad_move", same).exit(ExitCode::Usage));
                }
                let moved = json!({
                    "key": key_or_new(key)?, "from": from, "to": to,
                    "amount_msat": amount(amount_msat)?,
                });
                asked(desk, method::MOVE, moved).await?
            }
        };
        let answer = json!({ "accounts": answer });
        context.out.result(&answer, || {
            let rows: Vec<_> = super::status::items(&answer["accounts"]).map(line).collect();
            if rows.is_empty() { "No accounts yet.".into() } else { rows.join("\n") }
        });
        Ok(())
    }
}

fn line(view: &Value) -> String {
    let account = &view["account"];
    let state = if view["closed"] == true { "closed" } else { "open" };
    let own = match view["balance_msat"].as_u64() {
        Some(_) => format!("has {}", msat_text(&view["balance_msat"])),
        None => "spends yours".to_owned(),
    };
    let budget = match account["budget"].is_null() {
        true => "no budget".to_owned(),
        false => format!(
            "{} left of {} {}",
            msat_text(&view["left_msat"]),
            msat_text(&account["budget"]["amount_msat"]),
            text(&account["budget"]["renews"]),
        ),
    };
    format!("{:<20} {state:<6} {own}, {budget}", text(&account["id"]))
}
