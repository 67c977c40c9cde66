//! The tally: what is counted of pushes and connections, and what the log says of them.
//!
//! Everything here may be a stranger's doing, so each line stands for many: see
//! [`Summary`]. Nothing of a push is said but its source, the application that it says it is
//! of, times, and stable reasons.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus::GaugeVec;

use super::skew::{Skew, clocks};
use crate::clock::{Clock, Millis};
use crate::source::tmall;
use crate::telemetry::accept::FAILED;
use crate::telemetry::metrics::IngestMetrics;
use crate::telemetry::summary::{EVERY, Sum, Summary};

/// Lines about different things in one minute, at most; more only with very many sources.
const LINES: usize = 1_000;

/// Every `result` of a push.
const RESULTS: [&str; 11] = [
    "accepted",
    "duplicate",
    "stale",
    "invalid",
    "bad_signature",
    "overloaded",
    "error",
    "quarantine_full",
    "unknown_path",
    "unread",
    "probe",
];

/// What happened, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// Not authentic, and so answered with the refusal.
    Refused,
    /// Not authentic, and no push of the source has been yet.
    NeverAuthentic,
    /// Authentic, and the merchant does not want it.
    Rejected,
    /// Authentic, at a path that no source has.
    UnknownPath,
    /// Authentic, at the source's path but for a slash at its end.
    Slash,
    /// Kept aside for a person.
    Quarantined,
    /// Every push is stale by the same step.
    WrongClock,
    /// Not kept aside: there are too many already.
    QuarantineFull,
    /// The body did not come whole, or is too large.
    Unread,
    /// Bodies take all the memory they may.
    NoMemory,
    /// A connection was closed for another, or because its address has its share.
    Connection,
    /// TLS did not begin.
    NotGreeted,
    /// A connection could not be accepted.
    NotAccepted,
}

