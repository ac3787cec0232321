//! The desk as its window sees it: nothing here waits.

use domain::ErrorBody;
use engine::{
    Command, DeskPort, Query, Reply, View,
    port::{PackProgress, Packing},
    view::Answer,
};
use std::{
    fs::File,
    io::Read,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
};
use vault::Vault;

use crate::{drivers::blobs, identity, process::Inner};

/// The longest memory of a window that is read: it is a few hundred bytes.
const MEMORY_BYTES: u64 = 64 * 1024;

/// A window's hold on the running desk.
pub struct Port {
    desk: Arc<Inner>,
    runtime: tokio::runtime::Handle,
    memory: Arc<Memory>,
    ended: OnceLock<Result<(), ErrorBody>>,
}

/// What the window asked to be kept and is not written yet.
#[derive(Default)]
struct Memory {
    newest: Mutex<Option<String>>,
    /// Held by the one that writes.
    writing: Mutex<()>,
}

impl Memory {
    /// Writes the newest, unless another one did so meanwhile.
    fn write(&self, path: &std::path::Path) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(memory) = newest
            && let Err(error) = host::home::write_private(path, memory.as_bytes())
        {
            tracing::warn!(%error, "what the window remembers was not written");
        }
    }
}

impl Port {
    pub fn new(desk: Arc<Inner>) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self { desk, runtime, memory: Arc::default(), ended: OnceLock::new() }
    }

    /// The desk is over; the window learns of it.
    pub fn end(&self, outcome: Result<(), ErrorBody>) {
        let _is_over_once = self.ended.set(outcome);
        self.desk.wake();
    }

    /// `window-practice.json`: one per network.
    fn memory_path(&self) -> PathBuf {
        self.desk.home.join(&format!("window-{}.json", self.desk.network))
    }

    fn change_identity(
        &self,
        change: impl FnOnce(&Vault) -> Result<(), ErrorBody> + Send + 'static,
    ) -> Receiver<Reply> {
        let (answer, answered) = sync_channel(1);
        let desk = Arc::clone(&self.desk);
        self.runtime.spawn(async move {
            let reply = desk.change_identity(change).await.unwrap_or_else(Reply::Refused);
            let _window_closed = answer.send(reply);
            desk.wake();
        });
        answered
    }
}

impl DeskPort for Port {
    fn view(&self) -> Arc<View> {
        self.desk.view()
    }

    fn send(&self, command: Command) -> Receiver<Reply> {
        let (answer, answered) = sync_channel(1);
        let desk = Arc::clone(&self.desk);
        self.runtime.spawn(async move {
            let reply = desk.command(command).await.unwrap_or_else(Reply::Refused);
            let _window_closed = answer.send(reply);
            desk.wake();
        });
        answered
    }

    fn ask(&self, query: Query) -> Receiver<Answer> {
        let (answer, answered) = sync_channel(1);
        let desk = Arc::clone(&self.desk);
        self.runtime.spawn(async move {
            let reply = desk.query(query).await;
            let _window_closed = answer.send(reply);
            desk.wake();
        });
        answered
    }

    fn on_change(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.desk.set_wake(wake);
    }

    fn ended(&self) -> Option<Result<(), ErrorBody>> {
        self.ended.get().cloned()
    }

    fn seed_words(&self) -> Result<Vec<String>, ErrorBody> {
        self.desk.seed_words()
    }

    fn words_written(&self) -> Receiver<Reply> {
        self.change_identity(identity::words_written)
    }

    fn name_machine(&self, name: String) -> Receiver<Reply> {
        self.change_identity(move |vault| identity::name_machine(vault, &name))
    }

    fn pack(&self, path: PathBuf) -> Packing {
        let (answer, outcome) = sync_channel(1);
        let progress = Arc::<PackProgress>::default();
        let (desk, shared) = (Arc::clone(&self.desk), Arc::clone(&progress));
        self.runtime.spawn(async move {
            let packed = blobs::pack(&desk, path, shared).await;
            let _window_closed = answer.send(packed);
            desk.wake();
        });
        Packing { progress, outcome }
    }

    fn memory(&self) -> Option<String> {
        let mut text = String::new();
        let read = File::open(self.memory_path())
            .and_then(|file| file.take(MEMORY_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "what the window remembers was not read");
                None
            }
        }
    }

    fn remember(&self, memory: String) {
        *self.memory.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
        let (kept, path) = (Arc::clone(&self.memory), self.memory_path());
        self.runtime.spawn_blocking(move || kept.write(&path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_memory_is_the_one_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("window-practice.json");
        let memory = Memory::default();
        memory.write(&path);
        assert!(!path.exists());
        for text in ["1", "2"] {
            *memory.newest.lock().unwrap() = Some(text.to_owned());
        }
        memory.write(&path);
        memory.write(&path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
    }
}
