//! One push: verify, read, route, make durable, answer.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use bytes::Bytes;

use super::Ingress;
use super::arrival::arrival;
use super::refusing::Reason;
use crate::config::OnOdd;
use crate::outbox::{Accepted, Quarantined, Refusal, Suspect};
use crate::source::{Answer, Group, Odd, Push, Reading, Reply, Request, Source};

/// What became of a push; its name is a metric's label.
struct Verdict {
    answer: Answer,
    result: &'static str,
}

impl Verdict {
    const fn success(result: &'static str) -> Self {
        Self {
            answer: Answer::Success,
            result,
        }
    }

    const REFUSED: Self = Self {
        answer: Answer::Refused,
        result: "refused",
    };
}

/// Takes one push to its answer.
pub(super) async fn take(
    ingress: &Ingress,
    group: &Group,
    request: &HttpRequest,
    body: Bytes,
) -> Reply {
    let began = Instant::now();
    let received_at = ingress.clock.now();
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(actix_web::http::header::HeaderValue::as_bytes)
    };
    let (source, reading) = group.read(&Request {
        method: request.method().as_str(),
        query: request.query_string(),
        header: &header,
        body,
        received_at,
    });
    let verdict = match reading {
        Reading::Lead(push) => store(ingress, *push, received_at).await,
        Reading::Odd(odd) => set_aside(ingress, odd, received_at).await,
        Reading::Refused(reason) => {
            tracing::debug!(source = source.name(), reason, "push refused");
            Verdict::REFUSED
        }
        Reading::Handshake(reply) => return reply,
    };
    count(ingress, &*source, &verdict, received_at, began);
    source.answer(verdict.answer)
}

async fn store(ingress: &Ingress, push: Push, received_at: i64) -> Verdict {
    let source = push.source.clone();
    let arrival = arrival(push, &ingress.routes, &ingress.tables, received_at);
    let stored =
        tokio::time::timeout(ingress.limits.ack_deadline, ingress.outbox.accept(arrival)).await;
    match stored {
        Ok(Ok(Accepted::New {
            lead,
            revision,
            history,
        })) => {
            tracing::debug!(source, lead = %lead, revision, history, "push accepted");
            Verdict::success("accepted")
        }
        Ok(Ok(Accepted::Duplicate { lead, revision })) => {
            tracing::debug!(source, lead = %lead, revision, "push was a duplicate");
            Verdict::success("duplicate")
        }
        Ok(Ok(Accepted::Routed { lead, revision })) => {
            tracing::debug!(source, lead = %lead, revision, "push of a lead that no sink had wanted was routed");
            Verdict::success("accepted")
        }
        Ok(Err(refusal)) => not_stored(ingress, &source, &refusal),
        Err(_) => too_late(ingress, &source),
    }
}

async fn set_aside(ingress: &Ingress, odd: Odd, received_at: i64) -> Verdict {
    if odd.then == OnOdd::Reject {
        tracing::debug!(
            source = odd.source,
            reason = odd.reason,
            "odd push rejected"
        );
        return Verdict::REFUSED;
    }
    let source = odd.source.clone();
    let reason = odd.reason;
    let suspect = Suspect {
        source: Arc::from(odd.source.as_str()),
        reason,
        received_at,
        request_id: odd.request_id,
        query: odd.query,
        content_type: odd.content_type,
        body: odd.body.to_vec(),
    };
    match tokio::time::timeout(
        ingress.limits.ack_deadline,
        ingress.outbox.quarantine(suspect),
    )
    .await
    {
        Ok(Ok(Quarantined::New(id))) => {
            tracing::warn!(source, reason, quarantine = %id, "push quarantined");
            Verdict::success("quarantined")
        }
        Ok(Ok(Quarantined::Duplicate)) => Verdict::success("duplicate"),
        Ok(Err(refusal)) => not_stored(ingress, &source, &refusal),
        Err(_) => too_late(ingress, &source),
    }
}

fn not_stored(ingress: &Ingress, source: &str, refusal: &Refusal) -> Verdict {
    failed(ingress, source, Reason::from(refusal));
    match refusal {
        Refusal::Full => Verdict {
            answer: Answer::Failed("overloaded"),
            result: "overloaded",
        },
        Refusal::NoSpace => Verdict {
            answer: Answer::Failed("no-space"),
            result: "overloaded",
        },
        Refusal::Unavailable(_) => Verdict {
            answer: Answer::Failed("unavailable"),
            result: "error",
        },
    }
}

/// Each push only at debug level: that pushes are refused is said once.
fn failed(ingress: &Ingress, source: &str, reason: Reason) {
    tracing::debug!(source, ?reason, "push not acknowledged");
    let now = ingress.clock.monotonic();
    ingress.refusing.refused(reason, now, || (ingress.health)());
}

fn too_late(ingress: &Ingress, source: &str) -> Verdict {
    failed(ingress, source, Reason::TooLate);
    Verdict {
        answer: Answer::Failed("timeout"),
        result: "error",
    }
}

fn count(
    ingress: &Ingress,
    source: &dyn Source,
    verdict: &Verdict,
    received_at: i64,
    began: Instant,
) {
    let name = source.name();
    ingress
        .metrics
        .requests
        .with_label_values(&[name, verdict.result])
        .inc();
    ingress
        .metrics
        .duration
        .with_label_values(&[name])
        .observe(began.elapsed().as_secs_f64());
    if verdict.answer == Answer::Success {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 fit f64 exactly"
        )]
        ingress
            .metrics
            .last_lead
            .with_label_values(&[name])
            .set(received_at as f64 / 1000.0);
    }
}