type Line = (What, String, &'static str);

/// Counts and says.
pub(super) struct Tally {
    metrics: IngestMetrics,
    clock: Arc<dyn Clock>,
    sources: RwLock<HashMap<String, Arc<Seen>>>,
    said: Summary<Line>,
}

/// What is known of a source since the start.
#[derive(Default)]
struct Seen {
    authentic: AtomicBool,
    skew: Mutex<Skew>,
}

impl Tally {
    /// With every count of these sources at zero, so that the first event is an increase.
    pub(super) fn new<'a>(
        metrics: IngestMetrics,
        clock: Arc<dyn Clock>,
        sources: impl Iterator<Item = &'a String>,
    ) -> Self {
        for reason in [
            "evicted",
            "per_address",
            "plain_http",
            "handshake",
            "timeout",
        ] {
            metrics.connections_closed.with_label_values(&[reason]);
        }
        let this = Self {
            metrics,
            clock,
            sources: RwLock::default(),
            said: Summary::new(LINES, |(what, _, reason)| {
                (*what, "other".to_owned(), *reason)
            }),
        };
        this.know(sources);
        this
    }

    /// Counts these as well, from zero on if they are new.
    pub(super) fn know<'a>(&self, sources: impl Iterator<Item = &'a String>) {
        let metrics = &self.metrics;
        let mut seen = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        for source in sources {
            let name = source.as_str();
            for result in RESULTS {
                metrics.requests.with_label_values(&[name, result]);
            }
            for reason in tmall::REFUSALS {
                metrics.refusals.with_label_values(&[name, reason]);
            }
            metrics.duration.with_label_values(&[name]);
            metrics.last_lead.with_label_values(&[name]);
            metrics.clock_difference.with_label_values(&[name]);
            seen.entry(source.clone()).or_default();
        }
    }

    /// These are not configured any more: what was counted of them stays, but nobody waits for
    /// their next lead.
    pub(super) fn forget<'a>(&self, sources: impl Iterator<Item = &'a String>) {
        let mut seen = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        for source in sources {
            seen.remove(source);
            // An error says that there is none.
            let _ = self.metrics.last_lead.remove_label_values(&[source]);
            let _ = self.metrics.clock_difference.remove_label_values(&[source]);
        }
    }

    fn seen(&self, source: &str) -> Option<Arc<Seen>> {
        let seen = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(source).map(Arc::clone)
    }

    /// Sets how a source is, unless it was forgotten: a push may still be under way then.
    fn show(&self, gauge: &GaugeVec, source: &str, value: f64) {
        // Held while it is set, as it is while a source is forgotten.
        let seen = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        if seen.contains_key(source) {
            gauge.with_label_values(&[source]).set(value);
        }
    }

    /// Whether a push of it has been authentic since the start.
    pub(super) fn was_authentic(&self, source: &str) -> bool {
        let seen = self.seen(source);
        seen.is_some_and(|seen| seen.authentic.load(Ordering::Relaxed))
    }

    /// Counts an answer.
    pub(super) fn count(&self, source: &str, result: &'static str) {
        self.metrics
            .requests
            .with_label_values(&[source, result])
            .inc();
    }

    /// How long an answer took.
    pub(super) fn took(&self, source: &str, took: Duration) {
        self.metrics
            .duration
            .with_label_values(&[source])
            .observe(took.as_secs_f64());
    }

    /// An authentic push came; `pushed_at` is what it says of when.
    pub(super) fn authentic(&self, source: &str, pushed_at: Option<Millis>, received_at: Millis) {
        if let Some(seen) = self.seen(source) {
            seen.authentic.store(true, Ordering::Relaxed);
        }
        if let Some(pushed_at) = pushed_at {
            let difference = seconds(pushed_at.saturating_sub(received_at));
            self.show(&self.metrics.clock_difference, source, difference);
        }
    }

    /// An authentic push is durable.
    pub(super) fn durable(&self, source: &str, received_at: Millis) {
        self.show(&self.metrics.last_lead, source, seconds(received_at));
    }

    /// A push was answered with the refusal because it is not authentic; `app_key` is the
    /// application that it says it is of.
    pub(super) fn refused(
        &self,
        source: &str,
        reason: &'static str,
        app_key: impl FnOnce() -> Option<String>,
    ) {
        self.count(source, "bad_signature");
        self.refusal(source, reason);
        let seen = self.seen(source);
        let never = seen.is_some_and(|seen| !seen.authentic.load(Ordering::Relaxed));
        let what = if never {
            What::NeverAuthentic
        } else {
            What::Refused
        };
        self.say(what, source, reason, || {
            app_key().and_then(shown).unwrap_or_default()
        });
    }

    /// An authentic push was answered with the refusal because the merchant wants that.
    pub(super) fn rejected(
        &self,
        source: &str,
        reason: &'static str,
        pushed_at: Option<Millis>,
        now: Millis,
    ) {
        self.refusal(source, reason);
        self.kept_out(What::Rejected, source, reason, pushed_at, now);
    }

    /// A push was kept aside.
    pub(super) fn quarantined(
        &self,
        source: &str,
        reason: &'static str,
        pushed_at: Option<Millis>,
        now: Millis,
    ) {
        self.kept_out(What::Quarantined, source, reason, pushed_at, now);
    }

    /// TLS did not begin; who only looks whether the port is open is not counted.
    pub(super) fn not_greeted(&self, reason: &'static str, detail: String) {
        if reason == "closed" {
            return;
        }
        self.metrics
            .connections_closed
            .with_label_values(&[reason])
            .inc();
        self.say(What::NotGreeted, "", reason, || detail);
    }

    /// A push was in time.
    pub(super) fn fresh(&self, source: &str) {
        if let Some(seen) = self.seen(source) {
            *seen.skew.lock().unwrap_or_else(PoisonError::into_inner) = Skew::default();
        }
    }

    fn kept_out(
        &self,
        what: What,
        source: &str,
        reason: &'static str,
        pushed_at: Option<Millis>,
        now: Millis,
    ) {
        let (Some(seen), Some(pushed_at), "stale") = (self.seen(source), pushed_at, reason) else {
            self.say(what, source, reason, String::new);
            return;
        };
        let apart = pushed_at.saturating_sub(now);
        let mut skew = seen.skew.lock().unwrap_or_else(PoisonError::into_inner);
        let what = if skew.is_step(apart) {
            What::WrongClock
        } else {
            what
        };
        drop(skew);
        self.say(what, source, reason, || clocks(pushed_at, now));
    }

    fn refusal(&self, source: &str, reason: &'static str) {
        self.metrics
            .refusals
            .with_label_values(&[source, reason])
            .inc();
    }

    /// Says that it happened: at once if it is the first, else with the others of a minute.
    pub(super) fn say(
        &self,
        what: What,
        source: &str,
        reason: &'static str,
        detail: impl FnOnce() -> String,
    ) {
        let line = (what, source.to_owned(), reason);
        let said = self.said.note(line, detail, self.clock.monotonic());
        said.iter().for_each(write);
    }

    /// Says each minute what is not said yet; ends when `server` does, with all the rest.
    pub(super) async fn beside<T>(&self, server: impl Future<Output = T>) -> T {
        let mut server = std::pin::pin!(server);
        let mut minute = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                ended = &mut server => {
                    self.said.rest(self.clock.monotonic()).iter().for_each(write);
                    return ended;
                }
                (count, why) = FAILED.some() => {
                    let line = (What::NotAccepted, String::new(), "");
                    let now = self.clock.monotonic();
                    self.said.note_many(line, count, || why, now).iter().for_each(write);
                }
                _ = minute.tick() => {
                    self.said.due(self.clock.monotonic()).iter().for_each(write);
                }
            }
        }
    }
}

