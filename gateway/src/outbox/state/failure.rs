//! Failures: which of them are one group, so that a person looks at a hundred of them once.
//!
//! A group is the rule that decided and the reason without what changes from one attempt to the
//! next: numbers, ids, quoted values, times, phones, the variable parts of addresses. Codes stay
//! (`status 503`, `errcode 40001`): they are what tells failures apart.

use std::sync::LazyLock;

use leadgate_plugin::OutcomeKind;
use regex::{Captures, Regex};

use super::lead::{Class, DeliveryHead, FailureKey};
use super::view::Fault;
use crate::outbox::{Attempt, LeadId};

/// Longest normalised reason, in characters.
pub const NORMALISED: usize = 200;

/// Words behind which a short number is a code; the ends of words too.
const CODE_WORDS: [&str; 18] = [
    "status", "http", "code", "error", "errno", "err", "sqlstate", "answered", "returned",
    "replied", "response", "状态", "码", "返回", "代码", "响应", "错误", "应答",
];

/// Longest code, in characters.
const CODE: usize = 24;

/// What a reason is made of, each kind of part by its name. A quote behind a word is an
/// apostrophe; a value that is cut off has no closing quote.
static PART: LazyLock<Regex> = LazyLock::new(|| {
    let quoted = ["\"\"", "“”", "‘’", "「」", "『』", "«»"].map(|pair| {
        let (open, close) = pair.split_at(pair.len() / 2);
        format!(r"{open}(?:\\.|[^{close}\\])*{close}?")
    });
    let quoted = format!(r"(?<quoted>{}|'(?:\\.|[^'\\])*')", quoted.join("|"));
    let pattern = [
        r#"(?<scheme>[A-Za-z0-9_-]+)://(?<address>[!-~&&[^"'`<>()\[\]{},;|]]*)"#,
        r"(?<protocol>(?i-u:http)/[0-9/.]*)",
        r"(?<mail>[A-Za-z0-9._+*-]*[A-Za-z0-9*]@[A-Za-z0-9._-]*)",
        r"(?<word>[A-Za-z0-9_０-９-]+)(?<apostrophe>'?)",
        quoted.as_str(),
        r"(?<space>\s+)",
        r"(?<other>.)",
    ];
    let pattern = format!("(?s){}", pattern.join("|"));
    Regex::new(&pattern).expect("the pattern of a reason's parts is always the same, and valid")
});

impl super::State<'_> {
    /// The failure group of a delivery in that class whose last attempt was this.
    pub(super) fn failure_in(&self, class: Class, last: Option<&Attempt>) -> Option<FailureKey> {
        let failed = |last: &&Attempt| {
            !matches!(
                last.outcome,
                OutcomeKind::Delivered | OutcomeKind::Duplicate
            )
        };
        let last = last.filter(failed).filter(|_| class.is_failing())?;
        let reason = normalise(&last.reason);
        let hash = (self.ground.hash)(&[last.rule.as_bytes(), reason.as_bytes()]);
        let key = hash.first_chunk().copied();
        key.map(FailureKey)
    }

    /// The failure group of a delivery that was moved; its attempts are what they were.
    pub(super) fn failure_of(
        &self,
        lead: LeadId,
        head: &DeliveryHead,
    ) -> Result<Option<FailureKey>, Fault> {
        if !head.class().is_failing() {
            return Ok(None);
        }
        if head.failure.is_some() {
            return Ok(head.failure);
        }
        let details = self.details(lead, head.id)?;
        Ok(self.failure_in(head.class(), details.history.last()))
    }
}

/// A reason without what changes from one attempt to the next; at most [`NORMALISED`] characters.
pub fn normalise(reason: &str) -> String {
    let reason = reason.trim();
    let mut text = String::new();
    for part in PART.captures_iter(reason) {
        if text.chars().count() > NORMALISED {
            break;
        }
        add(&mut text, &part, reason);
    }
    if text.chars().count() > NORMALISED {
        text = text.chars().take(NORMALISED - 1).collect();
        text.push('…');
    }
    text.truncate(text.trim_end().len());
    text
}

