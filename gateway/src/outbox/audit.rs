//! The audit log: who did what to the store, and who looked at a person in it.
//!
//! Entries follow each other in a chain: each has a keyed hash of itself and of the one before,
//! so that one that was removed or changed is noticed. Nothing in an entry is personal: what is
//! kept of a search is by what was searched, and of a filter its names and times. Erasing leaves
//! it alone; entries leave by a retention of their own, and where they ended is kept.

use std::fmt;

use leadgate_plugin::{hex, unhex};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Actor;
use crate::clock::Millis;
use crate::lang::Text;

/// Letters of a text in an entry, at most.
pub const AUDIT_TEXT: usize = 500;

/// What is done. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAction {
    /// One delivery is tried again.
    DeliveryRetry,
    /// One delivery is given up.
    DeliveryCancel,
    /// One delivery counts as delivered.
    DeliveryDone,
    /// What a sink would be sent of a delivery is shown, with what it says of a person.
    DeliveryReveal,
    /// Leads are looked for by what a person has.
    LeadsSearch,
    /// What a lead says is shown.
    LeadsReveal,
    /// All that is stored of somebody is given out.
    LeadsExport,
    /// What an erasure would take is shown.
    LeadsErasePreview,
    /// A lead, or all that is stored of somebody, goes.
    LeadsErase,
    /// A bulk job is planned.
    BulkPlan,
    /// A bulk job is started.
    BulkStart,
    /// A bulk job is stopped.
    BulkCancel,
    /// A bulk job has done all, or was stopped.
    BulkEnd,
    /// A sink is paused.
    SinkPause,
    /// A sink is resumed.
    SinkResume,
    /// A sink is sent a test lead.
    SinkTest,
    /// A quarantined push is shown.
    QuarantineReveal,
    /// A quarantined push becomes a lead.
    QuarantineRelease,
    /// A quarantined push is thrown away.
    QuarantineDiscard,
    /// The configuration is read again.
    Reload,
    /// A backup is made.
    OutboxBackup,
    /// All that is stored is given out.
    OutboxExport,
    /// What another store gave out is stored.
    OutboxImport,
    /// What is stored is sealed with the current key.
    OutboxRekey,
    /// This log is given out.
    AuditExport,
    /// Somebody is let in by a new token.
    TokenAdd,
    /// Nobody is let in by a token any more.
    TokenRevoke,
    /// Somebody logs in to the console.
    SessionBegin,
    /// A session of the console is ended by somebody.
    SessionEnd,
}

impl AuditAction {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::DeliveryRetry,
        Self::DeliveryCancel,
        Self::DeliveryDone,
        Self::DeliveryReveal,
        Self::LeadsSearch,
        Self::LeadsReveal,
        Self::LeadsExport,
        Self::LeadsErasePreview,
        Self::LeadsErase,
        Self::BulkPlan,
        Self::BulkStart,
        Self::BulkCancel,
        Self::BulkEnd,
        Self::SinkPause,
        Self::SinkResume,
        Self::SinkTest,
        Self::QuarantineReveal,
        Self::QuarantineRelease,
        Self::QuarantineDiscard,
        Self::Reload,
        Self::OutboxBackup,
        Self::OutboxExport,
        Self::OutboxImport,
        Self::OutboxRekey,
        Self::AuditExport,
        Self::TokenAdd,
        Self::TokenRevoke,
        Self::SessionBegin,
        Self::SessionEnd,
    ];

    /// Its stable name: what it is about, a dot, what is done.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeliveryRetry => "delivery.retry",
            Self::DeliveryCancel => "delivery.cancel",
            Self::DeliveryDone => "delivery.done",
            Self::DeliveryReveal => "delivery.reveal",
            Self::LeadsSearch => "leads.search",
            Self::LeadsReveal => "leads.reveal",
            Self::LeadsExport => "leads.export",
            Self::LeadsErasePreview => "leads.erase_preview",
            Self::LeadsErase => "leads.erase",
            Self::BulkPlan => "bulk.plan",
            Self::BulkStart => "bulk.start",
            Self::BulkCancel => "bulk.cancel",
            Self::BulkEnd => "bulk.end",
            Self::SinkPause => "sink.pause",
            Self::SinkResume => "sink.resume",
            Self::SinkTest => "sink.test",
            Self::QuarantineReveal => "quarantine.reveal",
            Self::QuarantineRelease => "quarantine.release",
            Self::QuarantineDiscard => "quarantine.discard",
            Self::Reload => "reload",
            Self::OutboxBackup => "outbox.backup",
            Self::OutboxExport => "outbox.export",
            Self::OutboxImport => "outbox.import",
            Self::OutboxRekey => "outbox.rekey",
            Self::AuditExport => "audit.export",
            Self::TokenAdd => "token.add",
            Self::TokenRevoke => "token.revoke",
            Self::SessionBegin => "session.begin",
            Self::SessionEnd => "session.end",
        }
    }
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditResult {
    /// It began; how it ended is another entry, or it was cut short.
    Begun,
    /// It was done.
    Done,
    /// It was refused: the name of the problem.
    Refused(String),
    /// It failed, or a part of it: the name of the problem.
    Failed(String),
}

