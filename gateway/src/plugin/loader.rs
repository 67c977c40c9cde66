//! The loader: the one place where the gateway speaks the C ABI.
//!
//! Negotiation: magic and major must match; a struct of an older minor is read up to its own
//! size. Everything a plugin hands over is copied before it is looked at, cut to its limit,
//! and made valid UTF-8. A plugin that completes an attempt twice is logged, not believed.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leadgate_plugin::export::read_up_to;
use leadgate_plugin::{Secret, abi};
use serde_json::Value;
use tokio::sync::oneshot;

use super::calls::{Calls, Open};
use super::file::Held;
use super::mask::Masks;
use super::{Call, Connected, LoadError, Outcome, OutcomeKind, Own, SinkConfig, SinkState, Step};
use crate::config::Problem;

/// Attempts that a sink may leave uncompleted after their timeout before it gets no more.
const ABANDONED: isize = 64;

/// A plugin that fits this gateway.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    version: String,
    abi_minor: u32,
    schema: Value,
    blocking: bool,
    library: bool,
    functions: Functions,
}

#[derive(Clone, Copy)]
struct Functions {
    check: Option<unsafe extern "C" fn(*const abi::Config, *const abi::Report) -> i32>,
    create: unsafe extern "C" fn(
        *const abi::Config,
        *const abi::Host,
        *const abi::Report,
        *mut *mut c_void,
    ) -> i32,
    deliver: unsafe extern "C" fn(*mut c_void, *const abi::Delivery, abi::DoneFn, *mut c_void),
    render: Option<
        unsafe extern "C" fn(*mut c_void, *const abi::Delivery, abi::TextFn, *mut c_void) -> i32,
    >,
    destroy: unsafe extern "C" fn(*mut c_void),
    connect: Option<unsafe extern "C" fn(*mut c_void, u64, abi::StepFn, *mut c_void) -> i32>,
}

/// The plugins linked into this binary.
pub(super) fn linked() -> Result<Vec<Plugin>, LoadError> {
    let linked: &[(&str, abi::DescriptorFn)] = &[
        ("http", leadgate_sink_http::leadgate_plugin_http),
        ("file", leadgate_sink_file::leadgate_plugin_file),
        ("email", leadgate_sink_email::leadgate_plugin_email),
        #[cfg(feature = "nats")]
        ("nats", leadgate_sink_nats::leadgate_plugin_nats),
        #[cfg(feature = "amqp")]
        ("amqp", leadgate_sink_amqp::leadgate_plugin_amqp),
        #[cfg(feature = "kafka")]
        ("kafka", leadgate_sink_kafka::leadgate_plugin_kafka),
        #[cfg(feature = "sql")]
        ("sql", leadgate_sink_sql::leadgate_plugin_sql),
    ];
    let plugins = linked.iter().map(|(name, descriptor)| {
        // SAFETY: the function is one of ours, takes nothing, and gives a static descriptor.
        unsafe { describe(name, descriptor(), false) }
    });
    plugins.collect()
}

/// Loads a library for good.
pub(super) fn open(name: &str, held: Held) -> Result<Plugin, LoadError> {
    let place = held.place();
    // SAFETY: loading runs the library's initialisers. The merchant named this file in the
    // configuration. What is loaded is the descriptor that was looked at: only root and we can
    // change that file, and its hash was compared if one was given.
    let library = unsafe { libloading::Library::new(&place) };
    let library = library.map_err(|error| LoadError::Open {
        path: held.path().to_owned(),
        why: reason(&error, &place, held.path()),
    })?;
    let path = held.path().to_owned();
    held.keep();
    // Never unloaded: its threads and our function pointers live as long as the process.
    let library = Box::leak(Box::new(library));
    let symbol = format!("{}{}", abi::SYMBOL_PREFIX, name.replace('-', "_"));
    // SAFETY: the contract of a symbol with this prefix is `abi::DescriptorFn`.
    let descriptor =
        unsafe { library.get::<abi::DescriptorFn>(symbol.as_bytes()) }.map_err(|_| {
            LoadError::Symbol {
                path: path.clone(),
                symbol: symbol.clone(),
                name: name.to_owned(),
            }
        })?;
    // SAFETY: called as the contract says; what it points to is static. A library from
    // outside may block in `deliver` whatever it says, so it is called from the blocking pool.
    unsafe { describe(name, descriptor(), true) }
}

/// What the linker says, of the file by the name that people know.
fn reason(error: &libloading::Error, place: &Path, path: &Path) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        source = cause.source();
    }
    let place = place.display().to_string();
    let said = said.replace(&format!("{place}: "), "");
    said.replace(&place, &path.display().to_string())
}

