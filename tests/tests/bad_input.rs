//! What others may send, and what a machine may do to us: refused, and the desk sells on.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use futures_util::{SinkExt, StreamExt};
use nostr::{
    event::{EventBuilder, FinalizeEvent, Kind, Tag},
    key::Keys,
    types::Timestamp,
};
use scenarios::{
    desk::{Desk, copy_dir, text},
    programs::{desk_program, finish, libexec, tool},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A raw client: texts out, JSON in.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    runtime: tokio::runtime::Runtime,
    url: String,
    heard: Vec<Value>,
}

impl Client {
    fn connect(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let socket = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), connect_async(url))
                .await
                .unwrap()
                .unwrap()
                .0
        });
        Self { socket, runtime, url: url.into(), heard: Vec::new() }
    }

    fn send(&mut self, message: impl Into<Message>) {
        let _closed_on_us = self.runtime.block_on(self.socket.send(message.into()));
    }

    /// Listens until a message fits; false once the relay is silent for so long, or closed.
    fn hear(&mut self, within: Duration, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        if let Some(known) = self.heard.iter().find(|message| fits(message)) {
            return Some(known.clone());
        }
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self
                .runtime
                .block_on(async { tokio::time::timeout(left, self.socket.next()).await });
            let Ok(Some(Ok(message))) = next else { return None };
            let Ok(text) = message.to_text() else { continue };
            let Ok(message) = serde_json::from_str::<Value>(text) else { continue };
            self.heard.push(message.clone());
            if fits(&message) {
                return Some(message);
            }
        }
    }

    fn publish(&mut self, event: &Value) {
        self.send(json!(["EVENT", event]).to_string());
    }

    /// Whether the relay took the event.
    fn accepted(&mut self, event: &Value) -> bool {
        let id = event["id"].clone();
        self.publish(event);
        let answer = self.hear(Duration::from_secs(5), |m| m[0] == "OK" && m[1] == id);
        answer.is_some_and(|answer| answer[2] == true)
    }

    /// The relay may have closed on us.
    fn again(&mut self, provider: &str) {
        let heard = std::mem::take(&mut self.heard);
        *self = Self::connect(&self.url.clone());
        self.heard = heard;
        self.listen(provider);
    }

    fn listen(&mut self, provider: &str) {
        let filter = json!({ "kinds": [6000, 7000], "authors": [provider] });
        self.send(json!(["REQ", "answers", filter]).to_string());
    }

    /// What the provider answered to a request: kind and status of each.
    fn answers(&self, id: &Value) -> Vec<(u64, String)> {
        let mut events: Vec<_> =
            self.heard.iter().filter(|m| m[0] == "EVENT").map(|m| &m[2]).collect();
        events.sort_by_key(|event| event["id"].to_string());
        events.dedup_by_key(|event| event["id"].clone());
        let of_this = |event: &&&Value| tag(event, "e").is_some_and(|tag| tag[1] == *id);
        let answer = |event: &&Value| {
            let status = tag(event, "status").and_then(|tag| Some(tag[1].as_str()?.to_owned()));
            (event["kind"].as_u64().unwrap(), status.unwrap_or_default())
        };
        events.iter().filter(of_this).map(answer).collect()
    }
}

fn tag(event: &Value, name: &str) -> Option<Value> {
    event["tags"].as_array()?.iter().find(|tag| tag[0] == name).cloned()
}

/// A request for one text extraction, aimed at a provider, with more tags.
fn request(content: &str, provider: &str, shift_secs: i64, more: &[&[&str]]) -> Value {
    let keys = Keys::parse(&"11".repeat(32)).unwrap();
    let now = Timestamp::now().as_secs();
    let expiry = (now + 120).to_string();
    let unique = format!("{content}{shift_secs}{}", more.len());
    let mut tags: Vec<Vec<String>> = vec![
        vec!["i".into(), format!("# {unique}"), "text".into()],
        vec!["p".into(), provider.into()],
    ];
    let has = |name: &str| more.iter().any(|tag| tag[0] == name);
    if !has("bid") {
        tags.push(vec!["bid".into(), "100000".into()]);
    }
    if !has("param") {
        tags.push(vec!["param".into(), "media_type".into(), "text/markdown".into()]);
    }
    if !has("expiration") {
        tags.push(vec!["expiration".into(), expiry]);
    }
    tags.extend(more.iter().map(|tag| tag.iter().map(|&part| part.to_owned()).collect()));
    let mut draft = EventBuilder::new(Kind::from(5000), content)
        .custom_created_at(Timestamp::from(now.saturating_add_signed(shift_secs)));
    draft = draft.tags(tags.into_iter().map(|tag| Tag::parse(tag).unwrap()));
    serde_json::to_value(draft.finalize(&keys).unwrap()).unwrap()
}

fn flip(hex: &Value) -> Value {
    let hex = hex.as_str().unwrap();
    let last = if hex.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &hex[..hex.len() - 1]).into()
}

