//! The gate as the relay client's door: relays are dialled only where the gate leads.

use relay::{BoxFuture, Door, RelayLimits};
use std::{net::SocketAddr, time::Duration};
use tokio::time::timeout;
use url::Url;

use crate::{egress::Egress, http::Request};

impl Door for Egress {
    fn admit<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<SocketAddr>, String>> {
        Box::pin(async move {
            let gate = self.admit_url(url.clone()).await.map_err(|error| error.to_string())?;
            Ok(gate.addresses)
        })
    }

    /// NIP-11: the same address over HTTP with its own media type.
    fn relay_limits<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Option<RelayLimits>> {
        const LONGEST: Duration = Duration::from_secs(10);
        const MOST_BYTES: u64 = 64 * 1024;
        Box::pin(async move {
            let scheme = if url.scheme() == "wss" { "https" } else { "http" };
            let (_, rest) = url.as_str().split_once(':')?;
            let request = Request::get(&format!("{scheme}:{rest}"), MOST_BYTES)
                .header("accept", "application/nostr+json");
            let response = timeout(LONGEST, self.fetch(request)).await.ok()?.ok()?;
            RelayLimits::parse(&response.body).filter(|_| response.status.is_success())
        })
    }
}
