//! Time on screen: an injected clock, and times in the words of the desk.

use domain::Timestamp;
use std::{fmt, sync::Arc};

/// Where the desk reads the time and the operator's offset from UTC. The program injects both.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Seconds east of UTC at a time.
    offset_secs: Arc<dyn Fn(Timestamp) -> i32 + Send + Sync>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

const DAY_MS: u64 = 86_400_000;

impl Clock {
    /// `now` in UTC; `offset_secs` says how many seconds east of UTC the operator is at a time.
    pub fn new(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        offset_secs: impl Fn(Timestamp) -> i32 + Send + Sync + 'static,
    ) -> Self {
        Self { now: Arc::new(now), offset_secs: Arc::new(offset_secs) }
    }

    /// A clock that shows UTC.
    pub fn utc(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::new(now, |_| 0)
    }

    /// A clock that stands still, for tests and pictures.
    pub fn fixed(at: Timestamp) -> Self {
        Self::utc(move || at)
    }

    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn local(&self, at: Timestamp) -> Timestamp {
        let offset_ms = i64::from((self.offset_secs)(at)) * 1_000;
        Timestamp(at.0.saturating_add_signed(offset_ms))
    }

    /// `14:02:11`, local.
    pub fn time(&self, at: Timestamp) -> String {
        let text = self.local(at).to_rfc3339();
        text.get(11..19).map_or(text.clone(), str::to_owned)
    }

    /// `14:02:11.123`, local.
    pub fn exact_time(&self, at: Timestamp) -> String {
        let text = self.local(at).to_rfc3339();
        text.get(11..23).map_or(text.clone(), str::to_owned)
    }

    /// `14:02:11` today, `19 Nov 14:02` this year, `2025-11-19 14:02` before.
    pub fn moment(&self, at: Timestamp) -> String {
        let (then, now) = (self.local(at), self.local(self.now()));
        if then.0 / DAY_MS == now.0 / DAY_MS {
            return self.time(at);
        }
        let (then, now) = (then.to_rfc3339(), now.to_rfc3339());
        let parts = (then.get(..4), then.get(5..7), then.get(8..10), then.get(11..16));
        let (Some(year), Some(month), Some(day), Some(minute)) = parts else { return then };
        if now.starts_with(year) {
            let month = month.parse().ok().and_then(|n: usize| MONTHS.get(n.wrapping_sub(1)));
            format!("{} {} {minute}", day.trim_start_matches('0'), month.unwrap_or(&"?"))
        } else {
            format!("{year}-{month}-{day} {minute}")
        }
    }

    /// `2026-11-20 14:02:11 UTC+1`, local: for the inspector.
    pub fn full(&self, at: Timestamp) -> String {
        self.dated(at, 11..19).map_or_else(|text| text, |text| format!("{text} {}", self.zone(at)))
    }

    /// `2026-11-20 14:02:11.123`, local; its zone stands beside it.
    pub fn exact(&self, at: Timestamp) -> String {
        self.dated(at, 11..23).unwrap_or_else(|text| text)
    }

    /// The day and a part of the time; where the year has too many digits for that, all of it.
    fn dated(&self, at: Timestamp, time: std::ops::Range<usize>) -> Result<String, String> {
        let text = self.local(at).to_rfc3339();
        match (text.get(..10), text.get(time)) {
            (Some(date), Some(time)) => Ok(format!("{date} {time}")),
            _ => Err(text),
        }
    }

    /// `UTC`, `UTC+1`, `UTC−3:30`: where the operator's times are at that time.
    pub fn zone(&self, at: Timestamp) -> String {
        let minutes = (self.offset_secs)(at) / 60;
        let sign = if minutes < 0 { '−' } else { '+' };
        match (minutes.abs() / 60, minutes.abs() % 60) {
            (0, 0) => "UTC".into(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `420 ms`, `1.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        3_600_000..DAY_MS => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d", ms / DAY_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T13:57:42.123Z
    const NOON: Timestamp = Timestamp(1_795_183_062_123);

    #[test]
    fn times_are_local_and_say_the_day_where_it_is_another() {
        let clock = Clock::new(|| NOON, |_| 3_600);
        assert_eq!(clock.time(NOON), "14:57:42");
        assert_eq!(clock.exact_time(NOON), "14:57:42.123");
        assert_eq!(clock.moment(NOON), "14:57:42");
        assert_eq!(clock.moment(NOON.minus_secs(86_400)), "19 Nov 14:57");
        assert_eq!(clock.moment(NOON.minus_secs(400 * 86_400)), "2025-10-16 14:57");
        assert_eq!(clock.full(NOON), "2026-11-20 14:57:42 UTC+1");
        assert_eq!(clock.exact(NOON), "2026-11-20 14:57:42.123");
        let west = Clock::new(|| NOON, |_| -12_600);
        assert_eq!(west.full(NOON), "2026-11-20 10:27:42 UTC−3:30");
        assert_eq!(Clock::fixed(NOON).zone(NOON), "UTC");
        let _never_panics = (clock.moment(Timestamp(u64::MAX)), clock.time(Timestamp(u64::MAX)));
    }

    #[test]
    fn durations_keep_two_units() {
        let shown: Vec<String> =
            [0, 999, 1_250, 61_000, 7_440_000, 260_000_000].map(duration).to_vec();
        assert_eq!(shown, ["0 ms", "999 ms", "1.2 s", "1 min 1 s", "2 h 4 min", "3 d"]);
    }
}
