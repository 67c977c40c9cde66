//! Which sinks are configured, as it changes while the store runs.

use std::time::Duration;

use super::engine::{Engine, SINKS, Setup};
use super::pushes::{arrival, claims_of, dead, finish, lead_for};
use super::subject::{Subject, blocking};
use crate::config::OnUpdate;
use crate::outbox::{
    Filter, Intake, Maintenance, Operations, PauseCause, Queue, Repair, Repaired, SinkPolicy,
};

/// Those of [`SINKS`] that are named, and a new one.
fn with_erp(names: &[&str]) -> Vec<SinkPolicy> {
    let mut sinks = Setup::default().sinks;
    sinks.retain(|sink| names.contains(&sink.name.as_str()));
    sinks.push(SinkPolicy {
        name: "erp".to_owned(),
        on_update: OnUpdate::Each,
        on_dead: None,
    });
    sinks
}

fn orphaned(outbox: &impl Operations) -> usize {
    let orphaned = Filter {
        orphaned: true,
        ..Filter::default()
    };
    let page = outbox.deliveries(&orphaned, None, 100).expect("reads");
    page.items.len()
}

pub(super) async fn a_sink_that_is_added_takes_leads_and_one_that_is_gone_keeps_its_deliveries<
    E: Engine,
>() {
    let mut outbox = Subject::<E>::new();
    for record in 0..2 {
        let lead = lead_for(record, "shop", &["mail"]);
        outbox.accept(lead).await.expect("accepted");
    }
    let lead = || lead_for(7, "shop", &["crm", "erp"]);
    assert!(outbox.accept(lead()).await.is_err(), "not yet");
    let held = claims_of(&*outbox, "mail", 1_000);
    finish(&*outbox, &held[0], dead(5)).await;
    outbox.unclaim("mail", &[held[1].id]);

    let set = outbox.set_sinks(with_erp(&["crm", "once"]));
    set.await.expect("taken");
    let arrivals = outbox.arrivals("erp");
    outbox.accept(lead()).await.expect("accepted now");
    let woken = tokio::time::timeout(Duration::from_secs(60), arrivals.notified());
    woken.await.expect("its lane is woken");
    assert_eq!(claims_of(&*outbox, "erp", 1_000).len(), 1);
    let kept = outbox.keep_sink_state("erp", "token", Some(b"v".to_vec()));
    assert_eq!(kept.await, Ok(true));
    let pause = outbox.pause("erp", Some(PauseCause::Person(String::new())));
    pause.await.expect("paused");
    assert!(outbox.paused("erp"));

    // A push that was on its way when the sink went is kept like the others.
    let late = lead_for(8, "shop", &["mail"]);
    outbox.accept(late).await.expect("accepted");
    assert_eq!(orphaned(&*outbox), 3);
    let retry = Repair::Retry { force: true };
    let retried = outbox.repair(held[0].id, retry.clone(), 9);
    assert_eq!(retried.await, Ok(Repaired::NoSink));
    let nobody = outbox.accept(lead_for(9, "shop", &["nobody"]));
    assert!(nobody.await.is_err());

    let names = SINKS.map(|(name, ..)| name);
    let set = outbox.set_sinks(with_erp(&names));
    set.await.expect("taken");
    assert_eq!(orphaned(&*outbox), 0);
    assert_eq!(claims_of(&*outbox, "mail", 1_000).len(), 2);
    assert!(outbox.paused("erp"), "as before");
    let retried = outbox.repair(held[0].id, retry, 9);
    assert_eq!(retried.await, Ok(Repaired::Done));

    outbox.crash();
    assert_eq!(outbox.fault(), None);
    assert!(outbox.paused("erp"), "although it is opened without it");
    assert_eq!(outbox.totals().sinks["erp"].waiting, 1);
}

pub(super) async fn what_a_sink_is_configured_to_do_changes_for_what_comes_then<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.accept(arrival(1, 2)).await.expect("accepted");
    assert_eq!(outbox.totals().sinks["crm"].superseded, 0, "each of them");
    let mut sinks = Setup::default().sinks;
    let crm = sinks.iter_mut().find(|sink| sink.name == "crm");
    let crm = crm.expect("it is configured");
    crm.on_update = OnUpdate::Supersede;
    crm.on_dead = Some("once".to_owned());
    outbox.set_sinks(sinks).await.expect("taken");
    outbox.accept(arrival(2, 1)).await.expect("accepted");
    outbox.accept(arrival(2, 2)).await.expect("accepted");
    assert_eq!(outbox.totals().sinks["crm"].superseded, 1);
    let first = claims_of(&*outbox, "crm", 1_000).remove(0);
    finish(&*outbox, &first, dead(5)).await;
    let fallen = claims_of(&*outbox, "once", 1_000);
    assert_eq!(fallen.len(), 1);
    assert_eq!(fallen[0].delivery.fallback_of, Some(first.id));
}

pub(super) async fn a_store_that_is_closed_takes_no_other_sinks<E: Engine>() {
    let outbox = Subject::<E>::new();
    blocking(|| outbox.share().close());
    let set = outbox.set_sinks(with_erp(&["crm"]));
    assert!(set.await.is_err());
}
