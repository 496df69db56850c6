//! A rate: so many calls per second, and so many at once after a pause (a bucket of tokens).

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// Begins with a full bucket.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let (per_second, burst) = (f64::from(per_second.max(1)), f64::from(burst.max(1)));
        Self { per_second, burst, tokens: burst, at: now }
    }

    /// Takes one; or how long it is until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A microsecond more: who comes exactly then is not to miss by a rounding.
        let missing = (1.0 - self.tokens) / self.per_second;
        Err(Duration::from_secs_f64(missing) + Duration::from_micros(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_too_soon_is_told_when_to_come_again_and_is_let_in_then() {
        let mut now = Instant::now();
        let mut rate = Rate::new(10, 3, now);
        (0..3).for_each(|_| rate.take(now).unwrap());
        for _ in 0..5 {
            let again = rate.take(now).unwrap_err();
            assert!(again <= Duration::from_millis(101), "{again:?}");
            rate.take(now + again / 2).unwrap_err();
            now += again;
            rate.take(now).unwrap();
        }
        // A long pause fills the bucket and no more.
        now += Duration::from_secs(3600);
        (0..3).for_each(|_| rate.take(now).unwrap());
        rate.take(now).unwrap_err();
    }
}
