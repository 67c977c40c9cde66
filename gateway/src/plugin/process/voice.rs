//! The voice: what a plugin's process says, by events or by printing, on its way into the log.
//!
//! Taken out of it are the sink's secrets, and all texts of the leads that are or were on their
//! way just now: a library may print a lead, and people read logs. What comes before the secrets
//! are known waits for them, up to a bound.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use leadgate_plugin::abi;
use leadgate_plugin::child::{Line, Stream};
use serde_json::{Value, json};

use super::super::events;
use super::super::mask::Masks;

/// Events remembered for their texts: so many, with so many bytes.
const RECENT: usize = 1024;
const RECENT_BYTES: usize = 8 << 20;
/// Bytes of an event's text that are looked at.
const LONGEST: usize = 4096;
/// What waits for the secrets to be known.
const EARLY: usize = 100;

/// Whose it is, and what to take out of it.
pub(super) struct Voice {
    sink: String,
    plugin: String,
    masks: OnceLock<Arc<Masks>>,
    early: Mutex<Option<Vec<Said>>>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    events: VecDeque<Arc<Vec<u8>>>,
    bytes: usize,
    /// The texts of these events, once they were looked for: a program that prints much prints
    /// many lines between two leads.
    masks: Option<Arc<Masks>>,
}

struct Said {
    level: u32,
    message: String,
    fields: String,
}

impl Voice {
    pub(super) fn new(sink: &str, plugin: &str) -> Arc<Self> {
        Arc::new(Self {
            sink: sink.to_owned(),
            plugin: plugin.to_owned(),
            masks: OnceLock::new(),
            early: Mutex::new(Some(Vec::new())),
            recent: Mutex::default(),
        })
    }

    /// From now on without these secrets; what has waited goes out.
    pub(super) fn open(&self, masks: Arc<Masks>) {
        // Only fails if they were known before.
        let _ = self.masks.set(masks);
        let early = self
            .early
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for said in early.into_iter().flatten() {
            self.say(said);
        }
    }

    pub(super) fn masks(&self) -> Option<&Arc<Masks>> {
        self.masks.get()
    }

    /// An attempt with that event begins.
    pub(super) fn hears(&self, event: Arc<Vec<u8>>) {
        let mut recent = self.recent();
        recent.bytes += event.len();
        recent.events.push_back(event);
        recent.masks = None;
        while recent.events.len() > RECENT || recent.bytes > RECENT_BYTES {
            let Some(oldest) = recent.events.pop_front() else {
                break;
            };
            recent.bytes -= oldest.len();
        }
    }

    /// An event for the log.
    pub(super) fn log(&self, level: u32, mut message: String, mut fields: String) {
        // What is beyond is cut off later anyway, and would only be looked through.
        message.truncate(message.floor_char_boundary(LONGEST));
        fields.truncate(fields.floor_char_boundary(LONGEST));
        self.wait_or_say(Said {
            level,
            message,
            fields,
        });
    }

    /// A printed line.
    pub(super) fn line(&self, stream: Stream, line: &Line) {
        if line.text.trim().is_empty() && line.cut == 0 && line.dropped == 0 {
            return;
        }
        let (stream, level) = match stream {
            Stream::Output => ("stdout", abi::LOG_INFO),
            Stream::Error => ("stderr", abi::LOG_WARN),
        };
        let mut fields = json!({ "stream": stream });
        if line.cut > 0 {
            fields["bytes_left_out"] = line.cut.into();
        }
        if line.dropped > 0 {
            fields["lines_left_out"] = line.dropped.into();
        }
        self.wait_or_say(Said {
            level,
            message: format!("plugin printed: {}", line.text),
            fields: fields.to_string(),
        });
    }

    fn wait_or_say(&self, said: Said) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(early) = &mut *early {
            if early.len() < EARLY {
                early.push(said);
            }
            return;
        }
        drop(early);
        self.say(said);
    }

    fn say(&self, said: Said) {
        let leads = self.leads();
        let hide = |text: String| {
            let text = leads.hide(text);
            match self.masks.get() {
                Some(masks) => masks.hide(text),
                None => text,
            }
        };
        let (message, fields) = (hide(said.message), hide(said.fields));
        events::log(&self.sink, &self.plugin, said.level, &message, &fields);
    }

    /// The texts of the leads on their way.
    fn leads(&self) -> Arc<Masks> {
        let (events, newest) = {
            let recent = self.recent();
            if let Some(masks) = &recent.masks {
                return Arc::clone(masks);
            }
            let events: Vec<_> = recent.events.iter().cloned().collect();
            (events, recent.events.back().cloned())
        };
        // Not under the lock: an attempt that begins meanwhile does not wait for it.
        let masks = Arc::new(masks_of(&events));
        let mut recent = self.recent();
        let same = match (recent.events.back(), &newest) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, None) => true,
            _ => false,
        };
        if same {
            recent.masks = Some(Arc::clone(&masks));
        }
        masks
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn masks_of(events: &[Arc<Vec<u8>>]) -> Masks {
    let mut texts = Vec::new();
    for event in events {
        let Ok(event) = serde_json::from_slice::<Value>(event) else {
            continue;
        };
        collect(&event["lead"], &mut texts);
        // What came, which may hold what the lead has in another form.
        if let Some(raw) = event["raw"]
            .as_str()
            .and_then(|raw| serde_json::from_str(raw).ok())
        {
            collect(&raw, &mut texts);
        }
    }
    texts.sort_unstable();
    texts.dedup();
    Masks::of_leads(texts.iter().map(String::as_str))
}

/// Digits that a number needs to be somebody's.
const DIGITS: usize = 7;

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            // An object in a text, as Tmall sends some.
            if text.starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str(text)
            {
                collect(&inner, texts);
            }
            texts.push(text.clone());
        }
        Value::Number(number) => {
            let text = number.to_string();
            if text.len() >= DIGITS {
                texts.push(text);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) => {}
    }
}
