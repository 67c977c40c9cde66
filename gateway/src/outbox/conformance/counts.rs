//! Promise 9: counts are exact, whatever happened: always what a recount through the lists gives.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::pushes::{
    all, arrival, claims, claims_of, dead, erase, finish, lead_for, lead_of, newest, quarantined,
    route,
};
use super::subject::Subject;
use crate::config::Ceiling;
use crate::outbox::{
    Arrival, DeathReason, Filter, Intake, Operations, Quarantined, QuarantinedPush, Repair,
    Repaired, Route, SinkTotals, State, StateName, Totals,
};

/// How much is read at once: little, so that lists are of several pages.
const PAGE: usize = 3;

/// What can be counted again, counted through the lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    leads: u64,
    unrouted: u64,
    in_quarantine: u64,
    /// waiting, retrying, behind, dead by reason; of each sink that has any.
    sinks: BTreeMap<String, (u64, u64, u64, BTreeMap<DeathReason, u64>)>,
}

impl Counted {
    /// As the lists show it.
    pub(super) fn lists(outbox: &impl Operations) -> Self {
        let filter = Filter::default();
        let listed = all(|after| outbox.deliveries(&filter, after, PAGE).expect("reads"));
        let mut sinks = BTreeMap::new();
        for one in &listed {
            let delivery = &one.delivery;
            let sink: &mut (u64, u64, u64, BTreeMap<_, _>) =
                sinks.entry(delivery.sink.clone()).or_default();
            sink.0 += u64::from(delivery.state.is_waiting());
            match delivery.state {
                State::Waiting { .. } => sink.1 += u64::from(delivery.attempts > 0),
                State::Behind => sink.2 += 1,
                State::Dead { reason, .. } => *sink.3.entry(reason).or_default() += 1,
                _ => {}
            }
        }
        for state in StateName::ALL {
            let filter = Filter {
                state: Some(state),
                ..Filter::default()
            };
            let of_state = all(|after| outbox.deliveries(&filter, after, PAGE).expect("reads"));
            let expected = listed.iter().filter(|one| one.state == state).count();
            assert_eq!(of_state.len(), expected, "listed as {}", state.as_str());
        }
        sinks.retain(|_, counts| *counts != Default::default());
        let leads = all(|after| outbox.leads(&newest(), after, PAGE).expect("reads"));
        assert!(leads.is_sorted_by(|a, b| a > b), "newest first, none twice");
        let unrouted = all(|after| outbox.unrouted(after, PAGE).expect("reads"));
        assert!(unrouted.is_sorted_by(|a, b| a > b), "newest first");
        let aside = all(|after| outbox.quarantined_pushes(after, PAGE).expect("reads"));
        let by_source = outbox.quarantine_counts().expect("reads");
        let kept: u64 = by_source.iter().map(|(_, count)| count.entries).sum();
        assert_eq!(kept, aside.len() as u64, "in quarantine, by source");
        let size = |one: &crate::outbox::StoredQuarantinedPush| one.body.len() + one.query.len();
        let bytes: usize = aside.iter().map(size).sum();
        let kept: u64 = by_source.iter().map(|(_, count)| count.bytes).sum();
        assert_eq!(kept, bytes as u64, "bytes in quarantine");
        Self {
            leads: leads.len() as u64,
            unrouted: unrouted.len() as u64,
            in_quarantine: aside.len() as u64,
            sinks,
        }
    }

    /// As the counts say.
    pub(super) fn totals(totals: Totals) -> Self {
        let sink = |(name, sink): (String, SinkTotals)| {
            let mut dead = sink.dead;
            dead.retain(|_, count| *count > 0);
            (name, (sink.waiting, sink.retrying, sink.behind, dead))
        };
        let mut sinks: BTreeMap<_, _> = totals.sinks.into_iter().map(sink).collect();
        sinks.retain(|_, counts| *counts != Default::default());
        Self {
            leads: totals.leads,
            unrouted: totals.unrouted,
            in_quarantine: totals.in_quarantine,
            sinks,
        }
    }
}

/// The counts are what the lists show.
pub(super) fn recount(outbox: &impl Operations) {
    assert_eq!(Counted::lists(outbox), Counted::totals(outbox.totals()));
}

