//! Committed effects on their way to the adapters.

use domain::machine::Effect;
use std::collections::{HashMap, VecDeque};
use tokio::sync::mpsc;

use super::Pending;

/// Effects that wait in memory for one adapter; more of them wait in the loop.
const QUEUE: usize = 1_024;

/// One adapter's committed effects, in the order of their commits.
pub struct Effects<F> {
    receiver: mpsc::Receiver<Pending<F>>,
}

impl<F> Effects<F> {
    /// The next effect; `None` when the loop has ended.
    pub async fn next(&mut self) -> Option<Pending<F>> {
        self.receiver.recv().await
    }
}

/// The loop's side: never waits. What does not fit waits in order, bounded because the door closes.
pub(super) struct Outgoing<F> {
    lanes: HashMap<&'static str, Lane<F>>,
}

struct Lane<F> {
    sender: mpsc::Sender<Pending<F>>,
    waiting: VecDeque<Pending<F>>,
}

impl<F: Effect> Outgoing<F> {
    pub fn new(adapters: &[&'static str]) -> (Self, HashMap<&'static str, Effects<F>>) {
        let mut lanes = HashMap::new();
        let mut effects = HashMap::new();
        for adapter in adapters {
            let (sender, receiver) = mpsc::channel(QUEUE);
            lanes.insert(*adapter, Lane { sender, waiting: VecDeque::new() });
            effects.insert(*adapter, Effects { receiver });
        }
        (Self { lanes }, effects)
    }

    /// Hands over an effect whose commit is done.
    pub fn send(&mut self, pending: Pending<F>) {
        let adapter = pending.effect.adapter();
        match self.lanes.get_mut(adapter) {
            Some(lane) => lane.waiting.push_back(pending),
            None => tracing::error!(adapter, "an effect names an adapter that nobody runs"),
        }
    }

    /// Moves what fits to the adapters; true while something still waits here.
    pub fn flush(&mut self) -> bool {
        for lane in self.lanes.values_mut() {
            while let Some(next) = lane.waiting.pop_front() {
                if let Err(error) = lane.sender.try_send(next) {
                    match error {
                        mpsc::error::TrySendError::Full(back) => lane.waiting.push_front(back),
                        mpsc::error::TrySendError::Closed(_) => lane.waiting.clear(),
                    }
                    break;
                }
            }
        }
        self.lanes.values().any(|lane| !lane.waiting.is_empty())
    }
}