/// Writes one line.
fn write(sum: &Sum<Line>) {
    let (what, source, reason) = &sum.key;
    let (count, detail) = (sum.count, sum.detail.as_str());
    let detail = (!detail.is_empty()).then_some(detail);
    match what {
        What::Refused => tracing::info!(
            source,
            reason,
            app_key = detail,
            count,
            hint = hint(reason),
            "pushes refused"
        ),
        What::NeverAuthentic => {
            let hint = hint(reason).or(Some(
                "compare app_secret with the secret of the application that pushes",
            ));
            tracing::warn!(
                source,
                reason,
                app_key = detail,
                count,
                hint,
                "pushes refused; none of this source has been authentic since the start"
            );
        }
        What::Rejected => {
            tracing::info!(source, reason, count, clocks = detail, "pushes rejected");
        }
        What::UnknownPath => tracing::warn!(
            source,
            count,
            configured = detail,
            "authentic pushes came to a path that is not configured; they got 404"
        ),
        What::Slash => tracing::info!(
            source,
            count,
            configured = detail,
            "pushes came with another slash at the end of the path; they were taken"
        ),
        What::Quarantined => {
            tracing::warn!(source, reason, count, clocks = detail, "pushes quarantined");
        }
        What::WrongClock => tracing::error!(
            source,
            count,
            clocks = detail,
            "every push is stale by the same step: set the clock of this machine right, then \
             release them: leadgate quarantine release --reason stale"
        ),
        What::QuarantineFull => tracing::error!(
            source,
            reason,
            count,
            "quarantine is full for this source: authentic pushes got the failure answer; \
             release or discard what is there, or raise quarantine in the source"
        ),
        What::Unread => tracing::warn!(source, reason, count, "pushes without a whole body"),
        What::NoMemory => tracing::warn!(
            source,
            count,
            "pushes not taken: bodies take all of max_body_memory"
        ),
        What::NotGreeted => tracing::info!(
            reason,
            count,
            error = detail,
            "connections without TLS, which server.tls asks for, were closed"
        ),
        What::NotAccepted => {
            tracing::error!(count, error = detail, "connections could not be accepted");
        }
        What::Connection => {
            tracing::warn!(reason, count, "connections closed to make room for others");
        }
    }
}

/// What most often is behind a reason.
fn hint(reason: &str) -> Option<&'static str> {
    match reason {
        "unsupported_content_encoding" => Some(
            "a proxy compresses the bodies, and the signature is of the plain ones: switch that off",
        ),
        "app_key" => Some("they are for another application than app_key says"),
        _ => None,
    }
}

/// The key of an application, as a stranger wrote it, if it can be one and is no phone.
fn shown(app_key: String) -> Option<String> {
    let plain = app_key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let digits = app_key.bytes().all(|byte| byte.is_ascii_digit());
    let fits = if digits {
        (1..=10).contains(&app_key.len())
    } else {
        plain && app_key.len() <= 32
    };
    fits.then_some(app_key)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit f64 exactly"
)]
fn seconds(at: Millis) -> f64 {
    at as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_source_that_was_forgotten_stays_so_while_its_last_push_ends() {
        let metrics = Metrics::new();
        let sources = ["shop".to_owned()];
        let clock = Arc::new(SystemClock);
        let tally = Tally::new(metrics.ingest.clone(), clock, sources.iter());
        let shown = || {
            metrics
                .text()
                .contains("leadgate_last_lead_received_timestamp")
        };
        tally.durable("shop", 1_000);
        assert!(shown());
        tally.forget(sources.iter());
        tally.authentic("shop", Some(1), 2);
        tally.durable("shop", 2_000);
        assert!(!shown(), "{}", metrics.text());
    }

    #[test]
    fn of_an_application_only_what_can_be_its_key_is_said() {
        let said = |app_key: &str| shown(app_key.to_owned());
        for key in ["23456789", "a1B2", "1"] {
            assert_eq!(said(key).as_deref(), Some(key));
        }
        for other in [
            "",
            "13567658911",
            "8613567658911",
            "张三",
            "a b",
            "a\n",
            "a\"=b",
        ] {
            assert_eq!(said(other), None, "{other}");
        }
        assert_eq!(said(&"a".repeat(33)), None);
    }
}
