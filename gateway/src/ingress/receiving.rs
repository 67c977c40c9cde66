//! Receiving: what is configured of it: who may push, where leads go, how much is taken.
//!
//! Replaced as a whole while pushes come; each goes by one of them from its head to its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, Ceiling};
use crate::lead::Tables;
use crate::route::Routes;
use crate::source::Registry;

/// What a push goes by.
pub struct Receiving {
    /// Who may push.
    pub sources: Registry,
    /// Which sinks want a lead.
    pub routes: Routes,
    /// The merchant's labels.
    pub tables: Arc<Tables>,
    /// The listener's limits.
    pub limits: config::Server,
    ceilings: BTreeMap<String, Ceiling>,
}

impl Receiving {
    /// From these sources, to these routes.
    pub fn new(
        sources: &BTreeMap<String, config::Source>,
        limits: &config::Server,
        routes: Routes,
        tables: &Tables,
    ) -> Self {
        let ceilings = sources.iter();
        let ceilings = ceilings.map(|(name, source)| (name.clone(), source.quarantine));
        Self {
            sources: Registry::new(sources, limits),
            routes,
            tables: Arc::new(tables.clone()),
            limits: limits.clone(),
            ceilings: ceilings.collect(),
        }
    }

    /// How much of a source may wait in quarantine.
    pub(super) fn ceiling(&self, source: &str) -> Ceiling {
        self.ceilings.get(source).copied().unwrap_or_default()
    }

    /// Names of all sources.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.ceilings.keys()
    }
}
