//! The clock: time is passed in, never read in the middle of logic.
//!
//! What is stored and shown is milliseconds since the Unix epoch ([`Millis`]). Waits within
//! the process are measured by [`Clock::monotonic`], which a person who sets the clock does
//! not move.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = i64;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Millis;

    /// Time since some moment of this process; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
            })
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}
