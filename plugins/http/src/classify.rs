//! Classification: what an answer means for the delivery.
//!
//! The merchant's rules come first, in their order; half of the CRMs answer 200 for a failure.
//! Then:
//!
//! | answer | outcome | rule |
//! |---|---|---|
//! | 2xx, and a rule asked for what could not be read | ambiguous | `unreadable` |
//! | 2xx that rules looked into, and none of them holds | ambiguous | `undecided` |
//! | other 2xx | delivered; receipt is the JSON field `id`, else the status | `status-2xx` |
//! | 3xx | rejected: redirects are not followed | `redirect` |
//! | 401 | reauth | `status-401` |
//! | 408, 425 | retry | `status-408`, `status-425` |
//! | 429 | throttled, by `retry-after` | `status-429` |
//! | other 4xx | rejected | `status-4xx` |
//! | 5xx | retry, by `retry-after` | `status-5xx` |
//!
//! What it means that no answer came is in [`crate::failure`].

use std::time::SystemTime;

use leadgate_plugin::template::{self, Condition, Engine, Template};
use leadgate_plugin::{Outcome, Problem};
use reqwest::StatusCode;
use serde_json::Value;

use crate::answer::{Answer, SCOPE, Unread, View, wait};
use crate::endpoint::has_template;
use crate::redact::Redactor;
use crate::settings::{self, Verdict};

/// Longest receipt, in bytes.
const RECEIPT: usize = 200;

/// Rules in their order.
#[derive(Clone, Default)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Clone)]
struct Rule {
    when: Condition,
    verdict: Verdict,
    name: String,
    receipt: Option<Template>,
    after: Option<Template>,
    reason: Option<Template>,
}

impl Rules {
    pub(crate) fn new(given: &[settings::Rule], engine: &Engine) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        for (number, rule) in given.iter().enumerate() {
            let at = format!("/classify/{number}");
            let mut template = |key: &str, text: &Option<String>, allowed: bool| {
                let text = text.as_deref()?;
                if !allowed {
                    let message = format!("`{key}` means nothing for this outcome");
                    problems.push(Problem::at(format!("{at}/{key}"), message).help("remove it"));
                    return None;
                }
                engine
                    .template(text, &SCOPE)
                    .map_err(|mistakes| {
                        problems.extend(template::problems(mistakes, &format!("{at}/{key}")));
                    })
                    .ok()
            };
            let delivered = rule.outcome == Verdict::Delivered;
            let waits = matches!(rule.outcome, Verdict::Retry | Verdict::Throttled);
            let receipt = template("receipt", &rule.receipt, delivered);
            let after = template("after", &rule.after, waits);
            let reason = template("reason", &rule.reason, !delivered);
            if let Some(text) = &rule.after
                && !has_template(text)
                && wait(text).is_none()
            {
                let help = "such as \"10m\", or \"{{ headers['x-reset'] }}\" in seconds";
                problems.push(Problem::at(format!("{at}/after"), "not a wait").help(help));
            }
            match engine.condition_in(&rule.when, &SCOPE) {
                Ok(when) => rules.push(Rule {
                    when,
                    verdict: rule.outcome,
                    name: rule
                        .name
                        .clone()
                        .unwrap_or_else(|| format!("rule-{}", number + 1)),
                    receipt,
                    after,
                    reason,
                }),
                Err(mistakes) => {
                    problems.extend(template::problems(mistakes, &format!("{at}/when")));
                }
            }
        }
        if problems.is_empty() {
            Ok(Self(rules))
        } else {
            Err(problems)
        }
    }
}

