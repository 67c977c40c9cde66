//! Failures: deliveries that failed alike, in groups, each with one of its deliveries and what can
//! be done to all of it.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::desk::{Answer, Desk, page, query_of, read};
use super::frame::{Frame, Place};
use super::leads::plain;
use crate::lang::Lang;
use crate::outbox::DeliveryId;

/// Groups on a page.
const MOST: &str = "100";

/// A group.
#[derive(Deserialize)]
struct Group {
    id: String,
    sink: String,
    rule: String,
    /// With numbers and ids taken out.
    reason: String,
    count: u64,
    dead: u64,
    retrying: u64,
    first_at: String,
    last_at: String,
    /// The id of one of its deliveries.
    sample: String,
    /// Whom that is of, masked.
    #[serde(skip)]
    glimpse: Value,
}

impl Group {
    fn field(&self, name: &str) -> String {
        plain(&self.glimpse[name])
    }
}

#[derive(Deserialize)]
struct Groups {
    items: Vec<Group>,
    more: bool,
}

#[derive(Template)]
#[template(path = "failures.html")]
struct Failures {
    frame: Frame,
    lang: Lang,
    groups: Vec<Group>,
    /// Whether there are others.
    more: bool,
    sinks: Vec<String>,
    asked: BTreeMap<String, String>,
}

impl Failures {
    fn is_asked(&self, sink: &str) -> bool {
        self.asked.get("sink").is_some_and(|one| one == sink)
    }

    fn dead(&self) -> u64 {
        self.groups.iter().map(|group| group.dead).sum()
    }
}

/// `GET /failures`
pub(super) async fn show(desk: Desk) -> Answer {
    let asked = desk.asked();
    let mut query = asked.clone();
    query.insert("limit".to_owned(), MOST.to_owned());
    let mut groups: Groups = read(desk.api.failures(&query_of(&query)).await?)?;
    let samples = groups.items.iter();
    let samples = samples.filter_map(|group| group.sample.parse().ok());
    let samples = samples.map(DeliveryId).collect();
    let glimpses = desk.api.glimpses_of(samples).await?;
    for (group, glimpse) in groups.items.iter_mut().zip(glimpses) {
        group.glimpse = glimpse;
    }
    page(&Failures {
        frame: desk.frame(Place::Failures),
        lang: desk.lang,
        groups: groups.items,
        more: groups.more,
        sinks: desk.sinks(),
        asked,
    })
}
