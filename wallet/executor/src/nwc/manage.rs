//! What the operator does with connections: makes, lists and closes them, and says where apps meet
//! this wallet.

use domain::{ErrorBody, ExitCode, Pubkey};
use host::ipc::Handler;
use nostr::key::Keys;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::time::timeout;
use wallet::{
    Input,
    wire::{
        Account, AccountId, AccountKind, AccountQuery, AccountView, Connection, ConnectionCreate,
        ConnectionCreated, ConnectionList, ConnectionRelays, ConnectionView, method,
    },
};

use super::{
    intake::MAX_CONNECTIONS,
    service::{OFFERED, Service, info_of},
    uri::ConnectionUri,
    words::Method,
};
use crate::{backend::Backend, server::Calls};

/// How long a new connection waits until a relay knows of it.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// The executor's calls, those for connections included.
pub struct Door<B> {
    pub calls: Arc<Calls<B>>,
    pub service: Arc<Service<B>>,
}

impl<B: Backend> Handler for Door<B> {
    fn call<'a>(
        &'a self,
        name: &'a str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
        Box::pin(async move {
            let service = &self.service;
            match name {
                method::CONNECTIONS => json_of(&service.list().await?),
                method::CONNECTION_CREATE => {
                    self.calls.custody.check(&self.calls.house, name, &params).await?;
                    json_of(&service.create(read(params)?).await?)
                }
                method::CONNECTION_CLOSE => {
                    let AccountQuery { id } = read(params)?;
                    json_of(&service.close(&id).await?)
                }
                method::CONNECTION_RELAYS => {
                    let ConnectionRelays { relays } = read(params)?;
                    json_of(&service.set_relays(&relays).await?)
                }
                _ => self.calls.call(name, params).await,
            }
        })
    }
}

impl<B: Backend> Service<B> {
    /// All connections, the newest first, and where they meet this wallet.
    pub async fn list(&self) -> Result<ConnectionList, ErrorBody> {
        let mut views = self.accounts().await?;
        views.retain(|view| view.account.connection.is_some());
        views.sort_by_key(|view| std::cmp::Reverse(view.created_at));
        let relays = self.places.relays()?;
        let trouble = match (relays.is_empty(), &*self.line.lock().await) {
            (true, _) => Some(NO_RELAY.to_owned()),
            (false, Some(line)) => line.trouble(),
            (false, None) => None,
        };
        let connections = views.into_iter().map(|view| self.view(view)).collect();
        Ok(ConnectionList { connections, relays, trouble })
    }

    fn view(&self, account: AccountView) -> ConnectionView {
        let service = self.keys.service(&account.account.id).public_key();
        let used_at = self.used.lock().ok().and_then(|used| used.get(&account.account.id).copied());
        ConnectionView { service: Pubkey(service.to_bytes()), used_at, account }
    }

    /// Makes a connection: an account with its terms, and the string by which an app uses it. Only
    /// the public half of the app's key is kept, so the string can't be shown again.
    pub async fn create(&self, asked: ConnectionCreate) -> Result<ConnectionCreated, ErrorBody> {
        let relays = self.places.relays()?;
        if relays.is_empty() {
            return Err(ErrorBody::refused("no_relay", format!("{NO_RELAY} Nothing was made."))
                .hint("Choose one: `pilothouse wallet connections relay wss://…`."));
        }
        let methods = methods(asked.methods.as_deref())?;
        let open = self.list().await?.connections;
        if open.iter().filter(|one| !one.account.closed).count() >= MAX_CONNECTIONS {
            return Err(ErrorBody::refused(
                "too_many_connections",
                format!("A wallet has at most {MAX_CONNECTIONS} connections. Nothing was made."),
            ));
        }
        let client = Keys::generate();
        let hex = client.public_key().to_hex();
        let id = AccountId::new(format!("nwc-{}", &hex[..16]))
            .expect("BUG: hexadecimal digits are an account's id");
        let account = Account {
            id: id.clone(),
            name: asked.name,
            kind: AccountKind::Connection,
            isolated: asked.isolated,
            budget: asked.budget,
            per_payment_msat: asked.per_payment_msat,
            allow: asked.allow,
            expires_at: asked.expires_at,
            on_limit: asked.on_limit,
            connection: Some(Connection {
                client: Pubkey(client.public_key().to_bytes()),
                methods: methods.iter().map(|method| method.as_str().to_owned()).collect(),
                lud16: asked.lud16.clone(),
            }),
        };
        let uri = ConnectionUri {
            service: self.keys.service(&id).public_key(),
            relays,
            secret: client.secret_key().clone(),
            lud16: asked.lud16,
        };
        // What an app could not read is not made.
        ConnectionUri::parse(&uri.reveal()).map_err(|error| bad(&format!("{error}.")))?;
        self.house.ask(Input::SetAccount(account)).await?;
        self.serve_now(&id).await;
        let view = self.accounts().await?.into_iter().find(|view| view.account.id == id);
        let view = view.ok_or_else(|| ErrorBody::new("internal", "the account is not there"))?;
        Ok(ConnectionCreated { connection: self.view(view), uri: uri.reveal().to_string() })
    }