/// Reads a descriptor.
///
/// # Safety
///
/// `at` is null or points to a static descriptor of at least `struct_size` bytes, or of at
/// least its first five fields if those do not match.
unsafe fn describe(name: &str, at: *const abi::Plugin, foreign: bool) -> Result<Plugin, LoadError> {
    let unfit = |why: String| LoadError::Unfit {
        name: name.to_owned(),
        why,
    };
    if at.is_null() {
        return Err(unfit("its descriptor is null".to_owned()));
    }
    // SAFETY: the first five fields are there by the function's contract; fields are read one
    // by one, because the rest of the struct may not be.
    let (magic, major, minor, size, flags) = unsafe {
        (
            (*at).magic,
            (*at).abi_major,
            (*at).abi_minor,
            (*at).struct_size as usize,
            (*at).flags,
        )
    };
    if magic != abi::MAGIC {
        return Err(unfit(format!(
            "its descriptor does not begin with the leadgate magic number {:#018x}, but with {magic:#018x}",
            abi::MAGIC
        )));
    }
    if major != abi::ABI_MAJOR {
        return Err(unfit(format!(
            "it was built for plugin ABI {major}.{minor}, this leadgate speaks {}.{}; rebuild it against this leadgate's header",
            abi::ABI_MAJOR,
            abi::ABI_MINOR
        )));
    }
    if size < FIRST {
        return Err(unfit(format!(
            "its descriptor has {size} bytes, ABI 1.0 needs {FIRST}: it lacks {}",
            lacking(size)
        )));
    }
    // SAFETY: the plugin says that it has so many bytes; what an older one lacks stays null.
    let plugin = unsafe { read_up_to(at, (*at).struct_size, NOTHING) };
    // SAFETY: static bytes by the contract of the descriptor.
    let (own_name, version, schema) = unsafe {
        (
            text(plugin.name, 128),
            text(plugin.version, 128),
            text(plugin.settings_schema, 1 << 20),
        )
    };
    if own_name != name.replace('-', "_") {
        return Err(unfit(format!(
            "its descriptor says that its name is `{own_name}`"
        )));
    }
    let schema = serde_json::from_str(&schema)
        .map_err(|error| unfit(format!("its settings schema is not JSON: {error}")))?;
    let missing = |function: &str| unfit(format!("its descriptor has no `{function}` function"));
    Ok(Plugin {
        name: name.to_owned(),
        version,
        abi_minor: minor,
        schema,
        library: foreign,
        blocking: foreign || flags & abi::FLAG_BLOCKING != 0,
        functions: Functions {
            check: plugin.check,
            create: plugin.create.ok_or_else(|| missing("create"))?,
            deliver: plugin.deliver.ok_or_else(|| missing("deliver"))?,
            render: plugin.render,
            destroy: plugin.destroy.ok_or_else(|| missing("destroy"))?,
            // SAFETY: the plugin's own function, asked as the ABI says.
            connect: plugin
                .get_extension
                .and_then(|get_extension| unsafe { connect_of(get_extension) }),
        },
    })
}

/// Bytes of the descriptor in ABI 1.0 to 1.2.
const FIRST: usize = offset_of!(abi::Plugin, get_extension);

/// A descriptor of which nothing is known.
const NOTHING: abi::Plugin = abi::Plugin {
    magic: 0,
    abi_major: 0,
    abi_minor: 0,
    struct_size: 0,
    flags: 0,
    name: abi::Bytes::EMPTY,
    version: abi::Bytes::EMPTY,
    settings_schema: abi::Bytes::EMPTY,
    check: None,
    create: None,
    deliver: None,
    render: None,
    destroy: None,
    get_extension: None,
};

