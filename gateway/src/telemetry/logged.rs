//! What is logged on this thread.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;

/// Events, a line of JSON each, as long as this is there.
pub(crate) struct Logged {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    pub(crate) fn here() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The fields of the events that say this.
    pub(crate) fn events(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.0.lock().expect("nobody panicked");
        let lines = String::from_utf8(lines.clone()).expect("text");
        let events = lines.lines().map(|line| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            event["fields"].clone()
        });
        events
            .filter(|fields| fields["message"] == message)
            .collect()
    }
}
