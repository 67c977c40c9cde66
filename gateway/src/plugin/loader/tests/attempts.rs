//! Attempts of a plugin that completes them when the test says so.

use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use leadgate_plugin::{Health, abi};

use super::super::super::{Call, Outcome, OutcomeKind, Own};
use super::super::extension::{Batch, Extensions};
use super::super::host::Origin;
use super::super::sink::{Instance, Sink};
use super::super::size_of;
use super::{FIRST, described, descriptor};

/// What a sink of the fake plugin saw.
#[derive(Default)]
struct Fake {
    /// The ids of each call.
    calls: Mutex<Vec<Vec<String>>>,
    open: Mutex<Vec<(String, abi::DoneFn, usize)>>,
    cancelled: Mutex<Vec<usize>>,
}

/// # Safety
///
/// `sink` is a `Fake`, `delivery` is lent.
unsafe fn take(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    done: abi::DoneFn,
    ctx: *mut c_void,
) -> String {
    // SAFETY: by the function's contract.
    let (fake, id) = unsafe { (&*sink.cast::<Fake>(), super::text((*delivery).id, 64)) };
    fake.open
        .lock()
        .expect("not poisoned")
        .push((id.clone(), done, ctx.addr()));
    id
}

unsafe extern "C" fn deliver(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    done: abi::DoneFn,
    ctx: *mut c_void,
) {
    // SAFETY: as the host promises.
    let (fake, id) = unsafe { (&*sink.cast::<Fake>(), take(sink, delivery, done, ctx)) };
    fake.calls.lock().expect("not poisoned").push(vec![id]);
}

unsafe extern "C" fn deliver_batch(
    sink: *mut c_void,
    deliveries: *const *const abi::Delivery,
    ctxs: *const *mut c_void,
    count: usize,
    done: abi::DoneFn,
) {
    let ids = (0..count).map(|at| {
        // SAFETY: as the host promises: so many of both.
        unsafe { take(sink, *deliveries.add(at), done, *ctxs.add(at)) }
    });
    let ids = ids.collect();
    // SAFETY: as above.
    let fake = unsafe { &*sink.cast::<Fake>() };
    fake.calls.lock().expect("not poisoned").push(ids);
}

unsafe extern "C" fn cancel(sink: *mut c_void, ctx: *mut c_void) {
    // SAFETY: as above.
    let fake = unsafe { &*sink.cast::<Fake>() };
    fake.cancelled
        .lock()
        .expect("not poisoned")
        .push(ctx.addr());
}

unsafe extern "C" fn health(_: *mut c_void, say: abi::HealthFn, ctx: *mut c_void) {
    // SAFETY: static text, and the host's own context.
    unsafe {
        say(
            ctx,
            abi::HEALTH_DEGRADED,
            abi::Bytes::borrow(b"look at hunter22"),
        );
    };
}

unsafe extern "C" fn silence(_: *mut c_void, _: abi::HealthFn, _: *mut c_void) {}

impl Fake {
    fn calls(&self) -> Vec<Vec<String>> {
        self.calls.lock().expect("not poisoned").clone()
    }

    fn done(&self, id: &str) {
        let mut open = self.open.lock().expect("not poisoned");
        let at = open
            .iter()
            .position(|(one, ..)| one == id)
            .expect("is open");
        let (_, done, ctx) = open.remove(at);
        drop(open);
        let outcome = abi::Outcome {
            struct_size: size_of::<abi::Outcome>(),
            kind: abi::OUTCOME_DELIVERED,
            retry_after_ms: -1,
            receipt: abi::Bytes::borrow(id.as_bytes()),
            reason: abi::Bytes::EMPTY,
            rule: abi::Bytes::EMPTY,
            request: abi::Bytes::EMPTY,
            response: abi::Bytes::EMPTY,
        };
        // SAFETY: once for this number; all lives until it returns.
        unsafe { done(std::ptr::without_provenance_mut(ctx), &raw const outcome) };
    }
}

