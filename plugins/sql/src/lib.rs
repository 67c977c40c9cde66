//! The `sql` sink: writes each lead into PostgreSQL, MySQL or MariaDB by one statement.
//!
//! [`parts`] understands the settings, [`statement`] and [`scan`] the statement, [`server`]
//! runs it over [`postgres`] or [`mysql`], [`classify`] says what a failure means. What a lead
//! says goes to the database as bind parameters only, and of the database's answers nothing is
//! kept that could quote it.

mod bind;
mod classify;
mod failure;
mod mysql;
mod parts;
mod postgres;
mod scan;
mod server;
mod settings;
mod statement;
mod target;
mod tls;

use std::fmt::Write;

use leadgate_plugin::{Delivery, Host, Outcome, Probe, Problem, Problems, Sink, Stop};

use tokio::time::Instant;

use crate::failure::Failure;
use crate::parts::Parts;
use crate::server::{Deadline, Server};
pub use crate::settings::Settings;
use crate::target::Place;

/// The sink.
pub struct SqlSink {
    parts: Parts,
    server: Server,
    /// As it was written.
    statement: String,
}

impl Sink for SqlSink {
    type Settings = Settings;

    type Parts = Self;

    const BATCH: usize = 64;

    fn prepare(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let parts = Parts::new(settings, host)?;
        let server = Server::new(&parts, settings.connections)?;
        Ok(Self {
            parts,
            server,
            statement: settings.statement.clone(),
        })
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Deadline::new(delivery.patience());
        let values = match self.parts.values(delivery) {
            Ok(values) => values,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let done = self.server.run(&self.parts.statement, &values, &ends).await;
        self.outcome(done)
    }

    async fn deliver_batch(&self, deliveries: &[Delivery]) -> Vec<Outcome> {
        let mut rows = Vec::with_capacity(deliveries.len());
        let mut refused = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let values = self.parts.values(delivery);
            refused.push(values.map(|values| rows.push(values)).err());
        }
        let whole = deliveries.iter().map(Delivery::patience).min();
        let whole = whole.unwrap_or_default();
        let done = self.server.run_all(&self.parts.statement, &rows, whole);
        let mut done = done.await.into_iter();
        let mut outcomes = Vec::with_capacity(deliveries.len());
        for problem in refused {
            outcomes.extend(match problem {
                Some(problem) => Some(Outcome::rejected(problem.to_string()).rule("template")),
                None => done.next().map(|done| self.outcome(done)),
            });
        }
        outcomes
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        if let Place::Net(host, port) = &self.parts.target.place {
            probe.reach(host, *port).await.map(drop)?;
        }
        let trying = async {
            let left = probe.ends().saturating_duration_since(Instant::now());
            let done = self
                .server
                .try_login(&self.parts.statement, &Deadline::new(left))
                .await;
            let note = "logged in, and the statement fits the database".to_owned();
            done.map(|()| ((), note))
                .map_err(|failure| classify::outcome(&failure).reason)
        };
        probe.noted("login", trying).await
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let values = self.parts.values(delivery)?;
        let statement = self.statement.trim();
        let mut text = format!("{}:\n{statement}\n", self.parts.target.shown());
        for (name, value) in &values {
            let _ = write!(text, "\n:{name} = {value}");
        }
        Ok(Some(text))
    }
}

impl SqlSink {
    fn outcome(&self, done: Result<u64, Failure>) -> Outcome {
        let outcome = match done {
            Ok(count) => {
                let rows = if count == 1 { "row" } else { "rows" };
                Outcome::delivered(format!("{count} {rows}")).rule("done")
            }
            Err(failure) => classify::outcome(&failure),
        };
        outcome.request(format!("the statement to {}", self.parts.target.shown()))
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_sql, SqlSink);

#[cfg(test)]
mod tests;