fn add(text: &mut String, part: &Captures<'_>, reason: &str) {
    let named = |name| part.name(name).map(|part| part.as_str());
    if let (Some(scheme), Some(rest)) = (named("scheme"), named("address")) {
        text.push_str(scheme);
        address(text, rest);
    } else if named("protocol").is_some() {
        // Its version says nothing of a failure.
        text.push_str("HTTP");
    } else if named("mail").is_some() {
        variable(text);
    } else if let Some(word) = named("word") {
        if is_kept(text, word) {
            text.push_str(word);
        } else {
            variable(text);
        }
        text.push_str(named("apostrophe").unwrap_or_default());
    } else if let Some(quoted) = part.name("quoted") {
        let behind = reason[quoted.end()..].trim_start();
        quote(text, quoted.as_str(), behind.starts_with([':', '：', '=']));
    } else if named("space").is_some() {
        if !text.ends_with(' ') {
            text.push(' ');
        }
    } else if let Some(other) = named("other") {
        // A masked part is as variable as the rest.
        if other != "*" || !text.ends_with('*') {
            text.push_str(other);
        }
    }
}

/// Digits of any width.
const fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '０'..='９')
}

fn digits(text: &str) -> usize {
    text.chars().filter(|c| is_digit(*c)).count()
}

/// Whether a word, a number or an id stays.
fn is_kept(text: &str, word: &str) -> bool {
    let digits = digits(word);
    if digits == 0 {
        return word.len() <= 32;
    }
    if expects_code(text) {
        return digits <= 6 && word.len() <= CODE;
    }
    // `utf8`, `v2`, `phone2`
    let stem = word.trim_end_matches(is_digit);
    digits <= 2 && stem.len() + digits == word.len() && stem.ends_with(|c: char| c != '-')
}

/// Of an address its host, and those parts of its path that look like names.
fn address(text: &mut String, whole: &str) {
    let (whole, query) = match whole.find(['?', '#']) {
        Some(at) => (&whole[..at], "?*"),
        None => (whole.trim_end_matches(['.', ':', '!']), ""),
    };
    let (host, path) = whole
        .split_once('/')
        .map_or((whole, None), |(host, path)| (host, Some(path)));
    text.push_str("://");
    text.push_str(host.rsplit('@').next().unwrap_or_default());
    for part in path.into_iter().flat_map(|path| path.split('/')) {
        text.push('/');
        let version = part.starts_with('v') && part.len() <= 4;
        if (digits(part) == 0 || version) && part.len() <= 32 && !part.contains('%') {
            text.push_str(part);
        } else {
            variable(text);
        }
    }
    text.push_str(query);
}

/// A quoted value; as it is if it is the name of a field, or a code behind one.
fn quote(text: &mut String, quoted: &str, is_name: bool) {
    let mut inner = quoted.chars();
    let open = inner.next().unwrap_or_default();
    let close = match open {
        '“' => '”',
        '‘' => '’',
        '「' => '」',
        '『' => '』',
        '«' => '»',
        same => same,
    };
    let value = inner.as_str().strip_suffix(close);
    let symbol = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let is_code = |value: &&str| {
        expects_code(text) && !value.is_empty() && digits(value) <= 6 && value.chars().all(symbol)
    };
    let kept = value.filter(|value| value.len() <= 64 && (is_name || is_code(value)));
    let kept = kept.unwrap_or("*");
    text.push(open);
    text.push_str(kept);
    text.push(close);
}

/// Something that changes. What joins it to another one before it goes too: dates, times,
/// amounts and phones are one.
fn variable(text: &mut String) {
    let joint = [' ', '.', ',', ':', '/', '+', '-', '~', '_'];
    let before = text.trim_end_matches(joint);
    let joined = before.ends_with('*') && text.len() - before.len() <= 2;
    let kept = if joined {
        before
    } else {
        text.trim_end_matches(['+', '-'])
    };
    text.truncate(kept.len());
    if !text.ends_with('*') {
        text.push('*');
    }
}

