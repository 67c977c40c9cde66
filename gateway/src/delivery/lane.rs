//! A lane: one sink's way from the outbox to its destination.
//!
//! Claims due deliveries a few at a time, what is fresh and what is tried again apart, starts
//! an attempt for each as the sink's admission allows, and waits for an arrival, a due time or
//! a free slot, never by polling. While nothing may start (paused, breaker open, throttled) it
//! holds no claims, so that a person or a newer revision can still change what waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::admission::{Admission, Decision, Running};
use super::attempt::Sender;
use super::clock::SteadyClock;
use super::health::Health;
use super::prefetch::{Pick, Prefetch};
use super::sinks::OneSink;
use super::trial::Trial;
use super::verdict::millis;
use super::{Phase, Target};
use crate::clock::{Clock, Millis};
use crate::outbox::{Claim, DeliveryId, Due, Freshness, Queue, Unavailable, Wanted};
use crate::swap::Swap;
use crate::telemetry::metrics::DeliveryMetrics;

/// Attempts that have ended but are not recorded yet, at most: beyond this nothing new starts.
const RECORDING: usize = 256;
/// Longest sleep before the outbox is asked again, because the wall clock may be set meanwhile.
/// What is stored as due still waits longer if that was set back.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Pause after the outbox could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Claims are kept over a wait of the throttle up to this, and given back before a longer one.
const KEEP: Duration = Duration::from_secs(1);
/// Deliveries that people asked for by name and that wait to be claimed, at most.
const NAMED: usize = 64;

/// One sink's loop.
pub(super) struct Lane {
    sender: Arc<Sender>,
    outbox: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    steady: Arc<SteadyClock>,
    admission: Arc<Admission>,
    /// What a person wants tried now.
    named: Arc<Named>,
    /// Something ended: a slot may be free, a new due time may be known.
    changed: Arc<Notify>,
    /// Deliveries claimed ahead at most: few, so that what waits can still be changed by a
    /// person or a newer revision, and enough to keep all slots busy.
    page: usize,
}

/// Deliveries that people asked for by name, and what wakes the lane for them.
#[derive(Default)]
pub(super) struct Named {
    ids: Mutex<VecDeque<DeliveryId>>,
    asked: Notify,
}

impl Named {
    /// The lane looks at what it may do again; it tries this one first.
    pub(super) fn ask(&self, id: DeliveryId) {
        let mut ids = self.ids();
        if ids.len() < NAMED && !ids.contains(&id) {
            ids.push_back(id);
        }
        drop(ids);
        self.wake();
    }

    /// The lane looks at what it may do again.
    pub(super) fn wake(&self) {
        self.asked.notify_one();
    }

    fn take(&self) -> Option<DeliveryId> {
        self.ids().pop_front()
    }

    fn is_empty(&self) -> bool {
        self.ids().is_empty()
    }

    fn ids(&self) -> MutexGuard<'_, VecDeque<DeliveryId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a lane stands.
struct Standing {
    /// Claimed and not started.
    prefetch: Prefetch,
    /// When to ask the outbox again for what is fresh, and for what is tried again.
    ask_fresh_at: Option<Millis>,
    ask_again_at: Option<Millis>,
    /// Something arrived since the outbox was last asked for the newest first.
    arrived: bool,
    /// Since when something claimed waits for the throttle.
    held_since: Option<Duration>,
    /// The outbox could not be read when it was last asked.
    unread: bool,
}

impl Standing {
    fn ask_at(&mut self, freshness: Freshness) -> &mut Option<Millis> {
        match freshness {
            Freshness::Fresh => &mut self.ask_fresh_at,
            Freshness::Again => &mut self.ask_again_at,
        }
    }