/// The fields of ABI 1.0 that do not fit into `size` bytes.
fn lacking(size: usize) -> String {
    let ends = [
        ("name", offset_of!(abi::Plugin, version)),
        ("version", offset_of!(abi::Plugin, settings_schema)),
        ("settings_schema", offset_of!(abi::Plugin, check)),
        ("check", offset_of!(abi::Plugin, create)),
        ("create", offset_of!(abi::Plugin, deliver)),
        ("deliver", offset_of!(abi::Plugin, render)),
        ("render", offset_of!(abi::Plugin, destroy)),
        ("destroy", FIRST),
    ];
    let lacking = ends.iter().filter(|(_, end)| *end > size);
    lacking
        .map(|(name, _)| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The plugin's way to try a connection, if it has one.
///
/// # Safety
///
/// `get_extension` is that of a descriptor.
unsafe fn connect_of(
    get_extension: unsafe extern "C" fn(abi::Bytes) -> *const c_void,
) -> Option<unsafe extern "C" fn(*mut c_void, u64, abi::StepFn, *mut c_void) -> i32> {
    // SAFETY: by the function's contract; the id is static.
    let found = unsafe { get_extension(abi::Bytes::borrow(abi::CONNECT_ID.as_bytes())) };
    if found.is_null() {
        return None;
    }
    let at = found.cast::<abi::Connect>();
    let known = abi::Connect {
        struct_size: 0,
        reserved: 0,
        connect: None,
    };
    // SAFETY: a static struct of the type that belongs to the id, of the size that it says.
    unsafe { read_up_to(at, (&raw const (*at).struct_size).read(), known) }.connect
}

impl Plugin {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The ABI it was built for, e.g. `1.0`.
    pub fn abi(&self) -> String {
        format!("{}.{}", abi::ABI_MAJOR, self.abi_minor)
    }

    /// Whether its code came from a library, and is not linked in.
    pub fn is_library(&self) -> bool {
        self.library
    }

    /// JSON Schema of its settings.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// What is wrong with these settings beyond the schema; nothing is opened.
    pub fn check(&self, sink: &SinkConfig<'_>) -> Vec<Problem> {
        let Some(check) = self.functions.check else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        let lent = LentConfig::new(sink);
        let report = report(&mut problems);
        // SAFETY: all pointers live until `check` returns.
        let code = unsafe { check(&raw const lent.config, &raw const report) };
        if code != abi::OK && problems.is_empty() {
            problems.push(unexplained(code, "settings were refused without a reason"));
        }
        problems
    }

    /// Makes a sink for a look: it keeps nothing from one run to the next.
    pub fn create(&self, sink: &SinkConfig<'_>) -> Result<Sink, Vec<Problem>> {
        self.create_with(sink, None)
    }

    /// Makes a sink, with where it keeps what it must know in the next run.
    pub fn create_with(
        &self,
        sink: &SinkConfig<'_>,
        state: Option<Arc<dyn SinkState>>,
    ) -> Result<Sink, Vec<Problem>> {
        let mut problems = Vec::new();
        let lent = LentConfig::new(sink);
        let report = report(&mut problems);
        // Lives as long as the process, as the ABI promises: one small box for each sink made.
        let origin: &'static Origin = Box::leak(Box::new(Origin {
            sink: sink.name.to_owned(),
            plugin: self.name.clone(),
            state,
            masks: OnceLock::new(),
        }));
        let host = abi::Host {
            struct_size: size_of::<abi::Host>(),
            abi_minor: abi::ABI_MINOR,
            ctx: std::ptr::from_ref(origin).cast_mut().cast(),
            log: Some(log),
            get_extension: Some(get_extension),
        };
        let mut made = std::ptr::null_mut();
        // SAFETY: config and report live until `create` returns; the host struct is copied by
        // the plugin or used only during the call, what it points to is static.
        let code = unsafe {
            (self.functions.create)(
                &raw const lent.config,
                &raw const host,
                &raw const report,
                &raw mut made,
            )
        };
        if code != abi::OK {
            if problems.is_empty() {
                problems.push(unexplained(
                    code,
                    "the plugin could not make the sink and gave no reason",
                ));
            }
            return Err(problems);
        }
        let instance = Instance {
            at: made,
            functions: self.functions,
            abandoned: AtomicIsize::new(0),
        };
        Ok(Sink {
            instance: Arc::new(instance),
            blocking: self.blocking,
            origin,
            masks: Arc::default(),
        })
    }
}

/// One configured instance of a plugin. Clones are the same instance.
#[derive(Clone)]
pub struct Sink {
    instance: Arc<Instance>,
    blocking: bool,
    origin: &'static Origin,
    masks: Arc<Masks>,
}

struct Instance {
    at: *mut c_void,
    functions: Functions,
    /// Attempts that timed out and that the plugin has not completed since.
    abandoned: AtomicIsize,
}

// SAFETY: the ABI demands that a sink may be used from any thread, several at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: every open call holds a reference, so all attempts are done.
        unsafe { (self.functions.destroy)(self.at) }
    }
}

/// What a plugin borrows during an attempt, on the heap: the plugin has its address, so it is
/// never moved again.
struct Loan(*mut Lent);

// SAFETY: the one owner of what it points to, which may go from thread to thread.
unsafe impl Send for Loan {}

impl Loan {
    /// `number` is that of the attempt, and 0 for a look.
    fn new(call: Call, number: u64, instance: Arc<Instance>) -> Self {
        Self(Box::into_raw(Box::new(Lent::new(call, number, instance))))
    }

