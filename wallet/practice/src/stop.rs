//! A flag that tells tasks to end.

use tokio::sync::watch;

/// Returns when the flag turns true, or nobody is left to turn it.
pub async fn asked(stop: &mut watch::Receiver<bool>) {
    let _asked_or_dropped = stop.wait_for(|stop| *stop).await;
}
