//! A lane against a model, in virtual time: whatever some leads, the destination, operators and
//! the wall clock do, good leads are not late for it, and nothing is held without a reason.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::fake::{Memory, VirtualClock, outcome};
use super::sink_config;
use crate::clock::Clock;
use crate::outbox::{DeliveryId, Queue, State};
use crate::plugin::OutcomeKind;
use crate::telemetry::metrics::Metrics;

const TIMEOUT: Duration = Duration::from_secs(10);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a lead, or the destination for a time, makes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    /// Taken after some seconds.
    Slow,
    /// An error at once: a 500.
    Error,
    /// The connection is reset at once.
    Reset,
    /// No answer until the timeout.
    Hang,
    /// A 429 that asks for a minute.
    Throttled,
}

/// The destination: what it makes of each lead, and for a time of all.
struct World {
    clock: Arc<VirtualClock>,
    of_leads: Mutex<HashMap<String, Fate>>,
    of_all: Mutex<Option<Fate>>,
    attempts: Mutex<Vec<(Duration, String)>>,
    taken: Mutex<HashMap<String, Duration>>,
}

impl Destination for Arc<World> {
    fn deliver(&self, call: Call) -> BoxFuture<'_, Outcome> {
        async move {
            let at = self.clock.monotonic();
            self.attempts
                .lock()
                .expect("no panics")
                .push((at, call.id.clone()));
            let all = *self.of_all.lock().expect("no panics");
            let own = self
                .of_leads
                .lock()
                .expect("no panics")
                .get(&call.id)
                .copied();
            let (kind, takes) = match all.or(own).unwrap_or(Fate::Taken) {
                Fate::Taken => (OutcomeKind::Delivered, Duration::from_millis(20)),
                Fate::Slow => (OutcomeKind::Delivered, seconds(2)),
                Fate::Error => (OutcomeKind::Retry, Duration::from_millis(5)),
                Fate::Reset => (OutcomeKind::Ambiguous, Duration::from_millis(5)),
                Fate::Hang => (OutcomeKind::Ambiguous, call.timeout),
                Fate::Throttled => (OutcomeKind::Throttled, Duration::from_millis(5)),
            };
            tokio::time::sleep(takes).await;
            let mut outcome = outcome(kind);
            if kind == OutcomeKind::Throttled {
                outcome.retry_after = Some(seconds(60));
            }
            if kind == OutcomeKind::Delivered {
                let now = self.clock.monotonic();
                self.taken.lock().expect("no panics").insert(call.id, now);
            }
            outcome
        }
        .boxed()
    }
}

/// A lane with its world.
struct Lane {
    clock: Arc<VirtualClock>,
    memory: Arc<Memory>,
    world: Arc<World>,
    dispatcher: Dispatcher,
}

/// As the defaults are, with this concurrency.
fn defaults(concurrency: usize) -> config::Sink {
    let mut config = sink_config();
    config.concurrency = concurrency;
    config.timeout = TIMEOUT;
    config.retry.first = seconds(5);
    config.retry.max = seconds(3_600);
    config.retry.max_attempts = 15;
    config.retry.max_age = seconds(3 * 86_400);
    config.breaker.failures = 5;
    config.breaker.wait = seconds(2);
    config.breaker.max = seconds(60);
    config
}

impl Lane {
    fn start(config: config::Sink) -> Self {
        let clock = VirtualClock::new();
        let memory = Arc::new(Memory::default());
        let world = Arc::new(World {
            clock: Arc::clone(&clock),
            of_leads: Mutex::default(),
            of_all: Mutex::default(),
            attempts: Mutex::default(),
            taken: Mutex::default(),
        });
        let outbox: Arc<dyn Queue> = memory.clone();
        let shared: Arc<dyn Clock> = clock.clone();
        let target = Target {
            name: "crm".into(),
            config,
            sink: Arc::new(Arc::clone(&world)),
            revision: "first".into(),
            notes: None,
        };
        let metrics = Metrics::new().delivery;
        let dispatcher = Dispatcher::start(vec![target], &outbox, &shared, &metrics);
        Self {
            clock,
            memory,
            world,
            dispatcher,
        }
    }

    fn push(&self, fate: Fate) -> DeliveryId {
        // Not to be found by the lane before its fate is known.
        let mut fates = self.world.of_leads.lock().expect("no panics");
        let id = self.memory.add(self.clock.now(), 0, false);
        fates.insert(id.to_string(), fate);
        id
    }

    fn all(&self, fate: Option<Fate>) {
        *self.world.of_all.lock().expect("no panics") = fate;
    }

    async fn until(&self, at: Duration) {
        tokio::time::sleep(at.saturating_sub(self.clock.monotonic())).await;
    }

    fn taken(&self, id: DeliveryId) -> Option<Duration> {
        self.world
            .taken
            .lock()
            .expect("no panics")
            .get(&id.to_string())
            .copied()
    }

