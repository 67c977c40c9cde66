//! Literals: where in a TOML string a part of its value was written.
//!
//! A caret must point into the file, and a plugin counts in the value. The two differ by
//! quotes, escapes and, in long strings, by line breaks that are left out.

use std::ops::Range;

/// Where in `literal` (a TOML string with its quotes) the bytes `part` of its value are.
/// `None` if the value was not made from this literal alone up to there.
pub(super) fn locate(literal: &str, value: &str, part: &Range<usize>) -> Option<Range<usize>> {
    let pieces = pieces(literal)?;
    let mut decoded = String::with_capacity(value.len());
    let (mut start, mut end) = (None, None);
    for Piece { at, text, length } in pieces {
        if decoded.len() >= part.end {
            break;
        }
        let before = decoded.len();
        decoded.push(text);
        if before <= part.start && part.start < decoded.len() {
            start = Some(at);
        }
        end = Some(at + length);
    }
    let same = decoded.len() >= part.end && value.as_bytes().starts_with(decoded.as_bytes());
    Some(start?..end.filter(|_| same)?)
}

/// One character of the value, and the bytes of the literal that it was written with.
struct Piece {
    at: usize,
    text: char,
    length: usize,
}

fn pieces(literal: &str) -> Option<Vec<Piece>> {
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| literal.starts_with(quote) && literal.ends_with(quote))?;
    let long = quote.len() == 3;
    let escapes = quote.starts_with('"');
    let mut at = quote.len();
    let end = literal
        .len()
        .checked_sub(quote.len())
        .filter(|end| *end >= at)?;
    if long {
        let first = &literal[at..end];
        at += ["\r\n", "\n"]
            .iter()
            .find(|line| first.starts_with(**line))
            .map_or(0, |line| line.len());
    }
    let mut pieces = Vec::new();
    while at < end {
        let rest = &literal[at..end];
        let next = rest.chars().next()?;
        if !escapes || next != '\\' {
            pieces.push(Piece {
                at,
                text: next,
                length: next.len_utf8(),
            });
            at += next.len_utf8();
            continue;
        }
        if long && let Some(skipped) = line_end(&rest[1..]) {
            at += 1 + skipped;
            continue;
        }
        let (text, length) = escape(&rest[1..])?;
        pieces.push(Piece {
            at,
            text,
            length: length + 1,
        });
        at += length + 1;
    }
    Some(pieces)
}

/// What a backslash at the end of a line leaves out: all white space up to the next text.
fn line_end(rest: &str) -> Option<usize> {
    let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    rest[..blank].contains('\n').then_some(blank)
}

/// The character behind a backslash, and how many bytes say so.
fn escape(rest: &str) -> Option<(char, usize)> {
    let code = |digits: usize| {
        let code = u32::from_str_radix(rest.get(1..=digits)?, 16).ok()?;
        Some((char::from_u32(code)?, digits + 1))
    };
    match rest.chars().next()? {
        'b' => Some(('\u{8}', 1)),
        't' => Some(('\t', 1)),
        'n' => Some(('\n', 1)),
        'f' => Some(('\u{c}', 1)),
        'r' => Some(('\r', 1)),
        'e' => Some(('\u{1b}', 1)),
        '"' => Some(('"', 1)),
        '\\' => Some(('\\', 1)),
        'x' => code(2),
        'u' => code(4),
        'U' => code(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is found for `part` of the value of `literal`.
    fn found(literal: &str, part: &str) -> Option<String> {
        let document: toml::Table = format!("a = {literal}").parse().expect(literal);
        let value = document["a"].as_str().expect("a text");
        let start = value.find(part).expect(part);
        let range = locate(literal, value, &(start..start + part.len()))?;
        Some(literal[range].to_owned())
    }

    #[test]
    fn parts_are_found_in_every_kind_of_string() {
        for literal in [
            r#""客 {{ name }}""#,
            "'客 {{ name }}'",
            r#""\"客\"\t\u5ba2\U0001F600 {{ name }}""#,
            "\"\"\"\n客\n {{ name }}\"\"\"",
            "'''\n客 \\n {{ name }}\n'''",
            "\"\"\"a \\\n   {{ name }}\"\"\"",
        ] {
            assert_eq!(found(literal, "name").as_deref(), Some("name"), "{literal}");
        }
        assert_eq!(
            found(r#""{{ \"x\" }}""#, "\"x\"").as_deref(),
            Some(r#"\"x\""#)
        );
    }

    #[test]
    fn a_value_from_elsewhere_has_no_place() {
        assert_eq!(locate("\"env:X\"", "{{ nam }}", &(3..6)), None);
        assert_eq!(locate("\"${A} {{ nam }}\"", "a {{ nam }}", &(5..8)), None);
        assert_eq!(
            locate("\"{{ nam }} ${A}\"", "{{ nam }} a", &(3..6)),
            Some(4..7)
        );
        assert_eq!(locate("7", "7", &(0..1)), None);
    }

    proptest! {
        #[test]
        fn any_text_written_as_a_string_is_found_again(text in "[ -~客\\n\\t\"\\\\]{1,30}", from in 0_usize..30, length in 1_usize..9) {
            let literal = toml::Value::String(text.clone()).to_string();
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = from % (starts.len() - 1);
            let end = (start + length).min(starts.len() - 1);
            let part = starts[start]..starts[end];
            let range = locate(&literal, &text, &part).expect("found");
            // The piece of the literal, as a string of its own, is the part again.
            let piece = &literal[range];
            if literal.starts_with('"') && !literal.starts_with("\"\"\"") {
                let again: toml::Table = format!("a = \"{piece}\"").parse().expect(piece);
                prop_assert_eq!(again["a"].as_str(), Some(&text[part]));
            }
        }
    }
}
