//! What a page costs beside much that it does not show.

use super::*;
use crate::outbox::{Filter, LeadFilter};

const OTHERS: usize = 100_000;
const SHOWN: usize = 50;

#[test]
fn a_page_costs_what_it_shows_and_not_what_is_stored() {
    let mut world = World::new(1);
    for _ in 0..OTHERS / 1_000 {
        let mut commit = Vec::new();
        for at in 0..1_000 {
            let done = State::Delivered { at: T + 2_000 };
            let head = world.delivery(SINKS[at % 2], T + 500, done);
            let (id, lead) = world.lead(SOURCES[at % 2], vec![head]);
            commit.push((id, Some(lead)));
        }
        world.commit(commit);
    }
    for at in 0..300 {
        let (at, reason) = (T + at, DeathReason::Rejected);
        let mut head = world.delivery("crm", at, State::Dead { at, reason });
        head.failure = Some(group(u8::from(at % 2 == 0)));
        world
            .journal
            .failures
            .borrow_mut()
            .insert(head.id, group(u8::from(at % 2 == 0)));
        let mut waits = world.delivery("mail", at, State::Waiting { due_at: at });
        waits.created_at = at;
        let lead = world.lead("app", vec![head, waits]);
        world.put(lead);
    }
    let wanted = Filter::default;
    let filters = [
        wanted(),
        Filter {
            newest_first: true,
            ..wanted()
        },
        Filter {
            state: Some(StateName::Dead),
            ..wanted()
        },
        Filter {
            state: Some(StateName::Pending),
            newest_first: true,
            ..wanted()
        },
        Filter {
            source: Some("app".to_owned()),
            ..wanted()
        },
        Filter {
            rule: Some("timeout".to_owned()),
            ..wanted()
        },
        Filter {
            group: Some(group(0)),
            since: Some(T + 100),
            ..wanted()
        },
        Filter {
            before: Some(T + 300),
            newest_first: true,
            ..wanted()
        },
    ];
    // Each that is shown: its place in its list, and itself. Each list: twice looked for.
    let most = SHOWN * 2 + 40;
    for filter in filters {
        let mut after = None;
        for page in 0..2 {
            world.catalog.index.looked_at.set(0);
            let read = world.reader().deliveries(&filter, after.as_deref(), SHOWN);
            let read = read.expect("reads");
            assert_eq!(read.items.len(), SHOWN, "{filter:?}");
            let cost = world.catalog.index.looked_at.get();
            assert!(cost <= most, "page {page} looked at {cost}: {filter:?}");
            after = read.next;
        }
    }
    let orphaned = Filter {
        orphaned: true,
        ..wanted()
    };
    let costs = |ask: &dyn Fn(&Reader<'_, Tree>)| {
        world.catalog.index.looked_at.set(0);
        ask(&world.reader());
        world.catalog.index.looked_at.get()
    };
    let cheap = [
        costs(&|reader| assert!(reader.deliveries(&orphaned, None, SHOWN).is_ok())),
        costs(&|reader| assert_eq!(reader.failure_groups(None, SHOWN).expect("reads").len(), 2)),
        costs(&|reader| assert_eq!(reader.counts().expect("reads").len(), 4)),
        costs(&|reader| assert_eq!(reader.oldest("mail").expect("reads"), Some(T))),
        costs(&|reader| {
            let filter = LeadFilter {
                source: Some("app".to_owned()),
                newest_first: true,
                ..LeadFilter::default()
            };
            let page = reader.leads(&filter, None, SHOWN).expect("reads");
            assert_eq!(page.items.len(), SHOWN);
        }),
    ];
    assert!(cheap.iter().all(|cost| *cost <= most), "{cheap:?}");
}
