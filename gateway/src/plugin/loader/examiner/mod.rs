//! The examiner: a second host, which writes down what a plugin does instead of believing it.
//!
//! For `leadgate plugin check` and `plugin run`. It counts completions, reads texts by their
//! limits, may pretend to be an older host, and asks for things that no plugin has. It works in
//! the process that it is called in: whoever does not trust the plugin calls it in a child.

mod book;

use std::ffi::c_void;
use std::mem::offset_of;
use std::path::Path;
use std::time::Duration;

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;

pub(crate) use self::book::wait;
pub(crate) use self::book::{Ended, Fault, Logged};
use self::book::{beyond, book, text};

/// A descriptor, examined before anything else of it is used.
#[derive(Clone, Copy)]
pub(crate) struct Examined {
    plugin: abi::Plugin,
}

// SAFETY: a copy of a static descriptor, whose functions may be called from any thread.
unsafe impl Send for Examined {}
// SAFETY: as above.
unsafe impl Sync for Examined {}

/// As which host the examiner acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// This one.
    Current,
    /// One of ABI 1.0: whatever came later is behind the end of its structs.
    First,
}

/// What a plugin answered to settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// `abi::OK` or another code.
    pub(crate) code: i32,
    /// Pointer, message and help of each problem.
    pub(crate) problems: Vec<(String, String, String)>,
}

/// One attempt to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// The idempotency key.
    pub(crate) id: String,
    /// The event as JSON.
    pub(crate) event: Vec<u8>,
    /// Number of the attempt; 0 is taken for 1.
    pub(crate) attempt: u32,
    /// Kept by an earlier attempt.
    pub(crate) journal: String,
    /// How long it may take.
    pub(crate) timeout: Duration,
}

/// What became of an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Became {
    /// Each completion; one is right.
    pub(crate) ended: Vec<Ended>,
    /// What was kept, in order.
    pub(crate) kept: Vec<String>,
}

/// A library that stays loaded.
pub(crate) struct Library(&'static libloading::os::unix::Library);

impl Library {
    /// Loads the library with all that it needs, or says in the linker's words why not.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        // SAFETY: loading runs the library's initialisers, which is what was asked for.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(|error| super::reason(&error, &path, &path))?;
        Ok(Self(Box::leak(Box::new(library))))
    }

    /// The descriptor of plugin `name`, if the gateway itself would take it.
    pub(crate) fn examine(&self, name: &str) -> Result<Examined, String> {
        let symbol = format!("{}{}", abi::SYMBOL_PREFIX, name.replace('-', "_"));
        // SAFETY: the contract of a symbol with this prefix is `abi::DescriptorFn`.
        let function = unsafe { self.0.get::<abi::DescriptorFn>(symbol.as_bytes()) }
            .map_err(|_| format!("it does not export `{symbol}`"))?;
        // SAFETY: called as the contract says.
        let (at, again) = unsafe { (function(), function()) };
        // SAFETY: what it gives is static.
        unsafe { super::descriptor::describe(name, at, true) }
            .map_err(|error| error.to_string())?;
        if at != again {
            return Err("its function gives another descriptor each time".to_owned());
        }
        // SAFETY: the gateway has found that it has as many bytes as it says.
        let plugin = unsafe { read_up_to(at, (*at).struct_size, super::descriptor::NOTHING) };
        Ok(Examined { plugin })
    }
}

/// The descriptor of a plugin that is linked into this program.
pub(crate) fn linked(name: &str) -> Result<Examined, String> {
    let found = super::LINKED.iter().find(|(linked, _)| *linked == name);
    let (_, function) = found.ok_or_else(|| format!("there is no built-in plugin `{name}`"))?;
    // SAFETY: one of ours, which gives a static descriptor with as many bytes as it says.
    let plugin = unsafe {
        let at = function();
        read_up_to(at, (*at).struct_size, super::descriptor::NOTHING)
    };
    Ok(Examined { plugin })
}

