//! `wallet balance|receive|pay|history`.

use clap::Subcommand;
use domain::{ErrorBody, ExitCode, IdempotencyKey, Msat};
use serde_json::{Value, json};

use super::{Context, status};

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
    /// Pay a BOLT 11 invoice
    Pay {
        bolt11: String,
        #[arg(long, default_value_t = 50_000)]
        max_fee_msat: u64,
        /// The same key pays once
        #[arg(long)]
        key: Option<String>,
        /// Seconds to wait for the outcome
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Payments, newest first
    History {
        #[arg(long, default_value_t = 50)]
        count: u32,
    },
}

impl Wallet {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let desk = context.desk().await?;
        match self {
            Self::Balance => {
                let answer = desk.call("wallet.refresh", Value::Null).await?;
                context.out.result(&answer, || balance_text(&answer));
            }
            Self::Receive { amount_msat, memo, expiry_secs, key } => {
                let answer = desk
                    .call(
                        "wallet.receive",
                        json!({
                            "key": key_or_new(key)?, "amount_msat": amount(amount_msat)?,
                            "memo": memo, "expiry_secs": expiry_secs,
                        }),
                    )
                    .await?;
                context.out.result(&answer, || text(&answer["bolt11"]));
            }
            Self::Pay { bolt11, max_fee_msat, key, timeout } => {
                let answer = desk
                    .call(
                        "wallet.pay",
                        json!({
                            "key": key_or_new(key)?, "bolt11": bolt11,
                            "max_fee_msat": amount(max_fee_msat)?, "timeout_secs": timeout,
                        }),
                    )
                    .await?;
                context.out.result(&answer, || payment_line(&answer));
                return settled(&answer);
            }
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

/// The exit code says what is known of the money.
fn settled(payment: &Value) -> Result<(), ErrorBody> {
    match payment["state"].as_str() {
        Some("settled") => Ok(()),
        Some("failed" | "expired") => Err(ErrorBody::new(
            "payment_failed",
            format!("Nothing was paid. {}", text(&payment["detail"])),
        )),
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
