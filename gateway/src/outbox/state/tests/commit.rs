//! Changes of one commit: each sees those before it, a failed one leaves nothing; sinks.

use super::*;
use crate::outbox::{Pause, PauseCause, SINK_STATE_KEYS};

#[test]
fn a_change_that_fails_leaves_nothing_and_the_others_are_made() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["mail", "once"]));
    let before = store.totals.clone();
    let done = store.commit(&[
        Change::Accept(push(2, 1, &["crm"])),
        // Supersedes the first revision and makes another before it fails.
        Change::Accept(push(1, 2, &["mail", "crm", "nobody"])),
        Change::Accept(push(3, 1, &["nobody"])),
        Change::Accept(push(3, 1, &["crm"])),
    ]);
    assert!(matches!(&done[1], Err(Fault::Sink(name)) if name == "nobody"));
    assert!(done[0].is_ok() && done[2].is_err() && done[3].is_ok());
    assert_eq!(
        store.state(lead, "mail", 1),
        Stands::Waiting { due_at: 1_000 }
    );
    assert_eq!(store.memory.leads[&lead].revisions.len(), 1);
    assert_eq!(store.wake, ["crm"], "nothing became due for the others");
    assert_eq!(store.totals.accepted, before.accepted + 2);
    assert_eq!(store.totals.sinks["mail"], before.sinks["mail"]);
    assert_eq!(store.totals.sinks["once"], before.sinks["once"]);
    assert!(!store.totals.sinks.contains_key("nobody"));
    assert!(
        store.hands.claim(store.head(lead, "mail", 1).id),
        "it is held no more"
    );
}

#[test]
fn a_failed_change_leaves_no_counts_of_a_sink_that_had_none() {
    let mut store = Store::new();
    let before = store.totals.clone();
    store.commit(&[Change::Accept(push(1, 2, &["mail", "crm", "nobody"]))]);
    assert_eq!(store.totals, before);
    assert!(store.log.is_empty());
}

#[test]
fn a_lead_that_cannot_be_read_fails_only_what_needs_it() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let id = store.head(lead, "crm", 1).id;
    store.memory.damaged.insert(lead);
    let done = store.commit(&[
        Change::Accept(push(1, 2, &["crm"])),
        Change::Repair {
            id,
            repair: RETRY,
            now: 1,
        },
        Change::Accept(push(2, 2, &["crm"])),
    ]);
    let failed: Vec<bool> = done.iter().map(Result::is_err).collect();
    assert_eq!(failed, [true, true, false]);
}

#[test]
fn a_change_sees_those_before_it() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let head = store.claim(lead, "crm", 1);
    let finish = store.attempt(lead, &head, DEAD, 5_000);
    let repair = |repair| Change::Repair {
        id: head.id,
        repair,
        now: 6_000,
    };
    let done = store.commit(&[
        Change::Accept(push(1, 2, &["crm"])),
        Change::Finish(finish),
        repair(Repair::Cancel),
        Change::Accept(push(1, 3, &["crm"])),
        repair(RETRY),
        repair(FORCE),
    ]);
    let repaired: Vec<&Done> = done.iter().flatten().collect();
    assert_eq!(*repaired[2], Done::Repaired(Repaired::Done));
    assert_eq!(*repaired[4], Done::Repaired(Repaired::Newer));
    // Its claim ends with the commit.
    assert_eq!(*repaired[5], Done::Repaired(Repaired::Done));
    assert_eq!(
        store.state(lead, "crm", 2),
        Stands::Waiting { due_at: 5_000 }
    );
    assert_eq!(store.state(lead, "crm", 3), Stands::Behind);
    assert_eq!(store.head(lead, "crm", 1).class(), Class::Retrying);
}

fn pause(cause: Option<PauseCause>, now: Millis) -> Change {
    Change::Pause {
        sink: "crm".into(),
        cause,
        now,
    }
}

#[test]
fn a_pause_of_one_that_is_paused_keeps_the_time_of_the_first() {
    let mut store = Store::new();
    let note = PauseCause::Person("the CRM moves".to_owned());
    store.commit(&[
        pause(Some(PauseCause::Crashes(2)), 10),
        pause(Some(note.clone()), 20),
    ]);
    let paused = |since, cause: &PauseCause| Pause {
        since,
        cause: cause.clone(),
    };
    assert_eq!(store.memory.pauses["crm"], paused(10, &note));
    assert_eq!(store.wake, ["crm"]);
    store.one(pause(Some(note.clone()), 30));
    assert_eq!((store.log.len(), store.wake.len()), (2, 0), "nothing new");
    store.commit(&[pause(None, 40), pause(Some(note.clone()), 50)]);
    assert_eq!(store.memory.pauses["crm"], paused(50, &note));
    store.one(pause(None, 60));
    assert!(store.memory.pauses.is_empty());
    let unknown = store.commit(&[Change::Pause {
        sink: "nobody".into(),
        cause: None,
        now: 1,
    }]);
    assert!(matches!(unknown[0], Err(Fault::Sink(_))));
}

#[test]
fn a_sink_keeps_so_many_values_and_no_more() {
    let mut store = Store::new();
    let keep = |sink: &str, key: String, value: Option<&str>| Change::SinkState {
        sink: sink.into(),
        key,
        value: value.map(|text| text.as_bytes().to_vec()),
    };
    let all: Vec<Change> = (0..=SINK_STATE_KEYS)
        .map(|number| keep("crm", format!("k{number}"), Some("v")))
        .collect();
    let mut done = store.commit(&all);
    assert!(matches!(done.pop(), Some(Ok(Done::Did(false)))));
    assert!(done.iter().all(|one| matches!(one, Ok(Done::Did(true)))));
    assert_eq!(
        store.one(keep("crm", "k3".to_owned(), Some("w"))),
        Done::Did(true)
    );
    assert_eq!(
        store.one(keep("mail", "more".to_owned(), Some("v"))),
        Done::Did(true)
    );
    assert_eq!(
        store.one(keep("crm", "more".to_owned(), None)),
        Done::Did(true)
    );
    let done = store.commit(&[
        keep("crm", "k0".to_owned(), None),
        keep("crm", "more".to_owned(), Some("v")),
        keep("crm", "k0".to_owned(), Some("v")),
    ]);
    assert!(matches!(
        done[..],
        [
            Ok(Done::Did(true)),
            Ok(Done::Did(true)),
            Ok(Done::Did(false))
        ]
    ));
    assert_eq!(
        store.memory.sink_state[&("crm".to_owned(), "k3".to_owned())],
        b"w"
    );
    let unknown = store.commit(&[keep("nobody", "k".to_owned(), None)]);
    assert!(matches!(unknown[0], Err(Fault::Sink(_))));
}
