//! Wishes: what a person asks to be done to many, read into a plan, or refused with what to do.
//!
//! Times are fixed when a wish is read. Notes, names and conditions are kept with the job, whoever
//! is erased later, so they name nobody.

use schemars::JsonSchema;
use serde::Deserialize;

use super::params::{moment, one_of};
use super::problem::{Kind, Problem};
use super::{Admin, filters, privacy};
use crate::clock::Millis;
use crate::lead::Phone;
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

/// What a person asks for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "BulkWish")]
pub(super) struct Wish {
    /// `retry`, `cancel`, `done`, `replay`, `move`, `erase`, `release` or `discard`; `erase` takes
    /// the role admin.
    action: String,
    /// The sink that a replay or a move gives to.
    to: Option<String>,
    /// Replay also what it was given already.
    again: bool,
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
    by: String,
}

/// Who may do that to many: what one by one is an admin's is so of many, too.
pub(super) fn role_for(action: &str) -> Role {
    if action == BulkAction::Erase.as_str() {
        Role::Admin
    } else {
        Role::Operator
    }
}

impl Wish {
    /// Who may ask for it.
    pub(super) fn role(&self) -> Role {
        role_for(&self.action)
    }

    /// What it asks for, if that can be meant.
    pub(super) fn plan(self, admin: &Admin, now: Millis) -> Result<BulkPlan, Problem> {
        one_of("action", &self.action, &BulkAction::NAMES)?;
        let when = self.when.as_deref().unwrap_or_default();
        fits(&[
            ("note", &self.note, NOTE),
            ("by", &self.by, NOTE),
            ("when", when, WHEN),
        ])?;
        let rate = self.rate.unwrap_or(RATE);
        if !(1..=FASTEST).contains(&rate) {
            return Err(bad((
                format!("`rate` is how many a second, from 1 to {FASTEST}"),
                format!("`rate` 是每秒条数，1 到 {FASTEST}"),
            )));
        }
        let action = self.action(admin)?;
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
            self.says_which()?;
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
            BulkAction::Replay { .. } | BulkAction::Erase => {
                let (rule, group) = (&self.rule, &self.group);
                let none = [&self.sink, &self.state, &self.reason, rule, group];
                self.only_of_deliveries(&none)?;
                Population::Leads(LeadFilter {
                    source,
                    since,
                    before,
                    newest_first: false,
                })
            }
            BulkAction::Release { .. } | BulkAction::Discard => {
                self.only_of_deliveries(&[&self.sink, &self.state, &self.rule, &self.group])?;
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
    fn says_which(&self) -> Result<(), Problem> {
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
        Err(bad((
            "say which: `source`, `since`, `until` or `when`, and of the quarantine also `reason`",
            "请说明针对哪些：`source`、`since`、`until` 或 `when`，隔离区还可用 `reason`",
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

    fn only_of_deliveries(&self, given: &[&Option<String>]) -> Result<(), Problem> {
        if given.iter().all(|one| one.is_none()) {
            return Ok(());
        }
        let action = &self.action;
        Err(bad((
            format!(
                "{action} is not about deliveries: it takes `source`, `since`, `until` and `when`, and not `sink`, `state`, `rule` or `group`"
            ),
            format!(
                "{action} 针对的不是投递：可用 `source`、`since`、`until`、`when`，不可用 `sink`、`state`、`rule`、`group`"
            ),
        )))
    }
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
            "when" => holds_a_mobile(text),
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

/// Whether a group of digits in it surely is a mobile.
fn holds_a_mobile(text: &str) -> bool {
    let mut groups = text.split(|letter: char| !letter.is_ascii_digit());
    groups.any(|digits| Phone::parse(digits).is_some())
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
