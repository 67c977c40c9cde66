//! Wishes: what a person asks to be done to many, read into a plan, or refused with what to do.
//!
//! Times are fixed when a wish is read. Notes, names and conditions are kept with the job, whoever
//! is erased later, so they name nobody: a condition compares no field of a person with a text.
//! What the action does not go by is refused.

use schemars::JsonSchema;
use serde::Deserialize;

use super::params::{moment, one_of};
use super::problem::{Kind, Problem};
use super::{Admin, condition, filters, privacy};
use crate::clock::Millis;
use crate::outbox::{
    BulkAction, BulkPlan, Count, DeathReason, Filter, LeadFilter, Population, PushFilter, Role,
    StateName,
};
use crate::source::QUARANTINE_REASONS;

/// Targets a second unless asked otherwise.
const RATE: u32 = 20;
/// And at most.
const FASTEST: u32 = 1_000;
/// Letters of a note, and of a name, at most.
pub(super) const NOTE: usize = 200;
/// Letters of a condition, at most.
const WHEN: usize = 2_000;

/// What every action goes by is not among these.
type Takes = &'static [&'static str];

const DELIVERIES: Takes = &[
    "sink", "state", "source", "reason", "rule", "group", "since", "until", "when",
];
const MOVED: Takes = &[
    "to", "sink", "state", "source", "reason", "rule", "group", "since", "until", "when",
];
const REPLAYED: Takes = &[
    "to",
    "again",
    "regardless",
    "source",
    "since",
    "until",
    "when",
];
const LEADS: Takes = &["source", "since", "until", "when"];
const RELEASED: Takes = &["force", "reason", "source", "since", "until", "when"];
const PUSHES: Takes = &["reason", "source", "since", "until", "when"];

/// What a person asks for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "BulkWish", extend("required" = ["action"]))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent fields of a request, not states"
)]
pub(super) struct Wish {
    /// What is done; `erase` takes the role admin.
    #[schemars(extend("enum" = BulkAction::NAMES))]
    action: String,
    /// The sink that a replay or a move gives to.
    to: Option<String>,
    /// Replay also what it was given already.
    again: bool,
    /// Replay also what the sink's own condition does not want.
    pub(super) regardless: bool,
    /// Only show it: nothing is kept.
    pub(super) dry_run: bool,
    /// Release also those by which nobody could be reached.
    force: bool,
    sink: Option<String>,
    source: Option<String>,
    state: Option<String>,
    reason: Option<String>,
    rule: Option<String>,
    group: Option<String>,
    since: Option<String>,
    until: Option<String>,
    when: Option<String>,
    rate: Option<u32>,
    note: String,
    /// Who wants it; whoever asks unless it says so.
    by: String,
}

impl Wish {
    /// Who may ask for it.
    pub(super) fn role(&self) -> Role {
        BulkAction::role(&self.action)
    }

    /// What it asks for, if that can be meant.
    pub(super) fn plan(self, admin: &Admin, now: Millis) -> Result<BulkPlan, Problem> {
        one_of("action", &self.action, &BulkAction::NAMES)?;
        let when = self.when.as_deref().unwrap_or_default();
        fits(&[
            ("note", &self.note, NOTE),
            ("by", &self.by, NOTE),
            ("when", when, WHEN),
            ("rule", self.rule.as_deref().unwrap_or_default(), NOTE),
        ])?;
        condition::names_nobody(when)?;
        let rate = self.rate.unwrap_or(RATE);
        if !(1..=FASTEST).contains(&rate) {
            return Err(bad((
                format!("`rate` is how many a second, from 1 to {FASTEST}"),
                format!("`rate` 是每秒条数，1 到 {FASTEST}"),
            )));
        }
        let action = self.action(admin)?;
        self.only_what_applies(&action)?;
        Ok(BulkPlan {
            over: self.over(&action, now)?,
            action,
            rate,
            by: self.by,
            note: self.note,
            when: self.when,
            count: Count::AtLeast(0),
        })
    }

    fn action(&self, admin: &Admin) -> Result<BulkAction, Problem> {
        let to = || {
            let Some(to) = self.to.clone() else {
                return Err(bad((
                    "`to` is missing: the sink that they go to",
                    "缺少 `to`：投递到哪个目的地",
                )));
            };
            admin.configured_sink(&to)?;
            Ok(to)
        };
        Ok(match &*self.action {
            "retry" => BulkAction::Retry,
            "cancel" => BulkAction::Cancel,
            "done" => {
                says_how(&self.note)?;
                BulkAction::Done
            }
            "replay" => BulkAction::Replay {
                to: to()?,
                again: self.again,
            },
            "move" => BulkAction::Move { to: to()? },
            "erase" => BulkAction::Erase,
            "release" => BulkAction::Release { force: self.force },
            _ => BulkAction::Discard,
        })
    }

