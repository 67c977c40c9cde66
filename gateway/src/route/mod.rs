//! Routes: which sinks want a lead.
//!
//! A route is a sink's `when` condition, compiled once. Knows nothing of how sinks deliver.

mod explain;
mod tokens;

use std::sync::Arc;

use leadgate_plugin::template::{Condition, Engine};

pub use self::explain::{Part, Verdict, explain};
use crate::config::{Sink, Tables};
use crate::lead::Lead;
use crate::outbox::Route;

/// All routes, in the order of the sinks' names.
pub struct Routes {
    routes: Vec<(Arc<str>, Option<Condition>)>,
}

impl Routes {
    /// Compiles the conditions. The error names the sink.
    pub fn new<'a>(
        sinks: impl Iterator<Item = (&'a String, &'a Sink)>,
        tables: &Tables,
    ) -> Result<Self, String> {
        let engine = Engine::new(tables.clone());
        let routes = sinks
            .map(|(name, sink)| {
                let condition = sink
                    .when
                    .as_deref()
                    .map(|when| engine.condition(when))
                    .transpose()
                    .map_err(|error| format!("sinks.{name}.when: {error}"))?;
                Ok((Arc::from(name.as_str()), condition))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { routes })
    }

    /// The sinks that want `lead`. One whose condition fails on this lead is among them, with
    /// the failure: a person must see it rather than the lead be passed over.
    pub fn of(&self, source: &str, lead: &Lead) -> Vec<Route> {
        let decide = |(sink, condition): &(Arc<str>, Option<Condition>)| {
            let failed = match condition
                .as_ref()
                .map(|condition| condition.holds(lead, source))
            {
                None | Some(Ok(true)) => None,
                Some(Ok(false)) => return None,
                Some(Err(error)) => Some(error.to_string()),
            };
            Some(Route {
                sink: Arc::clone(sink),
                failed,
            })
        };
        self.routes.iter().filter_map(decide).collect()
    }
}