#[test]
fn bad_requests_are_refused_before_any_invoice_and_the_desk_sells_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(dir.path().join("home"));
    desk.start(&[]).unwrap();
    desk.ready(true).unwrap();
    let provider = desk.pubkey().unwrap();
    let relay = text(&desk.status().unwrap()["relays"][0]["url"]).unwrap();
    let mut client = Client::connect(&relay);
    client.listen(&provider);

    rubbish_closes_nothing(&mut client, &provider);

    let mut bad_sig = request("bad signature", &provider, 0, &[]);
    bad_sig["sig"] = flip(&bad_sig["sig"]);
    let mut wrong_id = request("wrong id", &provider, 0, &[]);
    wrong_id["id"] = flip(&wrong_id["id"]);
    for forged in [&bad_sig, &wrong_id] {
        assert!(!client.accepted(forged), "{forged}");
    }
    let bad = [
        bad_sig,
        wrong_id,
        request("expired", &provider, -600, &[&["expiration", "1000000000"]]),
        request("tomorrow", &provider, 86_400, &[]),
        request("soon", &provider, 800, &[]),
        request("AAAA?iv=AAAA", &provider, 0, &[&["encrypted"]]),
        request("params", &provider, 0, &[&["param", "media_type", "application/x-nothing"]]),
        request(
            "no such param",
            &provider,
            0,
            &[&["param", "media_type", "text/plain"], &["param", "colour", "blue"]],
        ),
        request("low bid", &provider, 0, &[&["bid", "1"]]),
    ];
    for event in &bad[2..] {
        client.publish(event);
    }
    let refused = |client: &mut Client, event: &Value| {
        let id = event["id"].clone();
        client.hear(Duration::from_secs(10), |m| {
            m[0] == "EVENT" && m[2]["kind"] == 7000 && tag(&m[2], "e").is_some_and(|e| e[1] == id)
        })
    };
    let answer = refused(&mut client, &bad[6]).expect("bad parameters are answered");
    assert_eq!(tag(&answer[2], "status").unwrap()[1], "error", "{answer}");

    wrong_tokens_open_nothing(&desk);
    a_second_process_is_kept_out(&desk);

    let good = request("good", &provider, 0, &[]);
    sells(&mut client, &desk, &good);
    for _ in 0..3 {
        client.accepted(&good);
        client.again(&provider);
        client.accepted(&good);
    }
    sells(&mut client, &desk, &request("another good one", &provider, 0, &[]));
    let invoices = |client: &Client, event: &Value| {
        let answers = client.answers(&event["id"]);
        answers
            .iter()
            .filter(|(kind, status)| *kind == 6000 || status == "payment-required")
            .count()
    };
    for event in &bad {
        assert_eq!(invoices(&client, event), 0, "{event}: {:?}", client.answers(&event["id"]));
    }
    assert_eq!(invoices(&client, &good), 2, "{:?}", client.answers(&good["id"]));
    let jobs = desk.cli(["job", "list"]).unwrap();
    let jobs = jobs["jobs"].as_array().unwrap();
    assert_eq!(jobs.iter().filter(|job| job["bolt11"].is_string()).count(), 2, "{jobs:?}");
    assert_eq!(desk.payments().unwrap().len(), 2, "one invoice per good job");
    assert!(desk.is_running());
    assert!(desk.stop().unwrap().success());
    assert!(desk.ends().unwrap().iter().all(|(_, ends)| *ends == 1));
    assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
    a_broken_page_is_named_and_nothing_else_is_lost(&desk);
}

/// Malformed and oversize messages; the relay may close on us, not on others.
fn rubbish_closes_nothing(client: &mut Client, provider: &str) {
    for rubbish in
        ["", "{", "[]", "[\"EVENT\"", "[\"EVENT\",{\"id\":7}]", "[\"REQ\"]", "null", "[[[["]
    {
        client.send(rubbish);
    }
    client.send(vec![0_u8, 159, 146, 150]);
    client.again(provider);
    let oversize = request(&"x".repeat(300 * 1024), provider, 0, &[]);
    assert!(!client.accepted(&oversize), "an event over the relay's limit");
    client.send("x".repeat(4 * 1024 * 1024));
    client.again(provider);
}

/// Buys and pays as anybody would.
fn sells(client: &mut Client, desk: &Desk, event: &Value) {
    assert!(client.accepted(event));
    let id = event["id"].clone();
    let asked = client
        .hear(Duration::from_secs(20), |m| {
            m[0] == "EVENT"
                && tag(&m[2], "e").is_some_and(|e| e[1] == id)
                && tag(&m[2], "status").is_some_and(|s| s[1] == "payment-required")
        })
        .expect("an invoice");
    let bolt11 = text(&tag(&asked[2], "amount").unwrap()[2]).unwrap();
    desk.cli(["practice", "pay", &bolt11]).unwrap();
    let result = client.hear(Duration::from_secs(20), |m| {
        m[0] == "EVENT" && m[2]["kind"] == 6000 && tag(&m[2], "e").is_some_and(|e| e[1] == id)
    });
    assert!(result.is_some(), "no result of {event}");
    desk.wait(&format!("job={}:succeeded", text(&id).unwrap()), 20).unwrap();
}

