//! Routes: which sinks want a lead.
//!
//! A route is a sink's `when` condition, compiled once. Knows nothing of how sinks deliver.

mod explain;
mod tokens;
mod when;

use std::sync::Arc;

use leadgate_plugin::template::{Condition, Engine, TemplateError};

pub use self::explain::{Decision, Part, explain};
pub use self::when::When;
use crate::config::Sink;
use crate::lead::Lead;
use crate::lead::Tables;
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
                    .map_err(|mistakes| format!("sinks.{name}.when: {}", told(&mistakes)))?;
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

/// What is wrong with a condition, in a line.
fn told(mistakes: &[TemplateError]) -> String {
    let mistakes = mistakes.iter().map(ToString::to_string);
    mistakes.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(when: &str) -> Routes {
        let engine = Engine::new(Tables::new());
        let condition = engine.condition(when).expect(when);
        Routes {
            routes: vec![(Arc::from("crm"), Some(condition))],
        }
    }

    fn lead(json: &str) -> Lead {
        Lead::parse_json(json).expect("a lead")
    }

    #[test]
    fn a_lead_without_a_remark_is_left_out_and_no_dead_letter() {
        let routes = routes("'安装' in remark");
        assert!(routes.of("shop", &lead(r#"{"record_id":1}"#)).is_empty());
        let wanted = routes.of("shop", &lead(r#"{"record_id":1,"remark":"要安装"}"#));
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].failed, None);
    }

    #[test]
    fn what_fails_for_one_lead_names_what_and_the_remedy() {
        let wanted = routes("other.vip > 3").of("shop", &lead(r#"{"name":"张三"}"#));
        let failed = wanted[0].failed.as_deref().expect("no such value");
        assert!(failed.contains("`other.vip"), "{failed}");
        assert!(failed.contains("| default(…)"), "{failed}");
        assert!(!failed.contains('三'), "{failed}");
    }

    #[test]
    fn templates_know_the_kind_of_every_field_as_the_gateway_does() {
        let engine = Engine::new(Tables::new());
        for name in Lead::NAMES {
            let lead = lead(&format!("{{\"{name}\":\"7\"}}"));
            let json: serde_json::Value =
                serde_json::from_slice(&lead.json()).expect("a lead is JSON");
            let (same, other) = match &json[name] {
                serde_json::Value::Number(_) => ("7", "'7'"),
                serde_json::Value::String(_) => ("'7'", "7"),
                value => panic!("{name}: {value}"),
            };
            let when = |value: &str| engine.condition(&format!("{name} == {value}"));
            let condition = when(same).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert!(condition.holds(&lead, "shop").expect(name), "{name}");
            assert!(when(other).is_err(), "{name}");
        }
    }
}