impl AuditResult {
    /// Names of all of them.
    pub const NAMES: [&str; 4] = ["begun", "done", "refused", "failed"];

    /// Its stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// Name of the problem, if there was one.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Begun | Self::Done => None,
            Self::Refused(problem) | Self::Failed(problem) => Some(problem),
        }
    }
}

/// Something that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Millis,
    /// Who.
    pub who: Actor,
    /// What: the name of an [`AuditAction`], or of one of a newer leadgate.
    pub action: String,
    /// To what: an id, the name of a sink; empty if to many or to none.
    pub target: String,
    /// To which of many, or how: names and times.
    pub filter: String,
    /// To how many.
    pub count: Option<u64>,
    /// Why, as they say.
    pub note: String,
    /// What became of it.
    pub result: AuditResult,
}

impl AuditEvent {
    /// Something that was done, of which nothing more is known yet.
    pub fn new(at: Millis, who: Actor, action: AuditAction) -> Self {
        Self {
            at,
            who,
            action: action.as_str().to_owned(),
            target: String::new(),
            filter: String::new(),
            count: None,
            note: String::new(),
            result: AuditResult::Done,
        }
    }

    /// With no text longer than [`AUDIT_TEXT`].
    pub(super) fn bounded(mut self) -> Self {
        let texts = [
            &mut self.who.name,
            &mut self.action,
            &mut self.target,
            &mut self.filter,
            &mut self.note,
        ];
        for text in texts {
            if let Some((at, _)) = text.char_indices().nth(AUDIT_TEXT) {
                text.truncate(at);
            }
        }
        self
    }
}

/// The hash of an entry and of all before it. In JSON it is hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Chain(pub [u8; 32]);

impl fmt::Display for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.serialize_str(&hex(&self.0))
        } else {
            self.0.serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            return <[u8; 32]>::deserialize(from).map(Self);
        }
        let text = String::deserialize(from)?;
        let bytes = unhex(&text).and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| serde::de::Error::custom("a hash is damaged"))?;
        Ok(Self(bytes))
    }
}

/// Which entry of which store it was before an export brought it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its number there.
    pub number: u64,
    /// Its hash there.
    pub chain: Chain,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number: they follow each other from 1 on, without a gap.
    pub number: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
    /// Where it was first, if another store had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The hash of it and of all before it.
    pub chain: Chain,
}

/// Which entries are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By whom.
    pub who: Option<String>,
    /// Which action, or all about one thing: `leads` takes `leads.search`.
    pub action: Option<String>,
    /// With which result, by its name.
    pub result: Option<String>,
    /// At this time or later.
    pub since: Option<Millis>,
    /// Before this time.
    pub before: Option<Millis>,
}

impl AuditFilter {
    /// Whether an event is meant.
    pub fn passes(&self, event: &AuditEvent) -> bool {
        let is_of = |wanted: &String| {
            let rest = event.action.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let result = event.result.as_str();
        self.who.as_ref().is_none_or(|who| *who == event.who.name)
            && self.action.as_ref().is_none_or(is_of)
            && self.result.as_ref().is_none_or(|one| one == result)
            && self.since.is_none_or(|since| event.at >= since)
            && self.before.is_none_or(|before| event.at < before)
    }
}

/// Where the chain is broken first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditBreak {
    /// The entry that is not as it must be, or not there.
    pub at: u64,
    /// What is wrong with it.
    pub why: Text,
}

