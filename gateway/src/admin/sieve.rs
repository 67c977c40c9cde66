//! Sieve: which leads of a list are meant by what only reading each of them tells: what it says of
//! shop, store and city, and where its deliveries stand.
//!
//! A page reads at most [`READ`] leads. One that is not full says with its `next` that it goes on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Admin;
use super::filters::named;
use super::parameter::{self, Parameter};
use super::params::Params;
use super::problem::Problem;
use crate::outbox::{History, LeadFilter, StateName};

/// Leads that are read for one page, at most.
const READ: usize = 1_000;

/// What a lead must be. Without anything it lets all pass.
#[derive(Default)]
pub(super) struct Sieve {
    seller_id: Option<String>,
    store_id: Option<String>,
    city: Option<String>,
    sink: Option<String>,
    state: Option<StateName>,
}

/// What [`Sieve::of`] understands.
pub(super) fn parameters() -> Vec<Parameter> {
    vec![
        parameter::text("seller_id", "Only of this merchant."),
        parameter::text("store_id", "Only of this store."),
        parameter::text(
            "city",
            "Only of this city: its code, or what its name begins with.",
        ),
        parameter::text("sink", "Only with a delivery to this sink."),
        parameter::one_of(
            "state",
            StateName::ALL.map(StateName::as_str),
            "Only with a delivery in this state; with `sink`, that to this sink.",
        ),
    ]
}

impl Sieve {
    pub(super) fn of(params: &Params) -> Result<Self, Problem> {
        let text = |name: &str| params.text(name).map(str::to_owned);
        let state = StateName::ALL.map(|one| (one.as_str(), one));
        Ok(Self {
            seller_id: text("seller_id"),
            store_id: text("store_id"),
            city: text("city"),
            sink: text("sink"),
            state: named(params, "state", &state)?,
        })
    }

    pub(super) fn sink(&self) -> Option<&str> {
        self.sink.as_deref()
    }

    /// A page of leads that pass, and where the next one begins. Reads the disk.
    pub(super) fn page(
        &self,
        admin: &Admin,
        filter: &LeadFilter,
        mut cursor: Option<String>,
        limit: usize,
    ) -> Result<(Vec<History>, Option<String>), Problem> {
        let (mut found, mut read) = (Vec::new(), 0);
        loop {
            let left = limit - found.len();
            let page = admin.outbox.leads(filter, cursor.as_deref(), left)?;
            // An empty page has looked at some, too.
            read += page.items.len().max(1);
            for id in page.items {
                let history = admin.outbox.history(id)?;
                found.extend(history.filter(|one| self.passes(one)));
            }
            cursor = page.next;
            if cursor.is_none() || found.len() == limit || read >= READ {
                return Ok((found, cursor));
            }
        }
    }

    fn passes(&self, history: &History) -> bool {
        self.passes_by_state(history) && self.passes_by_content(history)
    }

    /// By sink the newest revision counts.
    fn passes_by_state(&self, history: &History) -> bool {
        if self.sink.is_none() && self.state.is_none() {
            return true;
        }
        let all = history.deliveries.iter();
        let newest: BTreeMap<&str, StateName> = all
            .map(|one| (one.delivery.sink.as_str(), one.state))
            .collect();
        newest.into_iter().any(|(sink, state)| {
            self.sink.as_ref().is_none_or(|wanted| wanted == sink)
                && self.state.is_none_or(|wanted| wanted == state)
        })
    }

    /// By the newest revision.
    fn passes_by_content(&self, history: &History) -> bool {
        let wanted = [("seller_id", &self.seller_id), ("store_id", &self.store_id)];
        if self.city.is_none() && wanted.iter().all(|(_, one)| one.is_none()) {
            return true;
        }
        let Some(newest) = history.revisions.last() else {
            return false;
        };
        let lead: Value = serde_json::from_str(&newest.lead).unwrap_or_default();
        let is = |name: &str, wanted: &str| text(&lead[name]).as_deref() == Some(wanted);
        let begins = |wanted: &str| {
            let name = text(&lead["city_name"]);
            name.is_some_and(|name| name.starts_with(wanted))
        };
        let mut fields = wanted.into_iter();
        fields.all(|(name, wanted)| wanted.as_ref().is_none_or(|one| is(name, one)))
            && self
                .city
                .as_ref()
                .is_none_or(|city| is("city_code", city) || begins(city))
    }
}

/// A field as it is written in a filter.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
