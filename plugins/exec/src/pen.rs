//! The pen: what is to be written to a program, and how far that is.
//!
//! Knows at which byte of all that was written each event begins, so that what the program did
//! not read can be told from what it read.

use std::collections::VecDeque;

use crate::flight::Flight;

/// Lines to write.
#[derive(Default)]
pub(crate) struct Pen {
    /// With the id of the event, if it is one.
    lines: VecDeque<(Option<String>, Vec<u8>)>,
    /// Bytes of the first that are written.
    done: usize,
    /// Bytes that were written in all.
    pub(crate) written: u64,
}

impl Pen {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn add(&mut self, id: Option<String>, line: Vec<u8>) {
        self.lines.push_back((id, line));
    }

    pub(crate) fn rest(&self) -> &[u8] {
        self.lines
            .front()
            .map_or(&[], |(_, line)| &line[self.done..])
    }

    /// Leaves out lines that were not begun and whose event nobody waits for.
    pub(crate) fn skip(&mut self, flight: &Flight) {
        let mut begun = self.done > 0;
        self.lines.retain(|(id, _)| {
            let kept = begun || id.as_ref().is_none_or(|id| flight.waits(id));
            begun = false;
            kept
        });
    }

    pub(crate) fn wrote(&mut self, length: usize, flight: &mut Flight) {
        if self.done == 0
            && let Some((Some(id), _)) = self.lines.front()
        {
            flight.hand(id, self.written);
        }
        self.written += length as u64;
        self.done += length;
        if self
            .lines
            .front()
            .is_some_and(|(_, line)| line.len() == self.done)
        {
            self.lines.pop_front();
            self.done = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leadgate_plugin::{Delivery, Outcome, OutcomeKind};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;
    use crate::flight::Handing;

    fn come(flight: &mut Flight, pen: &mut Pen, id: &str) -> oneshot::Receiver<Outcome> {
        let (done, outcome) = oneshot::channel();
        let handing = Handing {
            delivery: Delivery::new(id, 1, Duration::from_secs(1), "{}"),
            ends: Instant::now(),
            done,
        };
        flight.take(handing, Instant::now());
        pen.add(Some(id.to_owned()), b"0123456789".to_vec());
        outcome
    }

    #[test]
    fn an_event_is_handed_with_its_first_byte() {
        let (mut flight, mut pen) = (Flight::default(), Pen::default());
        let mut one = come(&mut flight, &mut pen, "one");
        let mut two = come(&mut flight, &mut pen, "two");
        let mut three = come(&mut flight, &mut pen, "three");
        pen.wrote(10, &mut flight);
        pen.wrote(4, &mut flight);
        assert_eq!((pen.rest(), pen.written), (b"456789".as_slice(), 14));
        // Of what was written the program read the first and a piece of the second.
        flight.end_all(12, "", "");
        let kind = |one: &mut oneshot::Receiver<Outcome>| one.try_recv().expect("ended").kind;
        assert_eq!(kind(&mut one), OutcomeKind::Ambiguous);
        assert_eq!(kind(&mut two), OutcomeKind::Ambiguous);
        assert_eq!(kind(&mut three), OutcomeKind::Retry);
    }

    #[test]
    fn what_nobody_waits_for_is_left_out_unless_it_was_begun() {
        let (mut flight, mut pen) = (Flight::default(), Pen::default());
        let begun = come(&mut flight, &mut pen, "begun");
        let left = come(&mut flight, &mut pen, "left");
        let _waits = come(&mut flight, &mut pen, "waits");
        pen.wrote(3, &mut flight);
        drop((begun, left));
        pen.skip(&flight);
        assert_eq!(pen.len(), 2);
        assert_eq!(pen.rest(), b"3456789");
        pen.wrote(7, &mut flight);
        assert_eq!(pen.written, 10);
        pen.wrote(10, &mut flight);
        assert!(pen.is_empty());
    }
}