    fn lent(&self) -> &Lent {
        // SAFETY: made by `new` and freed only by `drop`; nobody changes it.
        unsafe { &*self.0 }
    }

    fn delivery(&self) -> *const abi::Delivery {
        // SAFETY: as above; no reference is made, so the plugin may read through it for as
        // long as the loan lasts.
        unsafe { &raw const (*self.0).delivery }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// `delivery` points into `call`.
struct Lent {
    delivery: abi::Delivery,
    call: Call,
    instance: Arc<Instance>,
}

// SAFETY: the pointers point into `call`, which is never changed and moves with its heap
// buffers in place.
unsafe impl Send for Lent {}

impl Lent {
    fn new(call: Call, number: u64, instance: Arc<Instance>) -> Self {
        let delivery = abi::Delivery {
            struct_size: size_of::<abi::Delivery>(),
            attempt: call.attempt,
            timeout_ms: u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX),
            id: abi::Bytes::borrow(call.id.as_bytes()),
            event: abi::Bytes::borrow(&call.event),
            trace_id: abi::Bytes::borrow(call.trace_id.as_bytes()),
            journal: abi::Bytes::borrow(call.journal.as_bytes()),
            keep: Some(keep),
            keep_ctx: ctx_of(number),
        };
        Self {
            delivery,
            call,
            instance,
        }
    }
}

static CALLS: Calls<Loan> = Calls::new();

impl Sink {
    /// The same, which takes these secrets of its settings out of whatever its plugin says.
    #[must_use]
    pub fn masking(mut self, secrets: &[Secret]) -> Self {
        self.masks = Arc::new(Masks::new(secrets));
        let _ = self.origin.masks.set(Arc::clone(&self.masks));
        self
    }

    /// Makes one attempt. Gives [`OutcomeKind::Ambiguous`] when the plugin did not complete it in
    /// time; a late completion is dropped.
    pub async fn deliver(&self, call: Call) -> Outcome {
        let timeout = call.timeout;
        if self.instance.abandoned.load(Ordering::Relaxed) >= ABANDONED {
            return Own::Stuck.outcome();
        }
        let (done, outcome) = oneshot::channel();
        let number = CALLS.number();
        let lent = Loan::new(call, number, Arc::clone(&self.instance));
        let start = Start {
            delivery: lent.delivery(),
            number,
            instance: Arc::clone(&self.instance),
        };
        CALLS.open(number, Open { lent, done });
        if self.blocking {
            tokio::task::spawn_blocking(move || start.run());
        } else {
            start.run();
        }
        match tokio::time::timeout(timeout, outcome).await {
            Ok(Ok(outcome)) => self.masks.outcome(outcome),
            Ok(Err(_)) => Own::Lost.outcome(),
            Err(_) => {
                self.instance.abandoned.fetch_add(1, Ordering::Relaxed);
                Own::Late.outcome_with(&format!("{timeout:?}"))
            }
        }
    }

    /// What `deliver` would send; `None` if the plugin cannot tell.
    pub fn render(&self, call: Call) -> Result<Option<String>, String> {
        let Some(render) = self.instance.functions.render else {
            return Ok(None);
        };
        let lent = Loan::new(call, 0, Arc::clone(&self.instance));
        let mut text = String::new();
        // SAFETY: everything lives until `render` returns.
        let code = unsafe {
            render(
                self.instance.at,
                lent.delivery(),
                take_text,
                (&raw mut text).cast(),
            )
        };
        let text = self.masks.hide(text);
        if code == abi::OK {
            Ok(Some(text))
        } else if text.is_empty() {
            Err(unexplained(code, "the plugin gave no reason").message)
        } else {
            Err(text)
        }
    }

