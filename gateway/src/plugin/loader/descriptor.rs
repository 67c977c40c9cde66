//! The descriptor: what a plugin says of itself, and whether it fits this gateway.
//!
//! Magic and major must match. A struct of an older minor is read up to its own size, one of a
//! newer up to ours. A descriptor that contradicts itself is refused, and the difference named:
//! it was put together from two headers, or compiled with another layout.

use std::ffi::c_void;
use std::mem::offset_of;

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;
use serde_json::Value;

use super::super::LoadError;
use super::extension::{self, Batch, Extensions};
use super::text;

/// A plugin that fits this gateway.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    version: String,
    abi_minor: u32,
    vendor: String,
    description: String,
    url: String,
    schema: Value,
    pub(super) blocking: bool,
    library: bool,
    pub(super) functions: Functions,
}

#[derive(Clone, Copy)]
pub(super) struct Functions {
    pub(super) check: Option<unsafe extern "C" fn(*const abi::Config, *const abi::Report) -> i32>,
    pub(super) create: unsafe extern "C" fn(
        *const abi::Config,
        *const abi::Host,
        *const abi::Report,
        *mut *mut c_void,
    ) -> i32,
    pub(super) deliver:
        unsafe extern "C" fn(*mut c_void, *const abi::Delivery, abi::DoneFn, *mut c_void),
    pub(super) render: Option<
        unsafe extern "C" fn(*mut c_void, *const abi::Delivery, abi::TextFn, *mut c_void) -> i32,
    >,
    pub(super) destroy: unsafe extern "C" fn(*mut c_void),
    pub(super) more: Extensions,
}

/// Bytes of the descriptor in ABI 1.0 to 1.2.
pub(super) const FIRST: usize = offset_of!(abi::Plugin, get_extension);

/// Bytes of the descriptor in a minor version of ours or before it.
const fn size_in(minor: u32) -> usize {
    if minor < 3 {
        FIRST
    } else {
        std::mem::size_of::<abi::Plugin>()
    }
}

/// A descriptor of which nothing is known.
pub(super) const NOTHING: abi::Plugin = abi::Plugin {
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
    vendor: abi::Bytes::EMPTY,
    description: abi::Bytes::EMPTY,
    url: abi::Bytes::EMPTY,
};

/// Reads a descriptor. `foreign` is one of a library: that may block whatever it says.
///
/// # Safety
///
/// `at` is null or points to a static descriptor of at least `struct_size` bytes, or of at
/// least its first five fields if those do not match.
pub(super) unsafe fn describe(
    name: &str,
    at: *const abi::Plugin,
    foreign: bool,
) -> Result<Plugin, LoadError> {
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
            "its descriptor does not begin with the leadgate magic number {:#018x}, but with {magic:#018x}{}",
            abi::MAGIC,
            if magic == abi::MAGIC.swap_bytes() {
                ": its bytes are in the other order, it was built for another machine"
            } else {
                ""
            }
        )));
    }
    // A descriptor that is shorter than its version is known by that, whatever else it says.
    let version = if size >= offset_of!(abi::Plugin, settings_schema) {
        // SAFETY: the version is in the same place in every major, and static.
        unsafe { text((&raw const (*at).version).read(), 128) }
    } else {
        String::new()
    };
    let unfit = |why: String| {
        unfit(if version.is_empty() {
            why
        } else {
            format!("version {version}: {why}")
        })
    };
    if major != abi::ABI_MAJOR {
        return Err(unfit(format!(
            "it was built for plugin ABI {major}.{minor}, this leadgate speaks {}.{}; rebuild it against this leadgate's header",
            abi::ABI_MAJOR,
            abi::ABI_MINOR
        )));
    }
    sized(minor, size).map_err(unfit)?;
    // SAFETY: the plugin says that it has so many bytes; what an older one lacks stays null.
    let plugin = unsafe { read_up_to(at, (*at).struct_size, NOTHING) };
    // SAFETY: static bytes by the contract of the descriptor.
    let (own_name, schema, vendor, description, url) = unsafe {
        (
            text(plugin.name, 128),
            text(plugin.settings_schema, 1 << 20),
            text(plugin.vendor, 256),
            text(plugin.description, 1024),
            text(plugin.url, 512),
        )
    };
    if own_name != name.replace('-', "_") {
        return Err(unfit(format!(
            "its descriptor says that its name is `{own_name}`"
        )));
    }
    let schema = serde_json::from_str(&schema)
        .map_err(|error| unfit(format!("its settings schema is not JSON: {error}")))?;
    let (Some(create), Some(deliver), Some(destroy)) =
        (plugin.create, plugin.deliver, plugin.destroy)
    else {
        let needed = [
            ("create", plugin.create.is_none()),
            ("deliver", plugin.deliver.is_none()),
            ("destroy", plugin.destroy.is_none()),
        ];
        let null = needed.iter().filter(|(_, is_null)| *is_null);
        let null: Vec<_> = null.map(|(name, _)| format!("`{name}`")).collect();
        let (null, them) = (null.join(", "), if null.len() == 1 { "it" } else { "them" });
        return Err(unfit(format!(
            "its descriptor has no {null} function; every plugin must have {them}"
        )));
    };
    let more = match plugin.get_extension {
        // SAFETY: the plugin's own function, asked as the ABI says.
        Some(get_extension) => unsafe { extension::ask(get_extension) }.map_err(unfit)?,
        None => Extensions::default(),
    };
    Ok(Plugin {
        name: name.to_owned(),
        version,
        abi_minor: minor,
        vendor: line(&vendor),
        description: line(&description),
        url: line(&url),
        schema,
        library: foreign,
        blocking: foreign || flags & abi::FLAG_BLOCKING != 0,
        functions: Functions {
            check: plugin.check,
            create,
            deliver,
            render: plugin.render,
            destroy,
            more,
        },
    })
}

