//! The export: the C side of a Rust [`Sink`], used by [`crate::export_sink!`].
//!
//! The one file of this crate with `unsafe`. It promises the host what `abi` demands: no
//! unwinding leaves it, every attempt is completed exactly once, borrowed bytes are copied
//! before the call that lent them ends.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;

use crate::delivery::Journal;
use crate::{
    Delivery, Host, Level, Outcome, Probe, Problem, Problems, Secret, Sink, State, Step, Stop, abi,
};

/// Threads of a library's runtime.
const WORKERS: usize = 2;

/// Exports a [`Sink`] as the plugin whose name follows `leadgate_plugin_`.
///
/// The version is that of the package that calls it.
#[macro_export]
macro_rules! export_sink {
    ($symbol:ident, $sink:ty) => {
        /// The plugin's descriptor, as the ABI asks for it.
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol() -> *const $crate::abi::Plugin {
            static EXPORT: $crate::export::Export = $crate::export::Export::new();
            EXPORT.descriptor::<$sink>(stringify!($symbol), env!("CARGO_PKG_VERSION"))
        }
    };
}

/// Holds a plugin's static descriptor.
pub struct Export(OnceLock<Descriptor>);

struct Descriptor {
    plugin: abi::Plugin,
    _schema: String,
}

// SAFETY: the pointers in `plugin` point to static text and to `_schema`, which never change.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Export {
    /// Not made yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The descriptor of `S`, made at the first call; null if `S` cannot even say its schema.
    pub fn descriptor<S: Sink>(
        &'static self,
        symbol: &'static str,
        version: &'static str,
    ) -> *const abi::Plugin {
        let made = catch_unwind(|| {
            self.0.get_or_init(|| {
                let name = symbol.strip_prefix(abi::SYMBOL_PREFIX).unwrap_or(symbol);
                let schema = serde_json::to_string(&settings_schema::<S>()).unwrap_or_default();
                let plugin = abi::Plugin {
                    magic: abi::MAGIC,
                    abi_major: abi::ABI_MAJOR,
                    abi_minor: abi::ABI_MINOR,
                    struct_size: size_of::<abi::Plugin>(),
                    flags: if S::BLOCKING { abi::FLAG_BLOCKING } else { 0 },
                    name: abi::Bytes::borrow(name.as_bytes()),
                    version: abi::Bytes::borrow(version.as_bytes()),
                    settings_schema: abi::Bytes::borrow(schema.as_bytes()),
                    check: Some(check::<S>),
                    create: Some(create::<S>),
                    deliver: Some(deliver::<S>),
                    render: Some(render::<S>),
                    destroy: Some(destroy::<S>),
                    get_extension: Some(get_extension::<S>),
                };
                Descriptor {
                    plugin,
                    _schema: schema,
                }
            })
        });
        made.map_or(std::ptr::null(), |descriptor| &raw const descriptor.plugin)
    }
}

/// Without references, so that it can be put into a larger schema.
fn settings_schema<S: Sink>() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    });
    settings
        .into_generator()
        .into_root_schema_for::<S::Settings>()
}

impl Default for Export {
    fn default() -> Self {
        Self::new()
    }
}

/// The host's functions, for as long as a sink lives.
#[derive(Clone, Copy, Debug)]
pub struct HostHandle(abi::Host);

// SAFETY: the ABI allows host functions from any thread, and `ctx` is only passed back.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    /// What the host keeps for the sink, if it does.
    pub(crate) fn state(self) -> Option<State> {
        let get_extension = self.0.get_extension?;
        // SAFETY: the id lives until the call returns, and `ctx` is the host's own.
        let found =
            unsafe { get_extension(self.0.ctx, abi::Bytes::borrow(abi::STATE_ID.as_bytes())) };
        if found.is_null() {
            return None;
        }
        // SAFETY: a static struct of the type that belongs to the id.
        let state = unsafe { read_state(found.cast()) };
        let (get, set) = (state.get?, state.set?);
        let ctx = self.0.ctx;
        Some(State::of_host(StateHandle { get, set, ctx }))
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: &str) {
        let level = match level {
            Level::Error => abi::LOG_ERROR,
            Level::Warn => abi::LOG_WARN,
            Level::Info => abi::LOG_INFO,
            Level::Debug => abi::LOG_DEBUG,
        };
        if let Some(log) = self.0.log {
            // SAFETY: the bytes live until `log` returns, and `ctx` is the host's own.
            unsafe {
                log(
                    self.0.ctx,
                    level,
                    abi::Bytes::borrow(message.as_bytes()),
                    abi::Bytes::borrow(fields.as_bytes()),
                );
            }
        }
    }
}

