//! A pause: since when a sink starts nothing, and who wanted that.

use crate::clock::Millis;

/// Longest note of a pause, in characters.
pub const PAUSE_NOTE: usize = 200;

/// A sink that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when; 0 if that is not known.
    pub since: Millis,
    /// Who wanted it, and why.
    pub cause: PauseCause,
}

/// Who paused a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PauseCause {
    /// A person, with a note of at most [`PAUSE_NOTE`] characters that may be empty.
    Person(String),
    /// The start of the daemon: the sink was at work in each of its last crashes, so many.
    Crashes(u32),
}

impl Pause {
    /// As it is stored: the time, then the cause behind its letter.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.since.to_be_bytes().to_vec();
        match &self.cause {
            PauseCause::Person(note) if note.is_empty() => {}
            PauseCause::Person(note) => {
                bytes.push(b'n');
                bytes.extend_from_slice(note.as_bytes());
            }
            PauseCause::Crashes(count) => {
                bytes.push(b'c');
                bytes.extend_from_slice(&count.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads what was stored. Whatever it says, the sink is paused: what cannot be read is a
    /// person's pause of which nothing is known.
    pub fn decode(bytes: &[u8]) -> Self {
        let (since, rest) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let cause = match rest.split_first() {
            Some((b'c', count)) => count
                .try_into()
                .ok()
                .map(|count| PauseCause::Crashes(u32::from_be_bytes(count))),
            Some((b'n', note)) => Some(PauseCause::Person(
                String::from_utf8_lossy(note).into_owned(),
            )),
            _ => None,
        };
        Self {
            since: Millis::from_be_bytes(*since),
            cause: cause.unwrap_or_else(|| PauseCause::Person(String::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_it_was_stored() {
        for cause in [
            PauseCause::Person(String::new()),
            PauseCause::Person("CRM moves tonight 今晚".to_owned()),
            PauseCause::Crashes(2),
        ] {
            let pause = Pause {
                since: 1_764_000_000_000,
                cause,
            };
            assert_eq!(Pause::decode(&pause.encode()), pause);
        }
    }

    #[test]
    fn whatever_was_stored_is_a_pause() {
        for bytes in [&b""[..], b"abc", b"12345678x", b"12345678c1"] {
            let cause = Pause::decode(bytes).cause;
            assert_eq!(cause, PauseCause::Person(String::new()), "{bytes:?}");
        }
    }
}
