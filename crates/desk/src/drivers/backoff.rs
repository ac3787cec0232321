//! Waiting longer after each try that failed, up to a bound.

use std::time::Duration;

/// Counts tries and waits between them.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest, tries: 0 }
    }

    /// Tries that failed.
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Notes a try that failed, and says how long to wait before the next.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_twice_as_long_each_time_and_never_longer_than_the_bound() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(1));
        let waits: Vec<_> = (0..4).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 1_000]);
        assert_eq!(backoff.tries(), 4);
    }
}
