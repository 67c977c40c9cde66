//! Power cuts while a segment of the journal that is mostly dead is written anew and removed.

use std::collections::BTreeMap;

use leadgate_tests::{Behaviour, Crm, Daemon, Load, SUCCESS, Trace, times, until};

use super::super::segments;
use super::{Run, setup};

/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 10;

/// Pushes leads one after the other and notes how long the trace is when they are acknowledged.
struct Pushed<'a> {
    daemon: &'a Daemon,
    next: u64,
    acknowledged: BTreeMap<u64, u64>,
}

impl Pushed<'_> {
    fn push(&mut self) {
        let answer = self.daemon.shop().push(Load::lead(self.next));
        assert_eq!(answer.expect("answered").body, SUCCESS);
        let length = Trace::length(&self.daemon.trace());
        self.acknowledged.insert(self.next, length);
        self.next += 1;
    }
}

#[test]
fn after_a_power_cut_while_a_segment_is_cleaned_everything_that_counts_is_there() {
    let (prompt, late) = (Crm::start(), Crm::start());
    late.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(segments::roomy(setup(&prompt, &late)).recorded());
    let journal = daemon.folder().join("store/journal");
    let mut pushed = Pushed {
        daemon: &daemon,
        next: 1,
        acknowledged: BTreeMap::new(),
    };
    let quarantined = segments::fill_one(&daemon, || pushed.push());
    let length = || Trace::length(&daemon.trace());
    let began = length();
    let mut lengths = Vec::new();
    segments::discard(&daemon, quarantined, || lengths.push(length()));
    let discarded: Vec<_> = lengths.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    // Pushes come all the while.
    let first = journal.join("00000001.seg");
    until("the segment is cleaned and gone", || {
        pushed.push();
        std::thread::sleep(std::time::Duration::from_millis(20));
        !first.exists()
    });
    let ended = length();
    let acknowledged = pushed.acknowledged;
    assert_eq!(daemon.terminate(), Some(0));
    let mut run = Run::of(prompt, late, &daemon, acknowledged);
    drop(daemon);
    run.quarantined = quarantined;
    let discarded = discarded.into_iter().map(|lengths| run.gone_by(lengths));
    run.discarded = discarded.collect();
    let gone = run.trace.unlinked("00000001.seg");
    let gone = *gone.first().expect("it was removed");
    let within = run.trace.records_within(began)..run.trace.records_within(ended);
    let cuts = run.trace.steps(within, CUTS * times());
    run.cut(cuts.into_iter().chain(gone - 2..gone + 3));
}