type StateGet = unsafe extern "C" fn(*mut c_void, abi::Bytes, abi::TextFn, *mut c_void) -> i32;
type StateSet = unsafe extern "C" fn(*mut c_void, abi::Bytes, abi::Bytes) -> i32;

/// What the host keeps for a sink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateHandle {
    get: StateGet,
    set: StateSet,
    ctx: *mut c_void,
}

// SAFETY: the ABI allows both functions from any thread, and `ctx` is only passed back.
unsafe impl Send for StateHandle {}
// SAFETY: as above.
unsafe impl Sync for StateHandle {}

impl StateHandle {
    pub(crate) fn get(self, key: &str) -> Option<Secret> {
        unsafe extern "C" fn take(ctx: *mut c_void, value: abi::Bytes) {
            // SAFETY: `ctx` is `taken` below, and the bytes are valid until we return.
            let (into, value) = unsafe { (&mut *ctx.cast::<Option<Secret>>(), bytes(value)) };
            *into = std::str::from_utf8(value).ok().map(Secret::new);
        }
        let mut taken: Option<Secret> = None;
        let key = abi::Bytes::borrow(key.as_bytes());
        // SAFETY: all of it lives until `get` returns.
        let code = unsafe { (self.get)(self.ctx, key, take, (&raw mut taken).cast()) };
        taken.filter(|_| code == abi::OK)
    }

    pub(crate) fn set(self, key: &str, value: &Secret) -> bool {
        let key = abi::Bytes::borrow(key.as_bytes());
        let value = abi::Bytes::borrow(value.expose().as_bytes());
        // SAFETY: both live until `set` returns.
        (unsafe { (self.set)(self.ctx, key, value) }) == abi::OK
    }
}

unsafe extern "C" fn get_extension<S: Sink>(id: abi::Bytes) -> *const c_void {
    // SAFETY: valid until we return.
    if unsafe { bytes(id) } != abi::CONNECT_ID.as_bytes() {
        return std::ptr::null();
    }
    let extension: &'static abi::Connect = const {
        &abi::Connect {
            struct_size: size_of::<abi::Connect>(),
            reserved: 0,
            connect: Some(connect::<S>),
        }
    };
    std::ptr::from_ref(extension).cast()
}

/// Where the host is told of steps.
struct Teller {
    step: abi::StepFn,
    ctx: *mut c_void,
}

// SAFETY: used only while `connect` runs, which the host waits for; the ABI allows any thread.
unsafe impl Send for Teller {}
// SAFETY: as above; the host takes one step at a time, and a walk tells one at a time.
unsafe impl Sync for Teller {}

impl Teller {
    fn tell(&self, step: &Step) {
        let bytes = |text: &str| abi::Bytes::borrow(text.as_bytes());
        let told = abi::Step {
            struct_size: size_of::<abi::Step>(),
            result: if step.ok { abi::OK } else { abi::FAILED },
            took_ms: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
            name: bytes(&step.name),
            note: bytes(&step.note),
        };
        // SAFETY: everything lives until the call returns.
        unsafe { (self.step)(self.ctx, &raw const told) };
    }
}

unsafe extern "C" fn connect<S: Sink>(
    sink: *mut c_void,
    timeout_ms: u64,
    step: abi::StepFn,
    ctx: *mut c_void,
) -> i32 {
    let teller = Teller { step, ctx };
    let walked = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the sink is alive until we return.
        let sink = unsafe { &*sink.cast::<S>() };
        let patience = Duration::from_millis(timeout_ms);
        let probe = Probe::new(patience, Box::new(move |step| teller.tell(step)));
        let runtime = runtime().map_err(|_| Stop::Failed)?;
        runtime.block_on(sink.connect(&probe))
    }));
    match walked {
        Ok(Ok(())) => abi::OK,
        Ok(Err(Stop::Failed)) => abi::FAILED,
        Ok(Err(Stop::Unsupported)) => abi::UNSUPPORTED,
        Err(_) => abi::PANICKED,
    }
}

