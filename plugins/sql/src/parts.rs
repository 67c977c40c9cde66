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
        let target = keep(Target::new(&settings.url), &mut problems);
        let dialect = target::dialect(&settings.url);
        let statement = Statement::new(dialect, &settings.statement, &settings.values);
        let statement = keep(statement, &mut problems);
        let values = Engine::new(host.tables().clone())
            .tree(&Value::Object(settings.values.clone()))
            .map_err(|errors| {
                let problems = errors
                    .into_iter()
                    .map(|error| error.into_problem("/values"));
                problems.collect::<Problems>()
            });
        let values = keep(values, &mut problems);
        let trust = settings
            .ca
            .as_deref()
            .map(|ca| Trust::of_file(ca).map_err(Problems::from));
        let trust = keep(trust.transpose(), &mut problems);
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
        let event = serde_json::from_slice(delivery.event_bytes())
            .map_err(|_| Problem::at("", "the event is not JSON"))?;
        let values = self
            .values
            .render(&event, delivery.id())
            .map_err(|error| error.into_problem("/values"))?;
        match values {
            Value::Object(values) => Ok(values),
            _ => Ok(Map::new()),
        }
    }
}

fn keep<T>(result: Result<T, Problems>, problems: &mut Problems) -> Option<T> {
    result.map_err(|found| problems.extend(found)).ok()
}
