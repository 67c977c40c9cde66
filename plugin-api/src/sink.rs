//! The trait that a plugin author implements.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Delivery, Host, Outcome, Probe, Problem, Problems, Stop};

/// A configured destination.
///
/// Made once for each sink that names the plugin; used from many threads at once. Panics in
/// any of its methods are caught: one in [`Sink::deliver`] costs that attempt.
pub trait Sink: Sized + Send + Sync + 'static {
    /// The sink's `settings` table. Derive `Deserialize` and `JsonSchema`, deny unknown
    /// fields, and document each field: the documentation is what merchants read.
    type Settings: DeserializeOwned + JsonSchema;

    /// Set it if [`Sink::deliver`] blocks its thread.
    const BLOCKING: bool = false;

    /// Finds what is wrong with settings beyond their schema. Opens nothing, sends nothing.
    fn check(settings: &Self::Settings, host: &Host) -> Problems {
        let _ = (settings, host);
        Problems::default()
    }

    /// Makes the sink. Must not wait for the destination: it may be down.
    fn new(settings: Self::Settings, host: Host) -> Result<Self, Problems>;

    /// Makes one attempt, within `delivery.timeout()`.
    fn deliver(&self, delivery: &Delivery) -> impl Future<Output = Outcome> + Send;

    /// What [`Sink::deliver`] would send, as text, with secrets masked. `None` if it cannot tell.
    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let _ = delivery;
        Ok(None)
    }

    /// Walks to the destination as far as it goes without a lead: addresses, connection,
    /// encryption, login. Each step is told through `probe`; end at the first that fails.
    fn connect(&self, probe: &Probe) -> impl Future<Output = Result<(), Stop>> + Send {
        let _ = probe;
        std::future::ready(Err(Stop::Unsupported))
    }
}
