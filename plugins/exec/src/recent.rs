//! Recent leads: whose words a program may repeat in what it writes beside its answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leadgate_plugin::redact::Redactor;

/// Leads that are remembered.
const LEADS: usize = 64;
/// The most that they may take, in bytes.
const BYTES: usize = 4 << 20;

/// The events that a program got last. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Leads>>);

#[derive(Default)]
struct Leads {
    events: VecDeque<Vec<u8>>,
    bytes: usize,
    /// What they say, once it was looked for: a program writes many lines between two leads.
    redactor: Option<Redactor>,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Leads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, event: &[u8]) {
        let mut recent = self.lock();
        recent.bytes += event.len();
        recent.events.push_back(event.to_vec());
        recent.redactor = None;
        while recent.events.len() > LEADS || (recent.bytes > BYTES && recent.events.len() > 1) {
            let oldest = recent.events.pop_front().unwrap_or_default();
            recent.bytes -= oldest.len();
        }
    }

    /// `text` without what these leads say and without long numbers.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut recent = self.lock();
        let Leads {
            events, redactor, ..
        } = &mut *recent;
        let made = || Redactor::of_events(events.iter().map(Vec::as_slice));
        redactor.get_or_insert_with(made).text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_last_leads_are_hidden_and_their_number_is_bounded() {
        let recent = Recent::default();
        for number in 0..=LEADS {
            recent.add(format!(r#"{{"lead":{{"name":"person-{number:03}"}}}}"#).as_bytes());
        }
        assert_eq!(
            recent.hide("person-064 person-001 13567658911"),
            "*** *** ***"
        );
        assert_eq!(recent.hide("person-000"), "person-000", "long ago");
        let large = format!(r#"{{"lead":{{"name":"{}"}}}}"#, "x".repeat(BYTES));
        recent.add(large.as_bytes());
        assert_eq!(recent.lock().events.len(), 1);
    }
}
