//! `wallet balance|address|chain|channels|receive|quote|pay|approve|deny|limits|accounts|history`.

use clap::{Args, Subcommand};
use domain::{ErrorBody, ExitCode, IdempotencyKey, Msat};
use serde_json::{Value, json};

use super::{Context, status};
use engine::wire::method;

mod accounts;
mod backup;
mod chain;
mod channels;
mod connections;
mod custody;

#[derive(Debug, Subcommand)]
pub(crate) enum Wallet {
    /// What the wallet holds
    Balance,
    /// Make an invoice
    Receive {
        amount_msat: u64,
        #[arg(long, default_value = "")]
        memo: String,
        #[arg(long, default_value_t = 3_600)]
        expiry_secs: u32,
        /// The same key gives the same invoice
        #[arg(long)]
        key: Option<String>,
    },
    /// What paying would be: what it is, who gets it, how much, until when
    Quote {
        #[command(flatten)]
        what: What,
    },
    /// Pay an invoice, an offer, a lightning address, an LNURL, an address or a link
    Pay {
        #[command(flatten)]
        what: What,
        #[arg(long, default_value_t = 50_000)]
        max_fee_msat: u64,
        /// The same key pays once
        #[arg(long)]
        key: Option<String>,
        /// Seconds to wait for the outcome
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Let a payment go that waits because of a limit
    Approve {
        key: String,
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Refuse a payment that waits because of a limit
    Deny { key: String },
    /// What may be spent, of the whole wallet
    Limits {
        #[arg(long)]
        per_payment_msat: Option<u64>,
        #[arg(long)]
        per_day_msat: Option<u64>,
        #[arg(long)]
        max_fee_msat: Option<u64>,
    },
    /// Sub-wallets of agents and apps
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Apps that pay through this wallet (Nostr Wallet Connect)
    #[command(subcommand)]
    Connections(connections::Connections),
    /// The wallet's copy on another disk
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Where the Lightning node asks the chain
    #[command(subcommand)]
    Chain(chain::Chain),
    /// The Lightning node's channels
    #[command(subcommand)]
    Channels(channels::Channels),
    /// A Bitcoin address to be paid on
    Address {
        /// The same key gives the same address
        #[arg(long)]
        key: Option<String>,
    },
    #[command(flatten)]
    Custody(custody::Custody),
    /// Payments, newest first
    History {
        #[arg(long, default_value_t = 50)]
        count: u32,
    },
}

/// What is to be paid.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// As it was given to you; `lightning:` and `bitcoin:` links too
    request: String,
    /// What the payee gets, where the request does not say
    #[arg(long)]
    amount_msat: Option<u64>,
    /// A word to the payee, where a lightning address takes one
    #[arg(long)]
    comment: Option<String>,
    /// The server of the lightning address may be on this machine or in a private network
    #[arg(long)]
    local_server: bool,
}

impl What {
    fn params(self) -> Result<Value, ErrorBody> {
        Ok(json!({
            "request": self.request, "amount_msat": self.amount_msat.map(amount).transpose()?,
            "comment": self.comment, "local_server": self.local_server,
        }))
    }
}

impl Wallet {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        match self {
            // The chain is chosen before there is anything to ask.
            Self::Chain(chain) => chain.run(context),
            Self::Custody(custody) => custody.run(context).await,
            other => other.ask(context).await,
        }
    }

