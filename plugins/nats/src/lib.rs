//! The `nats` sink: publishes each lead to a stream of NATS JetStream.
//!
//! [`servers`] and [`subject`] understand the settings, [`stream`] hands a message over and
//! waits until it is stored, [`classify`] says what came of it. The message's id is that of
//! the delivery, so the stream itself leaves out what an attempt repeats. A lead never chooses
//! more of the subject than the token it fills.

mod classify;
mod servers;
mod settings;
mod stream;
mod subject;

use std::str::FromStr;

use async_nats::header::HeaderName;
use leadgate_plugin::template::{Engine, Form, Message};
use leadgate_plugin::{
    Delivery, Host, Outcome, Probe, Problem, Problems, Sink, Stop, pointer_segment,
};
use tokio::time::Instant;

use crate::servers::Servers;
pub use crate::settings::Settings;
use crate::stream::Stream;
use crate::subject::Subject;

/// The sink.
pub struct NatsSink {
    stream: Stream,
    subject: Subject,
    form: Form,
}

impl Sink for NatsSink {
    type Settings = Settings;

    type Parts = Self;

    fn prepare(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let engine = Engine::new(host.tables().clone());
        let mut problems = Problems::default();
        let servers = problems.keep(Servers::new(settings));
        let subject = problems.keep(Subject::new(&settings.subject, &engine));
        let form = Form::new(&engine, &settings.headers, settings.body.as_ref());
        let form = problems.keep(form);
        problems.extend(
            settings
                .headers
                .keys()
                .filter_map(|name| wrong_header(name)),
        );
        match (servers, subject, form) {
            (Some(servers), Some(subject), Some(form)) => problems.into_result(Self {
                stream: Stream::new(servers),
                subject,
                form,
            }),
            _ => Err(problems),
        }
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Instant::now() + delivery.patience();
        let (subject, message) = match self.fill(delivery) {
            Ok(filled) => filled,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let published = self
            .stream
            .publish(&subject, delivery.id(), &message, ends)
            .await;
        let outcome = match published {
            Ok(stored) => {
                let receipt = format!("{} seq {}", stored.stream, stored.seq);
                if stored.duplicate {
                    Outcome::duplicate().rule("duplicate").response(receipt)
                } else {
                    Outcome::delivered(receipt.clone())
                        .rule("stored")
                        .response(receipt)
                }
            }
            Err(failure) => classify::outcome(&failure),
        };
        // As it is written: filled in, it may say something of a person.
        outcome.request(format!("publish to {}", self.subject.written()))
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        // Of several servers any one is enough, and the login tries them all.
        if let [one] = self.stream.servers.addresses.as_slice() {
            probe.reach(one.host(), one.port()).await.map(drop)?;
        }
        let trying = async {
            let done = self.stream.try_login(probe.ends()).await;
            done.map_err(|failure| classify::outcome(&failure).reason)
        };
        Box::pin(probe.step("login", trying)).await
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let (subject, message) = self.fill(delivery)?;
        Ok(Some(format!(
            "publish to {subject} at {}:\nNats-Msg-Id: {}\n{}",
            self.stream.servers.names(),
            delivery.id(),
            message.readable()
        )))
    }
}

impl NatsSink {
    fn fill(&self, delivery: &Delivery) -> Result<(String, Message), Problem> {
        let context = self.form.context(delivery)?;
        let subject = self.subject.fill(&context)?;
        Ok((subject, self.form.fill(&context, delivery)?))
    }
}

/// `Nats-` headers tell JetStream what to do, and the id is ours.
fn wrong_header(name: &str) -> Option<Problem> {
    let at = format!("/headers{}", pointer_segment(name));
    if name.is_empty() || HeaderName::from_str(name).is_err() {
        Some(Problem::at(at, "not a name that a header can have").help("such as x-store"))
    } else if name.to_ascii_lowercase().starts_with("nats-") {
        let problem = Problem::at(
            at,
            "headers that begin with `Nats-` tell JetStream what to do",
        );
        Some(problem.help("`Nats-Msg-Id` is always the delivery's id; choose another name"))
    } else {
        None
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_nats, NatsSink);

#[cfg(test)]
mod tests;
