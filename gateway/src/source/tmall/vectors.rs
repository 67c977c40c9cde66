//! The 84 requests whose verdicts came from running the platform's official check.
//!
//! `must` verdicts are matched exactly. Where a vector says that a receiver may also reject,
//! [`CHOICES`] holds what this one does, and ARCHITECTURE.md says why.

use std::time::Duration;

use base64::Engine;
use serde::Deserialize;

use super::*;

const VECTORS: &str = include_str!("../../../../tests/data/tmall-vectors.json");

const CHOICES: [(&str, &str); 14] = [
    ("json-019", "accepted"),
    ("ctype-027", "content_type"),
    ("form-041", "accepted"),
    ("form-047", "repeated_parameter"),
    ("header-070", "accepted"),
    ("query-086", "unsigned_parameter"),
    ("query-097", "accepted"),
    ("query-103", "http_method"),
    ("sign-112", "repeated_parameter"),
    ("charset-131", "accepted"),
    ("charset-141", "charset"),
    ("timestamp-147", "stale"),
    ("timestamp-153", "no_timestamp"),
    ("timestamp-156", "accepted"),
];

#[derive(Deserialize)]
struct Vector {
    id: String,
    method: String,
    path_and_query: String,
    headers: Vec<(String, String)>,
    body: String,
    secret: String,
    checks: Vec<String>,
    now_ms: Millis,
    tolerance_minutes: u64,
    expect: String,
    expect_timestamp: Option<bool>,
    strictness: String,
    why: String,
}

impl Vector {
    /// `accepted`, or why not. Whether the body is a lead is not the vectors' matter.
    fn verdict(&self) -> &'static str {
        let checks_time = self.checks.iter().any(|check| check == "timestamp");
        let tolerance = Duration::from_mins(self.tolerance_minutes);
        let source = tests::source(&config::Tmall {
            timestamp_tolerance: checks_time.then_some(tolerance),
            ..tests::settings(&self.secret)
        });
        let header = |name: &str| {
            let mut named = self.headers.iter();
            let found = named.find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_bytes())
        };
        let body = base64::engine::general_purpose::STANDARD.decode(&self.body);
        let (_, query) = self.path_and_query.split_once('?').unwrap_or_default();
        let reading = source.read(&Request {
            method: &self.method,
            query,
            header: &header,
            body: body.expect("base64").into(),
            received_at: self.now_ms,
        });
        match reading {
            Reading::Refused(reason) => reason,
            Reading::Quarantinable(push) if matches!(push.reason, "stale" | "no_timestamp") => {
                push.reason
            }
            Reading::Quarantinable(_) | Reading::Lead(_) => "accepted",
            Reading::Handshake(_) => "handshake",
        }
    }
}

#[test]
fn every_vector_gets_its_verdict() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).expect("vectors");
    assert_eq!(vectors.len(), 84);
    let mut chosen = 0;
    for vector in &vectors {
        let verdict = vector.verdict();
        let choice = CHOICES.iter().find(|(id, _)| *id == vector.id);
        match (vector.strictness.as_str(), choice) {
            ("may_reject", Some((_, choice))) => {
                assert_eq!(verdict, *choice, "{}: {}", vector.id, vector.why);
                chosen += 1;
            }
            ("must", None) => {
                let accepted = vector.expect == "accept";
                assert_eq!(
                    verdict == "accepted",
                    accepted,
                    "{}: {verdict}: {}",
                    vector.id,
                    vector.why
                );
                let untimely = matches!(verdict, "stale" | "no_timestamp");
                assert_eq!(
                    untimely,
                    vector.expect_timestamp == Some(false),
                    "{}",
                    vector.id
                );
            }
            (strictness, _) => panic!("{}: no choice was made for {strictness}", vector.id),
        }
    }
    assert_eq!(chosen, CHOICES.len());
}