    /// Walks to the destination without a lead and tells each step. Blocks, at most for about
    /// `timeout` if the plugin keeps to it.
    pub fn connect(&self, timeout: Duration, each: &mut dyn FnMut(Step)) -> Connected {
        let Some(connect) = self.instance.functions.connect else {
            return Connected::Unsupported;
        };
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut hiding = |step: Step| {
            each(Step {
                note: self.masks.hide(step.note),
                ..step
            });
        };
        let mut each: &mut dyn FnMut(Step) = &mut hiding;
        // SAFETY: everything lives until `connect` returns.
        let code = unsafe {
            connect(
                self.instance.at,
                timeout_ms,
                take_step,
                (&raw mut each).cast(),
            )
        };
        match code {
            abi::OK => Connected::Ok,
            abi::UNSUPPORTED => Connected::Unsupported,
            abi::PANICKED => Connected::Panicked,
            _ => Connected::Failed,
        }
    }
}

unsafe extern "C" fn take_step(ctx: *mut c_void, step: *const abi::Step) {
    unwinding_ends_here("step", || {
        let known = abi::Step {
            struct_size: 0,
            result: abi::FAILED,
            took_ms: 0,
            name: abi::Bytes::EMPTY,
            note: abi::Bytes::EMPTY,
        };
        // SAFETY: `ctx` is the function of the `connect` that is running, and the step is
        // valid until we return, as large as it says.
        unsafe {
            let each = &mut *ctx.cast::<&mut dyn FnMut(Step)>();
            let step = read_up_to(step, (&raw const (*step).struct_size).read(), known);
            each(Step {
                name: text(step.name, 32),
                ok: step.result == abi::OK,
                note: text(step.note, 1024),
                took: Duration::from_millis(step.took_ms),
            });
        }
    });
}

/// Runs what a plugin calls: a panic of ours must not go through the plugin.
fn unwinding_ends_here<T>(what: &str, callback: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(callback));
    if done.is_err() {
        // The panic was logged where it happened, by the hook.
        let _ = catch_unwind(|| {
            tracing::error!(callback = what, "a plugin's call into leadgate failed");
        });
    }
    done.ok()
}

/// The call into the plugin, to be made here or on a thread that may block.
struct Start {
    delivery: *const abi::Delivery,
    number: u64,
    instance: Arc<Instance>,
}

// SAFETY: `delivery` points into a box owned by `CALLS` until the plugin completes.
unsafe impl Send for Start {}

impl Start {
    fn run(self) {
        let ctx = ctx_of(self.number);
        // SAFETY: the delivery lives until `done` is called with this number.
        unsafe { (self.instance.functions.deliver)(self.instance.at, self.delivery, done, ctx) }
    }
}

/// An attempt's number as the plugin gets it.
fn ctx_of(number: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Keeps a journal. `ctx` is the attempt's number.
unsafe extern "C" fn keep(ctx: *mut c_void, journal: abi::Bytes) {
    unwinding_ends_here("keep", || {
        let keep = CALLS.look(ctx.addr() as u64, |lent| lent.lent().call.keep.clone());
        if let Some(Some(keep)) = keep
            && journal.len <= abi::JOURNAL_MAX
        {
            // SAFETY: valid until we return.
            keep(unsafe { text(journal, abi::JOURNAL_MAX) });
        }
    });
}

/// Completes an attempt. `ctx` is its number.
unsafe extern "C" fn done(ctx: *mut c_void, outcome: *const abi::Outcome) {
    unwinding_ends_here("done", || {
        let Some(call) = CALLS.close(ctx.addr() as u64) else {
            tracing::error!("plugin completed an attempt twice; the second outcome was dropped");
            return;
        };
        // SAFETY: valid until we return, by the contract of `done`.
        let outcome = unsafe { read_outcome(outcome) };
        if call.done.send(outcome).is_err() {
            // Nobody waits any more: the timeout was recorded as the outcome.
            let instance = &call.lent.lent().instance;
            instance.abandoned.fetch_sub(1, Ordering::Relaxed);
        }
    });
}

/// Copies an outcome.
///
/// # Safety
///
/// `at` is null or points to a struct of `struct_size` bytes whose texts are valid.
unsafe fn read_outcome(at: *const abi::Outcome) -> Outcome {
    // SAFETY: the size is the first field.
    let size = if at.is_null() {
        0
    } else {
        unsafe { (&raw const (*at).struct_size).read() }
    };
    // Without its kind it says nothing; any text may be missing.
    if (size as usize) < offset_of!(abi::Outcome, retry_after_ms) {
        return Own::Unreadable.outcome();
    }
    let known = abi::Outcome {
        struct_size: 0,
        kind: 0,
        retry_after_ms: -1,
        receipt: abi::Bytes::EMPTY,
        reason: abi::Bytes::EMPTY,
        rule: abi::Bytes::EMPTY,
        request: abi::Bytes::EMPTY,
        response: abi::Bytes::EMPTY,
    };
    // SAFETY: as large as it says.
    let outcome = unsafe { read_up_to(at, size, known) };
    // SAFETY: texts are valid until `done` returns.
    unsafe {
        let mut read = Outcome::new(
            OutcomeKind::from_number(outcome.kind),
            text(outcome.reason, 1024),
        );
        read.retry_after = u64::try_from(outcome.retry_after_ms)
            .ok()
            .map(Duration::from_millis);
        read.receipt = text(outcome.receipt, 4096);
        read.rule = text(outcome.rule, 128);
        read.request = text(outcome.request, 4096);
        read.response = text(outcome.response, 4096);
        read
    }
}

/// Copies at most `limit` bytes of text, made valid UTF-8.
///
/// # Safety
///
/// `bytes` is empty or valid for reading.
unsafe fn text(bytes: abi::Bytes, limit: usize) -> String {
    if bytes.ptr.is_null() || bytes.len == 0 {
        return String::new();
    }
    // SAFETY: by the function's contract; never more than the plugin lent.
    let slice = unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len.min(limit)) };
    String::from_utf8_lossy(slice).into_owned()
}

