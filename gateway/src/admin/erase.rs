//! Erasing: one lead, or all that is stored of a person, goes for good.
//!
//! The answer says what went, what did not and why, and which sinks had been given it: that a
//! destination, or a backup, still has it is for the merchant to see to.

use std::collections::{BTreeMap, HashSet};

use actix_web::{HttpRequest, HttpResponse, web};
use leadgate_plugin::OutcomeKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::{audited, begun};
use super::left::Left;
use super::params::{Body, Params};
use super::problem::{Kind, Problem};
use super::subject::{MOST, Named, Subject};
use super::wish::{NOTE, note_fits};
use super::{Admin, reading, rfc3339};
use crate::outbox::{
    ATTEMPTS_KEPT, AuditAction, AuditEvent, AuditResult, Erased, Erasure, History, LeadId, Listed,
    Outline, OutlinedDelivery, QuarantineId, StateName, StoredQuarantinedPush,
};

/// Who or what is erased: one of the first six.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "EraseWish", extend("oneOf" = super::subject::one_of_them(), "examples" = [{ "phone": "13800138000", "dry_run": true }]))]
pub(super) struct Wish {
    lead: Option<String>,
    phone: Option<String>,
    record_id: Option<String>,
    order_num: Option<String>,
    nick: Option<String>,
    openid: Option<String>,
    /// Only say what would go.
    dry_run: bool,
    /// Why; for the log.
    note: String,
}

/// What a sink was given of a lead; the later ones count more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Given {
    /// It was tried, and the destination did not take it.
    Tried,
    /// The destination may have it.
    InDoubt,
    /// The destination has it.
    Delivered,
}

impl Given {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Tried, Self::InDoubt, Self::Delivered];

    /// Its name in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tried => "tried",
            Self::InDoubt => "in_doubt",
            Self::Delivered => "delivered",
        }
    }

    /// What a delivery gave; `None` if it was never tried.
    fn of(listed: &Listed) -> Option<Self> {
        let delivery = &listed.delivery;
        let ended = |kinds: &[OutcomeKind]| {
            let mut history = delivery.history.iter();
            history.any(|attempt| kinds.contains(&attempt.outcome))
        };
        let is_delivered = listed.state == StateName::Delivered
            || ended(&[OutcomeKind::Delivered, OutcomeKind::Duplicate]);
        let is_in_doubt = listed.state == StateName::InFlight
            || ended(&[OutcomeKind::Ambiguous])
            // Of a delivery of several steps, some were finished.
            || !delivery.journal.is_empty()
            // How the first ones ended is not known any more.
            || delivery.attempts as usize > ATTEMPTS_KEPT;
        if is_delivered {
            Some(Self::Delivered)
        } else if is_in_doubt {
            Some(Self::InDoubt)
        } else {
            (delivery.attempts > 0).then_some(Self::Tried)
        }
    }

    /// The same where nobody can read how its attempts ended.
    fn of_outlined(delivery: &OutlinedDelivery) -> Option<Self> {
        match delivery.state {
            StateName::Delivered => Some(Self::Delivered),
            StateName::InFlight => Some(Self::InDoubt),
            _ => (delivery.attempts > 0 || delivery.noted).then_some(Self::InDoubt),
        }
    }
}

/// A lead that is meant.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErasedLead")]
struct Lead {
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    id: LeadId,
    source: String,
    revisions: usize,
    first_received_at: String,
    /// By sink, what it was given.
    sinks: BTreeMap<String, Given>,
    /// Whether it could not be read: a sink that was tried is then in doubt.
    unread: bool,
    /// By sink, how often it was tried.
    #[serde(skip)]
    attempts: BTreeMap<String, u32>,
}

impl Lead {
    fn of(history: &History) -> Option<Self> {
        let first = history.revisions.first()?;
        let mut lead = Self {
            id: history.id,
            source: first.source.clone(),
            revisions: history.revisions.len(),
            first_received_at: rfc3339(first.received_at),
            sinks: BTreeMap::new(),
            unread: false,
            attempts: BTreeMap::new(),
        };
        for one in &history.deliveries {
            lead.count(&one.delivery.sink, one.delivery.attempts, Given::of(one));
        }
        Some(lead)
    }

