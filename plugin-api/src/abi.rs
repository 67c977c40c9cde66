//! The plugin ABI, version 1: the C structs that cross between host and plugin.
//!
//! This file and `include/leadgate_plugin.h` say the same thing in two languages; a
//! test compiles the header and compares sizes and offsets, and `abi.md` says what may
//! change. The header says of each function, in one form, its threads, how often and in
//! which order it is called, whether it blocks, and who owns what. Fields are only ever
//! appended within a major version, and every struct that may grow starts with (or
//! contains) its own size, so that either side can tell what the other one knows.
//!
//! Ownership: every [`Bytes`] is borrowed. Unless said otherwise it lives until the
//! function it was passed to returns. Each side frees what it allocated. No Rust type
//! and no unwinding crosses.

use std::ffi::c_void;

/// First field of every descriptor: `leadgate` in ASCII, read as a big-endian number.
pub const MAGIC: u64 = u64::from_be_bytes(*b"leadgate");
/// Raised when a struct or a rule changes incompatibly. Host and plugin must agree.
pub const ABI_MAJOR: u32 = 1;
/// Raised when something is appended. A plugin built for an older minor keeps working.
///
/// 1: [`Report::problem_at`]. 2: [`Delivery::journal`] and [`Delivery::keep`]. 3: extensions,
/// [`Host::get_extension`] and [`Plugin::get_extension`]; [`Plugin::vendor`],
/// [`Plugin::description`] and [`Plugin::url`].
pub const ABI_MINOR: u32 = 3;
/// Longest journal of a delivery, in bytes.
pub const JOURNAL_MAX: usize = 4096;
/// Id of the host's extension [`State`].
pub const STATE_ID: &str = "leadgate.state/1";
/// Longest key of a kept value, in bytes: `a` to `z`, digits, `_`, `-` and `.`.
pub const STATE_KEY_MAX: usize = 64;
/// Longest kept value, in bytes.
pub const STATE_VALUE_MAX: usize = 4096;
/// Values that a sink may keep.
pub const STATE_KEYS_MAX: usize = 16;
/// Id of the host's extension [`Launcher`].
pub const LAUNCHER_ID: &str = "leadgate.launcher/1";
/// Id of the plugin's extension [`Connect`].
pub const CONNECT_ID: &str = "leadgate.connect/1";
/// Id of the plugin's extension [`Health`].
pub const HEALTH_ID: &str = "leadgate.health/1";
/// Id of the plugin's extension [`Cancel`].
pub const CANCEL_ID: &str = "leadgate.cancel/1";
/// Id of the plugin's extension [`Batch`].
pub const BATCH_ID: &str = "leadgate.batch/1";
/// Deliveries in one batch, at most, whatever [`Batch::max`] says.
pub const BATCH_MAX: usize = 1024;
/// Every exported descriptor function is called this, followed by the plugin's name.
pub const SYMBOL_PREFIX: &str = "leadgate_plugin_";

/// [`Plugin::flags`]: `deliver` blocks its thread; the host calls it from a blocking pool.
pub const FLAG_BLOCKING: u32 = 1;

/// Answer of [`Plugin::check`], [`Plugin::create`] and [`Plugin::render`]: done.
pub const OK: i32 = 0;
/// Answer of the same: refused; the reason was given through [`Report`] or [`TextFn`].
pub const FAILED: i32 = 1;
/// Answer of the same: the plugin panicked; the sink must not be used any more.
pub const PANICKED: i32 = 2;
/// Answer of [`Connect::connect`]: this sink cannot tell.
pub const UNSUPPORTED: i32 = 3;

/// Borrowed bytes: UTF-8 text or JSON where a field says so. `ptr` may be null if `len` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// First byte.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

impl Bytes {
    /// No bytes.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// Borrows `bytes`; the caller keeps them alive for as long as the contract says.
    pub const fn borrow(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

/// What the host offers a sink for as long as the sink lives. Callable from any thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// `sizeof` of this struct in the host.
    pub struct_size: u32,
    /// The host's [`ABI_MINOR`].
    pub abi_minor: u32,
    /// Passed back as first argument of every host function. Lives as long as the process.
    pub ctx: *mut c_void,
    /// Writes a log event. `message` is a short English phrase, `fields` a JSON object (or
    /// empty). Never put personal data or a secret in either.
    pub log:
        Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32, message: Bytes, fields: Bytes)>,
    /// A further ability by its id (UTF-8): a static struct, or null if the host has it not for
    /// this sink. Since minor 3: there only if `struct_size` says so.
    pub get_extension: Option<unsafe extern "C" fn(ctx: *mut c_void, id: Bytes) -> *const c_void>,
}

