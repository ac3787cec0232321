//! What asks a program of ours to end: a signal, or the end of who started it.

use std::io::Read;

/// Until SIGTERM or Ctrl-C. Where neither can be watched, for ever.
pub async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Until standard input ends, which it does when its other end is gone. A thread of its own reads
/// it, so that nothing waits for it at the end.
pub async fn parent_gone() {
    let (gone, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while matches!(std::io::stdin().read(&mut buffer), Ok(read) if read > 0) {}
        let _already_stopping = gone.send(());
    });
    let _ended = ended.await;
}

/// Whether a window can be opened here, as far as the environment says.
pub fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}
