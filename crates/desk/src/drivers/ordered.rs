//! Effects of one stream in order, of different streams side by side, a bounded number at once.

use domain::StreamId;
use engine::Effect;
use host::{Pending, core::Effects};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
};
use tokio::task::JoinSet;

/// Runs `act` for each effect until the loop ends. `at_once` bounds how many run together; the
/// rest waits in the outbox's queue.
pub async fn run<F, Fut>(mut effects: Effects<Effect>, at_once: usize, act: F)
where
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
                let Ok(stream) = done else { continue };
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

async fn ended(stream: StreamId, act: impl Future<Output = ()>) -> StreamId {
    act.await;
    stream
}
