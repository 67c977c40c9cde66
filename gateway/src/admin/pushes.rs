//! Recent pushes: what became of the last ones and why, and of a wrong signature what was signed.
//!
//! They are in memory: after a start there are none. Nothing of whom a push is about is known of
//! them, so there is nothing to reveal.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::parameter::{self, Parameter};
use super::params::{Params, one_of};
use super::problem::{Kind, Problem};
use super::remedy::{self, Remedy};
use super::shape::{PushClassName, PushVerdictName};
use super::{Admin, finding, reading, rfc3339};
use crate::telemetry::pushes::{KEPT, PushClass, PushCount, PushVerdict, RecentPush};
use crate::telemetry::signed::Signed;

/// Pushes in an answer at most.
pub(super) const MOST: usize = KEPT;

/// A push in short.
#[derive(Serialize, JsonSchema)]
struct Push {
    /// Goes up by one with each push since the start; of what is not kept any more it is gone.
    number: u64,
    at: String,
    /// The source that read it; null where none did.
    source: Option<String>,
    #[schemars(with = "PushVerdictName")]
    verdict: &'static str,
    #[schemars(with = "PushClassName")]
    class: &'static str,
    /// A stable name of why, where the verdict does not say it all.
    reason: Option<&'static str>,
    /// Of the answer.
    status: u16,
    /// Who sent it, or the proxy that did.
    peer: Option<String>,
    /// Of the body, as far as it was read or as it says itself.
    bytes: usize,
    /// From the last byte to the answer.
    duration_ms: u64,
    /// The sender's clock less this machine's.
    clock_difference_seconds: Option<i64>,
    /// Id of its lead.
    lead: Option<String>,
    /// Its id in quarantine.
    quarantine: Option<String>,
    /// What the verdict means.
    explanation: String,
    explanation_zh: String,
    /// What to do about it, if anything.
    advice: Option<String>,
    advice_zh: Option<String>,
    /// Whether its signature was looked into; the push by itself shows what was found.
    is_explained: bool,
}

impl Push {
    fn of(number: u64, push: &RecentPush) -> Self {
        // What was found out about the signature says more than the verdict.
        let found = push.signed.as_deref().map(finding::of);
        let own = remedy::of(push);
        let todo = found.and_then(|found| found.todo).or(own.todo);
        let (explanation, explanation_zh) = own.says.both();
        let (advice, advice_zh) = todo.map(|todo| todo.both()).unzip();
        Self {
            number,
            at: rfc3339(push.at),
            source: (!push.source.is_empty()).then(|| push.source.to_string()),
            verdict: push.verdict.as_str(),
            class: push.verdict.class().as_str(),
            reason: push.reason,
            status: push.status,
            peer: push.peer.map(|peer| peer.to_string()),
            bytes: push.bytes,
            duration_ms: u64::try_from(push.took.as_millis()).unwrap_or(u64::MAX),
            clock_difference_seconds: difference(push),
            lead: push.lead.clone(),
            quarantine: push.quarantined.clone(),
            explanation,
            explanation_zh,
            advice,
            advice_zh,
            is_explained: push.signed.is_some(),
        }
    }
}

fn difference(push: &RecentPush) -> Option<i64> {
    let signed = push.signed.as_deref().and_then(|signed| signed.pushed_at);
    let pushed_at = push.pushed_at.or(signed)?;
    Some(pushed_at.saturating_sub(push.at) / 1000)
}

/// A push by itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PushWithSignature")]
pub(super) struct One {
    #[serde(flatten)]
    push: Push,
    /// What was signed, and how; null where the signature was right or was not looked into.
    signature: Option<Signature>,
}

/// What was signed of a push that was refused. Has no secret and no signature that would be right.
#[derive(Serialize, JsonSchema)]
struct Signature {
    /// What was found.
    finding: String,
    finding_zh: String,
    /// What to do about it.
    advice: Option<String>,
    advice_zh: Option<String>,
    /// How it is signed.
    how: &'static str,
    charset: &'static str,
    /// What is signed, in its order: `⟨secret⟩` stands for the secret, `⟨n⟩` for a name or a value of
    /// n letters that is not shown, `⟨body n⟩` for a body of n bytes.
    text: String,
    /// Names of the parameters in their order.
    order: Vec<String>,
    /// The signature that came.
    given: Option<Given>,
    /// Letters of a right one: digits and capital letters of hex.
    expected_length: usize,
    /// How many secrets it was held against.
    secrets: usize,
    /// What is unusual: `compressed`, `not_in_charset`, `byte_order_mark`, `space_at_end`,
    /// `secret_space`.
    oddities: Vec<&'static str>,
    /// With what it would be right, if with anything that was tried: the secret is right then.
    clue: Option<Clue>,
    /// Whether the usual mistakes were tried.
    tried: bool,
    /// Whether a push of the source had been authentic since the start.
    authentic_before: bool,
}

