//! How long to wait before the next attempt: exponential, capped, with jitter.

use std::time::Duration;

pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// The connection was good for long enough: begin again at the shortest wait.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The other side misbehaves: wait as long as ever.
    pub fn give_up_hope(&mut self) {
        self.failures = 32;
    }

    /// The next wait: between half and all of the doubled last one, so that many clients of a
    /// relay that came back do not all return at once.
    pub fn next(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        // Without entropy the wait has no jitter; that is no reason to stop.
        let dice = getrandom::u32().unwrap_or(u32::MAX);
        full / 2 + (full / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_begins_again() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(60));
        let mut backoff = Backoff::new(first, most);
        for failures in 0..40 {
            let full = first.saturating_mul(1 << failures.min(20)).min(most);
            let wait = backoff.next();
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= first);
        backoff.give_up_hope();
        assert!(backoff.next() >= most / 2);
    }
}
