//! Wrong passphrases cost time: each waits twice as long as the one before.

use domain::{ErrorBody, Timestamp};
use std::time::{Duration, Instant};

const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How often in a row the passphrase was wrong, and when the next one is looked at.
#[derive(Debug, Default)]
pub struct Tries {
    wrong: u32,
    not_before: Option<Instant>,
}

impl Tries {
    /// Begins a try, counted as wrong until it was right: one that breaks off is not free.
    ///
    /// # Errors
    ///
    /// It comes too soon after wrong ones.
    pub fn begin(&mut self, now: Instant) -> Result<(), ErrorBody> {
        if let Some(wait) = self.wait(now) {
            return Err(too_soon(wait));
        }
        self.wrong = self.wrong.saturating_add(1);
        self.was_wrong(now);
        Ok(())
    }

    /// The wait begins when the answer was given.
    pub fn was_wrong(&mut self, now: Instant) {
        let doubled = Duration::from_secs(1 << self.wrong.saturating_sub(1).min(16));
        self.not_before = Some(now + doubled.min(LONGEST_WAIT));
    }

    pub fn was_right(&mut self) {
        *self = Self::default();
    }

    /// When the next try is looked at, where it has to wait.
    pub fn next_at(&self, now: Instant, clock: Timestamp) -> Option<Timestamp> {
        let wait = self.wait(now)?;
        Some(Timestamp(clock.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))))
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before?.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }
}

/// The answer to a try that was not looked at.
pub fn too_soon(wait: Duration) -> ErrorBody {
    let secs = wait.as_millis().div_ceil(1_000).max(1);
    ErrorBody::refused(
        "too_many_tries",
        format!("This passphrase was not looked at: the next try counts in {secs} s."),
    )
    .retryable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_one_waits_longer_and_a_right_one_ends_it() {
        let mut tries = Tries::default();
        let mut now = Instant::now();
        for secs in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(tries.begin(now).is_ok());
            let early = now + Duration::from_millis(secs * 1_000 - 1);
            assert_eq!(tries.begin(early).unwrap_err().code, "too_many_tries", "{secs}");
            now += Duration::from_secs(secs);
        }
        assert!(tries.begin(now).is_ok());
        tries.was_right();
        assert!(tries.begin(now).is_ok(), "the count began anew");
        assert!(tries.next_at(now, Timestamp(5_000)).is_some_and(|at| at.0 == 6_000));
    }
}
