//! A relay refuses what a desk publishes: it is kept with its reason, over a restart, and done again.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use futures_util::{SinkExt, StreamExt};
use scenarios::{
    desk::Desk,
    programs::{desk_command, until},
};
use serde_json::{Value, json};
use std::{
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async, tungstenite::Message};

const WITHIN: Duration = Duration::from_secs(30);

/// A relay that takes nothing until it is told to.
#[derive(Default)]
struct Relay {
    takes: AtomicBool,
    taken: Mutex<Vec<Value>>,
}

impl Relay {
    /// Serves on a thread of its own until the test's process ends; gives its address.
    fn start() -> (Arc<Self>, String) {
        let relay = Arc::new(Self::default());
        let serving = Arc::clone(&relay);
        let (told, address) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(Arc::clone(&serving), stream));
                }
            });
        });
        (relay, format!("ws://{}", address.recv().unwrap()))
    }

    fn kinds(&self) -> Vec<u64> {
        self.taken.lock().unwrap().iter().map(|event| event["kind"].as_u64().unwrap()).collect()
    }
}

async fn serve(relay: Arc<Relay>, stream: TcpStream) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        let answer = match message[0].as_str() {
            Some("EVENT") if relay.takes.load(SeqCst) => {
                relay.taken.lock().unwrap().push(message[1].clone());
                json!(["OK", message[1]["id"], true, ""])
            }
            Some("EVENT") => json!(["OK", message[1]["id"], false, "blocked: not here"]),
            Some("REQ") => json!(["EOSE", message[1]]),
            _ => continue,
        };
        if socket.send(Message::text(answer.to_string())).await.is_err() {
            return;
        }
    }
}

fn start(desk: &mut Desk, relay: &str) {
    let mut command = desk_command().unwrap();
    command.args(["--json", "--home"]).arg(&desk.home);
    command.args(["up", "--headless", "--exit-with-parent", "--relay", relay]);
    command.stdin(Stdio::piped());
    desk.start_as(&mut command).unwrap();
}

fn dead(desk: &Desk) -> Vec<Value> {
    desk.cli(["events", "dead", "list"]).unwrap()["dead"].as_array().unwrap().clone()
}

#[test]
fn what_no_relay_takes_is_kept_and_done_again_when_the_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (relay, url) = Relay::start();
    let mut desk = Desk::new(dir.path().join("desk"));
    start(&mut desk, &url);
    desk.wait("provider=offline", 60).unwrap();
    for kind in ["5930", "5931"] {
        desk.cli(["provider", "offers", "remove", "--kind", kind]).unwrap();
    }
    desk.cli(["provider", "offers", "set", "--kind", "5000", "--price-msat", "0"]).unwrap();
    desk.cli(["provider", "online"]).unwrap();
    desk.wait("provider=online", 60).unwrap();
    until("the announcement is given up", WITHIN, || Ok(dead(&desk).len() == 1)).unwrap();
    let letter = dead(&desk)[0].clone();
    assert_eq!(letter["what"], "publish the announcement");
    assert_eq!(letter["adapter"], "relay");
    assert!(letter["why"].as_str().unwrap().contains("blocked: not here"), "{letter}");
    assert_eq!(desk.status().unwrap()["log"]["dead_letters"], 1);

    // It is in the log: another process knows it too.
    desk.cli(["provider", "offline"]).unwrap();
    until("the withdrawal is given up", WITHIN, || Ok(dead(&desk).len() == 2)).unwrap();
    desk.stop().unwrap();
    start(&mut desk, &url);
    desk.wait("provider=offline", 60).unwrap();
    assert_eq!(dead(&desk).len(), 2);

    relay.takes.store(true, SeqCst);
    // An announcement that was withdrawn since is not published after all; the withdrawal is.
    let done = desk.cli(["events", "dead", "retry"]).unwrap();
    assert_eq!(done["effects"].as_array().unwrap().len(), 2, "{done}");
    until("the relay has the withdrawal", WITHIN, || Ok(relay.kinds() == [5])).unwrap();
    until("both are gone", WITHIN, || Ok(dead(&desk).is_empty())).unwrap();
    let gone = desk.run(["events", "dead", "drop", letter["effect"].as_str().unwrap()]).unwrap();
    assert_eq!(gone.status.code(), Some(3), "{}", gone.stdout);
    assert!(desk.verify_log().unwrap() > 0);
    assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
}
