//! A small store to ask: the index is a tree in memory that counts what is looked at, the
//! journal is what was put.

mod cost;
mod due;
mod lists;
mod projection;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use leadgate_plugin::OutcomeKind;
use uuid::Uuid;

use super::*;
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::sled::indexed::{DeliveryPlaces, Places};
use crate::outbox::sled::map::{Change, Order, Pair};
use crate::outbox::sled::project::Projection;
use crate::outbox::state::{FailureKey, KnownSink, Lead};
use crate::outbox::{Attempt, Budget, DeathReason, SinkPolicy, State};

/// A time at which nothing is at its beginning.
const T: Millis = 1_700_000_000_000;

#[derive(Default)]
struct Tree {
    entries: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    looked_at: Cell<usize>,
    /// How many more steps of ranges succeed, if not all.
    breaks_after: Cell<Option<usize>>,
}

struct TreeRange<'a> {
    tree: &'a Tree,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    order: Order,
}

impl Iterator for TreeRange<'_> {
    type Item = Result<Pair, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.tree.looked_at.set(self.tree.looked_at.get() + 1);
        match self.tree.breaks_after.get() {
            Some(0) => return Some(Err(Fault::Record("it broke".to_owned()))),
            left => self.tree.breaks_after.set(left.map(|left| left - 1)),
        }
        let entries = self.tree.entries.borrow();
        if let (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) = (&self.low, &self.high)
            && low >= high
            && !matches!((&self.low, &self.high), (Bound::Included(_), Bound::Included(_)) if low == high)
        {
            return None;
        }
        let mut range = entries.range((self.low.clone(), self.high.clone()));
        let (key, value) = match self.order {
            Order::Ascending => range.next(),
            Order::Descending => range.next_back(),
        }?;
        let end = Bound::Excluded(key.clone());
        match self.order {
            Order::Ascending => self.low = end,
            Order::Descending => self.high = end,
        }
        Some(Ok((key.clone(), value.clone())))
    }
}

impl Map for Tree {
    type Range<'a> = TreeRange<'a>;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.looked_at.set(self.looked_at.get() + 1);
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> TreeRange<'_> {
        TreeRange {
            tree: self,
            low: from.map(<[u8]>::to_vec),
            high: to.map(<[u8]>::to_vec),
            order,
        }
    }
}

impl Tree {
    /// Makes changes, each of what is there.
    fn apply(&self, changes: Vec<Change>) {
        let mut entries = self.entries.borrow_mut();
        for Change { key, old, new } in changes {
            assert_eq!(entries.get(&key), old.as_ref(), "{key:?}");
            match new {
                Some(new) => entries.insert(key, new),
                None => entries.remove(&key),
            };
        }
    }
}

/// What was pushed, and why what failed did.
#[derive(Default)]
struct Journal {
    /// Places that cannot be read.
    damaged: RefCell<Vec<Place>>,
    /// By delivery, whatever the place.
    failures: RefCell<HashMap<DeliveryId, FailureKey>>,
    /// By tag.
    tags: RefCell<HashMap<Tag, Vec<Uuid>>>,
}

impl Journal {
    fn sound(&self, place: Place) -> Result<(), Fault> {
        if self.damaged.borrow().contains(&place) {
            return Err(Fault::Record("it is damaged".to_owned()));
        }
        Ok(())
    }
}

impl Bodies for Journal {
    fn lead(
        &self,
        id: LeadId,
        source: &str,
        revision: &Revision,
        place: Place,
    ) -> Result<StoredLead, Fault> {
        self.sound(place)?;
        Ok(StoredLead {
            id,
            revision: revision.number,
            source: source.to_owned(),
            received_at: revision.received_at,
            lead: "{}".to_owned(),
            labels: "{}".to_owned(),
            raw: String::new(),
            original: None,
        })
    }

    fn details(&self, _: LeadId, delivery: DeliveryId, place: Place) -> Result<Details, Fault> {
        self.sound(place)?;
        let failures = self.failures.borrow();
        let history = failures.get(&delivery).map(|key| Attempt {
            number: 1,
            started_at: T,
            duration_ms: u64::from(place.offset),
            outcome: OutcomeKind::Retry,
            rule: rule(*key).to_owned(),
            reason: format!("{} after {}ms", reason(*key), place.offset),
            receipt: String::new(),
            request: String::new(),
            response: String::new(),
            trace_id: String::new(),
            config_revision: String::new(),
        });
        Ok(Details {
            history: history.into_iter().collect(),
            journal: String::new(),
        })
    }

