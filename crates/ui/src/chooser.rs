//! The system's own dialog for a folder or a file, asked without waiting for it.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
};

/// What is to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Folder,
    File,
    /// A place for a new file of this name.
    Save(&'static str),
}

/// What was chosen; absent where the operator chose nothing.
pub type Chosen = Receiver<Option<PathBuf>>;

type Open = dyn Fn(Wanted, Arc<dyn Fn() + Send + Sync>) -> Chosen + Send + Sync;

/// Opens a dialog; the choice comes later, and then `wake` is called.
#[derive(Clone)]
pub struct Chooser(Arc<Open>);

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chooser")
    }
}

impl Chooser {
    pub fn new(
        open: impl Fn(Wanted, Arc<dyn Fn() + Send + Sync>) -> Chosen + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(open))
    }

    /// The dialogs of the platform.
    pub fn system() -> Self {
        Self::new(|wanted, wake| {
            // The dialog is made here, on the UI thread, as macOS wants it; only its answer is
            // waited for elsewhere.
            let dialog = rfd::AsyncFileDialog::new();
            let (send, receive) = sync_channel(1);
            let waiting = std::thread::Builder::new().name("chooser".into());
            let title = match wanted {
                Wanted::Folder => "Choose a folder to pack",
                Wanted::File => "Choose a file to send",
                Wanted::Save(_) => "Choose where to write the payments",
            };
            let dialog = dialog.set_title(title);
            let chosen = match wanted {
                Wanted::Folder => boxed(dialog.pick_folder()),
                Wanted::File => boxed(dialog.pick_file()),
                Wanted::Save(name) => boxed(dialog.set_file_name(name).save_file()),
            };
            let spawned = waiting.spawn(move || {
                let path = pollster::block_on(chosen).map(|chosen| chosen.path().to_owned());
                // The window may be gone by then.
                let _unheard = send.send(path);
                wake();
            });
            if let Err(error) = spawned {
                tracing::warn!(%error, "no thread could wait for the dialog");
            }
            receive
        })
    }

    pub(crate) fn open(&self, wanted: Wanted, wake: Arc<dyn Fn() + Send + Sync>) -> Chosen {
        (self.0)(wanted, wake)
    }
}

type Choice = std::pin::Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>>;

fn boxed(choice: impl Future<Output = Option<rfd::FileHandle>> + Send + 'static) -> Choice {
    Box::pin(choice)
}
