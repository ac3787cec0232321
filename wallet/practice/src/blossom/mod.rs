//! A Blossom blob server (BUD-01, BUD-02): blobs by their SHA-256, uploads signed by their owner.

mod auth;
mod range;
mod server;
mod store;

#[cfg(test)]
mod tests;

pub use store::StoreError;

use crate::http;
use server::Server;
use std::{io, path::Path, sync::Arc};
use store::BlobStore;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Limits of one blob server.
#[derive(Clone, Debug)]
pub struct BlossomConfig {
    pub max_connections: usize,
    pub max_blob_bytes: u64,
    /// All blobs together.
    pub max_total_bytes: u64,
    /// Whether `GET /list/<pubkey>` is answered.
    pub lists: bool,
}

impl Default for BlossomConfig {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_blob_bytes: 256 * 1024 * 1024,
            max_total_bytes: 4 * 1024 * 1024 * 1024,
            lists: true,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BlossomError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the practice blob server cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// A running blob server.
pub struct Blossom {
    port: u16,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Blossom {
    /// Loads what `dir` holds and serves it on `listener`.
    ///
    /// # Errors
    /// If the folder can't be used or the listener has no address.
    pub async fn start(
        listener: TcpListener,
        dir: &Path,
        config: BlossomConfig,
    ) -> Result<Self, BlossomError> {
        let port = listener.local_addr()?.port();
        let max_connections = config.max_connections;
        let store = BlobStore::open(dir, &config).await?;
        let (stop, stopping) = watch::channel(false);
        let server = Arc::new(Server::new(store, config, format!("http://127.0.0.1:{port}")));
        let serving = tokio::spawn(http::serve(listener, server, max_connections, stopping));
        Ok(Self { port, stop, serving })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends every connection.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ended = self.serving.await;
    }
}
