//! The `email` sink: sends each lead as one message to a mail server.
//!
//! [`parts`] understands the settings, [`letter`] makes a message of them and a lead,
//! [`server`] hands it over, [`classify`] says what came of it. A lead never chooses who
//! sends, and neither addresses nor the password are in any record.

mod classify;
mod letter;
mod mailbox;
mod mime;
mod parts;
mod redact;
mod server;
mod settings;
mod trust;

use std::time::SystemTime;

use leadgate_plugin::{Delivery, Host, Level, Outcome, Problem, Problems, Sink};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::letter::Letter;
use crate::parts::{Parts, with_local};
use crate::redact::Redactor;
use crate::server::Taken;
pub use crate::settings::{Lang, Settings, Tls};

/// The sink.
pub struct EmailSink {
    parts: Parts,
    host: Host,
}

impl Sink for EmailSink {
    type Settings = Settings;

    fn check(settings: &Settings, host: &Host) -> Problems {
        match Parts::new(settings, host) {
            Ok(_) => Problems::default(),
            Err(problems) => problems,
        }
    }

    fn new(settings: Settings, host: Host) -> Result<Self, Problems> {
        let parts = Parts::new(&settings, &host)?;
        Ok(Self { parts, host })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Instant::now() + delivery.patience();
        let (event, letter) = match self.letter(delivery, SystemTime::now()) {
            Ok(both) => both,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let people = letter.to.iter().chain([&letter.from]);
        let people = people.flat_map(|address| with_local(AsRef::<str>::as_ref(address)));
        let redactor = self.parts.redactor(&event, people);
        let request = format!(
            "message for {} recipients to {}",
            letter.to.len(),
            self.parts.server.address()
        );
        let outcome = match self.parts.server.send(&letter, ends).await {
            Ok(taken) => self.delivered(&taken, &letter, delivery, &redactor),
            Err(failure) => classify::outcome(&failure, &redactor),
        };
        outcome.request(request)
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let (_, letter) = self.letter(delivery, SystemTime::now())?;
        Ok(Some(format!(
            "message to {}:\n{}",
            self.parts.server.address(),
            letter.readable
        )))
    }
}

impl EmailSink {
    fn letter(&self, delivery: &Delivery, now: SystemTime) -> Result<(Value, Letter), Problem> {
        let event: Value = serde_json::from_slice(delivery.event_bytes())
            .map_err(|_| Problem::at("", "the event is not JSON"))?;
        let context = self.parts.context(&event, delivery);
        let letter = Letter::new(&self.parts, delivery.id(), &context, now)?;
        Ok((event, letter))
    }

    fn delivered(
        &self,
        taken: &Taken,
        letter: &Letter,
        delivery: &Delivery,
        redactor: &Redactor,
    ) -> Outcome {
        let receipt = format!("{} {}", taken.code, redactor.text(&taken.text));
        let Some((code, text)) = taken.refused.first() else {
            return Outcome::delivered(receipt.clone())
                .rule("taken")
                .response(receipt);
        };
        let (refused, all) = (taken.refused.len(), letter.to.len());
        let fields = json!({
            "delivery": delivery.id(), "refused": refused, "recipients": all, "code": code,
        });
        self.host.log(
            Level::Warn,
            "the mail server refused some recipients",
            &fields,
        );
        let said = format!(
            "{receipt}; refused {refused} of {all} recipients: {code} {}",
            redactor.text(text)
        );
        Outcome::delivered(said.clone())
            .rule("taken-in-part")
            .response(said)
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_email, EmailSink);

#[cfg(test)]
mod tests;
