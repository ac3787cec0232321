//! An executor that serves apps, over the practice relay, around any backend.
#![allow(dead_code)]

use domain::{ErrorBody, Network};
use host::{Core, CoreOptions, ipc::Handler};
use nostr::{event::Event, filter::Filter, key::Keys};
use pilothouse_practice::relay::{Relay, RelayConfig};
use pilothouse_wallet::{
    attach::attach,
    backend::Backend,
    backup,
    custody::Guard,
    house::{House, Tide},
    nwc::{
        keys::KeyMaker,
        line::{Line, Reach},
        manage::Door,
        places::Places,
        remote::Remote,
        seal::{self, Cipher},
        service::Service,
        uri::ConnectionUri,
        words::{Answer, Call},
    },
    secret::InvoiceSecret,
    server::Calls,
};
use relay::RelayFact;
use safety::SpendLimits;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use store::{OpenOptions, Store};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use wallet::{Wallet, io::ADAPTER, wire::ConnectionView};
use zeroize::Zeroizing;

pub const WITHIN: Duration = Duration::from_secs(30);

pub async fn relay(dir: &Path) -> Relay {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Relay::start(listener, &dir.join("relay.events"), RelayConfig::default()).unwrap()
}

/// An executor without its process, and the service of apps where it was started.
pub struct Served<B> {
    pub door: Door<B>,
    pub house: Arc<House<B>>,
    pumps: JoinSet<()>,
    serving: JoinSet<()>,
}

impl<B: Backend> Served<B> {
    pub async fn start(dir: &Path, backend: Arc<B>, relays: &[String]) -> Self {
        let mut served = Self::silent(dir, backend).await;
        Places::new(dir.to_owned()).set_relays(relays).unwrap();
        served.serve();
        served
    }

    /// Without the service: nobody is answered.
    pub async fn silent(dir: &Path, backend: Arc<B>) -> Self {
        let log = dir.join("wallet.db");
        let options = CoreOptions {
            store: Store::open(&log, OpenOptions { body_key: [5; 32] }).unwrap(),
            snapshot_schema: "test",
            view: Box::new(|wallet: &Wallet, _, _| Tide { cursor: wallet.cursor() }),
            project: |_, _| Vec::new(),
            signer: None,
        };
        let core = Core::spawn(options, &[ADAPTER]).unwrap();
        let secret = InvoiceSecret::new(Zeroizing::new([9; 32]));
        let house = Arc::new(House::new(core, secret));
        let pumps =
            attach(&house, backend, Network::Practice, SpendLimits::PRACTICE).await.unwrap();
        let calls = Arc::new(Calls {
            house: Arc::clone(&house),
            network: Network::Practice,
            words: Box::new(|| Zeroizing::new("one two three".into())),
            keeper: None,
            backup: Some((backup::Sources { log, files: Vec::new() }, dir.join("backups"))),
            custody: Guard::none(),
        });
        let keys = KeyMaker::new(Zeroizing::new([4; 32]));
        let service = Arc::new(Service::new(Arc::clone(&calls), keys, dir.to_owned()));
        let door = Door { calls, service };
        Self { door, house, pumps, serving: JoinSet::new() }
    }

    pub fn serve(&mut self) {
        self.serving.spawn(Arc::clone(&self.door.service).run());
    }

    /// As if the process ended while the service was at work; the wallet goes on.
    pub async fn stop_serving(&mut self) {
        self.serving.shutdown().await;
    }

    pub async fn end(self) {
        let Self { door, house, mut pumps, mut serving } = self;
        serving.shutdown().await;
        pumps.shutdown().await;
        house.core.shutdown().await;
        drop((door, house));
    }

    pub async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        params: Value,
    ) -> Result<T, ErrorBody> {
        let answer = self.door.call(name, params).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    /// A new connection.
    pub async fn connect(&self, terms: Value) -> (ConnectionView, ConnectionUri) {
        let mut asked = json!({ "name": "app" });
        asked.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
        let made: Value = self.ask("connection_create", asked).await.unwrap();
        let uri = ConnectionUri::parse(made["uri"].as_str().unwrap()).unwrap();
        (serde_json::from_value(made["connection"].clone()).unwrap(), uri)
    }

    /// Waits until the wallet knows what it can spend.
    pub async fn funded(&self) {
        for _ in 0..1_200 {
            let info: Value = self.ask("info", Value::Null).await.unwrap();
            if info["balance"]["spendable_msat"].as_u64().is_some_and(|msat| msat > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no balance")
    }
}

/// A client of a connection, ready to ask.
pub async fn app(uri: &ConnectionUri) -> Remote {
    let (remote, _told) = Remote::open(uri, Reach::Loopback).unwrap();
    while remote.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    remote
}

/// A client that sends what events it likes, and hears every answer.
pub struct Raw {
    pub line: Line,
    facts: mpsc::Receiver<RelayFact>,
    pub uri: ConnectionUri,
    pub keys: Keys,
}

impl Raw {
    pub async fn open(uri: &ConnectionUri) -> Self {
        let keys = uri.keys();
        let (line, mut facts) = Line::open(&uri.relays, Reach::Loopback).unwrap();
        let ours = Filter::new().author(uri.service).pubkey(keys.public_key());
        line.subscribe("raw", vec![ours]).unwrap();
        while !matches!(facts.recv().await.unwrap(), RelayFact::Eose { .. }) {}
        Self { line, facts, uri: uri.clone(), keys }
    }

    pub fn request(&self, call: &Call) -> Event {
        self.text(&call.to_json(), Cipher::Nip44)
    }

    pub fn text(&self, text: &str, cipher: Cipher) -> Event {
        let now = host::clock::now();
        seal::request(&self.keys, &self.uri.service, cipher, text, now, now.plus_secs(60)).unwrap()
    }

    pub async fn put(&self, event: &Event) {
        assert!(self.line.publish(event).await.is_published());
    }

    /// The next event of the wallet's for us.
    pub async fn hear(&mut self, within: Duration) -> Option<Event> {
        let next = async {
            loop {
                if let RelayFact::Event { event, .. } = self.facts.recv().await.unwrap() {
                    return (*event).clone();
                }
            }
        };
        tokio::time::timeout(within, next).await.ok()
    }

    /// The next answer, notifications apart: to what, its `d` tag, and what it says.
    pub async fn answer(&mut self, within: Duration) -> Option<(String, Option<String>, Answer)> {
        loop {
            let event = self.hear(within).await?;
            if event.kind != nostr::event::Kind::WalletConnectResponse {
                continue;
            }
            let nip04 = event.content.contains("?iv=");
            let cipher = if nip04 { Cipher::Nip04 } else { Cipher::Nip44 };
            let text = seal::open(cipher, &self.keys, &self.uri.service, &event.content).unwrap();
            let to = seal::tag(&event, "e").unwrap().to_owned();
            let name = seal::tag(&event, "d").map(str::to_owned);
            return Some((to, name, Answer::read(&text).unwrap()));
        }
    }
}