    /// One that cannot be read.
    fn of_outline(outline: Outline) -> Self {
        let mut lead = Self {
            id: outline.id,
            source: outline.source,
            revisions: outline.revisions,
            first_received_at: rfc3339(outline.first_received_at),
            sinks: BTreeMap::new(),
            unread: true,
            attempts: BTreeMap::new(),
        };
        for one in &outline.deliveries {
            lead.count(&one.sink, one.attempts, Given::of_outlined(one));
        }
        lead
    }

    fn count(&mut self, sink: &str, attempts: u32, given: Option<Given>) {
        *self.attempts.entry(sink.to_owned()).or_default() += attempts;
        if let Some(given) = given {
            let known = self.sinks.entry(sink.to_owned()).or_insert(given);
            *known = given.max(*known);
        }
    }

    /// An attempt that came between the look and the erasure: how it ended went with it.
    fn count_attempts(&mut self, erased: &Erased) {
        let of_lead = (self.id, String::new())..;
        let of_lead = erased.attempts.range(of_lead);
        for ((_, sink), tried) in of_lead.take_while(|((lead, _), _)| *lead == self.id) {
            let known = self.attempts.get(sink).copied().unwrap_or_default();
            if *tried > known {
                let given = self.sinks.entry(sink.clone()).or_insert(Given::InDoubt);
                *given = Given::InDoubt.max(*given);
            }
        }
    }
}

/// A push in quarantine that is meant.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErasedPush")]
struct Push {
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    id: QuarantineId,
    source: String,
    reason: String,
    received_at: String,
}

impl From<StoredQuarantinedPush> for Push {
    fn from(stored: StoredQuarantinedPush) -> Self {
        Self {
            id: stored.id,
            source: stored.source,
            reason: stored.reason,
            received_at: rfc3339(stored.received_at),
        }
    }
}

fn as_text<T: ToString, S: serde::Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&id.to_string())
}

/// What is meant, and what became of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Erased")]
pub(super) struct Answer {
    dry_run: bool,
    /// What went, or would go.
    leads: Vec<Lead>,
    quarantined: Vec<Push>,
    /// What is still there, or may be.
    left: Vec<Left>,
    /// Leads that each sink was given, by how.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, u64>>")]
    sinks: BTreeMap<String, BTreeMap<Given, u64>>,
    /// Why what went is on the disk still, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_wiped: Option<NotWiped>,
    /// Whether there may be more: as much as one request takes is above.
    more: bool,
}

/// What went is on the disk still.
#[derive(Serialize, JsonSchema)]
struct NotWiped {
    detail: String,
    detail_zh: String,
}

impl NotWiped {
    fn because(why: &str) -> Self {
        Self {
            detail: format!(
                "what was erased is still on the disk: {why}; it is tried again by itself, or run \
                 this again"
            ),
            detail_zh: format!("已擦除的数据仍在磁盘上：{why}；会自动重试，也可再次执行"),
        }
    }
}

impl Answer {
    /// Leads and pushes together.
    fn count(&self) -> u64 {
        (self.leads.len() + self.quarantined.len()) as u64
    }

    /// With what really went.
    fn settle(&mut self, erased: &Erased) {
        let gone: HashSet<_> = erased.leads.iter().collect();
        let busy: HashSet<_> = erased.in_flight.iter().collect();
        if let Some(why) = &erased.broken_off {
            let leads = self.leads.iter().map(|lead| lead.id);
            let leads = leads.filter(|id| !gone.contains(id) && !busy.contains(id));
            self.left
                .extend(leads.map(|id| Left::lead_not_erased(id, why)));
        }
        self.leads.retain(|lead| gone.contains(&lead.id));
        let gone: HashSet<_> = erased.quarantined.iter().collect();
        if let Some(why) = &erased.broken_off {
            let pushes = self.quarantined.iter().map(|push| push.id);
            let pushes = pushes.filter(|id| !gone.contains(id));
            self.left
                .extend(pushes.map(|id| Left::push_not_erased(id, why)));
        }
        self.quarantined.retain(|push| gone.contains(&push.id));
        for lead in &mut self.leads {
            lead.count_attempts(erased);
        }
        let busy = erased.in_flight.iter();
        self.left.extend(busy.map(|lead| Left::in_flight(*lead)));
        self.not_wiped = erased.not_wiped.as_deref().map(NotWiped::because);
    }

