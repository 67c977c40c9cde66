//! Sources: who may push, how a push is verified and read, and how it is answered.
//!
//! A source kind is one module behind [`Source`]. It sees the raw request and nothing of
//! the outbox, the routes or the sinks. [`Registry`] finds the source of a request.

mod registry;
pub mod tmall;

use bytes::Bytes;

pub use registry::{At, PathSources, Registry};

use crate::clock::Millis;
use crate::lead::Lead;
use crate::telemetry::signed::Signed;

/// A push as it came, before anything was decided about it.
pub struct Request<'a> {
    /// `POST`, `GET` …
    pub method: &'a str,
    /// The raw query string without `?`; empty if there is none.
    pub query: &'a str,
    /// Looks a header up without regard to case; the first value if repeated. Only asked
    /// for names that HTTP allows.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// The raw body.
    pub body: Bytes,
    /// When its last byte was read. Timestamps are held against it.
    pub received_at: Millis,
}

/// What a source made of a push.
pub enum Reading {
    /// Authentic and understood.
    Lead(Box<Push>),
    /// Authentic, but a person must look.
    Quarantinable(Quarantinable),
    /// Not from who it claims to be, or not acceptable at all. A stable name of the reason,
    /// for the log.
    Refused(&'static str),
    /// A question of the sender's that is answered here and now.
    Handshake(Reply),
}

/// An authentic push that was understood.
pub struct Push {
    /// Name of the source in the configuration.
    pub source: String,
    /// The lead.
    pub lead: Lead,
    /// Who the lead is, across pushes.
    pub identity: crate::lead::Identity,
    /// When it was sent, by the sender's clock.
    pub pushed_at: Option<Millis>,
    /// The sender's id of this one request, for tracing.
    pub request_id: Option<String>,
    /// The sender's name of the API, as it came.
    pub method: Option<String>,
    /// The body as text (UTF-8); of a push by GET, the query. What `raw` is to a plugin.
    pub raw: Bytes,
    /// The body byte for byte, where it is not `raw`: another charset, or no text at all.
    pub original: Option<Bytes>,
}

/// Every reason of a [`Quarantinable`] push.
pub const QUARANTINE_REASONS: [&str; 7] = [
    "stale",
    "no_timestamp",
    "unparsable",
    "not_an_object",
    "no_known_field",
    "unknown_method",
    "open_key",
];

/// An authentic push that was not understood. What becomes of it is the merchant's choice.
pub struct Quarantinable {
    /// Name of the source in the configuration.
    pub source: String,
    /// One of [`QUARANTINE_REASONS`].
    pub reason: &'static str,
    /// What the merchant wants done with it.
    pub then: crate::config::QuarantinePolicy,
    /// When it was sent, by the sender's clock.
    pub pushed_at: Option<Millis>,
    /// The sender's id of this one request, for tracing.
    pub request_id: Option<String>,
    /// What signs it: the same for everything that can be made of the same signed text.
    pub signature: String,
    /// The raw query string.
    pub query: String,
    /// The raw content type.
    pub content_type: String,
    /// The raw body, byte for byte.
    pub body: Bytes,
}

/// A quarantined push, for a person who says that it is a lead.
#[derive(Clone, Copy)]
pub struct RawPush<'a> {
    /// The raw query string.
    pub query: &'a str,
    /// The raw content type.
    pub content_type: &'a str,
    /// The raw body; empty for a GET.
    pub body: &'a [u8],
}

/// What happened to a push, for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is durable.
    Success,
    /// It is not authentic.
    Refused,
    /// It could not be kept; `code` says why (`overloaded`, `unavailable`, `timeout` …).
    Failed(&'static str),
}

/// With which HTTP status a source answers what is no success.
#[derive(Clone, Copy, Debug)]
pub struct Statuses {
    /// Of the refusal.
    pub refusal: u16,
    /// Of the failure answer.
    pub failure: u16,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `content-type`.
    pub content_type: &'static str,
    /// Body.
    pub body: Bytes,
}

/// How surely a request is meant for a source; the surest of a path reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is for someone else, or cannot be read at all.
    None,
    /// It does not say for whom it is.
    Unaddressed,
    /// The source takes anybody's.
    Anyone,
    /// The request comes from the application that the source names.
    Sender,
    /// The request is addressed to the application that the source names.
    Addressee,
}

/// A source kind, configured.
pub trait Source: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;
    /// Whether the request is meant for this source, when several share a path. Says
    /// nothing about authenticity: [`Source::read`] alone decides.
    fn fit(&self, request: &Request<'_>) -> Fit;
    /// For which application, or of which, a request says that it is. For the log: anybody may
    /// have written it.
    fn app_key(&self, query: &str) -> Option<String>;
    /// Verifies and reads a push.
    fn read(&self, request: &Request<'_>) -> Reading;
    /// What of a request that was refused is signed, and how, if that much of it can be read.
    /// Costs as much as several readings: not for every push that a stranger sends.
    fn explain(&self, request: &Request<'_>) -> Option<Signed>;
    /// Reads a quarantined push that a person releases; it was verified when it came. Of one
    /// that cannot be read the text is the lead ([`Lead::unread`]).
    fn release(&self, raw: RawPush<'_>) -> Push;
    /// When a quarantined push was sent, by the sender's clock.
    fn pushed_at(&self, raw: RawPush<'_>) -> Option<Millis>;
    /// How this kind of sender is answered.
    fn answer(&self, answer: Answer) -> Reply;
}
