//! Callsites: events of which the fields are named only while the program runs.
//!
//! tracing wants to know the names of an event's fields for as long as the process lives. So
//! each set of names is kept for ever, and there are so many sets at most: what comes with
//! another one has to do without fields of its own.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use tracing::field::{Field, FieldSet};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Value, dispatcher};
use tracing_core::callsite::Callsite;
use tracing_core::identify_callsite;

/// Sets of names that are kept.
const SETS: usize = 256;
/// Names of one event, at most, without those that every event has.
pub(super) const NAMES: usize = 16;
/// What every event has.
const COMMON: [&str; 4] = ["message", "sink", "plugin", "more"];

/// Where events with one set of names come from.
struct Site(OnceLock<Metadata<'static>>);

impl Callsite for Site {
    // Whether anybody is interested is asked for each event.
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().expect("it is set where the site is made")
    }
}

/// The sites that were made, by what their events are.
#[derive(Default)]
pub(super) struct Sites(Mutex<HashMap<Of, &'static Metadata<'static>>>);

type Of = (Level, Vec<String>);

/// Those of this process.
pub(super) static SITES: LazyLock<Sites> = LazyLock::new(Sites::default);

impl Sites {
    /// The site of events of `level` with fields of these names; `None` if there are too many
    /// others.
    pub(super) fn named(
        &self,
        level: Level,
        names: Vec<String>,
    ) -> Option<&'static Metadata<'static>> {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (level, names);
        let room = sites.len() < SETS || sites.contains_key(&of);
        room.then(|| *sites.entry(of).or_insert_with_key(make))
    }

    /// The site of events of `level` without fields of their own.
    pub(super) fn nameless(&self, level: Level) -> &'static Metadata<'static> {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sites.entry((level, Vec::new())).or_insert_with_key(make)
    }
}

fn make((level, names): &Of) -> &'static Metadata<'static> {
    let own = names
        .iter()
        .map(|name| &*Box::leak(name.clone().into_boxed_str()));
    let names: Vec<&'static str> = COMMON.into_iter().chain(own).collect();
    let site: &'static Site = Box::leak(Box::new(Site(OnceLock::new())));
    let fields = FieldSet::new(Vec::leak(names), identify_callsite!(site));
    site.0.get_or_init(|| {
        Metadata::new(
            "event of a plugin",
            "leadgate::plugin::events",
            *level,
            None,
            None,
            None,
            fields,
            Kind::EVENT,
        )
    })
}

/// Writes an event: the values of what every event has, and those of the names that the site
/// was asked for, in its order.
pub(super) fn write(
    site: &'static Metadata<'static>,
    common: [Option<&dyn Value>; COMMON.len()],
    own: &[&dyn Value],
) {
    let fields: Vec<Field> = site.fields().iter().collect();
    let own = own.iter().map(|value| Some(*value));
    let mut values = [(&fields[0], None::<&dyn Value>); COMMON.len() + NAMES];
    for ((slot, field), value) in values
        .iter_mut()
        .zip(&fields)
        .zip(common.into_iter().chain(own))
    {
        *slot = (field, value);
    }
    let values = site.fields().value_set(&values);
    let event = Event::new(site, &values);
    dispatcher::get_default(|log| {
        if log.enabled(site) {
            log.event(&event);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_names_is_made_once_and_there_are_so_many_at_most() {
        let sites = Sites::default();
        let named = |number: usize| {
            let names = vec!["same".to_owned(), format!("name{number}")];
            sites.named(Level::INFO, names)
        };
        let first = named(0).expect("there is room");
        assert!(std::ptr::eq(first, named(0).expect("it is known")));
        let made = (0..2 * SETS).filter(|number| named(*number).is_some());
        assert_eq!(made.count(), SETS);
        assert!(named(0).is_some(), "what is known stays");
        let one = sites.nameless(Level::INFO);
        assert!(std::ptr::eq(one, sites.nameless(Level::INFO)));
    }
}