    fn over(&self, action: &BulkAction, now: Millis) -> Result<Population, Problem> {
        let time = |name: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| moment(name, text, now)).transpose()
        };
        let (since, before) = (time("since", &self.since)?, time("until", &self.until)?);
        if let (Some(since), Some(before)) = (since, before)
            && since >= before
        {
            return Err(bad((
                "no time is both: `since` is not before `until`",
                "时间范围为空：`since` 不早于 `until`",
            )));
        }
        let source = self.source.clone();
        if matches!(
            action,
            BulkAction::Erase | BulkAction::Release { .. } | BulkAction::Discard
        ) {
            self.says_which(action)?;
        }
        Ok(match action {
            BulkAction::Retry | BulkAction::Cancel | BulkAction::Done | BulkAction::Move { .. } => {
                let moves = matches!(action, BulkAction::Move { .. });
                Population::Deliveries(Filter {
                    sink: self.sink.clone(),
                    // What nobody asked for by its state is what waits for a person.
                    state: self.state(moves)?,
                    source,
                    reason: self.death()?,
                    rule: self.rule.clone(),
                    group: self.group.as_deref().map(filters::group).transpose()?,
                    orphaned: moves,
                    since,
                    before,
                    newest_first: false,
                })
            }
            BulkAction::Replay { .. } | BulkAction::Erase => Population::Leads(LeadFilter {
                source,
                since,
                before,
                newest_first: false,
            }),
            BulkAction::Release { .. } | BulkAction::Discard => {
                if let Some(reason) = &self.reason {
                    one_of("reason", reason, &QUARANTINE_REASONS)?;
                }
                Population::Quarantine(PushFilter {
                    source,
                    reason: self.reason.clone(),
                    since,
                    before,
                })
            }
        })
    }

    /// What cannot be taken back is never done to all there is.
    fn says_which(&self, action: &BulkAction) -> Result<(), Problem> {
        let given = [
            &self.reason,
            &self.source,
            &self.since,
            &self.until,
            &self.when,
        ];
        if given.iter().any(|one| one.is_some()) {
            return Ok(());
        }
        let which = takes(action).iter().filter(|one| **one != "force");
        let which = which.map(|one| format!("`{one}`"));
        let which: Vec<String> = which.collect();
        Err(bad((
            format!("say which, by one or more of {}", which.join(", ")),
            format!("请说明针对哪些，可用 {}", which.join("、")),
        )))
    }

    fn state(&self, moves: bool) -> Result<Option<StateName>, Problem> {
        let Some(text) = &self.state else {
            return Ok((!moves).then_some(StateName::Dead));
        };
        let names = StateName::ALL.map(StateName::as_str);
        one_of("state", text, &names)?;
        let mut all = StateName::ALL.into_iter();
        Ok(all.find(|one| one.as_str() == text))
    }

    fn death(&self) -> Result<Option<DeathReason>, Problem> {
        let Some(text) = &self.reason else {
            return Ok(None);
        };
        one_of("reason", text, &DeathReason::ALL.map(DeathReason::as_str))?;
        let mut all = DeathReason::ALL.into_iter();
        Ok(all.find(|one| one.as_str() == text))
    }

    /// Refuses what the action does not go by.
    fn only_what_applies(&self, action: &BulkAction) -> Result<(), Problem> {
        let given = [
            ("to", self.to.is_some()),
            ("again", self.again),
            ("regardless", self.regardless),
            ("force", self.force),
            ("sink", self.sink.is_some()),
            ("state", self.state.is_some()),
            ("reason", self.reason.is_some()),
            ("rule", self.rule.is_some()),
            ("group", self.group.is_some()),
        ];
        let takes = takes(action);
        let mut wrong = given.iter().filter(|(_, is_given)| *is_given);
        let Some((name, _)) = wrong.find(|(name, _)| !takes.contains(name)) else {
            return Ok(());
        };
        let action = action.as_str();
        let those: Vec<String> = takes.iter().map(|one| format!("`{one}`")).collect();
        Err(bad((
            format!(
                "{action} does not go by `{name}`: it takes {}",
                those.join(", ")
            ),
            format!("{action} 不接受 `{name}`：可用 {}", those.join("、")),
        )))
    }
}

/// What an action goes by.
const fn takes(action: &BulkAction) -> Takes {
    match action {
        BulkAction::Retry | BulkAction::Cancel | BulkAction::Done => DELIVERIES,
        BulkAction::Move { .. } => MOVED,
        BulkAction::Replay { .. } => REPLAYED,
        BulkAction::Erase => LEADS,
        BulkAction::Release { .. } => RELEASED,
        BulkAction::Discard => PUSHES,
    }
}

/// A note that is kept by itself is one short line, and names no phone.
pub(super) fn note_fits(note: &str, most: usize) -> Result<(), Problem> {
    if note.chars().count() > most || note.chars().any(char::is_control) {
        return Err(bad((
            format!("`note` is one line of at most {most} characters"),
            format!("`note` 是最多 {most} 个字符的一行"),
        )));
    }
    fits(&[("note", note, most)])
}

/// Texts are short, and name no phone: they are kept, whoever is erased.
pub(super) fn fits(texts: &[(&str, &str, usize)]) -> Result<(), Problem> {
    for (name, text, most) in texts {
        if text.chars().count() > *most {
            return Err(bad((
                format!("`{name}` is longer than {most} letters"),
                format!("`{name}` 超过 {most} 个字"),
            )));
        }
        let names_a_phone = match *name {
            // Ids of eleven digits and more are no phones.
            "when" => condition::holds_a_mobile(text),
            _ => privacy::without_phones(text) != *text,
        };
        if names_a_phone {
            return Err(bad((
                format!(
                    "`{name}` holds what looks like a phone: it is kept, so it must name nobody; use `leadgate leads find` for one person"
                ),
                format!(
                    "`{name}` 中有疑似手机号的内容：它会被保留，不得写入个人信息；查某个人请用 `leadgate leads find`"
                ),
            )));
        }
    }
    Ok(())
}

/// Whether a note says anything.
pub(super) fn says_how(note: &str) -> Result<(), Problem> {
    if note.trim().is_empty() {
        return Err(bad((
            "`note` is missing: say how it was seen to",
            "缺少 `note`：请说明是如何处理的",
        )));
    }
    Ok(())
}

pub(super) fn bad(detail: impl Into<crate::lang::Text>) -> Problem {
    Problem::new(Kind::BadBody, detail)
}
