//! The export: the C side of a Rust [`Sink`](crate::Sink), used by [`crate::export_sink!`].
//!
//! The one folder of this crate with `unsafe`. It promises the host what `abi` demands: no
//! unwinding leaves it, every attempt is completed exactly once, borrowed bytes are copied
//! before the call that lent them ends.
#![allow(unsafe_code)]

mod attempt;
mod connect;
mod create;
mod descriptor;
mod extension;
mod flight;
mod health;
mod host;
mod panics;
mod read;
mod render;
mod runtime;

pub use self::descriptor::{Export, Package};
pub use self::host::HostHandle;
pub(crate) use self::host::{Keeper, StateHandle};
pub use self::panics::leave_panics_to_the_process;
pub use self::read::read_up_to;
pub(crate) use self::runtime::runtime;

/// Exports a [`Sink`](crate::Sink) as the plugin whose name follows `leadgate_plugin_`.
///
/// The version is that of the package that calls it; so are the vendor (`authors`), the
/// description and the address (`homepage`, else `repository`).
#[macro_export]
macro_rules! export_sink {
    ($symbol:ident, $sink:ty) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a leadgate plugin must be built with `panic = \"unwind\"`, so that a panic costs one \
             attempt and not the process: remove `panic = \"abort\"` from the profile in Cargo.toml, \
             or `-C panic=abort` from RUSTFLAGS"
        );

        /// The plugin's descriptor, as the ABI asks for it.
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol() -> *const $crate::abi::Plugin {
            static EXPORT: $crate::export::Export = $crate::export::Export::new();
            const PACKAGE: $crate::export::Package = $crate::export::Package {
                version: env!("CARGO_PKG_VERSION"),
                authors: env!("CARGO_PKG_AUTHORS"),
                description: env!("CARGO_PKG_DESCRIPTION"),
                homepage: env!("CARGO_PKG_HOMEPAGE"),
                repository: env!("CARGO_PKG_REPOSITORY"),
            };
            EXPORT.descriptor::<$sink>(stringify!($symbol), PACKAGE)
        }
    };
}

/// The size of an ABI struct, as the structs say it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "ABI structs are small, checked when this is compiled"
)]
pub const fn size_of<T>() -> u32 {
    let size = std::mem::size_of::<T>();
    assert!(size < 1 << 16, "ABI structs are small");
    size as u32
}

#[cfg(test)]
mod tests;
