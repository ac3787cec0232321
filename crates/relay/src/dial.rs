//! Dialling: from a relay's address to an open WebSocket, each step bounded.

use rustls::ClientConfig;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};
use url::Url;

use crate::{fact::shown, port::Door};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What is needed to dial one relay.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub url: Url,
    pub door: Arc<dyn Door>,
    pub tls: Arc<ClientConfig>,
    pub timeout: Duration,
    pub max_message_bytes: usize,
}

impl Dialler {
    /// An open connection, or what stood in the way, for people.
    pub async fn dial(self) -> Result<Socket, String> {
        match timeout(self.timeout, self.connect()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", self.timeout.as_secs_f32())),
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        let addresses = self.door.admit(&self.url).await?;
        let mut failure = "its name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.upgrade(stream).await,
                Err(error) => failure = format!("could not connect to {address}: {error}"),
            }
        }
        Err(failure)
    }

    async fn upgrade(&self, stream: TcpStream) -> Result<Socket, String> {
        // A small frame must not wait for the acknowledgement of the one before it: that costs
        // about 40 ms for each event.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let config = WebSocketConfig::default()
            .read_buffer_size(32 * 1024)
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes));
        let connector = match self.url.scheme() {
            "wss" => Connector::Rustls(self.tls.clone()),
            _ => Connector::Plain,
        };
        client_async_tls_with_config(self.url.as_str(), stream, Some(config), Some(connector))
            .await
            .map(|(socket, _)| socket)
            .map_err(|error| describe(&error))
    }
}

/// A WebSocket error for people; what the other side wrote is tamed.
pub(crate) fn describe(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            format!("it answered with HTTP status {} instead of a WebSocket", response.status())
        }
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            "it closed the connection".to_owned()
        }
        tungstenite::Error::Capacity(_) => "it sent a message larger than we read".to_owned(),
        other => shown(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{port::BoxFuture, tls};
    use std::net::SocketAddr;
    use tokio::net::TcpListener;

    struct To(SocketAddr);

    impl Door for To {
        fn admit<'a>(&'a self, _: &'a Url) -> BoxFuture<'a, Result<Vec<SocketAddr>, String>> {
            Box::pin(async { Ok(vec![self.0]) })
        }
    }

    #[tokio::test]
    async fn the_socket_does_not_wait_for_acknowledgements() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(stream).await.unwrap()
        });
        let dialler = Dialler {
            url: Url::parse(&format!("ws://{address}")).unwrap(),
            door: Arc::new(To(address)),
            tls: tls::client_config(),
            timeout: Duration::from_secs(5),
            max_message_bytes: 1000,
        };
        let socket = dialler.dial().await.unwrap();
        let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("not plain") };
        assert!(stream.nodelay().unwrap());
        server.await.unwrap();
    }
}