/// The settings as a plugin borrows them.
struct LentConfig {
    config: abi::Config,
    _settings: String,
    _tables: String,
}

impl LentConfig {
    fn new(sink: &SinkConfig<'_>) -> Self {
        let settings = sink.settings.to_string();
        let tables = serde_json::to_string(sink.tables).unwrap_or_else(|_| "{}".to_owned());
        let config = abi::Config {
            struct_size: size_of::<abi::Config>(),
            reserved: 0,
            sink: abi::Bytes::borrow(sink.name.as_bytes()),
            settings: abi::Bytes::borrow(settings.as_bytes()),
            tables: abi::Bytes::borrow(tables.as_bytes()),
        };
        Self {
            config,
            _settings: settings,
            _tables: tables,
        }
    }
}

fn report(problems: &mut Vec<Problem>) -> abi::Report {
    abi::Report {
        struct_size: size_of::<abi::Report>(),
        reserved: 0,
        ctx: std::ptr::from_mut(problems).cast(),
        problem: Some(add_problem),
        problem_at: Some(add_problem_at),
    }
}

unsafe extern "C" fn add_problem(
    ctx: *mut c_void,
    path: abi::Bytes,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    // SAFETY: `ctx` is the vector that `report` was made with, and texts are valid until we
    // return.
    unsafe { add(ctx, path, None, message, help) };
}

unsafe extern "C" fn add_problem_at(
    ctx: *mut c_void,
    path: abi::Bytes,
    start: u64,
    end: u64,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    let range = match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start < end => Some(start..end),
        _ => None,
    };
    // SAFETY: as in `add_problem`.
    unsafe { add(ctx, path, range, message, help) };
}

/// # Safety
///
/// `ctx` is the vector of the `check` or `create` that is running on this thread; the texts
/// are valid.
unsafe fn add(
    ctx: *mut c_void,
    path: abi::Bytes,
    range: Option<std::ops::Range<usize>>,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    unwinding_ends_here("problem", || {
        // SAFETY: by the function's contract.
        let problems = unsafe { &mut *ctx.cast::<Vec<Problem>>() };
        if problems.len() < 100 {
            // SAFETY: by the function's contract.
            let (path, message, help) =
                unsafe { (text(path, 512), text(message, 2048), text(help, 2048)) };
            let (message, message_zh) = leadgate_plugin::languages(&message);
            let (help, help_zh) = leadgate_plugin::languages(&help);
            problems.push(Problem {
                path,
                message: message.to_owned(),
                help: help.to_owned(),
                chinese: leadgate_plugin::Chinese {
                    message: message_zh.to_owned(),
                    help: help_zh.to_owned(),
                },
                range,
            });
        }
    });
}

unsafe extern "C" fn take_text(ctx: *mut c_void, bytes: abi::Bytes) {
    unwinding_ends_here("text", || {
        // SAFETY: `ctx` is the string of the `render` that is running on this thread.
        let into = unsafe { &mut *ctx.cast::<String>() };
        // SAFETY: valid until we return.
        *into = unsafe { text(bytes, 1 << 20) };
    });
}

/// Whose log a message is.
struct Origin {
    sink: String,
    plugin: String,
    state: Option<Arc<dyn SinkState>>,
    /// Set once the sink is made.
    masks: OnceLock<Arc<Masks>>,
}

static STATE: abi::State = abi::State {
    struct_size: size_of::<abi::State>(),
    reserved: 0,
    get: Some(state_get),
    set: Some(state_set),
};

unsafe extern "C" fn get_extension(ctx: *mut c_void, id: abi::Bytes) -> *const c_void {
    let found = unwinding_ends_here("get_extension", || {
        // SAFETY: `ctx` is the leaked origin that was given to `create`; the id is valid.
        let (origin, id) = unsafe { (&*ctx.cast::<Origin>(), text(id, 128)) };
        let has = id == abi::STATE_ID && origin.state.is_some();
        has.then_some(std::ptr::from_ref(&STATE).cast::<c_void>())
    });
    found.flatten().unwrap_or(std::ptr::null())
}

