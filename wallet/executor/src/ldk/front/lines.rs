//! The front of an Electrum server: lines of JSON, after a handshake that the node leaves out.
//!
//! The server must be told its client's version first, and its network is looked at again on each
//! connection, as a name can stand for many servers. One that stays silent, or sends a line
//! without an end, is left: the node connects again.

use ldk_node::bitcoin::{BlockHash, block::Header, consensus::encode::deserialize_hex};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
        BufReader,
    },
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    Trouble, Watch,
    reach::{Reach, Stream},
};

const MAX_CONNECTIONS: usize = 16;
/// The hex of the largest transaction fits, and so does a long batch.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;
const MAX_HANDSHAKE_BYTES: usize = 64 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const CHUNK_BYTES: usize = 32 * 1024;
/// What we say we are, and the protocols that the node's client speaks.
const CLIENT: &str = "pilothouse";
const PROTOCOLS: [&str; 2] = ["1.4", "1.4.3"];
const BROADCAST: &str = "blockchain.transaction.broadcast";
const BROADCAST_PACKAGE: &str = "blockchain.transaction.broadcast_package";

/// What the front needs to serve.
pub struct Lines {
    pub reach: Reach,
    /// The first block of our network.
    pub first: BlockHash,
    pub trouble: Trouble,
    pub watch: Watch,
}

/// A server that was greeted.
type Greeted = BufReader<Box<dyn Stream>>;

/// The server's first block.
pub async fn genesis_of(reach: &Reach) -> Result<BlockHash, String> {
    greet(reach).await.map(|(_, found)| found).map_err(|error| error.to_string())
}

async fn greet(reach: &Reach) -> io::Result<(Greeted, BlockHash)> {
    let mut server = BufReader::new(reach.connect().await?);
    let greeting = json!({
        "jsonrpc": "2.0", "id": 0, "method": "server.version", "params": [CLIENT, PROTOCOLS],
    });
    let answer = ask(&mut server, &greeting).await?;
    if !answer["result"].is_array() {
        return Err(io::Error::other("it does not speak a protocol that the node knows"));
    }
    let first = json!({
        "jsonrpc": "2.0", "id": 1, "method": "blockchain.block.header", "params": [0],
    });
    let answer = ask(&mut server, &first).await?;
    let header: Header = answer["result"]
        .as_str()
        .and_then(|hex| deserialize_hex(hex).ok())
        .ok_or_else(|| io::Error::other("what answers there is not an Electrum server"))?;
    Ok((server, header.block_hash()))
}

async fn ask(server: &mut Greeted, call: &Value) -> io::Result<Value> {
    let asked = async {
        server.write_all(format!("{call}\n").as_bytes()).await?;
        server.flush().await?;
        loop {
            let line = read_line(server, MAX_HANDSHAKE_BYTES).await?;
            let answer: Value = serde_json::from_slice(&line)
                .map_err(|_| io::Error::other("what answers there is not an Electrum server"))?;
            // A server may tell news in between.
            if answer["id"] == call["id"] {
                return Ok(answer);
            }
        }
    };
    timeout(ANSWER_WITHIN, asked).await.map_err(|_| silent())?
}

async fn read_line(from: &mut (impl AsyncBufRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut from = from.take(most as u64);
    from.read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::Error::other("it closed the connection, or its line has no end"));
    }
    Ok(line)
}

fn silent() -> io::Error {
    io::Error::other(format!("it did not answer within {} seconds", ANSWER_WITHIN.as_secs()))
}

pub async fn serve(listener: TcpListener, lines: Arc<Lines>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((node, _)) => {
                let lines = Arc::clone(&lines);
                open.spawn(async move {
                    if let Err(error) = lines.join(node).await {
                        lines.trouble.say(&error);
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the chain's front was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Lines {
    async fn join(&self, node: TcpStream) -> io::Result<()> {
        node.set_nodelay(true)?;
        let (server, found) = greet(&self.reach).await?;
        if found != self.first {
            return Err(io::Error::other(format!(
                "it is of another network now: its first block is {found}"
            )));
        }
        let waiting = Waiting::default();
        let (from_node, to_node) = node.into_split();
        let (from_server, to_server) = tokio::io::split(server);
        tokio::select! {
            // The node left, or the server would not take more: no news about the server.
            _ = self.pass_on(from_node, to_server, &waiting) => Ok(()),
            ended = self.pass_back(from_server, to_node, &waiting) => ended,
            () = waiting.too_long() => Err(silent()),
        }
    }

    /// Line by line, as each may be a transaction that must be seen before it leaves.
    async fn pass_on(
        &self,
        from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        waiting: &Waiting,
    ) -> io::Result<()> {
        let mut from = BufReader::new(from);
        loop {
            let line = read_line(&mut from, MAX_LINE_BYTES).await?;
            let call: Value = serde_json::from_slice(&line)?;
            match call["method"].as_str() {
                Some(BROADCAST) => {
                    let hex = call["params"][0].as_str().unwrap_or_default();
                    self.watch.leaving(hex).await.map_err(io::Error::other)?;
                }
                Some(method) if method != BROADCAST_PACKAGE => {}
                _ => return Err(io::Error::other("the node asks for what it never does")),
            }
            waiting.asked();
            to.write_all(&line).await?;
            to.flush().await?;
        }
    }

    /// Sends a transaction.
    pub async fn send(&self, hex: String) -> Result<(), String> {
        self.watch.leaving(&hex).await?;
        let answer = self.ask_anew(BROADCAST, json!([hex])).await?;
        match answer["error"]["message"].as_str() {
            None => Ok(()),
            Some(why) => Err(why.chars().take(200).collect()),
        }
    }

    /// The server's estimate, where it has one.
    pub async fn fee_sat_per_vb(&self, blocks: u32) -> Result<Option<f64>, String> {
        let answer = self.ask_anew("blockchain.estimatefee", json!([blocks])).await?;
        // In bitcoin for a thousand bytes, and negative for none.
        Ok(answer["result"].as_f64().filter(|rate| *rate > 0.0).map(|rate| rate * 100_000.0))
    }

    async fn ask_anew(&self, method: &str, params: Value) -> Result<Value, String> {
        let (mut server, found) = greet(&self.reach).await.map_err(|error| error.to_string())?;
        if found != self.first {
            return Err("it is of another network now".into());
        }
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        ask(&mut server, &call).await.map_err(|error| error.to_string())
    }

    async fn pass_back(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        waiting: &Waiting,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut open_line = 0;
        loop {
            let count = from.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            let said = &chunk[..count];
            open_line = match said.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => count - end - 1,
                None => open_line + count,
            };
            if open_line > MAX_LINE_BYTES {
                return Err(io::Error::other(format!(
                    "it answered with more than {} MiB",
                    MAX_LINE_BYTES / 1024 / 1024
                )));
            }
            waiting.answered();
            self.trouble.clear();
            if to.write_all(said).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Since when the server owes an answer.
#[derive(Default)]
struct Waiting(Mutex<Option<Instant>>);

impl Waiting {
    fn asked(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn too_long(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if since.is_some_and(|since| since.elapsed() > ANSWER_WITHIN) {
                return;
            }
        }
    }
}
