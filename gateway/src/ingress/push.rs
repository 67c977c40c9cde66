//! One push: verify, read, route, make durable, answer.
//!
//! The deadline counts from the body's last byte: what is not durable by then is answered
//! with failure, however far it has come. Large bodies are worked on by a thread that may
//! block, a few at a time, so that no worker is kept from its other connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Ingress;
use super::arrival::arrival;
use super::came::Came;
use super::receiving::Receiving;
use super::refusing::Reason;
use super::tally::What;
use crate::clock::Millis;
use crate::config::QuarantinePolicy;
use crate::outbox::{Accepted, LeadId, QuarantineId, Quarantined, QuarantinedPush, Refusal};
use crate::source::{Answer, At, Quarantinable, Reading, Reply, Request, Source};
use crate::telemetry::pushes::{PushVerdict, RecentPush};
use crate::telemetry::signed::{Clue, ClueKind, Signed};

/// Bodies above this are worked on apart; up to it that takes well under a millisecond.
const LARGE: usize = 32 << 10;

/// What was made of a push; what goes to the store is on its way.
enum Judged {
    Lead {
        pushed_at: Option<Millis>,
        stored: BoxFuture<'static, Result<Accepted, Refusal>>,
    },
    Quarantinable {
        reason: &'static str,
        pushed_at: Option<Millis>,
        /// `None` if the merchant rejects such.
        kept: Option<BoxFuture<'static, Result<Quarantined, Refusal>>>,
    },
    Refused(&'static str, Option<Box<Signed>>),
    Handshake(Reply),
}

/// How a push ended; `result` is a metric's label.
struct Verdict {
    answer: Answer,
    result: &'static str,
    /// The same for who looks at recent pushes, and why.
    what: PushVerdict,
    reason: Option<&'static str>,
    lead: Option<LeadId>,
    quarantined: Option<QuarantineId>,
}

impl Verdict {
    const fn new(answer: Answer, result: &'static str, what: PushVerdict) -> Self {
        Self {
            answer,
            result,
            what,
            reason: None,
            lead: None,
            quarantined: None,
        }
    }

    const fn success(result: &'static str, what: PushVerdict) -> Self {
        Self::new(Answer::Success, result, what)
    }

    /// `code` is the answer's.
    const fn failed(code: &'static str, result: &'static str, what: PushVerdict) -> Self {
        Self::new(Answer::Failed(code), result, what)
    }