unsafe extern "C" fn check<S: Sink>(config: *const abi::Config, report: *const abi::Report) -> i32 {
    // SAFETY: both live until we return, by the contract of `check`.
    let (config, report) = unsafe { (read_config(config), read_report(report)) };
    guarded(&report, || {
        let (settings, host) = understood::<S>(&config, None)?;
        S::check(&settings, &host).or(())
    })
    .err()
    .unwrap_or(abi::OK)
}

unsafe extern "C" fn create<S: Sink>(
    config: *const abi::Config,
    host: *const abi::Host,
    report: *const abi::Report,
    sink: *mut *mut c_void,
) -> i32 {
    // SAFETY: all live until we return, by the contract of `create`.
    let (config, host, report) =
        unsafe { (read_config(config), read_host(host), read_report(report)) };
    let made = guarded(&report, || {
        let (settings, host) = understood::<S>(&config, Some(HostHandle(host)))?;
        S::new(settings, host)
    });
    match made {
        Ok(made) => {
            // SAFETY: `sink` is valid for one write. `destroy` takes the pointer back.
            unsafe { *sink = Arc::into_raw(Arc::new(made)).cast_mut().cast() };
            abi::OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn deliver<S: Sink>(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    done: abi::DoneFn,
    ctx: *mut c_void,
) {
    let done = Done { done, ctx };
    let started = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `sink` came from `create` and is destroyed after all attempts are done, so
        // it is alive; the clone keeps it so for the attempt.
        let sink = unsafe {
            Arc::increment_strong_count(sink.cast::<S>());
            Arc::from_raw(sink.cast::<S>())
        };
        // SAFETY: lives until `done`; it is copied here.
        let delivery = unsafe { read_delivery(delivery) };
        let runtime = runtime().map_err(|error| error.to_string())?;
        let attempt = async move {
            let caught = AssertUnwindSafe(sink.deliver(&delivery))
                .catch_unwind()
                .await;
            // Before `done`: the host may destroy the sink right after it.
            drop(sink);
            caught.unwrap_or_else(|_| panicked())
        };
        Ok::<_, String>((runtime, attempt))
    }));
    match started {
        Ok(Ok((runtime, attempt))) if S::BLOCKING => {
            let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(attempt)));
            done.call(&outcome.unwrap_or_else(|_| panicked()));
        }
        Ok(Ok((runtime, attempt))) => start(runtime, attempt, done),
        Ok(Err(why)) => done.call(&Outcome::retry(None, why).rule("runtime")),
        Err(_) => done.call(&panicked()),
    }
}

fn start(
    runtime: &tokio::runtime::Runtime,
    attempt: impl Future<Output = Outcome> + Send + 'static,
    done: Done,
) {
    runtime.spawn(async move {
        let outcome = attempt.await;
        done.call(&outcome);
    });
}

unsafe extern "C" fn render<S: Sink>(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    text: abi::TextFn,
    ctx: *mut c_void,
) -> i32 {
    let say = |message: &str| {
        // SAFETY: the text lives until `text` returns, and `ctx` is the host's own.
        unsafe { text(ctx, abi::Bytes::borrow(message.as_bytes())) };
    };
    let rendered = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the sink is alive and the delivery lives until we return.
        let (sink, delivery) = unsafe { (&*sink.cast::<S>(), read_delivery(delivery)) };
        sink.render(&delivery)
    }));
    match rendered {
        Ok(Ok(Some(rendered))) => {
            say(&rendered);
            abi::OK
        }
        Ok(Ok(None)) => {
            say("this plugin cannot show what it sends");
            abi::FAILED
        }
        Ok(Err(problem)) => {
            say(&problem.to_string());
            abi::FAILED
        }
        Err(_) => abi::PANICKED,
    }
}