/// Whether a descriptor has the size that its minor version has: as our header says of those
/// that we know, and at least ours of a newer one.
fn sized(minor: u32, size: usize) -> Result<(), String> {
    let major = abi::ABI_MAJOR;
    if size < FIRST {
        return Err(format!(
            "its descriptor has {size} bytes, ABI {major}.0 needs {FIRST}: it lacks {}",
            lacking(size, FIRST)
        ));
    }
    let wanted = size_in(minor);
    if size == wanted || (minor > abi::ABI_MINOR && size > wanted) {
        return Ok(());
    }
    let newest = if minor > abi::ABI_MINOR {
        "at least "
    } else {
        ""
    };
    let difference = if size < wanted {
        format!("it lacks {}", lacking(size, wanted))
    } else {
        format!("{} bytes too many", size - wanted)
    };
    Err(format!(
        "its descriptor says that it is of ABI {major}.{minor}, which has {newest}{wanted} bytes, but `struct_size` is {size}: {difference}; take `abi_minor` and `struct_size` from the same header"
    ))
}

/// The fields that a descriptor of `wanted` bytes has and one of `size` bytes has not.
fn lacking(size: usize, wanted: usize) -> String {
    let ends = [
        ("name", offset_of!(abi::Plugin, version)),
        ("version", offset_of!(abi::Plugin, settings_schema)),
        ("settings_schema", offset_of!(abi::Plugin, check)),
        ("check", offset_of!(abi::Plugin, create)),
        ("create", offset_of!(abi::Plugin, deliver)),
        ("deliver", offset_of!(abi::Plugin, render)),
        ("render", offset_of!(abi::Plugin, destroy)),
        ("destroy", FIRST),
        ("get_extension", offset_of!(abi::Plugin, vendor)),
        ("vendor", offset_of!(abi::Plugin, description)),
        ("description", offset_of!(abi::Plugin, url)),
        ("url", std::mem::size_of::<abi::Plugin>()),
    ];
    let lacking = ends.iter().filter(|(_, end)| size < *end && *end <= wanted);
    let lacking: Vec<_> = lacking.map(|(name, _)| format!("`{name}`")).collect();
    lacking.join(", ")
}

/// Text for people, on one line.
fn line(text: &str) -> String {
    let words = text.split(|one: char| one.is_whitespace() || one.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
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

    /// Who made it; may be empty.
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// What it is for, in a sentence; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Where more is said of it; may be empty.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether its code came from a library, and is not linked in.
    pub fn is_library(&self) -> bool {
        self.library
    }

    /// JSON Schema of its settings.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// What it can beyond delivering: `check`, `render`, and the ids of its extensions.
    pub fn abilities(&self) -> Vec<&'static str> {
        let Functions {
            check,
            render,
            more,
            ..
        } = &self.functions;
        let abilities = [
            ("check", check.is_some()),
            ("render", render.is_some()),
            (abi::CONNECT_ID, more.connect.is_some()),
            (abi::HEALTH_ID, more.health.is_some()),
            (abi::CANCEL_ID, more.cancel.is_some()),
            (abi::BATCH_ID, more.batch.is_some()),
        ];
        let abilities = abilities.into_iter().filter(|(_, has)| *has);
        abilities.map(|(name, _)| name).collect()
    }

    /// Deliveries that it takes in one call, if it takes several.
    pub fn batch(&self) -> Option<usize> {
        self.functions.more.batch.map(|Batch { max, .. }| max)
    }
}
