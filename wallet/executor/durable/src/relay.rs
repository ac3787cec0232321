//! TCP through the gate: what one side says waits until its state is on disk.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

use crate::gate::Gate;

const MAX_CONNECTIONS: usize = 128;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const CHUNK_BYTES: usize = 32 * 1024;

/// Whose words are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Who connects is the node: to a peer, or to its chain source.
    Caller,
    /// Who is connected to is the node: a peer calls it.
    Callee,
}

/// A relay on loopback; it ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// Listens on a free port of this computer and connects each caller to `target`
    /// (`host:port`).
    pub async fn start(target: String, held: Held, gate: Gate) -> io::Result<Self> {
        Self::start_on(0, target, held, gate).await
    }

    /// The same on a given port.
    pub async fn start_on(port: u16, target: String, held: Held, gate: Gate) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, port).into(), target, held, gate).await
    }

    /// The same on a given address, which may be one that others reach.
    pub async fn start_at(
        at: SocketAddr,
        target: String,
        held: Held,
        gate: Gate,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, Arc::from(target), held, gate));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, target: Arc<str>, held: Held, gate: Gate) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((caller, _)) => {
                let (target, gate) = (Arc::clone(&target), gate.clone());
                open.spawn(async move {
                    if let Err(error) = join(caller, &target, held, gate).await {
                        tracing::debug!(%error, target = &*target, "a relayed connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a relayed connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn join(caller: TcpStream, target: &str, held: Held, gate: Gate) -> io::Result<()> {
    let callee = timeout(CONNECT_WITHIN, TcpStream::connect(target))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    caller.set_nodelay(true)?;
    callee.set_nodelay(true)?;
    let (from_caller, to_caller) = caller.into_split();
    let (from_callee, to_callee) = callee.into_split();
    let (out_gate, in_gate) = match held {
        Held::Caller => (Some(gate), None),
        Held::Callee => (None, Some(gate)),
    };
    // An end of either direction ends both: LDK and HTTP both take it for a lost connection.
    tokio::select! {
        ended = carry(from_caller, to_callee, out_gate) => ended,
        ended = carry(from_callee, to_caller, in_gate) => ended,
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    gate: Option<Gate>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        if let Some(gate) = &gate {
            gate.pass().await.map_err(io::Error::other)?;
        }
        to.write_all(&chunk[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DurableStore;
    use ldk_node::lightning::util::persist::{
        CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE, KVStoreSync,
    };

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, word: &[u8]) -> bool {
        stream.write_all(word).await.unwrap();
        let mut heard = vec![0; word.len()];
        let heard = timeout(Duration::from_millis(300), stream.read_exact(&mut heard)).await;
        heard.is_ok_and(|read| read.is_ok())
    }

    #[tokio::test]
    async fn words_of_the_node_wait_for_the_disk() {
        for held in [Held::Caller, Held::Callee] {
            let dir = tempfile::tempdir().unwrap();
            let (store, gate) = DurableStore::open(dir.path()).unwrap();
            gate.built();
            let relay = Relay::start(echo().await.to_string(), held, gate).await.unwrap();
            let mut stream = TcpStream::connect(relay.address()).await.unwrap();
            assert!(says(&mut stream, b"one").await);
            let monitors = CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE;
            KVStoreSync::write(&store, monitors, "", "m", vec![1]).unwrap();
            assert!(!says(&mut stream, b"two").await, "{held:?}: the manager is behind");
            KVStoreSync::write(&store, "", "", CHANNEL_MANAGER_PERSISTENCE_KEY, vec![1]).unwrap();
            let mut two = [0; 3];
            timeout(Duration::from_secs(1), stream.read_exact(&mut two)).await.unwrap().unwrap();
            assert_eq!(&two, b"two");
        }
    }

    #[tokio::test]
    async fn a_target_that_is_away_ends_the_call() {
        let dir = tempfile::tempdir().unwrap();
        let (_store, gate) = DurableStore::open(dir.path()).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let relay = Relay::start(free.to_string(), Held::Caller, gate).await.unwrap();
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        let mut nothing = [0; 1];
        let read = timeout(Duration::from_secs(6), stream.read(&mut nothing)).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)));
    }
}