    const fn because(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    const fn of(self, lead: LeadId) -> Self {
        Self {
            lead: Some(lead),
            ..self
        }
    }
}

/// Takes one push to its answer.
pub(super) async fn take(
    ingress: &Arc<Ingress>,
    receiving: &Arc<Receiving>,
    at: At<'_>,
    request: &HttpRequest,
    body: Bytes,
) -> Reply {
    let came = Came::with(ingress, request, body.len());
    let (began, received_at) = (came.began, came.at);
    let deadline = began + receiving.limits.ack_deadline;
    let tally = &ingress.state.tally;
    let by = tokio::time::Instant::from_std(deadline);
    let ended = tokio::time::timeout_at(by, async {
        let (source, judged) = if body.len() > LARGE {
            judge_apart(ingress, receiving, &at, request, body, came).await
        } else {
            let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
            let request = Request {
                method: request.method().as_str(),
                query: request.query_string(),
                header: &header,
                body,
                received_at,
            };
            judge(ingress, receiving, &at, &request, came.peer)
        };
        if !at.exact && !matches!(judged, Judged::Refused(..) | Judged::Handshake(_)) {
            tally.say(What::Slash, source.name(), "", || at.configured.to_owned());
        }
        let (verdict, pushed_at) = match judged {
            Judged::Lead { pushed_at, stored } => {
                tally.authentic(source.name(), pushed_at, received_at);
                tally.fresh(source.name());
                (store(ingress, source.name(), stored).await, pushed_at)
            }
            Judged::Quarantinable {
                reason,
                pushed_at,
                kept,
            } => {
                tally.authentic(source.name(), pushed_at, received_at);
                if !is_about_time(reason) {
                    tally.fresh(source.name());
                }
                let verdict = match kept {
                    Some(kept) => {
                        let push = (reason, pushed_at, received_at);
                        set_aside(ingress, source.name(), push, kept).await
                    }
                    None => {
                        tally.rejected(source.name(), reason, pushed_at, received_at);
                        Verdict::new(Answer::Refused, result_of(reason), PushVerdict::Rejected)
                            .because(reason)
                    }
                };
                (verdict, pushed_at)
            }
            Judged::Refused(reason, signed) => {
                tracing::debug!(source = source.name(), reason, "push refused");
                let app_key = || source.app_key(request.query_string());
                tally.refused(source.name(), reason, app_key);
                let reply = source.answer(Answer::Refused);
                ingress.state.pushes.note(RecentPush {
                    reason: Some(reason),
                    signed,
                    ..came.became(source.name(), PushVerdict::Refused, reply.status)
                });
                return Err(reply);
            }
            Judged::Handshake(reply) => return Err(reply),
        };
        Ok((source, verdict, pushed_at))
    })
    .await;
    let late = || {
        let late = Verdict::failed("timeout", "error", PushVerdict::Failed);
        late.because(Reason::TooLate.as_str())
    };
    let (source, verdict, pushed_at) = match ended {
        // Counted already.
        Ok(Err(reply)) => return reply,
        // In time is what the sender sees in time.
        Ok(Ok((source, verdict, pushed_at)))
            if verdict.answer != Answer::Success || Instant::now() <= deadline =>
        {
            (source, verdict, pushed_at)
        }
        Ok(Ok((source, _, pushed_at))) => (source, late(), pushed_at),
        Err(_) => (Arc::clone(at.sources.first()), late(), None),
    };
    if verdict.answer == Answer::Failed("timeout") {
        failed(ingress, source.name(), Reason::TooLate);
    }
    if verdict.answer == Answer::Success {
        tally.durable(source.name(), received_at);
    }
    tally.count(source.name(), verdict.result);
    tally.took(source.name(), began.elapsed());
    let reply = source.answer(verdict.answer);
    ingress.state.pushes.note(RecentPush {
        reason: verdict.reason,
        pushed_at,
        lead: verdict.lead.map(|id| id.to_string()),
        quarantined: verdict.quarantined.map(|id| id.to_string()),
        ..came.became(source.name(), verdict.what, reply.status)
    });
    reply
}

/// Verifies and reads, and gives what is to be stored to the store, which encodes it at once.
fn judge(
    ingress: &Ingress,
    receiving: &Receiving,
    at: &At<'_>,
    request: &Request<'_>,
    peer: Option<IpAddr>,
) -> (Arc<dyn Source>, Judged) {
    let received_at = request.received_at;
    let (source, reading) = at.sources.read(request);
    let judged = match reading {
        Reading::Lead(push) => {
            let pushed_at = push.pushed_at;
            let arrival = arrival(*push, &receiving.routes, &receiving.tables, received_at);
            Judged::Lead {
                pushed_at,
                stored: ingress.outbox.accept(arrival),
            }
        }
        Reading::Quarantinable(push) => Judged::Quarantinable {
            reason: push.reason,
            pushed_at: push.pushed_at,
            kept: (push.then == QuarantinePolicy::Quarantine).then(|| {
                let push = quarantined_push(receiving, push, received_at);
                ingress.outbox.quarantine(push)
            }),
        },
        Reading::Refused(reason) => {
            let now = ingress.clock.monotonic();
            let may = ingress.state.pushes.may_explain(peer, now);
            let signed = may.then(|| explained(ingress, receiving, &*source, request));
            Judged::Refused(reason, signed.flatten().map(Box::new))
        }
        Reading::Handshake(reply) => Judged::Handshake(reply),
    };
    (source, judged)
}

/// What was signed of a push that was refused, and whether it is another source's.
fn explained(
    ingress: &Ingress,
    receiving: &Receiving,
    source: &dyn Source,
    request: &Request<'_>,
) -> Option<Signed> {
    let mut signed = source.explain(request)?;
    signed.authentic_before = ingress.state.tally.was_authentic(source.name());
    if signed.clue.is_none()
        && let Some((other, path)) = receiving.sources.whose(request)
    {
        signed.clue = Some(Clue {
            what: ClueKind::OtherSource,
            detail: Some(format!("{} ({path})", other.name())),
        });
    }
    Some(signed)
}

/// [`judge`] on a thread that may block.
async fn judge_apart(
    ingress: &Arc<Ingress>,
    receiving: &Arc<Receiving>,
    at: &At<'_>,
    request: &HttpRequest,
    body: Bytes,
    came: Came,
) -> (Arc<dyn Source>, Judged) {
    let turn = Arc::clone(&ingress.state.large).acquire_owned().await;
    let headers = request.headers().clone();
    let (method, query) = (request.method().clone(), request.query_string().to_owned());
    let (ingress, receiving) = (Arc::clone(ingress), Arc::clone(receiving));
    let configured = at.configured.to_owned();
    let exact = at.exact;
    let judged = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let at = receiving.sources.at(&configured);
        let at = at.expect("the path was found in this registry");
        let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        judge(
            &ingress,
            &receiving,
            &At { exact, ..at },
            &Request {
                method: method.as_str(),
                query: &query,
                header: &header,
                body,
                received_at: came.at,
            },
            came.peer,
        )
    });
    match judged.await {
        Ok(judged) => judged,
        // As if it had happened here: there is an answer for it.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("the work was given up: {error}"),
        },
    }
}

