//! Jobs against a real store: what is planned, and that the runner does it once, whatever stops
//! it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use leadgate_plugin::OutcomeKind;
use tempfile::TempDir;

use super::runner::{pause, size};
use super::*;
use crate::clock::{Millis, SystemClock};
use crate::config::{Ceiling, OnUpdate};
use crate::outbox::sled::{Options, SledOutbox};
use crate::outbox::{
    Attempt, BulkAction, BulkJob, BulkPlan, Count, DeathReason, DeliveryId, FailureGroupId, Filter,
    Finish, JobId, JobState, LeadFilter, Population, PushFilter, QuarantinedPush, Route,
    SinkPolicy, Skip, State, StateName, Steered, Stop,
};
use crate::route::When;
use crate::swap::Swap;
use crate::telemetry::metrics::Metrics;

/// A store without lanes: deliveries stay where they are put.
struct Desk {
    ground: Ground,
    folder: TempDir,
}

fn arrival(record: u64, sinks: &[&str]) -> Arrival {
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&record.to_be_bytes());
    Arrival {
        source: "shop".into(),
        received_at: 1_000,
        identity,
        stable: true,
        content: [1; 32],
        modified_at: None,
        request_id: None,
        method: None,
        lead: format!("{{\"record_id\":{record},\"phone\":\"{record}\",\"other\":{{}}}}"),
        labels: "{}".to_owned(),
        raw: "raw".to_owned(),
        original: None,
        finds: Vec::new(),
        routes: sinks
            .iter()
            .map(|sink| Route {
                sink: (*sink).into(),
                failed: None,
            })
            .collect(),
    }
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let policy = |name: &str| SinkPolicy {
        name: name.to_owned(),
        on_update: OnUpdate::Each,
        on_dead: None,
    };
    let outbox = SledOutbox::open(Options {
        path: &folder.path().join("store"),
        queue: 4096,
        cache: 16 << 20,
        keys: &[],
        sinks: vec![policy("crm"), policy("mail")],
        min_free: 0,
        metrics: Metrics::new().outbox,
    });
    let reread = |push: &StoredQuarantinedPush| match &*push.body {
        b"gone" => None,
        b"nobody" => {
            let mut arrival = arrival(98, &["crm"]);
            arrival.lead = "{\"phone\":null}".to_owned();
            Some(arrival)
        }
        _ => Some(arrival(99, &["crm"])),
    };
    Desk {
        ground: Ground {
            outbox: Arc::new(outbox.expect("the store opens")),
            clock: Arc::new(SystemClock),
            tables: Arc::new(Arc::default),
            reread: Arc::new(reread),
            wake: Arc::default(),
            waits: Arc::default(),
        },
        folder,
    }
}

impl Desk {
    async fn push(&self, records: std::ops::Range<u64>, sinks: &[&str]) {
        let pushed = records.map(|record| self.ground.outbox.accept(arrival(record, sinks)));
        for accepted in join_all(pushed).await {
            accepted.expect("accepted");
        }
    }

    /// Makes dead letters of all that is due for a sink.
    async fn end_all(&self, sink: &str, at: Millis) {
        loop {
            let outbox = Arc::clone(&self.ground.outbox);
            let name = sink.to_owned();
            let due = tokio::task::spawn_blocking(move || outbox.claim(&name, Millis::MAX, 100));
            let due = due.await.expect("no panic").expect("reads").deliveries;
            if due.is_empty() {
                return;
            }
            let ends = due.into_iter().map(|claim| {
                let State::Waiting { due_at } = claim.delivery.state else {
                    panic!("a claim waits")
                };
                let mut delivery = claim.delivery;
                delivery.attempts += 1;
                delivery.state = State::Dead {
                    at,
                    reason: DeathReason::Rejected,
                };
                delivery.history.push(Attempt {
                    number: delivery.attempts,
                    started_at: at,
                    duration_ms: 1,
                    outcome: OutcomeKind::Rejected,
                    rule: "status-4xx".to_owned(),
                    reason: "no such field".to_owned(),
                    receipt: String::new(),
                    request: String::new(),
                    response: String::new(),
                    trace_id: String::new(),
                    config_revision: String::new(),
                });
                self.ground.outbox.finish(Finish {
                    id: claim.id,
                    sink: sink.into(),
                    now: at,
                    was_due: due_at,
                    delivery,
                })
            });
            for ended in join_all(ends).await {
                ended.expect("taken");
            }
        }
    }

