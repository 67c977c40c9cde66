//! The trait that a plugin author implements, and the one way from settings to a sink.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Delivery, Health, Host, Outcome, Probe, Problem, Problems, Stop};

/// A configured destination.
///
/// Made once for each sink that names the plugin, in two steps: [`Sink::prepare`] understands the
/// settings, [`Sink::new`] makes the sink of what came out. `leadgate check` does the first step
/// only, so what it finds good can be made. Used from many threads at once. Panics in any of its
/// methods are caught: one in [`Sink::deliver`] costs that attempt.
pub trait Sink: Sized + Send + Sync + 'static {
    /// The sink's `settings` table. Derive `Deserialize` and `JsonSchema`, deny unknown
    /// fields, and document each field: the documentation is what merchants read.
    type Settings: DeserializeOwned + JsonSchema;

    /// The settings once they are understood: addresses parsed, templates compiled, clients
    /// configured. Often `Self`, and then [`Sink::new`] only hands it on.
    type Parts;

    /// Set it if [`Sink::deliver`] blocks its thread: the host then calls it on one that may.
    ///
    /// Without it, attempts run on a tokio runtime that all sinks of the library share and that
    /// has two threads, with timers and sockets. One that blocks holds up all others; what blocks
    /// for a moment only belongs into [`crate::spawn_blocking`].
    const BLOCKING: bool = false;

    /// Deliveries that [`Sink::deliver_batch`] takes in one call, at most; 1 if it takes no
    /// batches. No more than 1024.
    const BATCH: usize = 1;

    /// Understands the settings, or finds all that is wrong with them beyond their schema.
    ///
    /// Opens nothing, starts nothing, sends nothing. `host` knows the sink's name and the
    /// merchant's tables here, and no more: it has no state, and its log goes nowhere.
    fn prepare(settings: &Self::Settings, host: &Host) -> Result<Self::Parts, Problems>;

    /// Makes the sink. Must not wait for the destination: it may be down. What can go wrong here
    /// is this machine's, such as a thread that cannot be started, and never the settings'.
    fn new(parts: Self::Parts, host: Host) -> Result<Self, Problems>;

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

/// What is wrong with settings, found as `leadgate check` finds it: the sink is prepared, and
/// what came out is dropped.
pub fn check<S: Sink>(settings: &S::Settings, host: &Host) -> Problems {
    S::prepare(settings, &host.for_a_look())
        .err()
        .unwrap_or_default()
}

/// Makes a sink as the host does: prepares it, then makes it of what came out.
pub fn create<S: Sink>(settings: &S::Settings, host: Host) -> Result<S, Problems> {
    S::new(S::prepare(settings, &host.for_a_look())?, host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, Tables};

    /// Good only where `prepare` sees no more than `check` does.
    struct Strict;

    impl Sink for Strict {
        type Settings = u8;
        type Parts = u8;

        fn prepare(settings: &u8, host: &Host) -> Result<u8, Problems> {
            let mut problems = Problems::default();
            if *settings == 0 {
                problems.push(Problem::at("", "nothing"));
            }
            if host.state().is_some() || host.sink() != "crm" || !host.tables().contains_key("t") {
                problems.push(Problem::at("", "another host than at the other time"));
            }
            problems.into_result(*settings)
        }

        fn new(parts: u8, host: Host) -> Result<Self, Problems> {
            assert!(parts > 0 && host.state().is_some());
            Ok(Self)
        }

        async fn deliver(&self, _: &Delivery) -> Outcome {
            Outcome::duplicate()
        }
    }

    #[test]
    fn what_check_finds_good_is_made_and_what_it_refuses_is_not() {
        let tables = Tables::from([("t".to_owned(), std::collections::BTreeMap::new())]);
        let host = Host::detached("crm", tables).with_state(State::in_memory());
        assert_eq!(check::<Strict>(&1, &host), Problems::default());
        assert!(create::<Strict>(&1, host.clone()).is_ok());
        let found = check::<Strict>(&0, &host);
        assert_eq!(found, Problem::at("", "nothing").into());
        assert_eq!(create::<Strict>(&0, host).err(), Some(found));
    }
}
