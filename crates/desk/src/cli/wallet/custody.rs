//! `wallet info|words|unlock|lock|lock-after|passphrase|accept`: who may do what with the wallet.
//!
//! A passphrase goes from the terminal or a descriptor straight to the executor: the desk never has
//! it, and it stands in no argument and no variable.

use clap::{Args, Subcommand};
use domain::{ErrorBody, ExitCode};
use engine::wire::{SHOW_SEED_CONFIRM, method};
use host::{ipc::Client, secret};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Context, amount, msat_text, text};
use crate::{cli::status, services::WALLET_DIR};

#[derive(Debug, Subcommand)]
pub(crate) enum Custody {
    /// Which wallet this is, how its seed is kept, and whether it is locked
    Info,
    /// Show the wallet's seed words, to write them down on paper
    Words {
        /// Whoever sees them has the money: nobody looks over your shoulder
        #[arg(long)]
        show: bool,
    },
    /// Give the passphrase: opens a sealed wallet, and counts as you for a while
    Unlock {
        #[command(flatten)]
        from: From,
    },
    /// From now on what only you may do needs the passphrase again
    Lock,
    /// After how many minutes it locks by itself, and from which amount a payment of yours counts
    /// as large
    LockAfter {
        minutes: u32,
        #[arg(long)]
        large_msat: Option<u64>,
        #[command(flatten)]
        from: From,
    },
    /// The wallet's passphrase
    #[command(subcommand)]
    Passphrase(Passphrase),
    /// Go on with another wallet than before, by its fingerprint
    Accept { fingerprint: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Passphrase {
    /// Set a first one: from then on each start needs it
    Set {
        #[command(flatten)]
        from: From,
    },
    /// Another one; the descriptor holds the old one, then the new one, a line each
    Change {
        #[command(flatten)]
        from: From,
    },
    /// Without one, nothing is ever locked
    Remove {
        #[command(flatten)]
        from: From,
    },
}

/// Where a passphrase comes from.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// Read it from this file descriptor [default: asked at the terminal]
    #[arg(long, value_name = "FD")]
    passphrase_fd: Option<u32>,
}

impl From {
    fn read(&self, prompt: &str) -> Result<Zeroizing<String>, ErrorBody> {
        let read = match self.passphrase_fd {
            Some(fd) => secret::of_descriptor(fd),
            None => secret::typed(prompt),
        };
        read.map_err(|error| not_read(&error))
    }

    /// The one that holds, and a new one.
    fn read_both(&self) -> Result<[Zeroizing<String>; 2], ErrorBody> {
        match self.passphrase_fd {
            Some(fd) => secret::two_of_descriptor(fd).map_err(|error| not_read(&error)),
            None => Ok([self.read("Passphrase")?, self.read_new()?]),
        }
    }

    /// A new one, typed twice where it is typed.
    fn read_new(&self) -> Result<Zeroizing<String>, ErrorBody> {
        let new = self.read("New passphrase")?;
        if self.passphrase_fd.is_none() && *self.read("The same again")? != *new {
            return Err(ErrorBody::refused(
                "not_the_same",
                "These were two different passphrases. Nothing changed.",
            ));
        }
        Ok(new)
    }
}

/// The words, numbered, on standard output and nowhere else.
async fn words(context: &Context, show: bool) -> Result<(), ErrorBody> {
    if !show {
        return Err(ErrorBody::refused("not_confirmed", "The words were not shown.")
            .hint("Whoever sees them has the money. Where nobody else looks, add --show.")
            .exit(ExitCode::Usage));
    }
    let confirm = json!({ "confirm": SHOW_SEED_CONFIRM });
    let answer = ask(context, method::SHOW_SEED, confirm).await?;
    context.out.result(&answer, || {
        let words = status::items(&answer["words"]).map(text).enumerate();
        let rows: Vec<_> = words.map(|(at, word)| format!("{:>2} {word}", at + 1)).collect();
        format!(
            "{}\n\n{}\nThen show that you have them: `pilothouse wallet backup words`.",
            rows.join("\n"),
            text(&answer["warning"])
        )
    });
    Ok(())
}

impl Custody {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let answer = match self {
            Self::Accept { fingerprint } => {
                let desk = context.desk().await?;
                let command = json!({ "command": "wallet_accept", "fingerprint": fingerprint });
                let answer = status::command(&desk, command).await?;
                context.out.result(&answer, || "This is the desk's wallet from now on.".into());
                return Ok(());
            }
            Self::Words { show } => return words(context, show).await,
            Self::Info => ask(context, method::CUSTODY, json!({})).await?,
            Self::Lock => ask(context, method::LOCK, json!({})).await?,
            Self::Unlock { from } => {
                let passphrase = from.read("Passphrase")?;
                ask(context, method::UNLOCK, json!({ "passphrase": *passphrase })).await?
            }
            Self::LockAfter { minutes, large_msat, from } => {
                let large_msat = large_msat.map(amount).transpose()?;
                let passphrase = from.read("Passphrase")?;
                let params = json!({
                    "passphrase": *passphrase, "minutes": minutes, "large_msat": large_msat,
                });
                ask(context, method::SET_LOCK, params).await?
            }
            Self::Passphrase(Passphrase::Set { from }) => {
                let new = from.read_new()?;
                ask(context, method::SET_PASSPHRASE, json!({ "new": *new })).await?
            }
            Self::Passphrase(Passphrase::Change { from }) => {
                let [old, new] = from.read_both()?;
                let params = json!({ "passphrase": *old, "new": *new });
                ask(context, method::SET_PASSPHRASE, params).await?
            }
            Self::Passphrase(Passphrase::Remove { from }) => {
                let old = from.read("Passphrase")?;
                ask(context, method::SET_PASSPHRASE, json!({ "passphrase": *old })).await?
            }
        };
        context.out.result(&answer, || told(&answer));
        Ok(())
    }
}

fn not_read(error: &std::io::Error) -> ErrorBody {
    ErrorBody::new("no_passphrase", format!("No passphrase was read: {error}."))
        .hint("Type it at a terminal, or hand it over by --passphrase-fd.")
        .exit(ExitCode::Usage)
}

/// Asks the executor itself, and forgets what was said.
async fn ask(context: &Context, method: &str, params: Value) -> Result<Value, ErrorBody> {
    let home = context.home()?;
    Client::connect(&home.join(WALLET_DIR), engine::wire::SERVICE).await?.call(method, params).await
}

fn told(custody: &Value) -> String {
    let mut lines = vec![
        format!("wallet      {}", text(&custody["fingerprint"])),
        format!("kept in     {}", text(&custody["kept_in"]).replace('_', " ")),
        text(&custody["detail"]),
    ];
    if let Some(minutes) = custody["lock_after_minutes"].as_u64() {
        lines.push(format!(
            "It locks {minutes} minutes after it was unlocked; {} and more of your own counts as large.",
            msat_text(&custody["large_msat"])
        ));
    }
    lines.join("\n")
}