    fn count_sinks(&mut self) {
        for (sink, given) in self.leads.iter().flat_map(|lead| &lead.sinks) {
            let counts = self.sinks.entry(sink.clone()).or_default();
            *counts.entry(*given).or_default() += 1;
        }
    }
}

/// `POST /leads/erase`, `{lead | phone | record_id | order_num | nick | openid, dry_run?, note?}`
pub(super) async fn erase(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let erased = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        erased(&asked, body.json()?, event).await
    };
    let answer = audited(&admin, &request, AuditAction::LeadsErase, erased).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Does what is wished, or says what it would take.
async fn erased(
    admin: &web::Data<Admin>,
    wish: Wish,
    event: &mut AuditEvent,
) -> Result<Answer, Problem> {
    if wish.dry_run {
        AuditAction::LeadsErasePreview
            .as_str()
            .clone_into(&mut event.action);
    }
    note_fits(&wish.note, NOTE)?;
    event.note.clone_from(&wish.note);
    let subject = Subject::of(Named {
        lead: wish.lead,
        phone: wish.phone,
        record_id: wish.record_id,
        order_num: wish.order_num,
        nick: wish.nick,
        openid: wish.openid,
    })?;
    let by = subject.by();
    event.target = subject.lead().map(|id| id.to_string()).unwrap_or_default();
    event.filter = format!("by={by}");
    let mut answer = reading(admin, move |admin| meant(admin, &subject)).await?;
    event.count = Some(answer.count());
    if wish.dry_run {
        answer.dry_run = true;
    } else {
        begun(admin, event).await?;
        let erased = go(admin, &answer).await?;
        event.count = Some((erased.leads.len() + erased.quarantined.len()) as u64);
        tracing::info!(
            by,
            leads = erased.leads.len(),
            quarantined = erased.quarantined.len(),
            in_flight = erased.in_flight.len(),
            note = wish.note,
            "leads were erased"
        );
        if let Some(error) = &erased.broken_off {
            tracing::warn!(by, error, "erasure was broken off");
            event.result = AuditResult::Failed("broken-off".to_owned());
        }
        if let Some(error) = &erased.not_wiped {
            tracing::warn!(by, error, "what was erased is still on the disk");
            event.result = AuditResult::Failed("not-wiped".to_owned());
        }
        answer.settle(&erased);
    }
    answer.count_sinks();
    Ok(answer)
}

/// All that is stored of a subject, without what it says. Reads the disk.
fn meant(admin: &Admin, subject: &Subject) -> Result<Answer, Problem> {
    let ids = subject.leads(admin, MOST)?;
    let mut more = ids.len() >= MOST;
    let mut leads = Vec::new();
    for id in ids {
        match admin.outbox.history(id) {
            // It may have left meanwhile.
            Ok(history) => leads.extend(history.as_ref().and_then(Lead::of)),
            // It goes without being read, unless it is the store that cannot be asked.
            Err(_) => leads.extend(admin.outbox.outline(id)?.map(Lead::of_outline)),
        }
    }
    let mut quarantined = Vec::new();
    let left = subject.pushes(admin, |push| {
        if quarantined.len() < MOST {
            quarantined.push(Push::from(push));
        } else {
            more = true;
        }
    })?;
    Ok(Answer {
        dry_run: false,
        leads,
        quarantined,
        left,
        sinks: BTreeMap::new(),
        not_wiped: None,
        more,
    })
}