    fn quarantined(
        &self,
        id: QuarantineId,
        head: &QuarantineHead,
        place: Place,
    ) -> Result<StoredQuarantinedPush, Fault> {
        self.sound(place)?;
        Ok(StoredQuarantinedPush {
            id,
            source: head.source.clone(),
            reason: "sign".to_owned(),
            received_at: head.received_at,
            request_id: None,
            query: String::new(),
            content_type: String::new(),
            body: Vec::new(),
        })
    }
}

impl Tags for Journal {
    fn find(&self, tag: &Tag, limit: usize) -> Result<Vec<Uuid>, Fault> {
        let tags = self.tags.borrow();
        let found = tags.get(tag).into_iter().flatten().take(limit);
        Ok(found.copied().collect())
    }
}

/// Two rules with two reasons each.
fn group(number: u8) -> FailureKey {
    FailureKey([number + 1; 8])
}

fn rule(key: FailureKey) -> &'static str {
    ["status", "timeout"][usize::from(key.0[0] - 1) % 2]
}

fn reason(key: FailureKey) -> &'static str {
    ["refused", "slow"][usize::from(key.0[0] - 1) / 2]
}

const SINKS: [&str; 3] = ["crm", "mail", "gone"];
const SOURCES: [&str; 3] = ["shop", "outlet", "app"];

