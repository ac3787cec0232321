//! The calling side: many calls at once over one connection.

use domain::{ErrorBody, ExitCode};
use interprocess::local_socket::tokio::{Stream, prelude::*};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::wire::{Rendezvous, Request, Response, read_line};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const QUEUE: usize = 256;

type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Response>>>>>;

/// A connection to one of our own programs.
pub struct Client {
    outgoing: mpsc::Sender<Vec<u8>>,
    waiting: Waiting,
    next_id: std::sync::atomic::AtomicU64,
    reading: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Client {
    /// Connects to the server whose rendezvous file is `<dir>/<name>.json`.
    pub async fn connect(dir: &Path, name: &str) -> Result<Self, ErrorBody> {
        Self::connect_to(&dir.join(format!("{name}.json"))).await
    }

    /// Connects to the server of this rendezvous file.
    pub async fn connect_to(file: &Path) -> Result<Self, ErrorBody> {
        let rendezvous = Rendezvous::read(file).map_err(|error| not_reachable(&error))?;
        let connecting = async {
            let stream = Stream::connect(rendezvous.name()?).await?;
            io::Result::Ok(stream)
        };
        let stream = tokio::time::timeout(CONNECT_WITHIN, connecting)
            .await
            .map_err(|_| not_reachable(&io::ErrorKind::TimedOut.into()))?
            .map_err(|error| not_reachable(&error))?;
        let (reader, writer) = tokio::io::split(stream);
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (outgoing, lines) = mpsc::channel(QUEUE);
        tokio::spawn(write(writer, lines));
        let reading = tokio::spawn(read(reader, Arc::clone(&waiting)));
        let client = Self { outgoing, waiting, next_id: 1.into(), reading };
        client.call("authenticate", json!({ "token": rendezvous.token })).await?;
        Ok(client)
    }

    /// Whether the other side is still there.
    pub fn is_open(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Calls and waits for the answer; a lost connection is `not_reachable`, and then the outcome
    /// of a call that changes things is unknown.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, ErrorBody> {
        let id = self.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        match self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(waiting) => waiting.insert(id, answer),
            None => return Err(lost()),
        };
        let request = Request { jsonrpc: "2.0".into(), id, method: method.to_owned(), params };
        let mut line = serde_json::to_vec(&request)
            .map_err(|error| ErrorBody::new("invalid_params", error.to_string()))?;
        line.push(b'\n');
        self.outgoing.send(line).await.map_err(|_| lost())?;
        let response = answered.await.map_err(|_| lost())?;
        match response.error {
            Some(error) => Err(error.data),
            None => Ok(response.result.unwrap_or(Value::Null)),
        }
    }

    /// Calls with typed parameters and a typed answer.
    pub async fn request<P: serde::Serialize, R: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: &P,
    ) -> Result<R, ErrorBody> {
        let params = serde_json::to_value(params)
            .map_err(|error| ErrorBody::new("invalid_params", error.to_string()))?;
        let answer = self.call(method, params).await?;
        serde_json::from_value(answer).map_err(|error| {
            ErrorBody::new(
                "bad_answer",
                format!("the answer to {method} was not understood: {error}"),
            )
        })
    }
}

async fn write(mut writer: WriteHalf<Stream>, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn read(reader: ReadHalf<Stream>, waiting: Waiting) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while let Ok(Some(())) = read_line(&mut reader, &mut line).await {
        let Ok(response) = serde_json::from_slice::<Response>(&line) else { continue };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let answered =
            response.id.and_then(|id| waiting.as_mut().and_then(|waiting| waiting.remove(&id)));
        if let Some(answer) = answered {
            let _nobody_waits = answer.send(response);
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

fn not_reachable(error: &io::Error) -> ErrorBody {
    ErrorBody::new("not_reachable", format!("Nothing answers in this home ({error})."))
        .hint("Start it with `pilothouse up`.")
        .retryable()
        .exit(ExitCode::NotReachable)
}

fn lost() -> ErrorBody {
    ErrorBody::new("connection_lost", "The connection was lost before the answer came.")
        .hint("Look at the state before asking again.")
        .retryable()
        .exit(ExitCode::NotReachable)
}