fn sink(more: Extensions) -> (Sink, &'static Fake) {
    let fake: &'static Fake = Box::leak(Box::default());
    let mut functions = described(&descriptor(0, FIRST)).expect("fits").functions;
    functions.deliver = deliver;
    functions.more = Extensions {
        cancel: Some(cancel),
        ..more
    };
    let at = std::ptr::from_ref(fake).cast_mut().cast();
    let origin = Box::leak(Box::new(Origin {
        sink: "crm".to_owned(),
        plugin: "fake".to_owned(),
        state: None,
        masks: OnceLock::new(),
    }));
    let sink = Sink {
        instance: Arc::new(Instance::new(at, functions, false)),
        origin,
        masks: Arc::default(),
    };
    (sink, fake)
}

fn batches(max: usize) -> Extensions {
    let batch = Some(Batch { max, deliver_batch });
    Extensions {
        batch,
        ..Extensions::default()
    }
}

fn call(id: &str, timeout: Duration) -> Call {
    Call {
        id: id.to_owned(),
        attempt: 1,
        timeout,
        event: b"{}".to_vec(),
        trace_id: String::new(),
        step_record: String::new(),
        keep: None,
    }
}

/// Long enough for whatever the machine does beside.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(20);

fn start(sink: &Sink, id: &str, timeout: Duration) -> tokio::task::JoinHandle<Outcome> {
    let (sink, call) = (sink.clone(), call(id, timeout));
    tokio::spawn(async move { sink.deliver(call).await })
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let ends = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(tokio::time::Instant::now() < ends, "{what}");
        tokio::task::yield_now().await;
    }
}

fn abandoned(sink: &Sink) -> isize {
    sink.instance.abandoned.load(Ordering::Relaxed)
}

#[tokio::test]
async fn an_attempt_whose_time_is_over_is_cancelled_and_counted_until_it_completes() {
    let (sink, fake) = sink(Extensions::default());
    let outcome = sink.deliver(call("late", SHORT)).await;
    assert_eq!(outcome.rule, Own::Late.rule());
    let number = fake.open.lock().expect("not poisoned")[0].2;
    assert_eq!(*fake.cancelled.lock().expect("not poisoned"), [number]);
    assert_eq!(abandoned(&sink), 1);
    fake.done("late");
    assert_eq!(abandoned(&sink), 0);
}

#[tokio::test]
async fn an_attempt_that_nobody_waits_for_is_cancelled_and_one_that_ended_is_not() {
    let (sink, fake) = sink(Extensions::default());
    let waits = start(&sink, "dropped", LONG);
    until("started", || fake.calls().len() == 1).await;
    waits.abort();
    assert!(waits.await.expect_err("aborted").is_cancelled());
    assert_eq!(fake.cancelled.lock().expect("not poisoned").len(), 1);
    assert_eq!(abandoned(&sink), 1);
    fake.done("dropped");
    assert_eq!(abandoned(&sink), 0);

    let waits = start(&sink, "well", LONG);
    until("started", || fake.calls().len() == 2).await;
    fake.done("well");
    assert_eq!(waits.await.expect("ends").kind, OutcomeKind::Delivered);
    assert_eq!(fake.cancelled.lock().expect("not poisoned").len(), 1);
    assert_eq!(abandoned(&sink), 0);
}

#[tokio::test]
async fn what_waits_while_a_batch_is_on_its_way_goes_together_up_to_the_most() {
    let (sink, fake) = sink(batches(3));
    let mut waits = vec![start(&sink, "a", LONG)];
    until("a is on its way", || fake.calls().len() == 1).await;
    for id in ["b", "c", "d", "e"] {
        waits.push(start(&sink, id, LONG));
    }
    // All four have come to the stop: each spawned task ran up to its wait.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.calls(), [["a"]], "the others wait");
    fake.done("a");
    until("the next left", || fake.calls().len() == 2).await;
    assert_eq!(fake.calls()[1], ["b", "c", "d"]);
    for id in ["d", "b"] {
        fake.done(id);
    }
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.calls().len(), 2, "one of the batch is under way still");
    fake.done("c");
    until("the last left", || fake.calls().len() == 3).await;
    assert_eq!(fake.calls()[2], ["e"]);
    fake.done("e");
    let receipts = futures_util::future::join_all(waits).await;
    let receipts: Vec<_> = receipts
        .into_iter()
        .map(|one| one.expect("ends").receipt)
        .collect();
    assert_eq!(receipts, ["a", "b", "c", "d", "e"]);
    assert_eq!(abandoned(&sink), 0);
}