unsafe extern "C" fn destroy<S: Sink>(sink: *mut c_void) {
    // A sink whose drop panics is leaked: nothing may unwind into the host.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `sink` came from `create` and is not used again.
        drop(unsafe { Arc::from_raw(sink.cast::<S>()) });
    }));
}

/// Runs `body`, reports its problems, and gives the code for the host.
fn guarded<T>(report: &abi::Report, body: impl FnOnce() -> Result<T, Problems>) -> Result<T, i32> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(problems)) => {
            for problem in problems {
                say(report, &problem);
            }
            Err(abi::FAILED)
        }
        Err(_) => Err(abi::PANICKED),
    }
}

fn say(report: &abi::Report, problem: &Problem) {
    let bytes = |text: &str| abi::Bytes {
        ptr: text.as_ptr(),
        len: text.len(),
    };
    let message = crate::problem::both(&problem.message, &problem.chinese.message);
    let help = crate::problem::both(&problem.help, &problem.chinese.help);
    let (path, message, help) = (bytes(&problem.path), bytes(&message), bytes(&help));
    match (&problem.range, report.problem_at, report.problem) {
        (Some(range), Some(problem_at), _) => {
            let (start, end) = (range.start as u64, range.end as u64);
            // SAFETY: the texts live until `problem_at` returns; `ctx` is the host's own.
            unsafe { problem_at(report.ctx, path, start, end, message, help) };
        }
        (_, _, Some(problem)) => {
            // SAFETY: as above.
            unsafe { problem(report.ctx, path, message, help) };
        }
        (_, _, None) => {}
    }
}

/// The report of a host that may know fewer fields: those are null.
///
/// # Safety
///
/// `report` points to a report of the size that it says.
unsafe fn read_report(report: *const abi::Report) -> abi::Report {
    let known = abi::Report {
        struct_size: 0,
        reserved: 0,
        ctx: std::ptr::null_mut(),
        problem: None,
        problem_at: None,
    };
    // SAFETY: by the function's contract; the size comes first in every version.
    unsafe { read_up_to(report, (&raw const (*report).struct_size).read(), known) }
}

/// The host, which may know fewer functions: those are null.
///
/// # Safety
///
/// `host` points to a host of the size that it says.
unsafe fn read_host(host: *const abi::Host) -> abi::Host {
    let known = abi::Host {
        struct_size: 0,
        abi_minor: 0,
        ctx: std::ptr::null_mut(),
        log: None,
        get_extension: None,
    };
    // SAFETY: as in `read_report`.
    unsafe { read_up_to(host, (&raw const (*host).struct_size).read(), known) }
}

/// The configuration of a host that may know fewer fields: those are empty.
///
/// # Safety
///
/// `config` points to a configuration of the size that it says.
unsafe fn read_config(config: *const abi::Config) -> abi::Config {
    let known = abi::Config {
        struct_size: 0,
        reserved: 0,
        sink: abi::Bytes::EMPTY,
        settings: abi::Bytes::EMPTY,
        tables: abi::Bytes::EMPTY,
    };
    // SAFETY: as in `read_report`.
    unsafe { read_up_to(config, (&raw const (*config).struct_size).read(), known) }
}

/// The host's functions that keep something; those that it does not have are null.
///
/// # Safety
///
/// `state` points to a state of the size that it says.
unsafe fn read_state(state: *const abi::State) -> abi::State {
    let known = abi::State {
        struct_size: 0,
        reserved: 0,
        get: None,
        set: None,
    };
    // SAFETY: as in `read_report`.
    unsafe { read_up_to(state, (&raw const (*state).struct_size).read(), known) }
}

/// A struct of the other side, which may be of another minor version: what it says to have is
/// copied over `known`, and no more than we know.
///
/// # Safety
///
/// `size` bytes are valid at `at`, and every field of `T` is valid for whatever the other side
/// put there, as it is in the structs of [`abi`].
pub unsafe fn read_up_to<T: Copy>(at: *const T, size: u32, mut known: T) -> T {
    let size = (size as usize).min(std::mem::size_of::<T>());
    // SAFETY: by the function's contract; no more than ours are written.
    unsafe {
        std::ptr::copy_nonoverlapping(at.cast::<u8>(), (&raw mut known).cast::<u8>(), size);
    }
    known
}

