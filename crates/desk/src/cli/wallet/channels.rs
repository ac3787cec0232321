//! `wallet channels list|open|close`: the Lightning node's channels.

use clap::Subcommand;
use domain::{ErrorBody, ExitCode};
use host::ipc::Client;
use serde_json::{Value, json};
use wallet::channels::method;

use super::{Context, amount, asked, key_or_new, msat_text, text};
use crate::cli::status;

#[derive(Debug, Subcommand)]
pub(crate) enum Channels {
    /// Every channel, what closed ones still owe, and what is on the chain
    List,
    /// Open a channel; what it costs is shown first, and nothing is done without --yes
    Open {
        /// <node id>@<host>:<port>
        peer: String,
        amount_sat: u64,
        /// Open it
        #[arg(long)]
        yes: bool,
        /// The same key opens once
        #[arg(long)]
        key: Option<String>,
    },
    /// Close a channel, together with its peer
    Close {
        /// The channel id
        channel: String,
        /// Close it alone: this costs more and holds the money for days. Takes the words that
        /// confirm it
        #[arg(long, value_name = "WORDS")]
        force: Option<String>,
    },
}

impl Channels {
    pub async fn run(self, context: &Context, desk: &Client) -> Result<(), ErrorBody> {
        match self {
            Self::List => {
                let answer = asked(desk, method::CHANNELS, Value::Null).await?;
                context.out.result(&answer, || list(&answer));
            }
            Self::Open { peer, amount_sat, yes, key } => {
                let msat = amount_sat.checked_mul(1_000).ok_or_else(|| {
                    ErrorBody::new("bad_amount", "That is too much.").exit(ExitCode::Usage)
                })?;
                let key = key_or_new(key)?;
                let open = json!({ "key": key, "peer": peer, "amount_msat": amount(msat)? });
                let quote = asked(desk, method::QUOTE_CHANNEL, open.clone()).await?;
                if !yes {
                    let answer = json!({ "quote": quote, "opening": null });
                    context.out.result(&answer, || {
                        format!("{}\nNothing was done. Open it with --yes.", costs(&quote))
                    });
                    return Ok(());
                }
                let opening = asked(desk, method::OPEN_CHANNEL, open).await.map_err(|error| {
                    let same = format!("Ask again with `--key {key}`: it opens once.");
                    super::cut_off(error, &same)
                })?;
                let answer = json!({ "quote": quote, "opening": opening });
                context.out.result(&answer, || opened(&quote, &opening));
            }
            Self::Close { channel, force } => {
                let close = json!({ "channel": channel, "force": force });
                let answer = asked(desk, method::CLOSE_CHANNEL, close).await?;
                context.out.result(&answer, || list(&answer));
            }
        }
        Ok(())
    }
}

fn costs(quote: &Value) -> String {
    let mut lines = vec![
        format!("peer      {} {}", text(&quote["peer"]), quote["alias"].as_str().unwrap_or("")),
        format!("channel   {}", msat_text(&quote["amount_msat"])),
        format!("fee       about {}", msat_text(&quote["fee_msat"])),
        format!("kept      {} for closing it", msat_text(&quote["reserve_msat"])),
        format!("of        {} on the chain", msat_text(&quote["spendable_msat"])),
    ];
    lines.extend(quote["refused"]["message"].as_str().map(|why| format!("refused   {why}")));
    lines.join("\n")
}

fn opened(quote: &Value, opening: &Value) -> String {
    let what = match opening["channel"].as_str() {
        Some(channel) => format!("Channel {channel} is being opened."),
        None => "The peer has not agreed yet; `wallet channels list` shows it once it has.".into(),
    };
    format!("{}\n{what}", costs(quote))
}

fn list(answer: &Value) -> String {
    let mut lines: Vec<String> = status::items(&answer["channels"]).map(channel).collect();
    if lines.is_empty() {
        lines.push("No channels.".into());
    }
    for closing in status::items(&answer["closing"]) {
        let at = closing["spendable_at_height"]
            .as_u64()
            .map_or_else(String::new, |height| format!(" from block {height}"));
        lines.push(format!(
            "closing  {}{at}: {}",
            msat_text(&closing["amount_msat"]),
            text(&closing["waits_for"])
        ));
    }
    let onchain = &answer["onchain"];
    lines.push(format!(
        "on chain {} spendable, {} kept for closing, {} not confirmed (block {})",
        msat_text(&onchain["spendable_msat"]),
        msat_text(&onchain["reserved_msat"]),
        msat_text(&onchain["pending_msat"]),
        answer["height"],
    ));
    lines.join("\n")
}

fn channel(channel: &Value) -> String {
    let state = match channel["state"]["is"].as_str() {
        Some("opening") => {
            format!("opening {}/{}", channel["state"]["confirmations"], channel["state"]["needed"])
        }
        Some(state) => state.replace('_', " "),
        None => "unknown".into(),
    };
    format!(
        "{}  {state:<12} ours {:>16} of {:>16}  send {:>16}  receive {:>16}  {}",
        text(&channel["id"]),
        msat_text(&channel["ours_msat"]),
        msat_text(&channel["capacity_msat"]),
        msat_text(&channel["can_send_msat"]),
        msat_text(&channel["can_receive_msat"]),
        channel["alias"].as_str().or(channel["peer"].as_str()).unwrap_or_default(),
    )
}