#[tokio::test]
async fn one_that_hangs_does_not_hold_the_next_batch_for_longer_than_its_time() {
    let (sink, fake) = sink(batches(8));
    let hangs = start(&sink, "hangs", SHORT);
    until("it is on its way", || fake.calls().len() == 1).await;
    let next = start(&sink, "next", LONG);
    assert_eq!(hangs.await.expect("ends").rule, Own::Late.rule());
    until("the next left", || fake.calls().len() == 2).await;
    fake.done("next");
    assert_eq!(next.await.expect("ends").kind, OutcomeKind::Delivered);
    assert_eq!(abandoned(&sink), 1);
}

#[tokio::test]
async fn one_that_never_left_was_not_sent_and_is_not_sent_later() {
    let (sink, fake) = sink(batches(8));
    let first = start(&sink, "first", LONG);
    until("it is on its way", || fake.calls().len() == 1).await;
    let waited = sink.deliver(call("waited", SHORT)).await;
    assert_eq!(waited.kind, OutcomeKind::Retry);
    assert_eq!(waited.rule, Own::Unstarted.rule());
    assert!(fake.cancelled.lock().expect("not poisoned").is_empty());
    assert_eq!(abandoned(&sink), 0);
    fake.done("first");
    first.await.expect("ends");
    let last = start(&sink, "last", LONG);
    until("the last left", || fake.calls().len() == 2).await;
    assert_eq!(fake.calls()[1], ["last"]);
    fake.done("last");
    last.await.expect("ends");
}

#[tokio::test]
async fn health_is_what_the_plugin_says_without_secrets_and_silence_is_a_failure() {
    let says = |health| {
        sink(Extensions {
            health,
            ..Extensions::default()
        })
        .0
    };
    assert_eq!(says(None).health().await, None);
    let secrets = [leadgate_plugin::Secret::new("hunter22")];
    let said = says(Some(health)).masking(&secrets).health().await;
    assert_eq!(said, Some(Health::Degraded("look at ***".to_owned())));
    let silent = says(Some(silence)).health().await;
    assert!(matches!(silent, Some(Health::Failed(_))), "{silent:?}");
}

#[test]
fn where_there_is_no_runtime_what_waits_goes_together_too_and_can_be_withdrawn() {
    let (sink, fake) = sink(batches(8));
    let (tell, told) = std::sync::mpsc::channel();
    // Numbers beyond those of the other tests.
    let first = 1 << 40;
    let begin = |at: u64, id: &str| {
        let tell = tell.clone();
        let done = move |outcome: Outcome| tell.send((at, outcome)).expect("waits");
        sink.begin(first + at, call(id, LONG), done);
    };
    let ends = std::time::Instant::now() + Duration::from_secs(60);
    let until = |is: &dyn Fn() -> bool| {
        while !is() {
            assert!(std::time::Instant::now() < ends);
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        // This thread conducts until nothing waits.
        let conducts = scope.spawn(|| begin(0, "a"));
        until(&|| fake.calls().len() == 1);
        for (at, id) in [(1, "b"), (2, "c"), (3, "d")] {
            begin(at, id);
        }
        assert_eq!(fake.calls(), [["a"]], "the others wait");
        sink.cancel(first + 2);
        let (at, outcome) = told.recv().expect("told");
        assert_eq!((at, outcome.rule.as_str()), (2, Own::Unstarted.rule()));
        fake.done("a");
        until(&|| fake.calls().len() == 2);
        assert_eq!(fake.calls()[1], ["b", "d"]);
        sink.cancel(first + 3);
        let cancelled = fake.cancelled.lock().expect("not poisoned").clone();
        assert_eq!(
            cancelled.len(),
            1,
            "one that is under way is the plugin's to end"
        );
        fake.done("d");
        assert!(!conducts.is_finished(), "b is under way");
        fake.done("b");
        conducts.join().expect("ends");
    });
    let ended: Vec<_> = told
        .try_iter()
        .map(|(at, outcome)| (at, outcome.receipt))
        .collect();
    let ended: Vec<_> = ended
        .iter()
        .map(|(at, receipt)| (*at, receipt.as_str()))
        .collect();
    assert_eq!(ended, [(0, "a"), (3, "d"), (1, "b")]);
}
