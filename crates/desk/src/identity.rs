//! The desk's own seed: made, opened, shown, restored and backed up.

use domain::{ErrorBody, ExitCode, Network};
use engine::event::Identity;
use host::Home;
use serde_json::{Value, json};
use std::{
    io::{BufRead, IsTerminal, Read},
    path::Path,
};
use vault::{Created, PassphraseSource, Vault, VaultError};
use zeroize::Zeroizing;

const DIR: &str = "vault";

fn error(error: VaultError) -> ErrorBody {
    let code = match &error {
        VaultError::Missing(_) => "no_identity",
        VaultError::Exists(_) => "identity_exists",
        VaultError::BadWords(_) => "bad_words",
        VaultError::PassphraseNeeded | VaultError::WrongPassphrase => "wrong_passphrase",
        _ => "vault_not_usable",
    };
    ErrorBody::new(code, error.to_string())
}

pub fn open_existing(home: &Home, network: Network) -> Result<Vault, ErrorBody> {
    Vault::open(&home.join(DIR), network, PassphraseSource::Generate).map_err(error)
}

/// Opens the vault; on the practice network, where nothing of value is at stake, makes it first.
pub fn open_or_create(home: &Home, network: Network) -> Result<Vault, ErrorBody> {
    let dir = home.join(DIR);
    if Vault::exists(&dir) || network != Network::Practice {
        return open_existing(home, network);
    }
    let created = Vault::create(&dir, network, PassphraseSource::Generate).map_err(error)?;
    tracing::info!("a practice identity was made; its passphrase is kept beside it");
    Ok(created.vault)
}

pub fn init(home: &Home, network: Network) -> Result<Value, ErrorBody> {
    let _lock = home.lock("pilothouse").map_err(crate::cli::home_error)?;
    let created = Vault::create(&home.join(DIR), network, PassphraseSource::Generate);
    Ok(describe_created(&created.map_err(error)?))
}

pub fn restore(home: &Home, network: Network, words: &str) -> Result<Value, ErrorBody> {
    let _lock = home.lock("pilothouse").map_err(crate::cli::home_error)?;
    let dir = home.join(DIR);
    let restored = Vault::restore(&dir, network, words.trim(), PassphraseSource::Generate);
    Ok(describe_created(&restored.map_err(error)?))
}

/// The passphrase is the first line of standard input, or made up and shown once at a terminal.
pub fn backup(home: &Home, network: Network, file: &Path) -> Result<Value, ErrorBody> {
    let vault = open_existing(home, network)?;
    let stdin = std::io::stdin();
    let (passphrase, shown) = if stdin.is_terminal() {
        let made = Zeroizing::new(hex::encode(
            host::entropy::random_32()
                .map_err(|error| ErrorBody::new("internal", error.to_string()))?,
        ));
        (made.clone(), Some(made))
    } else {
        let mut line = Zeroizing::new(String::new());
        stdin
            .lock()
            .take(1_024)
            .read_line(&mut line)
            .map_err(|error| ErrorBody::new("no_passphrase", error.to_string()))?;
        (Zeroizing::new(line.trim_end().to_owned()), None)
    };
    vault.backup_to(file, passphrase).map_err(error)?;
    vault.mark_backed_up().map_err(error)?;
    let mut report = describe(&vault);
    report["file"] = json!(file);
    if let Some(passphrase) = shown {
        report["passphrase"] = json!(passphrase.as_str());
    }
    Ok(report)
}

fn describe_created(created: &Created) -> Value {
    let mut shown = describe(&created.vault);
    if let Some(passphrase) = &created.passphrase {
        shown["passphrase"] = json!(passphrase.as_str());
    }
    if let Some(why) = &created.keychain_refused {
        shown["keychain"] = json!(why);
    }
    shown
}

pub fn describe(vault: &Vault) -> Value {
    let fact = fact(vault);
    json!({
        "npub": fact.npub, "pubkey": fact.pubkey, "kept_in": fact.kept_in,
        "backed_up": fact.backed_up, "network": vault.network(), "name": fact.name,
    })
}

/// What the log says of the identity: nothing secret.
pub fn fact(vault: &Vault) -> Identity {
    let kept_in = serde_json::to_value(vault.kept_in()).unwrap_or_default();
    Identity {
        pubkey: vault.pubkey(),
        npub: vault::npub(&vault.pubkey()),
        kept_in: kept_in.as_str().unwrap_or("unknown").to_owned(),
        backed_up: vault.is_backed_up(),
        name: vault.name(),
    }
}

/// The operator has the words elsewhere too.
pub fn words_written(vault: &Vault) -> Result<(), ErrorBody> {
    vault.mark_backed_up().map_err(error)
}

/// Names this machine; an empty name takes it away.
pub fn name_machine(vault: &Vault, name: &str) -> Result<(), ErrorBody> {
    let name = name.trim();
    let most = engine::port::MACHINE_NAME_CHARS;
    if name.chars().count() > most || name.chars().any(char::is_control) {
        let message = format!("A machine's name is one line of at most {most} characters.");
        return Err(ErrorBody::new("bad_name", message).exit(ExitCode::Usage));
    }
    vault.set_name((!name.is_empty()).then(|| name.to_owned())).map_err(error)
}

/// The seed words, for the operator's eyes.
pub fn words(vault: &Vault) -> Result<Vec<String>, ErrorBody> {
    Ok(vault.words().split(' ').map(ToOwned::to_owned).collect())
}

pub fn text(shown: &Value) -> String {
    let mut lines = vec![
        format!("npub: {}", shown["npub"].as_str().unwrap_or("unknown")),
        format!("kept in: {}", shown["kept_in"].as_str().unwrap_or("unknown")),
        format!("backed up: {}", shown["backed_up"] == true),
    ];
    if let Some(name) = shown["name"].as_str() {
        lines.insert(0, format!("name: {name}"));
    }
    if let Some(passphrase) = shown["passphrase"].as_str() {
        lines.push(format!("passphrase (shown once): {passphrase}"));
    }
    if let Some(words) = shown["words"].as_array() {
        lines.push("words (whoever has them is you):".into());
        lines.extend(words.iter().enumerate().map(|(index, word)| {
            format!("  {:>2}. {}", index + 1, word.as_str().unwrap_or_default())
        }));
    }
    lines.join("\n")
}