/// The host's extension [`STATE_ID`]: small values that a sink keeps from one run to the next,
/// such as a refresh token that the destination has replaced. They are stored sealed like the
/// leads and belong to the sink's name. Only the running daemon has it: a sink that is made for
/// a look (`check`, `render`) has no state. Every function takes [`Host::ctx`] first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// `sizeof` of this struct in the host.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Gives what is kept under `key` to `value`, once and before it returns, and [`OK`]. Gives
    /// [`FAILED`] without a call if nothing is kept there, or it cannot be read. Any thread.
    pub get: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            key: Bytes,
            value: TextFn,
            value_ctx: *mut c_void,
        ) -> i32,
    >,
    /// Keeps `value` under `key` instead of what was kept there; an empty one forgets it. On
    /// [`OK`] it is on disk. [`FAILED`] changes nothing: a key or value too long, too many
    /// keys, or a store that does not take it. Blocks for as long as the disk takes. Any thread.
    pub set: Option<unsafe extern "C" fn(ctx: *mut c_void, key: Bytes, value: Bytes) -> i32>,
}

/// The host's extension [`LAUNCHER_ID`]: how a plugin starts a program of another hand in the
/// host's sandbox. The host's program is run with the arguments `sandboxed`, the id of the process
/// that starts it, what the program may do (JSON, as the header says), the program's whole path, and
/// its arguments. It enters the sandbox, writes one line to standard error (`leadgate-sandbox `
/// and JSON: which parts hold), and becomes the program; if it cannot, it says why there and exits
/// with code 127. It ends when the thread ends that started it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Launcher {
    /// `sizeof` of this struct in the host.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Path of the host's program (static).
    pub program: Bytes,
}

/// [`Host::log`] level: a person must act.
pub const LOG_ERROR: u32 = 1;
/// [`Host::log`] level: degraded.
pub const LOG_WARN: u32 = 2;
/// [`Host::log`] level: life cycle.
pub const LOG_INFO: u32 = 3;
/// [`Host::log`] level: each attempt.
pub const LOG_DEBUG: u32 = 4;

/// What a sink is made from.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `sizeof` of this struct in the host.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Name of the sink in the merchant's configuration (UTF-8).
    pub sink: Bytes,
    /// The sink's `settings` table as a JSON object, secrets resolved, valid by the schema.
    pub settings: Bytes,
    /// All `[tables.*]` as one JSON object `{table: {code: label}}`, for lookups. A table's
    /// `default` and `label` are entries like the others.
    pub tables: Bytes,
}

/// Where `check` and `create` say what is wrong with the settings. Call `problem` once for
/// each problem, all of them rather than the first, before returning.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// `sizeof` of this struct in the host.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Passed back as first argument.
    pub ctx: *mut c_void,
    /// `path` is a JSON pointer into the settings (`/headers/x-shop`; empty for the whole),
    /// `message` what is wrong, `help` what to do (may be empty). All UTF-8, no secrets.
    /// Both may say the same in two languages: English, U+001F, Chinese.
    pub problem:
        Option<unsafe extern "C" fn(ctx: *mut c_void, path: Bytes, message: Bytes, help: Bytes)>,
    /// The same with a place in the text at `path`: its bytes from `start` up to `end`, counted
    /// in the text as the plugin got it. Since minor 1: there only if `struct_size` says so.
    pub problem_at: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            path: Bytes,
            start: u64,
            end: u64,
            message: Bytes,
            help: Bytes,
        ),
    >,
}

/// One attempt. The struct and all it borrows live until the attempt's `done` was called.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// `sizeof` of this struct in the host.
    pub struct_size: u32,
    /// 1 for the first attempt, counting up.
    pub attempt: u32,
    /// The host stops waiting after this many milliseconds and records the attempt as ambiguous.
    pub timeout_ms: u64,
    /// Stable over all attempts of this delivery: the idempotency key (a UUID as text).
    pub id: Bytes,
    /// The event, a JSON object (see `event.schema.json`).
    pub event: Bytes,
    /// Trace id of this attempt, 32 hex digits, for the destination's logs; may be empty.
    pub trace_id: Bytes,
    /// What was kept last in an attempt of this delivery; empty if nothing. Since minor 2:
    /// there only if `struct_size` says so, like what follows.
    pub journal: Bytes,
    /// Keeps `journal` with the delivery, so that a later attempt of it can go on where this
    /// one ends: UTF-8, at most [`JOURNAL_MAX`] bytes, instead of what was kept before. From
    /// any thread until `done` was called; later calls, and longer texts, change nothing. It is
    /// stored sealed like the lead, at once and at the latest with the end of the attempt, and
    /// forgotten when the delivery is delivered. Never put a secret in it.
    pub keep: Option<unsafe extern "C" fn(ctx: *mut c_void, journal: Bytes)>,
    /// First argument of `keep`.
    pub keep_ctx: *mut c_void,
}