struct World {
    catalog: Catalog<Tree>,
    journal: Journal,
    sinks: Sinks,
    claims: Claims,
    texts: GroupTexts,
    leads: BTreeMap<LeadId, Indexed>,
    random: fastrand::Rng,
    made: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let known = |name: &&'static str| {
            let name: Arc<str> = (*name).into();
            let policy = (*name != *"gone").then(|| SinkPolicy {
                name: name.to_string(),
                on_update: OnUpdate::default(),
                on_dead: None,
            });
            let sink = KnownSink {
                name: Arc::clone(&name),
                policy,
            };
            (name, Arc::new(sink))
        };
        Self {
            catalog: Catalog::open(Tree::default()).expect("empty"),
            journal: Journal::default(),
            sinks: SINKS.iter().map(known).collect(),
            claims: Claims::default(),
            texts: GroupTexts::default(),
            leads: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed),
            made: 0,
        }
    }

    fn reader(&self) -> Reader<'_, Tree> {
        Reader {
            catalog: &self.catalog,
            bodies: &self.journal,
            tags: &self.journal,
            sinks: &self.sinks,
            claims: &self.claims,
            texts: &self.texts,
        }
    }

    /// Ids are unique and say when they were made.
    fn id(&mut self, at: Millis) -> Uuid {
        self.made += 1;
        let at = u128::try_from(at).expect("after 1970");
        let (random, made) = (u128::from(self.random.u16(..)), u128::from(self.made));
        Uuid::from_u128(at << 80 | 7 << 76 | 2 << 62 | random << 32 | made)
    }

    fn place(&mut self) -> Place {
        self.made += 1;
        Place {
            segment: self.random.u32(1..4),
            offset: self.made,
            length: self.random.u32(64..512),
        }
    }

    fn time(&mut self) -> Millis {
        T + self.random.i64(0..1_000)
    }

    /// A delivery made at that time.
    fn delivery(&mut self, sink: &str, created_at: Millis, state: State) -> DeliveryHead {
        DeliveryHead {
            id: DeliveryId(self.id(created_at)),
            sink: sink.to_owned(),
            revision: 1,
            created_at,
            state,
            attempts: 0,
            budget: Budget {
                spent: 0,
                since: created_at,
            },
            fallback_of: None,
            failure: None,
        }
    }

    fn any_delivery(&mut self) -> DeliveryHead {
        let at = self.time();
        let sink = SINKS[self.random.usize(..SINKS.len())];
        let reason = DeathReason::ALL[self.random.usize(..5)];
        let state = match self.random.u8(..8) {
            0..=2 => State::Waiting { due_at: at },
            3 => State::Behind,
            4 => State::Delivered { at: at + 5 },
            5 => State::Superseded { at: at + 5 },
            6 => State::Cancelled { at: at + 5 },
            _ => State::Dead { at: at + 5, reason },
        };
        let mut head = self.delivery(sink, at, state);
        head.attempts = self.random.u32(..2);
        if matches!(head.class(), Class::Retrying | Class::Dead(_)) {
            let key = group(self.random.u8(..4));
            head.failure = Some(key);
            self.journal.failures.borrow_mut().insert(head.id, key);
        }
        head
    }

    /// A lead of a source with these deliveries.
    fn lead(&mut self, source: &str, deliveries: Vec<DeliveryHead>) -> (LeadId, Indexed) {
        let at = self.time();
        let id = LeadId(self.id(at));
        let revision = Revision {
            number: 1,
            content: [7; 32],
            modified_at: None,
            history: false,
            received_at: at,
            pushed_at: at,
            oldest: 0,
        };
        let mut places = Places {
            revisions: vec![(1, self.place())],
            ..Places::default()
        };
        for _ in &deliveries {
            places.deliveries.push(DeliveryPlaces {
                head: self.place(),
                details: Some(self.place()),
            });
        }
        let lead = Lead {
            source: source.to_owned(),
            modified_at: None,
            revisions: vec![revision],
            deliveries,
        };
        (id, Indexed { lead, places })
    }

    fn any_lead(&mut self) -> (LeadId, Indexed) {
        let source = SOURCES[self.random.usize(..SOURCES.len())];
        let deliveries = (0..self.random.usize(..4)).map(|_| self.any_delivery());
        let deliveries = deliveries.collect();
        self.lead(source, deliveries)
    }

    /// The same lead after something happened to it.
    fn changed(&mut self, mut lead: Indexed) -> Indexed {
        for at in 0..lead.lead.deliveries.len() {
            if self.random.bool() {
                let other = self.any_delivery();
                let place = self.place();
                let head = &mut lead.lead.deliveries[at];
                head.state = other.state;
                head.attempts = other.attempts;
                head.failure = other.failure;
                lead.places.deliveries[at].head = place;
                if let Some(key) = other.failure {
                    self.journal.failures.borrow_mut().insert(head.id, key);
                }
            }
        }
        if self.random.u8(..4) == 0 {
            lead.lead.deliveries.push(self.any_delivery());
            lead.places.deliveries.push(DeliveryPlaces {
                head: self.place(),
                details: Some(self.place()),
            });
        }
        lead
    }

    /// One commit.
    fn commit(&mut self, leads: Vec<(LeadId, Option<Indexed>)>) {
        let mut projection = Projection::default();
        for (id, new) in leads {
            let old = self.leads.remove(&id);
            projection.lead(&self.catalog.names, id, old.as_ref(), new.as_ref());
            if let Some(new) = new {
                for head in &new.lead.deliveries {
                    let mut tag = [DELIVERY; 17];
                    tag[1..].copy_from_slice(head.id.0.as_bytes());
                    self.journal.tags.borrow_mut().insert(tag, vec![id.0]);
                }
                self.leads.insert(id, new);
            }
        }
        let index = &self.catalog.index;
        let changes = projection.changes(|key| index.get(key)).expect("reads");
        index.apply(changes);
    }

    fn put(&mut self, (id, lead): (LeadId, Indexed)) -> LeadId {
        self.commit(vec![(id, Some(lead))]);
        id
    }

    /// Some leads, some of their deliveries in flight.
    fn filled(seed: u64, leads: usize) -> Self {
        let mut world = Self::new(seed);
        for _ in 0..leads {
            let lead = world.any_lead();
            world.put(lead);
        }
        for (lead, head) in world.deliveries() {
            let waits = matches!(head.state, State::Waiting { .. });
            if waits && world.random.u8(..4) == 0 {
                world.claims.claim(head.id, lead);
            }
        }
        world
    }

    /// All deliveries.
    fn deliveries(&self) -> Vec<(LeadId, DeliveryHead)> {
        let each = self.leads.iter();
        each.flat_map(|(id, lead)| lead.lead.deliveries.iter().map(|head| (*id, head.clone())))
            .collect()
    }
}
