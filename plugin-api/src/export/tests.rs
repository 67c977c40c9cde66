//! What an older or newer host lends, and what comes back from it.

use std::ffi::c_void;
use std::mem::offset_of;

use super::attempt::deliver;
use super::extension::get_extension;
use super::{HostHandle, read, size_of};
use crate::{
    Delivery, Health, Host, Outcome, OutcomeKind, Probe, Problems, Secret, Sink, Stop, abi,
};

unsafe extern "C" fn never(
    _: *mut c_void,
    _: abi::Bytes,
    _: u64,
    _: u64,
    _: abi::Bytes,
    _: abi::Bytes,
) {
}

#[test]
fn what_an_older_host_does_not_know_is_not_read() {
    let mut report = abi::Report {
        struct_size: size_of::<abi::Report>(),
        reserved: 0,
        ctx: std::ptr::dangling_mut(),
        problem: None,
        problem_at: Some(never),
    };
    // SAFETY: the report is as large as it says.
    let read = unsafe { read::report(&raw const report) };
    assert!(read.problem_at.is_some() && read.ctx == report.ctx);
    report.struct_size = u32::try_from(offset_of!(abi::Report, problem_at)).expect("small");
    // SAFETY: larger than it says.
    let read = unsafe { read::report(&raw const report) };
    assert!(read.problem_at.is_none() && read.ctx == report.ctx);
    report.struct_size = u32::MAX;
    // SAFETY: no more than our own size is read of a larger one.
    let read = unsafe { read::report(&raw const report) };
    assert!(read.problem_at.is_some());
}

unsafe extern "C" fn unasked(_: *mut c_void, _: abi::Bytes) -> *const c_void {
    panic!("a host of minor 2 has no such function")
}

#[test]
fn hosts_and_configurations_of_other_minors_are_read_up_to_their_size() {
    let mut host = abi::Host {
        struct_size: size_of::<abi::Host>(),
        abi_minor: abi::ABI_MINOR,
        ctx: std::ptr::dangling_mut(),
        log: None,
        get_extension: Some(unasked),
    };
    for (size, known) in [
        (offset_of!(abi::Host, get_extension), false),
        (std::mem::size_of::<abi::Host>(), true),
        (u32::MAX as usize, true),
    ] {
        host.struct_size = u32::try_from(size).expect("fits");
        // SAFETY: no more than our own size is read of a larger one.
        let read = unsafe { read::host(&raw const host) };
        assert_eq!(read.get_extension.is_some(), known, "{size}");
        assert_eq!(read.ctx, host.ctx);
    }
    host.struct_size = u32::try_from(offset_of!(abi::Host, get_extension)).expect("small");
    // SAFETY: as above.
    let older = HostHandle(unsafe { read::host(&raw const host) });
    assert!(older.state().is_none(), "and it is not asked");

    let mut config = abi::Config {
        struct_size: size_of::<abi::Config>(),
        reserved: 0,
        sink: abi::Bytes::borrow(b"crm"),
        settings: abi::Bytes::borrow(b"{}"),
        tables: abi::Bytes::borrow(b"{}"),
    };
    for (size, tables) in [
        (offset_of!(abi::Config, tables), 0),
        (std::mem::size_of::<abi::Config>(), 2),
        (u32::MAX as usize, 2),
    ] {
        config.struct_size = u32::try_from(size).expect("fits");
        // SAFETY: as above.
        let read = unsafe { read::config(&raw const config) };
        assert_eq!((read.sink.len, read.tables.len), (3, tables), "{size}");
    }
}

static VALUE: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());

unsafe extern "C" fn state_get(
    _: *mut c_void,
    key: abi::Bytes,
    value: abi::TextFn,
    ctx: *mut c_void,
) -> i32 {
    let kept = VALUE.lock().expect("not poisoned");
    // SAFETY: both live until we return.
    if unsafe { read::bytes(key) } != b"token" || kept.is_empty() {
        return abi::FAILED;
    }
    // SAFETY: as above.
    unsafe { value(ctx, abi::Bytes::borrow(&kept)) };
    abi::OK
}

unsafe extern "C" fn state_set(_: *mut c_void, _: abi::Bytes, value: abi::Bytes) -> i32 {
    // SAFETY: valid until we return.
    *VALUE.lock().expect("not poisoned") = unsafe { read::bytes(value) }.to_vec();
    abi::OK
}

