//! Opening the vault at the start: who gives the passphrase, and what is refused.
//!
//! In this order: the descriptor that was named, the credential of the service manager, what keeps
//! the seed by itself (keychain, or practice's passphrase beside it), the operator's `unlock`.

use domain::{ErrorBody, ExitCode, Network};
use host::{Home, ending};
use std::{path::PathBuf, sync::Arc, time::Duration};
use vault::{Kept, PassphraseSource, Vault, VaultError};
use zeroize::Zeroizing;

use super::{guard::vault_error, sealed};
use crate::run::RunOptions;

/// Where the vault lies in the executor's folder.
pub const VAULT_DIR: &str = "vault";
/// The name of the service manager's credential (`LoadCredential=`, `SetCredentialEncrypted=`).
pub const CREDENTIAL: &str = "pilothouse-wallet-passphrase";
const READ_WITHIN: Duration = Duration::from_secs(30);

/// An open vault.
pub struct Opened {
    pub vault: Arc<Vault>,
    /// The operator has just unlocked it, as opposed to a program that started us.
    pub proved: bool,
}

/// Opens the vault, or makes it at the first start. `None`: asked to end before anybody opened it.
///
/// # Errors
///
/// The vault can't be opened or made, or is gone from a home that had one.
pub async fn open(home: &Home, options: &RunOptions) -> Result<Option<Opened>, ErrorBody> {
    let dir = home.join(VAULT_DIR);
    let given = given(options.passphrase_fd).await?;
    if !Vault::exists(&dir) {
        refuse_to_replace(home)?;
        let source = match (given, options.network) {
            (Some((text, _)), _) => PassphraseSource::Given(text),
            (None, Network::Practice) => PassphraseSource::Generate,
            // A made-up passphrase would be shown to nobody: the seed would be lost.
            (None, _) => PassphraseSource::Ask(Box::new(|| None)),
        };
        let created = Vault::create(&dir, options.network, source).map_err(|error| {
            let error = not_made(&error);
            error.hint(
                "Give a passphrase by --passphrase-fd or a credential, or unlock the keychain.",
            )
        })?;
        tracing::info!(kept = ?created.vault.kept_in(), "a new money seed was made");
        return Ok(Some(Opened { vault: Arc::new(created.vault), proved: false }));
    }
    let kept = Vault::kept_at(&dir).map_err(|error| vault_error(&error))?;
    let opens = |source| Vault::open(&dir, options.network, source);
    let (why, given) = match (kept, given) {
        (Kept::FileWithPassphrase, Some((text, from))) => {
            match opens(PassphraseSource::Given(text)) {
                Err(VaultError::WrongPassphrase) => {
                    (format!("The passphrase from {from} does not open the wallet."), None)
                }
                other => (String::new(), Some(other)),
            }
        }
        (Kept::FileWithPassphrase, None) => {
            ("The wallet's seed waits for its passphrase.".to_owned(), None)
        }
        (Kept::Keychain | Kept::FileWithPassphraseBeside, given) => {
            if let Some((_, from)) = given {
                tracing::warn!(from, "this vault needs no passphrase; the given one was not used");
            }
            (String::new(), Some(opens(PassphraseSource::Generate)))
        }
    };
    if let Some(opened) = given {
        let vault = Arc::new(opened.map_err(|error| vault_error(&error))?);
        return Ok(Some(Opened { vault, proved: false }));
    }
    let waiting = sealed::wait(home, options.network, why);
    tokio::select! {
        vault = waiting => Ok(vault?.map(|vault| Opened { vault: Arc::new(vault), proved: true })),
        () = asked_to_end(options.exit_with_parent) => Ok(None),
    }
}

/// A signal, and the end of who started us where that was asked for.
pub async fn asked_to_end(exit_with_parent: bool) {
    if exit_with_parent {
        tokio::select! {
            () = ending::signalled() => {}
            () = ending::parent_gone() => {}
        }
    } else {
        ending::signalled().await;
    }
}

fn not_made(error: &VaultError) -> ErrorBody {
    match error {
        VaultError::PassphraseNeeded => ErrorBody::refused(
            "passphrase_needed",
            "A new wallet has nowhere safe for its seed: no keychain keeps it, and no passphrase was \
             given. No seed was made.",
        ),
        other => vault_error(other),
    }
}

/// A home with a log or a node had a seed: another one would be an empty wallet in its place.
fn refuse_to_replace(home: &Home) -> Result<(), ErrorBody> {
    let Some(left) = ["wallet.db", "node"].iter().find(|name| home.join(name).exists()) else {
        return Ok(());
    };
    Err(ErrorBody::refused(
        "vault_missing",
        format!(
            "{} is here, but the vault with its seed is gone from {}. No new seed was made, and \
             nothing was started.",
            home.join(left).display(),
            home.join(VAULT_DIR).display()
        ),
    )
    .hint("Put the vault back, restore it from its words, or use another home for a new wallet."))
}

/// A passphrase that somebody gave, and whom it came from.
async fn given(fd: Option<u32>) -> Result<Option<(Zeroizing<String>, String)>, ErrorBody> {
    if let Some(fd) = fd {
        let from = format!("file descriptor {fd}");
        let read = tokio::task::spawn_blocking(move || host::secret::of_descriptor(fd));
        let read = match tokio::time::timeout(READ_WITHIN, read).await {
            Ok(Ok(read)) => read.map_err(|error| error.to_string()),
            Ok(Err(_)) => Err("reading it broke off".to_owned()),
            Err(_) => Err(format!("nothing came within {} s", READ_WITHIN.as_secs())),
        };
        let text = read.map_err(|why| not_read(&from, &why).exit(ExitCode::Usage))?;
        return Ok(Some((text, from)));
    }
    let Some(dir) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    let path = PathBuf::from(dir).join(CREDENTIAL);
    if !path.exists() {
        return Ok(None);
    }
    let from = format!("the credential {CREDENTIAL}");
    let text = host::secret::of_file(&path).map_err(|error| not_read(&from, &error.to_string()))?;
    Ok(Some((text, from)))
}

fn not_read(from: &str, why: &str) -> ErrorBody {
    ErrorBody::new(
        "passphrase",
        format!("The passphrase cannot be read from {from}: {why}. Nothing was started."),
    )
}
