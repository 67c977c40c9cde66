//! The `kafka` sink: produces each lead to a topic, acknowledged by all replicas in sync.
//!
//! [`cluster`] understands the settings, [`producer`] hands a record over and waits for its
//! place, [`classify`] says what came of it. librdkafka's own repeats add nothing; what an
//! attempt repeats has the same delivery id in its header.

mod classify;
mod cluster;
mod producer;
mod settings;

use leadgate_plugin::template::{self, Engine, Form, Message, Scope, Template};
use leadgate_plugin::{
    Delivery, Host, Outcome, Probe, Problem, Problems, Sink, Stop, pointer_segment,
};

use crate::cluster::Cluster;
use crate::producer::{Failure, ID, Place, Producer, Record};
pub use crate::settings::{OptionValue, Settings};

/// The key, if not said.
const KEY: &str = "{{ record_id | default(id) }}";

/// The sink.
pub struct KafkaSink {
    producer: Producer,
    topic: String,
    key: Template,
    form: Form,
}

/// The settings, understood.
pub struct Parts {
    cluster: Cluster,
    topic: String,
    key: Template,
    form: Form,
}

impl Sink for KafkaSink {
    type Settings = Settings;

    type Parts = Parts;

    const BATCH: usize = 256;

    fn prepare(settings: &Settings, host: &Host) -> Result<Parts, Problems> {
        let engine = Engine::new(host.tables().clone());
        let mut problems = Problems::default();
        let cluster = problems.keep(Cluster::new(settings));
        let key = settings.key.as_deref().unwrap_or(KEY);
        let key = engine.template(key, &Scope::EVENT);
        let key = problems.keep(key.map_err(|mistakes| template::problems(mistakes, "/key")));
        let form = Form::new(&engine, &settings.headers, settings.body.as_ref());
        let form = problems.keep(form);
        for name in settings.headers.keys() {
            let at = format!("/headers{}", pointer_segment(name));
            if name == ID {
                let problem = Problem::at(at, "this header is always the delivery's id");
                problems.push(problem.help("choose another name"));
            } else if name.is_empty() || name.contains('\0') {
                problems.push(Problem::at(at, "not a name that a header can have"));
            }
        }
        match (cluster, key, form) {
            (Some(cluster), Some(key), Some(form)) => problems.into_result(Parts {
                cluster,
                topic: settings.topic.clone(),
                key,
                form,
            }),
            _ => Err(problems),
        }
    }

    fn new(parts: Parts, host: Host) -> Result<Self, Problems> {
        Ok(Self {
            producer: Producer::new(parts.cluster, parts.topic.clone(), host),
            topic: parts.topic,
            key: parts.key,
            form: parts.form,
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let (key, message) = match self.fill(delivery) {
            Ok(filled) => filled,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let produced = self
            .producer
            .produce(key.as_deref(), delivery.id(), &message, delivery.patience())
            .await;
        self.outcome(produced)
    }

    async fn deliver_batch(&self, deliveries: &[Delivery]) -> Vec<Outcome> {
        let filled: Vec<_> = deliveries.iter().map(|one| self.fill(one)).collect();
        let good = deliveries.iter().zip(&filled);
        let records = good.filter_map(|(delivery, filled)| {
            let (key, message) = filled.as_ref().ok()?;
            let (key, id) = (key.as_deref(), delivery.id());
            Some(Record { key, id, message })
        });
        let records: Vec<_> = records.collect();
        let patience = deliveries.iter().map(Delivery::patience).min();
        let produced = self
            .producer
            .produce_all(&records, patience.unwrap_or_default());
        let mut produced = produced.await.into_iter();
        let mut outcomes = Vec::with_capacity(deliveries.len());
        for filled in &filled {
            outcomes.extend(match filled {
                Ok(_) => produced.next().map(|produced| self.outcome(produced)),
                Err(problem) => Some(Outcome::rejected(problem.to_string()).rule("template")),
            });
        }
        outcomes
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        // librdkafka finds the brokers' addresses itself, and any one of them is enough.
        let trying = async {
            let done = self.producer.try_login(probe.ends()).await;
            let note = "logged in, and the topic is there".to_owned();
            done.map(|()| ((), note))
                .map_err(|failure| classify::outcome(&failure).reason)
        };
        probe.noted("login", trying).await
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let (key, message) = self.fill(delivery)?;
        Ok(Some(format!(
            "produce to {} with key {} at {}:\n{ID}: {}\n{}",
            self.topic,
            key.as_deref().unwrap_or("(none)"),
            self.producer.cluster.name(),
            delivery.id(),
            message.readable()
        )))
    }
}

impl KafkaSink {
    fn outcome(&self, produced: Result<Place, Failure>) -> Outcome {
        let outcome = match produced {
            Ok(place) => {
                let receipt = format!("{}[{}]@{}", self.topic, place.partition, place.offset);
                Outcome::delivered(receipt.clone())
                    .rule("acknowledged")
                    .response(receipt)
            }
            Err(failure) => classify::outcome(&failure),
        };
        outcome.request(format!("produce to {}", self.topic))
    }

    fn fill(&self, delivery: &Delivery) -> Result<(Option<String>, Message), Problem> {
        let context = self.form.context(delivery)?;
        let key = self.key.text(&context);
        let key = key.map_err(|error| error.into_problem("/key"))?;
        Ok((key, self.form.fill(&context, delivery)?))
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_kafka, KafkaSink);

#[cfg(test)]
mod tests;