/// What `answer` means by the first of all `rules` that holds.
pub(crate) fn decide(
    rules: [&Rules; 2],
    answer: &Answer,
    redactor: &Redactor<'_>,
    now: SystemTime,
) -> Outcome {
    let view = answer.view();
    let case = Case {
        answer,
        view: &view,
        redactor,
        now,
    };
    // Why the first rule that asked for what could not be read does not know whether it holds.
    let mut doubt: Option<&Unread> = None;
    let mut found = None;
    for rule in rules.into_iter().flat_map(|rules| &rules.0) {
        match view.meets(&rule.when) {
            Ok(true) => {
                found = Some(rule);
                break;
            }
            Ok(false) => {}
            Err(why) => doubt = doubt.or(Some(why)),
        }
    }
    // A rule before it might have said that the lead was not taken.
    let found = found.filter(|rule| !(answer.is_success() && doubt.is_some() && rule.takes()));
    let outcome = match (found, doubt) {
        (Some(rule), doubt) => case.ruled(rule, doubt.filter(|_| answer.is_success())),
        (None, Some(why)) if answer.is_success() => {
            let reason = format!(
                "{}, and {why}: its rules cannot tell whether the lead was taken",
                said(answer)
            );
            Outcome::ambiguous(reason).rule(UNREADABLE)
        }
        (None, None) if answer.is_success() && view.looked() => {
            let reason = format!(
                "{}, and no rule holds for what is in it; add one that does",
                said(answer)
            );
            Outcome::ambiguous(reason).rule("undecided")
        }
        (None, _) => case.built_in(),
    };
    outcome.response(summary(answer, redactor))
}

/// The rule of an answer that could not be read.
pub(crate) const UNREADABLE: &str = "unreadable";

/// The answer for the record of the attempt.
fn summary(answer: &Answer, redactor: &Redactor<'_>) -> String {
    let how = answer.illegible();
    let how = how.map_or_else(String::new, |why| format!("; {why}"));
    let kept = answer.json().map(|json| redactor.answer(json));
    let summary = format!(
        "HTTP {} ({} bytes{how}) {}",
        answer.status,
        answer.length,
        kept.unwrap_or_default()
    );
    summary.trim_end().to_owned()
}

fn said(answer: &Answer) -> String {
    let status = StatusCode::from_u16(answer.status)
        .map_or_else(|_| answer.status.to_string(), |status| status.to_string());
    format!("the destination answered {status}")
}

impl Rule {
    /// Whether it says that the destination has the lead.
    fn takes(&self) -> bool {
        matches!(self.verdict, Verdict::Delivered | Verdict::Duplicate)
    }
}

/// An answer that is judged.
struct Case<'a> {
    answer: &'a Answer,
    view: &'a View<'a>,
    redactor: &'a Redactor<'a>,
    now: SystemTime,
}

impl Case<'_> {
    /// What `rule` says. With `doubt`, rules before it could not be judged.
    fn ruled(&self, rule: &Rule, doubt: Option<&Unread>) -> Outcome {
        let filled = |template: &Option<Template>| {
            let text = template.as_ref().map(|template| self.view.text(template));
            text.and_then(Result::ok).flatten()
        };
        let mut reason = filled(&rule.reason)
            .map_or_else(|| said(self.answer), |reason| self.redactor.text(&reason));
        if let Some(why) = doubt {
            reason = format!("{reason}; {why}");
        }
        let after = filled(&rule.after)
            .and_then(|text| wait(&text))
            .or_else(|| self.answer.retry_after(self.now));
        let outcome = match rule.verdict {
            Verdict::Delivered => Outcome::delivered(
                filled(&rule.receipt)
                    .map_or_else(|| self.receipt(), |text| short(self.redactor.hide(&text))),
            ),
            Verdict::Duplicate => {
                let mut outcome = Outcome::duplicate();
                outcome.reason = reason;
                outcome
            }
            Verdict::Retry => Outcome::retry(after, reason),
            Verdict::Throttled => Outcome::throttled(after, reason),
            Verdict::Reauth => Outcome::reauth(reason),
            Verdict::Rejected => Outcome::rejected(reason),
            Verdict::Ambiguous => Outcome::ambiguous(reason),
        };
        outcome.rule(rule.name.clone())
    }

    fn built_in(&self) -> Outcome {
        let reason = said(self.answer);
        let after = self.answer.retry_after(self.now);
        match self.answer.status {
            200..=299 => Outcome::delivered(self.receipt()).rule("status-2xx"),
            300..=399 => Outcome::rejected(format!("{reason}{}", self.redirect())).rule("redirect"),
            401 => Outcome::reauth(reason).rule("status-401"),
            code @ (408 | 425) => Outcome::retry(after, reason).rule(format!("status-{code}")),
            429 => Outcome::throttled(after, reason).rule("status-429"),
            400..=499 => Outcome::rejected(reason).rule("status-4xx"),
            _ => Outcome::retry(after, reason).rule("status-5xx"),
        }
    }

    /// Where a redirect leads to, and what to do about it.
    fn redirect(&self) -> String {
        let Some(place) = self.answer.leads_to() else {
            return "; redirects are not followed, configure the final URL".to_owned();
        };
        let login = [
            "login", "signin", "sign-in", "sso", "passport", "oauth", "auth/",
        ];
        let plain = place.to_ascii_lowercase();
        let advice = if login.iter().any(|part| plain.contains(part)) {
            "that looks like a login page, so it does not know who sends: look at `auth`, and \
             whether `url` is the API's"
        } else {
            "redirects are not followed, configure the final URL"
        };
        format!(" to {}; {advice}", self.redactor.text(&place))
    }

    fn receipt(&self) -> String {
        let id = match self.answer.json().map(|json| &json["id"]) {
            Ok(Value::String(id)) if id.len() <= RECEIPT => Some(id.clone()),
            Ok(Value::Number(id)) => Some(id.to_string()),
            _ => None,
        };
        id.filter(|id| self.redactor.hide(id) == *id)
            .unwrap_or_else(|| format!("HTTP {}", self.answer.status))
    }
}

fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(RECEIPT));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leadgate_plugin::{OutcomeKind, Tables};
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn rules(given: Value) -> Result<Rules, Vec<Problem>> {
        let given: Vec<settings::Rule> = serde_json::from_value(given).expect("rules");
        Rules::new(&given, &Engine::new(Tables::new()))
    }

    /// Those of 飞书多维表格, as a merchant would write them.
    fn feishu() -> Rules {
        rules(json!([
            {"when": "status == 200 and body.code == 0", "outcome": "delivered", "receipt": "{{ body.data.record.record_id }}"},
            {"when": "body.code in [99991400, 1254290]", "outcome": "throttled", "after": "{{ headers['x-ogw-ratelimit-reset'] | default(2) }}", "name": "busy"},
            {"when": "body.code == 1254291", "outcome": "retry", "after": "10m"},
            {"when": "body.code in [99991661, 99991663]", "outcome": "reauth"},
            {"when": "body.code == 1254030", "outcome": "duplicate"},
            {"when": "'maintenance' in text", "outcome": "ambiguous"},
            {"when": "status in [200, 400, 403]", "outcome": "rejected", "reason": "{{ body.code }} {{ body.msg }}"},
        ]))
        .expect("valid")
    }

    fn decide(
        rules: &Rules,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Outcome {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let event = r#"{"lead":{"name":"张三","phone":"13567658911"}}"#;
        let redactor = Redactor::new(event.as_bytes(), &[], None);
        super::decide(
            [rules, &Rules::default()],
            &Answer::new(status, headers, body.as_bytes()),
            &redactor,
            SystemTime::UNIX_EPOCH,
        )
    }

    #[test]
    fn rules_decide_in_their_order_and_then_the_built_in_ones() {
        let seconds = Duration::from_secs;
        for (status, headers, body, kind, receipt, after, rule) in [
            (
                200,
                vec![],
                r#"{"code":0,"data":{"record":{"record_id":"rec7"}}}"#,
                OutcomeKind::Delivered,
                "rec7",
                None,
                "rule-1",
            ),
            (
                400,
                vec![("x-ogw-ratelimit-reset", "30")],
                r#"{"code":99991400}"#,
                OutcomeKind::Throttled,
                "",
                Some(seconds(30)),
                "busy",
            ),
            (
                200,
                vec![],
                r#"{"code":1254290}"#,
                OutcomeKind::Throttled,
                "",
                Some(seconds(2)),
                "busy",
            ),
            (
                200,
                vec![],
                r#"{"code":1254291}"#,
                OutcomeKind::Retry,
                "",
                Some(seconds(600)),
                "rule-3",
            ),
            (
                200,
                vec![],
                r#"{"code":99991663}"#,
                OutcomeKind::Reauth,
                "",
                None,
                "rule-4",
            ),
            (
                200,
                vec![],
                r#"{"code":1254030}"#,
                OutcomeKind::Duplicate,
                "",
                None,
                "rule-5",
            ),
            (
                503,
                vec![],
                "<h1>maintenance</h1>",
                OutcomeKind::Ambiguous,
                "",
                None,
                "rule-6",
            ),
            (
                200,
                vec![],
                r#"{"code":1,"msg":"x"}"#,
                OutcomeKind::Rejected,
                "",
                None,
                "rule-7",
            ),
            // No JSON: rules over `body` do not hold.
            (
                200,
                vec![],
                "<html>",
                OutcomeKind::Rejected,
                "",
                None,
                "rule-7",
            ),
            (
                500,
                vec![("retry-after", "9")],
                "",
                OutcomeKind::Retry,
                "",
                Some(seconds(9)),
                "status-5xx",
            ),
            (401, vec![], "", OutcomeKind::Reauth, "", None, "status-401"),
            (
                404,
                vec![],
                "[]",
                OutcomeKind::Rejected,
                "",
                None,
                "status-4xx",
            ),
        ] {
            let outcome = decide(&feishu(), status, &headers, body);
            assert_eq!(
                (
                    outcome.kind,
                    outcome.receipt.as_str(),
                    outcome.retry_after,
                    outcome.rule.as_str()
                ),
                (kind, receipt, after, rule),
                "{body}"
            );
        }
    }

    #[test]
    fn an_absent_field_is_never_taken_for_another_value() {
        let rules =
            rules(json!([{"when": "body.errcode != 0", "outcome": "rejected"}])).expect("valid");
        assert_eq!(decide(&rules, 200, &[], "{}").rule, "undecided");
        assert_eq!(decide(&rules, 200, &[], r#"{"errcode":7}"#).rule, "rule-1");
    }

    #[test]
    fn reasons_and_answers_are_redacted() {
        let outcome = decide(
            &feishu(),
            400,
            &[],
            r#"{"code":7,"msg":"张三 13567658911 exists","phone":"13567658911"}"#,
        );
        assert_eq!(outcome.reason, "7 *** *** exists");
        assert_eq!(
            outcome.response,
            r#"HTTP 400 (66 bytes) {"code":7,"msg":"*** *** exists"}"#
        );
    }

    #[test]
    fn mistakes_in_rules_are_found_with_their_place() {
        let problems = rules(json!([
            {"when": "statu == 200", "outcome": "delivered"},
            {"when": "status == 200", "outcome": "delivered", "receipt": "{{ bdy.id }}", "after": "1s"},
            {"when": "status == 200", "outcome": "retry", "after": "soon"},
            {"when": "phone == 1", "outcome": "retry"},
        ]))
        .err()
        .expect("mistakes");
        let places: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(
            places,
            [
                "/classify/0/when",
                "/classify/1/receipt",
                "/classify/1/after",
                "/classify/2/after",
                "/classify/3/when"
            ]
        );
        assert_eq!(problems[0].help, "did you mean `status`?");
        assert_eq!(problems[0].range, Some(0..5));
    }

    #[test]
    fn receipts_are_ids_and_never_whole_answers() {
        let none = rules(json!([])).expect("valid");
        let receipt = |status, body: &str| {
            let outcome = decide(&none, status, &[], body);
            assert_eq!(outcome.kind, OutcomeKind::Delivered, "{outcome:?}");
            outcome.receipt
        };
        assert_eq!(receipt(200, r#"{"id":"crm-7","name":"x"}"#), "crm-7");
        assert_eq!(receipt(201, r#"{"id":12345678}"#), "12345678");
        assert_eq!(receipt(200, "thanks"), "HTTP 200");
        assert_eq!(receipt(200, r#"{"id":{"phone":"1"}}"#), "HTTP 200");
        assert_eq!(receipt(200, r#"{"id":"张三"}"#), "HTTP 200");
    }
}
