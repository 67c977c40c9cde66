//! The timekeeper: looks at the machine's clock and says loudly when it is not believed.
//!
//! What is believed is decided in [`crate::outbox::Belief`] and kept in the outbox; here the
//! clock is read, the log written, and what leaves soon announced. Owns no task.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Millis};
use crate::outbox::{Announced, Belief, DAY, Outbox, Retention, Timekeeping, Unavailable};
use crate::telemetry::metrics::OutboxMetrics;

/// Between two lines about one doubt.
const SAY_AGAIN: Duration = Duration::from_secs(3600);
/// Between two notes on disk while nothing else changes.
const NOTE: Duration = Duration::from_secs(600);
const HOUR: Millis = 3_600_000;

/// The clock, as one run of the daemon sees it.
pub(super) struct Timekeeper {
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    metrics: OutboxMetrics,
    leap: Millis,
    /// What is on disk, and since when.
    noted: (Timekeeping, Option<Duration>),
    looked_at: Duration,
    said_at: Option<Duration>,
    /// Unrouted leads that were told of.
    unrouted: u64,
    unrouted_at: Duration,
}

impl Timekeeper {
    /// Looks for the first time: from here on nothing grows old by a clock that is far ahead.
    pub(super) fn new(
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
        metrics: OutboxMetrics,
        keep: Retention,
    ) -> Self {
        let now = clock.monotonic();
        let mut keeper = Self {
            leap: leap(keep),
            noted: (outbox.time(), None),
            outbox,
            clock,
            metrics,
            looked_at: now,
            said_at: None,
            unrouted: 0,
            unrouted_at: now,
        };
        for what in ["dead_letters", "quarantine"] {
            keeper.metrics.expiring.with_label_values(&[what]).set(0);
        }
        let mut time = keeper.outbox.time();
        if time.belief == Belief::default() {
            // A store of before clocks were watched, or a new one: 0 for nothing written.
            time.belief = Belief::of(keeper.outbox.latest());
        }
        keeper.look_from(time, None);
        keeper
    }

    /// From now on what is over is kept for so long.
    pub(super) fn keep(&mut self, keep: Retention) {
        self.leap = leap(keep);
    }

    /// Looks at the clock again.
    pub(super) fn look(&mut self) {
        let now = self.clock.monotonic();
        let ran = now.saturating_sub(self.looked_at);
        self.looked_at = now;
        let ran = Millis::try_from(ran.as_millis()).unwrap_or(Millis::MAX);
        self.look_from(self.outbox.time(), Some(ran));
    }

    /// The time by which something may be removed; `None` while the clock is not believed. It
    /// is looked at for this: it may have been set since the last look.
    pub(super) fn now(&mut self) -> Option<Millis> {
        self.look();
        let belief = self.outbox.time().belief;
        // As it was looked at just now, also if it is set in between.
        let now = self.clock.now().min(belief.newest.saturating_add(HOUR));
        belief.ahead().is_none().then_some(now)
    }

    fn look_from(&mut self, before: Timekeeping, ran: Option<Millis>) {
        let shows = self.clock.now();
        let belief = before.belief.look(shows, ran, self.leap);
        self.say(before.belief, belief, shows);
        // In memory only; `note` writes.
        drop(self.outbox.keep_time(Timekeeping { belief, ..before }));
    }

    fn say(&mut self, before: Belief, now: Belief, shows: Millis) {
        let mono = self.clock.monotonic();
        let (clock, newest) = (rfc3339(shows), rfc3339(now.newest));
        if let Some(ahead) = now.ahead() {
            let due = self
                .said_at
                .is_none_or(|at| mono.saturating_sub(at) >= SAY_AGAIN);
            if before.ahead().is_none() || due {
                self.said_at = Some(mono);
                let left = now.believed_in().unwrap_or(0) / HOUR;
                tracing::error!(
                    clock,
                    newest,
                    "the clock is {} ahead of the newest record; nothing is removed until it is set right or has gone on evenly for {left} more hours",
                    span(ahead)
                );
            }
        } else if now.doubt.is_some() {
            if before.doubt.is_none() || before.ahead().is_some() || self.said_at.is_none() {
                self.said_at = Some(mono);
                tracing::warn!(
                    clock,
                    newest,
                    "the clock is {} behind the newest record; deliveries go on",
                    span(now.newest.saturating_sub(shows))
                );
            }
        } else if before.doubt.is_some() {
            self.said_at = None;
            tracing::info!(clock, "the clock is believed again");
        }
    }

