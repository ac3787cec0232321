//! `identity show|init|restore|backup`: the seed words of the Nostr identity.

use clap::Subcommand;
use domain::{ErrorBody, ExitCode};
use serde_json::json;
use std::{io::Read, path::PathBuf};

use super::Context;
use crate::identity;

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// The public key; --words shows the seed words as well
    Show {
        #[arg(long)]
        words: bool,
    },
    /// Make a new identity where there is none
    Init,
    /// Restore from seed words read on standard input, where there is none
    Restore,
    /// Write an encrypted backup, and mark the words as backed up
    Backup { file: PathBuf },
    /// Say that the words are written down
    WordsWritten,
    /// Name this machine; only its own desk shows it, an empty name takes it away
    Name { name: String },
}

impl Identity {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let home = context.home()?;
        let network = context.network();
        match self {
            Self::Show { words } => {
                let vault = identity::open_existing(&home, network)?;
                let mut shown = identity::describe(&vault);
                if words {
                    shown["words"] = json!(identity::words(&vault)?);
                }
                context.out.result(&shown, || identity::text(&shown));
            }
            Self::Init => {
                let made = identity::init(&home, network)?;
                context.out.result(&made, || identity::text(&made));
            }
            Self::Restore => {
                let mut words = String::new();
                std::io::stdin().take(4_096).read_to_string(&mut words).map_err(|error| {
                    ErrorBody::new("bad_words", format!("The words could not be read: {error}"))
                        .exit(ExitCode::Usage)
                })?;
                let restored = identity::restore(&home, network, &words)?;
                context.out.result(&restored, || identity::text(&restored));
            }
            Self::Backup { file } => {
                let report = identity::backup(&home, network, &file)?;
                context
                    .out
                    .result(&report, || format!("The encrypted backup is in {}.", file.display()));
            }
            Self::WordsWritten => {
                change(context, "identity.words_written", json!({}), identity::words_written)
                    .await?;
            }
            Self::Name { name } => {
                let params = json!({ "name": name });
                change(context, "identity.name", params, |vault| {
                    identity::name_machine(vault, &name)
                })
                .await?;
            }
        }
        Ok(())
    }
}

/// Through the running desk, whose log has to know; without one, in the vault itself.
async fn change(
    context: &Context,
    method: &str,
    params: serde_json::Value,
    alone: impl FnOnce(&vault::Vault) -> Result<(), ErrorBody>,
) -> Result<(), ErrorBody> {
    let home = context.home()?;
    match context.desk().await {
        Ok(desk) => {
            desk.call(method, params).await?;
        }
        Err(_no_desk) => {
            let _lock = home.lock("pilothouse").map_err(super::home_error)?;
            alone(&identity::open_existing(&home, context.network())?)?;
        }
    }
    let shown = identity::describe(&identity::open_existing(&home, context.network())?);
    context.out.result(&shown, || identity::text(&shown));
    Ok(())
}
