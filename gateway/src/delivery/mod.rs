//! Delivery: takes what is due from the outbox, hands it to the sinks, records how it ended.
//!
//! One [`lane`] for each sink, so that a slow or dead one delays nobody else; [`Dispatcher`]
//! starts and replaces them, [`Sinks`] is what others see of them. Never talks to the ingress:
//! they meet in the outbox.

mod admission;
mod attempt;
mod backoff;
mod breaker;
mod clock;
mod crashes;
mod dispatcher;
mod health;
mod hold;
mod in_flight;
mod lane;
mod meters;
mod prefetch;
mod preview;
mod shares;
mod sinks;
mod throttle;
mod trial;
mod verdict;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use self::admission::{Resumed, SinkStatus};
pub use self::breaker::BreakerState;
pub use self::crashes::{Crash, Crashes};
pub use self::dispatcher::Dispatcher;
use self::dispatcher::Phase;
pub use self::hold::{Hold, HoldReason};
pub use self::in_flight::{InFlight, Left, Notes};
pub use self::preview::Unsent;
pub use self::sinks::Sinks;
pub use self::trial::{LONGEST as LONGEST_TRIAL, Tried, Untried};
use crate::config;
use crate::plugin::{self, Call, Outcome};

/// What takes the attempts of a sink: an instance of a plugin, or a script in tests.
pub trait Destination: Send + Sync + 'static {
    /// Makes one attempt. Ends by itself, within the call's timeout.
    fn deliver(&self, call: Call) -> BoxFuture<'_, Outcome>;

    /// What an attempt would send, with the sink's secrets masked; `None` if its plugin cannot
    /// tell. Nothing is sent. Blocks.
    fn render(&self, call: Call) -> Result<Option<String>, String> {
        let _ = call;
        Ok(None)
    }

    /// How it is by what its plugin says, at once or soon; `None` if that cannot tell.
    fn says(&self) -> BoxFuture<'_, Option<plugin::Health>> {
        std::future::ready(None).boxed()
    }
}

impl Destination for plugin::Sink {
    fn deliver(&self, call: Call) -> BoxFuture<'_, Outcome> {
        self.deliver(call).boxed()
    }

    fn render(&self, call: Call) -> Result<Option<String>, String> {
        self.render(call)
    }

    fn says(&self) -> BoxFuture<'_, Option<plugin::Health>> {
        self.health().boxed()
    }
}

/// A sink with what is behind it.
pub struct Target {
    /// Its name.
    pub name: Arc<str>,
    /// Its configuration.
    pub config: config::Sink,
    /// What takes the attempts. The same as before if nothing of the destination changed.
    pub sink: Arc<dyn Destination>,
    /// Revision of the configuration; empty if there is none.
    pub revision: Arc<str>,
    /// Where its attempts are noted, if they run in this process.
    pub notes: Option<Notes>,
}

#[cfg(test)]
mod tests;
