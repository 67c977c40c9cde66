//! The `amqp` sink: publishes each lead to an exchange of RabbitMQ, or of another broker that
//! speaks AMQP 0-9-1 and confirms.
//!
//! [`address`] understands where the broker is, [`broker`] hands a message over and waits for
//! the confirmation, [`classify`] says what came of it. Every message is `mandatory`: one that
//! no queue gets is a dead letter and not lost.

mod address;
mod broker;
mod classify;
mod settings;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use leadgate_plugin::template::{self, Context, Engine, Form, Message, Scope, Template};
use leadgate_plugin::{
    Delivery, Host, Outcome, Probe, Problem, Problems, Sink, Stop, pointer_segment,
};
use tokio::time::Instant;

use crate::address::{Address, trust};
use crate::broker::{Broker, Publication};
pub use crate::settings::Settings;

/// Longest name in AMQP, in bytes.
const LONGEST: usize = 255;

/// The sink.
pub struct AmqpSink {
    broker: Broker,
    exchange: ShortString,
    routing_key: Template,
    form: Form,
    persistent: bool,
}

impl Sink for AmqpSink {
    type Settings = Settings;

    type Parts = Self;

    fn prepare(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let engine = Engine::new(host.tables().clone());
        let mut problems = Problems::default();
        let address = problems.keep(Address::new(settings));
        let exchange = ShortString::try_new(settings.exchange.clone());
        let exchange = problems.keep(exchange.map_err(|_| too_long("/exchange")));
        let key = engine.template(&settings.routing_key, &Scope::EVENT);
        let key =
            problems.keep(key.map_err(|mistakes| template::problems(mistakes, "/routing_key")));
        if let Some(key) = &key
            && key.is_plain()
            && key.written().len() > LONGEST
        {
            problems.push(too_long("/routing_key"));
        }
        let form = Form::new(&engine, &settings.headers, settings.body.as_ref());
        let form = problems.keep(form);
        for name in settings.headers.keys() {
            if name.is_empty() || name.len() > LONGEST {
                let message = "not a name that a header can have: 1 to 255 bytes";
                problems.push(Problem::at(
                    format!("/headers{}", pointer_segment(name)),
                    message,
                ));
            }
        }
        let trust = problems.keep(trust(settings));
        if let (Some(address), Some(Some(_))) = (&address, &trust)
            && !address.is_encrypted()
        {
            let problem = Problem::at("/ca", "without TLS nobody shows a certificate");
            problems.push(problem.help("take it out, or use `amqps://` in `url`"));
        }
        match (address, trust, exchange, key, form) {
            (Some(address), Some(trust), Some(exchange), Some(routing_key), Some(form)) => problems
                .into_result(Self {
                    broker: Broker::new(address, trust),
                    exchange,
                    routing_key,
                    form,
                    persistent: settings.persistent.unwrap_or(true),
                }),
            _ => Err(problems),
        }
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Instant::now() + delivery.patience();
        let publication = match self.fill(delivery) {
            Ok((key, message)) => self.publication(key, message, delivery),
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let outcome = match self.broker.publish(&publication, ends).await {
            Ok(()) => Outcome::delivered("confirmed").rule("confirmed"),
            Err(failure) => classify::outcome(&failure),
        };
        // The key as it is written: filled in, it may say something of a person.
        outcome.request(format!(
            "publish to exchange `{}` with key `{}`",
            self.exchange,
            self.routing_key.written()
        ))
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        let authority = &self.broker.address.uri.authority;
        probe
            .reach(&authority.host, authority.port)
            .await
            .map(drop)?;
        let trying = async {
            let done = self.broker.try_login().await;
            done.map_err(|failure| classify::outcome(&failure).reason)
        };
        probe.step("login", trying).await
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let (key, message) = self.fill(delivery)?;
        Ok(Some(format!(
            "publish to exchange `{}` with key `{key}` at {}:\nmessage_id: {}\n{}",
            self.exchange,
            self.broker.address.name(),
            delivery.id(),
            message.readable()
        )))
    }
}

impl AmqpSink {
    fn fill(&self, delivery: &Delivery) -> Result<(ShortString, Message), Problem> {
        let context = self.form.context(delivery)?;
        let key = self.key(&context)?;
        Ok((key, self.form.fill(&context, delivery)?))
    }

    fn key(&self, context: &Context) -> Result<ShortString, Problem> {
        let key = self.routing_key.text(context);
        let key = key.map_err(|error| error.into_problem("/routing_key"))?;
        ShortString::try_new(key.unwrap_or_default()).map_err(|_| too_long("/routing_key"))
    }

    fn publication(&self, key: ShortString, message: Message, delivery: &Delivery) -> Publication {
        let mut headers = FieldTable::default();
        for (name, value) in message.headers {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default()
            .with_message_id(delivery.id().into())
            .with_app_id("leadgate".into())
            .with_content_type("application/json".into())
            .with_delivery_mode(if self.persistent { 2 } else { 1 })
            .with_headers(headers);
        Publication {
            exchange: self.exchange.clone(),
            routing_key: key,
            properties,
            body: message.body,
        }
    }
}

fn too_long(at: &str) -> Problem {
    Problem::at(at, "longer than the 255 bytes that AMQP has room for")
        .help("{{ city_name | truncate_bytes(100) }}")
}

leadgate_plugin::export_sink!(leadgate_plugin_amqp, AmqpSink);

#[cfg(test)]
mod tests;
