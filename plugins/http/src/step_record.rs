//! The step record: which steps of a delivery are done, and what they gave.
//!
//! The gateway keeps it with the delivery. An attempt that follows one that broke off does not
//! send those steps again, so that nothing is made twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::step::Step;

/// Steps that are done.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    done: BTreeMap<String, Done>,
}

/// A step that is done.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) values: Map<String, Value>,
    pub(crate) receipt: String,
}

impl StepRecord {
    /// What was kept; nothing if that cannot be read.
    pub(crate) fn read(kept: &str) -> Self {
        serde_json::from_str(kept).unwrap_or_default()
    }

    /// What the step gave in an earlier attempt. Nothing if its settings want other values by
    /// now.
    pub(crate) fn of(&self, step: &Step) -> Option<&Done> {
        let done = self.done.get(&step.name).filter(|_| step.kept)?;
        let has = |name: &String| done.values.contains_key(name);
        step.extract
            .iter()
            .all(|(name, _)| has(name))
            .then_some(done)
    }

    pub(crate) fn add(&mut self, step: &Step, done: Done) {
        self.done.insert(step.name.clone(), done);
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
