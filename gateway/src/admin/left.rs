//! What is left: a lead, or a push in quarantine, that was not erased or given out although it is
//! somebody's or may be, why, and what to do.

use schemars::JsonSchema;
use serde::Serialize;

use super::problem::{LEAD, QUARANTINED};
use crate::lang::Text;
use crate::outbox::{LeadId, QuarantineId, Unavailable};

/// What is left.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Left {
    #[serde(skip_serializing_if = "Option::is_none")]
    lead: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<String>,
    because: Because,
    /// The same for people, with what to do.
    detail: String,
    detail_zh: String,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LeftBecause")]
enum Because {
    /// An attempt is under way.
    InFlight,
    /// It could not be taken.
    NotErased,
    /// Nobody can read it, or tell by it whose it is.
    Unread,
}

impl Left {
    fn lead(id: LeadId, because: Because, text: impl Into<Text>) -> Self {
        let (detail, detail_zh) = text.into().both();
        Self {
            lead: Some(id.to_string()),
            quarantined: None,
            because,
            detail,
            detail_zh,
        }
    }

    fn push(id: QuarantineId, because: Because, text: impl Into<Text>) -> Self {
        let (detail, detail_zh) = text.into().both();
        Self {
            lead: None,
            quarantined: Some(id.to_string()),
            because,
            detail,
            detail_zh,
        }
    }

    /// An attempt for a lead is under way.
    pub(super) fn in_flight(id: LeadId) -> Self {
        let text = (
            "is still there: an attempt for it is under way; run this again",
            "尚未擦除：正在投递中；请再次执行",
        );
        Self::lead(id, Because::InFlight, text)
    }

    /// A lead that could not be taken.
    pub(super) fn lead_not_erased(id: LeadId, why: &str) -> Self {
        Self::lead(id, Because::NotErased, not_erased(why))
    }

    /// A push that could not be taken.
    pub(super) fn push_not_erased(id: QuarantineId, why: &str) -> Self {
        Self::push(id, Because::NotErased, not_erased(why))
    }

    /// A lead that is stored and cannot be read.
    pub(super) fn unreadable_lead(id: LeadId, error: &Unavailable) -> Self {
        Self::lead(id, Because::Unread, unreadable(LEAD.1, &error.0))
    }

    /// A push that is stored and cannot be read.
    pub(super) fn unreadable_push(id: QuarantineId, error: &Unavailable) -> Self {
        let why = &error.0;
        let text = (
            format!(
                "cannot be read ({why}), so nobody knows whose it is: give leadgate the key it is \
                 sealed with, if that is what it lacks, and run this again; or discard it"
            ),
            format!(
                "无法读取（{why}），无从得知属于谁：若缺少加密它的密钥，请补上后再次执行；否则请丢弃该{}",
                QUARANTINED.1
            ),
        );
        Self::push(id, Because::Unread, text)
    }

    /// A push of a source that is not there to read it.
    pub(super) fn of_unknown_source(id: QuarantineId, source: &str) -> Self {
        let text = (
            format!(
                "was not read, so it may be of this person: its source `{source}` is not \
                 configured any more; configure it and run this again, or discard it"
            ),
            format!(
                "未能读取，可能属于此人：其来源 `{source}` 已不在配置中；请配置后再次执行，或丢弃该{}",
                QUARANTINED.1
            ),
        );
        Self::push(id, Because::Unread, text)
    }

    /// A push that says of nobody whose it is.
    pub(super) fn of_nobody(id: QuarantineId) -> Self {
        let text = (
            "says of nobody whose it is, as far as it can be read, so it may be of this person: \
             look at it, and discard it if it is",
            "就可读取的部分而言，看不出属于谁，可能属于此人：请查看，若属于此人请丢弃",
        );
        Self::push(id, Because::Unread, text)
    }
}

fn not_erased(why: &str) -> Text {
    Text::new(
        format!("may still be there: {why}; run this again"),
        format!("可能尚未擦除：{why}；请再次执行"),
    )
}

fn unreadable(noun: &str, why: &str) -> Text {
    Text::new(
        format!(
            "cannot be read: {why}; see `leadgate outbox verify`, and give leadgate the key it is \
             sealed with, if that is what it lacks"
        ),
        format!(
            "该{noun}无法读取：{why}；请执行 `leadgate outbox verify` 查看，若缺少加密它的密钥请补上"
        ),
    )
}