    /// Writes what is known of the time, if it is worth a write: a changed doubt, or now and
    /// then how far the time has come.
    pub(super) async fn note(&mut self, always: bool) -> Result<(), Unavailable> {
        let time = self.outbox.time();
        let mono = self.clock.monotonic();
        let old = |at: Duration| mono.saturating_sub(at) >= NOTE;
        let changed = time.announced != self.noted.0.announced
            || time.belief.ahead().is_some() != self.noted.0.belief.ahead().is_some();
        if always || changed || self.noted.1.is_none_or(old) {
            self.outbox.keep_time(time).await?;
            self.noted = (time, Some(mono));
        }
        Ok(())
    }

    /// Announces what leaves soon, and gives the retention with what may leave now; `None`
    /// while the clock is not believed.
    pub(super) async fn announce(
        &mut self,
        keep: Retention,
    ) -> Result<Option<Retention>, Unavailable> {
        let Some(now) = self.now() else {
            return Ok(None);
        };
        let mut time = self.outbox.time();
        let (announced, say) = time.announced.tell(now, keep.dead_ms);
        let until = now.saturating_add(Announced::ahead(keep.dead_ms));
        let outbox = Arc::clone(&self.outbox);
        let soon = tokio::task::spawn_blocking(move || outbox.expiring(keep, until));
        let soon = soon
            .await
            .unwrap_or_else(|error| Err(Unavailable(error.to_string())))?;
        for (what, count) in [
            ("dead_letters", soon.dead_letters),
            ("quarantine", soon.quarantine),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.metrics.expiring.with_label_values(&[what]).set(count);
        }
        if say && let Some(first) = soon.first {
            tracing::warn!(
                dead_letters = soon.dead_letters,
                quarantine = soon.quarantine,
                first_leaves = rfc3339(first.max(now)),
                "what needs a person leaves the outbox soon; retry, release or export it before"
            );
        }
        time.announced = announced;
        drop(self.outbox.keep_time(time));
        self.note(false).await?;
        Ok(Some(Retention {
            dead_by: now.min(announced.until),
            ..keep
        }))
    }

    /// Says how many leads no sink wanted since it was said last. The outbox tells of the first.
    pub(super) fn sum_unrouted(&mut self) {
        let mono = self.clock.monotonic();
        if mono.saturating_sub(self.unrouted_at) < SAY_AGAIN {
            return;
        }
        self.unrouted_at = mono;
        let all = self.metrics.unrouted.get();
        let more = all.saturating_sub(self.unrouted);
        if more > 0 {
            self.unrouted = all;
            tracing::warn!(
                leads = more,
                stored = self.outbox.totals().unrouted,
                "no sink wanted some leads; `leadgate leads list --unrouted` lists them"
            );
        }
    }
}

/// How far a clock must be off to be doubted: an hour's mistake must not take what is kept for
/// an hour.
fn leap(keep: Retention) -> Millis {
    (keep.done_ms.min(keep.dead_ms) / 2).clamp(HOUR, DAY)
}

/// A length of time in words.
fn span(millis: Millis) -> String {
    let hours = millis / HOUR;
    if hours < 48 {
        format!("{hours} hours")
    } else {
        format!("{} days", hours / 24)
    }
}

