//! What a screen holds of the running desk: read a view, send a command, ask for a page.

use std::sync::{Arc, mpsc::Receiver};

use crate::{
    command::{Command, Reply},
    view::{Answer, Query, View},
};

/// The running desk as its screens see it. Nothing here waits.
pub trait DeskPort: Send + Sync {
    /// The newest view; the same `Arc` while nothing changed.
    fn view(&self) -> Arc<View>;
    /// Sends a command; the reply arrives once it is committed. A full inbox is itself a reply.
    fn send(&self, command: Command) -> Receiver<Reply>;
    /// Asks for what is not hot; the answer arrives when it is read.
    fn ask(&self, query: Query) -> Receiver<Answer>;
    /// Calls `wake` after each new view, reply or answer. Called from other threads.
    fn on_change(&self, wake: Arc<dyn Fn() + Send + Sync>);
    /// Local actions that are not commands of the engine: show or back up the seed words.
    fn seed_words(&self) -> Result<Vec<String>, domain::ErrorBody>;
}