static STATE: abi::State = abi::State {
    struct_size: size_of::<abi::State>(),
    reserved: 0,
    get: Some(state_get),
    set: Some(state_set),
};

unsafe extern "C" fn extensions(_: *mut c_void, id: abi::Bytes) -> *const c_void {
    // SAFETY: valid until we return.
    if unsafe { read::bytes(id) } == abi::STATE_ID.as_bytes() {
        std::ptr::from_ref(&STATE).cast()
    } else {
        std::ptr::null()
    }
}

#[test]
fn a_value_goes_to_the_host_and_comes_back() {
    let handle = HostHandle(abi::Host {
        struct_size: size_of::<abi::Host>(),
        abi_minor: abi::ABI_MINOR,
        ctx: std::ptr::null_mut(),
        log: None,
        get_extension: Some(extensions),
    });
    let state = handle.state().expect("the host has it");
    assert!(state.get("token").is_none());
    state.set("token", &Secret::new("rotated")).expect("kept");
    let kept = state.get("token").expect("kept");
    assert_eq!(kept.expose(), "rotated");
    state.forget("token").expect("forgotten");
    assert!(state.get("token").is_none());
}

struct Walker;

impl Sink for Walker {
    type Settings = ();
    type Parts = Self;

    fn prepare((): &(), _: &Host) -> Result<Self, Problems> {
        Ok(Self)
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, _: &Delivery) -> Outcome {
        Outcome::delivered("")
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        probe.step("dns", async { Ok(()) }).await?;
        probe
            .step("login", async { Err::<(), _>("refused".to_owned()) })
            .await
    }
}

unsafe extern "C" fn note(ctx: *mut c_void, step: *const abi::Step) {
    // SAFETY: `ctx` is the vector below, and the step is valid until we return.
    unsafe {
        let told = (&mut *ctx.cast::<Vec<(String, i32, String)>>(), *step);
        told.0.push((
            read::text(told.1.name),
            told.1.result,
            read::text(told.1.note),
        ));
    }
}

#[test]
fn a_walk_is_told_step_by_step() {
    // SAFETY: the id is static.
    let found = unsafe { get_extension::<Walker>(abi::Bytes::borrow(b"leadgate.connect/1")) };
    assert!(!found.is_null());
    // SAFETY: as above.
    let none = unsafe { get_extension::<Walker>(abi::Bytes::borrow(b"leadgate.connect/9")) };
    assert!(none.is_null());
    // SAFETY: the type that belongs to the id.
    let extension = unsafe { *found.cast::<abi::Connect>() };
    let walker = Walker;
    let mut told: Vec<(String, i32, String)> = Vec::new();
    // SAFETY: all of it lives until the call returns.
    let code = unsafe {
        (extension.connect.expect("there"))(
            std::ptr::from_ref(&walker).cast_mut().cast(),
            10_000,
            note,
            (&raw mut told).cast(),
        )
    };
    assert_eq!(code, abi::FAILED);
    let expected = [
        ("dns".to_owned(), abi::OK, String::new()),
        ("login".to_owned(), abi::FAILED, "refused".to_owned()),
    ];
    assert_eq!(told, expected);
}

static KEPT: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

unsafe extern "C" fn keep(_: *mut c_void, step_record: abi::Bytes) {
    // SAFETY: valid until we return.
    *KEPT.lock().expect("not poisoned") = unsafe { read::text(step_record) };
}

#[test]
fn a_step_record_is_kept_where_the_host_knows_of_them() {
    let mut delivery = abi::Delivery {
        struct_size: size_of::<abi::Delivery>(),
        attempt: 2,
        timeout_ms: 1000,
        id: abi::Bytes::borrow(b"id"),
        event: abi::Bytes::borrow(b"{}"),
        trace_id: abi::Bytes::EMPTY,
        journal: abi::Bytes::borrow(b"before"),
        keep: Some(keep),
        keep_ctx: std::ptr::null_mut(),
    };
    // SAFETY: the delivery is as large as it says, and its texts are static.
    let read = unsafe { read::delivery(&raw const delivery) };
    assert_eq!((read.step_record().as_str(), read.attempt()), ("before", 2));
    read.keep("now").expect("short");
    assert_eq!(read.step_record(), "now");
    assert_eq!(*KEPT.lock().expect("not poisoned"), "now");
    let long = "x".repeat(abi::JOURNAL_MAX + 1);
    assert!(read.keep(&long).is_err());
    assert_eq!(read.step_record(), "now");

    delivery.struct_size = u32::try_from(offset_of!(abi::Delivery, journal)).expect("small");
    // SAFETY: larger than it says.
    let read = unsafe { read::delivery(&raw const delivery) };
    assert_eq!((read.step_record().as_str(), read.id()), ("", "id"));
    read.keep("later").expect("short");
    assert_eq!(*KEPT.lock().expect("not poisoned"), "now", "nobody to tell");
}