    /// Ends a connection: what is under way ends as it would, and nothing new is begun.
    pub async fn close(&self, id: &AccountId) -> Result<ConnectionView, ErrorBody> {
        let is_one =
            |view: &AccountView| view.account.id == *id && view.account.connection.is_some();
        if !self.accounts().await?.iter().any(is_one) {
            return Err(ErrorBody::refused(
                "no_such_connection",
                format!("This wallet has no connection {id}. Nothing changed."),
            ));
        }
        self.house.ask(Input::CloseAccount { id: id.clone() }).await?;
        let view = self.accounts().await?.into_iter().find(is_one);
        let view = view.ok_or_else(|| ErrorBody::new("internal", "the account is not there"))?;
        Ok(self.view(view))
    }

    /// Chooses the relays.
    pub async fn set_relays(&self, relays: &[String]) -> Result<ConnectionList, ErrorBody> {
        let before = self.places.relays().unwrap_or_default();
        if self.places.set_relays(relays)? != before {
            self.changed.notify_one();
        }
        self.list().await
    }

    /// Waits until the relays deliver to the connection, so that its first request is not lost.
    async fn serve_now(&self, id: &AccountId) {
        let ready = async {
            loop {
                if let Some(line) = self.line.lock().await.clone() {
                    let served = self.load().await.and_then(|_| self.subscribe(&line));
                    let connection = self.intake().of_account(id).cloned();
                    let info = connection.and_then(|one| info_of(&one, host::clock::now()));
                    if let (Ok(()), Some(info)) = (served, info)
                        && line.publish(&info).await.is_published()
                    {
                        return;
                    }
                }
                self.changed.notify_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(READY_WITHIN, ready).await.is_err() {
            tracing::warn!("a new connection is not reachable yet");
        }
    }
}

const NO_RELAY: &str = "No relay is chosen where apps could meet this wallet.";

/// The methods of a new connection; unknown ones are an error, as who named them counts on them.
fn methods(asked: Option<&[String]>) -> Result<Vec<Method>, ErrorBody> {
    let Some(asked) = asked else { return Ok(OFFERED.to_vec()) };
    let mut methods = Vec::new();
    for name in asked {
        let method = Method::parse(name).filter(|method| OFFERED.contains(method));
        let Some(method) = method else {
            let offered = OFFERED.map(Method::as_str).join(", ");
            return Err(bad(&format!("{name:?} is none of {offered}.")));
        };
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    if methods.is_empty() {
        Err(bad("A connection that may do nothing is none."))
    } else {
        Ok(methods)
    }
}

fn bad(why: &str) -> ErrorBody {
    ErrorBody::new("bad_connection", format!("{why} Nothing was made.")).exit(ExitCode::Usage)
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, ErrorBody> {
    serde_json::from_value(params).map_err(|error| {
        ErrorBody::new("invalid_params", format!("{error}; nothing was done."))
            .exit(ExitCode::Usage)
    })
}

fn json_of<T: Serialize>(value: &T) -> Result<Value, ErrorBody> {
    serde_json::to_value(value).map_err(|error| ErrorBody::new("internal", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_allowed_what_is_offered_and_named() {
        assert_eq!(methods(None).unwrap(), OFFERED);
        let named = ["get_info".to_owned(), "get_info".to_owned()];
        assert_eq!(methods(Some(&named)).unwrap(), [Method::GetInfo]);
        for bad in [vec![], vec!["fly".to_owned()], vec!["pay_keysend".to_owned()]] {
            assert_eq!(methods(Some(&bad)).unwrap_err().exit, ExitCode::Usage);
        }
    }
}
