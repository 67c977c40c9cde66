//! Power cuts while leads are erased: what was acknowledged as erased is in no file afterwards,
//! and nothing else is lost.

use std::collections::{BTreeMap, BTreeSet};

use leadgate_tests::{Behaviour, Crm, Daemon, Load, Trace, counted, times, until};
use serde_json::json;

use super::{Run, files, setup, texts_in};

/// Leads in the store before anything is erased.
const LEADS: usize = 60;
/// Leads that are erased, one after the other, while others are pushed.
const ERASED: u64 = 5;
/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 24;

/// Erases all that has a record id. A lead that is being delivered is left, and said to be.
fn erase(daemon: &Daemon, record: u64) {
    until("it is erased", || {
        let wish = json!({ "record_id": record.to_string() });
        let answer = daemon.post("/leads/erase", &wish);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        let count = |what: &str| answer[what].as_array().expect("a list").len();
        assert_eq!(count("leads") + count("left"), 1, "{answer}");
        assert!(answer["not_wiped"].is_null(), "{answer}");
        count("left") == 0
    });
}

#[test]
fn after_a_power_cut_while_leads_are_erased_they_are_gone_once_it_was_said_and_all_others_are_there()
 {
    let (prompt, late) = (Crm::start(), Crm::start());
    late.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(setup(&prompt, &late).recorded());
    let store = daemon.folder().join("store");
    let trace = daemon.trace();
    let length = move || Trace::length(&trace);
    let load = Load::noting(&daemon.shop(), length.clone());
    until("some are acknowledged", || load.count() >= LEADS);
    let before: Vec<u64> = load.so_far().into_iter().collect();
    let mut acknowledged = load.stop();
    let chosen = before.iter().copied().step_by(before.len() / 5);
    let chosen: Vec<u64> = chosen.take(usize::try_from(ERASED).expect("few")).collect();
    let there = |wanted: &[u64]| -> BTreeSet<u64> {
        let texts = files(&store).into_values().map(|bytes| texts_in(&bytes));
        let texts: BTreeSet<u64> = texts.flatten().collect();
        wanted
            .iter()
            .copied()
            .filter(|one| texts.contains(one))
            .collect()
    };
    assert_eq!(
        there(&chosen).len(),
        chosen.len(),
        "this test cannot see one"
    );
    let began = length();
    let mut lengths = BTreeMap::new();
    for (number, record) in (0..).zip(&chosen) {
        let asked = length();
        erase(&daemon, *record);
        lengths.insert(*record, (asked, length()));
        // Others come in between; two erasures also follow each other at once.
        if number % 2 == 0 {
            let another = 1_000_000 + number;
            let answer = daemon.shop().push(Load::lead(another)).expect("answered");
            assert_eq!(answer.body, leadgate_tests::SUCCESS);
            acknowledged.insert(another, length());
        }
    }
    let ended = length();
    let left = there(&chosen);
    counted(format_args!(
        "erased {}, of whom the files of the store have {}",
        chosen.len(),
        left.len()
    ));
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(daemon.terminate(), Some(0));
    let mut run = Run::of(prompt, late, &daemon, acknowledged);
    run.erased = lengths
        .into_iter()
        .map(|(record, lengths)| (record, run.gone_by(lengths)))
        .collect();
    let within = run.trace.records_within(began)..run.trace.records_within(ended);
    let said = run.erased.values().map(|gone| gone.acknowledged);
    let said: Vec<usize> = said.collect();
    let cuts = run.trace.steps(within, CUTS * times());
    run.cut(cuts.into_iter().chain(said));
}
