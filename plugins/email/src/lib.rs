//! The `email` sink: sends each lead as one message to a mail server.
//!
//! [`parts`] understands the settings, [`letter`] makes a message of them and a lead,
//! [`server`] hands it over, [`classify`] says what came of it, [`step_record`] remembers who has
//! it. A lead never chooses who sends, and neither addresses nor the password are in any record.

mod classify;
mod letter;
mod mailbox;
mod mime;
mod named;
mod parts;
mod redact;
mod server;
mod settings;
mod step_record;
mod trust;

use std::time::SystemTime;

use leadgate_plugin::{Delivery, Host, Level, Outcome, Probe, Problem, Problems, Sink, Stop};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::letter::Letter;
use crate::parts::{Parts, with_local};
use crate::redact::Redactor;
use crate::server::{Failure, Fault, Refused, Stage, Taken};
pub use crate::settings::{Lang, Settings, Tls};
use crate::step_record::StepRecord;

/// The sink.
pub struct EmailSink {
    parts: Parts,
    host: Host,
}

impl Sink for EmailSink {
    type Settings = Settings;

    type Parts = Parts;

    fn prepare(settings: &Settings, host: &Host) -> Result<Parts, Problems> {
        Parts::new(settings, host)
    }

    fn new(parts: Parts, host: Host) -> Result<Self, Problems> {
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
        let Some(mut record) = StepRecord::read(&delivery.step_record()) else {
            let reason = "what an earlier attempt kept cannot be read: some recipients may have it";
            return Outcome::ambiguous(reason)
                .rule("step-record")
                .request(request);
        };
        let outcome = self
            .send(&letter, delivery, &mut record, &redactor, ends)
            .await;
        outcome.request(request)
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        self.parts.server.walk(probe).await
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
        let event = delivery.json()?;
        let context = self.parts.context(&event, delivery);
        let letter = Letter::new(&self.parts, delivery.id(), &context, now)?;
        Ok((event, letter))
    }

    /// Hands the letter to all who have not got it yet, as often as the server takes some of
    /// them and asks to be given the others apart.
    async fn send(
        &self,
        letter: &Letter,
        delivery: &Delivery,
        record: &mut StepRecord,
        redactor: &Redactor,
        ends: Instant,
    ) -> Outcome {
        let id = delivery.id();
        let mut receipt = "taken in an earlier attempt".to_owned();
        loop {
            let waiting = record.waiting(id, &letter.to);
            if waiting.is_empty() {
                return self.delivered(&receipt, None, letter, delivery, record);
            }
            // Who has it must be kept before anybody else is tried again.
            let all = !record.has_room(waiting.len());
            let taken = match self.parts.server.send(letter, &waiting, all, ends).await {
                Ok(taken) => taken,
                Err(Failure {
                    stage: Stage::Recipients,
                    fault: Fault::Answer(code @ 500.., text),
                }) if !record.is_empty() => {
                    let last = format!("{code} {}", redactor.text(&text));
                    record.add(id, [], &waiting);
                    return self.delivered(&receipt, Some(last), letter, delivery, record);
                }
                Err(failure) => {
                    let mut outcome = classify::outcome(&failure, redactor);
                    if !record.is_empty() {
                        outcome.reason = format!(
                            "{}; {} of {} recipients wait for it",
                            outcome.reason,
                            waiting.len(),
                            letter.to.len()
                        );
                    }
                    return outcome;
                }
            };
            let Taken { code, text, told } = taken;
            let last =
                |refused: &Refused| format!("{} {}", refused.code, redactor.text(&refused.text));
            receipt = format!("{code} {}", redactor.text(&text));
            let refused = told.refused.iter().map(|refused| &refused.recipient);
            record.add(id, &told.taken, refused);
            let Some(first) = told.later.first() else {
                let refused = told.refused.first().map(last);
                return self.delivered(&receipt, refused, letter, delivery, record);
            };
            if delivery.keep(&record.text()).is_err() {
                let reason = "who has the letter could not be kept";
                return Outcome::ambiguous(reason).rule("step-record");
            }
            if !asks_for_less(first) || Instant::now() >= ends {
                let reason = format!(
                    "{} of {} recipients are refused for now, the others have it: {}",
                    told.later.len(),
                    letter.to.len(),
                    last(first)
                );
                return Outcome::retry(None, reason)
                    .rule("taken-in-part")
                    .response(format!("{receipt}; {}", last(first)));
            }
        }
    }

    /// Nobody waits for the letter any more.
    fn delivered(
        &self,
        receipt: &str,
        last: Option<String>,
        letter: &Letter,
        delivery: &Delivery,
        record: &StepRecord,
    ) -> Outcome {
        let (refused, all) = (record.refused(), letter.to.len());
        if refused == 0 {
            return Outcome::delivered(receipt).rule("taken").response(receipt);
        }
        let fields = json!({"delivery": delivery.id(), "refused": refused, "recipients": all});
        self.host.log(
            Level::Warn,
            "the mail server refused some recipients",
            &fields,
        );
        let why = last.map(|last| format!(": {last}")).unwrap_or_default();
        let said = format!("{receipt}; refused {refused} of {all} recipients{why}");
        Outcome::delivered(said.clone())
            .rule("taken-in-part")
            .response(said)
    }
}

/// Whether the server takes this recipient in another message: it has a limit for each (RFC
/// 5321, 4.5.3.1.10).
fn asks_for_less(refused: &Refused) -> bool {
    refused.code == 452 && refused.text.starts_with("4.5.3")
}

leadgate_plugin::export_sink!(leadgate_plugin_email, EmailSink);

#[cfg(test)]
mod tests;