fn wrong_tokens_open_nothing(desk: &Desk) {
    let file = std::fs::read(desk.home.join("control.json")).unwrap();
    let rendezvous: Value = serde_json::from_slice(&file).unwrap();
    let call = |id: u64, method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    };
    let token = flip(&rendezvous["token"]);
    for first in [
        call(1, "status", Value::Null),
        call(1, "authenticate", json!({ "token": token })),
        call(1, "authenticate", json!({})),
        "not json".to_owned(),
    ] {
        let path = rendezvous["socket"].as_str().unwrap();
        let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _closed = writeln!(socket, "{first}\n{}", call(2, "shutdown", Value::Null));
        let mut said = String::new();
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            let answer: Value = serde_json::from_str(&line).unwrap();
            assert!(answer.get("result").is_none(), "{first}: {line}");
            said.push_str(&line);
        }
        assert!(said.contains("error"), "{first}: {said}");
    }
    desk.status().unwrap();
}

fn a_second_process_is_kept_out(desk: &Desk) {
    let second = desk.run(["up", "--headless"]).unwrap();
    assert!(!second.status.success());
    assert_eq!(second.json().unwrap()["error"]["code"], "home_in_use", "{second:?}");
    desk.status().unwrap();
}

fn a_broken_page_is_named_and_nothing_else_is_lost(desk: &Desk) {
    let events = desk.verify_log().unwrap();
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&desk.home, dir.path()).unwrap();
    let broken = Desk::new(dir.path());
    assert_eq!(broken.verify_log().unwrap(), events, "the copy is whole");
    for name in ["pilothouse.db", "pilothouse.db-wal"] {
        let path = dir.path().join(name);
        let Ok(mut bytes) = std::fs::read(&path) else { continue };
        let from = bytes.len().min(4_096);
        for byte in &mut bytes[from..] {
            *byte ^= 0x5a;
        }
        std::fs::write(path, bytes).unwrap();
    }
    for command in [&["events", "verify"][..], &["up", "--headless"][..]] {
        let refused = broken.run(command.iter().copied()).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{command:?}: {refused:?}");
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!said.contains("panicked"), "{said}");
        let error: Value = said.lines().rev().find_map(|l| serde_json::from_str(l).ok()).unwrap();
        assert!(error["error"]["message"].as_str().is_some_and(|m| m.len() > 10), "{said}");
    }
    assert_eq!(desk.verify_log().unwrap(), events, "the original is untouched");
}

const FULL_DISK: &str = r#"
set -u
mkdir -p "$H"
mount -t tmpfs -o size=48m none "$H" || exit 90
desk() { "$BIN" --json --home "$H" "$@"; }
desk up --headless >"$OUT/up" 2>&1 &
desk wait wallet=ready --timeout 60 >/dev/null || exit 91
desk wait 'balance>=1' --timeout 60 >/dev/null || exit 91
desk wallet receive 1000 >/dev/null || exit 92
cat /dev/zero >"$H/filler" 2>/dev/null
tries=0
while kill -0 $! 2>/dev/null && [ $tries -lt 60 ]; do
  timeout 20 "$BIN" --json --home "$H" wallet receive 1000 >/dev/null 2>&1
  tries=$((tries + 1))
done
kill -0 $! 2>/dev/null && exit 93
wait $!
echo $? >"$OUT/code"
rm "$H/filler"
desk events verify >"$OUT/verify" 2>&1
desk up --headless >"$OUT/again" 2>&1 &
desk wait wallet=ready --timeout 60 >/dev/null || exit 94
desk wallet receive 1000 >"$OUT/receive" || exit 95
desk stop >/dev/null || exit 96
wait $! || exit 97
desk events verify >"$OUT/verified" || exit 98
cat "$H"/pilothouse.log "$H"/*/*.out "$OUT/up" "$OUT/again" >"$OUT/logs"
exit 0
"#;

#[test]
fn a_full_disk_stops_the_desk_with_an_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let mut command = tool("unshare").unwrap();
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["sh", "-c", FULL_DISK]).env("OUT", &out).env("H", dir.path().join("home"));
    command.env("BIN", desk_program().unwrap()).env("PILOTHOUSE_LIBEXEC", libexec().unwrap());
    let done = finish(&mut command, Duration::from_secs(300)).unwrap();
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
    assert_eq!(done.status.code(), Some(0), "{done:?} {}", read("up"));
    assert_eq!(read("code").trim(), "1", "the desk stops with an error: {}", read("up"));
    assert!(read("up").contains("\"error\""), "{}", read("up"));
    let message = read("up").to_lowercase();
    assert!(message.contains("full") || message.contains("space"), "{message}");
    for name in ["verify", "verified"] {
        let report: Value = serde_json::from_str(&read(name)).unwrap();
        assert_eq!(report["ok"], true, "{report}");
    }
    assert!(read("receive").contains("lnbcrt"));
    // The desk and the programs that it started say what was wrong, and end.
    assert!(!read("logs").contains("panicked"), "{}", read("logs"));
}