/// Also where nothing is meant: what an earlier one could not finish is finished.
async fn go(admin: &Admin, meant: &Answer) -> Result<Erased, Problem> {
    let what = Erasure {
        leads: meant.leads.iter().map(|lead| lead.id).collect(),
        quarantined: meant.quarantined.iter().map(|push| push.id).collect(),
    };
    let erased = actix_web::rt::spawn(admin.outbox.erase(what)).await;
    let erased = erased.map_err(|_| {
        Problem::new(
            Kind::Internal,
            ("the erasure was broken off; ask again", "擦除中断，请重试"),
        )
    })?;
    Ok(erased?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_between_the_look_and_the_erasure_puts_its_sink_in_doubt() {
        let (id, other) = (LeadId(uuid::Uuid::nil()), LeadId(uuid::Uuid::max()));
        let by_sink = |counts: &[(&str, u32)]| {
            let counts = counts.iter();
            counts
                .map(|(sink, count)| ((*sink).to_owned(), *count))
                .collect()
        };
        let mut lead = Lead {
            id,
            source: "shop".to_owned(),
            revisions: 1,
            first_received_at: rfc3339(0),
            sinks: BTreeMap::from([
                ("crm".to_owned(), Given::Tried),
                ("mail".to_owned(), Given::Delivered),
                ("same".to_owned(), Given::Tried),
            ]),
            unread: false,
            attempts: by_sink(&[("crm", 1), ("mail", 1), ("same", 2)]),
        };
        let tried = |lead, sink: &str, count| ((lead, sink.to_owned()), count);
        let erased = Erased {
            leads: vec![id],
            attempts: BTreeMap::from([
                tried(id, "crm", 2),
                tried(id, "mail", 2),
                tried(id, "new", 1),
                tried(id, "same", 2),
                tried(other, "others", 1),
            ]),
            ..Erased::default()
        };
        lead.count_attempts(&erased);
        assert_eq!(
            serde_json::json!(lead.sinks),
            serde_json::json!({
                "crm": "in_doubt", "mail": "delivered", "new": "in_doubt", "same": "tried",
            })
        );
    }

    #[test]
    fn what_a_broken_erasure_did_not_take_is_left_and_named_with_the_reason() {
        let [gone, busy, rest] = [1, 2, 3].map(|id| LeadId(uuid::Uuid::from_u128(id)));
        let push = QuarantineId(uuid::Uuid::from_u128(4));
        let lead = |id| Lead {
            id,
            source: "shop".to_owned(),
            revisions: 1,
            first_received_at: rfc3339(0),
            sinks: BTreeMap::new(),
            unread: false,
            attempts: BTreeMap::new(),
        };
        let mut answer = Answer {
            dry_run: false,
            leads: [gone, busy, rest].map(lead).into(),
            quarantined: vec![Push {
                id: push,
                source: "shop".to_owned(),
                reason: "unparsable".to_owned(),
                received_at: rfc3339(0),
            }],
            left: Vec::new(),
            sinks: BTreeMap::new(),
            not_wiped: None,
            more: false,
        };
        answer.settle(&Erased {
            leads: vec![gone],
            in_flight: vec![busy],
            broken_off: Some("the disk is full".to_owned()),
            ..Erased::default()
        });
        let told = serde_json::json!(answer);
        assert_eq!(told["leads"][0]["id"], gone.to_string());
        assert_eq!(told["leads"].as_array().map(Vec::len), Some(1));
        assert_eq!(told["quarantined"], serde_json::json!([]));
        let left = told["left"].as_array().expect("a list").iter();
        let left = left.map(|one| {
            let id = one["lead"].as_str().or(one["quarantined"].as_str());
            (
                id.unwrap_or_default(),
                one["because"].as_str().unwrap_or_default(),
            )
        });
        let (rest, push, busy) = (rest.to_string(), push.to_string(), busy.to_string());
        assert_eq!(
            left.collect::<Vec<_>>(),
            [
                (&*rest, "not_erased"),
                (&*push, "not_erased"),
                (&*busy, "in_flight")
            ]
        );
        assert!(
            told["left"][0]["detail"]
                .to_string()
                .contains("the disk is full")
        );
    }
}
