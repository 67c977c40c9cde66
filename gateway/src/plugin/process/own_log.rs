//! What leadgate itself logs in a plugin's process: sent to the gateway as an event.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use leadgate_plugin::abi;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use super::frame::Kind;
use super::message::{self, Event};
use super::wire::Writer;

/// From now on.
pub(super) fn start(writer: Arc<Writer>) {
    let subscriber = Registry::default().with(Forward(writer));
    // Only fails if somebody else has taken it.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Forward(Arc<Writer>);

impl<S: tracing::Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => abi::LOG_ERROR,
            tracing::Level::WARN => abi::LOG_WARN,
            tracing::Level::INFO => abi::LOG_INFO,
            _ => return,
        };
        if !event.metadata().target().starts_with("leadgate") {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let event = Event {
            level,
            message: said.message,
            fields: Value::Object(said.fields).to_string(),
        };
        self.0.send(|out| message::json(out, Kind::Log, 0, &event));
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Visit for Said {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing into a text does not fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            let value = format!("{value:?}");
            self.fields.insert(field.name().to_owned(), value.into());
        }
    }
}