/// Takes the text of a `render`.
unsafe extern "C" fn take_text(ctx: *mut c_void, bytes: abi::Bytes) {
    let mut faults = Vec::new();
    // SAFETY: valid until we return.
    let said = unsafe {
        text(
            ("what render gives", "render 的文字"),
            bytes,
            1 << 20,
            &mut faults,
        )
    };
    // SAFETY: `ctx` is the list of the `render` that is running on this thread.
    unsafe { &mut *ctx.cast::<Vec<String>>() }.push(said);
    for fault in faults {
        book().fault(fault);
    }
}

/// Takes a problem.
unsafe extern "C" fn problem(
    ctx: *mut c_void,
    path: abi::Bytes,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    let mut faults = Vec::new();
    // SAFETY: `ctx` is the answer of the call that is running, and texts are valid.
    unsafe {
        let said = (
            text(("a problem's path", "问题的路径"), path, 512, &mut faults),
            text(
                ("a problem's message", "问题的说明"),
                message,
                2048,
                &mut faults,
            ),
            text(("a problem's help", "问题的建议"), help, 2048, &mut faults),
        );
        (*ctx.cast::<Answer>()).problems.push(said);
    }
    for fault in faults {
        book().fault(fault);
    }
}

unsafe extern "C" fn problem_at(
    ctx: *mut c_void,
    path: abi::Bytes,
    start: u64,
    end: u64,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    if start > end {
        book().fault(Fault::new(
            "a problem ends before it starts",
            "问题的终点在起点之前",
        ));
    }
    // SAFETY: as in `problem`.
    unsafe { problem(ctx, path, message, help) };
}

/// Takes how a sink is.
unsafe extern "C" fn take_health(ctx: *mut c_void, health: u32, why: abi::Bytes) {
    let mut faults = Vec::new();
    // SAFETY: `ctx` is the list of the `health` that is running, and the text is valid.
    unsafe {
        let why = text(("a health's reason", "状况的原因"), why, 1024, &mut faults);
        (*ctx.cast::<Vec<(u32, String)>>()).push((health, why));
    }
    for fault in faults {
        book().fault(fault);
    }
}

/// An attempt's number as the plugin gets it.
fn ctx_of(number: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(number)
}

/// Where the delivery of an open attempt is.
fn lent(number: usize) -> *const abi::Delivery {
    let book = book();
    let attempt = book.attempts.get(&number);
    let loan = attempt.and_then(|attempt| attempt.lent.as_ref());
    loan.map_or(std::ptr::null(), Loan::delivery)
}

/// Of the host's extensions the examiner has the launcher, by which programs get their sandbox.
unsafe extern "C" fn get_extension(_: *mut c_void, id: abi::Bytes) -> *const c_void {
    let mut faults = Vec::new();
    // SAFETY: valid until we return.
    let id = unsafe { text(("an extension's id", "扩展的 id"), id, 128, &mut faults) };
    for fault in faults {
        book().fault(fault);
    }
    if id == abi::LAUNCHER_ID {
        super::host::launcher()
    } else {
        std::ptr::null()
    }
}

fn report(answer: &mut Answer, age: Age) -> abi::Report {
    let mut report = abi::Report {
        struct_size: super::size_of::<abi::Report>(),
        reserved: 0,
        ctx: std::ptr::from_mut(answer).cast(),
        problem: Some(problem),
        problem_at: Some(problem_at),
    };
    if age == Age::First {
        report.struct_size = small(offset_of!(abi::Report, problem_at));
        report.problem_at = Some(beyond::problem_at);
    }
    report
}

fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn config(sink: &str, settings: &str, tables: &str) -> abi::Config {
    abi::Config {
        struct_size: super::size_of::<abi::Config>(),
        reserved: 0,
        sink: abi::Bytes::borrow(sink.as_bytes()),
        settings: abi::Bytes::borrow(settings.as_bytes()),
        tables: abi::Bytes::borrow(tables.as_bytes()),
    }
}

/// Contracts broken so far, each once.
pub(crate) fn faults() -> Vec<Fault> {
    book().faults.clone()
}

