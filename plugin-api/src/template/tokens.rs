//! Tokens: the signs and words of an expression, as minijinja reads them, with their places.
//!
//! Reads only what minijinja took before; where it cannot follow it says so by giving nothing.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A name or keyword.
    Word,
    /// Digits.
    Number,
    /// A quoted text, quotes included.
    Text,
    /// Anything else, such as `==` or `(`.
    Sign,
}

/// One token.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) sort: Sort,
    pub(super) text: &'a str,
    /// In bytes of the whole text.
    pub(super) range: Range<usize>,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// `{{ … }}`
    Value,
    /// `{% … %}`
    Statement,
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Text between blocks.
    Plain(Range<usize>),
    /// A block and its tokens.
    Block(Block, Vec<Token<'a>>),
}

const DOUBLE: [&str; 6] = ["//", "**", "==", "!=", ">=", "<="];
const SINGLE: &str = "+-*/%.,:~|=<>()[]{}";

/// The tokens of a lone expression.
pub(super) fn of_expression(text: &str) -> Option<Vec<Token<'_>>> {
    let (tokens, end) = read(text, 0, None)?;
    (end == text.len()).then_some(tokens)
}

/// The parts of a template. Comments and what is raw are left out.
pub(super) fn of_template(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut at = 0;
    loop {
        let opening = opening(text, at);
        let end = opening.map_or(text.len(), |(start, _)| start);
        if end > at {
            parts.push(Part::Plain(at..end));
        }
        let Some((start, kind)) = opening else {
            return Some(parts);
        };
        let mut inside = start + 2;
        if kind == b'#' {
            at = inside + text[inside..].find("#}")? + 2;
            continue;
        }
        if matches!(text.as_bytes().get(inside), Some(b'-' | b'+')) {
            inside += 1;
        }
        let (block, closing) = match kind {
            b'{' => (Block::Value, "}}"),
            _ => (Block::Statement, "%}"),
        };
        let (tokens, end) = read(text, inside, Some(closing))?;
        at = end + 2;
        if block == Block::Statement && tokens.len() == 1 && tokens[0].text == "raw" {
            let ends = text[at..].find("endraw")?;
            at += ends + text[at + ends..].find("%}")? + 2;
            continue;
        }
        parts.push(Part::Block(block, tokens));
    }
}

fn opening(text: &str, from: usize) -> Option<(usize, u8)> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1))
        .find(|at| bytes[*at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
        .map(|at| (at, bytes[at + 1]))
}

/// Tokens from `at` up to `closing`, and where that is.
fn read<'a>(
    text: &'a str,
    mut at: usize,
    closing: Option<&str>,
) -> Option<(Vec<Token<'a>>, usize)> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut depth = 0_isize;
    while at < bytes.len() {
        let rest = &text[at..];
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if let Some(closing) = closing.filter(|_| depth == 0) {
            if rest.starts_with(closing) {
                return Some((tokens, at));
            }
            if rest.starts_with(['-', '+']) && rest[1..].starts_with(closing) {
                return Some((tokens, at + 1));
            }
        }
        let sign = DOUBLE
            .iter()
            .find(|sign| rest.starts_with(**sign))
            .map(|sign| sign.len())
            .or_else(|| SINGLE.contains(char::from(bytes[at])).then_some(1));
        let (sort, length) = match (sign, bytes[at]) {
            (Some(length), byte) => {
                match byte {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth -= 1,
                    _ => {}
                }
                (Sort::Sign, length)
            }
            (None, b'\'' | b'"') => (Sort::Text, string(rest)?),
            (None, b'0'..=b'9') => {
                let after_dot = tokens.last().is_some_and(|last| last.text == ".");
                (Sort::Number, number(rest, after_dot))
            }
            (None, b'a'..=b'z' | b'A'..=b'Z' | b'_') => (
                Sort::Word,
                length(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            ),
            (None, _) => return None,
        };
        let range = at..at + length;
        tokens.push(Token {
            sort,
            text: &text[range.clone()],
            range,
        });
        at += length;
    }
    closing.is_none().then_some((tokens, at))
}

/// The length of the quoted text that `rest` begins with.
fn string(rest: &str) -> Option<usize> {
    let quote = rest.as_bytes()[0];
    let mut escaped = false;
    rest.bytes()
        .skip(1)
        .position(|byte| {
            let closes = !escaped && byte == quote;
            escaped = !escaped && byte == b'\\';
            closes
        })
        .map(|at| at + 2)
}

/// The length of the number that `rest` begins with; behind a dot it has no fraction.
fn number(rest: &str, after_dot: bool) -> usize {
    let bytes = rest.as_bytes();
    if matches!(bytes.get(1), Some(b'b' | b'B' | b'o' | b'O' | b'x' | b'X')) && bytes[0] == b'0' {
        return 2 + length(&rest[2..], |byte| byte.is_ascii_hexdigit() || byte == b'_');
    }
    let digits = |at: usize| at + length(&rest[at..], |byte| byte.is_ascii_digit() || byte == b'_');
    let mut end = digits(0);
    let exponent = |at: usize| {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let some = bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit);
        (matches!(bytes.get(at), Some(b'e' | b'E')) && some).then_some(at + 1 + sign)
    };
    let names = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    };
    if !after_dot
        && bytes.get(end) == Some(&b'.')
        && (!names(end + 1) || exponent(end + 1).is_some())
    {
        end = digits(end + 1);
    }
    match exponent(end) {
        Some(at) if !after_dot => digits(at),
        _ => end,
    }
}

fn length(rest: &str, part: impl Fn(u8) -> bool) -> usize {
    rest.bytes()
        .position(|byte| !part(byte))
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let tokens = of_expression(text).expect(text);
        let texts: Vec<_> = tokens.iter().map(|token| token.text).collect();
        texts.join(" ")
    }

    #[test]
    fn signs_words_numbers_and_texts_are_told_apart() {
        assert_eq!(
            shown(r#"a.b[0]|f("x\"]", 'y')>=1.5e3 and not c.1.2"#),
            r#"a . b [ 0 ] | f ( "x\"]" , 'y' ) >= 1.5e3 and not c . 1 . 2"#
        );
        assert_eq!(shown("0x1F//2**3 ~ 1_000"), "0x1F // 2 ** 3 ~ 1_000");
        for none in ["'open", "a 门店", "a & b"] {
            assert!(of_expression(none).is_none(), "{none}");
        }
    }

    #[test]
    fn blocks_end_where_their_brackets_are_closed() {
        let text = "a{# {{ #}{{- {'k': {}} }}b{% raw %}{{ x }}{% endraw %}{% if c -%}d";
        let shown: Vec<_> = of_template(text)
            .expect("reads")
            .into_iter()
            .map(|part| match part {
                Part::Plain(range) => text[range].to_owned(),
                Part::Block(block, tokens) => format!(
                    "{block:?} {}",
                    tokens.iter().map(|token| token.text).collect::<String>()
                ),
            })
            .collect();
        assert_eq!(shown, ["a", "Value {'k':{}}", "b", "Statement ifc", "d"]);
        assert!(of_template("{{ a").is_none());
    }
}