    fn attempts(&self) -> usize {
        self.world.attempts.lock().expect("no panics").len()
    }

    fn dead(&self) -> usize {
        let deliveries = self.memory.deliveries.lock().expect("no panics");
        let dead = |(one, _): &&(_, bool)| {
            let one: &crate::outbox::Delivery = one;
            matches!(one.state, State::Dead { .. })
        };
        deliveries.values().filter(dead).count()
    }

    /// Whether anything waits that could be tried, and nobody says why it is not.
    fn held_in_silence(&self) -> bool {
        let status = self.dispatcher.sinks().of("crm");
        let backoff = self.clock.now();
        let deliveries = self.memory.deliveries.lock().expect("no panics");
        let due = deliveries
            .values()
            .any(|(one, _)| matches!(one.state, State::Waiting { due_at } if due_at <= backoff));
        due && status.in_flight == 0 && status.holds.is_empty() && !self.memory.paused("crm")
    }
}

/// Runs `scene` in virtual time.
fn run(scene: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(scene)
}

fn bad() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Error), Just(Fate::Reset), Just(Fate::Hang)]
}

/// Pushes bad leads, then good ones in between, and gives how late each good one was.
async fn lateness(
    concurrency: usize,
    bad: &[Fate],
    every: u64,
    more: Option<Fate>,
) -> (Vec<Duration>, Lane) {
    let lane = Lane::start(defaults(concurrency));
    for fate in bad {
        lane.push(*fate);
    }
    let mut good = Vec::new();
    for at in (1..120).step_by(usize::try_from(every).expect("small")) {
        lane.until(seconds(at)).await;
        good.push((lane.push(Fate::Taken), lane.clock.monotonic()));
        if at % 15 == 0
            && let Some(fate) = more
        {
            lane.push(fate);
        }
    }
    lane.until(seconds(180)).await;
    let late = good.iter().map(|(id, pushed)| {
        let taken = lane.taken(*id).unwrap_or(Duration::MAX);
        taken.saturating_sub(*pushed)
    });
    (late.collect(), lane)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_good_lead_waits_long_for_bad_ones(
        concurrency in 1_usize..9,
        kinds in proptest::collection::vec(bad(), 1..4),
        count in prop_oneof![Just(1_usize), Just(12), Just(100), Just(300)],
        every in 1_u64..4,
        more in proptest::option::of(bad()),
    ) {
        let bad: Vec<Fate> = kinds.iter().copied().cycle().take(count).collect();
        run(async {
            let (late, lane) = lateness(concurrency, &bad, every, more).await;
            let worst = late.iter().max().copied().unwrap_or_default();
            // One attempt that hangs, and a wait of the breaker. Where one slot has to bear new
            // leads that hang for two thirds of the time, what is tried again comes on top.
            let overrun = concurrency == 1 && more == Some(Fate::Hang);
            let bound = if overrun { TIMEOUT * 5 } else { TIMEOUT + seconds(5) };
            prop_assert!(worst <= bound, "{worst:?} {late:?}");
            // The first ones meet what came before them; one slot is shared by time.
            let soon = late.iter().filter(|late| **late <= seconds(3)).count();
            let share = match (concurrency, more) {
                (1, _) => 1,
                // They take the slot that is kept for what is new.
                (_, Some(Fate::Hang)) => 3,
                _ => 7,
            };
            prop_assert!(soon * 10 >= late.len() * share, "{late:?}");
            lane.dispatcher.stop(seconds(1)).await;
            Ok(())
        })?;
    }

    /// Leads are counted, not attempts, and not on the heels of an answer.
    #[test]
    fn a_destination_that_answers_is_not_taken_for_down(
        concurrency in 1_usize..9,
        fate in prop_oneof![Just(Fate::Error), Just(Fate::Reset)],
        count in 10_usize..45,
        every in 1_u64..4,
    ) {
        run(async {
            let lane = Lane::start(defaults(concurrency));
            for at in 0..90 {
                lane.until(seconds(at)).await;
                if at % every == 0 {
                    lane.push(Fate::Taken);
                }
                if at % 30 == 1 {
                    for _ in 0..count {
                        lane.push(fate);
                    }
                }
                // By then all of them have failed.
                lane.until(seconds(at) + Duration::from_millis(600)).await;
                let breaker = lane.dispatcher.sinks().of("crm").breaker;
                prop_assert_eq!(breaker, BreakerState::Closed, "at {} s", at);
            }
            lane.dispatcher.stop(seconds(1)).await;
            Ok(())
        })?;
    }

    #[test]
    fn a_destination_that_is_down_uses_nothing_up_and_is_taken_up_soon_after(
        concurrency in 1_usize..9,
        fate in bad(),
        lasts in 20_u64..1_200,
        every in 1_u64..4,
    ) {
        run(async {
            let lane = Lane::start(defaults(concurrency));
            let end = seconds(20 + lasts);
            let mut ids = Vec::new();
            let mut before = 0;
            for at in 0..(lasts + 140) {
                lane.until(seconds(at)).await;
                if at == 20 {
                    before = lane.attempts();
                    lane.all(Some(fate));
                }
                if at == 20 + lasts {
                    let made = lane.attempts() - before;
                    // Those that made it open, and probes.
                    let probes = usize::try_from(lasts).expect("small") / 2 + 60;
                    prop_assert!(made <= probes + 2 * concurrency, "{made}");
                    lane.all(None);
                }
                if at % every == 0 && at < lasts + 40 {
                    ids.push((lane.push(Fate::Taken), lane.clock.monotonic()));
                }
            }
            prop_assert_eq!(lane.dead(), 0);
            let first = ids.iter().filter_map(|(id, _)| lane.taken(*id)).filter(|at| *at >= end).min();
            let first = first.expect("it was taken up").saturating_sub(end);
            prop_assert!(first <= TIMEOUT * 2 + seconds(4), "{first:?}");
            // What was pushed after it came back is not late.
            for (id, pushed) in ids.iter().filter(|(_, pushed)| *pushed > end + TIMEOUT * 2 + seconds(4)) {
                let late = lane.taken(*id).unwrap_or(Duration::MAX).saturating_sub(*pushed);
                prop_assert!(late <= TIMEOUT + seconds(5), "{late:?}");
            }
            lane.until(end + seconds(4_000)).await;
            let lost = ids.iter().filter(|(id, _)| lane.taken(*id).is_none()).count();
            prop_assert_eq!(lost, 0, "all are taken within the longest backoff");
            lane.dispatcher.stop(seconds(1)).await;
            Ok(())
        })?;
    }

    #[test]
    fn whatever_operators_and_clocks_do_nothing_is_held_in_silence_or_for_ever(
        concurrency in 1_usize..5,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        run(async {
            let lane = Lane::start(defaults(concurrency));
            let sinks = lane.dispatcher.sinks();
            let mut good = Vec::new();
            // That a clock was set forward is noticed within the longest sleep.
            let set = steps.iter().any(|step| matches!(step, Step::Clock(_)));
            let patience = if set { 33 } else { 3 };
            let mut silent = 0;
            for step in &steps {
                match step {
                    Step::Later(by) => {
                        for _ in 0..*by {
                            let at = lane.clock.monotonic() + seconds(1);
                            lane.until(at).await;
                            silent = if lane.held_in_silence() { silent + 1 } else { 0 };
                            prop_assert!(silent < patience, "held without a reason at {at:?}");
                        }
                    }
                    Step::Push(fate) => {
                        let id = lane.push(*fate);
                        if matches!(fate, Fate::Taken | Fate::Slow) {
                            good.push(id);
                        }
                    }
                    Step::All(fate) => lane.all(*fate),
                    Step::Pause => lane.memory.pause(true),
                    Step::Resume => {
                        lane.memory.pause(false);
                        sinks.resume("crm");
                    }
                    Step::Retry(which) if !good.is_empty() => {
                        sinks.hurry("crm", good[which % good.len()]);
                    }
                    Step::Retry(_) => {}
                    Step::Test => drop(sinks.try_out("crm", b"{}".to_vec()).await),
                    Step::Clock(by) => lane.clock.set_by(*by),
                }
                for hold in sinks.of("crm").holds {
                    let ends = hold.until.is_some() || hold.reason == HoldReason::Slots
                        || sinks.of("crm").breaker == BreakerState::HalfOpen;
                    prop_assert!(ends && hold.since.is_some(), "{hold:?}");
                }
            }
            // All is well again, and a person says so.
            lane.all(None);
            lane.memory.pause(false);
            sinks.resume("crm");
            lane.until(lane.clock.monotonic() + seconds(4_000)).await;
            for id in good {
                prop_assert!(lane.taken(id).is_some(), "{:?}", lane.memory.state(id));
            }
            lane.dispatcher.stop(seconds(1)).await;
            Ok(())
        })?;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Later(u64),
    Push(Fate),
    All(Option<Fate>),
    Pause,
    Resume,
    Retry(usize),
    Test,
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let any = || {
        prop_oneof![
            4 => Just(Fate::Taken),
            1 => Just(Fate::Slow),
            1 => Just(Fate::Throttled),
            2 => bad()
        ]
    };
    let hour = 3_600_000_i64;
    prop_oneof![
        6 => (1_u64..40).prop_map(Step::Later),
        8 => any().prop_map(Step::Push),
        2 => proptest::option::of(any()).prop_map(Step::All),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => (0_usize..20).prop_map(Step::Retry),
        1 => Just(Step::Test),
        2 => prop_oneof![-48 * hour..0, 0..10_000 * hour].prop_map(Step::Clock),
    ]
}
