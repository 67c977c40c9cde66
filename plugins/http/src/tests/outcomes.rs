//! The table of outcomes: what an answer means by its status, what could be read of it, and
//! which rules there are.

use reqwest::header::HeaderMap;
use serde_json::json;

use super::*;
use crate::answer::Answer;
use crate::classify::{Rules, decide};
use crate::redact::Redactor;

/// What there is of rules.
#[derive(Clone, Copy, Debug)]
enum Has {
    None,
    /// `body.code == 0` is delivered.
    Success,
    /// `body.code != 0` is rejected.
    Failure,
    /// Both.
    Both,
    /// A failure, and whatever else comes with 200 is delivered.
    Rest,
    /// A duplicate that only 409 has.
    Other,
    /// What stands in the text.
    Text,
}

/// What the body is.
#[derive(Clone, Copy, Debug)]
enum Is {
    /// `{"code":0}`
    Zero,
    /// `{"code":500}`, with a byte order mark.
    Marked,
    /// JSON that says nothing that rules ask for.
    Else,
    /// HTML.
    Page,
    /// Nothing at all.
    Empty,
    /// In a charset that nobody knows.
    Foreign,
}

use Has::{Both, Failure, Other, Rest, Success, Text};
use Is::{Else, Empty, Foreign, Marked, Page, Zero};

#[rustfmt::skip] // A row a line.
const OUTCOMES: [(u16, Is, Has, &str, &str); 51] = [
    (200, Zero,    Has::None, "delivered", "status-2xx"),
    (200, Page,    Has::None, "delivered", "status-2xx"),
    (200, Empty,   Has::None, "delivered", "status-2xx"),
    (200, Foreign, Has::None, "delivered", "status-2xx"),
    (200, Zero,    Success,   "delivered", "rule-1"),
    (200, Marked,  Success,   "ambiguous", "undecided"),
    (200, Else,    Success,   "ambiguous", "undecided"),
    (200, Page,    Success,   "ambiguous", "unreadable"),
    (200, Empty,   Success,   "ambiguous", "unreadable"),
    (200, Foreign, Success,   "ambiguous", "unreadable"),
    (204, Empty,   Success,   "ambiguous", "undecided"),
    (200, Zero,    Failure,   "ambiguous", "undecided"),
    (200, Marked,  Failure,   "rejected",  "rule-1"),
    (200, Page,    Failure,   "ambiguous", "unreadable"),
    (200, Zero,    Both,      "delivered", "rule-1"),
    (200, Marked,  Both,      "rejected",  "rule-2"),
    (200, Else,    Both,      "ambiguous", "undecided"),
    (200, Page,    Both,      "ambiguous", "unreadable"),
    (200, Foreign, Both,      "ambiguous", "unreadable"),
    (200, Zero,    Rest,      "delivered", "rule-2"),
    (200, Marked,  Rest,      "rejected",  "rule-1"),
    (200, Else,    Rest,      "delivered", "rule-2"),
    (200, Page,    Rest,      "ambiguous", "unreadable"),
    (200, Empty,   Rest,      "ambiguous", "unreadable"),
    (204, Empty,   Rest,      "ambiguous", "undecided"),
    (200, Page,    Other,     "delivered", "status-2xx"),
    (204, Empty,   Other,     "delivered", "status-2xx"),
    (409, Zero,    Other,     "duplicate", "rule-1"),
    (409, Marked,  Other,     "rejected",  "status-4xx"),
    (409, Page,    Other,     "rejected",  "status-4xx"),
    (200, Page,    Text,      "retry",     "rule-1"),
    (200, Zero,    Text,      "ambiguous", "undecided"),
    (200, Empty,   Text,      "ambiguous", "undecided"),
    (200, Foreign, Text,      "ambiguous", "unreadable"),
    (302, Page,    Both,      "rejected",  "redirect"),
    (302, Zero,    Success,   "delivered", "rule-1"),
    (400, Page,    Both,      "rejected",  "status-4xx"),
    (400, Foreign, Text,      "rejected",  "status-4xx"),
    (401, Page,    Both,      "reauth",    "status-401"),
    (401, Empty,   Success,   "reauth",    "status-401"),
    (404, Empty,   Failure,   "rejected",  "status-4xx"),
    (408, Page,    Both,      "retry",     "status-408"),
    (429, Page,    Both,      "throttled", "status-429"),
    (429, Foreign, Both,      "throttled", "status-429"),
    (429, Marked,  Both,      "rejected",  "rule-2"),
    (500, Page,    Both,      "retry",     "status-5xx"),
    (500, Empty,   Success,   "retry",     "status-5xx"),
    (500, Marked,  Success,   "retry",     "status-5xx"),
    (503, Page,    Text,      "retry",     "rule-1"),
    (503, Foreign, Text,      "retry",     "status-5xx"),
    (503, Foreign, Rest,      "retry",     "status-5xx"),
];