/// How the log is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditState {
    /// How many entries there are that can be read.
    pub entries: u64,
    /// The number of the oldest that must be there; those before left on purpose.
    pub first: u64,
    /// The number of the newest; 0 if there never was one.
    pub last: u64,
    /// The hash of the newest. Whoever notes it elsewhere can prove more than the store alone.
    pub chain: Chain,
    /// Where the chain is broken, if it is.
    pub broken: Option<AuditBreak>,
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::outbox::{Role, Via};

    fn event(action: AuditAction) -> AuditEvent {
        let who = Actor {
            name: "admin".to_owned(),
            role: Role::Admin,
            via: Via::Api,
            peer: Some(IpAddr::from([10, 0, 0, 7])),
        };
        AuditEvent::new(1_000, who, action)
    }

    #[test]
    fn names_of_actions_are_one_of_a_kind_and_say_what_they_are_about() {
        let mut names = AuditAction::ALL.map(AuditAction::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), AuditAction::ALL.len());
        let plain = |name: &&&str| !name.contains('.');
        assert_eq!(names.iter().filter(plain).count(), 1, "only `reload`");
    }

    #[test]
    fn a_filter_takes_one_action_or_all_about_a_thing() {
        let passes = |action: &str| {
            let filter = AuditFilter {
                action: Some(action.to_owned()),
                ..AuditFilter::default()
            };
            filter.passes(&event(AuditAction::LeadsErase))
        };
        assert!(passes("leads.erase") && passes("leads"));
        assert!(!passes("leads.erase_preview") && !passes("lead") && !passes("leads.er"));
    }

    #[test]
    fn every_part_of_a_filter_counts() {
        let mut refused = event(AuditAction::Reload);
        refused.result = AuditResult::Refused("busy".to_owned());
        let text = |text: &str| Some(text.to_owned());
        let none = AuditFilter::default();
        for (filter, passes) in [
            (none.clone(), true),
            (
                AuditFilter {
                    who: text("admin"),
                    ..none.clone()
                },
                true,
            ),
            (
                AuditFilter {
                    who: text("bob"),
                    ..none.clone()
                },
                false,
            ),
            (
                AuditFilter {
                    result: text("refused"),
                    ..none.clone()
                },
                true,
            ),
            (
                AuditFilter {
                    result: text("done"),
                    ..none.clone()
                },
                false,
            ),
            (
                AuditFilter {
                    since: Some(1_000),
                    ..none.clone()
                },
                true,
            ),
            (
                AuditFilter {
                    since: Some(1_001),
                    ..none.clone()
                },
                false,
            ),
            (
                AuditFilter {
                    before: Some(1_000),
                    ..none.clone()
                },
                false,
            ),
        ] {
            assert_eq!(filter.passes(&refused), passes, "{filter:?}");
        }
    }

    #[test]
    fn an_entry_as_json_is_the_entry_and_as_bytes_too() {
        let entry = AuditEntry {
            number: 7,
            event: event(AuditAction::SinkPause),
            origin: Some(Origin {
                number: 3,
                chain: Chain([1; 32]),
            }),
            chain: Chain([0xab; 32]),
        };
        let json = serde_json::to_string(&entry).expect("JSON");
        assert!(json.contains(&"ab".repeat(32)), "{json}");
        assert_eq!(
            serde_json::from_str::<AuditEntry>(&json).ok(),
            Some(entry.clone())
        );
        let bytes = postcard::to_stdvec(&entry.event).expect("bytes");
        assert_eq!(
            postcard::from_bytes::<AuditEvent>(&bytes).ok(),
            Some(entry.event)
        );
    }

    #[test]
    fn a_text_is_cut_where_a_letter_ends() {
        let mut long = event(AuditAction::SinkPause);
        long.note = "停".repeat(AUDIT_TEXT + 3);
        assert_eq!(long.bounded().note, "停".repeat(AUDIT_TEXT));
    }
}