    fn ask_now(&mut self) {
        (self.ask_fresh_at, self.ask_again_at) = (Some(0), Some(0));
    }
}

impl Lane {
    /// In the place of `before`, if the sink had one: what the log says of the sink goes on, and
    /// so does what holds it, as far as that is about the same destination.
    pub(super) fn new(
        target: Target,
        outbox: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        metrics: DeliveryMetrics,
        before: Option<&OneSink>,
    ) -> Self {
        let Target {
            name,
            config,
            sink,
            revision,
            notes,
        } = target;
        let steady = Arc::new(SteadyClock::new(Arc::clone(&clock)));
        metrics.begin(&name);
        let circuit_open = metrics.circuit_open.with_label_values(&[&*name]);
        let admission =
            Admission::new(Arc::clone(&name), &config, Arc::clone(&clock), circuit_open);
        if let Some(before) = before {
            let same = std::ptr::addr_eq(Arc::as_ptr(&before.sink), Arc::as_ptr(&sink));
            admission.follow(&before.admission, same);
        }
        let health = before.map_or_else(
            || Arc::new(Health::new(Arc::clone(&name))),
            |before| Arc::clone(&before.health),
        );
        Self {
            admission: Arc::new(admission),
            page: (2 * config.concurrency).clamp(8, 64),
            sender: Arc::new(Sender {
                health,
                name,
                config,
                sink,
                revision: Arc::new(Swap::new(revision)),
                notes,
                outbox: Arc::clone(&outbox),
                clock: Arc::clone(&clock),
                steady: Arc::clone(&steady),
                metrics,
            }),
            outbox,
            clock,
            steady,
            named: Arc::default(),
            changed: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.sender.name)
    }

    /// What its attempts are recorded with.
    pub(super) fn revision(&self) -> Arc<Swap<Arc<str>>> {
        Arc::clone(&self.sender.revision)
    }

    /// What takes the attempts.
    pub(super) fn sink(&self) -> Arc<dyn super::Destination> {
        Arc::clone(&self.sender.sink)
    }

    pub(super) fn trial(&self) -> Trial {
        Trial::new(
            Arc::clone(&self.sender.sink),
            self.sender.config.timeout,
            Arc::clone(&self.clock),
            Arc::clone(&self.admission),
            Arc::clone(&self.named),
        )
    }