/// A signature that came.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GivenSignature")]
struct Given {
    length: usize,
    /// `right`, `lower_case`, `length` or `not_hex`.
    shape: &'static str,
    /// How it begins and ends.
    ends: Option<String>,
}

/// What differs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignatureClue")]
struct Clue {
    /// A stable name.
    what: &'static str,
    /// The charset, or the name of the parameter or of the source.
    detail: Option<String>,
}

impl From<&Signed> for Signature {
    fn from(signed: &Signed) -> Self {
        let Remedy { says, todo } = finding::of(signed);
        let (finding, finding_zh) = says.both();
        let (advice, advice_zh) = todo.map(|todo| todo.both()).unzip();
        Self {
            finding,
            finding_zh,
            advice,
            advice_zh,
            how: signed.how,
            charset: signed.charset,
            text: signed.text.clone(),
            order: signed.order.clone(),
            given: signed.given.as_ref().map(|given| Given {
                length: given.length,
                shape: given.shape.as_str(),
                ends: given.ends.clone(),
            }),
            expected_length: signed.expected_length,
            secrets: signed.secrets,
            oddities: signed.oddities.iter().map(|one| one.as_str()).collect(),
            clue: signed.clue.as_ref().map(|clue| Clue {
                what: clue.what.as_str(),
                detail: clue.detail.clone(),
            }),
            tried: signed.tried,
            authentic_before: signed.authentic_before,
        }
    }
}

/// How many pushes of a class there were.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PushCount")]
struct OfClass {
    #[schemars(with = "PushClassName")]
    class: &'static str,
    /// Since the start, with those that are not kept any more.
    count: u64,
    /// When the newest came.
    last_at: Option<String>,
}

impl From<PushCount> for OfClass {
    fn from(count: PushCount) -> Self {
        Self {
            class: count.class.as_str(),
            count: count.count,
            last_at: count.last_at.map(rfc3339),
        }
    }
}

/// The newest pushes, and how many there were.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Pushes")]
pub(super) struct List {
    items: Vec<Push>,
    counts: Vec<OfClass>,
    /// Of a class so many are kept.
    kept: usize,
}

/// What [`list`] understands.
pub(super) fn parameters() -> [Parameter; 4] {
    [
        parameter::one_of(
            "verdict",
            PushVerdict::ALL.map(PushVerdict::as_str),
            "Only with this verdict.",
        ),
        parameter::one_of(
            "class",
            PushClass::ALL.map(PushClass::as_str),
            "Only of this class of verdicts.",
        ),
        parameter::text("source", "Only of this source."),
        parameter::limit(MOST),
    ]
}

/// `GET /pushes`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let limit = params.limit(MOST)?;
    if let Some(source) = params.text("source") {
        let source = source.to_owned();
        reading(&admin, move |admin| admin.quarantine_knows(&source)).await?;
    }
    let verdict = named("verdict", &params, &PushVerdict::ALL, PushVerdict::as_str)?;
    let class = named("class", &params, &PushClass::ALL, PushClass::as_str)?;
    let class = class.or(verdict.map(PushVerdict::class));
    let classes = class.map_or_else(|| PushClass::ALL.to_vec(), |class| vec![class]);
    let source = params.text("source");
    let passes = |push: &RecentPush| {
        verdict.is_none_or(|verdict| verdict == push.verdict)
            && source.is_none_or(|source| *source == *push.source)
    };
    let found = admin.pushes.newest(&classes, passes, limit);
    let items = found.iter().map(|(number, push)| Push::of(*number, push));
    let counts = admin.pushes.counts().into_iter().map(OfClass::from);
    Ok(HttpResponse::Ok().json(List {
        items: items.collect(),
        counts: counts.collect(),
        kept: KEPT,
    }))
}

/// The one of `all` that a parameter names.
fn named<T: Copy>(
    name: &str,
    params: &Params,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    let Some(text) = params.text(name) else {
        return Ok(None);
    };
    let names: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
    one_of(name, text, &names)?;
    Ok(all.iter().copied().find(|one| as_str(*one) == text))
}

/// `GET /pushes/{number}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let all = admin.pushes.newest(&PushClass::ALL, |_| true, usize::MAX);
    let number: Option<u64> = path.parse().ok();
    let found = all.iter().find(|(one, _)| Some(*one) == number);
    let Some((number, push)) = found else {
        let detail = (
            "there is no such push any more: only the last ones since the start are kept; `leadgate pushes` lists them",
            "已没有这条推送：只保留启动以来最近的推送；用 `leadgate pushes` 列出",
        );
        return Err(Problem::new(Kind::NotFound, detail));
    };
    Ok(HttpResponse::Ok().json(One {
        push: Push::of(*number, push),
        signature: push.signed.as_deref().map(Signature::from),
    }))
}
