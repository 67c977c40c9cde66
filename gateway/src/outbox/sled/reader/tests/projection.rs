//! The index is a function of what there is.

use proptest::prelude::*;

use super::*;
use crate::outbox::sled::indexed::IndexedPush;
use crate::outbox::sled::keys;
use crate::outbox::sled::project::numbers;
use crate::outbox::state::Record;

fn counted(tree: &Tree, room: u8) -> BTreeMap<Vec<u8>, Vec<u64>> {
    let entries = tree.entries.borrow();
    let of_room = entries.iter().filter(|(key, _)| key[0] == room);
    of_room
        .map(|(key, value)| (key.clone(), numbers(value)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changes_lead_to_what_a_projection_from_nothing_gives(seed: u64) {
        let mut world = World::new(seed);
        for _ in 0..20 {
            let mut commit = Vec::new();
            for (id, lead) in world.leads.clone() {
                match world.random.u8(..4) {
                    0 => {
                        let changed = world.changed(lead);
                        commit.push((id, Some(changed)));
                    }
                    1 if world.random.bool() => commit.push((id, None)),
                    _ => {}
                }
            }
            for _ in 0..world.random.usize(..4) {
                let (id, lead) = world.any_lead();
                commit.push((id, Some(lead)));
            }
            world.commit(commit);
        }
        let anew = Tree::default();
        let mut projection = Projection::default();
        for (id, lead) in &world.leads {
            projection.lead(&world.catalog.names, *id, None, Some(lead));
        }
        anew.apply(projection.changes(|key| anew.get(key)).expect("reads"));
        let mut entries = world.catalog.index.entries.borrow().clone();
        entries.retain(|key, _| ![keys::SINK, keys::SOURCE].contains(&key[0]));
        prop_assert_eq!(&entries, &*anew.entries.borrow());

        // And the counters are what counting gives.
        let names = &world.catalog.names;
        let (mut classes, mut groups) = (BTreeMap::new(), BTreeMap::new());
        let mut segments: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
        for lead in world.leads.values() {
            let source = names.sources.number(&lead.lead.source).expect("known");
            for head in &lead.lead.deliveries {
                let sink = names.sinks.number(&head.sink).expect("known");
                let class = head.class();
                classes.entry(keys::count(sink, source, class)).or_insert(vec![0, 0])[0] += 1;
                if let Some(key) = head.failure {
                    let at = usize::from(head.class() == Class::Retrying);
                    groups.entry(keys::group(sink, key)).or_insert(vec![0, 0])[at] += 1;
                }
            }
            for place in lead.live() {
                let live = segments.entry(keys::segment(place.segment)).or_insert(vec![0, 0]);
                live[0] += u64::from(place.length);
                live[1] += 1;
            }
        }
        prop_assert_eq!(counted(&world.catalog.index, keys::COUNT), classes);
        prop_assert_eq!(counted(&world.catalog.index, keys::GROUP), groups);
        prop_assert_eq!(counted(&world.catalog.index, keys::SEGMENT), segments);
    }
}

#[test]
fn names_that_an_index_holds_keep_their_numbers() {
    let world = World::filled(1, 20);
    let read = crate::outbox::sled::names::Names::load(&world.catalog.index).expect("reads");
    assert_eq!(read.sinks.all(), world.catalog.names.sinks.all());
    assert_eq!(read.sources.all(), world.catalog.names.sources.all());
    assert_eq!(read.sources.all().len(), SOURCES.len());
    let (number, change) = read.sources.number_or_new("another");
    assert!(change.is_some() && read.sources.number_or_new("another") == (number, None));
}

#[test]
fn nothing_is_left_of_what_is_gone() {
    let mut world = World::filled(2, 30);
    let all: Vec<LeadId> = world.leads.keys().copied().collect();
    world.commit(all.into_iter().map(|id| (id, None)).collect());
    let entries = world.catalog.index.entries.borrow();
    let left = entries.keys().map(|key| key[0]);
    assert!(
        left.into_iter()
            .all(|room| [keys::SINK, keys::SOURCE].contains(&room))
    );
}

#[test]
fn a_lead_in_one_commit_twice_is_changed_once() {
    let mut world = World::new(3);
    let (id, first) = world.any_lead();
    let second = world.changed(first.clone());
    let names = &world.catalog.names;
    let mut projection = Projection::default();
    projection.lead(names, id, None, Some(&first));
    projection.lead(names, id, Some(&first), Some(&second));
    let changes = projection.changes(|_| Ok::<_, Fault>(None)).expect("reads");
    let keys: std::collections::BTreeSet<_> = changes.iter().map(|change| &change.key).collect();
    assert_eq!(keys.len(), changes.len());
    world.catalog.index.apply(changes);
    assert_eq!(world.catalog.lead(id).expect("reads"), Some(second));
}

#[test]
fn records_say_where_a_lead_lies_and_which_segments_hold_something_of_it() {
    let mut world = World::new(4);
    let (id, whole) = world.any_lead();
    let head = world.delivery("crm", T, State::Waiting { due_at: T });
    let place = |segment, offset| Place {
        segment,
        offset,
        length: 10,
    };
    let revision = Record::Revision {
        lead: id,
        source: "shop".to_owned(),
        identity: [0; 17],
        revision: whole.lead.revisions[0].clone(),
        finds: Vec::new(),
        body: b"".as_slice().into(),
    };
    let delivery = |details: Option<Details>| Record::Delivery {
        lead: id,
        delivery: head.clone(),
        details,
    };
    let records = [
        (revision.clone(), place(1, 0)),
        (delivery(Some(Details::default())), place(1, 10)),
        (
            Record::Pushed {
                lead: id,
                revision: 1,
                at: T + 9,
            },
            place(2, 0),
        ),
        (delivery(None), place(3, 0)),
        // Cleaning moved it.
        (revision, place(4, 0)),
    ];
    let taken = records.iter().fold(None, |lead, (record, place)| {
        Indexed::take(lead, record, *place)
    });
    let taken = taken.expect("it is there");
    assert_eq!(taken.places.revisions, [(1, place(4, 0))]);
    assert_eq!(taken.places.pushed, [(1, place(2, 0))]);
    let (known, places) = taken.delivery(head.id).expect("it is there");
    assert_eq!(*known, head);
    assert_eq!(places.head, place(3, 0));
    assert_eq!(places.details, Some(place(1, 10)));
    assert_eq!(taken.places.segments, [1, 2, 3, 4]);
    assert_eq!(taken.live().len(), 4);
    let gone = Record::LeadGone {
        lead: id,
        erased: false,
    };
    assert_eq!(Indexed::take(Some(taken), &gone, place(5, 0)), None);
}

#[test]
fn quarantined_pushes_come_and_go() {
    let mut world = World::new(5);
    let id = QuarantineId(world.id(T));
    let head = QuarantineHead {
        source: "shop".to_owned(),
        size: 3,
        received_at: T,
        tags: [[0; 17]; 2],
    };
    let record = Record::Quarantined {
        id,
        head,
        body: b"".as_slice().into(),
    };
    let place = world.place();
    let push = IndexedPush::take(None, &record, place);
    let index = &world.catalog.index;
    let mut projection = Projection::default();
    projection.quarantined(id, None, push.as_ref());
    index.apply(projection.changes(|key| index.get(key)).expect("reads"));
    assert_eq!(world.catalog.quarantined(id).expect("reads"), push);
    let live = counted(index, keys::SEGMENT);
    assert_eq!(
        live[&keys::segment(place.segment)],
        [u64::from(place.length), 1]
    );
    let mut projection = Projection::default();
    projection.quarantined(id, push.as_ref(), None);
    index.apply(projection.changes(|key| index.get(key)).expect("reads"));
    assert!(index.entries.borrow().is_empty());
}