fn rules(has: Has) -> Rules {
    let success = json!({"when": "body.code == 0", "outcome": "delivered"});
    let failure = json!({"when": "body.code != 0", "outcome": "rejected"});
    let given = match has {
        Has::None => json!([]),
        Success => json!([success]),
        Failure => json!([failure]),
        Both => json!([success, failure]),
        Rest => json!([failure, {"when": "status == 200", "outcome": "delivered"}]),
        Other => json!([{"when": "status == 409 and body.code == 0", "outcome": "duplicate"}]),
        Text => json!([{"when": "'<html' in text", "outcome": "retry"}]),
    };
    rules_of(given)
}

pub(super) fn rules_of(given: Value) -> Rules {
    let given: Vec<crate::settings::Rule> = serde_json::from_value(given).expect("rules");
    let engine = leadgate_plugin::template::Engine::new(Tables::new());
    Rules::new(&given, &engine).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn answer(status: u16, is: Is) -> Answer {
    let mut headers = HeaderMap::new();
    let (kind, body): (&str, &[u8]) = match is {
        Zero => ("application/json", b"{\"code\":0}"),
        Marked => ("application/json", b"\xef\xbb\xbf{\"code\":500}"),
        Else => ("application/json", b"{\"msg\":\"x\"}"),
        Page => ("text/html; charset=utf-8", b"<!doctype html><html>"),
        Empty => ("application/json", b""),
        Foreign => ("application/json; charset=ebcdic", b"\xc0\x7f\x83"),
    };
    headers.insert("content-type", kind.parse().expect("a value"));
    Answer::new(status, headers, body)
}

#[test]
fn each_answer_means_what_the_table_says() {
    let redactor = Redactor::new(EVENT.as_bytes(), &[], None);
    for (status, is, has, kind, rule) in OUTCOMES {
        let rules = rules(has);
        let none = Rules::default();
        let answer = answer(status, is);
        // Rules of a step and rules of the sink are the same to an answer.
        for rules in [[&rules, &none], [&none, &rules]] {
            let outcome = decide(rules, &answer, &redactor, SystemTime::UNIX_EPOCH);
            let told = (outcome.kind.as_str(), outcome.rule.as_str());
            assert_eq!(told, (kind, rule), "{status} {is:?} {has:?}");
            let is_unread = rule == "unreadable";
            let says_why = outcome.reason.contains("the answer is ");
            assert_eq!(is_unread, says_why, "{}", outcome.reason);
        }
    }
}

#[test]
fn a_rule_that_decides_after_one_that_could_not_be_judged_says_so() {
    let rules = rules_of(json!([
        {"when": "body.code == 0", "outcome": "delivered"},
        {"when": "status == 200", "outcome": "rejected", "reason": "no code 0"},
    ]));
    let redactor = Redactor::new(EVENT.as_bytes(), &[], None);
    let decide = |is| {
        let rules = [&rules, &Rules::default()];
        decide(rules, &answer(200, is), &redactor, SystemTime::UNIX_EPOCH).reason
    };
    assert_eq!(decide(Else), "no code 0");
    assert_eq!(
        decide(Page),
        "no code 0; the answer is a web page, not JSON: a login or an error page?"
    );
}
