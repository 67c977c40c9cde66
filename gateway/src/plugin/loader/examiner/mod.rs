//! The examiner: a second host, which writes down what a plugin does instead of believing it.
//!
//! For `leadgate plugin check` and `plugin run`. It counts completions, reads texts by their
//! limits, may pretend to be an older host, and asks for things that no plugin has. It works in
//! the process that it is called in: whoever does not trust the plugin calls it in a child.

mod book;
mod heard;
mod instance;

use std::ffi::c_void;
use std::mem::offset_of;
use std::path::Path;
use std::time::Duration;

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;

pub(crate) use self::book::wait;
pub(crate) use self::book::{Ended, Fault, Logged};
use self::book::{beyond, book, text};
use self::heard::{config, get_extension, report, small};
pub(crate) use self::instance::Instance;

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
    pub(crate) step_record: String,
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