/// How an attempt ended. All [`Bytes`] are copied by the host before `done` returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// One of the `OUTCOME_*` numbers; an unknown one counts as [`OUTCOME_AMBIGUOUS`].
    pub kind: u32,
    /// For retry and throttled: the wait the destination asked for in ms; negative if none.
    pub retry_after_ms: i64,
    /// What the destination answered that is worth keeping, e.g. its record id (UTF-8, ≤ 4 KiB).
    pub receipt: Bytes,
    /// Why, in short, for a person; never personal data (UTF-8, ≤ 1 KiB).
    pub reason: Bytes,
    /// Name of the rule that decided, e.g. `status-5xx` (UTF-8, ≤ 128 B). Of a retry the host
    /// knows two: `not-processed`, if the destination provably did nothing with it, says nothing
    /// about the destination; `taken-in-part`, if it took what it could, is an answer of one
    /// that is well.
    pub rule: Bytes,
    /// What was sent, in short and redacted (UTF-8, ≤ 4 KiB).
    pub request: Bytes,
    /// What was answered, in short and redacted (UTF-8, ≤ 4 KiB).
    pub response: Bytes,
}

/// The destination has it.
pub const OUTCOME_DELIVERED: u32 = 1;
/// The destination had it already.
pub const OUTCOME_DUPLICATE: u32 = 2;
/// Not taken; try again.
pub const OUTCOME_RETRY: u32 = 3;
/// Not taken because of a rate limit; slow the whole sink down.
pub const OUTCOME_THROTTLED: u32 = 4;
/// Credentials were refused or ran out; try again after renewing them.
pub const OUTCOME_REAUTH: u32 = 5;
/// Never will be taken as it is; a person must look.
pub const OUTCOME_REJECTED: u32 = 6;
/// Sent, but no answer came: it may or may not have been taken.
pub const OUTCOME_AMBIGUOUS: u32 = 7;

/// Completes an attempt: exactly once, from any thread, also from inside `deliver`.
pub type DoneFn = unsafe extern "C" fn(ctx: *mut c_void, outcome: *const Outcome);
/// Receives text (UTF-8) before the function it was passed to returns.
pub type TextFn = unsafe extern "C" fn(ctx: *mut c_void, text: Bytes);

/// The plugin's extension [`CONNECT_ID`]: whether a sink's destination can be reached and takes
/// our credentials, without sending it anything of a lead.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Connects, and tells each step as it ends, the failed one last. Ends within `timeout_ms`.
    /// [`OK`] if all went well, [`FAILED`] if a step failed, [`UNSUPPORTED`] if the plugin
    /// cannot tell. Blocks; called where that is allowed, beside attempts that may run.
    pub connect: Option<
        unsafe extern "C" fn(
            sink: *mut c_void,
            timeout_ms: u64,
            step: StepFn,
            ctx: *mut c_void,
        ) -> i32,
    >,
}

/// One step on the way to a destination.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// [`OK`] or [`FAILED`].
    pub result: i32,
    /// How long it took.
    pub took_ms: u64,
    /// `dns`, `tcp`, `tls`, `login`, `token` or another short word (UTF-8, ≤ 32 B).
    pub name: Bytes,
    /// Why it failed, or what was found; never a secret (UTF-8, ≤ 1 KiB).
    pub note: Bytes,
}

/// Receives a step before it returns.
pub type StepFn = unsafe extern "C" fn(ctx: *mut c_void, step: *const Step);

/// The plugin's extension [`HEALTH_ID`]: how a sink is, beyond its attempts.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Says how the sink is: calls `say` exactly once before it returns. Any thread, beside
    /// attempts that may run; at most one call at a time for a sink. Must not block: says what is
    /// known, and finds nothing out.
    pub health: Option<unsafe extern "C" fn(sink: *mut c_void, say: HealthFn, ctx: *mut c_void)>,
}