    /// Keeps a push in quarantine.
    async fn put_aside(&self, body: Vec<u8>) {
        let push = QuarantinedPush {
            source: "shop".into(),
            reason: "stale",
            received_at: 1_000,
            request_id: None,
            signature: uuid::Uuid::now_v7().to_string(),
            query: String::new(),
            content_type: String::new(),
            body,
            ceiling: Ceiling::default(),
        };
        self.ground.outbox.quarantine(push).await.expect("kept");
    }

    async fn planned(&self, wish: BulkPlan) -> Planned {
        let ground = self.ground.clone();
        let made = tokio::task::spawn_blocking(move || {
            let when = wish.when.as_deref();
            let when = when.map(|text| When::new(text, &(ground.tables)()).expect("compiles"));
            plan(&ground, wish, when.as_ref())
        });
        made.await.expect("no panic").expect("reads")
    }

    async fn started(&self, wish: BulkPlan) -> JobId {
        let planned = self.planned(wish).await;
        let (outbox, now) = (&self.ground.outbox, self.ground.clock.now());
        let id = outbox.plan_job(planned.plan, now).await.expect("kept");
        let id = id.expect("there is room");
        assert_eq!(outbox.start_job(id, now).await, Ok(Steered::Done));
        self.ground.wake.notify_one();
        id
    }

    fn job(&self, id: JobId) -> BulkJob {
        self.ground.outbox.job(id).expect("it is kept")
    }

