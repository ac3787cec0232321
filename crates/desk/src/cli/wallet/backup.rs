//! `wallet backup status|set|off|now|rehearse|words`: the wallet's copy on another disk.

use std::io::BufRead;

use clap::Subcommand;
use domain::{ErrorBody, ExitCode};
use engine::wire::method;
use host::ipc::Client;
use serde_json::{Value, json};

use super::{Context, asked, msat_text, status, text};

/// A line of words is never longer.
const MAX_LINES: usize = 24;

#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// How the backup stands, and what is left to do
    Status,
    /// Keep it in this folder: of another disk, or of another computer that is mounted here
    Set {
        /// A folder that exists
        folder: std::path::PathBuf,
        /// Let payments go on while the folder is away; channels never start from such a backup
        #[arg(long)]
        lenient: bool,
        /// The folder until now is gone for good, and nobody will restore from it
        #[arg(long)]
        abandon: bool,
    },
    /// Keep none
    Off {
        /// The folder until now is gone for good, and nobody will restore from it
        #[arg(long)]
        abandon: bool,
    },
    /// Write everything there anew now
    Now,
    /// Restore it beside the wallet and compare; nobody is called and nothing is sent
    Rehearse,
    /// Show that the words are written down: reads lines `PLACE WORD` from standard input
    Words,
}

impl Backup {
    pub async fn run(self, context: &Context, desk: &Client) -> Result<(), ErrorBody> {
        let answer = match self {
            Self::Status => asked(desk, method::BACKUP_STATUS, Value::Null).await?,
            Self::Set { folder, lenient, abandon } => {
                let folder = std::path::absolute(&folder).map_err(|error| {
                    ErrorBody::refused("bad_place", format!("{}: {error}.", folder.display()))
                })?;
                let policy = if lenient { "lenient" } else { "strict" };
                let wish = json!({ "place": folder, "policy": policy, "abandon": abandon });
                asked(desk, method::BACKUP_SET, wish).await?
            }
            Self::Off { abandon } => {
                let wish = json!({ "place": null, "abandon": abandon });
                asked(desk, method::BACKUP_SET, wish).await?
            }
            Self::Now => {
                let answer = asked(desk, method::BACKUP, Value::Null).await?;
                context.out.result(&answer, || format!("Written to {}.", text(&answer["path"])));
                return Ok(());
            }
            Self::Rehearse => return rehearse(context, desk).await,
            Self::Words => {
                let words = words(std::io::stdin().lock())?;
                asked(desk, method::CHECK_WORDS, json!({ "words": words })).await?
            }
        };
        context.out.result(&answer, || status_text(&answer));
        Ok(())
    }
}

async fn rehearse(context: &Context, desk: &Client) -> Result<(), ErrorBody> {
    let answer = asked(desk, method::REHEARSE, Value::Null).await?;
    context.out.result(&answer, || rehearsal_text(&answer));
    if answer["passed"] == true {
        return Ok(());
    }
    Err(ErrorBody::new("not_as_it_is", "The backup does not bring back what the wallet has.")
        .hint("Write it anew with `wallet backup now`, and rehearse again."))
}

/// Words are secrets: they come on standard input, never as arguments.
fn words(from: impl BufRead) -> Result<Vec<(u32, String)>, ErrorBody> {
    let bad = |why: String| ErrorBody::refused("bad_words", why).exit(ExitCode::Usage);
    let mut words = Vec::new();
    for line in from.lines().take(MAX_LINES) {
        let line = line.map_err(|error| bad(format!("Standard input ended: {error}.")))?;
        if line.trim().is_empty() {
            continue;
        }
        let pair = line.trim().split_once(char::is_whitespace);
        let place = pair.and_then(|(place, word)| Some((place.parse().ok()?, word.trim())));
        let (place, word) = place.ok_or_else(|| {
            bad(format!("Line {} is not a place from 1 and its word.", words.len() + 1))
        })?;
        words.push((place, word.to_owned()));
    }
    Ok(words)
}

fn status_text(status: &Value) -> String {
    let mut rows = Vec::new();
    for place in status::items(&status["places"]) {
        let why = place["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
        rows.push(format!(
            "{} ({}) {}{why}",
            text(&place["path"]),
            text(&place["policy"]),
            text(&place["state"])
        ));
    }
    if rows.is_empty() {
        rows.push("No folder keeps a copy of this wallet.".into());
    }
    let birthday = &status["birthday"];
    if !birthday.is_null() {
        rows.push(format!("Birthday {}:{}", birthday["height"], text(&birthday["block_hash"])));
    }
    for nag in status::items(&status["nags"]) {
        rows.push(nag_text(nag.as_str().unwrap_or_default()).into());
    }
    if let Some(detail) = status["offline"]["detail"].as_str() {
        rows.push(detail.into());
    }
    for lost in status::items(&status["recovery"]["lost"]) {
        rows.push(text(lost));
    }
    rows.push(text(&status["advice"]));
    rows.join("\n")
}

fn nag_text(nag: &str) -> &'static str {
    match nag {
        "place_away" => "! The folder is away: nothing leaves the wallet until it is back.",
        "place_stale" => "! The folder is behind: channels could not be brought back from it.",
        "no_place" => "! There are channels and no backup: `wallet backup set FOLDER`.",
        "not_strict" => "! Channels never start from a lenient backup.",
        "same_disk" => "! The backup is on the wallet's own disk: one broken disk takes both.",
        "words_not_written_down" => "! Write the words down, then show it: `wallet backup words`.",
        "never_rehearsed" => "! This backup was never tried: `wallet backup rehearse`.",
        "rehearse_again" => "! Try the backup again: `wallet backup rehearse`.",
        "offline_too_long" => "! The wallet was away from the chain for too long.",
        _ => "! There is something to do that this program does not know.",
    }
}

fn rehearsal_text(report: &Value) -> String {
    let mut rows = vec![if report["passed"] == true {
        format!("What {} brings back is what the wallet has.", text(&report["place"]))
    } else {
        "What comes back is not what the wallet has.".into()
    }];
    for channel in status::items(&report["channels"]) {
        rows.push(format!(
            "channel {}  {} of {}",
            text(&channel["channel"]),
            msat_text(&channel["ours_msat"]),
            msat_text(&channel["capacity_msat"])
        ));
    }
    rows.push(format!("on the chain {}", msat_text(&report["onchain_msat"])));
    rows.push(format!(
        "{} payments, {} events in the log, moment {}",
        report["payments"], report["events"], report["seq"]
    ));
    rows.extend(status::items(&report["differences"]).map(|what| format!("! {}", text(what))));
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_with_their_places_and_never_repeated() {
        let read = words("1 leader\n\n  12\tbean \n".as_bytes()).unwrap();
        assert_eq!(read, [(1, "leader".to_owned()), (12, "bean".to_owned())]);
        for bad in ["leader", "one leader", "1"] {
            let error = words(bad.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("leader"), "{error}");
        }
    }

    #[test]
    fn a_status_says_what_is_left_to_do() {
        let status = json!({
            "places": [{ "path": "/d", "policy": "strict", "state": "waiting", "why": "gone" }],
            "birthday": { "height": 7, "block_hash": "00ff" },
            "nags": ["place_away", "words_not_written_down"],
            "advice": "Keep it.",
        });
        let said = status_text(&status);
        for part in ["/d (strict) waiting: gone", "Birthday 7:00ff", "nothing leaves", "Keep it."] {
            assert!(said.contains(part), "{said}");
        }
    }
}