/// The state of a sink and a good key in it.
///
/// # Safety
///
/// `ctx` is the origin that was given to `create`, and `key` is valid.
unsafe fn state_at<'a>(ctx: *mut c_void, key: abi::Bytes) -> Option<(&'a dyn SinkState, String)> {
    // SAFETY: by the function's contract; one byte more than allowed shows what is too long.
    let (origin, key) = unsafe { (&*ctx.cast::<Origin>(), text(key, abi::STATE_KEY_MAX + 1)) };
    let state = origin.state.as_deref()?;
    leadgate_plugin::state::is_key(&key).then_some((state, key))
}

unsafe extern "C" fn state_get(
    ctx: *mut c_void,
    key: abi::Bytes,
    value: abi::TextFn,
    value_ctx: *mut c_void,
) -> i32 {
    let kept = unwinding_ends_here("state get", || {
        // SAFETY: by the contract of the extension.
        let (state, key) = unsafe { state_at(ctx, key) }?;
        state.get(&key)
    });
    match kept.flatten() {
        Some(kept) => {
            // SAFETY: the bytes live until `value` returns, and its context is the plugin's.
            unsafe { value(value_ctx, abi::Bytes::borrow(&kept)) };
            abi::OK
        }
        None => abi::FAILED,
    }
}

unsafe extern "C" fn state_set(ctx: *mut c_void, key: abi::Bytes, value: abi::Bytes) -> i32 {
    let done = unwinding_ends_here("state set", || {
        // SAFETY: by the contract of the extension.
        let (state, key) = unsafe { state_at(ctx, key) }?;
        if value.len > abi::STATE_VALUE_MAX {
            return None;
        }
        let value = if value.ptr.is_null() || value.len == 0 {
            None
        } else {
            // SAFETY: valid until we return.
            Some(unsafe { std::slice::from_raw_parts(value.ptr, value.len) }.to_vec())
        };
        state.set(&key, value).then_some(())
    });
    match done.flatten() {
        Some(()) => abi::OK,
        None => abi::FAILED,
    }
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, message: abi::Bytes, fields: abi::Bytes) {
    unwinding_ends_here("log", || {
        // SAFETY: `ctx` is the leaked origin that was given to `create`.
        let origin = unsafe { &*ctx.cast::<Origin>() };
        // SAFETY: valid until we return.
        let (message, fields) = unsafe { (text(message, 1024), text(fields, 4096)) };
        let hide = |text| match origin.masks.get() {
            Some(masks) => masks.hide(text),
            None => text,
        };
        let (message, fields) = (hide(message), hide(fields));
        super::events::log(&origin.sink, &origin.plugin, level, &message, &fields);
    });
}