/// What was logged since the last call.
pub(crate) fn take_logs() -> Vec<Logged> {
    std::mem::take(&mut book().logs)
}

impl Examined {
    /// The ABI's minor that it was built for.
    pub(crate) fn minor(&self) -> u32 {
        self.plugin.abi_minor
    }

    /// Its flags.
    pub(crate) fn flags(&self) -> u32 {
        self.plugin.flags
    }

    /// Its own version.
    pub(crate) fn version(&self) -> String {
        let mut faults = Vec::new();
        // SAFETY: static bytes by the contract of the descriptor.
        unsafe {
            text(
                ("version", "version"),
                self.plugin.version,
                128,
                &mut faults,
            )
        }
    }

    /// Who made it, what it is for, and where more is said of it.
    pub(crate) fn about(&self) -> [String; 3] {
        let mut faults = Vec::new();
        let abi::Plugin {
            vendor,
            description,
            url,
            ..
        } = self.plugin;
        // SAFETY: static bytes by the contract of the descriptor.
        let about = unsafe {
            [
                text(("vendor", "vendor"), vendor, 256, &mut faults),
                text(
                    ("description", "description"),
                    description,
                    1024,
                    &mut faults,
                ),
                text(("url", "url"), url, 512, &mut faults),
            ]
        };
        for fault in faults {
            book().fault(fault);
        }
        about
    }

    /// Its schema as text.
    pub(crate) fn schema(&self) -> String {
        let mut faults = Vec::new();
        let schema = self.plugin.settings_schema;
        // SAFETY: static bytes by the contract of the descriptor.
        unsafe {
            text(
                ("settings_schema", "settings_schema"),
                schema,
                1 << 20,
                &mut faults,
            )
        }
    }

    /// Whether it can check settings, and whether it can show what it sends.
    pub(crate) fn can(&self) -> (bool, bool) {
        (self.plugin.check.is_some(), self.plugin.render.is_some())
    }

    /// Whether it has an extension called `id`. What stands behind the id is not part of it.
    pub(crate) fn has_extension(&self, id: &str, behind: &str) -> bool {
        let Some(get_extension) = self.plugin.get_extension else {
            return false;
        };
        let whole = format!("{id}{behind}");
        let id = abi::Bytes {
            ptr: whole.as_ptr(),
            len: id.len(),
        };
        // SAFETY: the id lives until it returns.
        !unsafe { get_extension(id) }.is_null()
    }

    /// What stands behind the id of an extension, if it is there and as large as it says.
    fn extension<T: Copy>(&self, id: &str, nothing: T) -> Option<T> {
        let get_extension = self.plugin.get_extension?;
        // SAFETY: the id lives until it returns.
        let at = unsafe { get_extension(abi::Bytes::borrow(id.as_bytes())) };
        if at.is_null() {
            return None;
        }
        let at = at.cast::<T>();
        // SAFETY: a static struct of the type that belongs to the id, whose first field is its
        // size.
        unsafe { Some(read_up_to(at, at.cast::<u32>().read(), nothing)) }
    }

    /// How attempts are given up, if they can be.
    pub(crate) fn cancel(&self) -> Option<abi::Cancel> {
        let nothing = abi::Cancel {
            struct_size: 0,
            reserved: 0,
            cancel: None,
        };
        self.extension(abi::CANCEL_ID, nothing)
    }

    /// How a sink says how it is, if it can.
    pub(crate) fn health(&self) -> Option<abi::Health> {
        let nothing = abi::Health {
            struct_size: 0,
            reserved: 0,
            health: None,
        };
        self.extension(abi::HEALTH_ID, nothing)
    }

    /// How several deliveries are made in one call, if they can be.
    pub(crate) fn batch(&self) -> Option<abi::Batch> {
        let nothing = abi::Batch {
            struct_size: 0,
            max: 0,
            deliver_batch: None,
        };
        self.extension(abi::BATCH_ID, nothing)
    }