/// Whether a short number would be a code here.
fn expects_code(text: &str) -> bool {
    let separators = [
        ' ', ':', '：', '=', '"', '\'', '`', '(', '（', '[', '#', '-', '为', '是', '了',
    ];
    let before = text.trim_end_matches(separators);
    let word = before.rsplit(char::is_whitespace).next();
    let word = word.unwrap_or_default().to_ascii_lowercase();
    CODE_WORDS.iter().any(|code| word.ends_with(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changes_goes_and_what_tells_failures_apart_stays() {
        for (reason, expected) in [
            ("", ""),
            ("no answer in time", "no answer in time"),
            ("  two\n lines\t here ", "two lines here"),
            (
                "the destination answered 500: request 8f14e45f-ceea-467f-9b3d-0c1d2e3f4a5b failed",
                "the destination answered 500: request * failed",
            ),
            ("answered 404 Not Found", "answered 404 Not Found"),
            (
                "status 503 (request id: 0af7651916cd43dd8448eb211c80319c)",
                "status 503 (request id: *)",
            ),
            ("HTTP/1.1 502 Bad Gateway", "HTTP 502 Bad Gateway"),
            (
                "step `contact`: answered 422",
                "step `contact`: answered 422",
            ),
            (
                r#"{"errcode":40001,"errmsg":"invalid credential, hint: [1655123456]"}"#,
                r#"{"errcode":40001,"errmsg":"*"}"#,
            ),
            (
                r#"{"code":"E1001","id":"77123"}"#,
                r#"{"code":"E1001","id":"*"}"#,
            ),
            (
                r#"{"error":"invalid_grant","trace":"a1b2"}"#,
                r#"{"error":"invalid_grant","trace":"*"}"#,
            ),
            (
                r#"answered 400: {"message":"order 9 of \"Li\" is ba"#,
                r#"answered 400: {"message":"*""#,
            ),
            (
                "unknown field 'phone2' in row 17",
                "unknown field '*' in row *",
            ),
            (
                "it can't be read, the sender's clock is off",
                "it can't be read, the sender's clock is off",
            ),
            ("ret=-1, errcode=-40012", "ret=*, errcode=-40012"),
            ("order SO-20241128-000123 is closed", "order * is closed"),
            ("record 4377634040012345678 exists", "record * exists"),
            ("phone +86 138-0013-8000 is taken", "phone * is taken"),
            ("phone 138****8000 is taken", "phone * is taken"),
            ("zhang.san@example.com is no member", "* is no member"),
            (
                "at 2024-11-28T10:11:12.345+08:00 the lock was held",
                "at * the lock was held",
            ),
            (
                "at 2024-11-28 10:11:12 the lock was held",
                "at * the lock was held",
            ),
            (
                "connection to 10.0.3.17:44312 refused (os error 111)",
                "connection to * refused (os error 111)",
            ),
            ("amount 1,234.50 is over 99.9%", "amount * is over *%"),
            (
                "GET https://user:pw@crm.example:8443/api/v2/leads/8812/notes?token=abc#x failed",
                "GET https://crm.example:8443/api/v2/leads/*/notes?* failed",
            ),
            (
                "see https://crm.example/help.",
                "see https://crm.example/help",
            ),
            (
                "SQLSTATE 42P01: relation \"leads7\" is not there",
                "SQLSTATE 42P01: relation \"*\" is not there",
            ),
            (
                "the server replied 550 5.1.1 no such user",
                "the server replied 550 * no such user",
            ),
            ("utf8 text in v2 of sha256", "utf8 text in v2 of *"),
            ("retry in 37 s, 3 of 15 left", "retry in * s, * of * left"),
            (
                "客户张三的手机号13800138000已存在",
                "客户张三的手机号*已存在",
            ),
            (
                "状态码 500：请求编号 a81bc81b-dead-4e5d-abff-90865d1e13b1",
                "状态码 500：请求编号 *",
            ),
            (
                "返回 40013，参数“手机号”不合法",
                "返回 40013，参数“*”不合法",
            ),
            ("错误码：88020003333，请稍后再试", "错误码：*，请稍后再试"),
            (
                "2024年11月28日 10时，订单「TB20241128001」重复",
                "*年*月*日 *时，订单「*」重复",
            ),
            ("手机１３８００１３８０００无效", "手机*无效"),
        ] {
            assert_eq!(normalise(reason), expected, "{reason}");
        }
    }

    #[test]
    fn failures_that_differ_by_what_changes_are_one_and_others_are_not() {
        let one = normalise("answered 500: req-8f14e45fceea467f took 12 ms");
        let other = normalise("answered 500: req-0c1d2e3f4a5b6c7d took 1503 ms");
        assert_eq!(one, other);
        assert_ne!(
            one,
            normalise("answered 502: req-8f14e45fceea467f took 12 ms")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_normalised_to_a_bounded_one(text in "\\PC{0,400}") {
            let once = normalise(&text);
            prop_assert!(once.chars().count() <= NORMALISED);
        }

        #[test]
        fn the_id_of_a_request_makes_no_difference(a in "[0-9a-f]{12}[0-9][0-9a-f]{11}", b in "[0-9a-f]{12}[0-9][0-9a-f]{11}") {
            prop_assert_eq!(
                normalise(&format!("answered 500, request {a} failed")),
                normalise(&format!("answered 500, request {b} failed"))
            );
        }
    }
}
