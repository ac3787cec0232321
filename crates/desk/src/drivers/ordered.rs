//! Effects of one stream in order, of different streams side by side, a bounded number at once.

use domain::StreamId;
use engine::Effect;
use futures_util::FutureExt;
use host::{Pending, core::Effects};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    panic::AssertUnwindSafe,
};
use tokio::task::JoinSet;

/// Runs `act` for each effect until the loop ends. `at_once` bounds how many run together; the
/// rest waits in the outbox's queue.
pub async fn run<F, Fut>(effects: Effects<Effect>, at_once: usize, act: F)
where
    F: Fn(Pending<Effect>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    run_with_urgent(effects, at_once, |_| false, act).await;
}

/// The same, but an urgent effect does not wait for the ones of its stream before it: what stops
/// work must not stand in line behind the work.
pub async fn run_with_urgent<F, Fut>(
    mut effects: Effects<Effect>,
    at_once: usize,
    is_urgent: impl Fn(&Effect) -> bool,
    act: F,
) where
    F: Fn(Pending<Effect>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut waiting: HashMap<StreamId, VecDeque<Pending<Effect>>> = HashMap::new();
    let mut held = 0;
    loop {
        tokio::select! {
            next = effects.next(), if running.len() + held < at_once => {
                let Some(pending) = next else { return };
                if is_urgent(&pending.effect) {
                    let stream = pending.id.stream.clone();
                    running.spawn(ended(stream, act(pending)).map(|_| None));
                    continue;
                }
                let stream = pending.id.stream.clone();
                if let Some(line) = waiting.get_mut(&stream) {
                    line.push_back(pending);
                    held += 1;
                } else {
                    waiting.insert(stream.clone(), VecDeque::new());
                    running.spawn(ended(stream, act(pending)));
                }
            }
            Some(done) = running.join_next() => {
                let Ok(Some(stream)) = done else { continue };
                match waiting.get_mut(&stream).and_then(VecDeque::pop_front) {
                    Some(pending) => {
                        held -= 1;
                        running.spawn(ended(stream, act(pending)));
                    }
                    None => {
                        waiting.remove(&stream);
                    }
                }
            }
        }
    }
}

/// A deed that panics ends alone: its stream goes on, and its effect stays in the outbox for the
/// next start.
async fn ended(stream: StreamId, act: impl Future<Output = ()>) -> Option<StreamId> {
    if AssertUnwindSafe(act).catch_unwind().await.is_err() {
        tracing::error!(%stream, "BUG: a driver panicked; its effect waits for the next start");
    }
    Some(stream)
}
