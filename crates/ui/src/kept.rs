//! Answers kept while they are looked at: asked for once, the least looked at forgotten first.

use domain::ErrorBody;
use engine::{DeskPort, Query, view::Answer};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, mpsc::Receiver},
};

use crate::courier::{Load, take};

/// One question: on its way, or answered.
enum Asked<T> {
    Waiting(Receiver<Answer>),
    Answered(Load<Arc<T>>),
}

/// Answers by what was asked for; no more of them than the inspector needs.
pub struct Kept<K, T> {
    answers: HashMap<K, (u64, Asked<T>)>,
    turn: u64,
}

const KEPT: usize = 32;

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self { answers: HashMap::new(), turn: 0 }
    }
}

impl<K: Clone + Eq + Hash, T> Kept<K, T> {
    /// What is known of `key`; the first time it is asked for.
    pub fn get(&mut self, port: &dyn DeskPort, key: &K, query: Query) -> Load<Arc<T>> {
        self.turn += 1;
        if !self.answers.contains_key(key) {
            if self.answers.len() >= KEPT {
                let oldest = self.answers.iter().min_by_key(|(_, (used, _))| *used);
                let oldest = oldest.map(|(key, _)| key.clone());
                oldest.map(|key| self.answers.remove(&key));
            }
            let asked = Asked::Waiting(port.ask(query));
            self.answers.insert(key.clone(), (self.turn, asked));
        }
        match self.answers.get_mut(key) {
            Some((used, asked)) => {
                *used = self.turn;
                match asked {
                    Asked::Waiting(_) => Load::Waiting,
                    Asked::Answered(load) => load.clone(),
                }
            }
            None => Load::Waiting,
        }
    }

    /// What has come of `key`, without asking.
    pub fn peek(&self, key: &K) -> Option<Arc<T>> {
        match self.answers.get(key) {
            Some((_, Asked::Answered(Load::Ready(answer)))) => Some(answer.clone()),
            _ => None,
        }
    }

    /// Takes in the answers that have come, as `read` reads them.
    pub fn settle(&mut self, read: impl Fn(Answer) -> Result<T, ErrorBody>) {
        for (_, asked) in self.answers.values_mut() {
            let Asked::Waiting(receiver) = asked else { continue };
            if let Some(answer) = take(receiver) {
                *asked = Asked::Answered(match read(answer) {
                    Ok(answer) => Load::Ready(Arc::new(answer)),
                    Err(error) => Load::Failed(error),
                });
            }
        }
    }

    /// Forgets a failure, so that it is asked for again.
    pub fn forget(&mut self, key: &K) {
        self.answers.remove(key);
    }
}
