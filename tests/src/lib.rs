//! The harness of the end-to-end tests: the real binary, a shop that pushes, a CRM that
//! receives. Nothing here uses the gateway's code: it is a second opinion.
//!
//! Everything listens on loopback, on free ports, in temporary folders, and is ended by its
//! own process id.
#![forbid(unsafe_code)]

mod authority;
mod bare;
mod browser;
mod compiled;
mod counts;
mod crm;
mod daemon;
mod database;
mod freeze;
#[cfg(feature = "kafka")]
mod kafka;
mod load;
mod nats;
mod postfix;
mod program;
mod pushing;
mod rabbit;
mod setup;
mod shim;
mod shop;
mod small_disk;
mod trace;
mod tryton;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use authority::{Authority, Certificate};
pub use bare::Bare;
pub use browser::{Browser, Look};
pub use compiled::{
    another_profile, another_toolchain, c_host, c_plugin, c_plugin_of, misbehaving, sanitized,
};
pub use counts::{counted, times};
pub use crm::{Behaviour, Clerk, Crm, Received};
pub use daemon::{Daemon, Ended, free_port};
pub use database::{Client, Database, Kind};
#[cfg(feature = "kafka")]
pub use kafka::{Kafka, Record};
pub use load::Load;
pub use nats::Nats;
pub use postfix::Postfix;
pub use program::{binary, example, library, output, output_of, output_with};
pub use pushing::{Ends, Pushing};
pub use rabbit::Rabbit;
pub use setup::Setup;
pub use shim::{Errno, Fault};
pub use shop::{SAMPLE, Shop};
pub use small_disk::SmallDisk;
pub use trace::{Cut, Trace};
pub use tryton::Tryton;
pub use wire::{Answer, Wire, get, post};

/// The success answer of the document.
pub const SUCCESS: &str = r#"{"result":{"errCode":"0","success":true,"errMsg":"成功"}}"#;
/// The refusal of the document.
pub const REFUSED: &str =
    r#"{"success":"false","errCode":"sign-check-failure","errMsg":"Illegal request"}"#;

/// Longest wait for anything that should happen soon; machines are noisy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `condition` holds.
///
/// # Panics
///
/// When it does not within [`PATIENCE`].
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        within(PATIENCE, condition),
        "timed out waiting until {what}"
    );
}

/// Waits until `condition` holds; whether it did in time.
pub fn within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A folder of this package.
pub fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