fn quarantined_push(
    receiving: &Receiving,
    push: Quarantinable,
    received_at: Millis,
) -> QuarantinedPush {
    let ceiling = receiving.ceiling(&push.source);
    QuarantinedPush {
        source: Arc::from(push.source.as_str()),
        reason: push.reason,
        received_at,
        request_id: push.request_id,
        signature: push.signature,
        query: push.query,
        content_type: push.content_type,
        body: push.body.to_vec(),
        ceiling,
    }
}

async fn store(
    ingress: &Ingress,
    source: &str,
    stored: BoxFuture<'static, Result<Accepted, Refusal>>,
) -> Verdict {
    match stored.await {
        Ok(Accepted::New {
            lead,
            revision,
            history,
        }) => {
            tracing::debug!(source, lead = %lead, revision, history, "push accepted");
            let what = match revision {
                _ if history => PushVerdict::Older,
                1 => PushVerdict::Accepted,
                _ => PushVerdict::Revised,
            };
            Verdict::success("accepted", what).of(lead)
        }
        Ok(Accepted::Duplicate { lead, revision }) => {
            tracing::debug!(source, lead = %lead, revision, "push was a duplicate");
            Verdict::success("duplicate", PushVerdict::Duplicate).of(lead)
        }
        Ok(Accepted::Routed { lead, revision }) => {
            tracing::debug!(source, lead = %lead, revision, "push of a lead that no sink had wanted was routed");
            Verdict::success("accepted", PushVerdict::Routed).of(lead)
        }
        Ok(Accepted::Deferred) => {
            tracing::debug!(source, "push was kept until the outbox has its index again");
            Verdict::success("accepted", PushVerdict::Deferred)
        }
        Err(refusal) => not_stored(ingress, source, &refusal),
    }
}

async fn set_aside(
    ingress: &Ingress,
    source: &str,
    (reason, pushed_at, received_at): (&'static str, Option<Millis>, Millis),
    kept: BoxFuture<'static, Result<Quarantined, Refusal>>,
) -> Verdict {
    let tally = &ingress.state.tally;
    match kept.await {
        Ok(kept @ (Quarantined::New(_) | Quarantined::Deferred)) => {
            tracing::debug!(source, reason, ?kept, "push quarantined");
            tally.quarantined(source, reason, pushed_at, received_at);
            let quarantined = match kept {
                Quarantined::New(id) => Some(id),
                _ => None,
            };
            Verdict {
                quarantined,
                ..Verdict::success(result_of(reason), PushVerdict::Quarantined).because(reason)
            }
        }
        Ok(Quarantined::Duplicate) => {
            Verdict::success("duplicate", PushVerdict::Duplicate).because(reason)
        }
        // It is nowhere but with the sender: success would lose it without a trace.
        Ok(Quarantined::Full) => {
            tally.say(What::QuarantineFull, source, reason, String::new);
            let what = PushVerdict::QuarantineFull;
            Verdict::failed("quarantine-full", "quarantine_full", what).because(reason)
        }
        Err(refusal) => not_stored(ingress, source, &refusal),
    }
}

fn not_stored(ingress: &Ingress, source: &str, refusal: &Refusal) -> Verdict {
    let reason = Reason::from(refusal);
    failed(ingress, source, reason);
    let verdict = match refusal {
        Refusal::Full => Verdict::failed("overloaded", "overloaded", PushVerdict::Overloaded),
        Refusal::NoSpace => Verdict::failed("no-space", "overloaded", PushVerdict::Overloaded),
        Refusal::Unavailable(_) => Verdict::failed("unavailable", "error", PushVerdict::Failed),
    };
    verdict.because(reason.as_str())
}

/// Each push only at debug level: that pushes are refused is said once.
fn failed(ingress: &Ingress, source: &str, reason: Reason) {
    tracing::debug!(source, ?reason, "push not acknowledged");
    let now = ingress.clock.monotonic();
    ingress.refusing.refused(reason, now, || (ingress.health)());
}

fn is_about_time(reason: &str) -> bool {
    matches!(reason, "stale" | "no_timestamp")
}

fn result_of(reason: &str) -> &'static str {
    if is_about_time(reason) {
        "stale"
    } else {
        "invalid"
    }
}