/// Runs until it is told how, and shows when it was dropped.
struct Runner;

/// Set by the test that uses it, each with a name of its own.
static DROPPED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

struct Dropped(String);

impl Dropped {
    fn shown(name: &str) -> Self {
        let mut shown = DROPPED.lock().expect("not poisoned");
        shown.push(format!("start {name}"));
        Self(name.to_owned())
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        DROPPED
            .lock()
            .expect("not poisoned")
            .push(std::mem::take(&mut self.0));
    }
}

fn dropped(name: &str) -> bool {
    let dropped = DROPPED.lock().expect("not poisoned");
    dropped.iter().any(|one| one == name)
}

impl Sink for Runner {
    type Settings = ();
    type Parts = Self;
    const BATCH: usize = 3;

    fn prepare((): &(), _: &Host) -> Result<Self, Problems> {
        Ok(Self)
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let _shown = Dropped::shown(delivery.id());
        std::future::pending().await
    }

    async fn deliver_batch(&self, deliveries: &[Delivery]) -> Vec<Outcome> {
        let ids: Vec<_> = deliveries.iter().map(Delivery::id).collect();
        let _shown = Dropped::shown(&ids.join("+"));
        let place = |(at, id): (usize, &&str)| match *id {
            "bad" => Outcome::rejected("a bad one"),
            _ => Outcome::delivered(at.to_string()),
        };
        match ids[0] {
            "wait" => std::future::pending().await,
            "short" => vec![Outcome::duplicate()],
            "panic" => panic!("of the test"),
            "late" => {
                // Until the second was cancelled.
                while DROPPED
                    .lock()
                    .expect("not poisoned")
                    .iter()
                    .all(|one| one != "go")
                {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                ids.iter().enumerate().map(place).collect()
            }
            _ => ids.iter().enumerate().map(place).collect(),
        }
    }

    fn health(&self) -> Health {
        Health::Degraded("the token ends soon".to_owned())
    }
}

/// What a host was told: the attempt's number, kind, receipt and rule.
type Ended = std::sync::mpsc::Sender<(usize, OutcomeKind, String, String)>;

/// Where the attempts with numbers from this test are told.
static ENDED: std::sync::Mutex<Vec<(std::ops::Range<usize>, Ended)>> =
    std::sync::Mutex::new(Vec::new());

unsafe extern "C" fn ended(ctx: *mut c_void, outcome: *const abi::Outcome) {
    // SAFETY: valid until we return.
    let (kind, receipt, rule) = unsafe {
        let outcome = *outcome;
        (
            OutcomeKind::from_number(outcome.kind),
            read::text(outcome.receipt),
            read::text(outcome.rule),
        )
    };
    let tests = ENDED.lock().expect("not poisoned");
    let (_, test) = tests
        .iter()
        .find(|(numbers, _)| numbers.contains(&ctx.addr()))
        .expect("a number of a test");
    test.send((ctx.addr(), kind, receipt, rule)).expect("waits");
}

/// A host that starts attempts with the numbers from `first` on.
struct Attempts {
    sink: *mut c_void,
    first: usize,
    told: std::sync::mpsc::Receiver<(usize, OutcomeKind, String, String)>,
}

impl Attempts {
    fn new(first: usize) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let mut tests = ENDED.lock().expect("not poisoned");
        tests.push((first..first + 10, tell));
        let sink = std::sync::Arc::into_raw(std::sync::Arc::new(Runner));
        Self {
            sink: sink.cast_mut().cast(),
            first,
            told,
        }
    }

