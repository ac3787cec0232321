//! The listening side: authenticates each connection, then answers calls side by side.

use domain::ErrorBody;
use interprocess::local_socket::{
    ListenerOptions,
    tokio::{Listener, Stream, prelude::*},
};
use serde_json::Value;
use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use super::wire::{Rendezvous, Request, Response, read_line};
use crate::{entropy, home};

const MAX_CONNECTIONS: usize = 64;
const MAX_CALLS_PER_CONNECTION: usize = 256;
const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(5);

/// Answers calls. Futures are dropped when the connection goes.
pub trait Handler: Send + Sync + 'static {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>>;
}

/// A running server; its socket, its rendezvous file and its open connections go when it is
/// dropped. What was answered by then is still written.
pub struct Server {
    accepting: JoinHandle<()>,
    rendezvous: PathBuf,
    socket: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        for path in [&self.rendezvous, &self.socket] {
            let _already_gone = std::fs::remove_file(path);
        }
    }
}

/// Listens for `name` in `dir` and answers with `handler`. Call under the lock of `dir` only: a
/// socket left by a killed process is replaced.
pub fn serve(dir: &Path, name: &str, handler: Arc<dyn Handler>) -> io::Result<Server> {
    let token = hex::encode(entropy::random_32().map_err(io::Error::other)?);
    let socket = socket_path(dir, name)?;
    let rendezvous =
        Rendezvous { socket: socket_name(&socket), token: token.clone(), pid: std::process::id() };
    if cfg!(unix) && socket.exists() {
        std::fs::remove_file(&socket)?;
    }
    let listener = ListenerOptions::new().name(rendezvous.name()?).create_tokio()?;
    restrict(&socket)?;
    let file = dir.join(format!("{name}.json"));
    home::write_private(&file, &serde_json::to_vec(&rendezvous)?)?;
    let accepting = tokio::spawn(accept(listener, Arc::from(token), handler));
    Ok(Server { accepting, rendezvous: file, socket })
}

/// `<dir>/<name>.sock`, or a short path of a private folder where that is too long for a socket.
fn socket_path(dir: &Path, name: &str) -> io::Result<PathBuf> {
    const LONGEST: usize = 100;
    let path = dir.join(format!("{name}.sock"));
    if path.as_os_str().len() <= LONGEST {
        return Ok(path);
    }
    let digest = domain::Sha256Hash::of(path.as_os_str().as_encoded_bytes());
    let folder = std::env::temp_dir().join(format!("pilothouse-{}", digest.short()));
    let folder = home::Home::open(folder).map_err(io::Error::other)?;
    is_our_folder(folder.root(), dir)?;
    Ok(folder.join(&format!("{name}.sock")))
}

/// The folder lies where everybody may write: one that somebody else made first, or a link, could
/// answer in our name.
fn is_our_folder(folder: &Path, home: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::symlink_metadata(folder)?;
        if !found.is_dir() || found.uid() != std::fs::metadata(home)?.uid() {
            let why = format!(
                "{} belongs to somebody else; remove it, or choose a shorter home",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
    }
    #[cfg(not(unix))]
    let _ = (folder, home);
    Ok(())
}

fn socket_name(path: &Path) -> String {
    if cfg!(windows) {
        let digest = domain::Sha256Hash::of(path.as_os_str().as_encoded_bytes());
        format!("pilothouse-{digest}")
    } else {
        path.to_string_lossy().into_owned()
    }
}

fn restrict(socket: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    let _ = socket;
    Ok(())
}

async fn accept(listener: Listener, token: Arc<str>, handler: Arc<dyn Handler>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(stream) => {
                let (token, handler) = (Arc::clone(&token), Arc::clone(&handler));
                while connections.try_join_next().is_some() {}
                connections.spawn(async move {
                    if let Err(error) = converse(stream, &token, handler).await {
                        tracing::debug!(%error, "a control connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a control connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(stream: Stream, token: &str, handler: Arc<dyn Handler>) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let first = tokio::time::timeout(AUTHENTICATE_WITHIN, read_line(&mut reader, &mut line));
    let answer = match first.await {
        Ok(Ok(Some(()))) => authenticate(&line, token),
        _ => return Ok(()),
    };
    let opened = answer.error.is_none();
    writer.write_all(&answer.to_line()).await?;
    if !opened {
        return Ok(());
    }
    let (answers, mut outgoing) = mpsc::channel::<Vec<u8>>(MAX_CALLS_PER_CONNECTION);
    let writing = tokio::spawn(async move {
        while let Some(line) = outgoing.recv().await {
            writer.write_all(&line).await?;
        }
        io::Result::Ok(())
    });
    let calls = Arc::new(Semaphore::new(MAX_CALLS_PER_CONNECTION));
    let mut running = tokio::task::JoinSet::new();
    while read_line(&mut reader, &mut line).await?.is_some() {
        while running.try_join_next().is_some() {}
        let request = match parse(&line) {
            Ok(request) => request,
            Err(refusal) => {
                let _gone = answers.send(refusal.to_line()).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&calls).acquire_owned().await else { break };
        let (answers, handler) = (answers.clone(), Arc::clone(&handler));
        running.spawn(async move {
            let outcome = handler.call(&request.method, request.params).await;
            let _gone = answers.send(Response::new(Some(request.id), outcome).to_line()).await;
            drop(place);
        });
    }
    drop(answers);
    running.abort_all();
    let _closed = writing.await;
    Ok(())
}

fn parse(line: &[u8]) -> Result<Request, Box<Response>> {
    let refuse = |id, code, message: String| {
        Err(Box::new(Response::new(id, Err(ErrorBody::new(code, message)))))
    };
    match serde_json::from_slice::<Request>(line) {
        Ok(request) if request.jsonrpc == "2.0" => Ok(request),
        Ok(request) => {
            refuse(Some(request.id), "invalid_request", "only JSON-RPC 2.0 is spoken here".into())
        }
        Err(error) if error.is_data() => {
            refuse(None, "invalid_request", format!("this is not a JSON-RPC 2.0 request: {error}"))
        }
        Err(error) => refuse(None, "parse_error", format!("this line is not JSON: {error}")),
    }
}

fn authenticate(line: &[u8], token: &str) -> Response {
    match parse(line) {
        Err(refusal) => *refusal,
        Ok(request) => {
            let given = request.params["token"].as_str().unwrap_or_default();
            let outcome = if request.method == "authenticate" && same(given, token) {
                Ok(Value::Bool(true))
            } else {
                Err(ErrorBody::refused("wrong_token", "The token does not open this socket.")
                    .hint("Run the command as the user who started the desk."))
            };
            Response::new(Some(request.id), outcome)
        }
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}
