//! The descriptor: what the plugin says of itself, made once and never freed.

use std::panic::catch_unwind;
use std::sync::OnceLock;

use super::{attempt, create, extension, panics, render, size_of};
use crate::{Sink, abi};

/// Holds a plugin's static descriptor.
pub struct Export(OnceLock<Descriptor>);

/// What the package says of itself that a plugin is built from.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// `CARGO_PKG_VERSION`.
    pub version: &'static str,
    /// `CARGO_PKG_AUTHORS`: separated by colons.
    pub authors: &'static str,
    /// `CARGO_PKG_DESCRIPTION`.
    pub description: &'static str,
    /// `CARGO_PKG_HOMEPAGE`.
    pub homepage: &'static str,
    /// `CARGO_PKG_REPOSITORY`: stands for a home page that is not said.
    pub repository: &'static str,
}

struct Descriptor {
    plugin: abi::Plugin,
    _schema: String,
    _vendor: String,
}

// SAFETY: the pointers in `plugin` point to static text, to `_schema` and to `_vendor`, which
// never change.
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
        package: Package,
    ) -> *const abi::Plugin {
        panics::watch();
        let made = catch_unwind(|| {
            self.0.get_or_init(|| {
                let name = symbol.strip_prefix(abi::SYMBOL_PREFIX).unwrap_or(symbol);
                let schema = serde_json::to_string(&settings_schema::<S>()).unwrap_or_default();
                let vendor = package.authors.replace(':', ", ");
                let url = match package.homepage {
                    "" => package.repository,
                    homepage => homepage,
                };
                let plugin = abi::Plugin {
                    magic: abi::MAGIC,
                    abi_major: abi::ABI_MAJOR,
                    abi_minor: abi::ABI_MINOR,
                    struct_size: size_of::<abi::Plugin>(),
                    flags: if S::BLOCKING { abi::FLAG_BLOCKING } else { 0 },
                    name: abi::Bytes::borrow(name.as_bytes()),
                    version: abi::Bytes::borrow(package.version.as_bytes()),
                    settings_schema: abi::Bytes::borrow(schema.as_bytes()),
                    check: Some(create::check::<S>),
                    create: Some(create::create::<S>),
                    deliver: Some(attempt::deliver::<S>),
                    render: Some(render::render::<S>),
                    destroy: Some(create::destroy::<S>),
                    get_extension: Some(extension::get_extension::<S>),
                    vendor: abi::Bytes::borrow(vendor.as_bytes()),
                    description: abi::Bytes::borrow(package.description.as_bytes()),
                    url: abi::Bytes::borrow(url.as_bytes()),
                };
                Descriptor {
                    plugin,
                    _schema: schema,
                    _vendor: vendor,
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