    fn ctx(&self, at: usize) -> *mut c_void {
        std::ptr::without_provenance_mut(self.first + at)
    }

    fn delivery(id: &'static str) -> abi::Delivery {
        abi::Delivery {
            struct_size: size_of::<abi::Delivery>(),
            attempt: 1,
            timeout_ms: 1000,
            id: abi::Bytes::borrow(id.as_bytes()),
            event: abi::Bytes::borrow(b"{}"),
            trace_id: abi::Bytes::EMPTY,
            journal: abi::Bytes::EMPTY,
            keep: None,
            keep_ctx: std::ptr::null_mut(),
        }
    }

    fn deliver(&self, at: usize, id: &'static str) {
        let delivery = Self::delivery(id);
        // SAFETY: copied before it returns, by our own side.
        unsafe { deliver::<Runner>(self.sink, &raw const delivery, ended, self.ctx(at)) };
    }

    fn deliver_batch(&self, ids: &[&'static str]) {
        // SAFETY: the id is static.
        let found =
            unsafe { get_extension::<Runner>(abi::Bytes::borrow(abi::BATCH_ID.as_bytes())) };
        // SAFETY: the type that belongs to the id.
        let batch = unsafe { *found.cast::<abi::Batch>() };
        assert_eq!(batch.max, 3);
        let deliveries: Vec<_> = ids.iter().map(|id| Self::delivery(id)).collect();
        let deliveries: Vec<*const _> = deliveries.iter().map(std::ptr::from_ref).collect();
        let ctxs: Vec<_> = (0..ids.len()).map(|at| self.ctx(at)).collect();
        // SAFETY: as above.
        unsafe {
            (batch.deliver_batch.expect("there"))(
                self.sink,
                deliveries.as_ptr(),
                ctxs.as_ptr(),
                ids.len(),
                ended,
            );
        }
    }

    fn cancel(&self, at: usize) {
        // SAFETY: the id is static, and the type belongs to it.
        unsafe {
            let found = get_extension::<Runner>(abi::Bytes::borrow(abi::CANCEL_ID.as_bytes()));
            ((*found.cast::<abi::Cancel>()).cancel.expect("there"))(self.sink, self.ctx(at));
        }
    }

    /// Waits until the library works on it.
    fn started(name: &str) {
        let ends = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !dropped(&format!("start {name}")) {
            assert!(std::time::Instant::now() < ends, "{name} never started");
            std::thread::yield_now();
        }
    }

    /// The next that ended, its number counted from the first.
    fn next(&self) -> (usize, OutcomeKind, String, String) {
        let wait = std::time::Duration::from_secs(60);
        let (number, kind, receipt, rule) = self.told.recv_timeout(wait).expect("ends");
        (number - self.first, kind, receipt, rule)
    }

    fn nothing_more(&self) {
        assert!(self.told.try_recv().is_err());
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        // SAFETY: from `into_raw` in `new`.
        drop(unsafe { std::sync::Arc::from_raw(self.sink.cast::<Runner>()) });
    }
}

#[test]
fn an_attempt_that_is_cancelled_is_dropped_and_completed_once() {
    let host = Attempts::new(100);
    host.deliver(0, "alone");
    Attempts::started("alone");
    host.cancel(7);
    host.nothing_more();
    assert!(!dropped("alone"));
    host.cancel(0);
    let (at, kind, _, rule) = host.next();
    assert_eq!(
        (at, kind, rule.as_str()),
        (0, OutcomeKind::Ambiguous, "cancelled")
    );
    assert!(dropped("alone"), "before it was completed");
    host.cancel(0);
    host.nothing_more();
}

#[test]
fn each_delivery_of_a_batch_gets_the_outcome_of_its_place() {
    let host = Attempts::new(200);
    host.deliver_batch(&["one", "bad", "three"]);
    let mut told = [host.next(), host.next(), host.next()];
    told.sort_by_key(|(at, ..)| *at);
    let told = told.map(|(at, kind, receipt, _)| (at, kind, receipt));
    let expected = [
        (0, OutcomeKind::Delivered, "0".to_owned()),
        (1, OutcomeKind::Rejected, String::new()),
        (2, OutcomeKind::Delivered, "2".to_owned()),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_batch_that_loses_outcomes_or_panics_leaves_nothing_open() {
    let host = Attempts::new(300);
    host.deliver_batch(&["short", "without"]);
    assert_eq!(host.next().1, OutcomeKind::Duplicate);
    assert_eq!(host.next().3, "plugin-contract");
    host.deliver_batch(&["panic", "other"]);
    assert_eq!(host.next().3, "panic");
    assert_eq!(host.next().3, "panic");
    host.nothing_more();
}

#[test]
fn a_cancelled_delivery_leaves_its_batch_and_the_last_one_ends_it() {
    let host = Attempts::new(400);
    host.deliver_batch(&["late", "two", "three"]);
    host.cancel(1);
    let (at, _, _, rule) = host.next();
    assert_eq!((at, rule.as_str()), (1, "cancelled"));
    drop(Dropped("go".to_owned()));
    let mut told = [host.next(), host.next()];
    told.sort_by_key(|(at, ..)| *at);
    let told = told.map(|(at, _, receipt, _)| (at, receipt));
    assert_eq!(told, [(0, "0".to_owned()), (2, "2".to_owned())]);

    host.deliver_batch(&["wait", "wait too"]);
    Attempts::started("wait+wait too");
    host.cancel(0);
    assert_eq!(host.next().3, "cancelled");
    assert!(!dropped("wait+wait too"), "one waits still");
    host.cancel(1);
    assert_eq!(host.next().3, "cancelled");
    assert!(dropped("wait+wait too"));
    host.nothing_more();
}

#[test]
fn a_sink_says_how_it_is_and_one_without_batches_has_none() {
    unsafe extern "C" fn say(ctx: *mut c_void, health: u32, why: abi::Bytes) {
        // SAFETY: `ctx` is the pair below, and the text is valid until we return.
        unsafe { *ctx.cast::<(u32, String)>() = (health, read::text(why)) };
    }
    let mut said = (0, String::new());
    // SAFETY: the id is static, the type belongs to it, and all lives until the call returns.
    unsafe {
        let found = get_extension::<Runner>(abi::Bytes::borrow(abi::HEALTH_ID.as_bytes()));
        let health = (*found.cast::<abi::Health>()).health.expect("there");
        let runner = Runner;
        health(
            std::ptr::from_ref(&runner).cast_mut().cast(),
            say,
            (&raw mut said).cast(),
        );
    }
    assert_eq!(
        said,
        (abi::HEALTH_DEGRADED, "the token ends soon".to_owned())
    );
    // SAFETY: the id is static.
    let none = unsafe { get_extension::<Walker>(abi::Bytes::borrow(abi::BATCH_ID.as_bytes())) };
    assert!(none.is_null());
}

#[test]
fn the_descriptor_says_what_the_package_says() {
    static EXPORT: super::Export = super::Export::new();
    let package = super::Package {
        version: "1.4.0",
        authors: "Ada:Bo",
        description: "Says every lead aloud",
        homepage: "",
        repository: "https://crier.example",
    };
    let at = EXPORT.descriptor::<Runner>("leadgate_plugin_crier", package);
    // SAFETY: static, and so are its texts.
    let (name, version, vendor, description, url) = unsafe {
        (
            read::text((*at).name),
            read::text((*at).version),
            read::text((*at).vendor),
            read::text((*at).description),
            read::text((*at).url),
        )
    };
    assert_eq!((name.as_str(), version.as_str()), ("crier", "1.4.0"));
    assert_eq!(
        (vendor.as_str(), description.as_str(), url.as_str()),
        ("Ada, Bo", "Says every lead aloud", "https://crier.example")
    );
}

#[test]
fn no_field_is_read_in_part() {
    let report = abi::Report {
        struct_size: 0,
        reserved: 0,
        ctx: std::ptr::dangling_mut(),
        problem: None,
        problem_at: Some(never),
    };
    for size in 0..std::mem::size_of::<abi::Report>() {
        let known = abi::Report {
            ctx: std::ptr::null_mut(),
            problem_at: None,
            ..report
        };
        // SAFETY: smaller than it is.
        let read = unsafe {
            super::read_up_to(
                &raw const report,
                u32::try_from(size).expect("small"),
                known,
            )
        };
        assert!(read.ctx.is_null() || read.ctx == report.ctx, "{size}");
        assert!(read.problem_at.is_none(), "{size}");
    }
}