fn unexplained(code: i32, otherwise: &str) -> Problem {
    let message = if code == abi::PANICKED {
        "the plugin panicked"
    } else {
        otherwise
    };
    Problem {
        path: String::new(),
        message: message.to_owned(),
        help: String::new(),
        chinese: leadgate_plugin::Chinese {
            message: message.to_owned(),
            help: String::new(),
        },
        range: None,
    }
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
    use super::*;

    unsafe extern "C" fn create(
        _: *const abi::Config,
        _: *const abi::Host,
        _: *const abi::Report,
        _: *mut *mut c_void,
    ) -> i32 {
        abi::FAILED
    }
    unsafe extern "C" fn deliver(
        _: *mut c_void,
        _: *const abi::Delivery,
        _: abi::DoneFn,
        _: *mut c_void,
    ) {
    }
    unsafe extern "C" fn destroy(_: *mut c_void) {}
    unsafe extern "C" fn unasked(_: abi::Bytes) -> *const c_void {
        panic!("a plugin of minor 2 has no such function")
    }
    unsafe extern "C" fn none(_: abi::Bytes) -> *const c_void {
        std::ptr::null()
    }

    fn descriptor(minor: u32, size: usize) -> abi::Plugin {
        abi::Plugin {
            magic: abi::MAGIC,
            abi_major: abi::ABI_MAJOR,
            abi_minor: minor,
            struct_size: u32::try_from(size).expect("small"),
            name: abi::Bytes::borrow(b"erp"),
            version: abi::Bytes::borrow(b"1"),
            settings_schema: abi::Bytes::borrow(b"{}"),
            create: Some(create),
            deliver: Some(deliver),
            destroy: Some(destroy),
            ..NOTHING
        }
    }

    fn described(descriptor: &abi::Plugin) -> Result<Plugin, LoadError> {
        // SAFETY: at least as large as it says, or what is beyond is not read.
        unsafe { describe("erp", std::ptr::from_ref(descriptor), true) }
    }

    #[test]
    fn descriptors_of_every_minor_are_read_up_to_their_size() {
        for minor in 0..=2 {
            // What lies behind an older descriptor is somebody else's.
            let mut older = descriptor(minor, FIRST);
            older.get_extension = Some(unasked);
            let plugin = described(&older).expect("an older one fits");
            assert_eq!(plugin.abi(), format!("1.{minor}"));
            assert!(plugin.functions.connect.is_none());
        }
        for size in [std::mem::size_of::<abi::Plugin>(), 4096] {
            let mut newer = descriptor(9, size);
            newer.get_extension = Some(none);
            let plugin = described(&newer).expect("a newer one fits");
            assert_eq!(plugin.abi(), "1.9");
        }
    }

    #[test]
    fn a_descriptor_that_does_not_fit_is_refused_with_the_difference() {
        let refused =
            |descriptor: &abi::Plugin| described(descriptor).err().expect("refused").to_string();
        let short = refused(&descriptor(0, offset_of!(abi::Plugin, render)));
        assert!(short.contains("it lacks `render`, `destroy`"), "{short}");
        let mut foreign = descriptor(0, FIRST);
        foreign.magic = 0x7f;
        let foreign = refused(&foreign);
        assert!(
            foreign.contains("0x6c65616467617465, but with 0x000000000000007f"),
            "{foreign}"
        );
    }

    #[test]
    fn outcomes_of_every_minor_are_read_up_to_their_size() {
        let mut outcome = abi::Outcome {
            struct_size: size_of::<abi::Outcome>(),
            kind: abi::OUTCOME_RETRY,
            retry_after_ms: 7,
            receipt: abi::Bytes::EMPTY,
            reason: abi::Bytes::borrow(b"why"),
            rule: abi::Bytes::borrow(b"rule"),
            request: abi::Bytes::EMPTY,
            response: abi::Bytes::borrow(b"beyond"),
        };
        let read = |outcome: &abi::Outcome| {
            // SAFETY: no more than our own size is read.
            unsafe { read_outcome(std::ptr::from_ref(outcome)) }
        };
        for (size, reason, response) in [
            (offset_of!(abi::Outcome, retry_after_ms), "", ""),
            (offset_of!(abi::Outcome, response), "why", ""),
            (std::mem::size_of::<abi::Outcome>(), "why", "beyond"),
            (4096, "why", "beyond"),
        ] {
            outcome.struct_size = u32::try_from(size).expect("small");
            let read = read(&outcome);
            assert_eq!(read.kind, OutcomeKind::Retry, "{size}");
            assert_eq!(
                (read.reason.as_str(), read.response.as_str()),
                (reason, response)
            );
        }
        outcome.struct_size = 4;
        assert_eq!(read(&outcome).kind, OutcomeKind::Ambiguous);
        // SAFETY: null is allowed.
        let nothing = unsafe { read_outcome(std::ptr::null()) };
        assert_eq!(nothing.rule, "plugin-contract");
    }

    #[test]
    fn a_panic_of_ours_ends_before_the_plugin() {
        let done = unwinding_ends_here("test", || panic!("ours"));
        assert_eq!(done, None::<()>);
        let mut each: &mut dyn FnMut(Step) = &mut |_| panic!("ours");
        let step = abi::Step {
            struct_size: size_of::<abi::Step>(),
            result: abi::OK,
            took_ms: 1,
            name: abi::Bytes::borrow(b"dns"),
            note: abi::Bytes::EMPTY,
        };
        // SAFETY: both live until it returns, as it must.
        unsafe { take_step((&raw mut each).cast(), &raw const step) };
    }

    #[test]
    fn what_is_lent_stays_where_it_is_while_the_loan_moves() {
        let call = Call {
            id: "id".to_owned(),
            attempt: 1,
            timeout: Duration::from_secs(1),
            event: b"{}".to_vec(),
            trace_id: String::new(),
            journal: String::new(),
            keep: None,
        };
        let instance = Arc::new(Instance {
            at: std::ptr::null_mut(),
            functions: described(&descriptor(0, FIRST)).expect("fits").functions,
            abandoned: AtomicIsize::new(0),
        });
        let loan = Loan::new(call, 1, instance);
        let at = loan.delivery();
        let moved = Box::new(loan);
        assert_eq!(moved.delivery(), at);
        // SAFETY: the loan lasts.
        assert_eq!(unsafe { text((*at).id, 8) }, "id");
    }
}
