//! `events list|tail|verify|export|rebuild|dead`: the log, also without a running desk.

use clap::Subcommand;
use domain::{ErrorBody, ExitCode};
use host::ipc::Client;
use serde_json::{Value, json};
use std::{fs::File, io::BufWriter, path::PathBuf, time::Duration};

use super::{
    Context,
    out::print_line,
    status::{command, items},
};
use crate::{status::row_json, storage};

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// The newest events
    List {
        #[arg(long, default_value_t = 50)]
        count: u32,
        /// Only events whose type, stream or content holds this text
        #[arg(long)]
        filter: Option<String>,
    },
    /// Events as they come, as JSON lines with --json
    Tail {
        /// Stop after this many seconds
        #[arg(long)]
        timeout: Option<u64>,
    },
    /// Check every hash, every chain and every signed checkpoint
    Verify,
    /// The whole log as JSON lines, canonical bytes and hashes
    Export {
        /// Standard output where absent
        file: Option<PathBuf>,
    },
    /// Effects that were given up: what was to be done, how often it was tried, and why not
    Dead {
        #[command(subcommand)]
        verb: Option<Dead>,
    },
    /// Rebuild every view from the log (the desk must not run)
    Rebuild,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    List,
    /// Do it again
    Retry {
        /// As `list` names it; all of them where it is left out
        effect: Option<String>,
    },
    /// Leave it undone; payments and receipts are never dropped
    Drop {
        effect: String,
    },
}

impl Dead {
    async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let desk = context.desk().await?;
        let (verb, effects) = match self {
            Self::List => {
                let dead = dead_letters(&desk).await?;
                context.out.result(&json!({ "dead": dead }), || dead_text(&dead));
                return Ok(());
            }
            Self::Retry { effect: Some(effect) } => ("effect_retry", vec![json!(effect)]),
            Self::Retry { effect: None } => {
                let dead = dead_letters(&desk).await?;
                ("effect_retry", items(&dead).map(|letter| letter["effect"].clone()).collect())
            }
            Self::Drop { effect } => ("effect_drop", vec![json!(effect)]),
        };
        for effect in &effects {
            command(&desk, json!({ "command": verb, "effect": effect })).await?;
        }
        let done = json!({ "command": verb, "effects": effects });
        context.out.result(&done, || match verb {
            "effect_drop" => "Dropped.".into(),
            _ => format!("{} tried again.", effects.len()),
        });
        Ok(())
    }
}

async fn dead_letters(desk: &Client) -> Result<Value, ErrorBody> {
    Ok(desk.call("events.dead", Value::Null).await?["dead"].clone())
}

fn dead_text(dead: &Value) -> String {
    let line = |letter: &Value| {
        let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
        format!(
            "{}  {}: {} ({} tries)\n    {}",
            text("at"),
            text("what"),
            text("why"),
            letter["tries"],
            text("effect"),
        )
    };
    let lines: Vec<_> = items(dead).map(line).collect();
    if lines.is_empty() { "Nothing was given up.".into() } else { lines.join("\n") }
}

impl Events {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let home = context.home()?;
        match self {
            Self::List { count, filter } => {
                let reader = storage::reader(&home)?;
                let rows = storage::newest_rows(&reader, count, filter.as_deref())?;
                let report = json!({ "total": reader.last_position().map_err(storage::error)?, "events": rows.iter().map(row_json).collect::<Vec<_>>() });
                context.out.result(&report, || {
                    rows.iter().map(storage::row_text).collect::<Vec<_>>().join("\n")
                });
            }
            Self::Tail { timeout } => return tail(context, timeout).await,
            Self::Verify => {
                let report = storage::verify(&home, context.network())?;
                context.out.result(&report, || storage::verify_text(&report));
                if report["ok"] != true {
                    return Err(ErrorBody::new("log_does_not_hold", "The log does not hold.")
                        .hint(
                            "The first event that does not hold is named above; restore a backup.",
                        )
                        .exit(ExitCode::Failed));
                }
            }
            Self::Export { file } => {
                let reader = storage::reader(&home)?;
                let written = match &file {
                    Some(path) => {
                        let file = File::create(path).map_err(|error| {
                            ErrorBody::new("not_written", format!("{}: {error}", path.display()))
                        })?;
                        reader.export(0, &mut BufWriter::new(file))
                    }
                    None => reader.export(0, &mut std::io::stdout().lock()),
                };
                let events = written.map_err(storage::error)?;
                if file.is_some() {
                    context.out.result(&json!({ "events": events }), || format!("{events} events"));
                }
            }
            Self::Dead { verb } => return verb.unwrap_or(Dead::List).run(context).await,
            Self::Rebuild => {
                let report = storage::rebuild(&home, context.network())?;
                context
                    .out
                    .result(&report, || format!("Rebuilt from {} events.", report["events"]));
            }
        }
        Ok(())
    }
}

async fn tail(context: &Context, timeout: Option<u64>) -> Result<(), ErrorBody> {
    let home = context.home()?;
    let desk = context.desk().await?;
    let reader = storage::reader(&home)?;
    let mut next = reader.last_position().map_err(storage::error)? + 1;
    let deadline = timeout.map(|secs| tokio::time::Instant::now() + Duration::from_secs(secs));
    loop {
        if deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline) {
            return Ok(());
        }
        let condition = format!("events>={next}");
        let waiting = json!({ "condition": condition, "timeout_ms": 1_000 });
        if desk.call("wait", waiting).await?["met"] != true {
            continue;
        }
        for row in storage::rows_from(&reader, next, 1_000)? {
            next = row.position + 1;
            if context.out.is_json() {
                print_line(&row_json(&row).to_string());
            } else {
                print_line(&storage::row_text(&row));
            }
        }
    }
}