fn understood<S: Sink>(
    config: &abi::Config,
    handle: Option<HostHandle>,
) -> Result<(S::Settings, Host), Problems> {
    // SAFETY: the texts live until the call that lent `config` returns.
    let (sink, settings, tables) = unsafe {
        (
            text(config.sink),
            bytes(config.settings),
            bytes(config.tables),
        )
    };
    let settings =
        serde_json::from_slice(settings).map_err(|error| Problem::at("", error.to_string()))?;
    let tables = serde_json::from_slice(tables).unwrap_or_default();
    Ok((settings, Host::new(sink, tables, handle)))
}

/// The delivery of a host that may know fewer fields: those are empty.
///
/// # Safety
///
/// `delivery` points to a delivery of the size that it says, and what it borrows is valid.
unsafe fn read_delivery(delivery: *const abi::Delivery) -> Delivery {
    let known = abi::Delivery {
        struct_size: 0,
        attempt: 0,
        timeout_ms: 0,
        id: abi::Bytes::EMPTY,
        event: abi::Bytes::EMPTY,
        trace_id: abi::Bytes::EMPTY,
        journal: abi::Bytes::EMPTY,
        keep: None,
        keep_ctx: std::ptr::null_mut(),
    };
    // SAFETY: as in `read_report`.
    let delivery =
        unsafe { read_up_to(delivery, (&raw const (*delivery).struct_size).read(), known) };
    let keeper = Keeper(delivery.keep.map(|keep| (keep, delivery.keep_ctx)));
    // SAFETY: by the function's contract.
    unsafe {
        Delivery {
            id: text(delivery.id),
            attempt: delivery.attempt,
            timeout: Duration::from_millis(delivery.timeout_ms),
            trace_id: text(delivery.trace_id),
            event: bytes(delivery.event).to_vec(),
            journal: Journal::new(text(delivery.journal), keeper),
        }
    }
}

/// # Safety
///
/// `bytes` is empty or valid for as long as the result is used.
unsafe fn bytes<'a>(bytes: abi::Bytes) -> &'a [u8] {
    if bytes.ptr.is_null() || bytes.len == 0 {
        return &[];
    }
    // SAFETY: by the function's contract.
    unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) }
}

/// # Safety
///
/// As [`bytes`].
unsafe fn text(from: abi::Bytes) -> String {
    // SAFETY: by the function's contract.
    String::from_utf8_lossy(unsafe { bytes(from) }).into_owned()
}

type KeepFn = unsafe extern "C" fn(ctx: *mut c_void, journal: abi::Bytes);

/// The host's function that keeps a journal; none in a test, or of an older host.
#[derive(Clone, Copy, Default)]
pub(crate) struct Keeper(Option<(KeepFn, *mut c_void)>);

// SAFETY: the ABI allows `keep` from any thread, and `ctx` is only passed back.
unsafe impl Send for Keeper {}
// SAFETY: as above.
unsafe impl Sync for Keeper {}

impl Keeper {
    pub(crate) fn keep(self, journal: &str) {
        if let Some((keep, ctx)) = self.0 {
            // SAFETY: the bytes live until `keep` returns; after `done` it changes nothing.
            unsafe { keep(ctx, abi::Bytes::borrow(journal.as_bytes())) };
        }
    }
}

/// The completion of one attempt. Consumed by its one use.
struct Done {
    done: abi::DoneFn,
    ctx: *mut c_void,
}

// SAFETY: the ABI allows completing from any thread.
unsafe impl Send for Done {}

impl Done {
    fn call(self, outcome: &Outcome) {
        let bytes = |text: &str| abi::Bytes {
            ptr: text.as_ptr(),
            len: text.len(),
        };
        let outcome = abi::Outcome {
            struct_size: size_of::<abi::Outcome>(),
            kind: outcome.kind.number(),
            retry_after_ms: outcome.retry_after.map_or(-1, |after| {
                i64::try_from(after.as_millis()).unwrap_or(i64::MAX)
            }),
            receipt: bytes(&outcome.receipt),
            reason: bytes(&outcome.reason),
            rule: bytes(&outcome.rule),
            request: bytes(&outcome.request),
            response: bytes(&outcome.response),
        };
        // SAFETY: everything lives until `done` returns; `self` is consumed, so it is called once.
        unsafe { (self.done)(self.ctx, &raw const outcome) };
    }
}

