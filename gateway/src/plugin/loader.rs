//! The loader: the one place where the gateway speaks the C ABI.
//!
//! Negotiation: magic and major must match; a struct of an older minor is read up to its own
//! size. Everything a plugin hands over is copied before it is looked at, cut to its limit,
//! and made valid UTF-8. A plugin that completes an attempt twice is logged, not believed.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::path::Path;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leadgate_plugin::{Secret, abi};
use serde_json::Value;
use tokio::sync::oneshot;

use super::calls::{Calls, Open};
use super::mask::Masks;
use super::{Call, Kind, LoadError, Outcome, SinkConfig};
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

/// Loads the library at `path` for good.
pub(super) fn open(name: &str, path: &Path) -> Result<Plugin, LoadError> {
    // SAFETY: loading runs the library's initialisers. The merchant named this file in the
    // configuration, nobody else may write it, and its hash was compared if one was given.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| LoadError::Open {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    // Never unloaded: its threads and our function pointers live as long as the process.
    let library = Box::leak(Box::new(library));
    let symbol = format!("{}{}", abi::SYMBOL_PREFIX, name.replace('-', "_"));
    // SAFETY: the contract of a symbol with this prefix is `abi::DescriptorFn`.
    let descriptor =
        unsafe { library.get::<abi::DescriptorFn>(symbol.as_bytes()) }.map_err(|_| {
            LoadError::Symbol {
                path: path.to_owned(),
                symbol: symbol.clone(),
                name: name.to_owned(),
            }
        })?;
    // SAFETY: called as the contract says; what it points to is static. A library from
    // outside may block in `deliver` whatever it says, so it is called from the blocking pool.
    unsafe { describe(name, descriptor(), true) }
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
        return Err(unfit(
            "its descriptor does not begin with the leadgate magic number".to_owned(),
        ));
    }
    if major != abi::ABI_MAJOR {
        return Err(unfit(format!(
            "it was built for plugin ABI {major}.{minor}, this leadgate speaks {}.{}; rebuild it against this leadgate's header",
            abi::ABI_MAJOR,
            abi::ABI_MINOR
        )));
    }
    let least = std::mem::size_of::<abi::Plugin>();
    if size < least {
        return Err(unfit(format!(
            "its descriptor has {size} bytes, ABI 1.0 needs {least}"
        )));
    }
    // SAFETY: the plugin says that it has at least as many bytes as our struct.
    let plugin = unsafe { *at };
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
        blocking: foreign || flags & abi::FLAG_BLOCKING != 0,
        functions: Functions {
            check: plugin.check,
            create: plugin.create.ok_or_else(|| missing("create"))?,
            deliver: plugin.deliver.ok_or_else(|| missing("deliver"))?,
            render: plugin.render,
            destroy: plugin.destroy.ok_or_else(|| missing("destroy"))?,
        },
    })
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

    /// Makes a sink.
    pub fn create(&self, sink: &SinkConfig<'_>) -> Result<Sink, Vec<Problem>> {
        let mut problems = Vec::new();
        let lent = LentConfig::new(sink);
        let report = report(&mut problems);
        // Lives as long as the process, as the ABI promises: one small box for each sink made.
        let origin: &'static Origin = Box::leak(Box::new(Origin {
            sink: sink.name.to_owned(),
            plugin: self.name.clone(),
            masks: OnceLock::new(),
        }));
        let host = abi::Host {
            struct_size: size_of::<abi::Host>(),
            abi_minor: abi::ABI_MINOR,
            ctx: std::ptr::from_ref(origin).cast_mut().cast(),
            log: Some(log),
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

/// What a plugin borrows during an attempt. Boxed: `delivery` points into `call`.
struct Lent {
    delivery: abi::Delivery,
    call: Call,
    instance: Arc<Instance>,
}

// SAFETY: the pointers point into `call`, which is never changed and moves with its heap
// buffers in place.
unsafe impl Send for Lent {}

impl Lent {
    /// `number` is that of the attempt, and 0 for a look.
    fn new(call: Call, number: u64, instance: Arc<Instance>) -> Box<Self> {
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
        Box::new(Self {
            delivery,
            call,
            instance,
        })
    }
}

static CALLS: Calls<Box<Lent>> = Calls::new();

impl Sink {
    /// The same, which takes these secrets of its settings out of whatever its plugin says.
    #[must_use]
    pub fn masking(mut self, secrets: &[Secret]) -> Self {
        self.masks = Arc::new(Masks::new(secrets));
        let _ = self.origin.masks.set(Arc::clone(&self.masks));
        self
    }

    /// Makes one attempt. Gives [`Kind::Ambiguous`] when the plugin did not complete it in
    /// time; a late completion is dropped.
    pub async fn deliver(&self, call: Call) -> Outcome {
        let timeout = call.timeout;
        if self.instance.abandoned.load(Ordering::Relaxed) >= ABANDONED {
            return Outcome::of(
                Kind::Retry,
                "plugin-stuck",
                "the plugin does not complete its attempts",
            );
        }
        let (done, outcome) = oneshot::channel();
        let number = CALLS.number();
        let lent = Lent::new(call, number, Arc::clone(&self.instance));
        let start = Start {
            delivery: &raw const lent.delivery,
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
            Ok(Err(_)) => Outcome::of(
                Kind::Ambiguous,
                "plugin-lost",
                "the plugin dropped the attempt",
            ),
            Err(_) => {
                self.instance.abandoned.fetch_add(1, Ordering::Relaxed);
                Outcome::of(
                    Kind::Ambiguous,
                    "timeout",
                    format!("no outcome within {timeout:?}"),
                )
            }
        }
    }

    /// What `deliver` would send; `None` if the plugin cannot tell.
    pub fn render(&self, call: Call) -> Result<Option<String>, String> {
        let Some(render) = self.instance.functions.render else {
            return Ok(None);
        };
        let lent = Lent::new(call, 0, Arc::clone(&self.instance));
        let mut text = String::new();
        // SAFETY: everything lives until `render` returns.
        let code = unsafe {
            render(
                self.instance.at,
                &raw const lent.delivery,
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
    let keep = CALLS.look(ctx.addr() as u64, |lent| lent.call.keep.clone());
    if let Some(Some(keep)) = keep
        && journal.len <= abi::JOURNAL_MAX
    {
        // SAFETY: valid until we return.
        keep(unsafe { text(journal, abi::JOURNAL_MAX) });
    }
}

/// Completes an attempt. `ctx` is its number.
unsafe extern "C" fn done(ctx: *mut c_void, outcome: *const abi::Outcome) {
    let Some(call) = CALLS.close(ctx.addr() as u64) else {
        tracing::error!("plugin completed an attempt twice; the second outcome was dropped");
        return;
    };
    // SAFETY: valid until we return, by the contract of `done`.
    let outcome = unsafe { read_outcome(outcome) };
    if call.done.send(outcome).is_err() {
        // Nobody waits any more: the timeout was recorded as the outcome.
        call.lent.instance.abandoned.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Copies an outcome.
///
/// # Safety
///
/// `at` is null or points to a struct of `struct_size` bytes whose texts are valid.
unsafe fn read_outcome(at: *const abi::Outcome) -> Outcome {
    // SAFETY: the size is the first field.
    if at.is_null() || (unsafe { (*at).struct_size } as usize) < std::mem::size_of::<abi::Outcome>()
    {
        return Outcome::of(
            Kind::Ambiguous,
            "plugin-contract",
            "the plugin gave an outcome that cannot be read",
        );
    }
    // SAFETY: at least as large as our struct.
    let outcome = unsafe { *at };
    let kind = match outcome.kind {
        abi::OUTCOME_DELIVERED => Kind::Delivered,
        abi::OUTCOME_DUPLICATE => Kind::Duplicate,
        abi::OUTCOME_RETRY => Kind::Retry,
        abi::OUTCOME_THROTTLED => Kind::Throttled,
        abi::OUTCOME_REAUTH => Kind::Reauth,
        abi::OUTCOME_REJECTED => Kind::Rejected,
        _ => Kind::Ambiguous,
    };
    // SAFETY: texts are valid until `done` returns.
    unsafe {
        Outcome {
            kind,
            retry_after: u64::try_from(outcome.retry_after_ms)
                .ok()
                .map(Duration::from_millis),
            receipt: text(outcome.receipt, 4096),
            reason: text(outcome.reason, 1024),
            rule: text(outcome.rule, 128),
            request: text(outcome.request, 4096),
            response: text(outcome.response, 4096),
        }
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
    // SAFETY: by the function's contract.
    let problems = unsafe { &mut *ctx.cast::<Vec<Problem>>() };
    if problems.len() < 100 {
        // SAFETY: by the function's contract.
        problems.push(unsafe {
            Problem {
                path: text(path, 512),
                message: text(message, 1024),
                help: text(help, 1024),
                range,
            }
        });
    }
}

unsafe extern "C" fn take_text(ctx: *mut c_void, bytes: abi::Bytes) {
    // SAFETY: `ctx` is the string of the `render` that is running on this thread.
    let into = unsafe { &mut *ctx.cast::<String>() };
    // SAFETY: valid until we return.
    *into = unsafe { text(bytes, 1 << 20) };
}

/// Whose log a message is.
struct Origin {
    sink: String,
    plugin: String,
    /// Set once the sink is made.
    masks: OnceLock<Arc<Masks>>,
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, message: abi::Bytes, fields: abi::Bytes) {
    // SAFETY: `ctx` is the leaked origin that was given to `create`.
    let origin = unsafe { &*ctx.cast::<Origin>() };
    // SAFETY: valid until we return.
    let (message, fields) = unsafe { (text(message, 1024), text(fields, 4096)) };
    let hide = |text| match origin.masks.get() {
        Some(masks) => masks.hide(text),
        None => text,
    };
    let (message, fields) = (hide(message), hide(fields));
    let (sink, plugin) = (&origin.sink, &origin.plugin);
    match level {
        abi::LOG_ERROR => tracing::error!(sink, plugin, fields, "{message}"),
        abi::LOG_WARN => tracing::warn!(sink, plugin, fields, "{message}"),
        abi::LOG_INFO => tracing::info!(sink, plugin, fields, "{message}"),
        _ => tracing::debug!(sink, plugin, fields, "{message}"),
    }
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
        range: None,
    }
}

fn size_of<T>() -> u32 {
    u32::try_from(std::mem::size_of::<T>()).expect("ABI structs are small")
}