    /// Asks the running desk.
    async fn ask(self, context: &Context) -> Result<(), ErrorBody> {
        let desk = context.desk().await?;
        match self {
            Self::Chain(_) | Self::Custody(_) => {}
            Self::Balance => {
                let answer = desk.call("wallet.refresh", Value::Null).await?;
                context.out.result(&answer, || balance_text(&answer));
            }
            Self::Receive { amount_msat, memo, expiry_secs, key } => {
                let wish = json!({
                    "key": key_or_new(key)?, "amount_msat": amount(amount_msat)?,
                    "memo": memo, "expiry_secs": expiry_secs,
                });
                let answer = desk.call("wallet.receive", wish).await?;
                context.out.result(&answer, || text(&answer["request"]));
            }
            Self::Quote { what } => {
                let answer = asked(&desk, method::QUOTE, what.params()?).await?;
                context.out.result(&answer, || quote_text(&answer));
            }
            Self::Pay { what, max_fee_msat, key, timeout } => {
                let key = key_or_new(key)?;
                let mut params = what.params()?;
                params["key"] = json!(key);
                params["max_fee_msat"] = json!(amount(max_fee_msat)?);
                params["timeout_secs"] = json!(timeout);
                let answer = desk.call("wallet.pay", params).await.map_err(|error| {
                    let same = format!("Pay again with `--key {key}`: it pays once.");
                    cut_off(error, &same)
                })?;
                context.out.result(&answer, || paid_text(&answer));
                return settled(&answer);
            }
            Self::Approve { key, timeout } => {
                let params = json!({ "key": key, "approve": true, "timeout_secs": timeout });
                let answer = desk.call("wallet.answer", params).await.map_err(|error| {
                    cut_off(error, "Look at it with `pilothouse wallet history`.")
                })?;
                context.out.result(&answer, || payment_line(&answer));
                return settled(&answer);
            }
            Self::Deny { key } => {
                let params = json!({ "key": key, "approve": false, "timeout_secs": 10 });
                let answer = desk.call("wallet.answer", params).await?;
                context.out.result(&answer, || payment_line(&answer));
            }
            Self::Limits { per_payment_msat, per_day_msat, max_fee_msat } => {
                let chosen = [
                    ("per_payment_msat", per_payment_msat),
                    ("per_day_msat", per_day_msat),
                    ("max_fee_msat", max_fee_msat),
                ];
                let answer = limits(&desk, chosen).await?;
                context.out.result(&answer, || limits_text(&answer));
            }
            Self::Backup(backup) => return backup.run(context, &desk).await,
            Self::Channels(channels) => return channels.run(context, &desk).await,
            Self::Address { key } => {
                let wish = json!({
                    "key": key_or_new(key)?, "rail": "onchain", "expiry_secs": 86_400,
                });
                let answer = asked(&desk, method::RECEIVE, wish).await?;
                context.out.result(&answer, || text(&answer["text"]));
            }
            Self::Accounts(accounts) => return accounts.run(context, &desk).await,
            Self::Connections(connections) => return connections.run(context, &desk).await,
            Self::History { count } => {
                let answer = desk.call("wallet.history", json!({ "count": count })).await?;
                context.out.result(&answer, || {
                    let rows: Vec<_> =
                        status::items(&answer["payments"]).map(payment_line).collect();
                    if rows.is_empty() { "No payments yet.".into() } else { rows.join("\n") }
                });
            }
        }
        Ok(())
    }
}

/// The limits, after what was chosen of them.
async fn limits(
    desk: &host::ipc::Client,
    chosen: [(&str, Option<u64>); 3],
) -> Result<Value, ErrorBody> {
    let mut answer = asked(desk, method::LIMITS, Value::Null).await?;
    if chosen.iter().all(|(_, msat)| msat.is_none()) {
        return Ok(answer);
    }
    for (name, msat) in chosen {
        if let Some(msat) = msat {
            answer["limits"][name] = json!(amount(msat)?);
        }
    }
    asked(desk, method::SET_LIMITS, json!({ "limits": answer["limits"] })).await
}

/// Asks the executor through the desk.
pub(super) async fn asked(
    desk: &host::ipc::Client,
    method: &str,
    params: Value,
) -> Result<Value, ErrorBody> {
    desk.call("wallet.ask", json!({ "method": method, "params": params })).await
}

fn limits_text(answer: &Value) -> String {
    let limits = &answer["limits"];
    format!(
        "one payment  {}\n24 hours     {}, of which {} is spent or on its way\none fee      {}",
        msat_text(&limits["per_payment_msat"]),
        msat_text(&limits["per_day_msat"]),
        msat_text(&answer["spent_msat"]),
        msat_text(&limits["max_fee_msat"]),
    )
}

/// A desk that went away while it was asked to pay may have begun: then nothing is known.
pub(crate) fn cut_off(error: ErrorBody, what_to_do: &str) -> ErrorBody {
    match error.code.as_ref() {
        "connection_lost" | "stopped" => ErrorBody::new(
            "outcome_unknown",
            format!("It is not known whether the payment was begun: {}", error.message),
        )
        .hint(what_to_do)
        .exit(ExitCode::OutcomeUnknown),
        _ => error,
    }
}

