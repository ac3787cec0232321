//! What waits to be sent to one client: bounded, and a client that lets it fill up is dropped.

use super::event::Stored;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{mpsc, watch};

/// One thing to send.
#[derive(Debug)]
pub enum Outgoing {
    Text(String),
    /// A live event for one subscription.
    Event {
        subscription: Arc<str>,
        stored: Arc<Stored>,
    },
    /// The stored events of a new subscription, then EOSE.
    Stored {
        subscription: Arc<str>,
        events: Vec<Arc<Stored>>,
    },
    Ping,
    /// The last thing: a closing frame.
    End,
}

impl Outgoing {
    /// Bytes that it keeps in memory or puts on the wire, roughly. Stored events are shared with
    /// the index.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Event { stored, .. } => stored.json.len(),
            Self::Stored { events, .. } => events.len() * size_of::<Arc<Stored>>(),
            Self::Ping | Self::End => 0,
        }
    }
}

/// The sending side; cheap to push to, never waits.
#[derive(Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    queued_bytes: AtomicUsize,
    max_bytes: usize,
    dropped: watch::Sender<bool>,
}

/// The receiving side, for the one task that writes to the socket.
#[derive(Debug)]
pub struct Queue {
    queue: mpsc::Receiver<Outgoing>,
    outbox: Arc<Outbox>,
}

impl Outbox {
    pub fn new(max_messages: usize, max_bytes: usize) -> (Arc<Self>, Queue) {
        let (sender, receiver) = mpsc::channel(max_messages);
        let outbox = Arc::new(Self {
            queue: sender,
            queued_bytes: AtomicUsize::new(0),
            max_bytes,
            dropped: watch::Sender::new(false),
        });
        let queue = Queue { queue: receiver, outbox: Arc::clone(&outbox) };
        (outbox, queue)
    }

    /// Queues something to send, or drops the client whose queue is full.
    pub fn push(&self, outgoing: Outgoing) {
        let bytes = outgoing.bytes();
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if queued > self.max_bytes || self.queue.try_send(outgoing).is_err() {
            self.drop_client();
        }
    }

    /// Ends the connection.
    pub fn drop_client(&self) {
        self.dropped.send_replace(true);
    }

    /// Turns true when the connection is to end.
    pub fn dropped(&self) -> watch::Receiver<bool> {
        self.dropped.subscribe()
    }
}

impl Queue {
    /// Takes up to `most` waiting things, waiting for the first.
    pub async fn take(&mut self, into: &mut Vec<Outgoing>, most: usize) -> usize {
        let taken = self.queue.recv_many(into, most).await;
        let bytes = into.iter().map(Outgoing::bytes).sum();
        self.outbox.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_the_client() {
        let (outbox, mut queue) = Outbox::new(2, 1_000);
        let dropped = outbox.dropped();
        outbox.push(Outgoing::Ping);
        outbox.push(Outgoing::Text("x".into()));
        assert!(!*dropped.borrow());
        outbox.push(Outgoing::Ping);
        assert!(*dropped.borrow());
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, 8).await, 2);
    }

    #[tokio::test]
    async fn too_many_bytes_drop_the_client_and_taking_frees_them() {
        let (outbox, mut queue) = Outbox::new(10, 10);
        let mut taken = Vec::new();
        for _ in 0..5 {
            outbox.push(Outgoing::Text("12345678".into()));
            taken.clear();
            queue.take(&mut taken, 8).await;
        }
        assert!(!*outbox.dropped().borrow());
        outbox.push(Outgoing::Text("12345678".into()));
        outbox.push(Outgoing::Text("12345678".into()));
        assert!(*outbox.dropped().borrow());
    }
}
