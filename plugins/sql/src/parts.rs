//! The parts: the settings, understood. All that is wrong with them is found at once.

use leadgate_plugin::template::{Engine, Tree};
use leadgate_plugin::{Delivery, Host, Problem, Problems};
use serde_json::{Map, Value};

use crate::settings::Settings;
use crate::statement::Statement;
use crate::target::{self, Target};
use crate::tls::Trust;

/// Settings that make sense.
pub(crate) struct Parts {
    pub(crate) target: Target,
    pub(crate) statement: Statement,
    /// The certificates of `ca`.
    pub(crate) trust: Option<Trust>,
    values: Tree,
}

impl Parts {
    pub(crate) fn new(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let target = problems.keep(Target::new(&settings.url));
        let dialect = target::dialect(&settings.url);
        let statement = Statement::new(dialect, &settings.statement, &settings.values);
        let statement = problems.keep(statement);
        let values = Engine::new(host.tables().clone())
            .tree(&Value::Object(settings.values.clone()))
            .map_err(|errors| {
                let problems = errors
                    .into_iter()
                    .map(|error| error.into_problem("/values"));
                problems.collect::<Problems>()
            });
        let values = problems.keep(values);
        let trust = settings.ca.as_deref().map(Trust::of_file).transpose();
        let trust = problems.keep(trust);
        if settings.ca.is_some() && target.as_ref().is_some_and(|target| !target.tls) {
            let message = "this connection is not encrypted, so no certificate is checked";
            problems.push(
                Problem::at("/ca", message)
                    .help("add ?sslmode=verify-full to `url`, or remove `ca`"),
            );
        }
        match (target, statement, trust, values) {
            (Some(target), Some(statement), Some(trust), Some(values)) if problems.is_empty() => {
                Ok(Self {
                    target,
                    statement,
                    trust,
                    values,
                })
            }
            _ => Err(problems),
        }
    }

    /// The values for a lead, by name.
    pub(crate) fn values(&self, delivery: &Delivery) -> Result<Map<String, Value>, Problem> {
        let values = self
            .values
            .render(&delivery.json()?, delivery.id())
            .map_err(|error| error.into_problem("/values"))?;
        match values {
            Value::Object(values) => Ok(values),
            _ => Ok(Map::new()),
        }
    }
}
