//! The real mint's process, and a wire to it that can lose answers.

use std::{
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinHandle,
};

/// Where `cargo xtask interop` says that the mint is.
const PROGRAM: &str = "PILOTHOUSE_PRACTICE_MINT";

/// Which answer is lost, once: the mint does what it was asked for, and nobody hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Mint,
    Melt,
}

impl Lost {
    fn line(self) -> &'static str {
        match self {
            Self::Mint => "POST /v1/mint/bolt11 ",
            Self::Melt => "POST /v1/melt/bolt11 ",
        }
    }
}

#[derive(Default)]
struct Wire {
    to_lose: Mutex<Option<Lost>>,
    lost: AtomicUsize,
}

pub struct Mint {
    _program: Child,
    _dir: tempfile::TempDir,
    address: String,
    url: String,
    wire: Arc<Wire>,
    carrying: JoinHandle<()>,
}

impl Drop for Mint {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Mint {
    #[expect(clippy::disallowed_methods, reason = "the mint is a program of its own")]
    pub async fn start() -> Self {
        let program = std::env::var_os(PROGRAM).expect("the mint is named: cargo xtask interop");
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("http://").expect("the mint's address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wire = Arc::new(Wire::default());
        let carrying = tokio::spawn(carry(listener, address.clone(), Arc::clone(&wire)));
        Self { _program: child, _dir: dir, address, url, wire, carrying }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn lose(&self, what: Lost) {
        *self.wire.to_lose.lock().unwrap() = Some(what);
    }

    pub fn lost(&self) -> usize {
        self.wire.lost.load(Ordering::SeqCst)
    }

    pub async fn outside_invoice(&self, msat: u64) -> String {
        let answer = self.practice("invoice", &format!(r#"{{"amount_msat":{msat}}}"#)).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["bolt11"].as_str().unwrap().to_owned()
    }

    pub async fn pays(&self, bolt11: &str) {
        self.practice("pay", &format!(r#"{{"bolt11":"{bolt11}"}}"#)).await;
    }

    pub async fn mood(&self, mood: &str) {
        self.practice("mood", &format!(r#"{{"mood":"{mood}"}}"#)).await;
    }

    async fn practice(&self, what: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST /practice/{what} HTTP/1.1\r\nhost: mint\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

async fn carry(listener: TcpListener, address: String, wire: Arc<Wire>) {
    loop {
        let Ok((ours, _)) = listener.accept().await else { return };
        let Ok(theirs) = TcpStream::connect(&address).await else { continue };
        tokio::spawn(one(ours, theirs, Arc::clone(&wire)));
    }
}

/// One connection is one question: the wallet closes each.
async fn one(mut ours: TcpStream, mut theirs: TcpStream, wire: Arc<Wire>) {
    let mut first = vec![0; 16 * 1024];
    let Ok(read) = ours.read(&mut first).await else { return };
    if theirs.write_all(&first[..read]).await.is_err() {
        return;
    }
    let is_lost = {
        let mut to_lose = wire.to_lose.lock().unwrap();
        let line = to_lose.map(Lost::line);
        let is_lost = line.is_some_and(|line| first[..read].starts_with(line.as_bytes()));
        if is_lost {
            *to_lose = None;
        }
        is_lost
    };
    let (mut our_half, mut our_rest) = ours.split();
    let (mut their_half, mut their_rest) = theirs.split();
    let up = tokio::io::copy(&mut our_half, &mut their_rest);
    let down = async {
        if is_lost {
            let mut answer = Vec::new();
            let _ended = their_half.read_to_end(&mut answer).await;
            wire.lost.fetch_add(1, Ordering::SeqCst);
        } else {
            let _ended = tokio::io::copy(&mut their_half, &mut our_rest).await;
        }
    };
    tokio::select! {
        () = down => {}
        _ = async { let _sent = up.await; std::future::pending::<()>().await } => {}
    }
}