/// Receives how a sink is: one of the `HEALTH_*` numbers (an unknown one counts as
/// [`HEALTH_FAILED`]), and why in short, for a person; never personal data (UTF-8, ≤ 1 KiB).
pub type HealthFn = unsafe extern "C" fn(ctx: *mut c_void, health: u32, why: Bytes);

/// It does what it should.
pub const HEALTH_OK: u32 = 1;
/// It works, and a person should look.
pub const HEALTH_DEGRADED: u32 = 2;
/// It does not work.
pub const HEALTH_FAILED: u32 = 3;

/// The plugin's extension [`CANCEL_ID`]: attempts that nobody waits for any more can be ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The host does not wait any more for the attempt that was started with this `ctx`: its
    /// time is over, or the host stops. The plugin ends it soon, and still calls `done` for it
    /// once; what that says is not looked at. At most once for an attempt, any thread, also while
    /// `deliver` has not returned, and also after `done`: an unknown `ctx` changes nothing. Must
    /// not block.
    pub cancel: Option<unsafe extern "C" fn(sink: *mut c_void, ctx: *mut c_void)>,
}

/// The plugin's extension [`BATCH_ID`]: several deliveries in one call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// Deliveries in one call, at most: 2 to [`BATCH_MAX`].
    pub max: u32,
    /// Starts one attempt of each of `count` deliveries, as [`Plugin::deliver`] does of one:
    /// `done` is called once with each of `ctxs`, in any order. Both arrays are borrowed until
    /// it returns; each delivery lives until `done` was called with its `ctx`. `count` is 2 to
    /// `max`; a delivery that is alone comes through [`Plugin::deliver`]. Any thread.
    pub deliver_batch: Option<
        unsafe extern "C" fn(
            sink: *mut c_void,
            deliveries: *const *const Delivery,
            ctxs: *const *mut c_void,
            count: usize,
            done: DoneFn,
        ),
    >,
}

/// The descriptor: static, immutable, returned by the one exported function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] the plugin was built for.
    pub abi_major: u32,
    /// [`ABI_MINOR`] the plugin was built for.
    pub abi_minor: u32,
    /// `sizeof` of this struct in the plugin.
    pub struct_size: u32,
    /// `FLAG_*` bits; unknown ones are ignored.
    pub flags: u32,
    /// The name in the symbol: `[a-z][a-z0-9_]*`.
    pub name: Bytes,
    /// The plugin's own version, e.g. `1.4.0`.
    pub version: Bytes,
    /// JSON Schema (2020-12) of the settings.
    pub settings_schema: Bytes,
    /// Checks settings beyond the schema without opening anything. May be null.
    pub check: Option<unsafe extern "C" fn(config: *const Config, report: *const Report) -> i32>,
    /// Makes a sink. On [`OK`] `*sink` is set; on anything else it is left alone.
    pub create: Option<
        unsafe extern "C" fn(
            config: *const Config,
            host: *const Host,
            report: *const Report,
            sink: *mut *mut c_void,
        ) -> i32,
    >,
    /// Starts one attempt. Several may run at once on one sink, from several threads.
    pub deliver: Option<
        unsafe extern "C" fn(
            sink: *mut c_void,
            delivery: *const Delivery,
            done: DoneFn,
            ctx: *mut c_void,
        ),
    >,
    /// Gives what `deliver` would send, without sending: text with secrets masked. May be null.
    pub render: Option<
        unsafe extern "C" fn(
            sink: *mut c_void,
            delivery: *const Delivery,
            text: TextFn,
            ctx: *mut c_void,
        ) -> i32,
    >,
    /// Frees a sink, after all of its attempts are done. Not called at process exit.
    pub destroy: Option<unsafe extern "C" fn(sink: *mut c_void)>,
    /// A further ability by its id (UTF-8): a static struct, or null. May be null itself. Since
    /// minor 3: there only if `struct_size` says so.
    pub get_extension: Option<unsafe extern "C" fn(id: Bytes) -> *const c_void>,
    /// Who made it (UTF-8, ≤ 256 B); may be empty. This and what follows since minor 3: there
    /// only if `struct_size` says so.
    pub vendor: Bytes,
    /// What it is for, in a sentence (UTF-8, ≤ 1 KiB); may be empty.
    pub description: Bytes,
    /// Where more is said of it, an http or https address (UTF-8, ≤ 512 B); may be empty.
    pub url: Bytes,
}

/// Type of the exported function `leadgate_plugin_<name>`.
pub type DescriptorFn = unsafe extern "C" fn() -> *const Plugin;
