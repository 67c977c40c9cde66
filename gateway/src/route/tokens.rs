//! The tokens of a condition, as far as explaining it needs them: what `and` and `or` join, and
//! which names stand in it. Reads tokens, not grammar: the text was compiled before.

/// What joins the parts of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    And,
    Or,
}

/// A word outside of texts, with where it begins and how deep in brackets it is.
struct Word<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// The parts that the weakest joint of `text` joins; `None` if it has one part only.
pub(super) fn split(text: &str) -> Option<(Joint, Vec<&str>)> {
    let text = unwrapped(text);
    let words: Vec<_> = words(text)
        .into_iter()
        .filter(|word| word.depth == 0)
        .collect();
    // `a if b else c` binds weaker than both.
    if words.iter().any(|word| word.text == "if") {
        return None;
    }
    let joint = |name: &str| words.iter().any(|word| word.text == name);
    let (joint, name) = if joint("or") {
        (Joint::Or, "or")
    } else if joint("and") {
        (Joint::And, "and")
    } else {
        return None;
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for word in words.iter().filter(|word| word.text == name) {
        parts.push(text[start..word.at].trim());
        start = word.at + name.len();
    }
    parts.push(text[start..].trim());
    Some((joint, parts))
}

/// Names with what follows behind dots, such as `other.x`.
pub(super) fn names(text: &str) -> Vec<&str> {
    words(text).into_iter().map(|word| word.text).collect()
}

/// Without the brackets around all of it.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
    else {
        return text;
    };
    let mut depth = 0_usize;
    for (_, letter) in letters(inner) {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => return text,
            ')' => depth -= 1,
            _ => {}
        }
    }
    unwrapped(inner)
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut depth = 0_usize;
    let mut word: Option<(usize, usize)> = None;
    for (at, letter) in letters(text) {
        let belongs =
            letter.is_alphanumeric() || letter == '_' || (letter == '.' && word.is_some());
        word = match (word, belongs) {
            (None, true) => Some((at, at + letter.len_utf8())),
            // Not behind a text that was left out.
            (Some((start, end)), true) if end == at => Some((start, at + letter.len_utf8())),
            (Some((start, end)), _) => {
                let text = &text[start..end];
                words.push(Word {
                    text,
                    at: start,
                    depth,
                });
                belongs.then(|| (at, at + letter.len_utf8()))
            }
            (None, false) => None,
        };
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if let Some((start, end)) = word {
        words.push(Word {
            text: &text[start..end],
            at: start,
            depth,
        });
    }
    words
}

/// The letters outside of texts.
fn letters(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    text.char_indices().filter(move |(_, letter)| match quote {
        Some(open) => {
            if *letter == open && !escaped {
                quote = None;
            }
            escaped = *letter == '\\' && !escaped;
            false
        }
        None if matches!(letter, '\'' | '"') => {
            quote = Some(*letter);
            escaped = false;
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_brackets_hide_joints_and_the_weakest_one_splits() {
        for (text, joint, parts) in [
            ("a and b", Joint::And, vec!["a", "b"]),
            ("a or b and c", Joint::Or, vec!["a", "b and c"]),
            ("(a or b) and not c", Joint::And, vec!["(a or b)", "not c"]),
            ("((a and b))", Joint::And, vec!["a", "b"]),
            ("(a) and (b)", Joint::And, vec!["(a)", "(b)"]),
            (
                r#"x == 'it\'s and' and y in ["or", 1]"#,
                Joint::And,
                vec![r"x == 'it\'s and'", r#"y in ["or", 1]"#],
            ),
            ("'杭'and b", Joint::And, vec!["'杭'", "b"]),
        ] {
            assert_eq!(split(text), Some((joint, parts)), "{text}");
        }
        for text in [
            "a",
            "android == 1",
            "x.or",
            "f(a and b)",
            "a if b or c else d",
            "'a or b'",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn names_come_with_what_is_behind_their_dots() {
        assert_eq!(
            names("other.x == 'a.b' and 门店 in [y]"),
            ["other.x", "and", "门店", "in", "y"]
        );
    }
}
