//! Promise 7: whatever ends a writer, nothing succeeds any more on a doubtful state, and a person
//! is told why in words.

use std::time::{Duration, Instant};

use super::engine::{Breakable, Writer};
use super::pushes::{arrival, lead_of};
use super::subject::Subject;
use crate::outbox::{Intake, Maintenance, Operations, PauseCause};

pub(super) async fn a_panic_of_the_committer_is_a_fault_in_words<E: Breakable>() {
    after_a_panic_of::<E>(Writer::Committer).await;
}

pub(super) async fn a_panic_of_the_syncer_is_a_fault_in_words<E: Breakable>() {
    after_a_panic_of::<E>(Writer::Syncer).await;
}

async fn after_a_panic_of<E: Breakable>(writer: Writer) {
    let mut outbox = Subject::<E>::new();
    let first = lead_of(outbox.accept(arrival(1, 1)).await.expect("accepted"));
    outbox.engine.panic(&outbox.share(), writer);
    let mut record = 1;
    let mut acknowledged = vec![first];
    // The thread that is left may still be on its way to notice.
    let refused = loop {
        record += 1;
        match outbox.accept(arrival(record, 1)).await {
            Ok(accepted) => acknowledged.push(lead_of(accepted)),
            Err(refusal) => break refusal,
        }
        assert!(record < 10_000, "success for ever after a writer's end");
    };
    let said = refused.to_string();
    assert!(said.contains("restart leadgate"), "{said}");
    assert!(!said.contains("is stopping"), "{said}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while outbox.fault().is_none() {
        assert!(Instant::now() < deadline, "no fault");
        tokio::task::yield_now().await;
    }
    let fault = outbox.fault().expect("a fault");
    assert!(fault.contains("error inside leadgate"), "{fault}");
    assert!(!fault.contains("injected"), "{fault}");
    for record in 20_000..20_010 {
        assert!(outbox.accept(arrival(record, 1)).await.is_err());
    }
    let pause = outbox.pause("crm", Some(PauseCause::Crashes(2)));
    assert!(pause.await.is_err());
    assert!(outbox.erase(first.into()).await.is_err());
    outbox.reopen();
    assert_eq!(outbox.fault(), None);
    for lead in acknowledged {
        let there = outbox.history(lead).expect("reads");
        assert!(there.is_some(), "what was acknowledged is there");
    }
    let after = outbox.accept(arrival(30_000, 1)).await;
    lead_of(after.expect("a new process may"));
}