    /// Waits until it is so.
    async fn until(&self, id: JobId, is: impl Fn(&BulkJob) -> bool) -> BulkJob {
        for _ in 0..6_000 {
            let job = self.job(id);
            if is(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came to be so: {:?}", self.job(id));
    }

    async fn ended(&self, id: JobId) -> BulkJob {
        let job = self.until(id, is_done).await;
        // Counts are shown when they are durable, and an answer says that all before it is.
        let over = self.ground.outbox.cancel_job(id, Stop::Person, 1).await;
        assert_eq!(over, Ok(Steered::Over));
        job
    }

    /// All deliveries, with how often each was tried and told to try again.
    fn deliveries(&self, filter: &Filter) -> Vec<(DeliveryId, crate::outbox::Delivery)> {
        let page = self.ground.outbox.deliveries(filter, None, 1_000);
        let page = page.expect("reads");
        assert_eq!(page.next, None);
        let all = page.items.into_iter();
        all.map(|one| (one.id, one.delivery)).collect()
    }
}

fn is_done(job: &BulkJob) -> bool {
    matches!(job.state, JobState::Done { .. })
}

fn wish(action: BulkAction, over: Population) -> BulkPlan {
    BulkPlan {
        by: "Wang".to_owned(),
        note: String::new(),
        action,
        over,
        when: None,
        rate: 1_000,
        count: Count::AtLeast(0),
    }
}

fn dead(sink: &str) -> Filter {
    Filter {
        sink: Some(sink.to_owned()),
        state: Some(StateName::Dead),
        ..Filter::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_exact_where_the_store_counts_and_at_least_a_page_elsewhere() {
    let desk = desk();
    desk.push(0..520, &["crm"]).await;
    desk.end_all("crm", 5_000).await;
    desk.push(520..530, &["crm", "mail"]).await;
    let groups = desk.ground.outbox.failure_groups(None, 9).expect("reads");
    let group = Some(groups[0].id);
    let nobody = Some(FailureGroupId([0; 8]));
    let over = Population::Deliveries;
    let rule = Some("status-4xx".to_owned());
    let all = Filter::default();
    let since = Some(0);
    let (state, source) = (Some(StateName::Pending), Some("shop".to_owned()));
    let reason = Some(DeathReason::Rejected);
    let (leads, mail) = (LeadFilter::default(), Some("mail".to_owned()));
    let (exact, least) = (Count::Exact, Count::AtLeast);
    for (of, count) in [
        (over(dead("crm")), exact(520)),
        (over(dead("mail")), exact(0)),
        (
            over(Filter {
                sink: mail,
                ..all.clone()
            }),
            exact(10),
        ),
        (
            over(Filter {
                state,
                source: source.clone(),
                ..all.clone()
            }),
            exact(20),
        ),
        (
            over(Filter {
                reason,
                ..all.clone()
            }),
            exact(520),
        ),
        (
            over(Filter {
                group,
                ..dead("crm")
            }),
            exact(520),
        ),
        (
            over(Filter {
                group: nobody,
                ..dead("crm")
            }),
            exact(0),
        ),
        (
            over(Filter {
                rule,
                ..dead("crm")
            }),
            least(500),
        ),
        (
            over(Filter {
                since,
                ..dead("crm")
            }),
            least(500),
        ),
        (Population::Leads(leads.clone()), exact(530)),
        (
            Population::Leads(LeadFilter { source, ..leads }),
            least(500),
        ),
        (Population::Quarantine(PushFilter::default()), exact(0)),
    ] {
        let what = format!("{of:?}");
        let planned = desk.planned(wish(BulkAction::Retry, of)).await;
        assert_eq!(planned.plan.count, count, "{what}");
        let shown = match count {
            Count::Exact(0) => 0,
            _ => 5,
        };
        assert_eq!(planned.samples.len(), shown, "{what}");
    }
    let few = BulkPlan {
        when: Some("record_id < 3".to_owned()),
        ..wish(BulkAction::Retry, over(dead("crm")))
    };
    assert_eq!(desk.planned(few).await.plan.count, least(3));
    // What is left for a sink that is gone.
    let mail = SinkPolicy {
        name: "mail".to_owned(),
        on_update: OnUpdate::Each,
        on_dead: None,
    };
    desk.ground.outbox.set_sinks(vec![mail]).await.expect("set");
    for (sink, count) in [("crm", 530), ("mail", 0)] {
        let left = Filter {
            sink: Some(sink.to_owned()),
            orphaned: true,
            ..Filter::default()
        };
        let to = BulkAction::Move {
            to: "mail".to_owned(),
        };
        assert_eq!(
            desk.planned(wish(to, over(left))).await.plan.count,
            exact(count)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_tried_again_once_each_across_stops_and_a_cancellation() {
    let desk = desk();
    desk.push(0..120, &["crm"]).await;
    desk.end_all("crm", 5_000).await;
    let slow = BulkPlan {
        rate: 40,
        ..wish(BulkAction::Retry, Population::Deliveries(dead("crm")))
    };
    let id = desk.started(slow).await;
    let runner = Runner::start(desk.ground.clone());
    desk.until(id, |job| job.done >= 10).await;
    runner.stop().await;
    let stopped = desk.job(id);
    assert_eq!(stopped.state, JobState::Running);
    assert!((10..120).contains(&stopped.done));
    // What it made due dies at once, and is not tried again by the same job.
    desk.end_all("crm", 4_000_000_000_000).await;
    let runner = Runner::start(desk.ground.clone());
    desk.until(id, |job| job.done > stopped.done).await;
    let outbox = &desk.ground.outbox;
    assert_eq!(
        outbox.cancel_job(id, Stop::Person, 1).await,
        Ok(Steered::Done)
    );
    let cancelled = desk.job(id);
    assert!(cancelled.done < 120);
    // Another look of the runner's, and nothing is done.
    desk.ground.wake.notify_one();
    let other = desk.started(wish(
        BulkAction::Retry,
        Population::Deliveries(dead("mail")),
    ));
    desk.ended(other.await).await;
    assert_eq!(desk.job(id), cancelled);
    assert_eq!(outbox.start_job(id, 2).await, Ok(Steered::Done));
    desk.ground.wake.notify_one();
    let ended = desk.ended(id).await;
    runner.stop().await;
    assert_eq!((ended.done, ended.seen()), (120, 120));
    let all = desk.deliveries(&Filter::default());
    let tried = |one: &crate::outbox::Delivery| one.attempts - one.budget.spent;
    let again = all.iter().filter(|(_, one)| one.budget.since > 5_000);
    assert_eq!(again.count(), 120);
    assert!(all.iter().all(|(_, one)| tried(one) <= 1));
    let died_again = all.iter().filter(|(_, one)| one.attempts == 2).count();
    assert_eq!(died_again as u64, stopped.done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_chooses_among_the_leads_and_what_it_cannot_tell_is_skipped() {
    let desk = desk();
    desk.push(0..130, &[]).await;
    let replay = BulkAction::Replay {
        to: "crm".to_owned(),
        again: false,
    };
    let some = BulkPlan {
        when: Some("record_id >= 128 or record_id < 2".to_owned()),
        rate: 4,
        ..wish(replay, Population::Leads(LeadFilter::default()))
    };
    let runner = Runner::start(desk.ground.clone());
    let ended = desk.ended(desk.started(some.clone()).await).await;
    assert_eq!((ended.done, ended.seen()), (4, 4));
    let made = desk.deliveries(&Filter::default());
    assert_eq!(made.len(), 4);
    assert!(made.iter().all(|(_, one)| one.sink == "crm"));
    let fails = BulkPlan {
        when: Some("record_id < 3 and other.vip > 3".to_owned()),
        rate: 1_000,
        ..some
    };
    let ended = desk.ended(desk.started(fails).await).await;
    assert_eq!((ended.done, ended.skipped[&Skip::Condition]), (0, 3));
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_goes_by_the_tables_that_are_loaded_while_the_job_runs() {
    let chosen = |records: std::ops::Range<u64>| {
        let mut labels = BTreeMap::from([("default".to_owned(), "no".to_owned())]);
        labels.extend(records.map(|record| (record.to_string(), "yes".to_owned())));
        Tables::from([("chosen".to_owned(), labels)])
    };
    let tables = Arc::new(Swap::new(chosen(0..10)));
    let mut desk = desk();
    desk.ground.tables = {
        let tables = Arc::clone(&tables);
        Arc::new(move || tables.get())
    };
    desk.push(0..30, &[]).await;
    let replay = BulkAction::Replay {
        to: "crm".to_owned(),
        again: false,
    };
    let some = BulkPlan {
        when: Some("(record_id | lookup('chosen')) == 'yes'".to_owned()),
        rate: 4,
        ..wish(replay, Population::Leads(LeadFilter::default()))
    };
    let id = desk.started(some).await;
    let runner = Runner::start(desk.ground.clone());
    desk.until(id, |job| job.done >= 2).await;
    tables.set(chosen(20..25));
    let ended = desk.ended(id).await;
    runner.stop().await;
    // The first of the old ones, and all of the new ones.
    assert!((7..10).contains(&ended.done), "{}", ended.done);
    assert_eq!(ended.seen(), ended.done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_that_nobody_could_be_reached_by_stay_unless_that_is_said() {
    let desk = desk();
    for body in ["fine", "nobody", "gone"] {
        desk.put_aside(body.as_bytes().to_vec()).await;
    }
    let over = |reason: &str| {
        Population::Quarantine(PushFilter {
            reason: Some(reason.to_owned()),
            ..PushFilter::default()
        })
    };
    let release = |force| BulkAction::Release { force };
    let runner = Runner::start(desk.ground.clone());
    let none = desk
        .started(wish(release(true), over("no_timestamp")))
        .await;
    assert_eq!(desk.ended(none).await.seen(), 0);
    let some = desk.started(wish(release(false), over("stale"))).await;
    let some = desk.ended(some).await;
    assert_eq!((some.done, some.skipped[&Skip::Unreachable]), (1, 1));
    assert_eq!(some.skipped[&Skip::Unread], 1);
    let rest = desk.started(wish(release(true), over("stale"))).await;
    assert_eq!(desk.ended(rest).await.done, 1);
    assert_eq!(desk.ground.outbox.totals().leads, 2);
    let thrown = desk.started(wish(BulkAction::Discard, over("stale"))).await;
    assert_eq!(desk.ended(thrown).await.done, 1);
    assert_eq!(desk.ground.outbox.totals().in_quarantine, 0);
    let all = Population::Leads(LeadFilter::default());
    let erased = desk.started(wish(BulkAction::Erase, all)).await;
    assert_eq!(desk.ended(erased).await.done, 2);
    runner.stop().await;
    assert_eq!(desk.ground.outbox.totals().leads, 0);
}

#[tokio::test]
async fn a_job_whose_place_in_its_list_is_not_known_does_nothing() {
    let desk = desk();
    desk.push(0..3, &["crm"]).await;
    desk.end_all("crm", 5_000).await;
    let plan = wish(BulkAction::Retry, Population::Deliveries(dead("crm")));
    let ground = &desk.ground;
    let of = (&plan, 9_000);
    let strange = Some("00");
    let read = select(&*ground.outbox, &*ground.reread, of, None, strange, 9);
    assert!(read.is_err());
    let read = select(&*ground.outbox, &*ground.reread, of, None, None, 9);
    assert_eq!(read.expect("reads").targets.len(), 3);
}

#[test]
fn jobs_of_one_sink_have_their_turn_one_after_the_other() {
    let job = |number: u128, sink: Option<&str>, state| {
        let filter = Filter {
            sink: sink.map(str::to_owned),
            ..Filter::default()
        };
        let plan = wish(BulkAction::Retry, Population::Deliveries(filter));
        let mut job = BulkJob::new(plan, 0);
        job.state = state;
        (JobId(uuid::Uuid::from_u128(number)), job)
    };
    let turn = |jobs: &[(JobId, BulkJob)]| -> Vec<u128> {
        let behind = behind(jobs).into_iter();
        let turns = behind.filter(|(_, waits_for)| waits_for.is_none());
        turns.map(|(id, _)| id.0.as_u128()).collect()
    };
    let running = JobState::Running;
    let mut jobs = vec![
        job(1, Some("crm"), JobState::Planned),
        job(2, Some("crm"), running),
        job(3, Some("crm"), running),
        job(4, Some("mail"), running),
        job(5, None, running),
        job(6, Some("fax"), running),
    ];
    assert_eq!(turn(&jobs), [2, 4], "5 waits for both, and 6 for it");
    let id = |number| JobId(uuid::Uuid::from_u128(number));
    let whom = [
        (2, None),
        (3, Some(2)),
        (4, None),
        (5, Some(2)),
        (6, Some(5)),
    ];
    let whom = whom.map(|(job, before)| (id(job), before.map(id)));
    assert_eq!(behind(&jobs), BTreeMap::from(whom));
    jobs.retain(|(_, job)| job.plan.over != jobs_over("crm") && job.plan.over != jobs_over("mail"));
    assert_eq!(turn(&jobs), [5]);
    jobs.remove(0);
    assert_eq!(turn(&jobs), [6]);
}

fn jobs_over(sink: &str) -> Population {
    Population::Deliveries(Filter {
        sink: Some(sink.to_owned()),
        ..Filter::default()
    })
}

#[test]
fn a_job_keeps_its_rate_and_leaves_half_of_the_time() {
    assert_eq!(
        [1, 4, 5, 200, 400, 9_999].map(size),
        [1, 1, 2, 50, 100, 100]
    );
    let ms = Duration::from_millis;
    assert_eq!(pause(50, 200, ms(10)), ms(250));
    assert_eq!(pause(50, 200, ms(300)), ms(600));
    assert_eq!(pause(1, 1, ms(10)), ms(1_000));
    assert_eq!(pause(0, 5, ms(10)), ms(20));
}

/// Spoils a byte of a record that has that text in it, the first one behind so many others.
fn spoil(desk: &Desk, text: &str, others: usize) {
    let journal = desk.folder.path().join("store").join("journal");
    for entry in std::fs::read_dir(journal).expect("reads") {
        let path = entry.expect("reads").path();
        let mut bytes = std::fs::read(&path).expect("reads");
        let windows = bytes.windows(text.len()).enumerate();
        let mut found = windows.filter(|(_, window)| *window == text.as_bytes());
        if let Some((at, _)) = found.nth(others) {
            bytes[at] ^= 0xff;
            std::fs::write(path, bytes).expect("writes");
            return;
        }
    }
    panic!("there is no {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_skipped_and_keeps_no_other() {
    let desk = desk();
    desk.push(0..6, &["crm"]).await;
    desk.end_all("crm", 5_000).await;
    for body in ["one", "damaged", "three"] {
        desk.put_aside(body.as_bytes().to_vec()).await;
    }
    spoil(&desk, "no such field", 2);
    spoil(&desk, "damaged", 0);
    let runner = Runner::start(desk.ground.clone());
    let retry = wish(BulkAction::Retry, Population::Deliveries(dead("crm")));
    let ended = desk.ended(desk.started(retry).await).await;
    assert_eq!((ended.done, ended.skipped[&Skip::Damaged]), (5, 1));
    let thrown = wish(
        BulkAction::Discard,
        Population::Quarantine(PushFilter::default()),
    );
    let ended = desk.ended(desk.started(thrown).await).await;
    assert_eq!((ended.done, ended.skipped[&Skip::Damaged]), (2, 1));
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_disk_is_short_what_adds_waits_and_says_so_and_what_makes_room_goes_on() {
    let desk = desk();
    desk.push(0..3, &["crm"]).await;
    desk.end_all("crm", 5_000).await;
    desk.put_aside(b"fine".to_vec()).await;
    let leads = || Population::Leads(LeadFilter::default());
    let to = BulkAction::Replay {
        to: "mail".to_owned(),
        again: false,
    };
    let replay = desk.started(wish(to, leads())).await;
    let (waits, outbox) = (&desk.ground.waits, &desk.ground.outbox);
    outbox.set_min_free(u64::MAX);
    let runner = Runner::start(desk.ground.clone());
    let discard = wish(
        BulkAction::Discard,
        Population::Quarantine(PushFilter::default()),
    );
    assert_eq!(desk.ended(desk.started(discard).await).await.done, 1);
    let cancel = wish(BulkAction::Cancel, Population::Deliveries(dead("crm")));
    assert_eq!(desk.ended(desk.started(cancel).await).await.done, 3);
    let why = waits.of(replay).expect("it says so");
    assert!(why.to_string().contains("outbox.min_free"), "{why}");
    assert_eq!(desk.job(replay).seen(), 0);
    assert_eq!(
        outbox.cancel_job(replay, Stop::Person, 1).await,
        Ok(Steered::Done)
    );
    // What is erased is gone, and not done with before its place is written anew.
    let erase = desk.started(wish(BulkAction::Erase, leads())).await;
    desk.until(erase, |_| waits.of(erase).is_some()).await;
    assert_eq!(waits.of(replay), None, "it does not run");
    let why = waits.of(erase).expect("it says so").to_string();
    assert!(
        why.starts_with("what was erased is still on the disk"),
        "{why}"
    );
    let stands = desk.job(erase);
    assert_eq!(
        (stands.state, stands.wiping, stands.done),
        (JobState::Running, true, 3)
    );
    assert_eq!(outbox.totals().leads, 0);
    runner.stop().await;
    outbox.set_min_free(0);
    let runner = Runner::start(desk.ground.clone());
    assert_eq!(desk.ended(erase).await.done, 3);
    runner.stop().await;
    let text = "no such field";
    let journal = desk.folder.path().join("store").join("journal");
    for entry in std::fs::read_dir(journal).expect("reads") {
        let bytes = std::fs::read(entry.expect("reads").path()).expect("reads");
        let mut windows = bytes.windows(text.len());
        assert!(!windows.any(|window| window == text.as_bytes()));
    }
    assert_eq!(waits.of(erase), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_pushes_ends_at_about_a_megabyte() {
    let desk = desk();
    for letter in b'a'..b'e' {
        desk.put_aside(vec![letter; 700 << 10]).await;
    }
    let release = BulkAction::Release { force: false };
    let plan = wish(release, Population::Quarantine(PushFilter::default()));
    let ground = &desk.ground;
    let mut after = None;
    for (count, is_last) in [(2, false), (2, true)] {
        let of = (&plan, 9_000);
        let page = select(
            &*ground.outbox,
            &*ground.reread,
            of,
            None,
            after.as_deref(),
            100,
        );
        let page = page.expect("reads");
        assert_eq!((page.targets.len(), page.next.is_none()), (count, is_last));
        after = page.next;
    }
    assert_eq!(desk.planned(plan).await.plan.count, Count::Exact(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_condition_cannot_be_used_any_more_is_stopped_and_says_why() {
    let chosen = BTreeMap::from([("default".to_owned(), "yes".to_owned())]);
    let tables = Arc::new(Swap::new(Tables::from([("chosen".to_owned(), chosen)])));
    let mut desk = desk();
    desk.ground.tables = {
        let tables = Arc::clone(&tables);
        Arc::new(move || tables.get())
    };
    let some = BulkPlan {
        when: Some("(record_id | lookup('chosen')) == 'yes'".to_owned()),
        ..wish(BulkAction::Retry, Population::Deliveries(dead("crm")))
    };
    let id = desk.started(some).await;
    tables.set(Tables::new());
    let runner = Runner::start(desk.ground.clone());
    let is_stopped = |job: &BulkJob| {
        let why = Stop::Condition;
        matches!(job.state, JobState::Cancelled { why: is, .. } if is == why)
    };
    desk.until(id, is_stopped).await;
    runner.stop().await;
}