/// The exit code says what is known of the money.
fn settled(payment: &Value) -> Result<(), ErrorBody> {
    match payment["state"].as_str() {
        Some("settled") => Ok(()),
        Some("failed" | "expired") => Err(ErrorBody::new(
            "payment_failed",
            format!("Nothing was paid. {}", text(&payment["detail"])),
        )),
        Some("awaiting_approval") => Err(ErrorBody::refused(
            "needs_approval",
            format!(
                "Nothing was sent: it waits for your approval. {} {}",
                text(&payment["waits_for"]["message"]),
                payment["detail"].as_str().unwrap_or_default()
            ),
        )
        .hint(format!("`pilothouse wallet approve {}` or `deny`.", text(&payment["key"])))),
        _ => Err(ErrorBody::new("outcome_unknown", "It is not known yet whether this was paid.")
            .hint("Follow it with `pilothouse wallet history`; do not pay it again another way.")
            .exit(ExitCode::OutcomeUnknown)),
    }
}

pub(crate) fn amount(msat: u64) -> Result<Msat, ErrorBody> {
    Msat::new(msat)
        .map_err(|error| ErrorBody::new("bad_amount", error.to_string()).exit(ExitCode::Usage))
}

fn key_or_new(key: Option<String>) -> Result<IdempotencyKey, ErrorBody> {
    match key {
        Some(key) => IdempotencyKey::new(&key)
            .map_err(|error| ErrorBody::new("bad_key", error.to_string()).exit(ExitCode::Usage)),
        None => {
            let id = host::entropy::command_id()
                .map_err(|error| ErrorBody::new("internal", error.to_string()))?;
            Ok(IdempotencyKey::of("op", id))
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "unknown".to_owned(), ToOwned::to_owned)
}

/// `12,345 sat`, or `unknown`; never 0 for what is not known.
pub(crate) fn msat_text(value: &Value) -> String {
    value
        .as_u64()
        .and_then(|msat| Msat::new(msat).ok())
        .map_or_else(|| "unknown".to_owned(), |amount| amount.to_string())
}

fn balance_text(wallet: &Value) -> String {
    format!(
        "{} ({}, as of {})",
        msat_text(&wallet["balance_msat"]),
        text(&wallet["state"]),
        text(&wallet["as_of"]),
    )
}

fn quote_text(quote: &Value) -> String {
    let mut lines = vec![
        format!("what     {}", text(&quote["kind"]).replace('_', " ")),
        format!("payee    {}", text(&quote["payee"])),
        format!("amount   {}", msat_text(&quote["amount_msat"])),
        format!("fee      at most {}", msat_text(&quote["max_fee_msat"])),
    ];
    let mut line = |name: &str, value: &Value| {
        lines.extend(value.as_str().filter(|text| !text.is_empty()).map(|t| format!("{name}{t}")));
    };
    line("for      ", &quote["memo"]);
    line("claims   to be ", &quote["claims"]);
    line("waits    ", &quote["waits_for"]["message"]);
    line("refused  ", &quote["refused"]["message"]);
    lines.join("\n")
}

fn paid_text(payment: &Value) -> String {
    let shown = &payment["success_action"];
    let words = ["text", "description", "url"].map(|part| shown[part].as_str().unwrap_or_default());
    format!("{}\n{}", payment_line(payment), words.join(" ").trim()).trim_end().to_owned()
}

fn payment_line(payment: &Value) -> String {
    format!(
        "{}  {:<4} {:<9} {:>16}  fee {:>10}  {}",
        text(&payment["updated_at"]),
        text(&payment["direction"]),
        text(&payment["state"]),
        msat_text(&payment["amount_msat"]),
        msat_text(&payment["fee_msat"]),
        payment["memo"].as_str().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_desk_that_answered_says_that_nothing_was_begun() {
        let cut = cut_off(host::core::Stopped.into(), "Ask again.");
        assert_eq!((cut.code.as_ref(), cut.exit), ("outcome_unknown", ExitCode::OutcomeUnknown));
        let refused = ErrorBody::refused("over_limit", "Nothing was sent.");
        assert_eq!(cut_off(refused.clone(), ""), refused);
    }

    #[test]
    fn a_payment_that_is_not_over_is_unknown() {
        let exit = |state: &str| settled(&json!({ "state": state })).err().map(|error| error.exit);
        assert_eq!(exit("settled"), None);
        assert_eq!(exit("failed"), Some(ExitCode::Failed));
        for open in ["requested", "pending", "unknown"] {
            assert_eq!(exit(open), Some(ExitCode::OutcomeUnknown), "{open}");
        }
    }
}
