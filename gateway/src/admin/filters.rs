//! Filters: which leads and deliveries a list is asked for. The same parameters mean the same
//! in every list.

use super::Admin;
use super::parameter::{self, Parameter};
use super::params::{Params, one_of};
use super::problem::{Kind, Problem};
use crate::clock::Millis;
use crate::outbox::{DeathReason, FailureGroupId, Filter, LeadFilter, StateName};

/// What [`deliveries`] understands.
pub(super) fn of_deliveries() -> Vec<Parameter> {
    let mut all = vec![
        parameter::text("sink", "Only for this sink."),
        parameter::text("source", "Only of leads of this source."),
        parameter::one_of(
            "state",
            StateName::ALL.map(StateName::as_str),
            "Only in this state.",
        ),
        parameter::one_of(
            "reason",
            DeathReason::ALL.map(DeathReason::as_str),
            "Only dead letters for this reason.",
        ),
        parameter::text("rule", "Only whose last attempt was decided by this rule."),
        parameter::text("group", "Only of this failure group."),
        parameter::flag(
            "orphaned",
            "Only of sinks that are not configured any more.",
        ),
        order("oldest"),
    ];
    all.extend(parameter::times());
    all
}

/// What [`leads`] understands.
pub(super) fn of_leads() -> Vec<Parameter> {
    let mut all = vec![
        parameter::text("source", "Only of this source."),
        order("newest"),
    ];
    all.extend(parameter::times());
    all
}

fn order(otherwise: &str) -> Parameter {
    let about = match otherwise {
        "newest" => "Which come first; the newest unless asked otherwise.",
        _ => "Which come first; the oldest unless asked otherwise.",
    };
    parameter::one_of("order", ["oldest", "newest"], about)
}

/// Which deliveries; the oldest first unless asked otherwise.
pub(super) fn deliveries(params: &Params, now: Millis) -> Result<Filter, Problem> {
    let (since, before) = times(params, now)?;
    let state = StateName::ALL.map(|one| (one.as_str(), one));
    let reason = DeathReason::ALL.map(|one| (one.as_str(), one));
    Ok(Filter {
        sink: params.text("sink").map(str::to_owned),
        source: params.text("source").map(str::to_owned),
        state: named(params, "state", &state)?,
        reason: named(params, "reason", &reason)?,
        rule: params.text("rule").map(str::to_owned),
        group: params.text("group").map(group).transpose()?,
        orphaned: params.flag("orphaned")?,
        since,
        before,
        newest_first: newest_first(params, false)?,
    })
}

/// Which leads; the newest first unless asked otherwise.
pub(super) fn leads(params: &Params, now: Millis) -> Result<LeadFilter, Problem> {
    let (since, before) = times(params, now)?;
    Ok(LeadFilter {
        source: params.text("source").map(str::to_owned),
        since,
        before,
        newest_first: newest_first(params, true)?,
    })
}

/// The name of a failure group.
pub(super) fn group(text: &str) -> Result<FailureGroupId, Problem> {
    text.parse().map_err(|_| {
        let detail = (
            "`group` is the id of a failure group: 16 hex digits, as `leadgate outbox failures` lists them",
            "`group` 是失败分组的编号：16 位十六进制数，见 `leadgate outbox failures`",
        );
        Problem::new(Kind::BadParameter, detail)
    })
}

/// Since when, and before when.
pub(super) fn times(
    params: &Params,
    now: Millis,
) -> Result<(Option<Millis>, Option<Millis>), Problem> {
    let (since, until) = (params.time("since", now)?, params.time("until", now)?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        let detail = (
            "no time is both: `since` is not before `until`",
            "时间范围为空：`since` 不早于 `until`",
        );
        return Err(Problem::new(Kind::BadParameter, detail));
    }
    Ok((since, until))
}

fn newest_first(params: &Params, otherwise: bool) -> Result<bool, Problem> {
    let orders = [("oldest", false), ("newest", true)];
    Ok(named(params, "order", &orders)?.unwrap_or(otherwise))
}

/// What a parameter names, which is one of `known`.
pub(super) fn named<T: Copy>(
    params: &Params,
    name: &str,
    known: &[(&str, T)],
) -> Result<Option<T>, Problem> {
    let Some(text) = params.text(name) else {
        return Ok(None);
    };
    let names: Vec<&str> = known.iter().map(|(one, _)| *one).collect();
    one_of(name, text, &names)?;
    Ok(known
        .iter()
        .find(|(one, _)| *one == text)
        .map(|(_, it)| *it))
}

impl Admin {
    /// Refuses names that neither the configuration nor the store knows: a misspelt one must not
    /// look as if there were nothing. Reads the disk.
    pub(super) fn known(&self, sink: Option<&str>, source: Option<&str>) -> Result<(), Problem> {
        if let Some(sink) = sink {
            self.known_sink(sink, Kind::BadParameter)?;
        }
        let Some(source) = source else {
            return Ok(());
        };
        let configured = self.configured.get();
        if configured.sources.iter().any(|one| one == source) {
            return Ok(());
        }
        let of_it = LeadFilter {
            source: Some(source.to_owned()),
            ..LeadFilter::default()
        };
        let page = self.outbox.leads(&of_it, None, 1)?;
        if page.items.is_empty() && page.next.is_none() {
            let sources: Vec<&str> = configured.sources.iter().map(String::as_str).collect();
            one_of("source", source, &sources)?;
        }
        Ok(())
    }
}
