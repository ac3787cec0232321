//! A wallet whose seed nobody opened: it says so, and waits for its passphrase.

use domain::{ErrorBody, Network};
use host::{Home, ipc, ipc::Handler};
use serde_json::Value;
use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use vault::{PassphraseSource, Vault, VaultError};
use wallet::{
    custody::{CustodyView, LOCKED},
    wire::{Info, NodeState, SERVICE, method},
};

use super::{
    guard::{vault_error, wrong},
    secret,
    tries::{self, Tries},
};

/// Answers while the vault is closed.
struct Sealed {
    dir: PathBuf,
    network: Network,
    why: String,
    tries: Mutex<Tries>,
    one: tokio::sync::Mutex<()>,
    opened: mpsc::Sender<Vault>,
    ending: watch::Sender<bool>,
}

/// Waits for the passphrase; `None` where the end was asked for first.
pub async fn wait(home: &Home, network: Network, why: String) -> Result<Option<Vault>, ErrorBody> {
    tracing::warn!(why, "the wallet waits for its passphrase");
    let (opened, mut opening) = mpsc::channel(1);
    let ending = watch::Sender::new(false);
    let mut ended = ending.subscribe();
    let sealed = Sealed {
        dir: home.join(super::open::VAULT_DIR),
        network,
        why,
        tries: Mutex::default(),
        one: tokio::sync::Mutex::new(()),
        opened,
        ending,
    };
    let _server = ipc::serve(home.root(), SERVICE, Arc::new(sealed)).map_err(|error| {
        ErrorBody::new("socket", format!("The local socket cannot be opened: {error}."))
    })?;
    tokio::select! {
        vault = opening.recv() => Ok(vault),
        _ = ended.wait_for(|ending| *ending) => Ok(None),
    }
}

impl Handler for Sealed {
    fn call<'a>(
        &'a self,
        name: &'a str,
        mut params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
        Box::pin(async move {
            match name {
                method::INFO => json(&self.info()),
                method::CUSTODY => json(&self.view()),
                method::UNLOCK => {
                    self.unlock(&mut params).await?;
                    json(&CustodyView { sealed: false, ..self.view() })
                }
                method::SHUTDOWN => {
                    self.ending.send_replace(true);
                    Ok(Value::Bool(true))
                }
                _ => Err(ErrorBody::refused(
                    LOCKED,
                    "The wallet has not started: its seed waits for the passphrase. Nothing was \
                     done.",
                )
                .hint("Unlock it with `pilothouse wallet unlock`.")
                .retryable()),
            }
        })
    }
}

impl Sealed {
    fn info(&self) -> Info {
        Info {
            network: self.network,
            backend: String::new(),
            node_id: String::new(),
            state: NodeState::Starting,
            balance: None,
            cursor: 0,
            detail: Some(format!("{} Unlock it with `pilothouse wallet unlock`.", self.why)),
            receives: Vec::new(),
            pays: Vec::new(),
            listening_address: None,
        }
    }

    fn view(&self) -> CustodyView {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        CustodyView {
            kept_in: "file_with_passphrase".into(),
            has_passphrase: true,
            sealed: true,
            locked: true,
            next_try_at: tries.next_at(Instant::now(), host::clock::now()),
            detail: self.why.clone(),
            ..CustodyView::default()
        }
    }

    async fn unlock(&self, params: &mut Value) -> Result<(), ErrorBody> {
        let text = secret::needed(params, "passphrase")?;
        let too_soon = |_| tries::too_soon(Duration::from_secs(1));
        let _one = self.one.try_lock().map_err(too_soon)?;
        let tries = || self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries().begin(Instant::now())?;
        let (dir, network) = (self.dir.clone(), self.network);
        let opening = tokio::task::spawn_blocking(move || {
            Vault::open(&dir, network, PassphraseSource::Given(text))
        });
        match opening.await {
            Ok(Ok(vault)) => {
                tries().was_right();
                let _opened_already = self.opened.try_send(vault);
                Ok(())
            }
            Ok(Err(VaultError::WrongPassphrase)) => {
                tries().was_wrong(Instant::now());
                tracing::warn!("a wrong passphrase was given");
                Err(wrong())
            }
            Ok(Err(error)) => Err(vault_error(&error)),
            Err(_) => Err(ErrorBody::new("internal", "A look at the vault broke off.")),
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value, ErrorBody> {
    serde_json::to_value(value).map_err(|error| ErrorBody::new("internal", error.to_string()))
}