fn panicked() -> Outcome {
    Outcome::ambiguous("the plugin panicked").rule("panic")
}

/// The runtime of this library: one for all of its sinks, made at the first attempt.
fn runtime() -> std::io::Result<&'static tokio::runtime::Runtime> {
    static RUNTIME: OnceLock<std::io::Result<tokio::runtime::Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .thread_name("leadgate-plugin")
                .enable_all()
                .build()
        })
        .as_ref()
        .map_err(|error| std::io::Error::new(error.kind(), error.to_string()))
}

/// The size of an ABI struct, as the structs say it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "ABI structs are small, checked when this is compiled"
)]
const fn size_of<T>() -> u32 {
    let size = std::mem::size_of::<T>();
    assert!(size < 1 << 16, "ABI structs are small");
    size as u32
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

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
        let read = unsafe { read_report(&raw const report) };
        assert!(read.problem_at.is_some() && read.ctx == report.ctx);
        report.struct_size = u32::try_from(offset_of!(abi::Report, problem_at)).expect("small");
        // SAFETY: larger than it says.
        let read = unsafe { read_report(&raw const report) };
        assert!(read.problem_at.is_none() && read.ctx == report.ctx);
        report.struct_size = u32::MAX;
        // SAFETY: no more than our own size is read of a larger one.
        let read = unsafe { read_report(&raw const report) };
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
            let read = unsafe { read_host(&raw const host) };
            assert_eq!(read.get_extension.is_some(), known, "{size}");
            assert_eq!(read.ctx, host.ctx);
        }
        host.struct_size = u32::try_from(offset_of!(abi::Host, get_extension)).expect("small");
        // SAFETY: as above.
        let older = HostHandle(unsafe { read_host(&raw const host) });
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
            let read = unsafe { read_config(&raw const config) };
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
        if unsafe { bytes(key) } != b"token" || kept.is_empty() {
            return abi::FAILED;
        }
        // SAFETY: as above.
        unsafe { value(ctx, abi::Bytes::borrow(&kept)) };
        abi::OK
    }

    unsafe extern "C" fn state_set(_: *mut c_void, _: abi::Bytes, value: abi::Bytes) -> i32 {
        // SAFETY: valid until we return.
        *VALUE.lock().expect("not poisoned") = unsafe { bytes(value) }.to_vec();
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
        if unsafe { bytes(id) } == abi::STATE_ID.as_bytes() {
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

        fn new((): (), _: Host) -> Result<Self, Problems> {
            Ok(Self)
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
            told.0
                .push((text(told.1.name), told.1.result, text(told.1.note)));
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

    unsafe extern "C" fn keep(_: *mut c_void, journal: abi::Bytes) {
        // SAFETY: valid until we return.
        *KEPT.lock().expect("not poisoned") = unsafe { text(journal) };
    }

    #[test]
    fn a_journal_is_kept_where_the_host_knows_of_journals() {
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
        let read = unsafe { read_delivery(&raw const delivery) };
        assert_eq!((read.journal().as_str(), read.attempt()), ("before", 2));
        read.keep("now").expect("short");
        assert_eq!(read.journal(), "now");
        assert_eq!(*KEPT.lock().expect("not poisoned"), "now");
        let long = "x".repeat(abi::JOURNAL_MAX + 1);
        assert!(read.keep(&long).is_err());
        assert_eq!(read.journal(), "now");

        delivery.struct_size = u32::try_from(offset_of!(abi::Delivery, journal)).expect("small");
        // SAFETY: larger than it says.
        let read = unsafe { read_delivery(&raw const delivery) };
        assert_eq!((read.journal().as_str(), read.id()), ("", "id"));
        read.keep("later").expect("short");
        assert_eq!(*KEPT.lock().expect("not poisoned"), "now", "nobody to tell");
    }
}