    /// Asks for an extension without an id.
    pub(crate) fn has_nameless_extension(&self) -> bool {
        let get_extension = self.plugin.get_extension;
        // SAFETY: an empty text may have a null pointer.
        get_extension.is_some_and(|ask| !unsafe { ask(abi::Bytes::EMPTY) }.is_null())
    }

    /// Asks what is wrong with settings; `None` if it cannot say.
    pub(crate) fn check(&self, settings: &str, age: Age) -> Option<Answer> {
        let check = self.plugin.check?;
        let mut answer = Answer::default();
        let config = config("examined", settings, "{}");
        let report = report(&mut answer, age);
        // SAFETY: all of it lives until `check` returns.
        let code = unsafe { check(&raw const config, &raw const report) };
        answer.code = code;
        Some(answer)
    }

    /// Makes a sink.
    pub(crate) fn create(&self, settings: &str, age: Age) -> Result<Instance, Answer> {
        let mut answer = Answer::default();
        let Some(create) = self.plugin.create else {
            return Err(answer);
        };
        let config = config("examined", settings, "{}");
        let report = report(&mut answer, age);
        let mut host = abi::Host {
            struct_size: super::size_of::<abi::Host>(),
            abi_minor: abi::ABI_MINOR,
            ctx: std::ptr::null_mut(),
            log: Some(book::log),
            get_extension: Some(get_extension),
        };
        if age == Age::First {
            host.struct_size = small(offset_of!(abi::Host, get_extension));
            host.abi_minor = 0;
            host.get_extension = Some(beyond::get_extension);
        }
        let mut unset = 0_u8;
        let unset: *mut c_void = (&raw mut unset).cast();
        let mut made = unset;
        // SAFETY: config and report live until `create` returns; the host's struct is copied by
        // the plugin or used only during the call.
        let code = unsafe {
            create(
                &raw const config,
                &raw const host,
                &raw const report,
                &raw mut made,
            )
        };
        answer.code = code;
        if code != abi::OK {
            if made != unset {
                book().fault(Fault::new(
                    "create refused, and set a sink all the same",
                    "create 拒绝，却仍然设置了目的地",
                ));
            }
            return Err(answer);
        }
        if made == unset {
            book().fault(Fault::new(
                "create said that it is done, and set no sink",
                "create 表示成功，却没有设置目的地",
            ));
            return Err(answer);
        }
        Ok(Instance {
            at: made,
            plugin: self.plugin,
            age,
        })
    }
}

/// A sink that was made. It is destroyed by [`Instance::destroy`] only.
#[derive(Clone, Copy)]
pub(crate) struct Instance {
    at: *mut c_void,
    plugin: abi::Plugin,
    age: Age,
}

// SAFETY: the ABI demands that a sink may be used from any thread, several at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

/// What a plugin borrows during an attempt.
pub(super) struct Loan(*mut Lent);

// SAFETY: the one owner of what it points to, which may go from thread to thread.
unsafe impl Send for Loan {}

struct Lent {
    delivery: abi::Delivery,
    _given: Given,
}

impl Loan {
    fn new(given: Given, number: usize, age: Age) -> Self {
        let mut delivery = abi::Delivery {
            struct_size: super::size_of::<abi::Delivery>(),
            attempt: given.attempt.max(1),
            timeout_ms: u64::try_from(given.timeout.as_millis()).unwrap_or(u64::MAX),
            id: abi::Bytes::borrow(given.id.as_bytes()),
            event: abi::Bytes::borrow(&given.event),
            trace_id: abi::Bytes::borrow(b"4bf92f3577b34da6a3ce929d0e0e4736"),
            journal: abi::Bytes::borrow(given.journal.as_bytes()),
            keep: Some(book::keep),
            keep_ctx: ctx_of(number),
        };
        if age == Age::First {
            delivery.struct_size = small(offset_of!(abi::Delivery, journal));
            // Read all the same, this would be a text without a place.
            delivery.journal = abi::Bytes {
                ptr: std::ptr::null(),
                len: 7,
            };
            delivery.keep = Some(beyond::keep);
        }
        let lent = Lent {
            delivery,
            _given: given,
        };
        Self(Box::into_raw(Box::new(lent)))
    }

