//! Never: to which of the sinks that are configured a lead did not go, and why not.
//!
//! The newest revision is asked about, by the conditions as they run now. Where they want it
//! although it never went, it came before they did, or something newer went in its place.

use leadgate_plugin::template::Engine;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Configured, ConfiguredSink, privacy, rfc3339};
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::{History, Listed, StateName, StoredLead};
use crate::route::{self, Decision, Part};

/// Why a lead did not go to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "NeverBecause")]
pub(crate) enum Why {
    /// Its condition does not want it.
    Condition,
    /// Its condition cannot be evaluated for it.
    Failed,
    /// It is configured so only since the lead came.
    ConfiguredSince,
    /// A newer revision went instead.
    Newer,
    /// An earlier revision went, and `on_update = "ignore"`.
    Ignored,
    /// Nobody knows any more: its configuration was another one when the lead came.
    Unknown,
}

impl Why {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Condition,
        Self::Failed,
        Self::ConfiguredSince,
        Self::Newer,
        Self::Ignored,
        Self::Unknown,
    ];

    /// Its name in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Failed => "failed",
            Self::ConfiguredSince => "configured_since",
            Self::Newer => "newer",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
        }
    }
}

/// A sink that a revision of a lead did not go to.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Never {
    sink: String,
    revision: u32,
    why: Why,
    /// Since when it is configured so, as far as this process knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The revision that went.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<u32>,
    /// Its condition part by part, with the values that decided.
    #[serde(skip_serializing_if = "Value::is_null")]
    when: Value,
}

/// Of all sinks, by name. Values are masked unless they are to be revealed.
pub(super) fn of(configured: &Configured, lead: &History, reveal: bool) -> Vec<Never> {
    let Some(newest) = lead.revisions.last() else {
        return Vec::new();
    };
    let engine = Engine::new(configured.tables.clone());
    let mut never = Vec::new();
    for (name, sink) in &configured.sinks {
        let its = lead
            .deliveries
            .iter()
            .filter(|one| one.delivery.sink == *name);
        let its: Vec<&Listed> = its.collect();
        never.extend(superseded(name, &its));
        if its
            .iter()
            .any(|one| one.delivery.revision == newest.revision)
        {
            continue;
        }
        let part = explained(&engine, sink, newest);
        never.push(Never::of(name, sink, newest, &its, part, reveal));
    }
    never
}

/// Revisions in whose place a newer one went.
fn superseded<'a>(sink: &'a str, its: &'a [&Listed]) -> impl Iterator<Item = Never> + 'a {
    let gone = its.iter().filter(|one| one.state == StateName::Superseded);
    gone.map(move |one| {
        let revision = one.delivery.revision;
        let others = its.iter().map(|other| other.delivery.revision);
        Never {
            sink: sink.to_owned(),
            revision,
            why: Why::Newer,
            since: None,
            instead: others.filter(|other| *other > revision).min(),
            when: Value::Null,
        }
    })
}

/// What its condition says; `None` if it has none.
fn explained(engine: &Engine, sink: &ConfiguredSink, lead: &StoredLead) -> Option<Part> {
    let fields: Value = serde_json::from_str(&lead.lead).unwrap_or_default();
    // A condition that is none was refused when the configuration was read.
    route::explain(engine, sink.when.as_deref()?, &fields, &lead.source).ok()
}

impl Never {
    fn of(
        name: &str,
        sink: &ConfiguredSink,
        newest: &StoredLead,
        its: &[&Listed],
        part: Option<Part>,
        reveal: bool,
    ) -> Self {
        let went = its.iter().map(|one| one.delivery.revision).max();
        let decision = part.as_ref().map(|part| &part.decision);
        let why = why(decision, sink, newest.received_at, went.is_some());
        let is_by_condition = matches!(why, Why::Condition | Why::Failed);
        let part = part.filter(|_| is_by_condition).map(|mut part| {
            if !reveal {
                mask(&mut part);
            }
            part.json()
        });
        Self {
            sink: name.to_owned(),
            revision: newest.revision,
            why,
            since: (why == Why::ConfiguredSince).then(|| rfc3339(sink.since)),
            instead: went.filter(|_| matches!(why, Why::Newer | Why::Ignored)),
            when: json!(part),
        }
    }
}

/// Why a revision that came then did not go; `went` if another one of the lead did.
fn why(decision: Option<&Decision>, sink: &ConfiguredSink, came: Millis, went: bool) -> Why {
    match decision {
        Some(Decision::No | Decision::NotReached) => Why::Condition,
        Some(Decision::Failed(_)) => Why::Failed,
        None | Some(Decision::Yes) if went && sink.on_update == OnUpdate::Ignore => Why::Ignored,
        // It came late: what was delivered is newer by what it says of itself.
        None | Some(Decision::Yes) if went => Why::Newer,
        None | Some(Decision::Yes) if came < sink.since => Why::ConfiguredSince,
        None | Some(Decision::Yes) => Why::Unknown,
    }
}

fn mask(part: &mut Part) {
    for (path, value) in &mut part.values {
        *value = privacy::of_field(path, value);
    }
    part.parts.iter_mut().for_each(mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(when: Option<&str>, on_update: OnUpdate) -> ConfiguredSink {
        ConfiguredSink {
            plugin: "http".to_owned(),
            when: when.map(str::to_owned),
            on_update,
            since: 1_000,
            set: crate::admin::tests::sink_config(),
            written: None,
        }
    }

    #[test]
    fn each_reason_has_its_case() {
        let supersede = sink(None, OnUpdate::Supersede);
        let ignore = sink(None, OnUpdate::Ignore);
        for (decision, sink, came, went, expected) in [
            (Some(Decision::No), &supersede, 2_000, false, Why::Condition),
            (
                Some(Decision::Failed(String::new())),
                &supersede,
                0,
                false,
                Why::Failed,
            ),
            (None, &supersede, 999, false, Why::ConfiguredSince),
            (Some(Decision::Yes), &supersede, 999, true, Why::Newer),
            (None, &ignore, 2_000, true, Why::Ignored),
            (None, &supersede, 1_000, false, Why::Unknown),
        ] {
            assert_eq!(why(decision.as_ref(), sink, came, went), expected);
        }
    }

    #[test]
    fn a_condition_is_explained_with_values_that_say_nothing_of_who_it_is() {
        let lead = StoredLead {
            id: crate::outbox::LeadId(uuid::Uuid::nil()),
            revision: 1,
            source: "shop".to_owned(),
            received_at: 0,
            lead: json!({ "store_id": 7, "phone": "13567658911", "remark": "找张三", "other": {} })
                .to_string(),
            labels: "{}".to_owned(),
            raw: String::new(),
            original: None,
        };
        let sink = sink(
            Some("store_id == 7 and phone != '1' and '李四' in remark"),
            OnUpdate::Each,
        );
        let engine = Engine::new(crate::lead::Tables::new());
        let explain = |reveal| {
            let part = explained(&engine, &sink, &lead);
            json!(Never::of("crm", &sink, &lead, &[], part, reveal))
        };
        let masked = explain(false);
        assert_eq!(masked["why"], "condition", "{masked}");
        let parts = &masked["when"]["parts"];
        assert_eq!(parts[0]["values"], json!({ "store_id": 7 }));
        assert_eq!(parts[1]["values"], json!({ "phone": "135****8911" }));
        assert_eq!(parts[2]["holds"], false);
        assert_eq!(parts[2]["values"], json!({ "remark": "***" }));
        let revealed = explain(true);
        assert_eq!(revealed["when"]["parts"][2]["values"]["remark"], "找张三");
    }
}
