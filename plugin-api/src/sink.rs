//! The trait that a plugin author implements.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Delivery, Health, Host, Outcome, Probe, Problem, Problems, Stop};

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

    /// Deliveries that [`Sink::deliver_batch`] takes in one call, at most; 1 if it takes no
    /// batches. No more than 1024.
    const BATCH: usize = 1;

    /// Finds what is wrong with settings beyond their schema. Opens nothing, sends nothing.
    fn check(settings: &Self::Settings, host: &Host) -> Problems {
        let _ = (settings, host);
        Problems::default()
    }

    /// Makes the sink. Must not wait for the destination: it may be down.
    fn new(settings: Self::Settings, host: Host) -> Result<Self, Problems>;

    /// Makes one attempt, within `delivery.timeout()`.
    ///
    /// The future is dropped when nobody waits for the attempt any more: its time is over, or
    /// the host stops. What must not be left half done belongs into a task of its own.
    fn deliver(&self, delivery: &Delivery) -> impl Future<Output = Outcome> + Send;

    /// Makes an attempt of each of 2 to [`Sink::BATCH`] deliveries together, and gives the
    /// outcome of each, in their order. One that cannot be taken must not fail the others: where
    /// the destination refuses all for the sake of one, send them one by one.
    ///
    /// Called for what waits at the same moment: while a batch is on its way, the next collects.
    /// A delivery that is alone comes through [`Sink::deliver`].
    fn deliver_batch(&self, deliveries: &[Delivery]) -> impl Future<Output = Vec<Outcome>> + Send {
        async move {
            let mut outcomes = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                outcomes.push(self.deliver(delivery).await);
            }
            outcomes
        }
    }

    /// How the sink is, for operators who look at it. Must not block: says what is known, and
    /// finds nothing out.
    fn health(&self) -> Health {
        Health::Ok
    }

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