    pub(super) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.admission)
    }

    pub(super) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.sender.health)
    }

    pub(super) fn named(&self) -> Arc<Named> {
        Arc::clone(&self.named)
    }

    /// Runs until the phase is `Stopping` and everything in flight has ended. While that lasts,
    /// another lane of the sink may run.
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let arrivals = self.outbox.arrivals(&self.sender.name);
        let mut attempts = JoinSet::new();
        let mut standing = Standing {
            prefetch: Prefetch::default(),
            ask_fresh_at: Some(0),
            ask_again_at: Some(0),
            arrived: false,
            held_since: None,
            unread: false,
        };
        while *phase.borrow_and_update() == Phase::Running {
            while attempts.try_join_next().is_some() {}
            if self.hasten(&mut standing).await {
                continue;
            }
            let decision = self.decision(attempts.len());
            self.watch_throttle(decision, &mut standing);
            let page = self.page(decision);
            if page == 0 {
                self.give_back(&mut standing);
            } else if self.refill(page, &mut standing).await {
                continue;
            }
            if matches!(decision, Decision::Start | Decision::Probe)
                && self.start_next(decision, &mut standing, &mut attempts, &phase)
            {
                continue;
            }
            self.say(standing.prefetch.is_empty() && attempts.is_empty());
            let sleep = self.sleep(decision, page, &standing);
            tokio::select! {
                () = arrivals.notified() => {
                    standing.ask_now();
                    standing.arrived = true;
                }
                // A retry may be due before what the last page said.
                () = self.changed.notified() => standing.ask_now(),
                () = self.named.asked.notified() => standing.ask_now(),
                () = tokio::time::sleep(sleep) => {
                    if sleep == LONGEST_SLEEP { standing.ask_now(); }
                }
                _ = phase.changed() => {}
            }
        }
        self.give_back(&mut standing);
        // Whoever is in this lane's place looks at what was given back, and at what was to be
        // told to this one; and again whenever an attempt ends, which may make something due.
        arrivals.notify_one();
        while attempts.join_next().await.is_some() {
            arrivals.notify_one();
        }
        self.sender.health.sum_up_at_last(self.clock.monotonic());
        // If this has the last of the plugin's sink, that ends here, and may take a while.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// What may be done now, with `attempts` that are not recorded yet.
    fn decision(&self, attempts: usize) -> Decision {
        if self.outbox.paused(&self.sender.name) {
            return Decision::Shut(None);
        }
        match self.admission.decision() {
            Decision::Start | Decision::Probe
                if attempts >= RECORDING + self.sender.config.concurrency =>
            {
                Decision::Full
            }
            decision => decision,
        }
    }

    /// How many claims of each kind may be held then.
    fn page(&self, decision: Decision) -> usize {
        match decision {
            // For a probe as well: whose turn it is shows only in a page of all sources.
            Decision::Start | Decision::Probe | Decision::Full => self.page,
            Decision::Wait(wait) if wait <= KEEP => self.page,
            Decision::Wait(_) | Decision::Shut(_) => 0,
        }
    }

    fn sleep(&self, decision: Decision, page: usize, standing: &Standing) -> Duration {
        let lacks = |freshness| standing.prefetch.lacks(freshness);
        let openings = self.admission.openings();
        let until_asked = || {
            let fresh = standing.ask_fresh_at.filter(|_| lacks(Freshness::Fresh));
            // What may not be tried again now may be when an attempt ends.
            let again = standing
                .ask_again_at
                .filter(|_| openings.again && lacks(Freshness::Again));
            fresh.into_iter().chain(again).min().map(|at| {
                let left = at.saturating_sub(self.steady.due(self.outbox.latest()));
                Duration::from_millis(u64::try_from(left).unwrap_or(0))
            })
        };
        let wait = match decision {
            Decision::Shut(wait) => {
                let early = self.admission.early_probe().filter(|_| standing.arrived);
                wait.into_iter().chain(early.map(|(left, _)| left)).min()
            }
            Decision::Wait(wait) if page == 0 || !standing.prefetch.is_empty() => Some(wait),
            // All slots are taken: `changed` says when one is free.
            Decision::Full => None,
            _ => openings
                .look_again_in
                .into_iter()
                .chain(until_asked())
                .min(),
        };
        let said = self.sender.health.wait(self.clock.monotonic());
        wait.into_iter()
            .chain(said)
            .min()
            .unwrap_or(LONGEST_SLEEP)
            .clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    /// Makes the next attempt a probe before its time, if a person asks for one or a lead came
    /// that is newer than the last one. `true` if something was claimed for it.
    async fn hasten(&self, standing: &mut Standing) -> bool {
        if self.outbox.paused(&self.sender.name) {
            return false;
        }
        if !self.named.is_empty() {
            self.admission.hasten();
            // Not while the destination's wait or the rate holds it: it would be held for long.
            let soon = self.page(self.admission.decision()) > 0;
            if soon && let Some(id) = self.named.take() {
                let name = self.name();
                let claimed = self.read(move |outbox| outbox.claim_one(&name, id)).await;
                if let Ok(Some(claim)) = claimed {
                    standing.prefetch.name(claim);
                }
                return true;
            }
        }
        if !standing.arrived || !matches!(self.admission.decision(), Decision::Shut(_)) {
            return false;
        }
        let Some((Duration::ZERO, waits)) = self.admission.early_probe() else {
            return false;
        };
        standing.arrived = false;
        let since = self
            .steady
            .due(self.outbox.latest())
            .saturating_sub(millis(waits));
        self.claim(Freshness::Fresh, 1, true, standing).await;
        if standing.prefetch.newest().is_some_and(|at| at >= since) {
            self.admission.hasten();
            return true;
        }
        false
    }

    /// Claims what is lacking and may be due; whether it asked.
    async fn refill(&self, page: usize, standing: &mut Standing) -> bool {
        let now = self.steady.due(self.outbox.latest());
        let openings = self.admission.openings();
        if openings.newest_first && standing.arrived {
            // What came now goes before what was claimed.
            let given_back = standing.prefetch.clear_fresh();
            self.outbox.unclaim(&self.sender.name, &given_back);
            standing.ask_fresh_at = Some(0);
            standing.arrived = false;
        }
        for freshness in [Freshness::Fresh, Freshness::Again] {
            // What may not start is left to others.
            let wanted = freshness == Freshness::Fresh || openings.again;
            if wanted
                && standing.prefetch.lacks(freshness)
                && standing.ask_at(freshness).is_some_and(|at| at <= now)
            {
                let fresh = freshness == Freshness::Fresh;
                // What hangs would keep its page from people and newer revisions for long.
                let limit = if fresh || !openings.hangs { page } else { 1 };
                let newest = openings.newest_first && fresh;
                self.claim(freshness, limit, newest, standing).await;
                return true;
            }
        }
        false
    }

    /// Claims the next page.
    async fn claim(
        &self,
        freshness: Freshness,
        limit: usize,
        newest: bool,
        standing: &mut Standing,
    ) {
        let name = self.name();
        let now = self.steady.due(self.outbox.latest());
        let wanted = Wanted {
            freshness,
            limit,
            newest,
        };
        let due: Result<Due, Unavailable> = self
            .read(move |outbox| outbox.claim_some(&name, now, wanted))
            .await;
        let sink = &*self.sender.name;
        match due {
            Ok(due) => {
                for (id, error) in &due.damaged {
                    tracing::error!(sink, delivery = %id, error = error.0, "delivery could not be read; it is left alone");
                }
                standing.prefetch.extend(freshness, due.deliveries);
                *standing.ask_at(freshness) = due.next;
                if std::mem::take(&mut standing.unread) {
                    tracing::info!(sink, "outbox could be read again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut standing.unread, true) {
                    tracing::error!(
                        sink,
                        error = error.0,
                        "outbox could not be read; it is asked again every second until it can"
                    );
                }
                *standing.ask_at(freshness) = Some(now.saturating_add(millis(READ_AGAIN)));
            }
        }
    }

    /// Reads the outbox on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Queue) -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let outbox = Arc::clone(&self.outbox);
        tokio::task::spawn_blocking(move || read(&*outbox))
            .await
            .unwrap_or_else(|error| Err(Unavailable(error.to_string())))
    }

    /// Holds no claims any more.
    fn give_back(&self, standing: &mut Standing) {
        if !standing.prefetch.is_empty() {
            self.outbox
                .unclaim(&self.sender.name, &standing.prefetch.clear());
            standing.ask_now();
        }
    }

    /// Says what is due to be summed up, and that the destination's waits began or ended; whether
    /// the lane has nothing to do.
    fn say(&self, idle: bool) {
        let now = self.clock.monotonic();
        self.sender.health.sum_up(now);
        let asked = self.admission.asked().map(|hold| {
            let ends = hold.until.zip(hold.since);
            let millis = ends.map_or(0, |(until, since)| until.saturating_sub(since));
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        });
        self.sender.health.throttle(asked, idle, now);
    }

    /// Measures how long what is claimed waits for the throttle.
    fn watch_throttle(&self, decision: Decision, standing: &mut Standing) {
        match decision {
            Decision::Wait(_) if standing.prefetch.is_empty() => {}
            Decision::Wait(_) => {
                standing
                    .held_since
                    .get_or_insert_with(|| self.clock.monotonic());
            }
            Decision::Start | Decision::Probe | Decision::Full | Decision::Shut(_) => {
                if let Some(since) = standing.held_since.take() {
                    let held = self.clock.monotonic().saturating_sub(since);
                    self.sender
                        .metrics
                        .throttle_wait
                        .with_label_values(&[&*self.sender.name])
                        .inc_by(held.as_secs_f64());
                }
            }
        }
    }

    /// Starts the next attempt; `false` if nothing may start.
    fn start_next(
        &self,
        decision: Decision,
        standing: &mut Standing,
        attempts: &mut JoinSet<()>,
        phase: &watch::Receiver<Phase>,
    ) -> bool {
        let pick = Pick {
            openings: self.admission.openings(),
            probe: decision == Decision::Probe,
            now: self.steady.due(self.outbox.latest()),
            failed: &|lead| self.admission.failed(lead),
        };
        let Some((claim, work)) = standing.prefetch.next(&pick) else {
            return false;
        };
        match self.admission.start(claim.delivery.lead, work) {
            Some(running) => self.start(claim, running, attempts, phase),
            None => {
                self.outbox.unclaim(&self.sender.name, &[claim.id]);
                standing.ask_now();
            }
        }
        true
    }

    fn start(
        &self,
        claim: Claim,
        running: Running,
        attempts: &mut JoinSet<()>,
        phase: &watch::Receiver<Phase>,
    ) {
        let sender = Arc::clone(&self.sender);
        let outbox = Arc::clone(&self.outbox);
        let changed = Arc::clone(&self.changed);
        let phase = phase.clone();
        attempts.spawn(async move {
            let id = claim.id;
            let (finish, outcome) = sender.send(claim, running.is_probe(), phase).await;
            running.end(&outcome);
            changed.notify_one();
            // On an error the claim stays: this process must not repeat an attempt that it
            // could not record.
            if let Err(error) = outbox.finish(finish).await {
                tracing::error!(
                    sink = &*sender.name, delivery = %id, error = error.0,
                    "end of attempt could not be recorded; the delivery is repeated after a restart"
                );
            }
            changed.notify_one();
        });
    }
}
