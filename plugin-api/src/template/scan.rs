//! The scan: which names a template uses, in which role, and where.
//!
//! The engine finds an unknown filter only when it comes to it, and says of an unknown name
//! that there is one but not where. So the words of every expression are read here once,
//! also in branches that no trial would take. Reads words, not grammar: the text was compiled
//! before.

use std::ops::Range;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `name`, at the start of a value.
    Name,
    /// `| filter`
    Filter,
    /// `is test`
    Test,
    /// `function(`
    Function,
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) role: Role,
    pub(super) text: &'a str,
    /// Of a name: with what follows behind dots, such as `lead.phone`.
    pub(super) path: &'a str,
    /// In bytes of the whole text.
    pub(super) range: Range<usize>,
    /// The first argument, if it is a text without escapes.
    pub(super) argument: Option<(&'a str, Range<usize>)>,
}

/// Words that the language itself uses.
const KEYWORDS: [&str; 33] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "endif",
    "for",
    "endfor",
    "recursive",
    "set",
    "endset",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "with",
    "endwith",
    "filter",
    "endfilter",
    "raw",
    "endraw",
    "do",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "autoescape",
    "endautoescape",
];

/// The words of a template.
pub(super) fn template(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some((opening, kind)) = opening(text, at) {
        let inside = opening + 2;
        if kind == '#' {
            at = text[inside..]
                .find("#}")
                .map_or(text.len(), |end| inside + end + 2);
            continue;
        }
        let end = expression(text, inside, &mut words);
        at = (end + 2).min(text.len());
        if text[inside..end].trim_matches(['-', '+', ' ']) == "raw" {
            at = text[at..].find("endraw").map_or(text.len(), |end| at + end);
        }
    }
    words
}

/// The words of a lone expression.
pub(super) fn condition(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    expression(text, 0, &mut words);
    words
}

fn opening(text: &str, from: usize) -> Option<(usize, char)> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1))
        .find(|at| bytes[*at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
        .map(|at| (at, char::from(bytes[at + 1])))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before<'a> {
    Nothing,
    Word(&'a str),
    Sign(u8),
    Other,
}

/// Reads words from `from` to the end of the block, and gives where that is.
fn expression<'a>(text: &'a str, from: usize, words: &mut Vec<Word<'a>>) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    let mut depth = 0_usize;
    let mut before = Before::Nothing;
    // Behind `is not` the `not` is no word of its own.
    let mut test = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if depth == 0 && from > 0 && matches!(byte, b'}' | b'%') && bytes.get(at + 1) == Some(&b'}')
        {
            return at;
        }
        match byte {
            b'\'' | b'"' => {
                at = string_end(bytes, at);
                before = Before::Other;
            }
            b'0'..=b'9' => {
                at = run(bytes, at, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_')
                });
                before = Before::Other;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let end = run(bytes, at, is_name);
                let word = &text[at..end];
                if let Some(role) = role(text, before, test, word, end, depth) {
                    words.push(Word {
                        role,
                        text: word,
                        path: &text[at..path_end(bytes, end)],
                        range: at..end,
                        argument: argument(text, end),
                    });
                }
                test = word == "is" && before != Before::Sign(b'.') || test && word == "not";
                before = Before::Word(word);
                at = end;
            }
            _ => {
                match byte {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !byte.is_ascii_whitespace() {
                    before = Before::Sign(byte);
                    test = false;
                }
                at += 1;
            }
        }
    }
    at
}

fn role(
    text: &str,
    before: Before<'_>,
    test: bool,
    word: &str,
    end: usize,
    depth: usize,
) -> Option<Role> {
    match before {
        Before::Sign(b'.') => return None,
        Before::Sign(b'|') | Before::Word("filter") => return Some(Role::Filter),
        _ if test && word != "not" => return Some(Role::Test),
        _ => {}
    }
    if KEYWORDS.contains(&word) {
        return None;
    }
    let rest = text[end..].trim_start();
    if rest.starts_with('(') {
        return Some(Role::Function);
    }
    // `name=value` inside brackets names an argument.
    let names_argument = depth > 0 && rest.starts_with('=') && !rest.starts_with("==");
    (!names_argument).then_some(Role::Name)
}

/// The first argument behind a filter, if it is a text.
fn argument(text: &str, end: usize) -> Option<(&str, Range<usize>)> {
    let rest = &text[end..];
    let inner = rest.trim_start().strip_prefix('(')?.trim_start();
    let start = text.len() - inner.len();
    let bytes = text.as_bytes();
    if !matches!(bytes.get(start)?, b'\'' | b'"') {
        return None;
    }
    let range = start + 1..string_end(bytes, start).checked_sub(1)?;
    let inside = text.get(range.clone())?;
    let next = text[range.end + 1..].trim_start();
    (!inside.contains('\\') && next.starts_with([',', ')'])).then_some((inside, range))
}

/// Behind the quote that closes the string at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Behind the dotted names that follow.
fn path_end(bytes: &[u8], mut end: usize) -> usize {
    while bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(|next| is_name(*next)) {
        end = run(bytes, end + 1, is_name);
    }
    end
}

fn run(bytes: &[u8], from: usize, part: impl Fn(u8) -> bool) -> usize {
    (from..bytes.len())
        .find(|at| !part(bytes[*at]))
        .unwrap_or(bytes.len())
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(words: &[Word<'_>]) -> Vec<String> {
        words
            .iter()
            .map(|word| {
                let argument = word.argument.as_ref().map_or("", |(text, _)| *text);
                format!("{:?} {} {argument}", word.role, word.path)
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn words_are_read_in_their_roles() {
        let text = "a {{ lead.phone | mask }} b{# {{ no }} #}{% if x is not defined and y %}{{ f('q') | lookup(\"t\") }}{% endif %}";
        assert_eq!(
            shown(&template(text)),
            [
                "Name lead.phone",
                "Filter mask",
                "Name x",
                "Test defined",
                "Name y",
                "Function f q",
                "Filter lookup t"
            ]
        );
        assert_eq!(
            shown(&condition(
                "store_id in [1, 2] and other['a | b'] == {'k': v}.k"
            )),
            ["Name store_id", "Name other", "Name v"]
        );
        assert_eq!(
            shown(&template("{{ {'a': {'b': c}} }}{{ d }}")),
            ["Name c", "Name d"]
        );
        assert_eq!(
            shown(&template(
                "{% raw %}{{ no }}{% endraw %}{{ x | default(value=y) }}"
            )),
            ["Name x", "Filter default", "Name y"]
        );
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "客户 {{ phonee }}";
        let words = template(text);
        assert_eq!(&text[words[0].range.clone()], "phonee");
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[ -~客{}%#'\"|(.\\\\]{0,60}") {
            for word in template(&text).into_iter().chain(condition(&text)) {
                prop_assert_eq!(&text[word.range], word.text);
            }
        }
    }
}
