//! Failures: which of them are one group, so that a person looks at a hundred of them once.
//!
//! A group is the rule that decided and the reason without what changes from one attempt to the
//! next: numbers, ids, quoted values, times, phones, the variable parts of addresses. Codes stay
//! (`status 503`, `errcode 40001`): they are what tells failures apart.

use std::iter::Peekable;
use std::str::Chars;

use leadgate_plugin::OutcomeKind;

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

/// What opens and closes a quoted value.
const QUOTES: [(char, char); 7] = [
    ('"', '"'),
    ('\'', '\''),
    ('“', '”'),
    ('‘', '’'),
    ('「', '」'),
    ('『', '』'),
    ('«', '»'),
];

impl super::State<'_> {
    /// The failure group of a delivery in that class whose last attempt was this.
    pub(super) fn failure_in(&self, class: Class, last: Option<&Attempt>) -> Option<FailureKey> {
        let failed = |last: &&Attempt| {
            !matches!(
                last.outcome,
                OutcomeKind::Delivered | OutcomeKind::Duplicate
            )
        };
        let last = last.filter(failed).filter(|_| class.has_failure())?;
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
        if !head.class().has_failure() {
            return Ok(None);
        }
        if head.failure.is_some() {
            return Ok(head.failure);
        }
        let details = self.details(lead, head.id)?;
        Ok(self.failure_in(head.class(), details.history.last()))
    }
}

impl Class {
    /// Whether its deliveries stand in a failure group.
    const fn has_failure(self) -> bool {
        matches!(self, Self::Retrying | Self::Dead(_))
    }
}

/// A reason without what changes from one attempt to the next; at most [`NORMALISED`] characters.
pub fn normalise(reason: &str) -> String {
    let mut text = Normalised::default();
    let mut rest = reason.trim().chars().peekable();
    while let Some(&next) = rest.peek() {
        if text.length >= NORMALISED {
            text.cut();
            break;
        }
        if next.is_whitespace() {
            rest.next();
            text.space();
        } else if is_digit(next) || next.is_ascii_alphabetic() || next == '_' {
            word(&mut rest, &mut text);
        } else if let Some(close) = text.opens(next) {
            rest.next();
            quoted(&mut rest, next, close, &mut text);
        } else if next == '@' && text.ends_in_word() {
            rest.next();
            text.drop_word();
            take_while(&mut rest, |c| {
                c.is_ascii_alphanumeric() || "._-".contains(c)
            });
            text.variable();
        } else {
            rest.next();
            text.push(next);
        }
    }
    text.end()
}

/// Digits of any width.
const fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '０'..='９')
}

fn take_while(rest: &mut Peekable<Chars<'_>>, wanted: impl Fn(char) -> bool) -> String {
    std::iter::from_fn(|| rest.next_if(|c| wanted(*c))).collect()
}

/// A word, a number, an id, or an address.
fn word(rest: &mut Peekable<Chars<'_>>, text: &mut Normalised) {
    let word = take_while(rest, |c| {
        is_digit(c) || c.is_ascii_alphanumeric() || c == '_' || c == '-'
    });
    if rest.peek() == Some(&':') {
        let mut ahead = rest.clone();
        if ahead.by_ref().take(3).eq("://".chars()) {
            *rest = ahead;
            return address(&word, rest, text);
        }
    }
    if word.eq_ignore_ascii_case("http") && rest.peek() == Some(&'/') {
        // The protocol's version says nothing of a failure.
        take_while(rest, |c| c == '/' || c == '.' || c.is_ascii_digit());
        return text.extend("HTTP");
    }
    let digits = word.chars().filter(|c| is_digit(*c)).count();
    let kept = if digits == 0 {
        word.len() <= 32
    } else if text.expects_code() {
        digits <= 6 && word.len() <= CODE
    } else {
        // `utf8`, `v2`, `phone2`
        let stem = word.trim_end_matches(is_digit);
        digits <= 2
            && stem.len() + digits == word.len()
            && stem.ends_with(|c: char| c != '-')
            && !stem.is_empty()
    };
    if kept {
        text.extend(&word);
    } else {
        text.variable();
    }
}

