//! The `exec` sink: hands each lead to a program of the merchant's own, as a line of JSON.
//!
//! [`program`] understands the command, [`start`] starts it in its sandbox, [`session`] is one
//! running program with its pipes, [`flight`] the attempts that it has, [`lines`] what it may
//! say, [`supervisor`] starts it again. Whatever a program does costs the attempts that it had,
//! and nothing else.

mod connect;
mod end;
mod flight;
mod line;
pub mod lines;
mod pen;
mod problem;
mod program;
mod recent;
mod sandbox;
mod session;
mod settings;
mod start;
mod stderr;
mod supervisor;
mod throttle;

use std::time::Duration;

use leadgate_plugin::{Delivery, Health, Host, Outcome, Probe, Problem, Problems, Sink, Stop};

use crate::program::Program;
pub use crate::sandbox::SandboxSettings;
use crate::session::Manner;
pub use crate::settings::{Mode, Settings};
use crate::start::Starter;
use crate::supervisor::Supervisor;

/// How long a program may take to end if nobody says so.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The sink.
pub struct ExecSink {
    supervisor: Supervisor,
    check: Option<Vec<String>>,
    once: bool,
}

/// The settings, understood.
pub struct Parts {
    program: Program,
    manner: Manner,
    check: Option<Vec<String>>,
}

impl Sink for ExecSink {
    type Settings = Settings;
    type Parts = Parts;

    fn prepare(settings: &Settings, host: &Host) -> Result<Parts, Problems> {
        Ok(Parts {
            program: Program::new(settings, host)?,
            manner: Manner {
                once: settings.mode == Mode::Each,
                cancel: settings.cancel,
                stop_timeout: settings.stop_timeout.map_or(STOP_TIMEOUT, |given| given.0),
            },
            check: settings.check.clone(),
        })
    }

    fn new(parts: Parts, host: Host) -> Result<Self, Problems> {
        let starter = Starter::new(parts.program, &host);
        Ok(Self {
            once: parts.manner.once,
            supervisor: Supervisor::new(starter, parts.manner, &host),
            check: parts.check,
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        self.supervisor.deliver(delivery).await
    }

    fn health(&self) -> Health {
        self.supervisor.health()
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let line = line::event(delivery)?;
        let shown = &self.supervisor.starter().program.shown;
        let line = String::from_utf8_lossy(&line);
        Ok(Some(format!(
            "write to the stdin of `{shown}`:\n{}",
            line.trim_end()
        )))
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        let starter = self.supervisor.starter();
        connect::walk(starter, self.check.as_deref(), self.once, probe).await
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_exec, ExecSink);

#[cfg(test)]
mod tests;
