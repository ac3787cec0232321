//! The chain's RPC from outside, over plain HTTP.

use super::*;
use crate::http;
use base64::{Engine, prelude::BASE64_STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};

struct Server {
    port: u16,
    authorization: String,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::open(&dir.path().join("blocks")).unwrap();
        let credentials = Credentials::load_or_make(&dir.path().join("password")).unwrap();
        let again = Credentials::load_or_make(&dir.path().join("password")).unwrap();
        assert!(credentials.password == again.password && credentials.password.len() == 64);
        let server = RpcServer::new(Arc::new(Mutex::new(chain)), &credentials);
        let listener = http::listen(0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(http::serve(listener, Arc::new(server), 8, stopping));
        let pair = format!("{}:{}", credentials.user, credentials.password);
        let authorization = format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair));
        Self { port, authorization, stop, serving, _dir: dir }
    }

    async fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap())
    }

    fn post(&self, body: &str) -> String {
        let length = body.len();
        let auth = &self.authorization;
        format!("POST / HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: {length}\r\n\r\n{body}")
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.serving.await.unwrap();
    }
}

/// Sends a request and reads one answer: its status and body.
async fn ask(connection: &mut BufReader<TcpStream>, request: &[u8]) -> (u16, Vec<u8>) {
    let _may_be_refused_early = connection.write_all(request).await;
    let mut status = None;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        let line = line.to_ascii_lowercase();
        if status.is_none() {
            status = line.get(9..12).and_then(|code| code.parse().ok());
        } else if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    (status.unwrap_or(0), body)
}

#[tokio::test]
async fn calls_are_answered_on_one_connection() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    for id in ["1", "2", "3"] {
        let call = json!({ "method": "getblockcount", "params": [], "id": id }).to_string();
        let (status, body) = ask(&mut connection, server.post(&call).as_bytes()).await;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(answer, json!({ "result": 0, "error": null, "id": id }));
    }
    drop(connection);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_answered_call_by_call() {
    let server = Server::start().await;
    let batch = json!([
        { "method": "getblockcount", "id": 1 },
        { "method": "nothing", "id": 2 },
        7,
        { "method": "getblockhash", "params": [0], "id": 3 },
    ]);
    let mut connection = server.connect().await;
    let (status, body) = ask(&mut connection, server.post(&batch.to_string()).as_bytes()).await;
    let answers: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(answers[0], json!({ "result": 0, "error": null, "id": 1 }));
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[2]["error"]["code"], -32600);
    assert_eq!((&answers[3]["id"], answers[3]["result"].is_string()), (&json!(3), true));
    drop(connection);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_a_good_call_gets_a_clear_answer() {
    let server = Server::start().await;
    let wrong = BASE64_STANDARD.encode("practice:wrong");
    let nobody = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned();
    let liar = nobody.replace("Host: x", &format!("Host: x\r\nAuthorization: Basic {wrong}"));
    let get = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", server.authorization);
    let large = format!(
        "POST / HTTP/1.1\r\nHost: x\r\n{}Content-Length: 99999999\r\n\r\n{}",
        server.authorization,
        "x".repeat(100_000)
    );
    for (request, expected) in [
        (nobody, 401),
        (liar, 401),
        (get, 405),
        (large, 413),
        (server.post("{\"method\":\"nothing\"}"), 404),
        (server.post("[]"), 400),
        (server.post("{"), 500),
        (server.post("{\"method\":\"getblock\",\"params\":[\"x\"]}"), 500),
        ("\0\0\0\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
    ] {
        let mut connection = server.connect().await;
        let shown: String = request.chars().take(60).collect();
        assert_eq!(ask(&mut connection, request.as_bytes()).await.0, expected, "{shown}");
    }
    let mut connection = server.connect().await;
    let (_, body) = ask(&mut connection, server.post("{").as_bytes()).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&answer["error"]["code"], &answer["result"]), (&json!(-32700), &Value::Null));
    server.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_leave_the_server_answering(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            let mut connection = server.connect().await;
            connection.write_all(&bytes).await.unwrap();
            connection.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _closed = connection.read_to_end(&mut answer).await;
            let mut connection = server.connect().await;
            let call = server.post("{\"method\":\"getblockcount\"}");
            assert_eq!(ask(&mut connection, call.as_bytes()).await.0, 200);
            drop(connection);
            server.stop().await;
        });
    }
}
