//! The desk as its window sees it: nothing here waits.

use domain::ErrorBody;
use engine::{Command, DeskPort, Query, Reply, View, view::Answer};
use std::sync::{
    Arc,
    mpsc::{Receiver, sync_channel},
};

use crate::process::Inner;

/// A window's hold on the running desk.
pub struct Port {
    desk: Arc<Inner>,
    runtime: tokio::runtime::Handle,
}

impl Port {
    pub fn new(desk: Arc<Inner>) -> Self {
        Self { desk, runtime: tokio::runtime::Handle::current() }
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

    fn seed_words(&self) -> Result<Vec<String>, ErrorBody> {
        self.desk.seed_words()
    }
}