fn rfc3339(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.0}")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::sweeper;
    use super::*;
    use crate::config::OnUpdate;
    use crate::outbox::sled::{Options, SledOutbox};
    use crate::outbox::{Arrival, DeathReason, Finish, Route, SinkPolicy, State};
    use crate::telemetry::metrics::Metrics;

    const NOW: Millis = 1_800_000_000_000;
    const YEAR: Millis = 365 * DAY;
    const KEEP: Retention = Retention {
        done_ms: 90 * DAY,
        dead_ms: 180 * DAY,
        dead_by: 0,
    };

    /// Wall and monotonic time, as set.
    struct Set(Mutex<(Millis, Duration)>);

    impl Set {
        fn at(wall: Millis) -> Arc<Self> {
            Arc::new(Self(Mutex::new((wall, Duration::ZERO))))
        }

        fn pass(&self, wall: Millis, mono: Millis) {
            let mut now = self.0.lock().expect("no panics");
            now.0 += wall;
            now.1 += Duration::from_millis(u64::try_from(mono).expect("forward"));
        }
    }

    impl Clock for Set {
        fn now(&self) -> Millis {
            self.0.lock().expect("no panics").0
        }
        fn monotonic(&self) -> Duration {
            self.0.lock().expect("no panics").1
        }
    }

    fn open(folder: &tempfile::TempDir) -> Arc<dyn Outbox> {
        Arc::new(
            SledOutbox::open(Options {
                path: &folder.path().join("store"),
                queue: 64,
                cache: 16 << 20,
                keys: &[],
                sinks: vec![SinkPolicy {
                    name: "crm".to_owned(),
                    on_update: OnUpdate::Each,
                    on_dead: None,
                }],
                min_free: 0,
                metrics: Metrics::new().outbox,
            })
            .expect("opens"),
        )
    }

    async fn close(outbox: Arc<dyn Outbox>) {
        tokio::task::spawn_blocking(move || outbox.close())
            .await
            .expect("closes");
    }

    fn arrival(record: u8, at: Millis) -> Arrival {
        Arrival {
            source: "shop".into(),
            received_at: at,
            identity: [record; 32],
            stable: true,
            content: [record; 32],
            modified_at: None,
            request_id: None,
            method: None,
            lead: "{}".to_owned(),
            labels: "{}".to_owned(),
            raw: String::new(),
            original: None,
            finds: Vec::new(),
            routes: vec![Route {
                sink: "crm".into(),
                failed: None,
            }],
        }
    }

    /// Stores a delivered lead and a dead one, both at `at`.
    async fn fill(outbox: &Arc<dyn Outbox>, at: Millis) {
        for record in [1, 2] {
            outbox.accept(arrival(record, at)).await.expect("accepted");
        }
        let due = outbox.claim("crm", at, 10).expect("reads").deliveries;
        for (n, claim) in due.into_iter().enumerate() {
            let mut delivery = claim.delivery;
            delivery.state = if n == 0 {
                State::Delivered { at }
            } else {
                let reason = DeathReason::Rejected;
                State::Dead { at, reason }
            };
            let finish = Finish {
                id: claim.id,
                sink: "crm".into(),
                now: at,
                was_due: at,
                delivery,
            };
            outbox.finish(finish).await.expect("recorded");
        }
    }

    fn keeper(outbox: &Arc<dyn Outbox>, clock: &Arc<Set>) -> Timekeeper {
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Timekeeper::new(Arc::clone(outbox), clock, Metrics::new().outbox, KEEP)
    }

    /// One sweep as the sweeper makes it; leads that left.
    async fn sweep(keeper: &mut Timekeeper) -> u64 {
        keeper.look();
        let Some(keep) = keeper.announce(KEEP).await.expect("announces") else {
            return 0;
        };
        let outbox = Arc::clone(&keeper.outbox);
        let Some(now) = keeper.now() else { return 0 };
        let swept = tokio::task::spawn_blocking(move || outbox.sweep(keep, now, None, 100));
        swept.await.expect("no panic").expect("sweeps").leads
    }

    #[tokio::test]
    async fn a_sweep_ends_after_a_step_when_something_else_is_to_be_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = open(&folder);
        let clock = Set::at(NOW);
        let mut keeper = keeper(&outbox, &clock);
        for record in 0..200 {
            let mut arrival = arrival(record, NOW - YEAR);
            arrival.routes.clear();
            outbox.accept(arrival).await.expect("accepted");
        }
        let swept = sweeper::sweep(&outbox, &mut keeper, KEEP, || true).await;
        let swept = swept.expect("sweeps").leads;
        assert!((1..200).contains(&swept), "{swept}");
        let swept = sweeper::sweep(&outbox, &mut keeper, KEEP, || false).await;
        assert!(swept.expect("sweeps").leads > 0);
        assert_eq!(outbox.totals().leads, 0);
        drop(keeper);
        close(outbox).await;
    }

    #[tokio::test]
    async fn a_start_a_year_ahead_removes_nothing_also_past_the_announcement() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = open(&folder);
        let clock = Set::at(NOW);
        let mut first = keeper(&outbox, &clock);
        fill(&outbox, NOW).await;
        assert_eq!(sweep(&mut first).await, 0);
        first.note(true).await.expect("noted");
        drop(first);
        close(outbox).await;

        let outbox = open(&folder);
        let clock = Set::at(NOW + YEAR);
        let mut wrong = keeper(&outbox, &clock);
        assert_eq!(outbox.time().belief.ahead(), Some(YEAR));
        assert_eq!(outbox.believed(NOW + YEAR), NOW, "nothing grows old");
        for _ in 0..23 {
            clock.pass(HOUR, HOUR);
            assert_eq!(sweep(&mut wrong).await, 0);
        }
        // Whatever is written meanwhile does not make the right clock look wrong.
        fill(&outbox, NOW + YEAR).await;
        wrong.note(true).await.expect("noted");
        drop(wrong);
        close(outbox).await;

        let outbox = open(&folder);
        let clock = Set::at(NOW + DAY);
        let mut right = keeper(&outbox, &clock);
        assert_eq!(outbox.time().belief, Belief::of(NOW + DAY));
        assert_eq!(sweep(&mut right).await, 0);
        assert_eq!(outbox.totals().leads, 2);
        let again = keeper(&outbox, &Set::at(NOW + YEAR + DAY));
        assert!(outbox.time().belief.ahead().is_some(), "and a second run");
        drop((right, again));
        close(outbox).await;
    }

    #[tokio::test]
    async fn after_a_long_stop_what_is_old_leaves_once_believed_and_the_dead_once_announced() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = open(&folder);
        let clock = Set::at(NOW);
        let mut first = keeper(&outbox, &clock);
        fill(&outbox, NOW).await;
        assert_eq!(sweep(&mut first).await, 0);
        first.note(true).await.expect("noted");
        drop(first);
        close(outbox).await;

        let outbox = open(&folder);
        let clock = Set::at(NOW + 200 * DAY);
        let mut later = keeper(&outbox, &clock);
        for _ in 0..23 {
            clock.pass(HOUR, HOUR);
            assert_eq!(sweep(&mut later).await, 0, "not believed yet");
        }
        clock.pass(HOUR, HOUR);
        assert_eq!(sweep(&mut later).await, 1, "the delivered one");
        let expiring = later.metrics.expiring.with_label_values(&["dead_letters"]);
        assert_eq!(expiring.get(), 1);
        for _ in 0..23 {
            clock.pass(HOUR, HOUR);
            assert_eq!(sweep(&mut later).await, 0, "announced today only");
        }
        clock.pass(HOUR, HOUR);
        assert_eq!(sweep(&mut later).await, 1, "the dead one");
        drop(later);
        close(outbox).await;
    }

    #[tokio::test]
    async fn a_step_of_the_clock_in_the_middle_of_a_sweep_ends_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = open(&folder);
        let clock = Set::at(NOW);
        let mut keeper = keeper(&outbox, &clock);
        fill(&outbox, NOW).await;
        assert_eq!(keeper.now(), Some(NOW));
        clock.pass(YEAR, 20);
        assert_eq!(
            keeper.now(),
            None,
            "the next step of the sweep does not go on"
        );
        clock.pass(-YEAR, 20);
        assert_eq!(keeper.now(), Some(NOW));
        close(outbox).await;
    }

    #[tokio::test]
    async fn a_store_that_never_watched_its_clock_goes_by_what_it_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = open(&folder);
        fill(&outbox, NOW).await;
        let _keeper = keeper(&outbox, &Set::at(NOW + YEAR));
        assert_eq!(outbox.time().belief.ahead(), Some(YEAR));
        close(outbox).await;
    }

    #[test]
    fn spans_are_said_in_hours_and_days() {
        assert_eq!(span(YEAR), "365 days");
        assert_eq!(span(27 * HOUR), "27 hours");
    }
}