/// Of an address its scheme, its host, and those parts of its path that look like names.
fn address(scheme: &str, rest: &mut Peekable<Chars<'_>>, text: &mut Normalised) {
    let whole = take_while(rest, |c| {
        !c.is_whitespace() && c.is_ascii() && !"\"'`<>()[]{},;|".contains(c)
    });
    let (whole, query) = match whole.find(['?', '#']) {
        Some(at) => (&whole[..at], true),
        None => (whole.trim_end_matches(['.', ':', '!']), false),
    };
    let mut parts = whole.split('/');
    let host = parts.next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    text.extend(scheme);
    text.extend("://");
    text.extend(host);
    for part in parts {
        text.push('/');
        let digits = part.chars().filter(char::is_ascii_digit).count();
        let version = part.strip_prefix('v').is_some_and(|rest| rest.len() <= 3);
        if (digits == 0 || version) && part.len() <= 32 && !part.contains('%') {
            text.extend(part);
        } else {
            text.variable();
        }
    }
    if query {
        text.extend("?*");
    }
}

/// A quoted value; as it is if it is the name of a field, or a code behind one.
fn quoted(rest: &mut Peekable<Chars<'_>>, open: char, close: char, text: &mut Normalised) {
    let mut ahead = rest.clone();
    let mut value = String::new();
    let mut closed = false;
    while let Some(c) = ahead.next() {
        if c == close {
            closed = true;
            break;
        }
        if c == '\\'
            && let Some(escaped) = ahead.next()
        {
            value.push(escaped);
        } else {
            value.push(c);
        }
    }
    if !closed && open == '\'' {
        return text.push(open);
    }
    *rest = ahead;
    let mut behind = rest.clone();
    take_while(&mut behind, char::is_whitespace);
    let name = matches!(behind.peek(), Some(':' | '：' | '=')) && value.len() <= 64;
    let symbol = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let digits = value.chars().filter(|c| is_digit(*c)).count();
    let code = text.expects_code()
        && digits <= 6
        && !value.is_empty()
        && value.len() <= 64
        && value.chars().all(symbol);
    text.push(open);
    if closed && (name || code) {
        text.extend(&value);
    } else {
        text.push('*');
    }
    text.push(close);
}

/// What was normalised so far.
#[derive(Default)]
struct Normalised {
    text: String,
    /// In characters.
    length: usize,
}

impl Normalised {
    fn push(&mut self, c: char) {
        // A masked part is as variable as the rest.
        if c != '*' || !self.text.ends_with('*') {
            self.text.push(c);
            self.length += 1;
        }
    }

    fn extend(&mut self, word: &str) {
        self.text.push_str(word);
        self.length += word.chars().count();
    }

    fn pop(&mut self) {
        if self.text.pop().is_some() {
            self.length -= 1;
        }
    }

    fn space(&mut self) {
        if !self.text.ends_with(' ') {
            self.push(' ');
        }
    }

    /// Something that changes. What joins it to another one before it goes too: dates, times,
    /// amounts and phones are one.
    fn variable(&mut self) {
        let before = self
            .text
            .trim_end_matches([' ', '.', ',', ':', '/', '+', '-', '~', '_']);
        let joined = before.ends_with('*') && self.text.len() - before.len() <= 2;
        while joined && !self.text.ends_with('*') {
            self.pop();
        }
        while !joined && self.text.ends_with(['+', '-']) {
            self.pop();
        }
        self.push('*');
    }

    /// How a quote that opens here closes.
    fn opens(&self, c: char) -> Option<char> {
        let (_, close) = QUOTES.iter().find(|(open, _)| *open == c)?;
        // An apostrophe is none.
        (c != '\'' || !self.text.ends_with(char::is_alphanumeric)).then_some(*close)
    }

    /// Whether a short number would be a code here.
    fn expects_code(&self) -> bool {
        let separators = [
            ' ', ':', '：', '=', '"', '\'', '`', '(', '（', '[', '#', '-', '为', '是', '了',
        ];
        let before = self.text.trim_end_matches(separators);
        let word = before.rsplit(|c: char| c.is_whitespace()).next();
        let word = word.unwrap_or_default().to_ascii_lowercase();
        CODE_WORDS.iter().any(|code| word.ends_with(code))
    }

    fn ends_in_word(&self) -> bool {
        self.text
            .ends_with(|c: char| c.is_ascii_alphanumeric() || c == '*')
    }

    fn drop_word(&mut self) {
        while self
            .text
            .ends_with(|c: char| c.is_ascii_alphanumeric() || "._+-*".contains(c))
        {
            self.pop();
        }
    }

    /// No longer than it may be.
    fn cut(&mut self) {
        self.text = self.text.chars().take(NORMALISED - 1).collect();
        self.text.push('…');
        self.length = NORMALISED;
    }

    fn end(mut self) -> String {
        if self.length > NORMALISED {
            self.cut();
        }
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
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