pub(super) async fn counts_are_a_recount_after_every_kind_of_change_and_after_a_crash<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    for record in 0..5 {
        let lead = lead_for(record, "shop", &["crm", "mail", "once"]);
        outbox.accept(lead).await.expect("accepted");
    }
    let failed = Arrival {
        routes: vec![Route {
            failed: Some("bad value".to_owned()),
            ..route("once")
        }],
        ..arrival(5, 1)
    };
    outbox.accept(failed).await.expect("accepted");
    let unwanted = lead_for(6, "shop", &[]);
    outbox.accept(unwanted).await.expect("accepted");
    recount(&*outbox);
    let crm = claims(&*outbox, 1_000);
    recount(&*outbox);
    finish(&*outbox, &crm[0], State::Waiting { due_at: 9_000 }).await;
    recount(&*outbox);
    finish(&*outbox, &crm[1], dead(5)).await;
    finish(&*outbox, &crm[2], State::Delivered { at: 5 }).await;
    recount(&*outbox);
    let once = claims_of(&*outbox, "once", 1_000);
    finish(&*outbox, &once[0], dead(5)).await;
    recount(&*outbox);
    for record in 0..5 {
        let mut newer = lead_for(record, "shop", &["crm", "mail", "once"]);
        newer.content = [2; 32];
        outbox.accept(newer).await.expect("accepted");
    }
    recount(&*outbox);
    let repaired = |id, repair| outbox.repair(id, repair, 2_000);
    let force = Repair::Retry { force: true };
    assert_eq!(repaired(crm[1].id, force.clone()).await, Ok(Repaired::Done));
    recount(&*outbox);
    assert_eq!(
        repaired(crm[1].id, Repair::Cancel).await,
        Ok(Repaired::Done)
    );
    recount(&*outbox);
    assert_eq!(repaired(crm[2].id, force).await, Ok(Repaired::Done));
    recount(&*outbox);
    let gone = crm[0].delivery.lead;
    assert_eq!(erase(&*outbox, gone).await, Ok(true));
    recount(&*outbox);
    outbox.quarantine(quarantined(b"{")).await.expect("kept");
    recount(&*outbox);
    let sinks = |outbox: &Subject<E>| outbox.totals().sinks;
    let before = (Counted::lists(&*outbox), sinks(&outbox));
    outbox.crash();
    recount(&*outbox);
    assert_eq!((Counted::lists(&*outbox), sinks(&outbox)), before);
    assert_eq!(sinks(&outbox)["crm"].delivered, 1);
    assert_eq!(sinks(&outbox)["crm"].cancelled, 1);
}

pub(super) async fn a_source_fills_its_part_of_quarantine_and_the_rest_is_counted<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let few = |body: &[u8], at| QuarantinedPush {
        received_at: at,
        ceiling: Ceiling {
            max_entries: 2,
            max_bytes: 1_000,
        },
        ..quarantined(body)
    };
    let mut ids = Vec::new();
    for (body, at) in [(b"1", 1), (b"2", 2), (b"3", 3), (b"4", 4)] {
        match outbox.quarantine(few(body, at)).await.expect("counted") {
            Quarantined::New(id) => ids.push(id),
            other => assert_eq!(other, Quarantined::Full),
        }
    }
    let large = QuarantinedPush {
        source: "other".into(),
        ..few(&[b'5'; 1_001], 5)
    };
    assert_eq!(outbox.quarantine(large).await, Ok(Quarantined::Full));
    assert_eq!(ids.len(), 2);
    outbox.crash();
    recount(&*outbox);
    let counts = outbox.quarantine_counts().expect("reads");
    let of = |name: &str| {
        let count = counts.iter().find(|(source, _)| source == name);
        count.expect("counted").1.clone()
    };
    let shop = of("shop");
    assert_eq!((shop.entries, shop.bytes, shop.not_kept), (2, 2, 2));
    assert_eq!((shop.first_not_kept_at, shop.last_not_kept_at), (3, 4));
    assert_eq!((of("other").entries, of("other").not_kept), (0, 1));
    assert_eq!(outbox.discard(ids[0]).await, Ok(true));
    let more = outbox.quarantine(few(b"3", 6)).await;
    assert!(matches!(more, Ok(Quarantined::New(_))), "there is room");
    recount(&*outbox);
    let lead = outbox.release(ids[1], arrival(1, 1), 7).await;
    lead_of(lead.expect("released").expect("was there"));
    recount(&*outbox);
    assert_eq!(outbox.totals().quarantined, 3, "since the store was made");
}