    fn delivery(&self) -> *const abi::Delivery {
        // SAFETY: made by `new` and freed only by `drop`; no reference is made.
        unsafe { &raw const (*self.0).delivery }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Instance {
    /// Makes an attempt that is not started yet; gives its number.
    pub(crate) fn lend(&self, given: Given) -> usize {
        book().begin(|number| Loan::new(given, number, self.age))
    }

    /// Starts an attempt on this thread. A plugin may block here.
    pub(crate) fn start(&self, number: usize) {
        let at = lent(number);
        if let Some(deliver) = self.plugin.deliver {
            // SAFETY: the delivery lives until `done` is called with this number.
            unsafe { deliver(self.at, at, book::done, ctx_of(number)) };
        }
    }

    /// Makes and starts an attempt on this thread; gives its number.
    pub(crate) fn deliver(&self, given: Given) -> usize {
        let number = self.lend(given);
        self.start(number);
        number
    }

    /// Starts several attempts in one call, if the plugin has the extension.
    pub(crate) fn start_batch(&self, batch: &abi::Batch, numbers: &[usize]) {
        let deliveries: Vec<_> = numbers.iter().map(|number| lent(*number)).collect();
        let ctxs: Vec<_> = numbers.iter().map(|number| ctx_of(*number)).collect();
        if let Some(deliver_batch) = batch.deliver_batch {
            // SAFETY: both arrays live until it returns, each delivery until its own `done`.
            unsafe {
                deliver_batch(
                    self.at,
                    deliveries.as_ptr(),
                    ctxs.as_ptr(),
                    numbers.len(),
                    book::done,
                );
            };
        }
    }

    /// Gives an attempt up.
    pub(crate) fn cancel(&self, cancel: &abi::Cancel, number: usize) {
        if let Some(cancel) = cancel.cancel {
            // SAFETY: the sink is alive; an unknown ctx changes nothing.
            unsafe { cancel(self.at, ctx_of(number)) };
        }
    }

    /// How the sink is: each answer, of which there must be one.
    pub(crate) fn health(&self, health: &abi::Health) -> Vec<(u32, String)> {
        let mut said: Vec<(u32, String)> = Vec::new();
        if let Some(health) = health.health {
            // SAFETY: all of it lives until `health` returns.
            unsafe { health(self.at, take_health, (&raw mut said).cast()) };
        }
        said
    }

    /// What deliver would send; what it gave, and its code. `None` if it cannot tell.
    pub(crate) fn render(&self, given: Given) -> Option<(i32, Vec<String>)> {
        let render = self.plugin.render?;
        let loan = Loan::new(given, 0, self.age);
        let mut said: Vec<String> = Vec::new();
        let ctx = (&raw mut said).cast();
        // SAFETY: everything lives until `render` returns.
        let code = unsafe { render(self.at, loan.delivery(), take_text, ctx) };
        Some((code, said))
    }

    /// Destroys the sink. All of its attempts must be done.
    pub(crate) fn destroy(self, attempts: &[usize]) {
        for number in attempts {
            if let Some(attempt) = book().attempts.get_mut(number) {
                attempt.is_over = true;
            }
        }
        if let Some(destroy) = self.plugin.destroy {
            // SAFETY: made by `create`, and not used again by whoever keeps to this contract.
            unsafe { destroy(self.at) };
        }
    }
}

/// What became of an attempt so far.
pub(crate) fn became(number: usize) -> Became {
    let book = book();
    let attempt = book.attempts.get(&number);
    attempt.map_or_else(Became::default, |attempt| Became {
        ended: attempt.ended.clone(),
        kept: attempt.kept.clone(),
    })
}

/// Forgets an attempt that is completed, and gives what became of it.
pub(crate) fn forget(number: usize) -> Became {
    let became = became(number);
    book().attempts.remove(&number);
    became
}
